# SPDX-License-Identifier: MIT
# Completion of pvmm's command line for bash. Commands, options and operands are what the program itself
# says of them (--commands, and the help texts): nothing here is to be kept up to date but the words
# that an option chooses between.

# What one command's --help says: _pvmm_options, one word each; of those with a value what stands for it
# there, in _pvmm_value; the operands, in order, in _pvmm_operands.
_pvmm_read_help() { # PROGRAM COMMAND
    local line borrowed=''
    local option='^  +((-[A-Za-z0-9])(, )?)?(--[a-z0-9-]+)?(\[=([A-Z]+)\]|[ ]"?([A-Z]+)"?( |$))?'

    while IFS= read -r line; do
        if [[ $line == "Usage: "* && ${#_pvmm_operands[@]} -eq 0 ]]; then
            _pvmm_read_usage "${line#"Usage: pvmm $2"}"
        elif [[ $line =~ ^\ \ +- && $line =~ $option ]]; then
            _pvmm_take "${BASH_REMATCH[6]}${BASH_REMATCH[7]}" "${BASH_REMATCH[5]}" "${BASH_REMATCH[4]}" \
                "${BASH_REMATCH[2]}"
        elif [[ $line == 'As of "pvmm run" (see there):'* || ($borrowed && $line) ]]; then
            borrowed+=" $line"
        elif [[ $borrowed ]]; then
            _pvmm_borrow "$1" "$borrowed"
            borrowed=''
        fi
    done < <("$1" "$2" --help 2>/dev/null)
}

_pvmm_take() { # VALUE SEPARATOR LONG SHORT
    local name

    _pvmm_options+=("${3:-$4}")
    for name in $3 $4; do
        [[ ! $1 ]] || _pvmm_value[$name]=$1
        [[ $2 != '['* ]] || _pvmm_glued[$name]=1
        _pvmm_long[$name]=${3:-$4}
    done
}

# "[OPTION]... [-e KEY] NAME FILE..." without what is an option.
_pvmm_read_usage() { # WORDS
    local words=$1 word

    while [[ $words =~ ^(.*)\[-[^]]*\](.*)$ || $words =~ ^(.*)\[OPTION\]\.\.\.(.*)$ ]]; do
        words="${BASH_REMATCH[1]}${BASH_REMATCH[2]}"
    done
    for word in $words; do
        [[ $word == -* ]] || _pvmm_operands+=("$word")
    done
}

# Options that are explained at another command.
_pvmm_borrow() { # PROGRAM NAMES
    local -a own=("${_pvmm_options[@]}") operands=("${_pvmm_operands[@]}")
    local word

    _pvmm_options=()
    _pvmm_read_help "$1" run
    local -a theirs=("${_pvmm_options[@]}")
    _pvmm_options=("${own[@]}") _pvmm_operands=("${operands[@]}")
    for word in "${theirs[@]}"; do
        [[ ! $2 =~ (^|[^a-z0-9-])$word([^a-z0-9-]|$) ]] || _pvmm_options+=("$word")
    done
}

_pvmm_guests() { # PROGRAM
    local name rest

    "$1" list 2>/dev/null | while read -r name rest; do
        [[ $name == Name && $rest == ID* ]] || printf '%s\n' "$name"
    done
}

# Words that an option chooses between; other words than these are files.
_pvmm_choices() { # OPTION
    case $1 in
    --accel) echo auto tcg kvm ;;
    --as) echo hex raw string ;;
    --detail) echo auto all tables ;;
    --format) echo xl libxc ;;
    --hypervisor) echo pvmm ;;
    --loader) echo qemu grub ;;
    --machine) echo q35 pc ;;
    --on-suspend) echo end cancel ;;
    --records) echo off ;;
    --source) echo container m2p linear mfn_list_list stream symbols flat tables ;;
    --to) echo core stream elf ;;
    --too-fast) echo stop give-up ;;
    esac
}

# What completes a word that the help texts call WHAT.
_pvmm_complete_as() { # PROGRAM WHAT OPTION CURRENT
    local choices=''

    [[ $2 == COMMAND ]] || choices=$(_pvmm_choices "$3")
    if [[ $choices ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$4")
        [[ $3 != --hypervisor ]] || compopt -o default
        return
    fi
    case $2 in
    NAME)
        [[ $3 == --name || $3 == --section || $3 == --source ]] || # not names of guests that are there
            mapfile -t COMPREPLY < <(compgen -W "$(_pvmm_guests "$1")" -- "$4")
        ;;
    DIR)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -d -- "$4")
        ;;
    FILE | KERNEL | PROGRAM | OUT | PAGE | A | B) compopt -o default ;;
    esac
}

_pvmm() {
    local IFS=$' \t\n' program=${COMP_WORDS[0]/#\~\//$HOME/} current=${COMP_WORDS[COMP_CWORD]}
    local command=${COMP_WORDS[1]} previous=${COMP_WORDS[COMP_CWORD - 1]} option='' operand i n=0
    local -a _pvmm_options=() _pvmm_operands=()
    local -A _pvmm_value=() _pvmm_glued=() _pvmm_long=()

    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$("$program" --commands 2>/dev/null) --help --version" -- "$current")
        return
    fi
    _pvmm_read_help "$program" "$command"
    ((${#_pvmm_options[@]} + ${#_pvmm_operands[@]} > 0)) || return
    # bash takes "--option=value" for three words.
    if [[ $current == '=' ]]; then
        option=$previous current=''
    elif [[ $previous == '=' ]]; then
        option=${COMP_WORDS[COMP_CWORD - 2]}
    elif [[ $previous == -* && ! ${_pvmm_glued[$previous]} ]]; then
        option=$previous
    fi
    if [[ $option && ${_pvmm_value[$option]} ]]; then
        _pvmm_complete_as "$program" "${_pvmm_value[$option]}" "${_pvmm_long[$option]}" "$current"
        return
    fi
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${_pvmm_options[*]} --help" -- "$current")
        return
    fi
    for ((i = 2; i < COMP_CWORD; i++)); do
        previous=${COMP_WORDS[i - 1]}
        [[ ${COMP_WORDS[i]} == [-=]* || $previous == '=' ]] ||
            [[ ${_pvmm_value[$previous]} && ! ${_pvmm_glued[$previous]} ]] || ((++n))
    done
    ((n < ${#_pvmm_operands[@]})) || [[ ${_pvmm_operands[-1]} != *... ]] || n=$((${#_pvmm_operands[@]} - 1))
    operand=${_pvmm_operands[n]//./}
    operand=${operand#'['}
    _pvmm_complete_as "$program" "${operand%']'}" '' "$current"
}
complete -F _pvmm pvmm
