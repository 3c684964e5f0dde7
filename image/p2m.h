/* SPDX-License-Identifier: MIT */
/*
 * Every list that says which machine frame a pfn has, side by side: the file's own table, what the
 * guest publishes, what its kernel keeps, what the machine has, what the page tables imply. Where
 * one is short or damaged another may know.
 */
#ifndef PVMM_IMAGE_P2M_H
#define PVMM_IMAGE_P2M_H

#include "image.h"

struct pv_symbols; /* symbols.h */

/* In the order in which they are believed. */
enum pv_p2m_kind {
    PV_P2M_CONTAINER, /* the file's: .xen_p2m, the pfns of PAGE_DATA */
    PV_P2M_M2P,       /* the machine's m2p, turned round */
    PV_P2M_LINEAR,    /* shared_info: p2m_cr3, p2m_vaddr (Linux from 3.19 on) */
    PV_P2M_TREE,      /* shared_info: pfn_to_mfn_frame_list_list, three levels with its leaves */
    PV_P2M_STREAM,    /* the frames of the list that the stream names: X86_PV_P2M_FRAMES */
    PV_P2M_SYMBOLS,   /* xen_p2m_addr; p2m_top (three levels, Linux 2.6.37 to 3.18; two, 2.6.26 on);
                         phys_to_machine_mapping (before) */
    PV_P2M_FLAT,      /* start_info: mfn_list, as the domain builder left it */
    PV_P2M_TABLES,    /* the kernel's map of all memory, as its page tables have it */
    PV_P2M_KINDS,
};

enum pv_p2m_state {
    PV_P2M_FRAME,
    PV_P2M_MISSING,    /* the list says that there is none */
    PV_P2M_IDENTITY,   /* marked as no memory: the mfn is the pfn itself */
    PV_P2M_FOREIGN,    /* marked as another domain's frame */
    PV_P2M_UNREADABLE, /* the element's page is not in the image, or no page of the guest's */
    PV_P2M_BEYOND,     /* the list ends before */
};

struct pv_p2m_entry {
    enum pv_p2m_state state;
    mfn_t mfn;  /* of FRAME, IDENTITY, FOREIGN. Of a stale source: the frame it had then */
    maddr_t at; /* where the element lies; a == ~0: it has no place in the guest's memory */
};

struct pv_p2m_source {
    enum pv_p2m_kind kind;
    bool there;
    bool stale;    /* holds machine frames of before a suspend: they name nothing in this image */
    uint64_t end;  /* pfns are below */
    char how[200]; /* how it was found; or why it is not there */
};

struct pv_p2m;

const char *pv_p2m_name(enum pv_p2m_kind k); /* "container", "mfn_list_list", ... */

/* Finds them. `s` may be NULL. Few words of memory for each page of a list, none for its elements.
 */
int pv_p2m_open(struct pv_p2m **out, const struct pv_view *v, const struct pv_symbols *s,
                struct pv_error *e);
void pv_p2m_close(struct pv_p2m *p);

const struct pv_p2m_source *pv_p2m_source(const struct pv_p2m *p, enum pv_p2m_kind k);
/* What that source says. Threads may ask at the same time. */
struct pv_p2m_entry pv_p2m_get(const struct pv_p2m *p, enum pv_p2m_kind k, pfn_t at);
/* What is to be believed, and who says so. state is FRAME, or what the first source says. */
struct pv_p2m_entry pv_p2m_best(const struct pv_p2m *p, pfn_t at, enum pv_p2m_kind *from);
/* The other way: the pfn that has that frame, by the first source that knows; NO_PFN: none. */
pfn_t pv_p2m_reverse(const struct pv_p2m *p, mfn_t m, enum pv_p2m_kind *from);
/* The same by one source, however old its frames are. */
pfn_t pv_p2m_reverse_in(const struct pv_p2m *p, enum pv_p2m_kind k, mfn_t m);
/* Does the guest say that it publishes a list? *k is which: LINEAR, else TREE. */
bool pv_p2m_publishes(const struct pv_p2m *p, enum pv_p2m_kind *k);
/* start_info as it was found on the way (startinfo.h); NULL: none, and *why says why. */
struct pv_start_info;
const struct pv_start_info *pv_p2m_start_info(const struct pv_p2m *p, const char **why);
/* Where the kernel's map of all memory begins: pfn p is at base + p * 4096. false: none is known.
 */
bool pv_p2m_map_of_all(const struct pv_p2m *p, gva_t *base);
/* Where the guest's linear list lies: from *va on, as seen from *root. false: there is none. */
bool pv_p2m_linear_at(const struct pv_p2m *p, mfn_t *root, gva_t *va);
/* Every pfn that any source knows is below. */
pfn_t pv_p2m_end(const struct pv_p2m *p);

/* ---- comparing */

/* Neighbouring pfns at which the same sources differ in the same way. */
struct pv_p2m_range {
    pfn_t first, last;
    struct pv_p2m_entry entry[PV_P2M_KINDS]; /* of `first`; of sources that are there */
    unsigned has;                            /* bit 1 << kind: has a frame at `first` */
    unsigned differs; /* bit: says something else than what is believed (a stale source's own
                         frames do not differ for that) */
    bool recovered;   /* what the guest publishes lacks it or has it wrong, another source has it */
    enum pv_p2m_kind from; /* whom to believe */
};
/* false: enough */
typedef bool pv_each_p2m_range(void *context, const struct pv_p2m_range *r);

struct pv_p2m_summary {
    uint64_t pfns;      /* at which any source has a frame */
    uint64_t agreed;    /* of these: nobody differs */
    uint64_t disagreed; /* of these: somebody has another frame, or none where others have one */
    uint64_t recovered;
    uint64_t has[PV_P2M_KINDS]; /* pfns at which it has a frame */
    pfn_t end[PV_P2M_KINDS];    /* behind the last of these pfns */
    uint64_t ranges;            /* of disagreement */
};
/* Goes through all pfns; tells the ranges that are not of one mind. `each` may be NULL. */
int pv_p2m_compare(const struct pv_p2m *p, pv_each_p2m_range *each, void *context,
                   struct pv_p2m_summary *out, const struct pv_progress *progress,
                   struct pv_error *e);
/* The pfns first..last one by one, those below pv_p2m_end(); neighbours of which no source has more
 * to say than what it says of all of them come as one range. */
int pv_p2m_each(const struct pv_p2m *p, pfn_t first, pfn_t last, pv_each_p2m_range *each,
                void *context, const struct pv_progress *progress, struct pv_error *e);

#endif
