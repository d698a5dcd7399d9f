#!/bin/sh
# SPDX-License-Identifier: MIT
# copy: the same entries in a new file, and nothing half done.
. "$(dirname "$0")/lib.sh"

run 0 create "$store" --capacity 4M
for i in $(seq 1000); do
    echo "{\"key\":\"key $i\",\"value\":\"value $i\",\"flags\":$i,\"ttl_ms\":${i}0000}"
done | hf load -q "$store" || failed load
run 0 dump "$store" --sort
cp "$dir/out" "$dir/want"

run 0 copy "$store" "$dir/copy"
silent
quiet_out
run 0 dump "$dir/copy" --sort
same "$dir/out" "$dir/want"
run 0 check "$dir/copy"
equal "$(stat -c %a "$dir/copy")" 600
run 0 put "$dir/copy" new x
run 1 exists "$store" new

run 1 copy "$store" "$dir/copy"
err_has "^holdfast: $dir/copy: exists already; --replace"
run 0 exists "$dir/copy" new
run 0 copy "$store" "$dir/copy" --replace --file-mode 0640
run 1 exists "$dir/copy" new
equal "$(stat -c %a "$dir/copy")" 640
run 0 dump "$dir/copy" --sort
same "$dir/out" "$dir/want"

before=$(ls -A "$dir")
run 3 copy "$store" "$dir/no/such/directory"
err_has "^holdfast: $dir/no/such/directory: ."
run 1 copy "$store" "$dir"
mkdir "$dir/folder"
run 3 copy "$store" "$dir/folder" --replace
rmdir "$dir/folder"
equal "$(ls -A "$dir")" "$before"
run 2 copy "$store" "$dir/copy" --file-mode 9
run 3 copy "$dir/nowhere" "$dir/new"
err_has 'no such store'
[ ! -e "$dir/new" ] || failed 'a copy of nothing'
finish 25
