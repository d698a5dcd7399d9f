#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317,SC2086 # functions are called through check; counts hold no blanks
# `holdfast chaos`, short: sound on tmpfs and on a disk, in both modes, with threads; its histories satisfy an outside checker;
# leaves neither stores nor processes; touches nobody's entries; and fails when the library lacks a precaution, or a worker hangs.
# The outside checker fails on histories that were doctored, and on that of a broken library.
#
#     chaos.sh HOLDFAST CHAOS_PLANTED [brief]
#
# brief: without broken libraries, the outside checker, and what hangs.
set -u
holdfast=$1
planted=$2
brief=${3:-}
here=$(dirname "$0")/chaos
failed=0
dir=$(mktemp -d) || exit 1
shm=$(mktemp -d -p /dev/shm 2>/dev/null) || {
    echo "SKIPPED: the runs on tmpfs: /dev/shm cannot be written"
    shm=$dir
}
parent=
trap '[ -z "$parent" ] || kill "$parent" 2>/dev/null; rm -rf "$dir" "$shm"' EXIT
trap 'exit 1' INT TERM HUP

# check NAME COMMAND...: the command must succeed
check() {
    name=$1
    shift
    if "$@"; then
        echo "ok: $name"
    else
        echo "FAILED: $name"
        failed=1
    fi
}

# number NAME: the number of that name in the JSON of the last run
number() {
    sed -n "s/.*\"$1\":\([0-9][0-9]*\).*/\1/p" "$dir/out"
}

# run CODE COMMAND...: the command must exit with CODE; its output is shown and kept
run() {
    expected=$1
    shift
    "$@" >"$dir/out" 2>"$dir/err"
    code=$?
    cat "$dir/out" "$dir/err"
    [ "$code" -eq "$expected" ] || echo "exit code $code, expected $expected"
    [ "$code" -eq "$expected" ]
}

# A run that must find nothing, must have killed, and must have made survivors repair.
sound() {
    store=$1
    shift
    run 0 "$holdfast" chaos "$store" --json "$@" && [ "$(number writers)" -gt 10 ] && [ "$(number recoveries)" -gt 0 ] &&
        [ "$(number violations)" -eq 0 ] && [ "$(number undecided)" -eq 0 ] && [ ! -e "$store" ]
}

# Every way to die was died, and somebody was stopped.
dies_in_every_way() {
    sound "$shm/ways" --seconds 8 --seed 5 --threads 2 --report "$dir/report" && cmp -s "$dir/out" "$dir/report" || return 1
    for way in SIGKILL SIGSEGV SIGABRT _exit exec forks stops forked gets_while_stopped; do
        [ "$(number $way)" -gt 0 ] || { echo "$way: $(number $way)"; return 1; }
    done
}

# history MODE: a short run's, in $dir/history
history() {
    run 0 "$holdfast" chaos "$shm/history" --seconds 1 --keys 48 --mode "$1" --history "$dir/history"
}

outside_checker() {
    for mode in store cache; do
        history $mode && run 0 python3 "$here/check_history.py" "$dir/history" || return 1
    done
}

outside_checker_sees() {
    history store || return 1
    for lie in stale lost missing outdated; do
        python3 "$here/doctor_history.py" $lie "$dir/history" >"$dir/doctored" || { echo "no place for: $lie"; return 1; }
        run 1 python3 "$here/check_history.py" "$dir/doctored" && grep -q 'no order explains' "$dir/out" || return 1
    done
}

# The one judge must reject what the other does; a broken library is not always caught by the history alone, so a few times.
outside_checker_agrees() {
    for seed in 21 22 23 24 25; do
        run 1 "$planted" FREE_FIRST "$shm/planted" --seconds 60 --keys 128 --seed $seed --history "$dir/history" || return 1
        rm -f "$shm/planted"
        run 1 python3 "$here/check_history.py" "$dir/history" >/dev/null && return 0
    done
    return 1
}

refuses_entries() {
    "$holdfast" create "$dir/used" && "$holdfast" put "$dir/used" mine kept && run 3 "$holdfast" chaos "$dir/used" --seconds 1 &&
        grep -q -e --use-existing "$dir/err"
}

works_beside() {
    run 0 "$holdfast" chaos "$dir/used" --use-existing --seconds 2 && [ "$("$holdfast" count "$dir/used")" -eq 1 ] &&
        [ "$("$holdfast" get "$dir/used" mine)" = kept ]
}

# Values that were computed before a delete and stored after it: within seconds, or it is not seen.
outdated_fills() {
    for bug in FILL_UNGUARDED TOMB_LOST FILL_NOT_OVERTAKEN; do
        run 1 "$planted" $bug "$shm/planted" --seconds 60 --seed 31 &&
            grep -q 'no order of its calls explains' "$dir/out" || return 1
        rm -f "$shm/planted"
    done
}

children_of() {
    cat "/proc/$1/task/$1/children" 2>/dev/null
}

# Waits until none of the processes given is alive.
all_gone() {
    tries=0
    for pid in "$@"; do
        while [ -e "/proc/$pid" ] && ! grep -q '^State:.*Z' "/proc/$pid/status" 2>/dev/null; do
            tries=$((tries + 1))
            [ $tries -lt 200 ] || return 1
            sleep 0.1
        done
    done
}

# end_run: waits for it; its exit code
end_run() {
    wait "$parent" 2>/dev/null
    code=$?
    parent=
    return $code
}

# begin_run: a long run in the background, $parent, that has children
begin_run() {
    "$holdfast" chaos "$shm/long" --seconds 300 >"$dir/out" 2>"$dir/err" &
    parent=$!
    tries=0
    while [ -z "$(children_of "$parent")" ] && [ $tries -lt 100 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
}

interrupted() {
    begin_run
    children=$(children_of "$parent")
    kill -TERM "$parent"
    end_run && all_gone $children && grep -q interrupted "$dir/out" && [ ! -e "$shm/long" ]
}

orphans_die() {
    begin_run
    children=$(children_of "$parent")
    [ -n "$children" ] || return 1
    kill -KILL "$parent"
    end_run
    all_gone $children
    result=$?
    rm -f "$shm/long"
    return $result
}

# Stopped workers stand for hanging ones: the killer must spare them, and call them hung after 15 seconds.
hang_is_seen() {
    begin_run
    tries=0
    while [ -d "/proc/$parent" ] && [ $tries -lt 25 ]; do
        children=$(children_of "$parent")
        [ -z "$children" ] || kill -STOP $children 2>/dev/null
        tries=$((tries + 1))
        sleep 0.01
    done
    end_run
    code=$?
    cat "$dir/out"
    rm -f "$shm/long"
    [ "$code" -eq 1 ] && grep -q 'hung in' "$dir/out"
}

refuses_nonsense() {
    run 2 "$holdfast" chaos "$shm/none" --threads 16 --writers 64 && grep -q 'may be 511 at most' "$dir/err" &&
        run 2 "$holdfast" chaos "$shm/none" --skew wild && run 3 "$holdfast" chaos "$shm/none" --stripes 3 &&
        run 3 "$holdfast" chaos "$shm/none" --seconds 1 --history "$dir/nowhere/history" && grep -q nowhere/history "$dir/err" &&
        run 3 "$holdfast" chaos "$shm/none" --seconds 1 --report "$dir/nowhere/report" && grep -q 'the report' "$dir/err" &&
        [ ! -e "$shm/none" ]
}

check "sound on tmpfs" sound "$shm/store" --seconds 4 --seed 1
check "sound on a disk" sound "$dir/store" --seconds 4 --seed 2
check "sound as a cache" sound "$shm/cache" --seconds 4 --seed 3 --mode cache --threads 3 --skew zipf
check "sound with large values" sound "$shm/large" --seconds 3 --seed 6 --max-value 4M --skew uniform
check "every way to die, and the report" dies_in_every_way
check "nonsense is refused" refuses_nonsense
check "the test build is sound" run 0 "$planted" NONE "$shm/none" --seconds 2 --seed 4
check "a store with entries is refused" refuses_entries
check "a store with entries is left as it was" works_beside
check "an interrupt ends it and all its processes" interrupted
check "no process outlives a killed parent" orphans_die
[ -z "$brief" ] || exit $failed

if command -v python3 >/dev/null; then
    check "an outside checker finds an order for every history" outside_checker
    check "the outside checker sees lies" outside_checker_sees
    check "the outside checker sees a broken library" outside_checker_agrees
else
    echo "SKIPPED: the outside checker of histories: python3 is not installed"
fi
check "values that are stored out of date are seen" outdated_fills
check "a hang is seen" hang_is_seen
exit $failed
