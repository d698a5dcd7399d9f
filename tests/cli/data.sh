#!/bin/sh
# SPDX-License-Identifier: MIT
# put, get, exists, take, del: every option and condition, bytes of every kind, and what is refused.
. "$(dirname "$0")/lib.sh"

run 0 create "$store" --capacity 16M --max-value 64K

# version KEY
version() { hf get "$store" "$1" --meta | sed 's/version=\([0-9]*\) .*/\1/'; }

# ---- Values as they are
run 0 put "$store" user:7 Ada
silent
quiet_out
run 0 get "$store" user:7
silent
printf Ada >"$dir/want"
same "$dir/out" "$dir/want"
run 0 put "$store" empty ''
run 0 get "$store" empty
quiet_out
run 0 exists "$store" empty
hf put "$store" piped <"$dir/want" || failed 'put from standard input'
hf put "$store" dash - <"$dir/want" || failed 'put from -'
hf put "$store" nothing </dev/null || failed 'put of nothing'
run 0 get "$store" user:7 piped dash nothing empty
printf 'Ada\nAda\nAda\n\n\n' >"$dir/want"
same "$dir/out" "$dir/want"

# All 256 bytes, in a value and (without NUL, which no argument can hold) in a key.
awk 'BEGIN { for (i = 0; i < 256; i++) printf "\\%03o", i }' >"$dir/octal"
# shellcheck disable=SC2059 # the format is the data
printf "$(cat "$dir/octal")" >"$dir/bytes"
equal "$(wc -c <"$dir/bytes")" 256
hf put "$store" bytes <"$dir/bytes" || failed 'put of all bytes'
run 0 get "$store" bytes
same "$dir/out" "$dir/bytes"
key=$(tr -d '\000\n' <"$dir/bytes")
run 0 put "$store" "$key" odd
run 0 get "$store" "$key"
out_is odd

# ---- Hexadecimal
run 0 put "$store" --hex 00ff0a 0001020A
run 0 get "$store" --hex 00FF0a
out_is 0001020a
run 0 put "$store" --hex 0a ''
run 0 get "$store" --hex 0a
out_is ''
od -An -v -tx1 "$dir/bytes" | tr -d ' \n' >"$dir/hex"
printf ' \n' >>"$dir/hex"
hf put "$store" --hex 62 <"$dir/hex" || failed 'put of hexadecimal'
run 0 get "$store" b
same "$dir/out" "$dir/bytes"
run 2 get "$store" --hex 0
err_has "key '0' is not hexadecimal"
run 2 put "$store" --hex zz 00
err_has 'not hexadecimal'
run 3 put "$store" --hex 00 0g
err_has "^holdfast: $store: the value is not hexadecimal"
run 1 get "$store" --hex 00 ffff
err_has 'no such key: 00$'
err_has 'no such key: ffff$'

# ---- JSON and meta
run 0 put "$store" json 'say "hi"' --flags 4294967295 --ttl 1h --json
out_has '^{"version":[0-9]*}$'
run 0 get "$store" json --json
out_has '^{"key":"json","value":"say \\"hi\\"","version":[0-9]*,"flags":4294967295,"ttl_ms":3[0-9]*,"length":8}$'
run 0 get "$store" json --json --meta
out_has '^{"key":"json","version":[0-9]*,"flags":4294967295,"ttl_ms":3[0-9]*,"length":8}$'
run 0 get "$store" json --meta
out_has '^version=[0-9]* flags=4294967295 ttl_ms=3[0-9]* length=8 key=json$'
run 0 get "$store" --json --hex 00ff0a
out_has '^{"key":{"base64":"AP8K"},"value":"\\u0000\\u0001\\u0002\\n",'
run 0 get "$store" bytes --json
out_has '"value":{"base64":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g'
printf 'gr\303\274n \360\237\214\263 \177' | hf put "$store" utf8 || failed 'put of UTF-8'
run 0 get "$store" utf8 --json
printf '"value":"gr\303\274n \360\237\214\263 \\u007f"' >"$dir/want"
grep -qF "$(cat "$dir/want")" "$dir/out" || failed "UTF-8 as JSON: $(cat "$dir/out")"

# ---- Conditions
run 1 put "$store" user:7 Bob --if-absent
err_has "^holdfast: $store: .*exists already: user:7"
run 1 put "$store" user:8 Bob --if-present
err_has 'no such key: user:8'
run 0 put "$store" user:8 Bob --if-absent
run 0 put "$store" user:8 Eve --if-present
old=$(version user:8)
run 0 put "$store" user:8 Joe --if-version "$old"
run 1 put "$store" user:8 Jim --if-version "$old"
err_has 'another version.*: user:8'
run 1 put "$store" user:9 Jim --if-version "$old"
run 0 get "$store" user:8
out_is Joe
run 2 put "$store" user:8 x --if-absent --if-present
err_has 'only one of'
run 2 put "$store" user:8 x --if-version 0
run 2 put "$store" user:8 x --flags 4294967296
err_has 'out of range'
run 2 put "$store" user:8 x --ttl soon
err_has 'is not a time'

# ---- Expiry
run 0 put "$store" brief x --ttl 1ms
sleep 0.1
run 1 get "$store" brief
run 1 exists "$store" brief
run 0 put "$store" brief x --ttl 0.001ms
sleep 0.1
run 1 get "$store" brief
run 0 put "$store" brief y --if-absent --ttl 0
run 0 get "$store" brief --meta
out_has 'ttl_ms=0 '
for time in 1.5s:1500 2000ms:2000 0.5m:30000 1h:3600000 1.25d:108000000 2w:1209600000; do
    run 0 put "$store" timed x --ttl "${time%:*}"
    ttl=$(hf get "$store" timed --meta | sed 's/.*ttl_ms=\([0-9]*\).*/\1/')
    { [ "$ttl" -le "${time#*:}" ] && [ "$ttl" -gt "$((${time#*:} / 2))" ]; } || failed "--ttl $time leaves $ttl ms"
    checks=$((checks + 1))
done

# ---- exists, several keys
run 0 exists "$store" user:7 user:8
quiet_out
silent
run 1 exists "$store" user:7 nobody
quiet_out
silent
run 1 get "$store" user:7 nobody user:8
out_is "$(printf 'Ada\nJoe')"
err_has "^holdfast: $store: no such key: nobody\$"

# ---- take, del
run 0 take "$store" user:7
printf Ada >"$dir/want"
same "$dir/out" "$dir/want"
run 1 take "$store" user:7
err_has 'no such key: user:7'
quiet_out
head -c 60000 /dev/urandom >"$dir/big"
hf put "$store" big <"$dir/big" || failed 'put of a big value'
run 0 take "$store" big
same "$dir/out" "$dir/big"
run 0 put "$store" --hex 01 02
run 0 take "$store" --hex 01
out_is 02
run 0 put "$store" one two
run 0 take "$store" one --json
out_has '^{"key":"one","value":"two",'
old=$(version user:8)
run 1 del "$store" user:8 --if-version $((old + 1000))
err_has 'another version'
run 0 del "$store" user:8 --if-version "$old"
run 1 del "$store" user:8
err_has 'no such key: user:8'
run 0 put "$store" a 1
run 0 put "$store" --hex 62 32
run 1 del "$store" a nobody
run 1 exists "$store" a
run 0 del "$store" --hex 62
run 1 exists "$store" b

# ---- Refused, with everything as before
sum=$(hf dump "$store" --sort --versions | cksum)
long=$(head -c 4097 /dev/zero | tr '\0' k)
for command in put get exists take del; do
    run 3 "$command" "$store" "$long"
    err_has "^holdfast: $store: ."
    run 3 "$command" "$store" ''
    err_has "^holdfast: $store: ."
done </dev/null
head -c 65537 /dev/zero >"$dir/large"
run 3 put "$store" large <"$dir/large"
err_has "^holdfast: $store: ."
equal "$(hf dump "$store" --sort --versions | cksum)" "$sum"
run 0 put "$store" "${long%k}" longest
run 0 get "$store" "${long%k}"
out_is longest
head -c 65536 "$dir/large" >"$dir/largest"
run 0 put "$store" largest <"$dir/largest"
run 0 get "$store" largest
same "$dir/out" "$dir/largest"

finish 145
