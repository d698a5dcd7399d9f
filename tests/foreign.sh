#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs of different builds (C library, word size) meet in one file. A build's locks are not those of another, so each store
# takes writers of one build only: the others are refused with the reason and the remedy, and leave not a trace; reading without
# locks is for all. Knows the command line only.
#
#     tests/foreign.sh NAME HOLDFAST NAME HOLDFAST [NAME HOLDFAST]...
set -u
[ $# -ge 4 ] || { echo "usage: tests/foreign.sh NAME HOLDFAST NAME HOLDFAST..." >&2; exit 2; }
names=() tools=()
while [ $# -ge 2 ]; do
    names+=("$1") tools+=("$2")
    shift 2
done
dir=$(mktemp -d) || exit 3
writer=
trap '[ -z "$writer" ] || kill "$writer" 2>/dev/null; rm -rf "$dir"' EXIT
meetings=0 refusals=0 reads=0 faults=0

fault() {
    faults=$((faults + 1))
    echo "FAULT: $*"
    sed 's/^/    /' "$dir/out" "$dir/err"
}

# state FILE: its bytes, size and times, as one line
state() {
    echo "$(sha256sum <"$1") $(stat -c '%i %s %y %z' "$1")"
}

# run TOOL ARGUMENT...: exit code in $code, output in $dir/out and $dir/err
run() {
    "$@" </dev/null >"$dir/out" 2>"$dir/err"
    code=$?
}

make_store() {
    rm -f "$store"
    "$tool" create "$store" --capacity 2M && "$tool" put "$store" counter 41 && "$tool" put "$store" text "$(printf '%0500d' 7)" &&
        "$tool" put "$store" brief x --ttl 10h && "$tool" incr "$store" counter >"$dir/sum" && [ "$(cat "$dir/sum")" = 42 ]
}

# Everything that needs a lock, one word of arguments each line.
refused_commands() {
    cat <<COMMANDS
put $store text other
put $store new value
del $store text
take $store text
incr $store counter
append $store text more
touch $store text --ttl 0
clear $store
load $store $dir/dump
import $store $dir/import
copy $store $dir/copy
check $store
repair $store
COMMANDS
}

read_commands() {
    cat <<COMMANDS
get $store text
exists $store text brief
keys $store --sort
count $store
dump $store --sort
info $store
stats $store
log $store
COMMANDS
}

# The foreign tool $other is refused by the store of $tool.
refuse() {
    local arguments
    while read -r -a arguments; do
        run "$other" "${arguments[@]}"
        refusals=$((refusals + 1))
        [ "$code" -eq 3 ] || fault "$pair: ${arguments[0]} ended with $code, not 3"
        grep -q "writers use .* this program .* use one C library and word size, or open it read-only" "$dir/err" ||
            fault "$pair: ${arguments[0]} does not name the reason and the remedy"
        [ "$(state "$store")" = "$before" ] || fault "$pair: ${arguments[0]} touched the file"
        [ ! -e "$dir/copy" ] || fault "$pair: a copy was made"
    done < <(refused_commands)
}

# ... and reads what its owner reads.
read_all() {
    local arguments expected
    while read -r -a arguments; do
        run "$tool" "${arguments[@]}"
        expected=$(cat "$dir/out")
        run "$other" "${arguments[@]}"
        reads=$((reads + 1))
        [ "$code" -eq 0 ] || fault "$pair: ${arguments[0]} ended with $code"
        [ "${arguments[0]}" = info ] || [ "$(cat "$dir/out")" = "$expected" ] || fault "$pair: ${arguments[0]} reads something else"
        [ "$(state "$store")" = "$before" ] || fault "$pair: ${arguments[0]} touched the file"
    done < <(read_commands)
}

# ... also while the owner writes: one of two values, whole.
read_while_written() {
    local a b
    a=$(printf '%0400d' 1) b=$(printf '%0500d' 2)
    while [ ! -e "$dir/enough" ] && "$tool" put "$store" text "$a" && "$tool" put "$store" text "$b"; do :; done &
    writer=$!
    for _ in $(seq 50); do
        run "$other" get "$store" text
        reads=$((reads + 1))
        case $(cat "$dir/out") in
        "$a" | "$b" | "$(printf '%0500d' 7)") ;;
        *) fault "$pair: a get while the owner writes ended with $code" ;;
        esac
    done
    touch "$dir/enough"
    wait "$writer"
    rm "$dir/enough"
    writer=
}

echo 'file' >"$dir/file" && mkdir "$dir/import" && mv "$dir/file" "$dir/import/file"
for i in "${!names[@]}"; do
    tool=${tools[$i]} store=$dir/${names[$i]}.hf
    make_store || { echo "FAULT: ${names[$i]} cannot use its own store"; faults=$((faults + 1)); continue; }
    "$tool" dump "$store" >"$dir/dump"
    for j in "${!names[@]}"; do
        [ "$i" -ne "$j" ] || continue
        other=${tools[$j]} pair="${names[$j]} at a store of ${names[$i]}" before=$(state "$store")
        meetings=$((meetings + 1))
        refuse
        read_all
        read_while_written
        run "$tool" check "$store"
        [ "$code" -eq 0 ] || fault "$pair: afterwards the owner's check ended with $code"
        run "$tool" incr "$store" counter
        [ "$code" -eq 0 ] || fault "$pair: afterwards the owner cannot write"
    done
done
echo "$meetings meetings of builds in one file, $refusals refusals, $reads reads, $faults faults"
[ "$faults" -eq 0 ]
