#!/bin/sh
# SPDX-License-Identifier: MIT
# incr, append, touch, clear, and that no increment is lost when several processes count.
. "$(dirname "$0")/lib.sh"

run 0 create "$store" --capacity 4M --max-value 4K

# ---- incr
run 0 incr "$store" n
out_is 1
run 0 incr "$store" n 41
out_is 42
run 0 incr "$store" n -50
out_is -8
run 0 get "$store" n
out_is -8
run 0 incr "$store" n +8
out_is 0
run 0 incr "$store" big --initial 9223372036854775806
out_is 9223372036854775807
run 3 incr "$store" big
err_has "^holdfast: $store: ."
run 0 incr "$store" small --initial -9223372036854775807 -1
out_is -9223372036854775808
run 3 incr "$store" small -1
run 0 get "$store" small
out_is -9223372036854775808
run 0 incr "$store" smallest -9223372036854775808
out_is -9223372036854775808
run 1 incr "$store" nobody --if-present
err_has 'no such key: nobody'
run 1 exists "$store" nobody
run 0 incr "$store" n --if-present
run 0 incr "$store" timed --ttl 1h
run 0 get "$store" timed --meta
out_has 'ttl_ms=3[0-9]* '
run 0 incr "$store" --hex 00ff 7
out_is 7
run 0 get "$store" --hex 00ff
out_is 37
run 0 put "$store" word hello
run 3 incr "$store" word
err_has "^holdfast: $store: ."
run 0 get "$store" word
out_is hello
for by in '' x 1.5 9223372036854775808 -9223372036854775809 1K; do
    run 2 incr "$store" n -- "$by"
    err_has "BY '.*' is not a whole number"
done
run 2 incr "$store" n --initial 1e3
err_has -- '--initial .1e3. is not a whole number'

# ---- append
run 0 append "$store" log one,
run 0 append "$store" log two
run 0 get "$store" log
out_is one,two
printf '\000\377' | hf append "$store" log || failed 'append of standard input'
printf 'one,two\000\377' >"$dir/want"
run 0 get "$store" log
same "$dir/out" "$dir/want"
run 0 append "$store" --hex 6c6f67 0a
printf '\n' >>"$dir/want"
run 0 get "$store" log
same "$dir/out" "$dir/want"
run 0 put "$store" kept x --ttl 1h --flags 5
run 0 append "$store" kept y
run 0 get "$store" kept --meta
out_has 'flags=5 ttl_ms=3[0-9]* length=2 '
head -c 4096 /dev/zero >"$dir/full"
run 3 append "$store" log - <"$dir/full"
err_has "^holdfast: $store: ."
run 0 get "$store" log
same "$dir/out" "$dir/want"

# ---- touch
run 0 touch "$store" log --ttl 2h
run 0 get "$store" log --meta
out_has 'ttl_ms=7[0-9]* '
run 0 touch "$store" log --ttl 0
run 0 get "$store" log --meta
out_has 'ttl_ms=0 '
run 0 touch "$store" log --ttl 1ms
sleep 0.1
run 1 touch "$store" log --ttl 1h
err_has 'no such key: log'
run 2 touch "$store" n
err_has -- '--ttl is needed'
run 2 touch "$store" n --ttl 5
err_has 'is not a time'
run 0 touch "$store" --hex 00ff --ttl 1h

# ---- Refused keys
long=$(head -c 4097 /dev/zero | tr '\0' k)
for key in '' "$long"; do
    run 3 incr "$store" "$key"
    run 3 append "$store" "$key" x
    run 3 touch "$store" "$key" --ttl 1s
    err_has "^holdfast: $store: ."
done

# ---- Four processes count to 400
pids=
for _ in 1 2 3 4; do
    (for _ in $(seq 100); do hf incr "$store" race >/dev/null || exit 1; done) &
    pids="$pids $!"
done
for pid in $pids; do
    wait "$pid" || failed 'an increment failed'
done
run 0 get "$store" race
out_is 400

# ---- expire
run 0 expire "$store"
out_is 0
run 0 put "$store" short lived --ttl 1ms
sleep 0.05
run 0 expire "$store"
out_is 1

# ---- clear
run 0 clear "$store"
silent
quiet_out
run 0 count "$store"
out_is 0
run 1 get "$store" race
run 0 check "$store"
finish 95
