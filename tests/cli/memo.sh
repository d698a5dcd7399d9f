#!/bin/bash
# SPDX-License-Identifier: MIT
# memo: what is kept and what is not, exit codes, bytes, signals; that several shells run a command once, that they wait for no
# reader but their own, and that one which is killed while it runs the command is replaced at once.
# shellcheck disable=SC2016 # expansions that are for the command
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

log=$dir/log # a line for each time the command was run
runs() { wc -l <"$log"; }
cat >"$dir/slow" <<'END'
#!/bin/sh
# slow LOG SECONDS CODE: prints bytes of all kinds on both outputs
echo $$ >>"$1"
[ "$2" != long-at-first ] || [ "$(wc -l <"$1")" != 1 ] || exec sleep 20
[ "$2" = long-at-first ] || sleep "$2"
printf 'out\000\377\n\n'
printf 'err\001' >&2
exit "$3"
END
chmod +x "$dir/slow"
: >"$log"
memo() { "$tool" memo "$store" "$@"; }
slow() { "$tool" memo "$store" -- "$dir/slow" "$log" "$@"; }

# as_if_run CODE ARGUMENT...: exit code and both outputs are those of the command itself
as_if_run() {
    "$dir/slow" /dev/null "${@:2}" >"$dir/want.out" 2>"$dir/want.err"
    code=0
    slow "${@:2}" >"$dir/out" 2>"$dir/err" || code=$?
    equal "$code" "$1"
    same "$dir/out" "$dir/want.out"
    same "$dir/err" "$dir/want.err"
}

# ---- Once, and again
as_if_run 0 0 0
equal "$(runs)" 1
as_if_run 0 0 0
equal "$(runs)" 1
run 0 info "$store"
out_has '^mode  *cache'
out_has '^largest value  *1.0 MiB'
run 0 keys "$store"
out_has '^memo:[0-9a-f]\{16\}:/.*slow$'

# ---- Failures are kept if asked for
as_if_run 3 0 3
as_if_run 3 0 3
equal "$(runs)" 3
run 3 memo "$store" --failures -- "$dir/slow" "$log" 0 3
as_if_run 3 0 3
equal "$(runs)" 4
run 127 memo "$store" --failures -- "$dir/nothing"
err_has "^holdfast: $dir/nothing: No such file"
run 126 memo "$store" --failures -- "$dir"
run 143 memo "$store" --failures -- sh -c 'kill -TERM $$'
equal "$(hf count "$store")" 2
# Also if whoever calls it ignores the end of its children.
code=0
(trap '' CHLD; exec "$tool" memo "$store" -- sh -c 'exit 6') || code=$?
equal "$code $(hf count "$store")" '6 2'

# ---- What makes a difference
echo one | memo -- cat >"$dir/out"
echo two | memo -- cat >"$dir/out"
equal "$(cat "$dir/out")" one
memo -- sh -c 'echo "$0-$1"' 'a b' c >"$dir/out"
equal "$(memo -- sh -c 'echo "$0-$1"' a 'b c')" a-b\ c
equal "$(cat "$dir/out")" 'a b-c'
(cd / && memo --cwd -- pwd) >"$dir/out"
equal "$(cd /dev && memo --cwd -- pwd) $(cat "$dir/out")" '/dev /'
A=1 memo --env A,B -- sh -c 'echo $A$B' >"$dir/out"
equal "$(A=1 B=2 memo --env A,B -- sh -c 'echo $A$B') $(A=1 memo --env A,B -- sh -c 'echo $A$B')" '12 1'
equal "$(memo --key mine -- echo one) $(memo --key mine -- echo two)" 'one one'
equal "$(memo --key mine --refresh -- echo three) $(memo --key mine -- echo four)" 'three three'
run 2 memo "$store" --env ,A -- true
run 2 memo "$store" --key '' -- true
run 2 memo "$store" true -l
run 0 put "$store" foreign 'not of memo'
run 0 memo "$store" --key foreign -- echo five
out_is five
err_has "not used: under the key 'foreign' is something else"

# ---- Times
memo --ttl 1ms -- "$dir/slow" "$log" 0 0 brief >/dev/null 2>&1
sleep 0.05
: >"$log"
memo --ttl 1ms -- "$dir/slow" "$log" 0 0 brief >/dev/null 2>&1
equal "$(runs)" 1
memo --ttl 1ms -- "$dir/slow" "$log" 0.4 0 stale >/dev/null 2>&1
sleep 0.02
memo --ttl 1h -- "$dir/slow" "$log" 0.4 0 stale >/dev/null 2>&1 & # the one that makes it anew
for _ in $(seq 300); do
    [ "$(runs)" = 3 ] && break
    sleep 0.01
done
memo --stale 1h -- "$dir/slow" "$log" 0.4 0 stale >"$dir/out" 2>/dev/null
same "$dir/out" "$dir/want.out"
kill -0 $! || failed 'the stale output came only when the new one was there'
wait
equal "$(runs)" 3

# ---- Output that does not fit goes through, and is not kept
large() { memo -- sh -c "echo >>$log; head -c 2000000 /dev/zero"; }
: >"$log"
large >"$dir/out" 2>"$dir/err"
err_has 'not kept: the output is larger than 10[0-9]* bytes'
equal "$(wc -c <"$dir/out")" 2000000
equal "$(large | wc -c) $(runs)" '2000000 2'
equal "$(memo -- sh -c "head -c 1000000 /dev/zero" | wc -c)" 1000000
equal "$(memo -- sh -c "head -c 1000000 /dev/zero" | wc -c)" 1000000

# ---- Output that gets lost is told, and not kept
code=0
memo -- echo lost >/dev/full 2>"$dir/err" || code=$?
equal "$code" 3
err_has '^holdfast: standard output: No space left on device$'
equal "$(hf keys "$store" | grep -c 'memo:[0-9a-f]*:echo$')" 0

# ---- What another command printed whose hash is the same
memo -- echo one >/dev/null
one=$(hf keys "$store" | grep ':echo$')
hf get "$store" "$one" >"$dir/record"
hf del "$store" "$one"
memo -- echo two >/dev/null
hf put "$store" "$(hf keys "$store" | grep ':echo$')" <"$dir/record"
equal "$(memo -- echo two 2>"$dir/err")" two
err_has 'is something else'

# ---- Who cannot use the store runs the command
"$tool" memo "$dir/no/such/directory" -- echo there >"$dir/out" 2>"$dir/err"
out_is there
err_has "^holdfast: $dir/no/such/directory: ."

# ---- Several shells at once
: >"$log"
for shell in 1 2 3 4 5 6 7 8; do
    slow 0.2 0 together >"$dir/out.$shell" 2>&1 &
done
wait
equal "$(runs)" 1
for shell in 1 2 3 4 5 6 7 8; do
    printf 'out\000\377\n\nerr\001' >"$dir/want"
    same "$dir/out.$shell" "$dir/want"
done

# ---- A reader that does not read yet keeps only its own memo waiting; both outputs are one pipe here
: >"$log"
seq 1 30000 >"$dir/lines"
head -c 100000 /dev/zero | tr '\0' x >"$dir/marks"
unread() { memo -- sh -c 'echo >>"$2"; cat "$1" >&2 & cat "$0"; wait' "$dir/lines" "$dir/marks" "$log" 2>&1; }
mkfifo "$dir/pipe"
exec 3<>"$dir/pipe"
printf yy >&3 # an odd number of pages is left, and no room for all that can be written at once
unread >"$dir/pipe" 3>&- &
for _ in $(seq 300); do
    [ "$(runs)" = 1 ] && break
    sleep 0.01
done
(unread >"$dir/out"; : >"$dir/came") 3>&- &
for _ in $(seq 2000); do
    [ -e "$dir/came" ] && break
    sleep 0.01
done
[ -e "$dir/came" ] || failed 'the value came only when the reader of another read'
equal "$(runs) $(cmp <(cat "$dir/lines" "$dir/marks") "$dir/out")" '1 '
head -c "$(cat "$dir/out" - <<<y | wc -c)" <&3 | tr -d y >"$dir/read"
wait
exec 3>&-
tr -d x <"$dir/read" >"$dir/out" # the outputs, in any order
same "$dir/out" "$dir/lines"
equal "$(tr -dc x <"$dir/read" | wc -c)" 100000
# A command that is done with its outputs runs on, and a reader comes late.
mkfifo "$dir/command"
memo -- sh -c 'cat "$0"; exec >&- 2>&-; read -r end <"$1"' "$dir/lines" "$dir/command" | (
    sleep 0.1
    timeout 20 head -c "$(wc -c <"$dir/lines")" >"$dir/out"
    echo >"$dir/command"
)
same "$dir/out" "$dir/lines"

# ---- The one that runs it is killed: the command ends with it, another runs it once more, and nobody a third time
: >"$log"
for shell in 1 2 3 4 5 6 7 8; do
    (exec "$tool" memo "$store" -- "$dir/slow" "$log" long-at-first 0 killed) >"$dir/out.$shell" 2>&1 &
    shells[shell]=$!
done
for _ in $(seq 300); do
    [ "$(runs)" = 1 ] && break
    sleep 0.01
done
command=/proc/$(head -n 1 "$log")/status
first=$(sed -n 's/^PPid:[[:space:]]*//p' "$command")
kill -KILL "$first"
whole=0
for shell in 1 2 3 4 5 6 7 8; do
    wait "${shells[shell]}" && cmp -s "$dir/out.$shell" "$dir/want" && whole=$((whole + 1))
done 2>/dev/null
equal "$(runs) $whole" '2 7'
! grep -q '^State:[[:space:]][RSDTt]' "$command" 2>/dev/null || failed "the command of the killed one still runs: $(cat "$command")"
run 0 check "$store"

# ---- Signals reach the command
: >"$dir/out" # what was in it is no sign that the command runs
(exec "$tool" memo "$store" -- sh -c 'trap "echo caught; exit 5" TERM; echo ready; for i in $(seq 500); do sleep 0.02; done') \
    >"$dir/out" &
for _ in $(seq 300); do
    [ -s "$dir/out" ] && break
    sleep 0.01
done
kill -TERM $!
code=0
wait $! || code=$?
equal "$code $(tail -n 1 "$dir/out")" '5 caught'
# A reader that goes away ends the command as it would without memo.
code=$(set -o pipefail; (memo -- yes; echo $? >"$dir/code") 2>/dev/null | head -n 1 >/dev/null; cat "$dir/code")
equal "$code" 141

finish 60
