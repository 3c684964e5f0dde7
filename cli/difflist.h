/* SPDX-License-Identifier: MIT */
/* What `pvmm diff` found, to be shown. */
#ifndef PVMM_CLI_DIFFLIST_H
#define PVMM_CLI_DIFFLIST_H

#include "diff.h"
#include "imagefile.h"

struct diff_options {
    struct image_options image;
    const char *path[2];
    uint64_t shown; /* ranges */
    bool bytes, entries, help;
};

struct diff_entry {
    struct pv_diff_range range;
    struct pv_seen seen; /* of its first page, in B if A does not have it */
};

#define DIFF_NOTES 8

struct diff_list {
    const struct diff_options *o;
    struct image image[2];
    struct pv_diff_summary sum;
    struct diff_entry *entry; /* the first o->shown */
    size_t n, room;
    bool no_memory;
    char note[DIFF_NOTES][192];
    unsigned notes;
};

bool diff_is_different(const struct pv_diff_summary *s);
void diff_note(struct diff_list *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void diff_print_text(const struct diff_list *l);
void diff_print_json(const struct diff_list *l);

#endif
