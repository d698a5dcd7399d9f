#!/bin/sh
# SPDX-License-Identifier: MIT
# Takes out one precaution of the library after the other (src/fault.h) and expects the test that stands for it to fail.
# Usage: planted.sh short|all NAME PROGRAM [NAME PROGRAM]...   where NAME is that of the test (tests/meson.build)
# `short` leaves out those that take more than a second or two.
set -u
which=$1
shift
programs=$*

program_of() {
    # shellcheck disable=SC2086 # the list is split on purpose
    set -- $programs
    while [ $# -ge 2 ]; do
        [ "$1" = "$2" ] && return 1
        if [ "$1" = "$wanted" ]; then echo "$2"; return; fi
        shift 2
    done
    echo "planted.sh: no program for $wanted" >&2
    exit 2
}

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
failed=0

# try BUG TEST ARGUMENTS...
try() {
    bug=$1 wanted=$2
    shift 2
    program=$(program_of) || exit 2
    "$program" "$@" --planted "$bug" >"$temp/out" 2>"$temp/err"
    status=$?
    if [ $status -eq 1 ]; then
        printf '%-18s caught by %-12s %s\n' "$bug" "$wanted" "$(tail -n 1 "$temp/err" | cut -c 1-120)"
    elif [ $status -eq 77 ]; then
        printf '%-18s not tried: %s\n' "$bug" "$(tail -n 1 "$temp/out")"
    else
        printf '%-18s NOT CAUGHT by %s: exit status %d\n' "$bug" "$wanted" "$status"
        cat "$temp/out" "$temp/err"
        failed=1
    fi
}

# Seen in a reader or writer that is stopped between two instructions.
try NO_SLOT_RELOAD interleave reuse
try STAMP_KEPT interleave move
try OVERFLOW_EARLY crash_steps --look --only "delete of a spilled entry"
try NO_VALIDATION interleave reuse
# Seen in the state that is left behind.
try STAMP_KEPT stamps
try COUNTER_LATE stamps
try NO_OWN_RELOAD capacity mixed
try NO_FREE capacity replace
try EXPIRY_IGNORED verbs_more expiry
try NO_RANGE_CHECK hostile
# Seen after a death.
try PUBLISH_FIRST crash_points --single --only "first put"
try RECORD_LATE crash_points --single --only "first put"
try NO_RECOVERY crash_points --single --only "first put"
try OVERFLOW_LATE crash_points --single --only "put that spills"
try OVERFLOW_ZEROED crash_points --only "put that spills"
try PENDING_KEPT locks pending-entry
try UNMAP_HELD locks closed-held
try STALE_MUTEXES reboot copied-while-locked
try IDENTITY_FIRST reboot verifier-killed
# Seen by readers in a stress.
try FREE_FIRST torture --gets 20000000 --seconds 30
if [ "$which" = all ]; then
    try NO_VALIDATION torture --gets 20000000 --seconds 30
    try PUBLISH_FIRST torture --gets 20000000 --seconds 30
fi
cat <<TEXT
NO_RELEASE_FENCE   cannot show on x86: stores are seen in the order of the program
NO_ACQUIRE_FENCE   cannot show on x86: loads are done in the order of the program
STAMP_FIRST        cannot show on x86: a stamp is seen before the bytes that follow it, so it alone tells
CONSISTENT_FIRST   cannot show by a death: who dies in a repair holds the lock, and the next one is told again
TEXT
exit $failed
