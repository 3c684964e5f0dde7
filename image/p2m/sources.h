/* SPDX-License-Identifier: MIT */
/* What the sources of a view's p2m share. */
#ifndef PVMM_IMAGE_P2M_SOURCES_H
#define PVMM_IMAGE_P2M_SOURCES_H

#include "list.h"
#include "symbols.h"

/* The kernel's map of all memory: pfn p is at base + p * 4096. */
struct p2m_map {
    mfn_t root;
    uint64_t base;
};

struct pv_p2m {
    const struct pv_view *v;
    const struct pv_symbols *symbols; /* NULL: none */
    struct pv_arch_info arch;
    struct pv_start_info start;
    bool has_arch, has_start;
    char no_arch[200], no_start[200];
    struct pv_p2m_source source[PV_P2M_KINDS];
    struct p2m_list list[PV_P2M_KINDS]; /* LINEAR to FLAT */
    struct p2m_map map;
    bool publishes;             /* the guest says that it publishes a list, */
    enum pv_p2m_kind published; /* this one */
    uint64_t end;
};

/* A place in a source, and as much as is there around it. */
struct p2m_cursor {
    const struct pv_p2m *p;
    enum pv_p2m_kind kind;
    bool set;
    uint64_t first, last;
    enum pv_p2m_state state; /* FRAME: the words say; else what they all say */
    maddr_t at;              /* where the first word lies; ~0: nowhere */
    unsigned step;           /* and how far the next is from it */
    uint64_t word[P2M_PAGE_WORDS];
};

void p2m_cursor_init(struct p2m_cursor *c, const struct pv_p2m *p, enum pv_p2m_kind k);
void p2m_seek(struct p2m_cursor *c, uint64_t at);
struct pv_p2m_entry p2m_entry(const struct p2m_cursor *c, uint64_t at);

/* Of what the sources say of one pfn, what is to be believed, and whether two say the same. */
enum pv_p2m_kind p2m_believe(const struct pv_p2m *p, const struct pv_p2m_entry *entry, uint64_t at);
bool p2m_is_list(enum pv_p2m_kind k);

/* ---- finding them: each fills p->source[k], and what it needs */
void p2m_find_linear(struct pv_p2m *p);
void p2m_find_tree(struct pv_p2m *p, struct pv_error *e);
void p2m_find_stream(struct pv_p2m *p);
void p2m_find_symbols(struct pv_p2m *p);
void p2m_find_flat(struct pv_p2m *p);
void p2m_find_map(struct pv_p2m *p);
/* Looks the list over, up to pfn `claimed`; true: it is one, and the source is there. */
bool p2m_accept(struct pv_p2m *p, enum pv_p2m_kind k, uint64_t claimed);
/* In how it was found, or why it is not there. */
void p2m_say(struct pv_p2m *p, enum pv_p2m_kind k, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Roots that may map the kernel, the likeliest first; how many. */
#define P2M_ROOTS 16u
unsigned p2m_roots(const struct pv_view *v, mfn_t root[P2M_ROOTS]);

/* map.c */
void p2m_map_fill(struct p2m_cursor *c, uint64_t at);
struct pv_p2m_entry p2m_map_entry(const struct pv_p2m *p, uint64_t at);

/* Puts into the value of each pair the first pfn at which the source has the frame that is its key;
 * those that are not found keep NO_PFN.n. */
void p2m_find_frames(const struct pv_p2m *p, enum pv_p2m_kind k, struct pv_pairs *wanted);

#endif
