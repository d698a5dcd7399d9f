#!/bin/bash
# SPDX-License-Identifier: MIT
# Sanitizers, checkers and coverage: every tool that can see a fault which the tests themselves do not.
#   checkers.sh short|full DIR     from the root of the repository; an ordinary build is in DIR/plain, ours go to DIR/checkers
# short: cppcheck and clang-tidy (without its analyzer) on src/, valgrind on three programs, coverage of the quick tests; 2 min.
# full: also the analyzers of clang and gcc, valgrind on all that forks little, all tests under AddressSanitizer and
# UndefinedBehaviorSanitizer, the threaded ones under ThreadSanitizer, coverage of all tests; 30 min.
# Coverage is counted in memory that outlasts a killed process (clang, "continuous mode"), so that what the crash tests reach
# counts as well. Below the thresholds it is a fault.
set -u
form=${1:?usage: checkers.sh short|full DIR}
base=$(realpath "${2:?usage: checkers.sh short|full DIR}") || exit 3
plain=$base/plain
work=$base/checkers
mkdir -p "$work" || exit 3
readonly quick=(api verbs verbs_more open errors rare busy damage sizes words forks clock counts evict fill held many wait)
readonly short_lines=95.0 short_branches=90.3 full_lines=97.8 full_branches=98.2

for tool in cppcheck clang-tidy valgrind clang llvm-cov llvm-profdata meson ninja python3; do
    command -v "$tool" >/dev/null || { echo "skipped: $tool is missing: tools/install-packages prove"; exit 77; }
done

faults=0
told=
# Counts the faults in a list (one a line) and prints them.
fault_list() {
    local count
    count=$(grep -c . "$2")
    [ "$count" = 0 ] || { echo "$1:"; cat "$2"; }
    faults=$((faults + count))
}
tell() {
    echo "$1"
    told="$told${told:+, }$1"
}

# ---- Static: what can be told without running
run_cppcheck() {
    nice -n 5 cppcheck --quiet -j 2 --enable=warning,performance,portability --std=c11 --library=posix -Iinclude -D_GNU_SOURCE \
        -D__GLIBC__ --suppressions-list=tests/prove/cppcheck.suppressions --template='{file}:{line}: {message} [{id}]' \
        src 2>&1 >/dev/null | grep ': .*\[' >"$work/cppcheck.log"
    fault_list cppcheck "$work/cppcheck.log"
}

# Files are looked at one by one: a file in a process of its own.
run_clang_tidy() {
    local checks='-clang-analyzer-*'
    [ "$form" = short ] || checks=
    find src -name '*.c' -print0 | sort -z |
        xargs -0 -P 2 -n 1 nice -n 5 clang-tidy --quiet -p "$plain" --checks="$checks" 2>/dev/null |
        grep -E ': (error|warning): ' | sort -u >"$work/tidy.log"
    fault_list clang-tidy "$work/tidy.log"
}

# It takes the memory that hf_scan keeps in the caller's item for lost, and does not see that a buffer may be NULL where its size
# is 0.
run_gcc_analyzer() {
    local file wrong='src/scan.c.*malloc-leak|src/atomics.h.*null-argument'
    : >"$work/fanalyzer.log"
    for file in src/*.c; do
        nice -n 5 gcc -fanalyzer -O1 -std=gnu11 -D_GNU_SOURCE -Iinclude -c -o /dev/null "$file" 2>>"$work/fanalyzer.log"
    done
    grep -E 'warning: |error: ' "$work/fanalyzer.log" | grep -vE "$wrong" >"$work/fanalyzer.list"
    fault_list 'gcc -fanalyzer' "$work/fanalyzer.list"
}

# ---- Dynamic
# valgrind PROGRAM ARGUMENTS...: a fault is any error of memcheck, a leak among them.
run_valgrind() {
    local log=$work/valgrind.log status
    nice -n 5 valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite "$plain/tests/$1" "${@:2}" \
        >"$log" 2>&1
    status=$?
    programs=$((programs + 1))
    if [ "$status" != 0 ] && [ "$status" != 77 ]; then
        echo "valgrind: $*: exit status $status" >"$work/valgrind.list"
        grep -m 20 '^==' "$log" || tail -n 5 "$log"
        fault_list valgrind "$work/valgrind.list"
    fi
}

run_valgrinds() {
    programs=0
    ninja -C "$plain" --quiet tests/verbs tests/verbs_more tests/rare tests/errors tests/damage tests/open tests/api >/dev/null || exit 3
    run_valgrind verbs
    run_valgrind rare expired-entries damaged-reserve lost-reserve overlaps
    run_valgrind errors arguments odd-descriptors several-stores
    if [ "$form" = full ]; then
        run_valgrind verbs_more
        run_valgrind damage
        run_valgrind open
        run_valgrind api
    fi
    tell "$programs programs under valgrind"
}

# sanitized NAME MESON-OPTION... -- TEST...: all tests if none is named.
run_sanitized() {
    local name=$1 log=$work/$1.log options=() tests=() count
    shift
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    for test in "$@"; do tests+=(--only "$test"); done
    nice -n 5 env CC=clang CXX=clang++ tools/check --build "$work/$name" "${tests[@]}" "${options[@]}" -Db_lundef=false >"$log" 2>&1
    sed -n 's/^ *[0-9]*\/[0-9]* *//; / \(FAIL\|TIMEOUT\|ERROR\) /p' "$log" >"$work/$name.list"
    count=$(sed -n 's/^Ok: *\([0-9]*\).*/\1/p' "$log" | tail -n 1)
    [ -n "$count" ] || { tail -n 20 "$log"; exit 3; }
    fault_list "$name" "$work/$name.list"
    tell "$count tests under $name"
}

# ---- Coverage
build_for_coverage() {
    local flags='-fprofile-instr-generate -fprofile-update=atomic -fcoverage-mapping -mllvm -runtime-counter-relocation=true'
    [ -f "$work/coverage/build.ninja" ] ||
        env CC=clang CXX=clang++ meson setup "$work/coverage" --buildtype=debug --optimization=0 -Db_lundef=false \
            "-Dc_args=-DHF_TEST $flags" "-Dcpp_args=$flags" -Dc_link_args=-fprofile-instr-generate \
            -Dcpp_link_args=-fprofile-instr-generate >"$work/coverage.log" 2>&1 ||
        { tail -n 20 "$work/coverage.log"; exit 3; }
    nice -n 5 ninja -C "$work/coverage" -j 2 --quiet "$@" >"$work/coverage.log" 2>&1 || { tail -n 20 "$work/coverage.log"; exit 3; }
}

# In the full form all tests but those that plant bugs (they reach what no sound library does), that look at the text or the names,
# and the one that forbids a program to map a file, which the counters are.
run_for_coverage() {
    local names=() name
    if [ "$form" = short ]; then
        for name in "${quick[@]}"; do
            nice -n 5 "$work/coverage/tests/$name" >"$work/coverage-test.log" 2>&1 ||
                { echo "$name failed"; tail -n 3 "$work/coverage-test.log"; faults=$((faults + 1)); }
        done
        for name in descriptors memory file-sizes proc random full-disk ramfs; do
            nice -n 5 "$work/coverage/tests/limits" "$name" >"$work/coverage-test.log" 2>&1 || [ $? = 77 ] ||
                { echo "limits $name failed"; tail -n 3 "$work/coverage-test.log"; faults=$((faults + 1)); }
        done
        return
    fi
    mapfile -t names < <(meson test -C "$work/coverage" --no-rebuild --list 2>/dev/null | sed -n 's/^holdfast:[a-z]* \/ //p' |
        grep -vxE 'planted bugs are caught|style|names in the libraries|system calls of a reader')
    nice -n 5 meson test -C "$work/coverage" --no-rebuild --num-processes 2 -t 5 "${names[@]}" >"$work/coverage-test.log" 2>&1
    grep -E ' (FAIL|TIMEOUT|ERROR) ' "$work/coverage-test.log" >"$work/coverage.list"
    fault_list 'tests for coverage' "$work/coverage.list"
}

run_coverage() {
    local targets=() lines branches least_lines=$full_lines least_branches=$full_branches
    if [ "$form" = short ]; then
        least_lines=$short_lines least_branches=$short_branches
        for name in "${quick[@]}" limits; do targets+=("tests/$name"); done
    fi
    build_for_coverage "${targets[@]}"
    rm -rf "$work/counters"
    mkdir "$work/counters" && chmod 777 "$work/counters" || exit 3
    export LLVM_PROFILE_FILE="$work/counters/%m%c.profraw"
    run_for_coverage
    unset LLVM_PROFILE_FILE
    llvm-profdata merge -o "$work/merged" "$work"/counters/*.profraw &&
        llvm-cov export "$work/coverage/src/libholdfast.so" -instr-profile "$work/merged" >"$work/coverage.json" &&
        python3 tests/prove/coverage.py "$work/coverage.json" . --missing >"$work/coverage.txt" || exit 3
    grep -v ': never ' "$work/coverage.txt" | head -n -1
    read -r lines branches <<<"$(tail -n 1 "$work/coverage.txt")"
    echo "not reached: $work/coverage.txt"
    if awk "BEGIN { exit !($lines < $least_lines || $branches < $least_branches) }"; then
        echo "coverage: $lines % of lines, $branches % of branches: at least $least_lines and $least_branches are wanted"
        faults=$((faults + 1))
    fi
    tell "$lines % of lines and $branches % of branches covered"
}

tell "$(find src -name '*.c' | wc -l) files by cppcheck and clang-tidy"
run_cppcheck
run_clang_tidy
[ "$form" = short ] || run_gcc_analyzer
run_valgrinds
if [ "$form" = full ]; then
    run_sanitized address-and-undefined -Db_sanitize=address,undefined --
    run_sanitized threads -Db_sanitize=thread -- 'threads on one mapping' 'scans while others write' \
        'readers against writers, threads' 'every result of put, get, delete, take' 'numbers, appends, expiry, sized structs'
fi
run_coverage
echo "proved: checkers on src/: $told, $faults faults"
[ "$faults" = 0 ]
