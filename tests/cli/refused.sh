#!/bin/sh
# SPDX-License-Identifier: MIT
# What is no store, or no longer one, is refused by every command with a reason, and stays as it is, byte for byte.
. "$(dirname "$0")/lib.sh"

run 0 create "$store" --capacity 2M
run 0 put "$store" key value
size=$(stat -c %s "$store")
mkdir "$dir/tree"
echo '{"key":"a","value":"b"}' >"$dir/dump"

# try CODE PATH: every command that opens a store
try() {
    for command in 'info' 'put KEY v' 'get KEY' 'exists KEY' 'take KEY' 'del KEY' 'incr KEY' 'append KEY v' 'touch KEY --ttl 1s' \
        'clear' 'expire' 'keys' 'count' 'dump' "load $dir/dump" "import $dir/tree" "copy $dir/copy" 'stats' 'log' 'check' \
        'check --read-only' 'repair'; do
        # The store stands behind the command's name.
        # shellcheck disable=SC2086 # several words on purpose
        set -- "$1" "$2" $command
        code=$1
        path=$2
        name=$3
        shift 3
        run "$code" "$name" "$path" "$@"
        err_has "^holdfast: $path: ."
        quiet_out
        [ ! -e "$dir/copy" ] || failed "$name made a copy of $path"
        set -- "$code" "$path"
    done
}

# try_file PATH: the same, and the file does not change
try_file() {
    before=$(cksum <"$1"; stat -c '%s %Y' "$1")
    try 3 "$1"
    equal "$(cksum <"$1"; stat -c '%s %Y' "$1")" "$before"
}

try 3 "$dir/nowhere"
err_has 'no such store; make it with'
[ ! -e "$dir/nowhere" ] || failed 'a store was made that nobody asked for'
try 3 "$dir/tree"
equal "$(ls -A "$dir/tree")" ''

: >"$dir/empty"
try_file "$dir/empty"
echo 'This is a letter, not a store.' >"$dir/letter"
try_file "$dir/letter"
head -c "$size" /dev/urandom >"$dir/random"
try_file "$dir/random"
head -c "$size" /dev/zero >"$dir/zero"
try_file "$dir/zero"
for left in 100 4096 $((size / 2)) $((size - 1)); do
    head -c "$left" "$store" >"$dir/cut"
    try_file "$dir/cut"
done
mkfifo "$dir/fifo"
try 3 "$dir/fifo"

# The first bytes of a store overwritten: another format, or nonsense in the geometry.
cp "$store" "$dir/foreign"
printf 'NOTHOLDF' | dd of="$dir/foreign" conv=notrunc 2>/dev/null
try_file "$dir/foreign"
cp "$store" "$dir/odd"
head -c 512 /dev/urandom | dd of="$dir/odd" bs=1 seek=16 conv=notrunc 2>/dev/null
try_file "$dir/odd"

# The store itself is as good as before.
run 0 get "$store" key
out_is value
finish 800
