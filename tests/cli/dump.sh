#!/bin/sh
# SPDX-License-Identifier: MIT
# dump and load as JSON Lines: everything comes back, and every kind of wrong line is refused with its number.
. "$(dirname "$0")/lib.sh"

run 0 create "$store" --capacity 8M --max-value 64K
run 0 create "$dir/copy" --capacity 16M --max-value 64K --stripes 1 --mode cache

# ---- An empty store
run 0 dump "$store"
out_is "$(printf '{"holdfast":1}\n{"end":0}')"
silent
run 0 load "$dir/copy" "$dir/out"
err_has "^holdfast: $dir/copy: loaded 0 entries\$"

# ---- Bytes of every kind, flags, expiry; dump, load and dump give the same
i=0
for size in 0 1 2 3 100 1000 65536; do
    head -c "$size" /dev/urandom | hf put "$store" "random:$size" --flags "$i" || failed put
    head -c "$size" /dev/zero | tr '\0' '"' | hf put "$store" "quotes:$size" --ttl "${i}1h" || failed put
    i=$((i + 1))
done
for byte in 00 01 08 09 0a 0c 0d 1f 20 22 2f 5c 7f 80 c3 c3a9 e282ac ed9fbf eda080 ee8080 f09f8cb3 f48fbfbf f4908080 c080 e08080 \
    fe ff 5c6e 5c7530303431; do
    run 0 put "$store" --hex "$byte" "$byte" --flags 4294967295
done
run 0 put "$store" forever x --ttl 3000d
# So many with an expiry that the clock ticks between some entry's reading of it and the library's.
seq 4000 | sed 's/.*/{"key":"timed:&","value":"","ttl_ms":&00000}/' | hf load "$store" -q || failed 'load with ttl_ms'
run 0 dump "$store"
cp "$dir/out" "$dir/first"
equal "$(head -n 1 "$dir/first")" '{"holdfast":1}'
equal "$(tail -n 1 "$dir/first")" '{"end":4044}'
run 0 load "$dir/copy" "$dir/first"
err_has 'loaded 4044 entries$'
run 0 dump "$dir/copy" --sort
cp "$dir/out" "$dir/second"
run 0 dump "$store" --sort
same "$dir/out" "$dir/second"
run 0 clear "$dir/copy"
hf load -q "$dir/copy" <"$dir/second" || failed 'load of standard input'
run 0 dump "$dir/copy" --sort
same "$dir/out" "$dir/second"
hf load -q "$dir/copy" - <"$dir/second" || failed 'load of -'
run 0 dump "$dir/copy" --sort
same "$dir/out" "$dir/second"
run 0 get "$dir/copy" random:65536
cp "$dir/out" "$dir/value"
run 0 get "$store" random:65536
same "$dir/out" "$dir/value"
sort "$dir/first" | cksum >"$dir/a"
sort "$dir/second" | cksum >"$dir/b"
same "$dir/a" "$dir/b"
run 0 dump "$store" --versions
out_has '"version":[0-9]*}$'
run 0 load "$dir/copy" "$dir/out"
run 0 dump "$dir/copy" --sort
same "$dir/out" "$dir/second"

# ---- Lines written by hand
# loads LINE: one line alone, without a newline at its end
loads() { printf '%s' "$1" | hf load -q "$dir/copy" || failed "load of $1"; }
loads ' { "value" : "v\u0041\u00e9\u20AC\ud83c\udf33\/\b\f\n\r\t\\\"" , "key" : "hand" } '
printf 'vA\303\251\342\202\254\360\237\214\263/\b\f\n\r\t\\"' >"$dir/want"
run 0 get "$dir/copy" hand
same "$dir/out" "$dir/want"
loads '{"key":{"base64":"AP8="},"value":{"base64":""},"flags":7,"version":18446744073709551615}'
run 0 get "$dir/copy" --hex --meta 00ff
out_has 'flags=7 ttl_ms=0 length=0'
loads '{"key":"nul\u0000key","value":"\u0000"}'
run 0 get "$dir/copy" --hex 6e756c006b6579
out_is 00
loads '{"key":"hand","value":"1","ttl_ms":60000}'
run 0 get "$dir/copy" hand --meta
out_has 'ttl_ms=\(60000\|5[0-9]\{4\}\) '
loads '{"key":"hand","value":"1","ttl_ms":0,"expires_ms":0}'
run 0 get "$dir/copy" hand --meta
out_has 'ttl_ms=0 '
printf '%s\n' '{"key":"late","value":"1","expires_ms":1000}' '{"key":"kept","value":"1"}' | hf load "$dir/copy" 2>"$dir/err" ||
    failed 'load of an expired entry'
err_has 'loaded 1 entries, left out 1 that had expired'
run 1 exists "$dir/copy" late
cat "$dir/second" "$dir/second" >"$dir/twice"
run 0 load "$dir/copy" "$dir/twice"
err_has 'loaded 8088 entries'

# ---- Wrong lines: the first is loaded, the second is named, the third is not reached
run 0 clear "$dir/copy"
# wrong LINE REASON
wrong() {
    run 0 clear "$dir/copy"
    printf '%s\n' '{"key":"first","value":"1"}' "$1" '{"key":"third","value":"3"}' >"$dir/bad"
    run 3 load "$dir/copy" "$dir/bad"
    err_has "^holdfast: $dir/copy: $dir/bad:2: .*$2"
    err_has "^holdfast: $dir/copy: loaded 1 entries, then stopped\$"
    run 0 keys "$dir/copy"
    out_is first
}
wrong '' 'an object is expected'
wrong 'x' 'byte 1: an object is expected'
wrong '[]' 'an object is expected'
wrong '{}' 'has no key'
wrong '{"key":"a"}' 'has no value'
wrong '{"value":"a"}' 'has no key'
wrong '{"key":"a","value":"b"' 'comma or the end'
wrong '{"key":"a","value":"b"}}' 'more text after'
wrong '{"key":"a","value":"b"} {"key":"c","value":"d"}' 'more text after'
wrong '{"key":"a","value":"b",}' 'a string is expected'
wrong '{"key":"a" "value":"b"}' 'byte 12: a comma'
wrong '{"key" "a","value":"b"}' 'a colon'
wrong '{key:"a","value":"b"}' 'a string is expected'
wrong '{"key":"a","key":"a","value":"b"}' "repeated field 'key'"
wrong '{"key":"a","value":"b","colour":"red"}' "unknown field 'colour'"
wrong '{"key":"a","value":7}' 'a string is expected'
wrong '{"key":"a","value":null}' 'a string is expected'
wrong '{"key":"a","value":["b"]}' 'a string is expected'
wrong '{"key":"a","value":{"x":"b"}}' 'a string or {"base64"'
wrong '{"key":"a","value":{}}' 'a string is expected'
wrong '{"key":"a","value":{"base64":"AA=="' 'the end of the base64 object'
wrong '{"key":"a","value":{"base64":"AA==","x":1}}' 'the end of the base64 object'
for text in A AA AAA 'AA=' 'A===' '====' 'AA==AA==' 'AB==' 'AAB=' 'A A=' 'AA=A' 'AAA-' 'AAA_' 'AAAA='; do
    wrong "{\"key\":\"a\",\"value\":{\"base64\":\"$text\"}}" 'not valid base64'
done
for text in '\x' '\u12' '\u12g4' '\ud800' '\ud800x' '\ud800\u0041' '\udc00' '\ud83c\ud83c' '\u'; do
    wrong "{\"key\":\"a\",\"value\":\"$text\"}" 'not a valid escape\|string does not end'
done
wrong '{"key":"a","value":"b}' 'string does not end'
wrong '{"key":"a","value":"b\"}' 'string does not end'
wrong "{\"key\":\"a\",\"value\":\"b\\" 'not a valid escape'
wrong "$(printf '{"key":"a","value":"\001"}')" 'control character'
for bytes in '\200' '\300\200' '\303' '\340\200\200' '\355\240\200' '\364\220\200\200' '\377' '\360\237\214'; do
    # shellcheck disable=SC2059 # the bytes are a format on purpose
    wrong "$(printf "{\"key\":\"a\",\"value\":\"$bytes\"}")" 'not valid UTF-8'
done
for number in -1 1.5 1e3 01 '"1"' '' true 0x1; do
    wrong "{\"key\":\"a\",\"value\":\"b\",\"flags\":$number}" 'a whole number\|comma or the end'
done
wrong '{"key":"a","value":"b","flags":4294967296}' 'flags are at most'
wrong '{"key":"a","value":"b","version":18446744073709551616}' 'more than 64 bits'
wrong '{"key":"a","value":"b","ttl_ms":18446744073709551615}' 'expires later than'
wrong '{"key":"a","value":"b","ttl_ms":281474976710655}' 'expires later than'
wrong '{"key":"a","value":"b","expires_ms":281474976710656}' 'expires later than'
loads '{"key":"a","value":"b","expires_ms":281474976710655}'
wrong '{"key":"","value":"b"}' '.'
wrong "{\"key\":\"$(head -c 4097 /dev/zero | tr '\0' k)\",\"value\":\"b\"}" '.'
wrong "{\"key\":\"a\",\"value\":\"$(head -c 65537 /dev/zero | tr '\0' v)\"}" '.'
wrong '{"end":1}' 'has not begun'
wrong '{"holdfast":2}' 'this program reads version 1'
wrong '{"holdfast":1,"key":"a","value":"b"}' "field 'holdfast' or 'end'"
wrong '{"holdfast":1,"flags":1}' 'a dump begins with'

# ---- A dump that was cut off, or put together wrongly
sed '$d' "$dir/second" >"$dir/cut"
run 3 load "$dir/copy" "$dir/cut"
err_has ':4045: the dump is cut off'
sed 3d "$dir/second" >"$dir/short"
run 3 load "$dir/copy" "$dir/short"
err_has 'should have 4044 entries but has 4043'
{
    head -n 3 "$dir/second"
    cat "$dir/second"
} >"$dir/nested"
run 3 load "$dir/copy" "$dir/nested"
err_has ':4: a dump begins with'
for length in 430000 10000000; do
    (head -c $length /dev/zero | tr '\0' ' '; echo) >"$dir/long"
    run 3 load "$dir/copy" "$dir/long"
    err_has ':1: the line is longer than 421888 bytes'
done
run 3 load "$dir/copy" "$dir/nowhere"
err_has "^holdfast: $dir/nowhere: No such file"
run 3 load "$dir/copy" "$dir"
err_has 'Is a directory'

# ---- Options
run 2 dump "$store" --format xml
err_has 'is not one of jsonl|db'
run 2 load "$store" --format xml
run 2 dump "$store" --print
err_has 'only with --format db'
run 2 dump "$store" --format db --versions
err_has 'only with --format jsonl'
run 2 dump "$store" --for oracle
err_has 'is not one of lmdb|bdb'
finish 540
