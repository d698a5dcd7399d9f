#!/bin/sh
# SPDX-License-Identifier: MIT
# `holdfast chaos`, short: sound on tmpfs and on a disk, in both modes; leaves neither stores nor processes; touches nobody's
# entries; and fails when the library lacks a precaution, or a worker hangs.
#
#     chaos.sh HOLDFAST CHAOS_PLANTED
set -u
holdfast=$1
planted=$2
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
    run 0 "$holdfast" chaos "$store" --json "$@" && [ "$(number writers)" -gt 20 ] && [ "$(number recoveries)" -gt 0 ] &&
        [ "$(number violations)" -eq 0 ] && [ ! -e "$store" ]
}

# fails BUG: at the latest after 60 seconds
fails() {
    run 1 "$planted" "$1" "$shm/planted" --seconds 60 --seed 11 && grep -q 'violations, with --seed 11' "$dir/err"
    result=$?
    rm -f "$shm/planted"
    return $result
}

refuses_entries() {
    "$holdfast" create "$dir/used" && "$holdfast" put "$dir/used" mine kept && run 3 "$holdfast" chaos "$dir/used" --seconds 1 &&
        grep -q -e --use-existing "$dir/err"
}

works_beside() {
    run 0 "$holdfast" chaos "$dir/used" --use-existing --seconds 2 && [ "$("$holdfast" count "$dir/used")" -eq 1 ] &&
        [ "$("$holdfast" get "$dir/used" mine)" = kept ]
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
    [ $code -eq 1 ] && grep -q 'hung in' "$dir/out"
}

check "sound on tmpfs" sound "$shm/store" --seconds 5 --seed 1
check "sound on a disk" sound "$dir/store" --seconds 5 --seed 2
check "sound as a cache" sound "$shm/cache" --seconds 5 --seed 3 --mode cache
check "the test build is sound" run 0 "$planted" NONE "$shm/none" --seconds 2 --seed 4
check "a store with entries is refused" refuses_entries
check "a store with entries is left as it was" works_beside
check "an interrupt ends it and all its processes" interrupted
check "no process outlives a killed parent" orphans_die
check "a hang is seen" hang_is_seen
for bug in PUBLISH_FIRST FREE_FIRST; do
    check "fails with $bug" fails $bug
done
exit $failed
