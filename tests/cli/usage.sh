#!/bin/sh
# SPDX-License-Identifier: MIT
# Help, version, the grammar of options, and that the man page knows every command and option.
. "$(dirname "$0")/lib.sh"
page=$2

run 0 --help
cp "$dir/out" "$dir/overview"
run 0 help
same "$dir/out" "$dir/overview"
run 0 -h
same "$dir/out" "$dir/overview"
commands=$(sed -n 's/^  \([a-z]\{1,\}\)  .*/\1/p' "$dir/overview")
equal "$(echo "$commands" | sort | tr '\n' ' ')" "append bench chaos check clear copy count create del dump exists expire get import \
incr info keys load locks log ls memo put repair replay rm stats take top touch ttl watch "

run 0 --version
out_has '^holdfast [0-9]*\.[0-9]*\.[0-9]*$'
run 2
err_has '^usage: holdfast COMMAND'
quiet_out
run 2 frobnicate
err_has "unknown command 'frobnicate'; see 'holdfast --help'"
run 2 help frobnicate
err_has "unknown command 'frobnicate'"

for command in $commands; do
    run 0 "$command" --help
    silent
    out_has "^usage: holdfast $command \(\[*STORE\|TRACE\|\[DIR\]\)"
    out_has '^Examples:$'
    out_has "^  .*holdfast $command "
    cp "$dir/out" "$dir/help"
    run 0 "$command" -h
    same "$dir/out" "$dir/help"
    run 0 help "$command"
    same "$dir/out" "$dir/help"
    grep -q "^\.It Cm $command .*Ar \(STORE\|TRACE\|DIR\)" "$page" || failed "the man page does not know $command"
    # shellcheck disable=SC2013 # options are words
    for option in $(sed -n 's/^  \(-., \)\{0,1\}--\([a-z-]*\).*/\2/p' "$dir/help"); do
        sed -n "/^\.It Cm $command /,/^\.It Cm \|^\.Sh /p; /^\.Sh DESCRIPTION/,/^\.Ss /p" "$page" |
            grep -q -e "Fl -$option\( \|\$\)" -e "Fl [a-z0-9] , Fl -$option\$" ||
            failed "the man page does not know --$option of $command"
        checks=$((checks + 1))
    done
    if ! grep -q "^usage: holdfast $command \[" "$dir/help"; then
        run 2 "$command"
        err_has "holdfast: $command: too few operands: takes \(STORE\|TRACE\).*; see 'holdfast $command --help'"
    fi
    run 2 "$command" --no-such-option
    err_has "unknown option '--no-such-option'.*see 'holdfast $command --help'"
    quiet_out
done
# And nothing else: every option of the page is one of these (-p is mdb_dump's).
hf_options=$(for command in $commands; do hf help "$command" | sed -n 's/^  \(-., \)\{0,1\}--\([a-z-]*\).*/\2/p'; done)
for option in $(grep -o 'Fl -[a-z-]*' "$page" | sed 's/Fl -//' | sort -u) version; do
    echo "$hf_options version" | tr ' ' '\n' | grep -qx -e "$option" || failed "the man page has --$option, which is no option"
    checks=$((checks + 1))
done
for command in info touch clear expire replay keys count dump copy locks top ls log check repair chaos create; do
    run 2 "$command" a b c d
    err_has 'too many operands'
done

# The grammar: --name=value, options after operands, "--", "-" and digits, letters.
run 0 create --capacity=4M "$store" --stripes 2
run 2 create "$dir/other" --capacity
err_has -- '--capacity needs a value: SIZE'
run 2 create "$dir/other" --quiet=yes
err_has -- '--quiet takes no value'
run 2 create "$dir/other" -z
err_has "unknown option '-z'"
run 2 create "$dir/other" -qz
err_has "unknown option '-qz'"
[ ! -e "$dir/other" ] || failed 'a wrong command line made a store'
run 0 put "$store" -- --help -5
run 0 get "$store" -- --help
out_is -5
run 0 put -- "$store" -q -h
run 0 get "$store" -- -q
out_is -h
run 0 put "$store" -5 -6
run 0 get "$store" -5
out_is -6
run 2 put "$store" -k v
err_has 'write -- before a key or value that begins with -'

# --quiet keeps still, except for errors of usage.
run 1 get "$store" nobody --quiet
silent
run 3 get "$dir/nowhere" key -q
silent
run 2 get -q "$store"
err_has 'too few operands'

finish 480
