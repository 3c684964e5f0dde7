/* SPDX-License-Identifier: MIT */
/* Writes save streams as Xen 4.17's tools do, of any view: small ones, for tests and examples. */
#ifndef PVMM_TESTS_IMAGE_MAKE_STREAM_H
#define PVMM_TESTS_IMAGE_MAKE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "image.h"

struct stream_options {
    bool xl;          /* `xl save`'s file around it; else libxc's stream alone */
    unsigned version; /* of libxc's stream: 3 (also: 0) or 2 */
    unsigned batch;   /* pages in a record; 0: 16 */
    bool live;        /* all pages come before with another content, and again at the end */
    bool shuffled;    /* in no order */
    bool verify;      /* all come once more behind VERIFY, with another content */
    bool checkpoint;  /* ends in a checkpoint, and begins anew behind it */
    bool holes;       /* pfns without a page are said to have none */
    bool optional;    /* a record that may be skipped */
    uint32_t unknown; /* not 0: a record of that type */
    const char *name; /* of the domain; NULL: "made" */
    /* The pages of the guest's p2m list, for pfns up to end; none: no such record. */
    const uint64_t *p2m;
    size_t p2m_frames;
    uint64_t p2m_end;
};

/* Where the records are, libxl's as well: of their headers. */
#define STREAM_RECORDS_MAX 1024u
struct stream_made {
    unsigned n;
    struct {
        off_t at;
        uint32_t type;
        bool of_libxc;
    } record[STREAM_RECORDS_MAX];
    off_t libxc_at; /* of libxc's header */
    off_t bytes;
};

/* At the file's beginning; asserts that all goes well. Tables under pinned roots and those of the
 * vCPUs have their types. */
void make_stream(int fd, const struct pv_view *v, const struct stream_options *o,
                 struct stream_made *out);

/* The offset of the first record of that type. */
off_t made_record(const struct stream_made *s, bool of_libxc, uint32_t type);

#endif
