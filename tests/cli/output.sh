#!/bin/sh
# SPDX-License-Identifier: MIT
# Standard output that cannot be written, and the progress bar: on a terminal, and only there.
. "$(dirname "$0")/lib.sh"

run 0 create "$store" --capacity 32M --max-value 1M
for i in $(seq 3000); do
    printf '{"key":"key:%d","value":"x"}\n{"key":"a long one, to fill any pipe: %090d","value":""}\n' "$i" "$i"
done | hf load -q "$store" || failed load
run 0 dump "$store" --sort
cp "$dir/out" "$dir/dump"
sum=$(cksum <"$store")

# unwritable CODE: what stands in $dir/err belongs to an output that failed
failing() {
    checks=$((checks + 1))
    [ "$code" -eq 3 ] || failed "$*: exit code $code, not 3"
    equal "$(cksum <"$store")" "$sum"
}

if [ -c /dev/full ]; then
    for command in 'get key:1' 'get key:1 key:2' 'get key:1 --json' 'keys' 'keys --sort' 'keys --json' 'count' 'dump' \
        'dump --sort' 'dump --format db' 'dump --format db --print' 'stats' 'stats --json' 'info' 'info --json' 'check' \
        'check --json'; do
        # shellcheck disable=SC2086 # several words on purpose
        set -- $command
        name=$1
        shift
        code=0
        "$tool" "$name" "$store" "$@" >/dev/full 2>"$dir/err" || code=$?
        # The checks of check are made under locks, which are in the file.
        [ "$name" != check ] || sum=$(cksum <"$store")
        failing "$command to a full disk"
        err_has '^holdfast: standard output: No space left on device$'
    done
    code=0
    "$tool" --help >/dev/full 2>"$dir/err" || code=$?
    failing 'help to a full disk'
    code=0
    "$tool" put --help >/dev/full 2>"$dir/err" || code=$?
    failing 'help of a command to a full disk'
else
    note 'there is no /dev/full'
fi

# ---- A closed pipe ends the work early, quietly
for command in dump 'dump --sort' 'dump --format db' keys 'keys --sort' 'keys --json'; do
    # shellcheck disable=SC2086 # several words on purpose
    set -- $command
    name=$1
    shift
    { code=0; "$tool" "$name" "$store" "$@" 2>"$dir/err" || code=$?; echo "$code" >"$dir/code"; } | head -c 10 >/dev/null
    code=$(cat "$dir/code")
    failing "$command into a closed pipe"
    silent
done

# ---- Closed descriptors: the store must not be opened in their place
for closed in '>&-' '<&- >&-' '>&- 2>&-' '<&- >&- 2>&-'; do
    code=0
    sh -c "\"\$0\" get \"\$1\" key:1 $closed" "$tool" "$store" 2>/dev/null || code=$?
    failing "get $closed"
done
code=0
"$tool" put "$store" from-nowhere <&- 2>"$dir/err" || code=$?
sum=$(cksum <"$store")
failing 'put <&-'
err_has '^holdfast: standard input: .'
run 1 exists "$store" from-nowhere

# ---- The progress bar
if ! script -qec true /dev/null >/dev/null 2>&1; then
    note 'script(1) is missing or cannot make a terminal: the progress bar'
    finish 60
fi
run 0 create "$dir/copy" --capacity 32M --max-value 1M
mkdir "$dir/tree"
head -c 500000 /dev/zero >"$dir/tree/a"
head -c 500000 /dev/zero >"$dir/tree/b"
# bar LABEL COMMAND: a bar with that label on a terminal; none when piped, and none with --quiet
bar() {
    checks=$((checks + 3))
    script -qec "$2" "$dir/typescript" >/dev/null </dev/null || failed "on a terminal: $2"
    grep -q "$(printf '\r\033\\[K')$1 \(\[#* *\] *[0-9]*%\|[0-9]\)" "$dir/typescript" ||
        failed "no bar: $2: $(cat -v "$dir/typescript")"
    script -qec "$2 -q" "$dir/typescript" >/dev/null </dev/null || failed "quietly on a terminal: $2"
    ! grep -q "$(printf '\033')" "$dir/typescript" || failed "a bar with --quiet: $2"
    sh -c "$2" >"$dir/out" 2>"$dir/err" </dev/null || failed "not on a terminal: $2: $(cat "$dir/err")"
    ! grep -q "$(printf '[\r\033]')" "$dir/err" || failed "a bar without a terminal: $2"
}
bar load "'$tool' load '$dir/copy' '$dir/dump'"
bar load "cat '$dir/dump' | '$tool' load '$dir/copy'"
bar dump "'$tool' dump '$store' >'$dir/got'"
same "$dir/got" "$dir/got"
bar import "'$tool' import '$dir/copy' '$dir/tree'"
bar copy "'$tool' copy '$store' '$dir/snapshot' --replace"
bar check "'$tool' check '$store'"
# A dump that goes to the terminal itself has no bar in between.
script -qec "'$tool' dump '$dir/copy' --format db" "$dir/typescript" >/dev/null </dev/null || failed 'dump on a terminal'
! grep -q "$(printf '\033')" "$dir/typescript" || failed 'a bar in a dump on a terminal'
finish 100
