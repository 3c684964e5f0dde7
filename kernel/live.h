/* SPDX-License-Identifier: MIT */
/* What the kernel does instead of tests: lives on a toolstack's word, and shares a page. */
#ifndef KERNEL_LIVE_H
#define KERNEL_LIVE_H

#include "tap.h"

/*
 * Fills half of the free memory with a pattern, and does what the toolstack says, looking at all of
 * it after each step, and running a program in user mode. Lines begin with LIVE; sum=, lists=,
 * grant= and spaces= are "ok", or tell. A line that is typed is said again, with the date. spoil: a
 * word of a page is another one after a suspend, so that sum= has something to find.
 */
_Noreturn void live(struct pvguest *g, bool spoil);

/* Lends a page to `to`, its reference in data/ref of the store, until that one has answered in it.
 */
_Noreturn void lend(struct pvguest *g, domid_t to);
/* Maps the page whose reference /local/domain/`from`/data/ref has, and answers. */
_Noreturn void borrow(struct pvguest *g, domid_t from);

/* ---- pages with a pattern: of their pfn, so that none can stand for another */

/* Takes half of what is free; the number of pages. */
uint64_t hold_pages(struct pvguest *g);
/* "ok", or the first page that is not as it was. */
const char *held_pages(struct pvguest *g);
/* One of them. */
pvg_pfn_t held_page(uint64_t index);

void fill_page(volatile uint64_t *word, uint64_t seed);
bool is_filled(const volatile uint64_t *word, uint64_t seed);

/* "ok", or what is wrong with p2m, MFN list and the hypervisor's count. */
const char *lists_of(struct pvguest *g);

#endif
