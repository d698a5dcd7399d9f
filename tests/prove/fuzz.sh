#!/bin/bash
# SPDX-License-Identifier: MIT
# Part `fuzz` of tools/prove: hostile bytes. Every target of fuzz/ under AddressSanitizer and UBSan: the plain runner over the
# corpus and over mutations of it; and where clang has libFuzzer, that engine.
#   fuzz.sh short|full DIR
# short: some seconds for each target, 90 s with the build on two busy cores. full: 10 minutes of libFuzzer for each target, two
# at a time: 40 minutes. What is found stays in DIR/fuzz/found, to be replayed by fuzz/hard_NAME FILE of the build there.
set -u
form=$1
dir=$2/fuzz
case $form in
full) plain_seconds=60 engine_seconds=600 ;;
*) plain_seconds=2 engine_seconds=4 ;;
esac
targets=(open changing recover operations jsonl dbtext arguments)

mkdir -p "$dir/found" || exit 3
work=$(mktemp -d "$dir/work-XXXXXX") || exit 3
dir=$(cd "$dir" && pwd)
work=$(cd "$work" && pwd)
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work

has_libfuzzer() {
    printf 'int LLVMFuzzerTestOneInput(const char *d, long n);\nint LLVMFuzzerTestOneInput(const char *d, long n) { return d && n > 9; }\n' \
        >"$work/probe.c"
    clang -fsanitize=fuzzer,address,undefined "$work/probe.c" -o "$work/probe" 2>/dev/null
}

# build PREFIX... : the programs PREFIX_TARGET, with what `setup` holds.
build() {
    local prefix target names=()
    for prefix; do
        for target in "${targets[@]}"; do names+=("fuzz/${prefix}_$target"); done
    done
    if [ ! -f "$dir/build/build.ninja" ]; then
        "${setup[@]}" "$dir/build" >"$work/setup.log" 2>&1 || { cat "$work/setup.log"; exit 3; }
    fi
    ninja -C "$dir/build" --quiet "${names[@]}" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 3; }
}

if has_libfuzzer; then
    setup=(env CC=clang meson setup)
    plain=hard engine=fuzz
    build hard fuzz
else
    echo "libFuzzer: not here (it comes with clang); the plain runner alone"
    setup=(meson setup "-Db_sanitize=address,undefined")
    plain=replay engine=
    build replay
fi

# Each leaves NAME.plain and NAME.engine, and NAME.faults with a line for each fault.
run_target() {
    local name=$1 seed=$RANDOM corpus=fuzz/corpus/$1
    timeout --foreground $((plain_seconds * 5 + 60)) "$dir/build/fuzz/${plain}_$name" "$corpus" --seconds "$plain_seconds" --seed "$seed" \
        >/dev/null 2>"$work/$name.plain" || echo "$name, plain runner, status $?" >>"$work/$name.faults"
    [ -n "$engine" ] || return 0
    mkdir -p "$work/$name.corpus"
    timeout --foreground $((engine_seconds * 2 + 120)) "$dir/build/fuzz/${engine}_$name" "$work/$name.corpus" "$corpus" -max_len=1024 \
        -max_total_time="$engine_seconds" -timeout=60 -print_final_stats=1 -artifact_prefix="$dir/found/$name-" \
        >/dev/null 2>"$work/$name.engine" || echo "$name, libFuzzer, status $?" >>"$work/$name.faults"
}

# The number before, or after, some text in a file; 0 if there is none.
before() { sed -n "s/^\(.* \)\{0,1\}\([0-9][0-9]*\) $2.*/\2/p" "$1" 2>/dev/null | tail -n 1 | grep . || echo 0; }
after() { sed -n "s/.*$2 *\([0-9][0-9]*\).*/\1/p" "$1" 2>/dev/null | tail -n 1 | grep . || echo 0; }

for ((i = 0; i < ${#targets[@]}; i += 2)); do
    for name in "${targets[@]:i:2}"; do run_target "$name" & done
    wait
done

files=0 mutations=0 executions=0 slowest=0 faults=0
for name in "${targets[@]}"; do
    took=$(after "$work/$name.plain" 'the slowest took')
    runs=$(after "$work/$name.engine" 'number_of_executed_units:')
    files=$((files + $(before "$work/$name.plain" 'files and')))
    mutations=$((mutations + $(before "$work/$name.plain" 'mutations,')))
    executions=$((executions + runs))
    slowest=$((took > slowest ? took : slowest))
    echo "$name: $(tail -n 1 "$work/$name.plain")"
    [ -z "$engine" ] || echo "$name: libFuzzer: $runs executions, $(after "$work/$name.engine" 'cov:') edges"
    if [ -s "$work/$name.faults" ]; then
        faults=$((faults + $(wc -l <"$work/$name.faults")))
        cat "$work/$name.faults"
        tail -n 30 "$work/$name.plain" "$work/$name.engine" 2>/dev/null
        cp "$work/$name.plain" "$dir/found/$name.plain.log"
        [ -z "$engine" ] || cp "$work/$name.engine" "$dir/found/$name.engine.log"
    fi
done
[ "$files" -gt 0 ] && [ "$mutations" -gt 0 ] || faults=$((faults + 1))
echo "proved: hostile bytes, ${#targets[@]} targets under ASan and UBSan: $files corpus files, $mutations mutations," \
    "$executions executions of libFuzzer, the slowest input $slowest ms, $faults faults"
[ "$faults" = 0 ]
