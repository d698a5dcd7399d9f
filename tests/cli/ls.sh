#!/bin/sh
# SPDX-License-Identifier: MIT
# ls and rm: stores among other files, in use and idle, damaged, unreadable, replaced; what is no store stays.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir "$dir/d"
run 0 ls "$dir/d"
quiet_out
silent
run 0 create "$dir/d/one" --capacity 1M
run 0 create "$dir/d/two" --capacity 2M --mode cache
run 0 put "$dir/d/two" k v
run 0 create "$dir/d/broken" --capacity 1M
printf 'x' | dd of="$dir/d/broken" bs=1 seek=100 conv=notrunc 2>/dev/null
echo 'Hold on' >"$dir/d/text"
: >"$dir/d/empty"
ln -s one "$dir/d/link"
mkfifo "$dir/d/pipe"
mkdir "$dir/d/folder"

run 0 ls "$dir/d"
silent
equal "$(wc -l <"$dir/out")" 4
out_has '^name  *mode  *size  *entries  *used  *writers  *readers  state$'
out_has '^one  *store  *1020\.0 KiB  *0  *0 %  *0  *0  idle$'
out_has '^two  *cache  *2\.0 MiB  *1  *0 %  *0  *0  idle$'
out_has '^broken  *?  *1020\.0 KiB  *?  *?  *0  *0  the superblock is damaged'
run 0 ls "$dir/d" --json
equal "$(wc -l <"$dir/out")" 3
out_has '^{"name":"two","file_size":[0-9]*,"mode":"cache","entries":1,"used":0\.0[0-9]*,"writer_attached":false,.*"state":"idle"}$'
out_has '^{"name":"broken","file_size":[0-9]*,"mode":"?","writer_attached":false,'
run 3 ls "$dir/none"
err_has "^holdfast: $dir/none: No such file"

# A writer and a reader that stay: a load from a pipe, and a frame that takes its time.
mkfifo "$dir/feed"
"$tool" load "$dir/d/one" "$dir/feed" &
writer=$!
exec 9>"$dir/feed"
"$tool" top "$dir/d/one" --once --interval 1h >"$dir/frame" 9>&- &
reader=$!
trap 'kill "$writer" "$reader" 2>/dev/null; rm -rf "$dir"' EXIT
for _ in $(seq 200); do
    run 0 ls "$dir/d"
    grep -q '^one .* 1  *1  in use$' "$dir/out" && break
    sleep 0.05
done
out_has '^one  *store .* 1  *1  in use$'
out_has '^two .* 0  *0  idle$'

# rm
for name in text empty folder pipe link; do
    run 3 rm "$dir/d/$name"
    err_has "^holdfast: $dir/d/$name: "
    [ -e "$dir/d/$name" ] || failed "rm removed $name"
done
run 1 rm "$dir/d/none"
err_has "^holdfast: $dir/d/none: no such store"
run 0 rm "$dir/d/one"
err_has "^holdfast: $dir/d/one: removed; 1 writers and 1 readers still use it"
[ ! -e "$dir/d/one" ] || failed 'rm left a store'
printf '{"key":"k","value":"v"}\n' >&9
exec 9>&-
wait "$writer" || failed 'the writer of a removed store failed'
kill "$reader"
wait "$reader" 2>/dev/null
run 1 rm "$dir/d/none" "$dir/d/two" "$dir/d/broken"
run 0 ls "$dir/d" --json
quiet_out
run 0 rm --force "$dir/d/text"
silent
[ ! -e "$dir/d/text" ] || failed 'rm --force left a file'
run 3 rm --force "$dir/d/folder"
finish 43
