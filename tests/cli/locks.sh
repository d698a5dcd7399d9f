#!/bin/sh
# SPDX-License-Identifier: MIT
# locks: of writers that were stopped in the middle of an update, then killed. When they are is chance, so it is tried often.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

run 0 create "$store" --capacity 64M --max-value 1M --stripes 1
run 0 locks "$store"
quiet_out
silent
writer=
trap '[ -z "$writer" ] || kill -KILL "$writer" 2>/dev/null; rm -rf "$dir"' EXIT
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
    [ ! -s "$dir/out" ] || break
    kill -KILL "$writer"
    wait "$writer" 2>/dev/null
done
if [ -s "$dir/out" ]; then
    out_has '^kind  *number  lock  *thread  *process  owner  *command  *operation  step  *waited  key hash$'
    out_has "^stripe  *0  held  *$writer  *$writer  stopped  *holdfast  *put  *[a-z-]*  *no  *[0-9a-f]*\$"
    run 0 locks "$store" --json
    out_has "^{\"kind\":\"stripe\",\"number\":0,\"lock\":\"held\",\"thread\":$writer,\"pid\":$writer,\"owner\":\"stopped\",\"command\":\"holdfast\",\"operation\":\"put\",.*\"waited\":false,\"foreign\":false}\$"
    run 0 top "$store" --once --interval 50ms
    out_has "^  0: thread $writer (holdfast, stopped) in put\$"
    kill -KILL "$writer"
    wait "$writer" 2>/dev/null
    died=$writer writer=
    run 0 locks "$store"
    out_has "^stripe  *0  left  *0  *$died  dead  "
    run 0 put "$store" next one
    run 0 locks "$store"
    quiet_out
else
    note 'no writer was stopped inside of an update'
fi
finish 4
