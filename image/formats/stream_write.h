/* SPDX-License-Identifier: MIT */
/* What the files of the writer of save streams share. All that can be refused is refused by
 * save_prepare functions, before the first byte, but for entries of tables. */
#ifndef PVMM_IMAGE_FORMATS_STREAM_WRITE_H
#define PVMM_IMAGE_FORMATS_STREAM_WRITE_H

#include <sys/uio.h>

#include "internal.h"
#include "stream_layout.h"
#include "transfer.h"

/* ---- stream_write_sink.c: where the bytes go */
struct sink {
    int fd;
    int own;        /* the same pipe, opened anew so as not to wait in it; -1: none */
    uint64_t bytes; /* that went into it */
    void *zstd;     /* NULL: as they are */
    void *packed;   /* of zstd's: room for what comes out */
    size_t packed_room;
    const struct pv_progress *progress;
    uint64_t done, total; /* pages */
};

int sink_open(struct sink *k, int fd, const struct pv_save_options *o, struct pv_error *e);
/* -1: it is to stop here. Whatever waits asks it now and then. */
int sink_tell(const struct sink *k, struct pv_error *e);
int sink_put(struct sink *k, const void *from, size_t n, struct pv_error *e);
/* What the pieces say afterwards is not defined. */
int sink_put_pieces(struct sink *k, struct iovec *piece, size_t n, struct pv_error *e);
int sink_end(struct sink *k, struct pv_error *e); /* what zstd still has */
void sink_close(struct sink *k);                  /* after an error as well; not the descriptor */

/* ---- stream_write_list.c: the guest's own p2m list, and what it says */
struct save_list {
    const struct pv_view *v;
    bool as_found;       /* it may be nowhere */
    uint64_t start, end; /* pfns that it lists: start..end - 1 */
    uint64_t *pfn;       /* of each of its pages */
    struct save_list_page {
        mfn_t frame;
        const uint64_t *words; /* NULL: to be read */
    } * page;                  /* of a list that names frames by mfn */
    size_t pages, room;
};

int save_list_open(struct save_list *l, const struct pv_view *v, bool as_found, struct pv_error *e);
/* The same of a view with machine frames, as far as the pages' frames: their pfns are not asked
 * for.
 */
int save_list_published(struct save_list *l, struct pv_error *e);
void save_list_free(struct save_list *l);
/* The frame that it has at a pfn; NO_MFN: none. */
mfn_t save_listed(const struct save_list *l, pfn_t p);
/* The first page of the guest's at or above; false: no more. */
bool save_next(const struct save_list *l, pfn_t *p, mfn_t *m);
/* The pfn of a frame that is named somewhere: m2p and the list must be of one mind. */
int save_pfn_of(const struct save_list *l, mfn_t m, pfn_t *p, struct pv_error *e);
/* The same of one that must not be a table. */
int save_plain_pfn_of(const struct save_list *l, mfn_t m, pfn_t *p, struct pv_error *e);

/* ---- stream_write_pages.c */
struct save_count {
    uint64_t pages, tables;
};

/* A page's type, enum page_type; false: the image does not tell. */
bool save_type(const struct pv_view *v, mfn_t m, unsigned *type);
/* Is every page where m2p has it, and known for what it is? */
int save_look_over(const struct save_list *l, struct save_count *c, struct pv_error *e);

/* What went before (stream_live.c), by pfn: the frame as which it did; ~0: it did not. */
struct save_sent {
    uint32_t *mfn;
    uint64_t end;
};
#define NO_FRAME_SENT (~0u)

/* Which pages are to go. */
struct save_choice {
    const struct pv_view *v;
    const struct save_list *list;    /* NULL: the guest runs, and m2p says where its pages are;
                                        tables are left out */
    struct save_sent *sent;          /* NULL: all go */
    const struct pv_frame_set *what; /* of those that went: these go again; NULL: none */
};
int save_pages(const struct save_choice *of, struct sink *k, struct save_count *c,
               struct pv_error *e);

/* ---- stream_write_state.c */
struct save_state {
    uint8_t (*context)[PV_CONTEXT_BYTES]; /* by vCPU, frames named by pfn */
    uint8_t shared_info[PAGE_BYTES];
};

int save_state_open(struct save_state *s, const struct save_list *l, struct pv_error *e);
void save_state_free(struct save_state *s);
int save_state_put(const struct save_state *s, const struct pv_view *v, struct sink *k,
                   struct pv_error *e);

/* ---- stream_write_xl.c: what stands before libxc's stream in a file of xl's, and behind it */
int save_xl_begin(const struct pv_view *v, const struct pv_save_options *o,
                  const struct save_count *c, struct sink *k, struct pv_error *e);
int save_xl_end(struct sink *k, struct pv_error *e);

/* ---- stream_write.c: a stream's parts, in their order */
struct save {
    const struct pv_view *v;
    const struct pv_save_options *o;
    bool live; /* pages may go several times */
    struct save_list list;
    struct save_count count;
    struct save_state state;
    struct sink sink;
};
/* Could this be the guest of a stream? The second: as it stands, because it suspended itself. */
int save_check_view(const struct save *s, struct pv_error *e);
int save_check_state(const struct save *s, struct pv_error *e);
/* What goes in front of the pages, and behind them. */
int save_front(struct save *s, struct pv_error *e);
int save_back(struct save *s, struct pv_error *e);
/* Everything that can be wrong with a guest that stands; s->v and s->o are set. */
int save_prepare(struct save *s, struct pv_error *e);
void save_free(struct save *s);

int save_record(struct sink *k, uint32_t type, const void *body, size_t n, struct pv_error *e);
/* The same of a body in two parts. */
int save_record_of(struct sink *k, uint32_t type, const void *head, size_t head_bytes,
                   const void *body, size_t n, struct pv_error *e);

#endif
