#!/bin/sh
# SPDX-License-Identifier: MIT
# The test kernel, on pvmm and on real Xen: xen.sh PVMM BUILD KERNEL CASE. CASE is one of cases.txt, for
# the real Xen out of BUILD/xen with xen- before it.
set -u
PVMM=$1 BUILD=$2 KERNEL=$3 CASE=$4
PATIENCE=${PVMM_TEST_PATIENCE:-240}
XEN=$BUILD/xen/xen-4.17-amd64.gz
here=$(dirname "$0")

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# shellcheck disable=SC2034 # for what is sourced
out=$dir/out err=$dir/err json=$dir/json
# shellcheck source=tests/boot/lib.sh
. "$here/../boot/lib.sh"

# run WORDS OPTION...: DIR/out is what the kernel said, without the hypervisor's own lines.
run() {
    words=$1
    shift
    rc=0
    timeout $((PATIENCE + 30)) "$PVMM" run --no-core --accel tcg --timeout "$PATIENCE" --json "$dir/json" \
        --log "$dir/log" -a "$words" "$@" "$KERNEL" </dev/null >"$dir/raw" 2>"$dir/err" || rc=$?
    tr -d '\r' <"$dir/raw" | grep -av '^(XEN)' >"$dir/out"
}

ended() { # exit code, outcome
    [ "$rc" -eq "$1" ] || flunk "exit code $rc instead of $1"
    [ "$(field outcome)" = "$2" ] || flunk "outcome $(field outcome) instead of $2"
}

audited() {
    [ "$real_xen" = 1 ] && return
    [ "$(field audit.taken)" = True ] || flunk "no audit was taken"
    [ "$(field audit.clean)" = True ] || flunk "the audit is not clean"
}

# The plan is there and kept: each test once, in order, none failed but the one named; and the last line
# agrees.
tap_passed() {
    awk -v failing="${1:-}" -f "$here/tap.awk" "$dir/out" >"$dir/tap" || flunk "$(cat "$dir/tap")"
}

# said A[&B]: for each, a line that it matches.
said() {
    rest=$1
    while [ -n "$rest" ]; do
        regex=${rest%%&*}
        grep -aEq -- "$regex" "$dir/out" || flunk "the console does not show $regex"
        [ "$regex" = "$rest" ] && break
        rest=${rest#*&}
    done
}

# The options of a machine larger than its domain, for whom Xen's words are those that people write.
machine_words() {
    [ "$machine" = - ] && return
    echo "--machine-memory $machine"
    [ "$real_xen" = 0 ] || echo "--xen-args dom0_mem=$small,max:$small"
}

machine_said() {
    [ "$machine" = - ] || [ "$real_xen" = 0 ] ||
        grep -aq "^(XEN).*Command line:.* dom0_mem=$small,max:$small" "$dir/raw" ||
        flunk "Xen was not told dom0_mem=$small,max:$small"
}

# With the word, the kernel's suspends were called off, and counted.
suspends_counted() {
    case " $words " in
        *" suspend "*) [ "$(field suspends)" -ge 4 ] || flunk "$(field suspends) suspends" ;;
    esac
}

# What the console's tests wrote must have arrived, all of it and in order.
long_texts() {
    grep -aq '^ok .* console\.long_text' "$dir/out" || return 0
    for tag in long once; do
        awk -v n=100 -v tag="$tag" 'BEGIN {
            for (i = 0; i < n; i++)
                printf "# %s %04d %051d\n", tag, i, i
        }' >"$dir/wanted"
        grep -a "^# $tag " "$dir/out" | cmp - "$dir/wanted" || flunk "the long text ($tag) differs"
    done
    grep -aq '^# 0*\.\.\.$' "$dir/out" || flunk "a line that was cut does not say so"
}

real_xen=0
name=$CASE
case $CASE in
    xen-*)
        [ -s "$XEN" ] || { echo "no $XEN: run scripts/fetch-xen.sh $BUILD/xen"; exit 77; }
        real_xen=1 name=${CASE#xen-}
        ;;
esac
line=$(grep "^$name " "$here/cases.txt") || { echo "no case $name"; exit 2; }
# Columns of the table: splitting is what is wanted, matching files is not.
set -f
# shellcheck disable=SC2086
set -- $line
memory=$4 machine=$5 map=$6 expect=$7
small=$(echo "$memory" | tr GM gm)
shift 7
words=$*
# shellcheck disable=SC2046
set -- -m "$memory" $(machine_words)
[ "$map" = - ] || set -- "$@" --e820 "$here/maps/$map"
[ "$real_xen" = 0 ] || set -- "$@" --hypervisor "$XEN"
case " $words " in
    *" suspend "*) set -- "$@" --on-suspend cancel ;;
esac

run "$words" "$@"
case $expect in
    ok | ok=*)
        ended 0 reboot
        tap_passed
        [ "$expect" = ok ] || said "${expect#ok=}"
        long_texts
        ;;
    says=*)
        ended 0 reboot
        said "${expect#says=}"
        ;;
    fails=*)
        ended 0 reboot
        tap_passed "${expect#fails=}"
        ;;
    dies=*)
        ended 1 crash
        said "${expect#dies=}"
        ;;
    *)
        echo "$name: \"$expect\" is nothing to expect"
        exit 2
        ;;
esac
machine_said
suspends_counted
audited
grep -a '^PVKERNEL-DONE' "$dir/out"
grep -aE '^(not ok|Bail out!|# (memory|mfn_list_list))' "$dir/out"
head -n 1 "$dir/err"
