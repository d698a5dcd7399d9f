#!/bin/sh
# SPDX-License-Identifier: MIT
# replay: a trace made here, whose result can be told without a cache.
. "$(dirname "$0")/lib.sh"

field() { sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p" "$dir/out"; }

# 500 keys, four times in the same order: who has room for all of them misses each once.
for _ in 1 2 3 4; do seq -f '%.0f 200' 500; done >"$dir/trace"
run 0 replay "$dir/trace" --heap 120% --json
equal "$(field requests) $(field keys) $(field misses) $(field hits)" '2000 500 500 1500'
equal "$(field footprint) $(field evictions)" '128000 0'
equal "$(field miss_ratio) $(field byte_miss_ratio)" '0.250000 0.250000'
run 0 replay "$dir/trace" --heap 120% --overwrite 100% --json
equal "$(field misses) $(field overwrites)" '500 1500'
run 0 replay - --heap 20% --json <"$dir/trace"
[ "$(field misses)" -gt 1500 ] && [ "$(field evictions)" -gt 1400 ] || failed "a fifth of the room misses $(field misses)"
[ "$(field heap)" -ge 24000 ] && [ "$(field heap)" -le 27000 ] || failed "a fifth of the footprint is not $(field heap)"
run 0 replay "$dir/trace" --heap 1M --stripes 4 --round 32
out_has '^miss ratio        0.2500$'
silent

for wrong in '--heap 0%' '--heap 18446744073709551615' '--heap 5' '--heap x%' '--overwrite 101%' '--overwrite 30' '--stripes 3'; do
    # shellcheck disable=SC2086 # two words
    code=0 && "$tool" replay "$dir/trace" $wrong >"$dir/out" 2>"$dir/err" || code=$?
    [ "$wrong" = '--heap 5' ] || equal "$wrong: $code" "$wrong: 2"
done
run 3 replay "$dir/nowhere"
err_has 'No such file'
echo 'seven 1' >"$dir/words"
run 3 replay "$dir/words"
err_has 'line 1 is no request'
: >"$dir/empty"
run 3 replay "$dir/empty"
err_has 'no requests'

echo 'no archive' >"$dir/trace.xz"
run 3 replay "$dir/trace.xz"
err_has 'xz'
mkdir "$dir/bare"
checks=$((checks + 1))
code=0 && PATH=$dir/bare "$tool" replay "$dir/trace.xz" 2>"$dir/err" || code=$?
equal "$code" 3
err_has 'install xz-utils'
if command -v xz >/dev/null; then
    xz -c "$dir/trace" >"$dir/trace.xz"
    run 0 replay "$dir/trace.xz" --heap 120% --json
    equal "$(field misses)" 500
else
    note 'xz is not installed'
fi
finish 25
