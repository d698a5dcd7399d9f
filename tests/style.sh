#!/bin/sh
# SPDX-License-Identifier: MIT
# The style gate: what can be told by looking at the text. Usage: style.sh SOURCE_ROOT
set -u
cd "${1:-.}" || exit 2
failed=$(mktemp)
trap 'rm -f "$failed"' EXIT

c_files=$(find src include tools tests fuzz -name '*.[ch]' | sort)
all_files=$(find src include tools tests fuzz .ci -type f ! -name '*.1' ! -path 'fuzz/corpus/*' 2>/dev/null | sort)
test -n "$c_files" || { echo "style.sh: no sources below $(pwd)"; exit 2; }

# Prints what it reads under a title, and remembers that there was something.
report() {
    found=$(cat)
    if [ -n "$found" ]; then
        printf '%s:\n%s\n' "$1" "$found"
        echo "$1" >>"$failed" # a variable would not outlast the pipe
    fi
}

# Lists of files are split on purpose.
# shellcheck disable=SC2086
{
    tab=$(printf '\t')
    grep -nE "$tab" $c_files | report "tabs"
    grep -nE '[ ]+$' $all_files | report "blanks at the end of a line"
    awk 'length > 130 { print FILENAME ":" FNR ": " length " columns" }' $c_files | report "lines over 130 columns"
    for file in $all_files; do
        [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ] && echo "$file"
    done | report "no newline at the end"
    for file in $all_files; do
        [ "${file%.md}" = "$file" ] || continue
        head -n 3 "$file" | grep -q 'SPDX-License-Identifier: MIT' || echo "$file"
    done | report "no SPDX line"

    in_src=$(echo "$c_files" | grep '^src/')
    grep -nE 'pthread_' $in_src | grep -vE '^src/(lock|open|fill|fill_lock)\.c:' |
        grep -vE '^src/layout\.h:.*<pthread\.h>|(sizeof|alignof)\(pthread_mutex_t\)|pthread_mutex_t \*?mutex[;)]' | grep -vE ':[ ]*(/?\*|//)' |
        report "pthread names outside lock.c, open.c and the fill locks"
    grep -nE 'pthread_(cond|rwlock|barrier)_|sem_(wait|post|init)' $in_src | report "a primitive that a killed process can wedge"
    grep -nE 'memory_order|__ATOMIC' $in_src | grep -v '^src/atomics\.h:' | report "memory orders outside atomics.h"
    grep -nE "__builtin_prefetch" $in_src | grep -v "^src/atomics\.h:" | report "a prefetch that gcc may drop: use hf__fetch"
    grep -nE '<xxhash\.h>' $in_src | grep -vE '^src/hash(_key\.h|\.c):' | report "xxhash outside hash.c and hash_key.h"
    grep -nE '(malloc|calloc|realloc|free|open|read|write|fcntl|mmap)\(' src/recover.c src/check.c |
        grep -nvE ':[ ]*(/?\*|//)|hf__|_(free|open|read|write)\(' | report "allocation or I/O in recover.c or check.c"

    awk 'FNR == 1 { start = 0 }
         /^\{/ || /^[a-zA-Z].*\)[ \t]*\{[ \t]*$/ { start = FNR }
         /^\}/ { if (start && FNR - start > 80) print FILENAME ":" start ": " FNR - start " lines"; start = 0 }' $c_files |
        report "functions over 80 lines"
    wc -l $c_files | awk '$1 > 500 && $2 != "total" { print $2 ": " $1 " lines" }' | grep -v '^include/holdfast\.h' |
        report "files over 500 lines"

    grep -nE '(^|[^a-zA-Z_.])/(work|root|home|farm)/' $all_files | report "paths of a particular machine"
    # Taken apart, so that this file does not hold them.
    words='TO''DO|FIX''ME|X''XX|HA''CK|phase [0-9]|for n''ow|stu''b(bed)?'
    grep -nwiE "$words" $all_files | grep -v 'mkdtemp\|mktemp\|-XX''XX' | report "unfinished words"
}
[ ! -s "$failed" ]
