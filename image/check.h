/* SPDX-License-Identifier: MIT */
/*
 * The whole memory contract, offline: the core's recount over an image, and each of its rules
 * answered (docs/findings.md has the codes, their causes and remedies).
 */
#ifndef PVMM_IMAGE_CHECK_H
#define PVMM_IMAGE_CHECK_H

#include "image.h"
#include "p2m.h"

#define PV_RULES 10u /* R1..R10 */

/* Every code there is, by rule. */
#define PV_CODES 29u
struct pv_code {
    const char *code;
    unsigned rule;
    const char *meaning; /* a clause, lower case, no full stop */
};
extern const struct pv_code pv_codes[PV_CODES];

enum pv_answer { PV_HOLDS, PV_BROKEN, PV_UNDECIDABLE };

struct pv_finding {
    const char *code; /* "table-writable", ...: stable */
    unsigned rule;    /* 1..10 */
    mfn_t frame;      /* NO_MFN: of no frame */
    pfn_t pfn;        /* NO_PFN: not known */
    maddr_t at;       /* of the entry that breaks it; a == ~0: none */
    uint64_t entry;
    gva_t va; /* what that entry maps, if has_va */
    bool has_va;
    uint64_t count; /* pfns or frames in a row that this stands for; at least 1 */
    char text[256]; /* what, where, why: one sentence */
};

struct pv_rule {
    enum pv_answer answer;
    char why[200]; /* what was looked at; or why it cannot be decided from this input */
    uint64_t findings;
};

struct pv_check {
    struct pv_rule rule[PV_RULES + 1]; /* by number; [0] unused */
    uint64_t tables, entries, frames;  /* looked at */
    uint64_t missing;                  /* tables that are not in the image */
    uint64_t findings;                 /* all; the first of each code are kept */
    uint64_t of_code[PV_CODES];        /* likewise, in the order of pv_codes */
    struct pv_finding *finding;
    size_t kept;
    mfn_t
        *root; /* L4s that were looked into though no vCPU has loaded them, by frame: pinned, or */
    size_t roots; /* found by what they hold */
};

struct pv_check_options {
    size_t keep; /* findings of one code; 0: 16 */
    /* Filled in if not NULL: for each of the view's frames, by its number (v->nr_pages of them),
     * the level at which it is in use as a table; 0: not, or not known (then all are 0). */
    uint8_t *levels;
    struct pv_progress progress;
};

/* The guest must not run. `p` may be NULL: then the guest's lists are not looked at. */
int pv_check(const struct pv_view *v, const struct pv_p2m *p, const struct pv_check_options *o,
             struct pv_check *out, struct pv_error *e);
void pv_check_free(struct pv_check *c);

#endif
