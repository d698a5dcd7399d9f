# SPDX-License-Identifier: MIT
# What the tests of the command line tool share; read by each with ".". The first argument of a test is the tool.
#
# Every check names what it saw when it fails, and ends the test. Files live in $dir, which goes when the test ends.
# shellcheck shell=sh
# shellcheck disable=SC2034 # variables for the scripts that read this file

set -u
LC_ALL=C
export LC_ALL
# A sanitizer must not end a process with an exit code that the tool uses.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}exitcode=99"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:+$UBSAN_OPTIONS:}exitcode=99"

tool=$(realpath "$1") || exit 1
checks=0
notes=

place=${TMPDIR:-/tmp}
if [ -z "${TMPDIR:-}" ] && [ -d /dev/shm ] && [ -w /dev/shm ]; then
    place=/dev/shm
fi
dir=$(mktemp -d "$place/holdfast-cli.XXXXXX") || exit 1
trap 'chmod -R u+rwX "$dir"; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT PIPE TERM
store=$dir/store

hf() { "$tool" "$@"; }

failed() {
    echo "FAILED: $*" >&2
    exit 1
}

# run CODE ARGUMENT...: runs the tool, keeps what it prints in $dir/out and $dir/err, and wants this exit code.
run() {
    wanted=$1
    shift
    code=0
    "$tool" "$@" >"$dir/out" 2>"$dir/err" || code=$?
    checks=$((checks + 1))
    [ "$code" -eq "$wanted" ] || failed "holdfast $*: exit code $code, not $wanted: $(cat "$dir/err")"
}

# What the last run printed on standard output, without the last newline.
out_is() {
    checks=$((checks + 1))
    [ "$(cat "$dir/out")" = "$1" ] || failed "printed '$(head -c 400 "$dir/out")', not '$1'"
}

out_has() {
    checks=$((checks + 1))
    grep -q -e "$1" "$dir/out" || failed "'$1' is not in what was printed: '$(head -c 400 "$dir/out")'"
}

err_has() {
    checks=$((checks + 1))
    grep -q -e "$1" "$dir/err" || failed "'$1' is not in the messages: '$(head -c 400 "$dir/err")'"
}

silent() {
    checks=$((checks + 1))
    [ ! -s "$dir/err" ] || failed "a message where none belongs: $(cat "$dir/err")"
}

quiet_out() {
    checks=$((checks + 1))
    [ ! -s "$dir/out" ] || failed "printed where nothing belongs: $(head -c 400 "$dir/out")"
}

# same FILE FILE
same() {
    checks=$((checks + 1))
    cmp "$1" "$2" >&2 || failed "$1 and $2 differ: $(head -c 300 "$1") / $(head -c 300 "$2")"
}

equal() {
    checks=$((checks + 1))
    [ "$1" = "$2" ] || failed "'$1' is not '$2'"
}

note() {
    notes="$notes; not done: $*"
}

# The test ends here, well if it checked at least this much.
finish() {
    [ "$checks" -ge "$1" ] || failed "only $checks checks were made, not $1"
    echo "$checks checks$notes"
    exit 0
}

# skip WHY: nothing was tested.
skip() {
    echo "skipped: $*"
    exit 77
}
