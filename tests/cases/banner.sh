#!/bin/sh
# SPDX-License-Identifier: MIT
# A panic leaves a core, and the core is the kernel's memory: its linux_banner is the first line that the
# kernel wrote. banner.sh PVMM BUILD BANNER
set -u
PVMM=$1 BUILD=$2 BANNER=$3
PATIENCE=${PVMM_TEST_PATIENCE:-400}
KERNEL=$BUILD/kernel/vmlinuz

[ -s "$KERNEL" ] || { echo "no $KERNEL: run scripts/fetch-kernel.sh $BUILD/kernel"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# shellcheck disable=SC2034 # for what is sourced
out=$dir/out err=$dir/err json=$dir/json
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/../boot/lib.sh"

rc=0
timeout $((PATIENCE + 60)) "$PVMM" run --accel tcg --timeout "$PATIENCE" --json "$json" --log "$dir/log" \
    --core "$dir/core" -m 128M -i "$BUILD/initramfs.cpio.gz" -a pvmm.do=panic "$KERNEL" \
    </dev/null >"$out" 2>"$err" || rc=$?
[ "$rc" -eq 1 ] || flunk "exit code $rc instead of 1"
[ "$(field outcome)" = crash ] || flunk "outcome $(field outcome) instead of crash"
[ -s "$dir/core" ] || flunk "no core"

"$BANNER" "$dir/core" > "$dir/banner" || flunk "the core shows no linux_banner"
tr -d '\r' < "$out" | sed -n 's/^.*\[ *0\.000000\] \(Linux version .*\)$/\1/p' | head -n 1 > "$dir/shown"
[ -s "$dir/shown" ] || flunk "the console shows no banner"
cmp "$dir/banner" "$dir/shown" || flunk "the core says $(cat "$dir/banner")"
cat "$dir/banner"
