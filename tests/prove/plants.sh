#!/bin/bash
# SPDX-License-Identifier: MIT
# Do the tests see? A test that passes proves little until it was seen to fail. Takes one precaution of the library out after the
# other (src/fault.h), runs the test that stands for it, and expects it to fail; and to pass without the plant.
# Usage: plants.sh short|full DIR, where DIR/plain is a build. Short: half a minute. Full adds the stress of readers: two minutes.
# Where a new plant belongs is up to its author: this script only says if one is missing, and knows nothing of the library.
set -u
cd "$(dirname "$0")/../.." || exit 3
how=${1:-short} tests=${2:?usage: plants.sh short|full DIR}/plain/tests
out=$(mktemp -d) || exit 3
trap 'rm -rf "$out"' EXIT
trap 'exit 1' INT TERM HUP

at_once=2   # programs
limit=120   # seconds for one of them

# plant NAME PROGRAM ARGUMENTS...: the program that catches it
names=() calls=()
plant() {
    names+=("$1")
    shift
    calls+=("$(printf '%q ' "$@")")
}

# A reader or writer stopped between two instructions.
plant NO_SLOT_RELOAD interleave rewritten
plant NO_VALIDATION interleave reuse
plant STAMP_KEPT interleave move
plant HEAT_STORED interleave heat
plant OVERFLOW_EARLY crash_steps --look --only 'delete of a spilled entry'
plant RING_UNSEALED ring
plant TAKE_ANY races take
plant COPY_UNFROZEN races copy

# Readers and writers at work.
plant FREE_FIRST torture --gets 20000000 --seconds 30
plant SCAN_GIVES_UP scan
plant SCAN_TWICE scan

# What the verbs return, and what they leave behind.
plant COUNTER_LATE stamps
plant KEY_UNCOMPARED words same-tag
plant DRAFT_TRUSTED words drafts
plant DRAFT_KEPT words drafts
plant SLOT_EARLY words refused-drafts
plant SEED_IGNORED words seeds
plant BLOCKS_WRAP words large
plant KEY_UNCHECKED verbs
plant AIM_TRUSTED many spilled
plant GROUP_UNORDERED many as-single
plant GROUP_HOLDS_ON many bounded-hold
plant GROUP_GIVES_UP many stopped-holder
plant GROUP_WAITS_AGAIN many stopped-holder
plant VERSION_IGNORED verbs
plant LOCK_KEPT verbs
plant EXPIRY_IGNORED verbs_more expiry
plant TTL_ZERO verbs_more touching
plant DEFAULT_TTL_IGNORED clock default-of-writes
plant STALE_UNMARKED clock stale-values
plant CLOCK_UNBOUNDED clock ends
plant FILL_STALE_IGNORED clock stale-while-filled
plant VERSION_MOVED model --mode cache --operations 100000
plant RING_HAND_IGNORED evict rewritten
plant HANDS_TRUSTED evict scribbled
plant HOLE_TRUSTED evict scribbled
plant NONE_PROMOTED evict promoted
plant GHOSTS_IGNORED evict zipf
plant NO_OWN_RELOAD capacity mixed
plant RESERVE_ONCE capacity replace
plant LARGEST_STAYS capacity shrunk
plant NO_FREE capacity replace
plant HOME_ONLY capacity replace
plant RESERVE_TAKEN capacity replace

# A death.
plant PUBLISH_FIRST crash_points --single --only 'first put'
plant RECORD_LATE crash_points --single --only 'first put'
plant NO_RECOVERY crash_points --single --only 'first put'
plant NEVER_CONSISTENT crash_points --single --only 'first put'
plant MAP_TRUSTED crash_points --single --only 'first put'
plant VERDICT_GUESSED crash_points --single --only 'first put'
plant CONSISTENT_FIRST crash_points --only 'first put'
plant RECORD_CLEARED_FIRST crash_points --only 'first put'
plant DELETE_FIRST crash_points --single --only 'replace by the same size'
plant EVICT_OWN crash_points --single --only 'replace that evicts'
plant GROUP_RECORD_ONCE crash_points --single --only 'group of puts'
plant EVICT_OWN crash_points --single --only 'replace of the oldest in the ring'
plant OWN_EVICTED rare larger-than-the-heap
plant OVERFLOW_NOT_RAISED crash_points --single --only 'put that spills'
plant OVERFLOW_LATE crash_points --single --only 'put that spills'
plant OVERFLOW_ZEROED crash_points --only 'put that spills'

# Locks, forks, elections.
plant NO_WAKE locks woken
plant ORPHAN_KEPT locks replaced-holder
plant TIMEOUT_IGNORED locks stopped-holder
plant TRIED_KEPT busy unrecoverable
plant PENDING_KEPT locks pending-entry
plant UNMAP_HELD locks closed-held
plant PID_STALE locks logged
plant HELD_INHERITED forks
plant ELECTION_SHARED election second
plant CLASSIC_LOCK election second-after-closes
plant READY_IGNORED election unready
plant ELECTION_KEPT election unready
plant NAMESPACE_IGNORED namespaces refused

# Fills and waits.
plant CHANGE_UNCOUNTED wait mirrored
plant WAKE_LOST wait hops
plant TURN_KEPT wait late
plant SLICE_ENDLESS wait killed
plant NO_FILL_OWNER_DEAD fill stampedes
plant FILL_NAMELESS fill stampedes
plant FILL_STRANGER fill strangers
plant FILL_NESTED_WAITS fill crossed
plant FILL_UNGUARDED fill outdated
plant TOMB_LOST fill outdated
plant TOMB_TRUSTED fill guarded
plant DROP_UNNOTED fill guarded
plant FILL_DEPTH_LOST fill forked
plant FILL_OWN_AWAITED fill handler
plant RENEW_READS fill early
plant FILL_NOT_OVERTAKEN fill outdated
plant FILL_UNKNOWN fill outdated
plant DROPS_FORGOTTEN fill guarded
plant LEASE_INHERITED fill unknown-lease
plant FILL_KEPT fill cancelled
plant FILL_UNREAD fill raced
plant FILL_ONE_BY_ONE fill in-vain
plant FILL_LOG_WAITS fill logged
plant LEASE_UNBOUNDED fill odd-leases
plant FILL_BROKEN_AWAITED fill unrecoverable

# Counters and who holds what.
plant COUNTS_LOST counts threads
plant ENDED_LISTED counts endings
plant COUNTS_INHERITED counts forks
plant LOCK_WORDS_TRUSTED held copied

# Files of another boot, of another build, damaged, hostile.
plant STALE_MUTEXES reboot copied-while-locked
plant IDENTITY_FIRST reboot verifier-killed
plant VERIFY_SKIPPED reboot rebooted
plant CHECKSUM_SKIPPED reboot rebooted
plant IN_USE_UNSET reboot rebooted
plant NO_JUMP reboot versions
plant DUPLICATES_KEPT damage
plant OLDER_WINS damage
plant OVERLAP_KEPT damage
plant COUNTER_TRUSTED damage
plant RESERVE_LOST damage
plant NO_RANGE_CHECK hostile
plant ABI_IGNORED open other-builds
plant GEOMETRY_TRUSTED open other-builds
plant NOT_ALLOCATED open defaults
plant STANDARD_TAKEN open standard
plant PAGES_UNFIT pages unfit
plant PAGES_TAKEN pages opened
plant MAGIC_FIRST create killed-in-descriptor
plant COPY_UNSYNCED durable copy
plant IN_USE_COPIED durable copy
plant IN_USE_UNSYNCED durable in-use

if [ "$how" = full ]; then
    plant NO_VALIDATION torture --gets 20000000 --seconds 30
    plant PUBLISH_FIRST torture --gets 20000000 --seconds 30
    plant HEAT_STORED torture --gets 20000000 --seconds 30 --mode cache
    plant DELETE_FIRST scan
    plant STAMP_KEPT stamps
fi

# x86 keeps stores, and loads, in order: no run can show these. The model of the protocol does (part model).
left_to_the_model='NO_RELEASE_FENCE NO_ACQUIRE_FENCE STAMP_FIRST'

# attempt FILE PLANT CALL: what the program says to FILE, "STATUS MILLISECONDS" to FILE.result
attempt() {
    local file=$1 plant=$2 start program
    eval "set -- $3"
    program=$tests/$1
    shift
    [ ! -x "${program}_planted" ] || program=${program}_planted # the same test, linked with the test build of the library
    start=${EPOCHREALTIME/[.,]/}
    timeout --kill-after=5 "$limit" "$program" "$@" --planted "$plant" >"$file" 2>&1
    echo "$? $(((${EPOCHREALTIME/[.,]/} - start) / 1000))" >"$file.result"
}

in_turn() {
    while [ "$(jobs -rp | wc -l)" -ge $at_once ]; do
        wait -n
    done
    attempt "$@" &
}

declare -A clean=() # from a call to the file of its run without a plant
for i in "${!names[@]}"; do
    call=${calls[i]}
    if [ -z "${clean[$call]:-}" ]; then
        clean[$call]=$out/clean-$i
        in_turn "$out/clean-$i" NONE "$call"
    fi
    in_turn "$out/$i" "${names[i]}" "$call"
done
wait

declare -A caught=()
untried=0 faults=0
fault() {
    faults=$((faults + 1))
    printf '%s\n' "$1"
    tail -n 20 "$2" | sed 's/^/    | /'
}

printf '%-20s %-58s %8s  %s\n' PLANT 'CAUGHT BY' AFTER 'WHICH SAYS'
for i in "${!names[@]}"; do
    read -r status milliseconds <"$out/$i.result"
    read -r clean_status _ <"${clean[${calls[i]}]}.result"
    case $clean_status:$status in
    77:* | *:77)
        untried=$((untried + 1))
        printf '%-20s not tried: %s\n' "${names[i]}" "$(grep -h '^skipped: ' "$out/$i" "${clean[${calls[i]}]}" | tail -n 1)"
        ;;
    0:1)
        caught[${names[i]}]=yes
        printf '%-20s %-58s %5d ms  %s\n' "${names[i]}" "${calls[i]//\\/}" "$milliseconds" \
            "$(grep -m 1 -E '\.c:[0-9]+: ' "$out/$i" | sed 's|.*/tests/||' | cut -c 1-110)"
        ;;
    0:*) fault "${names[i]}: NOT CAUGHT by ${calls[i]}(exit status $status)" "$out/$i" ;;
    *) fault "${calls[i]}fails without a plant (exit status $clean_status)" "${clean[${calls[i]}]}" ;;
    esac
done

planted=$(sed -n 's/^ *X(\([A-Z_]*\), .*/\1/p' src/fault.h)
for name in $planted; do
    case " ${names[*]} $left_to_the_model " in
    *" $name "*) ;;
    *) fault "$name: no test is named that catches it" /dev/null ;;
    esac
done
for name in $left_to_the_model; do
    echo "$name: no run on x86 can show it; part model does"
done

[ "$untried" = 0 ] || echo "$untried were not tried on this machine"
echo "proved: the tests see: $(echo "$planted" | wc -l) planted bugs, ${#caught[@]} caught by ${#clean[@]} tests that pass without" \
    "them, $(echo "$left_to_the_model" | wc -w) left to the model, $faults faults"
[ "$faults" = 0 ]
