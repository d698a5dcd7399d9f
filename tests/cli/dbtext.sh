#!/bin/sh
# SPDX-License-Identifier: MIT
# dump and load --format db, against the real mdb_load, mdb_dump, db_load and db_dump where they are installed.
. "$(dirname "$0")/lib.sh"

db_load=$(command -v db_load || command -v db5.3_load || true)
db_dump=$(command -v db_dump || command -v db5.3_dump || true)
mdb_load=$(command -v mdb_load || true)
mdb_dump=$(command -v mdb_dump || true)

run 0 create "$store" --capacity 16M --max-value 64K
run 0 create "$dir/copy" --capacity 16M --max-value 64K
for i in $(seq 500); do
    printf '{"key":"user:%d","value":"value \\\\ of %d"}\n' "$i" "$i"
done | hf load -q "$store" || failed load
for byte in 00 0a 20 5c 5c5c 5c3030 7f ff 00ff0a; do
    run 0 put "$store" --hex "$byte" "$byte"
done
run 0 put "$store" empty ''
head -c 65536 /dev/urandom | hf put "$store" big || failed put
head -c 511 /dev/zero | tr '\0' k >"$dir/key"
run 0 put "$store" "$(cat "$dir/key")" long
hf dump "$store" --sort >"$dir/want" || failed dump

# again NAME: what is in $dir/back, which $NAME dumped, is what was in the store
again() {
    run 0 clear "$dir/copy"
    run 0 load "$dir/copy" --format db "$dir/back"
    err_has 'loaded 512 entries$'
    hf dump "$dir/copy" --sort >"$dir/got" || failed dump
    checks=$((checks + 1))
    cmp "$dir/got" "$dir/want" || failed "the entries changed on the way through $1"
}

# ---- Our own text
run 0 dump "$store" --format db
equal "$(head -n 3 "$dir/out" | tr '\n' ' ')" 'VERSION=3 format=bytevalue type=btree '
equal "$(tail -n 1 "$dir/out")" DATA=END
out_has '^mapsize=[0-9]*$'
silent
cp "$dir/out" "$dir/back"
again 'bytevalue'
run 0 dump "$store" --format db --print --sort
out_has '^format=print$'
out_has '^ value \\5c of 7$'
out_has '^ \\00\\ff\\0a$'
cp "$dir/out" "$dir/back"
again 'print'
hf dump "$dir/copy" --format db --print --sort >"$dir/got"
same "$dir/got" "$dir/back"
run 0 dump "$store" --format db --for bdb
! grep -q mapsize "$dir/out" || failed '--for bdb has a mapsize line'
tr abcdef ABCDEF <"$dir/out" | sed 's/^[^ ].*//; /^$/d' >"$dir/upper"
{
    printf 'VERSION=3\nformat=bytevalue\nsomething=else\ntype=hash\nHEADER=END\n'
    cat "$dir/upper"
    echo DATA=END
} >"$dir/back"
again 'upper case'
run 0 put "$dir/copy" flagged x --flags 1
run 0 put "$dir/copy" timed x --ttl 1h
run 0 dump "$dir/copy" --format db
err_has 'no place for flags and expiry; entries that had one: 2'

# ---- Their tools
if [ -n "$mdb_load" ] && [ -n "$mdb_dump" ]; then
    hf dump "$store" --format db | "$mdb_load" -n "$dir/lmdb" || failed mdb_load
    "$mdb_dump" -n "$dir/lmdb" >"$dir/back" || failed mdb_dump
    again mdb_dump
    # Older ones print a backslash as it is, so -p is tried without any.
    run 0 create "$dir/plain" --capacity 4M
    grep -v '[\\]' "$dir/want" | grep -v '"end"\|"holdfast"\|"big"' | hf load -q "$dir/plain" || failed load
    run 0 put "$dir/plain" --hex 00ff0a 0d00
    hf dump "$dir/plain" --format db --print | "$mdb_load" -n "$dir/lmdb4" || failed mdb_load
    "$mdb_dump" -n -p "$dir/lmdb4" >"$dir/back" || failed 'mdb_dump -p'
    run 0 clear "$dir/copy"
    run 0 load "$dir/copy" --format db "$dir/back"
    hf dump "$dir/copy" --sort >"$dir/got" || failed dump
    run 0 dump "$dir/plain" --sort
    same "$dir/out" "$dir/got"
    hf dump "$store" --format db --print --sort | "$mdb_load" -n "$dir/lmdb2" || failed 'mdb_load of --print'
    "$mdb_dump" -n "$dir/lmdb2" | sed '1,/HEADER=END/d' >"$dir/theirs"
    "$mdb_dump" -n "$dir/lmdb" | sed '1,/HEADER=END/d' >"$dir/ours"
    same "$dir/theirs" "$dir/ours"
    # More than the 1 MiB that LMDB takes unless the dump says otherwise.
    run 0 create "$dir/large" --capacity 32M --max-value 64K
    for i in $(seq 100); do
        head -c 60000 /dev/urandom | hf put "$dir/large" "part:$i" || failed put
    done
    hf dump "$dir/large" --format db | "$mdb_load" -n "$dir/lmdb3" || failed 'mdb_load of 6 MB'
    equal "$("$mdb_dump" -n "$dir/lmdb3" | grep -c '^ ')" 200
else
    note 'mdb_load and mdb_dump are not installed'
fi
if [ -n "$db_load" ] && [ -n "$db_dump" ]; then
    hf dump "$store" --format db --for bdb | "$db_load" "$dir/bdb" || failed db_load
    "$db_dump" "$dir/bdb" >"$dir/back" || failed db_dump
    again db_dump
    "$db_dump" -p "$dir/bdb" >"$dir/back" || failed 'db_dump -p'
    again 'db_dump -p'
    hf dump "$store" --format db --for bdb --print | "$db_load" -t hash "$dir/bdb2" || failed 'db_load -t hash'
    "$db_dump" "$dir/bdb2" >"$dir/back" || failed 'db_dump of a hash'
    grep -q '^type=hash$' "$dir/back" || failed 'not a hash'
    again 'a hash'
    printf 'a\nb\n' | "$db_load" -T -t recno "$dir/recno" || failed 'db_load -t recno'
    "$db_dump" "$dir/recno" >"$dir/bad" || failed 'db_dump of a recno'
    run 3 load "$dir/copy" --format db "$dir/bad"
    err_has "'type=recno': only databases with keys"
else
    note 'db_load and db_dump are not installed'
fi

# ---- Wrong text
# wrong LINE REASON TEXT: the loader stops at LINE
wrong() {
    # shellcheck disable=SC2059 # the text is a format on purpose
    printf "$3" >"$dir/bad"
    run 0 clear "$dir/copy"
    run 3 load "$dir/copy" --format db "$dir/bad"
    err_has "^holdfast: $dir/copy: $dir/bad:$1: .*$2"
}
head='VERSION=3\nformat=bytevalue\ntype=btree\nHEADER=END\n'
text='VERSION=3\nformat=print\nHEADER=END\n'
wrong 1 'must be VERSION=3' 'VERSION=2\n'
wrong 1 'must be VERSION=3' '{"holdfast":1}\n'
wrong 0 'ends before HEADER=END' ''
wrong 2 'ends before HEADER=END' 'VERSION=3\ntype=btree\n'
wrong 2 "unknown 'format=xml'" 'VERSION=3\nformat=xml\n'
wrong 2 "'type=queue': only databases with keys" 'VERSION=3\ntype=queue\n'
wrong 2 "'keys=0': only databases with keys" 'VERSION=3\nkeys=0\n'
wrong 2 'is no line of a header' 'VERSION=3\nhello\n'
wrong 6 'the dump is cut off' "$head"' 61\n 62\n'
wrong 5 'the last key has no value' "$head"' 61\n'
wrong 6 'the last key has no value' "$head"' 61\nDATA=END\n'
wrong 5 'begins with a space' "$head"'61\n 62\nDATA=END\n'
wrong 6 'begins with a space' "$head"' 61\n62\nDATA=END\n'
wrong 5 'begins with a space' "$head"'\n'
wrong 5 'not hexadecimal' "$head"' 6\n 62\nDATA=END\n'
wrong 6 'not hexadecimal' "$head"' 61\n 6x\nDATA=END\n'
wrong 5 'not hexadecimal' "$head"' 61\r\n 62\r\nDATA=END\r\n'
wrong 9 'the key comes twice' "$head"' 61\n 62\n 63\n 64\n 63\n 65\nDATA=END\n'
wrong 8 'several databases' "$head"' 61\n 62\nDATA=END\nVERSION=3\n'
wrong 8 'more text after DATA=END' "$head"' 61\n 62\nDATA=END\nx\n'
wrong 4 'a backslash must be followed' "$text"' a\\\n b\nDATA=END\n'
wrong 4 'a backslash must be followed' "$text"' a\\4\n b\nDATA=END\n'
wrong 5 'a backslash must be followed' "$text"' a\n \\xyz\nDATA=END\n'
wrong 6 '.' "$head"' \n 62\nDATA=END\n'
wrong 5 'the key has 4097 bytes' "$head $(head -c 8194 /dev/zero | tr '\0' 6)"'\n 62\nDATA=END\n'
finish 100
