#!/bin/bash
# SPDX-License-Identifier: MIT
# Other builds: with musl, and as a 32-bit program. Each passes the tests by itself, and all meet in one file (tests/foreign.sh).
#
#     tests/prove/builds.sh short|full DIR     needs the ordinary build in DIR/plain, builds below DIR/builds
#                                              short: 90 s, the suites api and unit and the locks; full: 6 minutes, all suites
#
# Left out: the suite style, which looks at sources only, and the C++ test of the header, for there is no C++ library for these
# builds; short leaves out all that is not named above. Debian has musl for 32 bits only as a foreign architecture: not tried.
# A test may use 64-bit numbers as sizes, so there the warning about it is no error; in the library and the tool it is a fault.
set -u
how=${1:?usage: tests/prove/builds.sh short|full DIR}
top=${2:?usage: tests/prove/builds.sh short|full DIR}
root=$(cd "$(dirname "$0")/../.." && pwd) || exit 3
mkdir -p "$top/builds" && top=$(cd "$top" && pwd) && dir=$top/builds || exit 3
plain=$top/plain/tools/holdfast
passed=0 faults=0 builds=()

fault() {
    faults=$((faults + 1))
    echo "FAULT: $*"
}

command -v musl-gcc >/dev/null || { echo "skipped: musl-gcc is missing: tools/install-packages prove"; exit 77; }
if ! echo 'int main(void) { return sizeof(void *) != 4; }' | gcc -m32 -x c -o "$dir/probe" - 2>/dev/null || ! "$dir/probe"; then
    echo "skipped: no 32-bit programs can be made and run here: tools/install-packages prove"
    exit 77
fi
[ -x "$plain" ] || { echo "builds.sh: there is no ordinary build: meson setup $top/plain && ninja -C $top/plain"; exit 3; }

# build NAME COMPILER-AS-MESON-WRITES-IT MORE-ARGUMENTS-AS-IT-WRITES-THEM
build() {
    local options=(--werror "-Dc_args=['-Wno-error=conversion'$3]")
    [ "$how" = full ] || options+=(-Doptimization=1)
    printf '[binaries]\nc = %s\ncpp = '\''false'\''\n' "$2" >"$dir/$1.ini"
    rm -rf "${dir:?}/$1"
    if ! meson setup "${options[@]}" --native-file "$dir/$1.ini" "$dir/$1" "$root" >"$dir/$1.setup" 2>&1 ||
        ! nice -n 5 ninja -C "$dir/$1" -j2 >"$dir/$1.log" 2>&1; then
        tail -n 20 "$dir/$1.setup" "$dir/$1.log"
        echo "builds.sh: $1 could not be built"
        exit 3
    fi
    builds+=("$1")
    # ninja prints what a compiler says below the line that names what it compiled.
    if awk '/Compiling C object/ { ours = $5 ~ "^(src|tools)/" } ours && / warning: / { print; found = 1 } END { exit !found }' \
        "$dir/$1.log"; then
        fault "$1: the library or the tool was compiled with warnings"
    fi
}

# number TITLE: of meson's summary
number() {
    awk -v title="$1" -F: '$1 ~ "^" title { sum += $2 } END { print sum + 0 }' "$dir/$name.tests"
}

# tests NAME MESON-TEST-ARGUMENT...
tests() {
    name=$1
    shift
    nice -n 5 meson test -C "$dir/$name" --no-rebuild --num-processes 2 --timeout-multiplier 3 --print-errorlogs "$@" \
        >>"$dir/$name.tests" 2>&1
}

# What the tests of a build came to.
judge() {
    name=$1
    local failed
    grep -E ' (SKIP|FAIL|TIMEOUT|ERROR) ' "$dir/$name.tests"
    sed -n 's/^skipped: /    why: /p' "$dir/$name/meson-logs/testlog.txt"
    failed=$(($(number Fail) + $(number Timeout) + $(number 'Unexpected Pass')))
    passed=$((passed + $(number Ok)))
    echo "$name: $(number Ok) tests passed, $failed failed, $(number Skipped) skipped"
    [ "$failed" -eq 0 ] || { fault "$name: $failed tests failed"; cat "$dir/$name.tests"; }
    [ "$(number Ok)" -gt 0 ] || fault "$name: no test was passed"
}

# foreign NAME HOLDFAST...
foreign() {
    bash "$root/tests/foreign.sh" "$@" >"$dir/foreign.log" 2>&1
}

# Debian's musl comes without the kernel's headers.
build musl-64 "'musl-gcc'" ", '-idirafter', '/usr/include', '-idirafter', '/usr/include/$(gcc -print-multiarch)'"
build glibc-32 "['gcc', '-m32']" ''
for name in "${builds[@]}"; do
    : >"$dir/$name.tests"
    if [ "$how" = full ]; then
        tests "$name" --no-suite style
    else
        tests "$name" --suite api --suite unit
        tests "$name" 'stopped, dead and re-entered lock holders'
    fi
    judge "$name"
done

if ! foreign one "$plain" same "$plain"; then
    echo "tests/foreign.sh fails, as it must, where one build plays both parts"
else
    fault "tests/foreign.sh passes where nobody is refused"
fi
foreign glibc-64 "$plain" musl-64 "$dir/musl-64/tools/holdfast" glibc-32 "$dir/glibc-32/tools/holdfast" || faults=$((faults + 1))
cat "$dir/foreign.log"
echo "proved: other builds: ${#builds[@]} built (${builds[*]}), $passed tests passed; with the ordinary one," \
    "$(tail -n 1 "$dir/foreign.log" | sed 's/, [0-9]* faults$//'), $faults faults"
[ "$faults" -eq 0 ]
