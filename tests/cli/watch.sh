#!/bin/sh
# SPDX-License-Identifier: MIT
# watch: changes of keys, and of a whole store.
. "$(dirname "$0")/lib.sh"

run 0 create "$store" --capacity 4M
run 0 put "$store" there before
run 2 watch "$store" --json --hex
run 3 watch "$dir/none" --timeout 10ms
run 0 watch "$store" --timeout 10ms
quiet_out
run 1 watch "$store" there --count 1 --timeout 10ms
quiet_out

# begin FILE ARGUMENT...: starts a watch, and waits until it looks: a marker that is put again and again is seen.
begin() {
    to=$1
    shift
    "$tool" watch "$@" >"$to" & # not hf: it is this process that is killed
    watcher=$!
    for i in $(seq 200); do
        hf put "$store" marker "$i"
        sleep 0.02
        if [ -s "$to" ]; then
            break
        fi
    done
    [ -s "$to" ] || failed "a watch saw none of 200 changes"
}

# ended CODE
ended() {
    code=0
    wait "$watcher" || code=$?
    equal "$code" "$1"
}

# await TEXT FILE
await() {
    for i in $(seq 500); do
        if grep -q -e "$1" "$2"; then
            checks=$((checks + 1))
            return
        fi
        sleep 0.02
    done
    failed "'$1' does not come: $(tail -n 5 "$2")"
}

begin "$dir/seen" "$store" --timeout 60s
run 0 put "$store" a one
await '^put [0-9]* a$' "$dir/seen"
run 0 put "$store" a two --ttl 150ms
await '^expired [0-9]* a$' "$dir/seen"
run 0 del "$store" there
await '^delete [0-9]* there$' "$dir/seen"
run 0 put "$store" --hex 0a00 01
run 0 clear "$store"
await '^delete [0-9]* marker$' "$dir/seen"
kill "$watcher"
ended 143

begin "$dir/json" "$store" --json marker b --timeout 60s --count 40
run 0 put "$store" unwatched x
run 0 put "$store" b x
await '^{"event":"put","key":"b","version":[0-9]*}$' "$dir/json"
run 0 del "$store" b
await '^{"event":"delete","key":"b",' "$dir/json"
if grep -q unwatched "$dir/json"; then
    failed 'a key that nobody watches was told'
fi
kill "$watcher"
ended 143

run 0 put "$store" c x
"$tool" watch "$store" c --count 1 --timeout 60s >"$dir/one" &
watcher=$!
for i in $(seq 500); do
    hf put "$store" c "$i"
    sleep 0.02
    if [ -s "$dir/one" ]; then
        break
    fi
done
ended 0
equal "$(wc -l <"$dir/one")" 1

begin "$dir/gone" "$store" --timeout 60s 2>"$dir/err"
rm "$store"
ended 3
err_has replaced
finish 25
