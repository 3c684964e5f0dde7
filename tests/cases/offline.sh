#!/bin/sh
# SPDX-License-Identifier: MIT
# A kernel whose list for tools ends too early, in its machine's memory and in its core: all of it is read, what
# the list lacks is recovered, and `check` names it. offline.sh PVMM BUILD E820
set -u
PVMM=$1 BUILD=$2 E820=$3
PATIENCE=${PVMM_TEST_PATIENCE:-400}
FIRST=0x10000 PAGES=8192 # moved to above the builder's last page
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# shellcheck disable=SC2034 # for what is sourced
out=$dir/out err=$dir/err
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/../boot/lib.sh"

rc=0
timeout $((PATIENCE + 60)) "$PVMM" run --accel tcg --timeout "$PATIENCE" --log "$dir/log" -m 256M --e820 "$E820" \
    --memory-file "$dir/memory" --core "$dir/core" -a "fault=short-mfn-list test=crash" \
    "$BUILD/kernel/pvkernel" </dev/null >"$out" 2>"$err" || rc=$?
[ "$rc" -eq 1 ] || flunk "exit code $rc instead of 1"

for image in memory core; do
    "$PVMM" inspect --json "$dir/$image" > "$dir/inspect" || flunk "inspect of the $image"
    rc=0
    "$PVMM" check --json "$dir/$image" > "$dir/check" || rc=$?
    [ "$rc" -eq 1 ] || flunk "check of the $image: exit code $rc instead of 1"
    "$PVMM" p2m --json "$dir/$image" all > "$dir/p2m" || flunk "p2m of the $image"
    python3 - "$dir/inspect" "$dir/check" "$FIRST" "$PAGES" <<'PY' || flunk "what was said of the $image"
import json, sys
inspect, check = (json.load(open(name)) for name in sys.argv[1:3])
first, pages = int(sys.argv[3], 0), int(sys.argv[4])
said = [(f["code"], int(f["pfn"], 16), f["count"]) for f in check["findings"]]
if said != [("list-short", first, pages)] or inspect["p2m_compared"]["recovered"] != pages:
    sys.exit(f"{said}, {inspect['p2m_compared']}")
PY
    size=$("$PVMM" read "$dir/$image" "pfn:$FIRST" $((PAGES * 4096)) --as raw | wc -c)
    [ "$size" -eq $((PAGES * 4096)) ] || flunk "$size bytes of the recovered pages, in the $image"
    echo "$image: $PAGES pages from pfn $FIRST on recovered and read, list-short"
done
# The same guest: the same pages in both.
"$PVMM" read "$dir/memory" "pfn:$FIRST" $((PAGES * 4096)) --as raw > "$dir/a"
"$PVMM" read "$dir/core" "pfn:$FIRST" $((PAGES * 4096)) --as raw | cmp - "$dir/a" || flunk "their contents differ"
