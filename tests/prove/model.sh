#!/bin/bash
# SPDX-License-Identifier: MIT
# The publish, read and reuse protocol, on a memory with the orderings of C11, for all interleavings: tests/memory, with SPIN.
#
#     tests/prove/model.sh short|full DIR      builds below DIR/model; short: 30 s, full: a quarter of an hour, 8 GB of memory
#
# Three things are expected: the memory shows exactly what C11 allows (litmus.pml); the protocol, as it is, has no error in any
# state, and no step of its reader is left untried; and without any one of its precautions there is one. A precaution that can be
# taken out without an error is a fault: then the model does not see what it is for.
set -u
how=${1:?usage: tests/prove/model.sh short|full DIR}
dir=${2:?usage: tests/prove/model.sh short|full DIR}/model
models=$(cd "$(dirname "$0")/../memory" && pwd) || exit 3
mkdir -p "$dir" && dir=$(cd "$dir" && pwd) || exit 3
log=$(mktemp) || exit 3
trap 'rm -f "$log"' EXIT

for tool in spin cc; do
    command -v $tool >/dev/null || { echo "skipped: $tool is missing: tools/install-packages build prove"; exit 77; }
done

# build NAME MODEL COMPILER-OPTION... -- MODEL-OPTION...: a program NAME/pan that searches the model
build() {
    local name=$1 model=$2 options=()
    shift 2
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    rm -rf "${dir:?}/$name" && mkdir "$dir/$name" && cd "$dir/$name" &&
        spin "$@" -a "$models/$model.pml" >spin.log 2>&1 && nice -n 5 cc -w -DSAFETY -DNOFAIR "${options[@]}" -o pan pan.c >cc.log 2>&1
}

states() {
    sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$dir/$1/out" | awk '{ printf "%.0f", $1 }'
}

# search NAME SECONDS ARGUMENT...
search() {
    local name=$1 seconds=$2
    shift 2
    (cd "$dir/$name" && nice -n 5 timeout "$seconds" ./pan -m100000 "$@" >out 2>&1) || echo "pan: exit status $?" >>"$dir/$name/out"
}

# A search of all states, to its end.
complete() {
    grep -q 'errors: ' "$dir/$1/out" && ! grep -qE 'exit status|max search depth|out of memory|interrupted|not completed' "$dir/$1/out"
}

# Results are lines of the log: counted, states, what is said.
litmus() {
    build litmus litmus -O0 -DNOREDUCE -- || { echo "broken 0 litmus.pml could not be built: $dir/litmus" >>"$log"; return; }
    search litmus 60 -c0
    local seen
    seen=$(sed -n 's/.*assertion violated (\(.*\)) (at.*/\1/p' "$dir/litmus/out" | sort | tr '\n' ' ')
    if complete litmus && [ "$seen" = 'weak!=13 weak!=23 weak!=31 weak!=32 weak!=33 ' ]; then
        echo "litmus $(states litmus) the memory: exactly the five weak outcomes of message passing that C11 allows" >>"$log"
    else
        echo "fault 0 the memory: seen were ${seen:-none} ($dir/litmus/out)" >>"$log"
    fi
}

# sound NAME MODEL-OPTION...
sound() {
    local name=$1
    shift
    build "$name" protocol "${search_options[@]}" -- "$@" || { echo "broken 0 $name could not be built: $dir/$name" >>"$log"; return; }
    search "$name" "$seconds" -w26
    if ! complete "$name" || ! grep -q 'errors: 0$' "$dir/$name/out"; then
        echo "fault 0 the protocol, $name: $(grep -E -m1 'violated|exit status|reached|memory' "$dir/$name/out") ($dir/$name)" >>"$log"
    elif [ "$name" = deaths ] && ! sed -n '/unreached in proctype reader/,/states)/p' "$dir/$name/out" | grep -q '(0 of '; then
        echo "fault 0 the protocol, $name: steps of the reader were never tried ($dir/$name/out)" >>"$log"
    else
        echo "sound $(states "$name") the protocol, $name ($*): no error" >>"$log"
    fi
}

# planted PRECAUTION MODEL-OPTION...: without the precaution there must be an error
planted() {
    local name=$1 violated
    shift
    build "$name" protocol -O0 -- "-D$name" "$@" || { echo "broken 0 $name could not be built: $dir/$name" >>"$log"; return; }
    search "$name" 120
    violated=$(sed -n 's/.*assertion violated (\(.*\)) (at depth \(.*\)).*/\1 is violated after \2 steps/p' "$dir/$name/out")
    if [ -n "$violated" ]; then
        echo "planted $(states "$name") $name: $violated" >>"$log"
    else
        echo "fault 0 $name: no error was found ($dir/$name)" >>"$log"
    fi
}

# Two at a time.
job() {
    while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
    "$@" &
}

if [ "$how" = full ]; then
    search_options=(-O2 -DCOLLAPSE) seconds=7200
    job sound deaths -DOPS=4 -DREADS=2 -DKILLS=1
    job sound reuse -DOPS=6 -DREADS=2 -DKILLS=0 -DKEYS=1 -DBLOCKS=2
    job sound tags -DOPS=4 -DREADS=2 -DKILLS=0 -DTAGS=2
    job sound heat -DOPS=3 -DREADS=1 -DKILLS=0 -DREADERS=2 -DWARM -DBLOCKS=2
else
    search_options=(-O1) seconds=120
    job sound deaths -DOPS=3 -DREADS=2 -DKILLS=1
    job sound reuse -DOPS=5 -DREADS=1 -DKILLS=0 -DKEYS=1 -DBLOCKS=2
    job sound tags -DOPS=3 -DREADS=1 -DKILLS=1 -DTAGS=2
    job sound heat -DOPS=2 -DREADS=1 -DKILLS=0 -DREADERS=2 -DWARM
fi
job litmus
for precaution in NO_SLOT_RELOAD NO_VALIDATION NO_ACQUIRE_FENCE NO_RELEASE_FENCE STAMP_FIRST FREE_FIRST PUBLISH_FIRST \
    PUBLISH_RELAXED STAMP_RELAXED SLOT_RELAXED LAST_SLOT_RELAXED; do
    job planted $precaution -DOPS=3 -DREADS=1 -DKILLS=1
done
for precaution in OVERFLOW_EARLY OVERFLOW_LATE OVERFLOW_ZEROED MISMATCH_TRUSTED CONTROL_RELAXED; do
    job planted $precaution -DOPS=3 -DREADS=2 -DKILLS=1
done
job planted STAMP_KEPT -DOPS=4 -DREADS=1 -DKILLS=1 -DKEYS=1 -DBLOCKS=2
job planted HEAT_STORED -DOPS=2 -DREADS=1 -DKILLS=0 -DREADERS=2
wait

count() {
    grep -c "^$1 " "$log"
}
cut -d ' ' -f 1,3- "$log" | sort
faults=$(count fault) broken=$(count broken)
all=$(awk '$1 == "sound" { sum += $2 } END { printf "%.0f", sum }' "$log")
[ "$broken" -eq 0 ] || { echo "$broken models could not be built"; exit 3; }
echo "proved: the protocol on a weak memory: $(count sound) models, all $all states; $(count planted) precautions taken out, each" \
    "with its counterexample; litmus tests $([ "$(count litmus)" -eq 1 ] && echo passed || echo failed), $faults faults"
[ "$faults" -eq 0 ]
