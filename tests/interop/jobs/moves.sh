# SPDX-License-Identifier: MIT
# For a job of moves.py: domains that were saved elsewhere go on here; such that begin here leave a core and a save.
# One that fails is no reason for the next not to be tried. begins.NAME and asks.NAME have what is asked on its
# console, a line each: what is typed (it may be nothing), TAB, a regex for what comes.
. ./lib.sh

STEP_LIMIT=300
TAB=$(printf '\t')

# What comes behind is said by NAME in this phase.
mark() { # PHASE NAME
    echo "MARK $1 $2 $(lines_of "$2" 2>/dev/null || echo 0)"
}

says() { # NAME FILE
    while IFS= read -r ask <&3; do
        before=$(lines_of "$1") asked=$(date +%s)
        typed=${ask%%"$TAB"*}
        [ -z "$typed" ] || type_to "$1" "$typed"
        awaits "$1" "${ask#*"$TAB"}" "$before" || return
        echo "DATE $1 $asked $(date +%s)"
    done 3<"$2"
}

arrives() { # NAME DISK PHASE
    mark "$3" "$1"
    step "restore-$1" xl restore "$2" && says "$1" "asks.$1"
    mark gone "$1"
    step "destroy-$1" xl destroy "$1"
}

departs() { # NAME KERNEL: as NAME.cfg has it
    mark began "$1"
    step "create-$1" xl create "$1.cfg" && rm "/job/$2" && says "$1" "begins.$1" && take_core "$1" "$1" &&
        says "$1" "asks.$1" && step "save-$1" xl save "$1" "$OUT/$1.save"
    mark gone "$1"
}
