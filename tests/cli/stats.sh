#!/bin/sh
# SPDX-License-Identifier: MIT
# stats of several stores, in words, as JSON and for Prometheus: names that must be escaped, and what promtool says of it.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

odd="$dir/a \"b\" \\c
d"
raw="$dir/$(printf 'raw-\377')"
run 0 create "$store" --capacity 1M
run 0 create "$odd" --capacity 1M
run 0 create "$raw" --capacity 1M
run 0 put "$store" k v
run 0 put "$store" k w
run 0 put "$odd" k v

run 0 stats "$store" "$odd" --json
equal "$(wc -l <"$dir/out")" 2
out_has "^{\"store\":\"$store\",\"entries\":1,.*\"puts\":2,.*\"hit_ratio\":null}\$"
out_has '"store":"[^"]*a \\"b\\" \\\\c\\nd",.*"puts":1,'
run 0 stats "$store" "$odd"
out_has "^$store:\$"
out_has '^puts  *2  [a-z]'
run 3 stats "$store" "$dir/none"
err_has "^holdfast: $dir/none: no such store"
out_has '^puts  *2  [a-z]'
run 2 stats "$store" --json --prometheus
err_has 'does not go with'

run 0 stats "$store" "$odd" "$raw" --prometheus
silent
out_has "^holdfast_puts_total{store=\"$store\"} 2\$"
printf '%s' "holdfast_puts_total{store=\"$dir/" >"$dir/label"
printf '%s\n' 'a \"b\" \\c\nd"} 1' >>"$dir/label"
grep -qxF -f "$dir/label" "$dir/out" || failed "no line $(cat "$dir/label")"
out_has '^holdfast_entries{store=".*/raw-\\\\xff"} 0$'
# Each metric once, with its help and type before all of its samples; counters, and nothing else, end in _total.
equal "$(grep -c '^# TYPE' "$dir/out")" "$(grep '^# TYPE' "$dir/out" | sort -u | wc -l)"
equal "$(grep -c '^# HELP' "$dir/out")" "$(grep -c '^# TYPE' "$dir/out")"
equal "$(grep -cv '^#' "$dir/out")" "$(($(grep -c '^# TYPE' "$dir/out") * 3))"
equal "$(grep '^# TYPE' "$dir/out" | grep -v -e '_total counter$' -e 's gauge$')" ''
equal "$(grep -v '^#' "$dir/out" | cut -d '{' -f 1 | uniq | wc -l)" "$(grep -c '^# TYPE' "$dir/out")"
if command -v promtool >/dev/null; then
    promtool check metrics <"$dir/out" >"$dir/said" 2>&1 || failed "promtool: $(cat "$dir/said")"
    checks=$((checks + 1))
    ! sed 's/_total/_sum_of/' "$dir/out" | promtool check metrics >/dev/null 2>&1 || failed 'promtool lets wrong metrics pass'
else
    note 'promtool is not installed'
fi
finish 28
