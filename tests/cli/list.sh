#!/bin/sh
# SPDX-License-Identifier: MIT
# keys and count.
. "$(dirname "$0")/lib.sh"

run 0 create "$store" --capacity 4M
run 0 keys "$store"
quiet_out
run 0 count "$store"
out_is 0
for i in $(seq 200); do
    echo "{\"key\":\"user:$i\",\"value\":\"$i\"}"
    echo "{\"key\":\"tmp:$i\",\"value\":\"\",\"flags\":$i}"
done | hf load "$store" -q || failed 'load'
run 0 put "$store" --hex 0a00ff 01

run 0 count "$store"
out_is 401
run 0 keys "$store" --prefix user:
sort "$dir/out" >"$dir/got"
seq -f user:%.0f 200 | sort >"$dir/want"
same "$dir/got" "$dir/want"
run 0 keys "$store" --prefix user: --sort
same "$dir/out" "$dir/want"
run 0 keys "$store" --prefix user:20
sort "$dir/out" >"$dir/got"
printf 'user:20\nuser:200\n' >"$dir/want"
same "$dir/got" "$dir/want"
run 0 keys "$store" --prefix nobody
quiet_out
run 0 keys "$store" --prefix ''
equal "$(tr -d -c '\n' <"$dir/out" | wc -c)" 402

run 0 keys "$store" -0 --sort
equal "$(tr -d -c '\000' <"$dir/out" | wc -c)" 402
run 0 keys "$store" --nul --prefix user:20
equal "$(tr '\000' '\n' <"$dir/out" | sort | tr '\n' ' ')" 'user:20 user:200 '
run 0 keys "$store" --hex --prefix 0a00
out_is 0a00ff
run 0 keys "$store" --hex --sort
equal "$(wc -l <"$dir/out")" 401
equal "$(head -n 1 "$dir/out")" 0a00ff
sort -c "$dir/out" || failed '--sort does not sort'
run 0 keys "$store" --json --prefix tmp:7
out_has '^{"key":"tmp:7","version":[0-9]*,"flags":7,"ttl_ms":0,"length":0}$'
equal "$(wc -l <"$dir/out")" 11
run 0 keys "$store" --json --sort
equal "$(head -n 1 "$dir/out" | cut -c 1-26)" '{"key":{"base64":"CgD/"},"'

run 2 keys "$store" --hex --json
err_has 'goes with neither'
run 2 keys "$store" --hex --prefix 0
err_has 'not hexadecimal'
run 0 put "$store" gone x --ttl 1ms
sleep 0.1
run 0 keys "$store" --prefix gone
quiet_out
finish 39
