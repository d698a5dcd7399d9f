#!/bin/sh
# SPDX-License-Identifier: MIT
# The part `poweroff` of tools/prove: what a disk may hold when the machine's power fails, state by state (tests/poweroff.c), and
# snapshots and creations at every system call (tests/poweroff_copy.c).
#
#   poweroff.sh short|full DIR      DIR/plain is an ordinary build
#
# short: 40 seconds on two cores, always the same states. full: 20 minutes, and the seed is the day, so that no two days are alike.
set -u

length=${1:-short}
programs=${2:?usage: poweroff.sh short|full DIR}/plain/tests
if [ ! -x "$programs/poweroff" ] || [ ! -x "$programs/poweroff_copy" ]; then
    echo "skipped: $programs has no poweroff and poweroff_copy: build it first"
    exit 3
fi
case $length in
short) states=12000 live=1500 seed=1 ;;
full) states=500000 live=50000 seed=$(date +%Y%m%d) ;;
*) echo "usage: poweroff.sh short|full DIR" >&2; exit 3 ;;
esac

said=$(mktemp) || exit 3
trap 'rm -f "$said" "$said.now"' EXIT
broken=0 # programs that ended badly without a word
skipped=

# Runs a program and keeps what it said.
run() {
    echo "== $*"
    program=$1
    shift
    "$programs/$program" "$@" >"$said.now" 2>&1
    status=$?
    cat "$said.now"
    cat "$said.now" >>"$said"
    case $status in
    0) ;;
    77) skipped="$skipped, without $program" ;;
    *) grep -q '[1-9][0-9]* faults$' "$said.now" || broken=$((broken + 1)) ;;
    esac
    rm -f "$said.now"
}

# The sum of the numbers before some words in what was said.
sum() {
    grep -oE "[0-9]+ $1" "$said" | awk '{ sum += $1 } END { print sum + 0 }'
}

run poweroff --states "$states" --seed "$seed"
run poweroff --states "$live" --seed "$seed" --live
run poweroff_copy --seed "$seed"

faults=$(($(sum 'faults') + broken))
echo "proved: power failures: $(sum 'states \(') states of $(sum 'histories') histories ($(sum 'of them a second failure')" \
    "while verifying), $(sum 'values returned') values returned; snapshots and creations at $(sum 'system calls') system calls:" \
    "$(sum 'states of the directory') states, $(sum 'kills') kills$skipped, $faults faults"
[ "$faults" = 0 ]
