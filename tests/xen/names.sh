#!/bin/sh
# SPDX-License-Identifier: MIT
# A kernel may use any name but the library's own: names.sh LIBRARY. What is defined for all to see begins
# with pvg_, or is weak and of the C library; what is wanted of the kernel is its entry alone.
set -eu
lib=$1
nm "$lib" | awk '
    NF == 0 || /:$/ { next }
    $(NF - 1) == "U" { wanted[$NF] = 1; next }
    $(NF - 1) ~ /^[a-z]$/ { next }
    $NF ~ /^pvg_/ { shown[$NF] = 1; n++; next }
    $(NF - 1) == "W" && $NF ~ /^(mem(set|cpy|move|cmp)|str(len|cmp|ncmp))$/ { shown[$NF] = 1; next }
    { print "shown, but not of the library: " $NF; bad = 1 }
    END {
        for (name in wanted)
            if (!(name in shown) && name !~ /^(kernel_main|pvg_image_start|pvg_image_end)$/) {
                print "wanted, but nowhere: " name
                bad = 1
            }
        if (n < 20) {
            print "only " n + 0 " names are shown"
            bad = 1
        }
        exit bad
    }'
