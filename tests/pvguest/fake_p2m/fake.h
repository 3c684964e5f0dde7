/* SPDX-License-Identifier: MIT */
/*
 * What the p2m stands on, as far as it can see: pages of RAM that are taken and given, tables that
 * are sealed and hooked, a translation of the linear p2m that caches. Each call that can fail can
 * be made to. What the hypervisor would refuse, or a processor would trip over, fails the test.
 */
#ifndef PVGUEST_FAKE_P2M_H
#define PVGUEST_FAKE_P2M_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* error.c's has the name */

#include "p2m_nodes.h"

/* How the guest was built. */
struct fake_guest {
    uint64_t ram;      /* pages that there are */
    uint64_t nr_pages; /* that the builder's list speaks of */
    bool init_p2m;     /* the list at an address of its own */
    bool for_tools;    /* SIF_VIRT_P2M_4TOOLS */
    bool holes;        /* some of the list's entries say that there is nothing */
};

struct fake {
    struct pvguest g;
    start_info_t si;
    shared_info_t shared;
    struct fake_guest is;
    uint64_t taken;   /* by table_take() */
    uint64_t calls;   /* that could have failed */
    uint64_t fail_at; /* that call does; 0: none */
    bool lazy;        /* updates wait for the flush */
    bool keep_given;  /* table_give() fails */
    uint64_t hooks;   /* updates of live tables */
};

extern struct fake the_fake;
static struct fake *const f = &the_fake;
static struct pvguest *const g = &the_fake.g;

/* A new guest, with the builder's list in use. */
void fake_start(const struct fake_guest *is);
/* The root is switched: the list's own mapping is gone. */
void fake_switch(void);
void fake_end(void);
/* fake_start(), fake_switch(), p2m_build(), mfn_list_build(), publish() */
void fake_boot(const struct fake_guest *is, enum pvg_p2m_layout layout);

uint64_t fake_mfn(uint64_t pfn);
uint64_t fake_pfn(uint64_t mfn); /* by the machine's numbers alone */
/* What the builder's list says. */
uint64_t fake_listed(uint64_t pfn);
/* Words of a page, looked at from outside. */
const uint64_t *fake_words(uint64_t pfn);
bool fake_is_builders(uint64_t pfn); /* not given back yet */

/* What a tool reads for `pfn` from the top of the MFN list, looking at machine frames only. */
uint64_t fake_mfn_list_entry(uint64_t pfn);

/* Over all pages that are not free: what they are, and each word. */
uint64_t fake_hash(void);
/* In lazy mode: an update that will be refused waits, as if someone else had queued it. */
void fake_queue_refused(void);

/* A sequence that can be repeated. */
uint64_t fake_random(uint64_t below);
void fake_seed(uint64_t seed);

/* Counts of pages agree with each other, the generation is even, and shared_info is right. */
void fake_check(void);

#endif
