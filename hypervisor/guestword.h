/* SPDX-License-Identifier: MIT */
/*
 * Single words of the guest's memory, through the current root, in line: for the few words that
 * every entry and exit moves. The range has been checked (guest_range_ok). false: a fault;
 * host_entry() goes on at the label that the exception table pairs with the instruction.
 */
#ifndef PVMM_HV_GUESTWORD_H
#define PVMM_HV_GUESTWORD_H

#include <stdbool.h>
#include <stdint.h>

static inline bool guest_word_get(uint64_t *to, uint64_t from)
{
    uint64_t word;

    __asm__ volatile goto("1: movq (%1), %0\n\t"
                          ".pushsection .exception_table, \"a\", @progbits\n\t"
                          ".quad 1b, %l[fault]\n\t"
                          ".popsection"
                          : "=r"(word)
                          : "r"(from)
                          : "memory"
                          : fault);
    *to = word;
    return true;
fault:
    return false;
}

static inline bool guest_word_put(uint64_t to, uint64_t word)
{
    __asm__ volatile goto("1: movq %1, (%0)\n\t"
                          ".pushsection .exception_table, \"a\", @progbits\n\t"
                          ".quad 1b, %l[fault]\n\t"
                          ".popsection"
                          :
                          : "r"(to), "r"(word)
                          : "memory"
                          : fault);
    return true;
fault:
    return false;
}

#endif
