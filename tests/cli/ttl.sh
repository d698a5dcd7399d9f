#!/bin/sh
# SPDX-License-Identifier: MIT
# Times to live: the store's default, ttl, get --stale, and the same under a shifted clock (libfaketime).
. "$(dirname "$0")/lib.sh"

run 0 create "$store" --capacity 4M --ttl 1h
run 0 info "$store" --json
out_has '"default_ttl_ms":3600000,'
run 0 info "$store"
out_has '^entries expire  *after 3600000 ms'
for bad in soon -1h 18446744073709551615ms; do
    run 2 create "$dir/bad" --ttl="$bad"
    err_has "is not a time"
    [ ! -e "$dir/bad" ] || failed "create --ttl=$bad made a store"
done
run 3 create "$dir/bad" --ttl 300000000000000ms
err_has 'default_ttl_ms is out of range'
run 0 create "$dir/plain" --capacity 4M --ttl never
run 0 info "$dir/plain"
out_has '^entries expire  *only if their writer says so'

# lives KEY LOW HIGH: what it has left, in milliseconds
lives() {
    run 0 ttl "$store" "$1"
    left=$(sed -n 's/^\([0-9][0-9]*\)ms$/\1/p' "$dir/out")
    { [ "${left:-0}" -gt "$2" ] && [ "$left" -le "$3" ]; } || failed "$1 has $(cat "$dir/out") left, not $2 to $3 ms"
}

# ---- The default, and who says otherwise
run 0 put "$store" page one
lives page 3500000 3600000
run 0 put "$store" page one --ttl 0
lives page 3500000 3600000
run 0 put "$store" page one --ttl 2h
lives page 7100000 7200000
run 0 put "$store" page one --ttl never
run 0 ttl "$store" page
out_is never
run 0 incr "$store" count
lives count 3500000 3600000
run 0 incr "$store" counted --ttl never
run 0 ttl "$store" counted
out_is never
run 0 append "$store" tail x
lives tail 3500000 3600000
run 0 touch "$store" tail --ttl never
run 0 ttl "$store" tail
out_is never
run 0 touch "$store" tail --ttl 0
lives tail 3500000 3600000
run 0 touch "$store" tail --ttl 1500ms
run 0 touch "$store" count --ttl "$(hf ttl "$store" tail)"
lives count 0 1500
run 1 ttl "$store" nobody
err_has 'no such key: nobody'
run 0 put "$store" --hex 00ff 01
run 0 ttl "$store" --hex 00ff
run 2 put "$store" x y --timeout never

# ---- load: JSON Lines say how long, the text of databases does not
cat >"$dir/lines" <<'END'
{"key":"none","value":"1"}
{"key":"zero","value":"2","ttl_ms":0}
{"key":"minute","value":"3","ttl_ms":60000}
END
run 0 load "$store" "$dir/lines"
run 0 ttl "$store" none
out_is never
lives zero 3500000 3600000
lives minute 50000 60000
run 0 put "$dir/plain" text x
hf dump "$dir/plain" --format db >"$dir/text" || failed dump
run 0 load "$store" "$dir/text" --format db
lives text 3500000 3600000

# ---- Values that have expired
run 0 put "$store" front old --ttl 1ms
sleep 0.1
run 1 ttl "$store" front
run 1 get "$store" front
run 0 get "$store" front --stale
out_is old
err_has "^holdfast: $store: the value has expired: front\$"
run 0 get "$store" front --stale --quiet
out_is old
silent
run 0 get "$store" front --stale --json
out_has '^{"key":"front","value":"old","version":[0-9]*,"flags":0,"ttl_ms":0,"length":3,"stale":true}$'
run 0 get "$store" front --stale --meta
out_has ' ttl_ms=0 length=3 stale key=front$'
run 1 get "$store" front page nobody --stale
out_is 'old
one'
err_has 'the value has expired: front$'
err_has 'no such key: nobody$'
run 0 get "$store" page --stale --meta
out_has ' ttl_ms=0 length=3 key=page$'
silent
head -c 3000 /dev/zero | tr '\0' z >"$dir/long"
run 0 put "$store" long - --ttl 1ms <"$dir/long"
sleep 0.1
run 0 get "$store" long --stale
same "$dir/out" "$dir/long"
run 0 put "$store" front new
run 0 get "$store" front --stale
out_is new
silent

# ---- Another clock
if ! command -v faketime >/dev/null || ! faketime -f +0 "$tool" --version >/dev/null 2>&1; then
    note 'no shifted clock: faketime is not installed, or does not work with this build'
    finish 75
fi

# at OFFSET CODE ARGUMENT...: run under a clock that is off by so much
at() {
    offset=$1 wanted=$2 code=0
    shift 2
    faketime -f "$offset" "$tool" "$@" >"$dir/out" 2>"$dir/err" || code=$?
    checks=$((checks + 1))
    [ "$code" -eq "$wanted" ] || failed "at $offset: holdfast $*: exit code $code, not $wanted: $(cat "$dir/err")"
}
run 0 put "$store" hour v --ttl 1h
at +2h 1 get "$store" hour
at +2h 0 get "$store" hour --stale
out_is v
at +2h 0 get "$store" page
out_is one
run 0 get "$store" hour # the clock is back, and so is the value
at -1h 0 ttl "$store" hour
out_has '^7[0-9]*ms$'
at +2h 1 touch "$store" hour --ttl 1h
run 1 get "$store" hour # that removed it
at +2h 0 put "$store" hour w --ttl 1h
lives hour 10700000 10800000
at -2h 0 put "$store" hour x --ttl 1h
run 1 get "$store" hour
at -2h 0 get "$store" hour
at +80y 0 get "$store" page
at +80y 0 check "$store"
at -50y 0 put "$store" past x --ttl 100d
at -50y 0 get "$store" past
run 1 get "$store" past

finish 95
