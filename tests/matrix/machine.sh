#!/bin/sh
# SPDX-License-Identifier: MIT
# One machine of the matrix: machine.sh PVMM BUILD KERNEL MEBIBYTES OPTION...
#
# Boots BUILD/KERNEL/vmlinuz with the workload; boot.sh judges it. MEBIBYTES is what the machine may
# come to use: a host that has less to give skips the test and says so.
set -u
pvmm=$1 build=$2 kernel=$3 need=$4
shift 4

[ -s "$build/$kernel/vmlinuz" ] || { echo "no $build/$kernel/vmlinuz: run make $kernel"; exit 77; }
have=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)
if [ $((have / 1024)) -lt "$need" ]; then
    echo "SKIPPED: the host has $((have / 1024)) MiB of memory available, and $need are wanted"
    exit 77
fi
export PVMM_TEST_KERNEL="$build/$kernel/vmlinuz"
exec "$(dirname "$0")/../boot/boot.sh" "$pvmm" "$build" machine --accel tcg \
    -a 'pvmm.forks=30 pvmm.mib=16' "$@"
