#!/bin/sh
# SPDX-License-Identifier: MIT
# Part `chaos` of tools/prove: processes killed at any moment in every way, every call judged for linearizability, on tmpfs and on
# a disk, as store and as cache, with and without threads. The same command on a broken library must fail.
#
#     tests/prove/chaos.sh short|full DIR
#
# Uses the build in DIR/plain and works in DIR/chaos (give a DIR on a disk) and in /dev/shm.
# short: about a minute on two cores. full: 30 minutes on tmpfs and on the disk, side by side, then as much more as 100,000 kills
# take; 35 minutes on two idle cores.
set -u
form=${1:-short}
base=${2:?"usage: tests/prove/chaos.sh short|full DIR"}
holdfast=$base/plain/tools/holdfast
planted=$base/plain/tests/chaos/chaos_planted
wanted_kills=100000
if [ ! -x "$holdfast" ] || [ ! -x "$planted" ]; then
    echo "chaos.sh: no build in $base/plain: run tools/prove, or meson setup $base/plain && ninja -C $base/plain"
    exit 3
fi
mkdir -p "$base/chaos" && disk=$(mktemp -d "$base/chaos/run.XXXXXX") || exit 3
shm=$(mktemp -d -p /dev/shm) || {
    echo "skipped: /dev/shm cannot be written"
    exit 77
}
running=
# shellcheck disable=SC2086 # a list
trap '[ -z "$running" ] || kill $running 2>/dev/null; wait; rm -rf "$disk" "$shm"' EXIT
trap 'exit 1' INT TERM HUP
faults=0
kills=0 repairers=0 recoveries=0 calls=0 rounds=0 undecided=0
bugs=0 caught=0

# number REPORT NAME: the first number of that name in a report
number() {
    grep -o "\"$2\":[0-9]*" "$1" | head -n 1 | cut -d : -f 2
}

fault() {
    faults=$((faults + 1))
    echo "FAULT: $*"
}

# add REPORT: into the sums
add() {
    kills=$((kills + $(number "$1" all)))
    recoveries=$((recoveries + $(number "$1" recoveries)))
    calls=$((calls + $(number "$1" judged)))
    rounds=$((rounds + $(number "$1" rounds)))
    undecided=$((undecided + $(number "$1" undecided)))
    repairers=$((repairers + $(number "$1" repairers || echo 0) + 0))
}

# sound NAME STATUS REPORT OUTPUT: judges a run that has ended
sound() {
    if [ "$2" -ne 0 ] || [ ! -s "$3" ]; then
        fault "$1: exit status $2"
        cat "$4"
    fi
    [ -s "$3" ] || return
    add "$3"
    printf '%-44s %7s kills %6s recoveries %9s calls judged; next writer p99 %s us, the kernel alone %s us\n' "$1" \
        "$(number "$3" all)" "$(number "$3" recoveries)" "$(number "$3" judged)" "$(quantile "$3" next_writer_us)" \
        "$(quantile "$3" kernel_hand_over_us)"
}

# quantile REPORT HISTOGRAM: its p99
quantile() {
    grep -o "\"$2\":{[^}]*" "$1" | grep -o '"p99":[0-9]*' | cut -d : -f 2
}

# chaos NAME STORE ARGUMENTS...: one run on the test build, which tells who is killed while he repairs
chaos() {
    name=$1 store=$2
    shift 2
    "$planted" NONE "$store" --report "$store.json" "$@" >"$store.out" 2>&1
    sound "$name" $? "$store.json" "$store.out"
}

# begin STORE ARGUMENTS...: one run of the tool in the background
begin() {
    store=$1
    shift
    rm -f "$store" # what a run that failed left
    "$holdfast" chaos "$store" --report "$store.json" "$@" >"$store.out" 2>&1 &
    running="$running $!"
}

# side_by_side ARGUMENTS...: on tmpfs and on the disk at once
side_by_side() {
    running=
    begin "$shm/store" "$@"
    begin "$disk/store" "$@"
    place=$shm kind=tmpfs
    for pid in $running; do
        wait "$pid"
        sound "$kind $*" $? "$place/store.json" "$place/store.out"
        rm -f "$place/store.json"
        place=$disk kind=$disk_kind
    done
    running=
}

# caught BUG: the run must find it
catch() {
    bugs=$((bugs + 1))
    "$planted" "$1" "$shm/broken" --seconds 60 --seed 11 >"$shm/broken.out" 2>&1
    status=$?
    rm -f "$shm/broken"
    if [ $status -eq 1 ] && grep -q '^ *violations  *[1-9]' "$shm/broken.out"; then
        caught=$((caught + 1))
        echo "broken library, $1: found"
    else
        fault "broken library, $1: not found, exit status $status"
    fi
}

short() {
    chaos "tmpfs, store" "$shm/store" --seconds 9
    chaos "$disk_kind, store, 3 threads" "$disk/store" --seconds 9 --threads 3
    chaos "tmpfs, cache, 2 threads, zipf" "$shm/cache" --seconds 9 --mode cache --threads 2 --skew zipf
    chaos "$disk_kind, cache, values up to 1 MiB" "$disk/cache" --seconds 7 --mode cache --max-value 1M
    chaos "tmpfs, one large stripe: slow repairs" "$shm/large" --seconds 12 --stripes 1 --keys 20000 --writers 8 --readers 0
    for bug in NO_RECOVERY FREE_FIRST FILL_UNGUARDED; do
        catch $bug
    done
}

full() {
    side_by_side --minutes 8
    side_by_side --minutes 8 --threads 4
    side_by_side --minutes 7 --mode cache --threads 2 --skew zipf
    side_by_side --minutes 7 --max-value 1M --skew uniform
    more=0
    while [ $kills -lt $wanted_kills ] && [ $faults -eq 0 ] && [ $more -lt 24 ]; do
        side_by_side --minutes 5
        more=$((more + 1))
    done
    [ $kills -ge $wanted_kills ] || fault "only $kills kills, $wanted_kills were wanted: run it on an idle machine"
    chaos "tmpfs, one large stripe: slow repairs" "$shm/large" --minutes 2 --stripes 1 --keys 20000 --writers 8 --readers 0
    for bug in NO_RECOVERY FREE_FIRST PUBLISH_FIRST RECORD_LATE FILL_UNGUARDED TOMB_LOST FILL_NOT_OVERTAKEN; do
        catch $bug
    done
}

disk_kind=$(stat -f -c %T "$disk")
case $disk_kind in
ext2/ext3) disk_kind=$(df --output=fstype "$disk" | tail -n 1) ;;
tmpfs) echo "note: $base is on tmpfs, so nothing was done on a disk" ;;
esac
case $form in
short) short ;;
full) full ;;
*) echo "usage: tests/prove/chaos.sh short|full DIR"; exit 3 ;;
esac
[ $undecided -eq 0 ] || fault "$undecided histories were too entangled to be judged"
[ $((kills * recoveries)) -gt 0 ] || fault "$kills kills made $recoveries recoveries"
echo "proved: processes killed in every way, on tmpfs and $disk_kind: $kills kills, $repairers of them of repairers," \
    "$recoveries recoveries, $calls calls of $rounds rounds linearizable, $caught of $bugs planted bugs found, $faults faults"
[ $faults -eq 0 ]
