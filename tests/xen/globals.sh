#!/bin/sh
# SPDX-License-Identifier: MIT
# What libpvguest.a can write to lies in the one guest: globals.sh LIBRARY. Besides it there are the
# page tables and the stack, and what trap_entry.S and trap.c must find without being told where.
set -eu
nm "$1" | awk '
    $2 ~ /^[bBdDcC]$/ { seen[$3] = 1 }
    END {
        n = split("the_guest pvg_fix_l1 pvg_fix_l2 pvg_own_l2 pvg_own_l3 pvg_own_l4 stack stack_top " \
                  "guard_rsp guard_trap trapped trap_table", wanted, " ")
        for (i = 1; i <= n; i++) {
            if (!(wanted[i] in seen) && wanted[i] == "the_guest") {
                print "no " wanted[i] ": this is not the library"
                bad = 1
            }
            delete seen[wanted[i]]
        }
        for (name in seen) {
            print name " can be written, and is no part of the guest"
            bad = 1
        }
        exit bad
    }'
