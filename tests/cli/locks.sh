#!/bin/sh
# SPDX-License-Identifier: MIT
# locks: of fillers, and of writers that were stopped in the middle of an update, then killed. When these are is chance, so it is
# tried often.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

run 0 create "$store" --capacity 64M --max-value 1M --stripes 1
run 0 locks "$store"
quiet_out
silent
writer='' waiter=''
pid_of_fill() { sed -n 's/^{"kind":"fill",.*"pid":\([0-9]*\),.*/\1/p' "$dir/out"; }
trap '[ -z "$writer$waiter" ] || kill -KILL $writer $waiter 2>/dev/null; rm -rf "$dir"' EXIT

# ---- A value that is computed, in vain, and waited for
"$tool" memo "$store" -- sleep 20 &
writer=$!
for _ in $(seq 500); do
    run 0 locks "$store" --json
    [ ! -s "$dir/out" ] || break
    sleep 0.01
done
equal "$(pid_of_fill)" "$writer"
out_has "^{\"kind\":\"fill\",\"number\":[0-9]*,\"stripe\":0,\"lock\":\"held\",\"thread\":$writer,\"pid\":$writer,\"owner\":\"running\",\"command\":\"holdfast\",\"operation\":\"none\",\"step\":\"none\",\"key_hash\":\"[0-9a-f]*\",\"held_ms\":[0-9]*,\"waited\":false,\"foreign\":false}\$"
"$tool" memo "$store" --wait 10s -- sleep 20 &
waiter=$!
for _ in $(seq 500); do
    run 0 locks "$store"
    ! grep -q ' yes ' "$dir/out" || break
    sleep 0.01
done
out_has "^fill  *[0-9]*  *0  held  *$writer  *$writer  running  *holdfast  *none  *none  *[0-9.]*s  *-  yes  *[0-9a-f]*\$"
kill -STOP "$writer"
for _ in $(seq 500); do
    run 0 top "$store" --once --interval 50ms
    ! grep -q 'stopped' "$dir/out" || break
done
out_has "^  0: thread $writer (holdfast, stopped) computes a value, for [0-9.]*s; others wait\$"
for process in "$waiter" "$writer"; do
    kill -KILL "$process"
    wait "$process" 2>/dev/null
done
died=$writer writer='' waiter=''
run 0 locks "$store"
out_has "^fill  *[0-9]*  *0  left  *0  *$died  dead  "

# ---- A write
mkdir "$dir/tree"
head -c 900000 /dev/zero >"$dir/tree/0"
for i in $(seq 30); do
    ln "$dir/tree/0" "$dir/tree/$i"
done
for _ in $(seq 100); do
    "$tool" import -q "$store" "$dir/tree" &
    writer=$!
    sleep 0.01
    kill -STOP "$writer" 2>/dev/null || continue
    while [ -d "/proc/$writer" ] && ! grep -q '^State:[[:space:]]*[TZX]' "/proc/$writer/status"; do
        sleep 0.001
    done
    run 0 locks "$store"
    ! grep -q ^stripe "$dir/out" || break
    kill -KILL "$writer"
    wait "$writer" 2>/dev/null
done
if grep -q ^stripe "$dir/out"; then
    out_has '^kind  *number  *stripe  lock  *thread  *process  owner  *command  *operation  step  *for  *left  waited  key hash$'
    out_has "^stripe  *0  *0  held  *$writer  *$writer  stopped  *holdfast  *put  *[a-z-]*  *-  *-  no  *[0-9a-f]*\$"
    run 0 locks "$store" --json
    out_has "^{\"kind\":\"stripe\",\"number\":0,\"stripe\":0,\"lock\":\"held\",\"thread\":$writer,\"pid\":$writer,\"owner\":\"stopped\",\"command\":\"holdfast\",\"operation\":\"put\",.*\"waited\":false,\"foreign\":false}\$"
    run 0 top "$store" --once --interval 50ms
    out_has "^  0: thread $writer (holdfast, stopped) in put\$"
    kill -KILL "$writer"
    wait "$writer" 2>/dev/null
    died=$writer writer=
    run 0 locks "$store"
    out_has "^stripe  *0  *0  left  *0  *$died  dead  "
    run 0 put "$store" next one
    run 0 locks "$store"
    ! grep -q ^stripe "$dir/out" || failed 'the lock of the dead writer is still listed'
else
    note 'no writer was stopped inside of an update'
fi
finish 20
