#!/bin/sh
# SPDX-License-Identifier: MIT
# A file system that does not promise coherent mappings (a real FUSE mount) is refused, whole stores and new ones, leaving nothing.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir "$dir/below" "$dir/mount"
bindfs "$dir/below" "$dir/mount" 2>"$dir/err" || skip "no FUSE mount can be made here: $(cat "$dir/err")"
trap 'umount "$dir/mount"; chmod -R u+rwX "$dir/below"; rm -rf "$dir"' EXIT

run 3 create "$dir/mount/new" --capacity 1M
err_has "$dir/mount/new: FUSE does not keep shared mappings coherent: put the store on a local file system"
[ -z "$(ls -A "$dir/below")" ] || failed "creation left $(ls -A "$dir/below")"

run 0 create "$dir/below/store" --capacity 1M
run 0 put "$dir/below/store" key value
for command in get put; do
    run 3 "$command" "$dir/mount/store" key value
    err_has 'FUSE does not keep shared mappings coherent'
done
run 0 get "$dir/below/store" key
out_is value

finish 9
