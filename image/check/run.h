/* SPDX-License-Identifier: MIT */
/* What the files of the checker share. */
#ifndef PVMM_IMAGE_CHECK_RUN_H
#define PVMM_IMAGE_CHECK_RUN_H

#include "check.h"
#include "core.h"
#include "glue.h"
#include "internal.h"
#include "pte.h"

/* In the order of pv_codes. */
enum code {
    FRAME_OF_NOBODY,
    REFERENCES_DIFFER,
    TABLE_WRITABLE,
    TABLE_TWO_LEVELS,
    TABLE_AS_DESCRIPTORS,
    DESCRIPTORS_WRITABLE,
    USES_DIFFER,
    TYPE_DIFFERS,
    SUPERPAGE,
    TABLE_LINEAR,
    ENTRY_FLAGS,
    ENTRY_UNADJUSTED,
    TABLE_UNVALIDATED,
    DESCRIPTOR_REFUSED,
    TOLD_TYPE,
    ROOT_NOT_GUEST,
    ROOT_TOLD,
    PIN_UNHELD,
    RESERVED_SLOT,
    LIST_SHORT,
    LIST_MISSING,
    LIST_DIFFERS,
    LIST_STRAY,
    LIST_UNREADABLE,
    FRAME_TWO_PFNS,
    PFN_TWO_FRAMES,
    M2P_OF_NOBODY,
    FRAME_FOREIGN,
    STATE,
    CODES,
};

/* An entry of a table, by the core's number of it. */
struct entry_place {
    mfn_t table; /* NO_MFN: none */
    unsigned level, slot;
    uint64_t entry;
};
#define NO_ENTRY ((struct entry_place){.table = NO_MFN})

/* Why it ends early. */
enum ending { GOES_ON, STOPPED, NO_MEMORY };

/*
 * One check. The core's frames are either the guest's alone, numbered as the view does it
 * (`counted`: nobody has counts, a frame table is made up), or all of a machine that runs pvmm, of
 * which there is a copy of the real frame table.
 */
struct run {
    struct glue_image glue; /* the core's embedding; must be the first */
    const struct pv_view *v;
    const struct pv_p2m *p;
    const struct pv_check_options *options;
    struct pv_check *out;
    struct pv_error *e;
    bool counted;
    struct core core;
    struct core_domain domain;
    struct core_vcpu *vcpu;
    struct core_count *count;
    struct frame *made; /* the frame table that was made up */
    uint32_t *number;   /* by the view's frame, where that is not much; else NULL */
    uint64_t **copy;    /* by number: of tables whose words cannot be mapped */
    size_t room, copies;
    struct entry_place *place; /* beside out->finding */
    enum ending ending;
    uint64_t looked;       /* tables looked into, for the progress */
    uint64_t roots, pins;  /* known from the start */
    uint64_t more_roots;   /* found by what they hold */
    uint64_t outside;      /* L1 entries whose frame is not the guest's */
    uint64_t missing_told; /* reached, and the image tells no type of it */
    uint64_t told_idle;    /* tables by the image's types that nothing known leads to */
    uint64_t descriptors;  /* pages */
    uint64_t held_for_hypervisor;
    bool no_context; /* of a vCPU: what it holds is not known, and counts do not add up */
    bool lists, list_stale;
    struct pv_p2m_summary lists_are;
};

/* ---- findings.c */
/* One more finding; the first of each code are kept. `frame` and the entry's table are the core's
 * numbers. */
void check_add(struct run *r, enum code code, mfn_t frame, struct entry_place at, const char *fmt,
               ...) __attribute__((format(printf, 5, 6)));
/* One of the guest's lists. */
void check_add_pfns(struct run *r, enum code code, pfn_t first, uint64_t count, mfn_t frame,
                    maddr_t at, const char *fmt, ...) __attribute__((format(printf, 7, 8)));
/* Forgets all. */
void check_forget(struct run *r);
/* Where the guest sees the entries of what was kept. */
void check_find_places(struct run *r);
/* "mfn 1df61 (pfn 2161)", of a frame by the core's number or by the view's. */
struct frame_name {
    char text[64];
};
struct frame_name check_name(const struct run *r, mfn_t m);
struct frame_name check_name_real(const struct run *r, mfn_t m);

/* ---- numbers.c: the core's numbers and the view's */
mfn_t check_real(const struct run *r, mfn_t m);
mfn_t check_number(const struct run *r, mfn_t m); /* NO_MFN: not the guest's */
void check_number_all(struct run *r);
void check_use_glue(struct run *r);
void check_drop_copies(struct run *r);
/* -1: the work is to end, and *r->e says why. */
int check_may_go_on(struct run *r);

/* ---- counted.c: without a frame table */
int check_counted(struct run *r);
/* ---- roots.c: L4s that nothing names, by what they hold. How many were added. */
uint64_t check_find_roots(struct run *r);
void check_pin(struct run *r, mfn_t m, unsigned level);
/* ---- machine.c: with the frame table of a machine that runs pvmm */
int check_machine(struct run *r, const struct core *of_machine);
/* ---- vcpus.c: the holders that the vCPUs' contexts name */
int check_take_vcpus(struct run *r);

/* ---- entries.c: what the core finds at an entry, in other words */
void check_entry_finding(struct run *r, const struct core_finding *f);
/* All tables reached, once more, entry by entry: who is to blame where two holders need different
 * types, and the hypervisor's slots. */
int check_tables(struct run *r);

/* ---- lists.c: R7 */
int check_lists(struct run *r);
/* ---- answers.c */
void check_answer(struct run *r);

#endif
