#!/bin/bash
# SPDX-License-Identifier: MIT
# Every operation, one machine instruction at a time: copies of the file recovered after each, real kills with another process
# asleep in the lock, kills of the repairers, and create, open and copy killed around every system call.
# Usage: steps.sh short|full DIR   where DIR/plain is an ordinary build; from the root of the repository.
#
# short: all of it, but the repairers after each 12th death only, beginning by chance (SEED repeats it): 1 min on two busy cores.
# full: the repairers after every death, too, and everything on both builds of the library, the released one and the one with
# named points: 15 min.
set -u
which=${1:?usage: steps.sh short|full DIR}
dir=${2:?usage: steps.sh short|full DIR}
seed=${SEED:-$(date +%s)}
programs="$dir/plain/tests"
mkdir -p "$dir/steps" || exit 3
ninja -C "$dir/plain" tests/crash_steps tests/crash_steps_released tests/crash_calls >"$dir/steps/build.log" 2>&1 ||
    { cat "$dir/steps/build.log"; exit 3; }
instructions=0 snapshots=0 deaths=0 asleep=0 repairers=0 calls=0 faults=0 woken=

# Adds what the last line of a run tells under a name.
add() {
    local value
    value=$(sed -n "s/^sum: .*\b$2=\([0-9]*\).*/\1/p" "$log" | tail -n 1)
    printf -v "$1" %d $(($1 + ${value:-0}))
}

# run PROGRAM ARGUMENTS...
run() {
    local program=$1
    shift
    log=$dir/steps/$program.log
    echo "== $program $*${HOLDFAST_TEST_DIR:+ (in $HOLDFAST_TEST_DIR)}"
    "$programs/$program" "$@" 2>&1 | tee "$log"
    local status=${PIPESTATUS[0]} before=$faults
    if [ "$status" = 77 ]; then
        grep '^skipped:' "$log" | tail -n 1
        exit 77
    fi
    add instructions instructions
    add snapshots snapshots
    add deaths deaths
    add asleep asleep
    add repairers repairers
    add calls kills
    add faults faults
    [ "$status" = 0 ] || [ "$faults" != "$before" ] || faults=$((faults + 1)) # it ended without a sum
    [ "$program" != crash_calls ] || ! grep -q 'skipped=[1-9]' "$log" || echo "not all of crash_calls could run here: see above"
    woken=$(sed -n 's/.* \([0-9.]*\) ms (99 %).*/\1/p' "$log" | grep . || echo "$woken")
}

jobs=$(nproc)
run crash_steps_released --look --jobs "$jobs"
run crash_steps_released --deaths --jobs "$jobs"
if [ "$which" = full ]; then
    run crash_steps --look --jobs "$jobs"
    run crash_steps --deaths --repairers --jobs "$jobs"
    run crash_steps_released --deaths --repairers --jobs "$jobs"
else
    run crash_steps --deaths --repairers --every 40 --seed "$seed" --jobs "$jobs"
fi
run crash_calls
HOLDFAST_TEST_DIR=$dir/steps run crash_calls
rm -rf "$dir"/steps/holdfast-test-*

echo "seed $seed; a sleeper was through within $woken ms of the kill (99 %)"
echo "proved: every operation, its recovery, and opening, at every instruction: $instructions instructions," \
    "$snapshots copies recovered, $deaths kills ($asleep with a sleeper in the lock), $repairers kills of repairers," \
    "$calls kills around system calls, $faults faults"
[ "$faults" = 0 ]
