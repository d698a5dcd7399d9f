# SPDX-License-Identifier: MIT
# Completion of holdfast for bash. Commands and options are asked of the tool itself, so that nothing is listed twice.

_holdfast() {
    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        words=$(holdfast --help 2>/dev/null | sed -n 's/^  \([a-z]\{1,\}\)  .*/\1/p')
    elif [[ $word == -* ]]; then
        words=$(holdfast help "$command" 2>/dev/null | sed -n 's/^  \(-., \)\{0,1\}\(--[a-z-]*\).*/\2/p')
    else
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _holdfast holdfast
