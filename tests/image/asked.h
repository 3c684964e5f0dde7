/* SPDX-License-Identifier: MIT */
/* Asking for the p2m of made machines, with symbols that are made up: for tests. */
#ifndef PVMM_TESTS_IMAGE_ASKED_H
#define PVMM_TESTS_IMAGE_ASKED_H

#include "made.h"
#include "p2m.h"
#include "startinfo.h"

#define FLAGS (PTE_PRESENT | PTE_ACCESSED | PTE_RW)

struct pv_symbols {
    unsigned n;
    struct {
        const char *name;
        uint64_t va;
    } is[8];
};
void name(struct pv_symbols *s, const char *is, uint64_t va);

/* A p2m, and what comparing its sources told. */
struct asked {
    struct pv_view *v;
    struct pv_p2m *p;
    struct pv_p2m_summary sum;
    struct pv_p2m_range range[64];
    unsigned ranges;
};
void ask_view(struct asked *a, struct pv_view *v, const struct pv_symbols *s);
void ask(struct asked *a, struct made *m, const struct pv_symbols *s);
void done(struct asked *a);

const struct pv_p2m_source *source(const struct asked *a, enum pv_p2m_kind k);
void assert_how(const struct asked *a, enum pv_p2m_kind k, bool there, const char *words);
/* One source's word is the machine's, at every pfn from `from` on that has a frame. */
void assert_says(const struct asked *a, enum pv_p2m_kind k, uint64_t from);
void assert_state(const struct asked *a, enum pv_p2m_kind k, uint64_t at, enum pv_p2m_state state);
void assert_range(const struct asked *a, unsigned i, uint64_t first, uint64_t last,
                  unsigned differs, bool recovered);
#define BIT(kind) (1u << PV_P2M_##kind)

/* Fills a page of a list with the machine's frames of 512 pfns. */
void fill(struct made *m, mfn_t page, uint64_t from);
/* At that pfn. */
void write_start_info(struct made *m, uint64_t at, uint64_t list_va);

#endif
