/* SPDX-License-Identifier: MIT */
/* What the files of the strict reader of save streams share (<transfer.h>). */
#ifndef PVMM_IMAGE_FORMATS_STREAM_TAKE_H
#define PVMM_IMAGE_FORMATS_STREAM_TAKE_H

#include <sys/uio.h>

#include "spool.h"
#include "stream_parts.h"
#include "transfer.h"

/* ---- stream_take_input.c: the content from front to back, once; decompressed if need be. */
struct take_input {
    int fd;
    bool regular; /* a file: it ends; else what is not asked for is not waited for */
    const struct decoder *decoder; /* NULL: the content as it stands */
    void *state;
    enum decoded is;
    bool raw_ended, held; /* the decoder may have content left that there was no room for */
    uint8_t *raw;         /* compressed; RAW_BYTES */
    size_t raw_at, raw_end;
    uint8_t *ahead; /* content that was read and not given yet; AHEAD_BYTES */
    size_t at, end;
    uint64_t offset; /* in the content, of the next byte to be given */
    const struct pv_progress *progress;
    uint64_t done, total; /* pages, for progress */
};

int take_input_open(struct take_input *in, int fd, const struct pv_take_options *o,
                    struct pv_error *e);
void take_input_close(struct take_input *in);
int take_input_tell(struct take_input *in, struct pv_error *e);
/* Into `n` pieces, at most 1024, which it changes. *got is less than they have room for: the
 * content ends. */
int take_input_read(struct take_input *in, struct iovec *piece, unsigned n, size_t *got,
                    struct pv_error *e);
/* Does it end here? Of a regular file. */
int take_input_ended(struct take_input *in, bool *ended, struct pv_error *e);

/* ---- stream_take.c: the records, and what they have in common. */
enum take_phase {
    TAKE_STATIC, /* X86_PV_INFO and policies, up to STATIC_DATA_END */
    TAKE_P2M,    /* X86_PV_P2M_FRAMES is to come */
    TAKE_PAGES,
    TAKE_STATE, /* of vCPUs, shared_info, the TSC */
    TAKE_ENDED,
};

/* The frame that a pfn was given, also if its page is gone again. */
struct take_frame {
    void *at; /* NULL: none yet */
    uint32_t mfn;
};

#define TAKE_BODY 65536u /* bytes: more than any record that is read in one */

struct taking {
    struct pv_taken *t;
    struct take_input in;
    const struct pv_take_ops *ops;
    void *context;
    const struct pv_take_options *o;
    unsigned version; /* of libxc's stream */
    enum take_phase phase;
    /* The record that is being read: */
    struct record_header h;
    bool of_libxl;
    uint64_t number; /* libxc's and libxl's are counted apart */
    uint64_t at;     /* of its header */
    uint64_t libxl_records;
    uint32_t behind;                    /* type of libxc's last record */
    uint32_t had;                       /* bits by type: of libxc's that come once */
    uint8_t *vcpu_had;                  /* o->max_vcpus of them; bits by type */
    bool live;                          /* pages may come again */
    uint64_t skipped, skipped_bytes;    /* optional records */
    uint64_t listed, most_listed;       /* pfns in records of pages; may be */
    struct take_frame *frame;           /* by pfn */
    uint64_t word[PAGE_DATA_MOST];      /* of a record of pages */
    struct iovec piece[PAGE_DATA_MOST]; /* where they go */
    uint8_t body[TAKE_BODY] __attribute__((aligned(8))); /* of all others */
};

#define TAKE_PASSES 64u   /* how often, on average, a page may come while the guest runs */
#define TAKE_UNSEEN (~0u) /* pv_taken_page.record: the pfn was not in any list yet */

/* Returns -1: "record 5 (PAGE_DATA) at offset 123: ..." */
int take_refuse(const struct taking *c, struct pv_error *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* n bytes of the record's body, all of them. */
int take_body(struct taking *c, void *to, size_t n, struct pv_error *e);
int take_pieces(struct taking *c, unsigned pieces, size_t n, struct pv_error *e);

/* ---- stream_take_headers.c: what is before the records. */
int take_outer(struct taking *c, struct pv_error *e);
int take_inner(struct taking *c, struct pv_error *e);
/* n bytes of `what`, a header. */
int take_header(struct taking *c, void *to, size_t n, const char *what, struct pv_error *e);

/* ---- stream_take_pages.c: of a PAGE_DATA record all but its header. */
int take_page_data(struct taking *c, struct pv_error *e);

/* ---- stream_take_state.c: records of the guest's state. The whole body is in c->body, but that of
 * X86_PV_P2M_FRAMES. */
int take_pv_info(struct taking *c, struct pv_error *e);
int take_p2m_frames(struct taking *c, struct pv_error *e);
int take_shared_info(struct taking *c, struct pv_error *e);
int take_tsc_info(struct taking *c, struct pv_error *e);
int take_vcpu_basic(struct taking *c, struct pv_error *e);
int take_vcpu_extended(struct taking *c, struct pv_error *e);
int take_vcpu_xsave(struct taking *c, struct pv_error *e);
int take_vcpu_msrs(struct taking *c, struct pv_error *e);
/* At the end: what is needed has come. */
int take_state_complete(struct taking *c, struct pv_error *e);

#endif
