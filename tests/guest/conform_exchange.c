/* SPDX-License-Identifier: MIT */
/* XENMEM_exchange: pieces of all sizes, limits on addresses, and what is left of a part. */
#include "ask.h"

#include <xen/memory.h>

#define LARGEST 6u /* order of the largest piece of pages that other tests did not leave in use */

static xen_pfn_t in[1 << LARGEST], out[1 << LARGEST];

static void withdraw(unsigned pages)
{
    for (unsigned i = 0; i < pages; i++)
        set_va(page_va(i), 0);
}

static void put_back(unsigned pages)
{
    for (unsigned i = 0; i < pages; i++) {
        ((uint64_t *)start_info->mfn_list)[pfn_of(pool[i])] = pool_mfn[i];
        make_rw(i);
    }
}

/* Pool pages from 0 on; returns whether m2p has all of them. */
static bool numbered(unsigned pages)
{
    unsigned i = 0;
    while (i < pages && M2P[pool_mfn[i]] == pfn_of(pool[i]))
        i++;
    return i == pages;
}

/* `pages` of the pool, in pieces of 2^from, for such of 2^to. What is asked is not shown: frames.
 */
static void swap(unsigned pages, unsigned from, unsigned to, unsigned bits)
{
    struct xen_memory_exchange e = {
        .in = {.nr_extents = pages >> from, .extent_order = from, .domid = DOMID_SELF},
        .out = {.nr_extents = pages >> to,
                .extent_order = to,
                .mem_flags = XENMEMF_address_bits(bits),
                .domid = DOMID_SELF},
    };
    set_xen_guest_handle(e.in.extent_start, in);
    set_xen_guest_handle(e.out.extent_start, out);
    for (unsigned i = 0; i < pages >> from; i++)
        in[i] = pool_mfn[i << from];
    for (unsigned i = 0; i < pages >> to; i++)
        out[i] = pfn_of(pool[i << to]);
    int64_t rc = ASK(__HYPERVISOR_memory_op, XENMEM_exchange, &e, 0, 0,
                     "%u pages, order %u for %u, %u bits", pages, from, to, bits);
    unsigned done = (unsigned)e.nr_exchanged << from;
    for (unsigned i = 0; i < done; i++)
        pool_mfn[i] = out[i >> to] + (i & ((1u << to) - 1));
    bool aligned = true, low = true;
    for (unsigned i = 0; i < done; i++) {
        aligned = aligned && pool_mfn[i] % (1u << to) == (i & ((1u << to) - 1));
        low = low && (bits == 0 || bits >= 64 || pool_mfn[i] < (1ull << bits) >> 12);
    }
    tell("exchanged %lu, %saligned, %slow enough, m2p %s", e.nr_exchanged, aligned ? "" : "not ",
         low ? "" : "not ", numbered(rc ? done : pages) ? "own" : "other");
}

static void sizes(void)
{
    unsigned all = 1u << LARGEST;
    withdraw(all);
    for (unsigned order = 0; order <= LARGEST; order++) {
        swap(1u << order, 0, order, 0);
        swap(1u << order, order, 0, 0);
    }
    swap(all, 0, LARGEST, 32);
    swap(all, LARGEST, 2, 0);
    swap(all, 2, 5, 40);
    swap(all, 5, 0, 64);
    swap(4, 0, 1, 255);
    swap(4, 1, 1, 63);
    put_back(all);
}

/* Of 2 frames of 2 KiB there are none: the inputs stay. */
static void limits(void)
{
    withdraw(4);
    swap(4, 0, 1, 1);
    swap(4, 0, 1, 12);
    swap(4, 0, 1, 13);
    swap(4, 0, 2, 13);
    put_back(4);
    tell("page is %s", page(0) ? "there" : "gone");
}

/* The first piece is made, the second is not, as one of its frames is mapped. */
static void parts(void)
{
    withdraw(8);
    make_rw(5);
    swap(8, 0, 2, 0);
    swap(4, 0, 3, 0);
    swap(8, 0, 1, 0);
    set_va(page_va(5), 0);
    swap(8, 0, 3, 0);
    put_back(8);
}

static void limited_reservations(void)
{
    static const unsigned bits[] = {1, 12, 32, 64};
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    set_xen_guest_handle(r.extent_start, in);
    for (unsigned i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        r.mem_flags = 0;
        set_va(page_va(i), 0);
        in[0] = pool_mfn[i];
        call2(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, &r);
        in[0] = pfn_of(pool[i]);
        r.mem_flags = XENMEMF_address_bits(bits[i]);
        int64_t got = ASK(__HYPERVISOR_memory_op, XENMEM_populate_physmap, &r, 0, 0,
                          "populate with %u bits", bits[i]);
        if (got == 0) {
            r.mem_flags = 0;
            call2(__HYPERVISOR_memory_op, XENMEM_populate_physmap, &r);
        }
        pool_mfn[i] = in[0];
    }
    put_back(4);
}

void conform_exchange(void)
{
    sizes();
    limits();
    parts();
    limited_reservations();
}
