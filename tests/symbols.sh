#!/bin/sh
# SPDX-License-Identifier: MIT
# What the libraries show: the shared one exports exactly the functions of the header, the static one has no global name
# without the prefix hf_, and api.c calls every function there is.
# Usage: symbols.sh HEADER SHARED_LIBRARY STATIC_LIBRARY API_TEST
set -eu
header=$1 shared=$2 static=$3 api=$4
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

# The functions of the header: a name followed by its parameters, in a declaration that begins with HF_API or HF_CHECKED.
grep -E '^(HF_API|HF_CHECKED) ' "$header" | sed -E 's/^[^(]*[ *](hf_[a-z_]+)\(.*/\1/' | sort -u >"$temp/declared"
nm -D --defined-only "$shared" | awk '$2 ~ /[A-Z]/ { sub(/@.*/, "", $3); print $3 }' | grep -v '^HOLDFAST' | sort -u >"$temp/exported"
failed=0

test "$(wc -l <"$temp/declared")" -ge 30 || { echo "found only $(wc -l <"$temp/declared") functions in $header"; failed=1; }
if ! diff "$temp/declared" "$temp/exported" >"$temp/difference"; then
    echo "the shared library does not export exactly what the header declares (< declared only, > exported only):"
    cat "$temp/difference"
    failed=1
fi
# Sanitizers add names of their own, which begin with two underscores.
if nm -g --defined-only "$static" | awk 'NF == 3 && $2 ~ /[A-Z]/ { print $3 }' | grep -vE '^(hf_|__)'; then
    echo "the names above are global in the static library and lack the prefix hf_"
    failed=1
fi
while read -r name; do
    grep -q "\b$name(" "$api" || { echo "$name is not called by $api"; failed=1; }
done <"$temp/declared"
exit $failed
