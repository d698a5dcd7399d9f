#!/bin/sh
# SPDX-License-Identifier: MIT
# Failing system calls: the nth call of each kind fails in every call of the library and every command of the tool (syscalls.py).
#
#     syscalls.sh short|full DIR      with a build in DIR/plain
#
# short: errors take turns, on stores in use: a minute on two cores. full: every error that fits, on stores that nobody has opened
# yet and on copied ones too, with errors that stay, and under valgrind: a quarter of an hour.
set -u
mode=${1:-} plain=${2:-}/plain
case $mode in
short | full) ;;
*) echo "usage: syscalls.sh short|full DIR" >&2; exit 3 ;;
esac
if ! command -v python3 >/dev/null; then
    echo "skipped: python3 is not installed"
    exit 77
fi
for file in tools/holdfast tests/syscalls; do
    [ -x "$plain/$file" ] || { echo "syscalls.sh: there is no $plain/$file" >&2; exit 3; }
done
set -- "$plain/tools/holdfast" "$plain/tests/syscalls"
[ "$mode" = short ] || set -- "$@" --full
if [ -e "$plain/tests/liballocations.so" ]; then
    set -- "$@" --allocations "$plain/tests/liballocations.so"
else
    echo "not done: failing allocations, for libfiu was not there when this was built"
fi
exec python3 tests/syscalls.py "$@"
