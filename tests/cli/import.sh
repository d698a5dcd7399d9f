#!/bin/sh
# SPDX-License-Identifier: MIT
# import: every regular file, byte for byte; alone, in four processes at once, and what cannot be imported.
. "$(dirname "$0")/lib.sh"

tree=$dir/tree
mkdir -p "$tree/a/b/c" "$tree/empty"
printf 'one' >"$tree/one"
: >"$tree/a/nothing"
head -c 100000 /dev/urandom >"$tree/a/b/random"
printf 'odd' >"$tree/a/b/c/$(printf 'new\nline \377 name')"
for i in $(seq 200); do
    head -c $((i * 37)) /dev/urandom >"$tree/a/file $i"
done
ln -s one "$tree/link"
ln -s / "$tree/a/root"
mkfifo "$tree/fifo"

# all_back: every file of the tree is in the store, byte for byte, and nothing else
all_back() {
    (cd "$tree" && find . -type f -print0) | tr '\n\0' '\001\n' | sed 's,^\./,,' >"$dir/list"
    equal "$(hf count "$store")" "$(wc -l <"$dir/list")"
    # shellcheck disable=SC2016 # expanded by the inner shell
    tr '\001\n' '\n\0' <"$dir/list" | xargs -0 -n 1 sh -c '"$0" get "$1" -- "$3" | cmp -s - "$2/$3"' "$tool" "$store" "$tree" ||
        failed 'a file differs'
    checks=$((checks + 1))
}

run 0 create "$store" --capacity 16M --max-value 128K
run 0 import "$store" "$tree"
quiet_out
err_has "^holdfast: $store: imported 204 files, [0-9.]* KiB; skipped 3 links and special files\$"
all_back
run 0 get "$store" a/nothing
quiet_out
run 0 import "$store" "$tree/"
all_back

# ---- Parts: each file belongs to exactly one
run 0 clear "$store"
total=0
for part in 1 2 3; do
    run 0 import "$store" "$tree" --part "$part/3"
    files=$(sed -n 's/.* imported \([0-9]*\) files.*/\1/p' "$dir/err")
    [ "$files" -gt 30 ] || failed "part $part/3 has $files of 204 files"
    total=$((total + files))
done
equal "$total" 204
all_back

# ---- Four processes at once, on a real tree if there is one
if [ -d /usr/include/linux/netfilter ]; then
    tree=/usr/include/linux/netfilter
else
    note 'there is no /usr/include/linux/netfilter: a generated tree was used'
fi
rm "$store"
run 0 create "$store" --capacity 64M --max-value 2M
pids=
for part in 1 2 3 4; do
    "$tool" import "$store" "$tree" --part "$part/4" -q &
    pids="$pids $!"
done
for pid in $pids; do
    wait "$pid" || failed 'one of four imports'
done
all_back
run 0 check "$store"

# ---- What cannot be imported is named, the rest is imported
tree=$dir/tree
rm "$store"
run 0 create "$store" --capacity 16M --max-value 64K
run 3 import "$store" "$tree"
err_has "^holdfast: $tree: a/b/random: not imported: ."
err_has "^holdfast: $store: imported 203 files, .*; 1 could not be imported\$"
run 0 get "$store" one
out_is one
run 1 exists "$store" a/b/random
long=$tree/$(head -c 200 /dev/zero | tr '\0' d)
deep=$long
for _ in $(seq 20); do
    mkdir "$deep" || failed 'a deep directory'
    cd "$deep" || failed 'a deep directory'
    deep=$(head -c 200 /dev/zero | tr '\0' d)
done
echo deep >"$deep"
cd /
run 3 import "$store" "$tree"
err_has "^holdfast: $tree: dddd.*: not imported: ."
err_has 'imported 203 files'
rm -r "$long"
if [ "$(id -u)" -ne 0 ]; then
    chmod 0 "$tree/one" "$tree/a/b/c"
    run 3 import "$store" "$tree"
    err_has "^holdfast: $tree: one: not imported: Permission denied"
    err_has "^holdfast: $tree: a/b/c: Permission denied"
    chmod 700 "$tree/one" "$tree/a/b/c"
else
    note 'root can read everything: unreadable files'
fi
run 3 import "$store" "$dir/nowhere"
err_has "^holdfast: $dir/nowhere: No such file"
run 3 import "$store" "$tree/one"
err_has 'Not a directory'
run 3 import "$store" "$tree/link"
for part in 0/4 5/4 1 1/ /4 1/0 a/b -1/4 1/4/4 ''; do
    run 2 import "$store" "$tree" "--part=$part"
    err_has "is not I/N"
done

# ---- The store inside of the tree is not imported into itself; a full store ends the import
mv "$store" "$tree/store"
store=$tree/store
run 0 clear "$store"
rm "$tree/a/b/random"
run 0 import "$store" "$tree"
err_has 'imported 203 files'
run 1 exists "$store" store
rm "$store"
store=$dir/small
run 0 create "$store" --capacity 256K --max-value 8K
run 3 import "$store" "$tree"
err_has 'not imported: .*full'
run 0 check "$store"
finish 60
