#!/bin/sh
# SPDX-License-Identifier: MIT
# create and info: every option, every bound of an option, and what is left behind when it fails.
. "$(dirname "$0")/lib.sh"

# field NAME: a number or word out of `info --json`
field() { hf info "$store" --json | sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p"; }

run 0 create "$store"
silent
quiet_out
# size_near BYTES: the file has that size, or up to 2 % less
size_near() {
    size=$(stat -c %s "$store")
    checks=$((checks + 1))
    { [ "$size" -le "$1" ] && [ "$size" -ge $(($1 * 98 / 100)) ]; } || failed "the file has $size bytes, not $1"
    equal "$(field file_size)" "$size"
}
size_near 67108864
equal "$(stat -c %a "$store")" 600
equal "$(field mode)" store
run 0 info "$store"
for word in 'store id' created 'mode  *store' 'file size  *64.0 MiB' 'promised entries' 'largest value' stripes heap index \
    format 'verified  *yes' 'unfinished  *0 stripes'; do
    out_has "^$word"
done
sum=$(cksum <"$store")
run 1 create "$store"
err_has "^holdfast: $store: exists already"
equal "$(cksum <"$store")" "$sum"
rm "$store"

run 0 create "$store" --capacity 8M
size_near 8388608
rm "$store"
run 0 create "$store" --entries 5000 --entry-size 300 --max-value 20K
[ "$(field entries)" -ge 5000 ] || failed "promises $(field entries) entries, not 5000"
[ "$(field entry_size)" -ge 300 ] || failed "promises entries of $(field entry_size) bytes, not 300"
equal "$(field max_value)" 20480
rm "$store"
run 0 create "$store" --stripes 32 --mode cache
equal "$(field stripes)" 32
equal "$(field mode)" cache
rm "$store"
(umask 0 && hf create "$store" --file-mode 0640) || failed '--file-mode'
equal "$(stat -c %a "$store")" 640
rm "$store"
run 0 create "$store" --mode store --timeout 500ms
rm "$store"

# refused WHY OPTION...: exit code 2, and no file
refused() {
    why=$1
    shift
    run 2 create "$store" "$@"
    err_has "^holdfast: create: .*$why"
    [ ! -e "$store" ] || failed "$* left a file behind"
}
for size in '' x 1X 1KB K 1.5M -1 +1 ' 1' '1 ' 0x10 99999999999999999999 17179869184G 18446744073709551616; do
    refused 'is not a size' "--capacity=$size"
    refused 'is not a size' "--max-value=$size"
    refused 'is not a size' "--entry-size=$size"
done
refused 'out of range: at least 1' --capacity 0
refused 'out of range' --max-value 0
refused 'out of range' --max-value 2G
refused 'out of range' --entry-size 5G
refused 'is not a whole number' --entries -4
refused 'is not a whole number' --entries 4K
refused 'out of range' --entries 0
refused 'out of range: from 1 to 1024' --stripes 1025
refused 'out of range' --stripes 0
refused 'is not one of store|cache' --mode stor
refused 'is not one of store|cache' --mode ''
refused 'is not one of store|cache' --mode 'store|cache'
refused 'is not an octal number' --file-mode 0680
refused 'out of range: from 0400 to 0777' --file-mode 01777
refused 'out of range' --file-mode 0
for time in 5 5x 1.s .5s s 1.5.5s -1s 1e3s 99999999999999999w; do
    refused 'is not a time' "--timeout=$time"
done
refused 'out of range' --timeout 0
refused 'out of range' --timeout 100d

# What the library refuses: exit code 3, and no file.
for options in '--stripes 3' '--capacity 1K' '--capacity 1M --max-value 1M' '--capacity 1M --entries 1000000'; do
    # shellcheck disable=SC2086 # several words on purpose
    run 3 create "$store" $options
    err_has "^holdfast: $store: ."
    [ ! -e "$store" ] || failed "$options left a file behind"
done
run 3 create "$dir/no/such/directory"
err_has "^holdfast: $dir/no/such/directory: ."
run 3 create "$dir"
err_has "^holdfast: $dir: not a regular file"

run 3 info "$dir/nowhere"
err_has "^holdfast: $dir/nowhere: no such store; make it with 'holdfast create $dir/nowhere'\$"

finish 180
