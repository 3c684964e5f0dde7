/* SPDX-License-Identifier: MIT */
/* What the files of the reader of save streams share. */
#ifndef PVMM_IMAGE_FORMATS_STREAM_PARTS_H
#define PVMM_IMAGE_FORMATS_STREAM_PARTS_H

#include "internal.h"
#include "stream_layout.h"

/* ---- stream_index.c: where each pfn's page lies, in 12 bytes. Of a pfn that is put more than once
 * the last counts. */
struct stream_index {
    uint32_t *pfn;   /* ascending */
    uint64_t *place; /* its type and offset */
    size_t n, room;
    struct pv_pairs late; /* what came out of order, until it is merged */
};

#define NOWHERE ((size_t)-1)

static inline uint64_t place_make(unsigned type, uint64_t offset)
{
    return (uint64_t)type << 60 | offset;
}

static inline unsigned place_type(uint64_t place)
{
    return (unsigned)(place >> 60);
}

static inline uint64_t place_offset(uint64_t place)
{
    return place & ((1ull << 60) - 1);
}

static inline bool type_has_content(unsigned type)
{
    return type < PAGE_BROKEN;
}

/* Pfns below PV_FRAME_LIMIT. PAGE_NONE takes away what was there. false: out of memory. */
bool stream_index_put(struct stream_index *x, uint64_t pfn, uint64_t place);
/* Once all are there; pfns of type PAGE_NONE and PAGE_BROKEN are no pages of the guest and go. How
 * many were broken: *broken. */
bool stream_index_settle(struct stream_index *x, uint64_t *broken);
/* Of a settled index: the place of that pfn, of the first at or above; NOWHERE. */
size_t stream_index_find(const struct stream_index *x, uint64_t pfn);
size_t stream_index_from(const struct stream_index *x, uint64_t pfn);
void stream_index_free(struct stream_index *x);

/* ---- what is known of a stream */
struct stream {
    struct pv_file *file;
    bool of_xl;                    /* libxl's records are around libxc's */
    char name[64], uuid[40];       /* from the configuration */
    uint32_t xen_major, xen_minor; /* 0, 0: not known */
    unsigned width;                /* 0: not told yet */
    struct stream_index index;
    struct pv_pairs anchor;   /* offset and number of every 16th record of pages */
    struct pv_pairs context;  /* by vCPU: offset */
    struct pv_pairs extended; /* likewise */
    uint32_t tsc_khz;         /* 0: not told */
    uint64_t shared_at;       /* 0: not there */
    bool has_p2m;
    struct p2m_frames p2m;
    uint64_t *p2m_pfn;
    size_t p2m_frames;
    char lost[256];
};

/* What is missing or damaged, behind what has been said already. */
void stream_lose(struct stream *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- stream_names.c: what the formats' texts call a record; "unknown", "an optional one". */
const char *stream_record_name(uint32_t type, bool of_libxc);
/* What a vCPU's record of callbacks says, in the view's terms. */
struct pv_extended stream_extended(const struct extended_context *c);

/* ---- stream_headers.c */
/* What xl's configuration tells. */
struct stream_configuration {
    char name[80], uuid[40]; /* "": not told, or it makes no sense */
    uint64_t max_memory;     /* bytes; 0: likewise */
};
#define CONFIGURATION_MAX (256u << 10)
/* `text` ends with a 0. false: it is no JSON, or out of memory. */
bool stream_configuration_parse(struct stream_configuration *out, const char *text);
int stream_check_save(const struct save_header *h, struct pv_error *e);
int stream_check_libxl(const struct libxl_header *h, uint64_t at, struct pv_error *e);
int stream_check_libxc(const struct libxc_header *h, uint64_t at, struct pv_error *e);
int stream_check_domain(const struct domain_header *h, struct pv_error *e);

/* *at goes behind what has been read. */
bool stream_begins(const uint8_t *head);
/* xl's and libxl's header; neither may be there. */
int stream_read_outer(struct stream *s, uint64_t *at, struct pv_error *e);
/* libxc's two. */
int stream_read_inner(struct stream *s, uint64_t *at, struct pv_error *e);

/* ---- stream_records.c: reads all records from `at` on. What follows a damaged one is not there:
 * s->lost says so. An error: nothing can be made of it at all. */
int stream_read_records(struct stream *s, uint64_t at, const struct pv_progress *progress,
                        struct pv_error *e);
/* Which record has the content at that offset; and which of the record's pages it is. */
bool stream_record_of(const struct stream *s, uint64_t offset, uint64_t *number, uint64_t *page);

#endif
