# SPDX-License-Identifier: Apache-2.0
# Completion of weir and weirctl in bash: the words come from `weir complete`, files from the shell.
_weir() {
    local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words
    case $before in
    -f | -c | --config | --socket | --plugin-dir | init | diff)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    esac
    words=$(weir complete -- "${COMP_WORDS[@]:0:COMP_CWORD}" 2>/dev/null) || return
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -o filenames -F _weir weir weirctl
