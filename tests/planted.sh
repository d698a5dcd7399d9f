#!/bin/sh
# SPDX-License-Identifier: MIT
# Takes out one precaution of the library after the other (src/fault.h) and expects the test that stands for it to fail.
# Usage: planted.sh short|all NAME PROGRAM [NAME PROGRAM]...   where NAME is that of the test (tests/meson.build)
# `all` adds the bugs that need luck: they show within some seconds on most runs, and a miss is reported, not a failure.
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

# try BUG must|may TEST ARGUMENTS...
try() {
    bug=$1 need=$2 wanted=$3
    shift 3
    program=$(program_of) || exit 2
    "$program" "$@" --planted "$bug" >"$temp/out" 2>"$temp/err"
    status=$?
    if [ $status -eq 1 ]; then
        printf '%-18s caught by %-12s %s\n' "$bug" "$wanted" "$(tail -n 1 "$temp/err" | cut -c 1-120)"
    elif [ $status -eq 0 ] && [ "$need" = may ]; then
        printf '%-18s not seen by %s this time\n' "$bug" "$wanted"
    else
        printf '%-18s NOT CAUGHT by %s: exit status %d\n' "$bug" "$wanted" "$status"
        cat "$temp/out" "$temp/err"
        failed=1
    fi
}

gets="--gets 20000000 --seconds 20"
# shellcheck disable=SC2086 # $gets is split on purpose
{
    try NO_SLOT_RELOAD must torture $gets
    try NO_VALIDATION must torture $gets
    try PUBLISH_FIRST must torture $gets
    try FREE_FIRST must torture $gets
    try NO_RANGE_CHECK must hostile
    try EXPIRY_IGNORED must verbs_more expiry
    try NO_OWN_RELOAD must capacity mixed
    try NO_FREE must capacity replace
    try NO_RECOVERY must crash_points --single
    try CONSISTENT_FIRST must crash_points --only "replace by the same size"
    try RECORD_LATE must crash_points --single
    try OVERFLOW_LATE must crash_points --single --only "put that spills"
    try OVERFLOW_EARLY must crash_points --single --only "delete of a spilled entry"
    try OVERFLOW_ZEROED must crash_points --only "put that spills"
    try PENDING_KEPT must locks pending-entry
    try UNMAP_HELD must locks closed-held
    try STALE_MUTEXES must reboot copied-while-locked
    try IDENTITY_FIRST must reboot verifier-killed
    if [ "$which" = all ]; then
        try STAMP_FIRST may torture $gets
        try STAMP_KEPT may torture $gets
        try COUNTER_LATE may torture $gets
        echo "NO_ACQUIRE_FENCE   cannot show on x86, where loads are not reordered with loads"
        echo "NO_RELEASE_FENCE   cannot show on x86, where stores are not reordered with stores"
    fi
}
exit $failed
