/* SPDX-License-Identifier: MIT */
/* A machine's memory for tests: a file with a frame table, m2p and a guest in it, whose tables the
 * core itself has validated. Its frames run against its pfns, so that a confusion shows. */
#ifndef PVMM_TESTS_IMAGE_MADE_H
#define PVMM_TESTS_IMAGE_MADE_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xen/xen.h>

#include "ask.h"
#include "core.h"
#include "glue.h"
#include "image.h"
#include "pvmachine.h"
#include "pte.h"

#define MIB       (1ull << 20)
#define PAGES     64                     /* pfns that every made guest has, from 0 on */
#define KERNEL_VA 0xffffffff80000000ull  /* where it maps them */
#define LIST_VA   0xffffc90000000000ull  /* where it maps its p2m, as Linux does */
#define BANNER_VA (KERNEL_VA + 3 * 4096) /* pfn 3 */
#define BANNER_AT 4000                   /* so that it goes on in the next page */
#define BANNER                                                                                     \
    "a kernel's banner, long enough to end in the page that follows the one it begins in: "        \
    "so that a reader has to look at two tables' entries"

struct made {
    int fd;
    uint64_t bytes, low_bytes;
    uint8_t *map;
    struct pvmm_machine is;
    struct pv_view direct; /* for the core */
    struct glue_image glue;
    struct core core;
    struct core_domain domain;
    struct core_vcpu vcpu;
    uint64_t next_low, next_high; /* frames to give away */
    uint64_t given;
    pfn_t next_table; /* pfns of pages of the guest's own */
    mfn_t root, list_top, list_middle, list_leaf;
};

/* high_mib: 0, or memory from 4 GiB on, which then gets every other page. */
struct made *made_new(unsigned low_mib, unsigned high_mib);
void made_free(struct made *m);

uint64_t *made_words(struct made *m, mfn_t frame);
shared_info_t *made_shared(struct made *m);
vcpu_guest_context_t *made_context(struct made *m);

/* Gives the guest a frame, at that pfn or (NO_PFN) at none. */
mfn_t made_give(struct made *m, pfn_t p);
mfn_t made_mfn(struct made *m, pfn_t p);
/* The same at a pfn of its own, from PAGES on. */
mfn_t made_page(struct made *m);
/* Maps it, in tables under `root` that are not validated yet. */
void made_map(struct made *m, mfn_t root, uint64_t va, mfn_t to, uint64_t flags);
/* An L4 that maps the first pages at KERNEL_VA, and pins it. */
mfn_t made_root(struct made *m);

/* Publishes a list of the first pages and of all that has been given until now below 512. */
void made_publish_tree(struct made *m);
void made_publish_linear(struct made *m);

struct pv_view *made_open(struct made *m);

/* A file in memory, and its name. */
int scratch_file(void);
const char *scratch_path(int fd);

#endif
