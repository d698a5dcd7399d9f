#!/bin/bash
# SPDX-License-Identifier: MIT
# The examples, run as their comments say, each for its promise: what workers answer while they are killed, what two programs tell
# each other, what an observer may do, how many calls are admitted. Arguments: the tool, then the directory of the programs.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
programs=$(realpath "$2") || exit 1

# example PROGRAM ARGUMENT...: as run does for the tool, with exit code 0
example() {
    code=0
    timeout 60 "$programs/$1" "${@:2}" >"$dir/out" 2>"$dir/err" || code=$?
    checks=$((checks + 1))
    [ "$code" -eq 0 ] || failed "$*: exit code $code: $(cat "$dir/err")"
}

# ---- A pre-fork server
"$programs/prefork" "$dir/socket" "$dir/cache" 3 >"$dir/workers" &
server=$!
trap 'kill $server; wait; rm -rf "$dir"' EXIT
for _ in $(seq 300); do
    [ "$(wc -l <"$dir/workers")" = 3 ] && break
    sleep 0.02
done
example ask "$dir/socket" 1001 1001 2 997
out_is "$(factor 1001 1001 2 997)"
equal "$(hf get "$dir/cache" hits) $(hf get "$dir/cache" misses)" '1 3'

# Eight clients ask while worker after worker is killed: each gets every answer, and every one is right.
seq 100000000 17 100005100 >"$dir/numbers"
tr '\n' '\0' <"$dir/numbers" | xargs -0 factor >"$dir/want"
for client in 1 2 3 4 5 6 7 8; do
    xargs timeout 60 "$programs/ask" "$dir/socket" <"$dir/numbers" >"$dir/answers.$client" &
    clients[client]=$!
done
for kill in $(seq 12); do
    kill -KILL "$(tail -n 1 "$dir/workers" | cut -d ' ' -f 2)" # the youngest
    for _ in $(seq 300); do
        [ "$(wc -l <"$dir/workers")" = $((3 + kill)) ] && break
        sleep 0.01
    done
done
for client in 1 2 3 4 5 6 7 8; do
    wait "${clients[client]}" || failed "client $client got no answers"
    same "$dir/answers.$client" "$dir/want"
done
equal "$(wc -l <"$dir/workers")" 15
run 0 check "$dir/cache"
kill $server
wait $server
trap 'rm -rf "$dir"' EXIT

# ---- Two programs and an observer
export STORE=$dir/rooms
example thermometer kitchen 21500 19000
example heating kitchen 20000
out_is on
example thermometer kitchen 20500
example heating kitchen 20000
out_is off
example heating cellar 20000
out_is off
chmod 755 "$dir"
if [ "$(id -u)" = 0 ]; then
    setpriv --reuid 65534 --regid 65534 --clear-groups "$programs/observer" >"$dir/out" || failed 'observer as another user'
else
    chmod 444 "$STORE"
    example observer
fi
out_has '^heating:kitchen = off$'
out_has '^reading:kitchen = 20.500 degrees, reading 1, for another [1-6][0-9]* s$'
equal "$(wc -l <"$dir/out")" 3
unset STORE

# ---- A rate limiter: eight processes ask 400,000 times for 300,000 calls of a long window; then for 5 of a short one
for asker in 1 2 3 4 5 6 7 8; do
    "$programs/limiter" "$dir/limits" 10.0.0.7 300000 3600000 50000 >"$dir/admitted.$asker" &
done
wait
admitted=0
for asker in 1 2 3 4 5 6 7 8; do
    admitted=$((admitted + $(cat "$dir/admitted.$asker")))
done
equal $admitted 300000
example limiter "$dir/limits" 10.0.0.8 5 100 20
out_is 5
sleep 0.15
example limiter "$dir/limits" 10.0.0.8 5 3600000 20
out_is 5
example limiter "$dir/limits" 10.0.0.8 5 3600000 20
out_is 0

# ---- Memoising in the shell
PATH=$(dirname "$tool"):$PATH
export PATH STORE=$dir/words.hf COUNTED=$dir/counted
words=$(dirname "$0")/words.sh
seq 30000 | tr '0-9' 'a-j' >"$dir/text"
for shell in 1 2 3 4 5 6; do
    "$words" "$dir/text" >"$dir/words.$shell" &
done
wait
"$words" --count <"$dir/text" >"$dir/want"
for shell in 1 2 3 4 5 6; do
    same "$dir/words.$shell" "$dir/want"
done
equal "$(wc -l <"$COUNTED")" 2 # once for the six, once for what they are compared with
echo 'another text' >>"$dir/text"
"$words" "$dir/text" >"$dir/out" || failed "$words"
equal "$(wc -l <"$COUNTED")" 3

finish 38
