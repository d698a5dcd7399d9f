#!/bin/sh
# SPDX-License-Identifier: MIT
# stats, log, check, repair: on a sound store, on a damaged one, and after a writer was killed.
. "$(dirname "$0")/lib.sh"

# field NAME: a number or word out of the JSON that the last run printed
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p" "$dir/out"; }

run 0 create "$store" --capacity 4M --stripes 4
for i in $(seq 100); do
    echo "{\"key\":\"key:$i\",\"value\":\"value of $i\"}"
done | hf load -q "$store" || failed load
run 0 del "$store" key:1 key:2

# ---- stats
run 0 stats "$store" --json
silent
equal "$(field entries)" 98
equal "$(field puts)" 100
equal "$(field deletes)" 2
equal "$(field evictions)" 0
equal "$(field recoveries)" 0
[ "$(field used_bytes)" -gt 1000 ] || failed 'used_bytes'
names=$(tr ',' '\n' <"$dir/out" | sed 's/.*"\([a-z_]*\)":.*/\1/' | grep -v -e store -e hit_ratio)
run 0 stats "$store"
for name in $names; do
    out_has "^$name  *[0-9][0-9]*  [a-z]"
done
equal "$(echo "$names" | wc -l)" "$(wc -l <"$dir/out")"

# ---- log and check of a sound store
run 0 log "$store"
quiet_out
run 0 log "$store" --json
quiet_out
run 0 check "$store"
silent
digits=$(hf dump "$store" --format db | sed '/^ /!d; s/ //' | tr -d '\n' | wc -c)
out_is "$store: sound: 98 entries, $((digits / 2)) bytes of keys and values, 0 violations"
run 0 check "$store" --read-only
out_has "^$store: sound (read-only check): 98 entries, "
run 0 check "$store" --json
equal "$(field sound) $(field complete) $(field read_only) $(field count) $(field entries)" 'true true false 0 98'
out_has '"violations":\[\]'
run 0 check "$store" --json --read-only
equal "$(field read_only)" true
run 0 repair "$store"
out_is "$store: repaired: 98 entries kept, 0 dropped"

# ---- A damaged entry: its value is changed in the file
run 0 put "$store" needle 'a-needle-in-the-heap'
offset=$(grep -abo a-needle-in-the-heap "$store" | head -n 1 | cut -d : -f 1)
printf 'b' | dd of="$store" bs=1 seek="$offset" conv=notrunc 2>/dev/null
run 1 check "$store" --read-only
out_has 'violates I5: the checksum fits$'
out_has "^$store: damaged (read-only check): 98 entries, .* 1 violations\$"
err_has "^holdfast: $store: .*holdfast repair"
run 1 check "$store" --json
equal "$(field sound) $(field complete)" 'false true'
out_has '^{"violations":\[{"invariant":5,"stripe":[0-9]*,"position":[0-9]*,"text":"the checksum fits"}[],]'
run 1 check "$store" -q
silent
out_has 'damaged'
run 0 repair "$store"
out_is "$store: repaired: 98 entries kept, 1 dropped"
run 0 check "$store"
run 1 exists "$store" needle
run 0 get "$store" key:100
out_is 'value of 100'
run 0 log "$store"
out_has ' repair  '
out_has '^ *number  time '
run 0 log "$store" --json
out_has '"cause":"repair","operation":"repair","step":"[a-z]*","verdict":"checked",'
out_has '"dropped":1,'

# ---- Without write permission
as_nobody=
if [ "$(id -u)" -eq 0 ]; then
    chmod 755 "$dir"
    if setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$tool" 2>/dev/null; then
        as_nobody='setpriv --reuid 65534 --regid 65534 --clear-groups'
    fi
fi
chmod 444 "$store"
sum=$(cksum <"$store"; stat -c %Y "$store")
if [ "$(id -u)" -ne 0 ] || [ -n "$as_nobody" ]; then
    for command in get:key:7 exists:key:7 keys count dump stats info log check; do
        name=${command%%:*}
        key=${command#"$name"}
        # shellcheck disable=SC2086 # no word or several on purpose
        $as_nobody "$tool" "$name" "$store" ${key:+"${key#:}"} >"$dir/out" 2>"$dir/err" ||
            failed "$name of a file that may only be read: $(cat "$dir/err")"
        checks=$((checks + 1))
    done
    err_has "^holdfast: $store: no permission to write: read-only check\$"
    out_has 'sound (read-only check)'
    for command in 'put k v' 'del key:7' 'incr n' 'clear' 'repair' 'take key:7' "copy $dir/copy"; do
        # shellcheck disable=SC2086 # several words on purpose
        set -- $command
        name=$1
        shift
        code=0
        # shellcheck disable=SC2086 # no word or several on purpose
        $as_nobody "$tool" "$name" "$store" "$@" >"$dir/out" 2>"$dir/err" || code=$?
        equal "$name $code" "$name 3"
        err_has "^holdfast: $store: ."
    done
    equal "$(cksum <"$store"; stat -c %Y "$store")" "$sum"
else
    note 'root may write everything, and no other user can run the tool: read-only files'
fi
chmod 600 "$store"

# ---- A killed writer: sooner or later one dies inside of an update, and the next one repairs and says so
rm "$store"
run 0 create "$store" --capacity 64M --max-value 1M --stripes 1
mkdir "$dir/tree"
for i in $(seq 30); do
    head -c 900000 /dev/zero >"$dir/tree/$i"
done
died=
for _ in $(seq 100); do
    "$tool" import -q "$store" "$dir/tree" &
    pid=$!
    sleep 0.01
    kill -9 "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    run 0 put "$store" next one
    died=$(hf log "$store")
    [ -z "$died" ] || break
done
if [ -n "$died" ]; then
    err_has "^holdfast: $store: recovered stripe 0: process [0-9]* died in put at [a-z]*: [a-z-]*, 0 dropped ([0-9]* us)\$"
    run 0 log "$store"
    out_has ' put  '
    out_has ' kept-old \| kept-new \| idle '
else
    note 'no writer died inside of an update: the message of a recovery'
fi
run 0 check "$store"
run 0 get "$store" next
out_is one
finish 68
