/* SPDX-License-Identifier: MIT */
/* A made guest that has suspended itself, as a save finds it: start_info in rdx of its vCPU, a list
 * of several pages, holes, tables of every kind. */
#ifndef PVMM_TESTS_IMAGE_SUSPENDED_H
#define PVMM_TESTS_IMAGE_SUSPENDED_H

#include "made.h"
#include "transfer.h"

#define SUSPENDED_START   9u  /* pfn of start_info, */
#define SUSPENDED_GDT     10u /* of the GDT */
#define SUSPENDED_STORE   12u /* of the rings */
#define SUSPENDED_CONSOLE 13u
#define SUSPENDED_BALLOON 11u   /* a pfn that the guest has given away */
#define SUSPENDED_FAR     1500u /* pfns from here on have pages, but for a hole */
#define SUSPENDED_KHZ     2800000u

struct suspended {
    struct made *m;
    uint64_t end;    /* of the list, in pfns */
    mfn_t leaf[64];  /* its pages */
    mfn_t user_root; /* pinned, and loaded */
    mfn_t lone_l1;   /* pinned by itself */
    mfn_t idle_root; /* no longer pinned: what is in it is old */
    mfn_t l1;        /* under the kernel's root, not pinned by itself */
};

/* `pages` more than it needs, from pfn SUSPENDED_FAR on. */
struct suspended suspended_new(bool linear, uint64_t pages);
void suspended_free(struct suspended *s);
/* What the list has at a pfn. */
uint64_t *suspended_word(struct suspended *s, uint64_t pfn);
/* Through its mailbox. */
struct pv_view *suspended_open(struct suspended *s);

/* `o` may be NULL. written() asserts that it can be written; a file in memory. */
int write_to(const struct pv_view *v, int fd, const struct pv_save_options *o,
             struct pv_saved *saved, struct pv_error *e);
int written(const struct pv_view *v, const struct pv_save_options *o, struct pv_saved *saved);
struct pv_view *read_back(int fd);
/* The stream has the guest, page by page, by pfn. */
void assert_same(struct suspended *s, int fd, const struct pv_saved *saved);

#endif
