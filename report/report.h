/* SPDX-License-Identifier: MIT */
/*
 * A view of a guest's memory as a picture: what its frames are, who maps them, its lists, roots and
 * findings, in one HTML file that needs no network, or as the data that such a page asks for again
 * and again. The format between this and the page is docs/report-format.md.
 *
 * Functions that can fail return 0, or -1 with a chain of reasons in *e.
 */
#ifndef PVMM_REPORT_REPORT_H
#define PVMM_REPORT_REPORT_H

#include "check.h"
#include "image.h"
#include "p2m.h"
#include "symbols.h"

/* One act of the hypervisor's flight recorder (<pvmm/recorder.h>), oldest first. */
struct report_act {
    uint64_t time; /* ns since the first one */
    uint64_t rip;
    maddr_t at; /* of the entry, or of the frame */
    uint64_t old, now;
    unsigned act; /* enum pvmm_act */
};

struct report_timeline {
    const struct report_act *act;
    size_t acts;
    uint64_t lost; /* older ones that the ring had no more room for */
};

/* What is shown. Of these only `view` must be there. */
struct report_subject {
    const struct pv_view *view;
    const struct pv_p2m *lists;       /* NULL: none */
    const struct pv_symbols *symbols; /* NULL: nothing has a name */
    const struct pv_check *check;     /* NULL: not checked */
    const struct report_timeline *timeline;
    const char *file;    /* its name, for the title */
    const char *version; /* of pvmm, with its build id */
    const char *made;    /* ISO 8601, UTC */
};

enum report_detail {
    REPORT_AUTO,   /* entries, up to REPORT_MAX_ENTRIES of them, else tables */
    REPORT_ALL,    /* every entry of every table */
    REPORT_TABLES, /* entries of L2 and above; of L1s the counts alone */
};
#define REPORT_MAX_ENTRIES (48u << 20) /* of REPORT_AUTO */

struct report_options {
    enum report_detail detail;
    bool live; /* the page asks its server for news */
    struct pv_progress progress;
};

/* A whole page to `fd`, which may be a pipe; not synced. */
int report_page(const struct report_subject *s, int fd, const struct report_options *o,
                struct pv_error *e);

/* The page of a guest that is followed (docs/report-format.md, "Live"): it has no data yet; of `s`
 * the view is not looked at. Malloc'd. */
int report_live_page(const struct report_subject *s, char **text, size_t *size, struct pv_error *e);

/* The data alone, as one JSON object (docs/report-format.md, "Live"). Malloc'd. */
int report_data(const struct report_subject *s, const struct report_options *o, char **text,
                size_t *size, struct pv_error *e);

#endif
