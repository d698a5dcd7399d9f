#!/bin/bash
# SPDX-License-Identifier: MIT
# top in a real terminal emulator (tmux): sizes, resizing, quitting, signals, and a terminal that is then as it was before.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

run 0 create "$store" --capacity 4M --mode cache --stripes 16
run 0 put "$store" k v
hit() { hf put "$store" t '' && hf take -q "$store" t >/dev/null; } # the reads of a read-only handle are not counted
miss() { hf take -q "$store" none; }
hit
hit
hit
miss

# Without a terminal: one frame, and not one control code.
run 0 top "$store" --once --interval 50ms
silent
[ "$(tr -d '\n -~' <"$dir/out" | wc -c)" = 0 ] || failed 'control codes, or letters beyond ASCII, in a frame of the C locale'
out_has "^holdfast top  $store\$"
out_has '^entries 1 '
out_has ' puts  *0/s  *4 '
out_has '^entries 1 .* \[ *\]$'
out_has '^hit ratio - now, 75.0 % ever$'
out_has '^|[.1-8]\{16\}|$'
[ "$(awk '{ if (length > most) most = length } END { print most }' "$dir/out")" -le 80 ] || failed 'a line of over 80 columns'
run 2 top "$store"
err_has 'needs a terminal; --once'
run 2 top "$store" --once --interval 1ms
run 3 top "$dir/none" --once

# Most of the heap in use, in every stripe.
run 0 create "$dir/used" --capacity 4M --mode cache --stripes 16
awk 'BEGIN { value = sprintf("%400s", ""); for (i = 0; i < 6000; i++) printf "{\"key\":\"%d\",\"value\":\"%s\"}\n", i, value }' |
    hf load -q "$dir/used"
run 0 top "$dir/used" --once --interval 50ms
out_has '^entries .* \[#\{15,30\} '
out_has '^|[4-8]\{16\}|$'

command -v tmux >/dev/null || { note 'tmux is not installed: the terminal'; finish 16; }
unset TMUX
mux() { tmux -L "holdfast-$$" -f /dev/null "$@"; }
trap 'mux kill-server 2>/dev/null; rm -rf "$dir"' EXIT
printf '%s\n' "stty -a >$dir/before; echo before the frame; $tool top $store --interval 50ms; echo ended with \$?; stty -a >$dir/after" \
    >"$dir/shell"
screen() { mux capture-pane -p; }

# shown PATTERN: waits until a line of the screen has it
shown() {
    checks=$((checks + 1))
    for _ in $(seq 500); do
        screen | grep -q -e "$1" && return
        sleep 0.02
    done
    failed "'$1' does not come: $(screen)"
}
start() { mux new-session -d -x "$1" -y "$2" "LC_ALL=${3:-C} bash --norc --noprofile" && mux send-keys "PS1='$ '; . $dir/shell" Enter; }
# The screen shows what was there before, the cursor is back, and so are the modes of the terminal.
restored() {
    shown "^ended with $1\$"
    shown '^before the frame$'
    equal "$(mux display -p '#{alternate_on} #{cursor_flag}')" '0 1'
    for _ in $(seq 300); do
        [ -s "$dir/after" ] && break
        sleep 0.02
    done
    same "$dir/before" "$dir/after"
    mux kill-session
}
# The first line is the first of the frame, and the frame ends before the last recovery.
cut_off() { screen | head -n 1 | grep -q '^holdfast top' && screen | grep -q '^hits .*/s ' && ! screen | grep -q 'no recovery'; }

start 80 24 || skip "tmux cannot start: $(mux new-session -d 2>&1)"
mux set-option -s exit-empty off # or the next session may come to a server that is just ending with the last one
shown '^holdfast top  '
shown '^no recovery yet'
equal "$(mux display -p '#{alternate_on} #{cursor_flag}')" '1 0'
run 0 put "$store" k2 v
shown '^entries 2 '
while hf put "$store" k2 v; do
    hit
    miss
    sleep 0.02
done &
putting=$!
shown ' puts  *[1-9][0-9]*/s  *[1-9]'
shown '^hit ratio 50.0 % now, '
kill "$putting"
wait "$putting" 2>/dev/null
shown '^hit ratio - now, [567][0-9.]* % ever$' # and nothing is left of the longer line
wide=$(screen | grep -c 'puts')
mux resize-window -x 40 -y 8
for _ in $(seq 300); do
    cut_off && break
    sleep 0.02
done
cut_off || failed "a frame that does not fit into 8 rows: $(screen)"
[ "$(screen | awk '{ if (length > most) most = length } END { print most }')" -le 40 ] || failed 'a line of over 40 columns'
equal "$(screen | grep -c 'hits .*misses')" 0
mux resize-window -x 120 -y 30
shown 'hits .*misses .*stale_hits '
shown '^no recovery yet'
equal "$wide" 1
mux resize-window -x 3 -y 2
sleep 0.2
mux resize-window -x 80 -y 24
shown '^no recovery yet'
mux send-keys x
mux send-keys q
restored 0

for signal in INT TERM; do
    rm -f "$dir/after"
    start 80 24
    shown '^no recovery yet'
    pid=$(pgrep -f "^$tool top $store --interval")
    if [ $signal = INT ]; then
        mux send-keys C-c # a shell that sees its command end so does not go on with the list
        shown '^before the frame$'
        equal "$(mux display -p '#{alternate_on} #{cursor_flag}')" '0 1'
        mux send-keys 'stty -a >after; echo ended with 130' Enter
        mux kill-session
    else
        kill -s "$signal" "$pid"
        restored 143
    fi
done

# Stopped by Control-Z, and gone on with. What is drawn is drawn at once: the next frame would come in an hour.
sed -i 's/--interval 50ms/--interval 1h/' "$dir/shell"
start 80 24 C.UTF-8
shown '^no recovery yet'
shown '▕ *▏'
mux resize-window -x 120 -y 30
shown 'hits .*misses .*stale_hits '
mux send-keys C-z
shown 'Stopped'
equal "$(mux display -p '#{alternate_on} #{cursor_flag}')" '0 1'
mux send-keys 'fg' Enter
shown '^no recovery yet'
mux send-keys q
shown '^before the frame$'
finish 40
