#!/bin/sh
# SPDX-License-Identifier: MIT
# Real Xen's replies, written down anew: record.sh PVMM XEN-IMAGE GUEST OUTPUT-DIRECTORY.
# The guest then runs as Xen's initial domain. What it leaves is kept beside this script.
set -eu
PVMM=$1 XEN=$2 GUEST=$3 OUT=$4
# shellcheck source=tests/conform/lib.sh
. "$(dirname "$0")/lib.sh"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

finished() {
    grep -q '^TEST-END' "$tmp/out" && return
    tail -n 5 "$tmp/out"
    cat "$tmp/err"
    echo "record.sh: $1 did not come to its end"
    exit 1
}

guest_run "$tmp" 300 conform --hypervisor "$XEN" || :
finished conform
cp "$tmp/out" "$OUT/xen-4.17.conform.txt"
: > "$tmp/chaos"
for seed in $CHAOS_SEEDS; do
    guest_run "$tmp" 600 "chaos seed=$seed count=$CHAOS_COUNT" --hypervisor "$XEN" || :
    finished "chaos $seed"
    chaos_lines "$tmp/out" >> "$tmp/chaos"
done
cp "$tmp/chaos" "$OUT/xen-4.17.chaos.txt"
echo "record.sh: $(grep -c '^[0-9]* [^ ]' "$OUT/xen-4.17.conform.txt") requests," \
    "$(wc -l < "$OUT/xen-4.17.chaos.txt") digests in $OUT"
