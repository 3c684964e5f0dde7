#!/bin/sh
# SPDX-License-Identifier: MIT
# What a kernel has in the section of its page tables: aligned.sh KERNEL [SYMBOL...]. All of it must be
# whole pages, on pages, but for the symbols named here, which must be those that are not.
#
# A variable of a few bytes once stood in that section and shifted the tables behind it. Nothing said so:
# the linker does what it is told, and the tables had no alignment of their own. The kernel died later,
# at a store to that variable, as its page had become read-only with a table.
set -eu
kernel=$1
shift

# address size type name, for symbols that have a size; all numbers have 16 hexadecimal digits.
nm -S "$kernel" | awk -v wanted="$*" '
    $3 == "pvg_page_aligned_start" { start = $1 }
    $3 == "pvg_page_aligned_end" { end = $1 }
    NF >= 3 { address[n] = $1; size[n] = NF == 4 ? $2 : "none"; name[n++] = $NF }
    END {
        if (start == "" || end == "" || start >= end) {
            print "no section of page tables"
            exit 1
        }
        for (i = 0; i < n; i++) {
            if (address[i] < start || address[i] >= end || name[i] == "pvg_page_aligned_start")
                continue
            seen++
            if (address[i] !~ /000$/ || size[i] !~ /[1-9a-f][0-9a-f]*000$/)
                wrong = wrong (wrong == "" ? "" : " ") name[i]
        }
        print seen " symbols in " start ".." end ", not whole pages: " (wrong == "" ? "none" : wrong)
        exit !(seen >= 5 && wrong == wanted)
    }'
