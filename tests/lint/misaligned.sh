#!/bin/sh
# SPDX-License-Identifier: MIT
# A variable of a few bytes once stood in the section of the image's page tables, ahead of them, and
# shifted every table off its page. The kernel died far from the cause, of a line of text that counted
# itself. Lint names the variable and what it shifts before anything is booted: misaligned.sh PVMM KERNEL,
# with the kernel's objects and its map beside it.
set -u
pvmm=$1 kernel=$2
failures=0

# wants CODE EXPECTED ARGUMENT...: the exit code, and the first finding's fields.
wants() {
    code=$1 expected=$2
    shift 2
    rc=0
    said=$("$pvmm" lint --sections-only --json - "$@" | python3 -c '
import json, sys
f = [f for f in json.load(sys.stdin)["files"][0]["findings"] if f["weight"] == "finding"][0]
print(f["code"], f["symbol"], f["size"], f["shifted"], f["also"], (f["member"] or "").rpartition("/")[2])') ||
        rc=$?
    "$pvmm" lint --sections-only --quiet "$@" >/dev/null || rc=$?
    echo "$rc: $said"
    if [ "$rc" -ne "$code" ] || [ "$said" != "$expected" ]; then
        echo "FAILED: expected $code: $expected"
        failures=1
    fi
}

tables="pvg_fix_l2, pvg_fix_l1, pvg_own_l4, pvg_own_l3, pvg_own_l2"
wants 1 "symbol-size troubles_told 0x8 0 None " "$kernel.p/count_misaligned.c.o"
wants 1 "symbol-size troubles_told 0x8 5 $tables count_misaligned.c.o" --map "$kernel.map" "$kernel"
wants 1 "table-address pvg_fix_l2 0x1000 4 ${tables#*, } " "$kernel"
exit "$failures"
