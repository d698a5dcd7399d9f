#!/bin/sh
# SPDX-License-Identifier: MIT
# bench: options, errors, JSON that others can read, and that no store is touched or left that was not asked for.
. "$(dirname "$0")/lib.sh"

left() {
    find "${1:-/dev/shm}" -maxdepth 1 -name 'holdfast-bench-*' -newer "$dir/begin" -user "$(id -u)" | sort
}
touch "$dir/begin"
all=load,get,chase,get-many,miss,put,delete,mixed,ycsb,killed
few='--entries 300 --operations 600 --repeats 2'

# A store that is made and removed.
# shellcheck disable=SC2086 # options are words
{
    run 0 bench "$store" $few --workload "$all"
    silent
    for name in load get 'limit of get' chase 'limit of chase' get-many miss put lock 'no work' mixed delete ycsb-a ycsb-b ycsb-c \
        ycsb-d ycsb-f 'get undisturbed' 'get beside puts' 'get beside killed'; do
        out_has "^$name  *[0-9.]*[kM]*  *[0-9.]*  *[0-9.]*  *[0-9]*  *[0-9]*  *[0-9]*  *[0-9]*\$"
    done
    out_has '^get that waits for the one before / memory limit  *[0-9.]*  *[0-9.]*   at most 1.15$'
    out_has '^put / (memory limit that waits + lock) .* at most 1.60$'
    out_has '^entries      300 of 16 + 100 bytes, .* keys uniform, seed 1$'
    [ ! -e "$store" ] || failed 'the store was left'
    equal "$(left "$dir")" ''

    # A temporary one; two processes, two threads; sizes and distribution of other kinds have no goals.
    run 0 bench $few --workload get --processes 2 --threads 2 --distribution latest --key-size 9 --value-size 8 --no-limits
    out_has '2 processes of 2 threads'
    out_has '^get '
    ! grep -q 'limit\|at least' "$dir/out" || failed 'limits or goals where none belong'

    # One that is kept has all entries; one that exists is left alone, or left as it was.
    run 0 bench "$store" $few --workload delete,ycsb-d --keep --stripes 2 --mode cache
    run 0 count "$store"
    out_is 300
    cp "$store" "$dir/before"
    run 3 bench "$store" $few
    err_has 'there is a file of this name: name a new one, or say --use-existing'
    same "$store" "$dir/before"
    run 3 bench "$store" $few --use-existing
    err_has 'the store holds keys of a benchmark already'
    run 0 create "$dir/own" --entries 2000
    run 0 put "$dir/own" mine value
    run 0 bench "$dir/own" $few --use-existing --workload load,put,mixed
    run 0 keys "$dir/own"
    out_is mine
    equal "$(left "$dir")" ''

    # JSON.
    run 0 bench $few --workload "$all" --json
    silent
    cp "$dir/out" "$dir/suite.json"
    run 0 bench --sizes 50,300 --operations 256 --repeats 2 --json
    silent
    cp "$dir/out" "$dir/sizes.json"
    run 0 bench --sizes 50 --operations 256 --repeats 1
    out_has '^entries scanned a second  *[1-9]'
    out_has '^repair of a stripe after a kill, us  *[0-9]'
}
if command -v python3 >/dev/null; then
    python3 - "$dir/suite.json" "$dir/sizes.json" <<'END' || failed 'the JSON is not as it must be'
import json, sys
suite, sizes = (json.load(open(name)) for name in sys.argv[1:])
runs = {run["name"]: run for run in suite["runs"]}
for run in suite["runs"]:
    assert run["ns"] > 0 and run["per_second"] > 0 and len(run["ns_of_repeats"]) == 2, run
    assert run["p50_ns"] <= run["p99_ns"] <= run["p999_ns"] <= run["max_ns"], run
assert runs["get"]["hits"] == runs["get"]["operations"] == 1200, runs["get"]
assert runs["miss"]["misses"] == runs["miss"]["operations"] == 1200, runs["miss"]
assert runs["load"]["operations"] == runs["delete"]["hits"] == 600, runs["load"]
assert {"cpu", "cores", "kernel", "libc", "file_system"} <= suite["machine"].keys()
assert len(suite["ratios"]) >= 6 and all(ratio["ratio"] > 0 for ratio in suite["ratios"])
assert [size["entries"] for size in sizes["sizes"]] == [50, 300]
assert all(value > 0 for size in sizes["sizes"] for value in size.values()), sizes
END
    checks=$((checks + 1))
else
    note 'JSON was not parsed: there is no python3'
fi

# What makes no sense.
run 2 bench --workload get,gte
err_has "there is no workload 'gte'; there are: load get"
run 2 bench --workload ,
err_has 'workload needs one of'
run 2 bench --processes 20 --threads 20
err_has '20 processes of 20 threads are too many'
run 2 bench --keep
err_has -- '--keep needs a STORE'
run 2 bench --sizes 10,x
err_has -- '--sizes takes up to 8 numbers'
run 2 bench "$dir/new" --sizes 10
err_has 'takes no STORE'
run 2 bench --value-size 7
run 2 bench --value-size 65K
run 2 bench --key-size 7
run 3 bench "$dir/nowhere/store"
err_has 'cannot make a directory in .*/nowhere: No such file or directory'
run 3 bench "$dir/new" --stripes 3
[ ! -e "$dir/new" ] || failed 'a wrong option made a store'

# Interrupted, it ends by the signal and takes its store away.
for signal in INT TERM; do
    # A shell starts what runs in the background with SIGINT ignored.
    env --default-signal=INT "$tool" bench "$dir/interrupted" --entries 20000 --seconds 10 --workload get --repeats 1 \
        >"$dir/out" 2>"$dir/err" &
    pid=$!
    waited=0
    until [ -n "$(left "$dir")" ] && [ -e "$dir/interrupted" ]; do
        sleep 0.05
        waited=$((waited + 1))
        [ $waited -lt 400 ] || failed "no store after $waited waits: $(cat "$dir/err")"
    done
    sleep 0.3
    kill -s "$signal" "$pid"
    code=0
    wait "$pid" || code=$?
    checks=$((checks + 1))
    case $signal-$code in
    INT-130 | TERM-143) ;;
    *) failed "interrupted by SIG$signal it ended with $code: $(cat "$dir/err")" ;;
    esac
    [ ! -e "$dir/interrupted" ] || failed "SIG$signal left the store"
    equal "$(left "$dir")" ''
    quiet_out
done
finish 75
