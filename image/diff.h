/* SPDX-License-Identifier: MIT */
/*
 * Two images of one guest, of two times or of two kinds, page by page: at which pfns they differ,
 * and in what. Page tables are compared as what they mean: entries name frames by pfn, each by its
 * own image's table, and the hypervisor's slots of an L4 are not the guest's. So a save stream is
 * the same as a dump of the same moment.
 */
#ifndef PVMM_IMAGE_DIFF_H
#define PVMM_IMAGE_DIFF_H

#include "image.h"

enum pv_diff_kind {
    PV_DIFF_CONTENTS, /* the page has other bytes; or one image alone has its content */
    PV_DIFF_TYPE,     /* a table of another level, or of none, or pinned in one alone */
    PV_DIFF_P2M,      /* another machine frame */
    PV_DIFF_ONLY_A,   /* no page at that pfn in the other */
    PV_DIFF_ONLY_B,
    PV_DIFF_KINDS,
};
const char *pv_diff_name(enum pv_diff_kind k); /* "contents", "type", "p2m", "only-a", "only-b" */

/* What a page is in one of the images. */
struct pv_diff_page {
    mfn_t mfn;      /* as the view names it; NO_MFN: it is not there */
    unsigned level; /* 1..4: a table; 0: none, or none that is known */
    bool told;      /* the image itself says so; else it was found in use, from the roots on */
    bool pinned;    /* only if told */
};

/* Neighbouring pfns that differ in the same way and are of the same types. */
struct pv_diff_range {
    pfn_t first, last;
    unsigned kinds;              /* bit 1 << kind */
    struct pv_diff_page page[2]; /* A's, B's; mfn: of the first */
    unsigned as[2];              /* the level as which contents were compared; 0: bytes */
};
/* In the order of pfns. false: enough, the summary is then of what was seen. */
typedef bool pv_each_diff(void *context, const struct pv_diff_range *r);

struct pv_diff_summary {
    uint64_t pages;      /* pfns that either has */
    uint64_t same;       /* of these: that do not differ */
    uint64_t translated; /* of the same: tables whose bytes differ, and whose meaning does not */
    uint64_t tables;     /* of those with other contents: tables in either */
    uint64_t of[PV_DIFF_KINDS];
    uint64_t ranges;
    bool p2m;  /* mfns were compared: both images have them */
    bool pins; /* likewise: both images tell pins */
    bool types[2];
};

struct pv_diff_options {
    bool apart;       /* every page that has other contents is a range of its own */
    unsigned threads; /* 0: one for each core */
    struct pv_progress progress;
};

/* `each` and `o` may be NULL. The guests must not run. */
int pv_diff(const struct pv_view *a, const struct pv_view *b, const struct pv_diff_options *o,
            pv_each_diff *each, void *context, struct pv_diff_summary *out, struct pv_error *e);

/* The page at a pfn, as a range of pv_diff() compared it: entries of tables name pfns, but for
 * frames that are not the guest's. false: the content is not there. */
bool pv_diff_words(const struct pv_view *v, pfn_t at, unsigned as, uint64_t words[512]);

/* Where a page is seen, in the memory of who uses it: of several places that which tells most, the
 * kernel's image before a process before the kernel's map of all memory. */
struct pv_seen {
    mfn_t frame; /* asked for */
    mfn_t root;  /* NO_MFN: nothing that is known maps it */
    gva_t va;
};
/* `seen` is put in the order of frames. */
int pv_where_seen(const struct pv_view *v, struct pv_seen *seen, size_t n, struct pv_error *e);

#endif
