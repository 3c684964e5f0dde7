# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Running the test guest: sourced by conform.sh and record.sh, which set PVMM and GUEST.

# guest_run DIR TIMEOUT WORDS OPTION...: DIR/out is what the guest said, without the hypervisor's
# own lines; DIR/err and DIR/json the verdict. The exit code is pvmm's.
guest_run() {
    dir=$1 patience=$2 words=$3
    shift 3
    rc=0
    timeout $((patience + 30)) "$PVMM" run --no-core --accel tcg -m 64M --timeout "$patience" -a "$words" \
        --json "$dir/json" --log "$dir/log" "$@" "$GUEST" \
        </dev/null >"$dir/raw" 2>"$dir/err" || rc=$?
    tr -d '\r' <"$dir/raw" | grep -v '^(XEN)' >"$dir/out"
    return "$rc"
}

# The lines that a chaos run is compared by.
chaos_lines() {
    grep -a '^chaos seed' "$1"
}

# shellcheck disable=SC2034 # for whoever sources this
CHAOS_SEEDS="1 2 3 4 5 6 7 8 9 10"
# shellcheck disable=SC2034
CHAOS_COUNT=100000
