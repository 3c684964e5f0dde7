/* SPDX-License-Identifier: MIT */
/*
 * Guests on the move: save streams written from a view, and taken in to make a guest of again. The
 * formats are Xen's (docs/specs/libxc-migration-stream, libxl-migration-stream); which guest stands
 * still, and how its memory is had, is the caller's.
 *
 * Functions that can fail return 0, or -1 with a chain of reasons in *e.
 */
#ifndef PVMM_IMAGE_TRANSFER_H
#define PVMM_IMAGE_TRANSFER_H

#include "image.h"

/* ---- saving */

struct pv_save_options {
    bool of_xl;          /* a file as `xl save` writes it; else libxc's stream alone */
    const char *name;    /* of_xl: what it is called there; NULL: as the view says, or "guest" */
    uint64_t max_memory; /* of_xl: bytes it may have; 0: what it has */
    int zstd;            /* level 1..19; 0: not compressed */
    bool as_found;       /* of a portable view: also one that is not whole, or that nothing can
                            restore */
    struct pv_progress progress; /* by pages */
};

struct pv_saved {
    uint64_t pages, tables; /* of these; written */
    uint64_t bytes;         /* of the file, as it stands */
};

/*
 * Writes the guest of `v`, which stands still because it suspended itself (edx of vCPU 0 is the mfn
 * of start_info), to `fd`, which may be a pipe; not synced. Tables are normalised entry by entry:
 * p2m (the guest's own list) and m2p must agree on every frame that is named, and what does not is
 * an error that names table, slot, frame and both answers. After an error what was written is the
 * caller's to remove.
 */
int pv_stream_write(const struct pv_view *v, int fd, const struct pv_save_options *o,
                    struct pv_saved *saved, struct pv_error *e);

/* ---- saving what runs
 *
 * In rounds, the last of them when the guest stands. A page may go several times, and the last one
 * counts; page tables go in the last round only. Between two calls the caller asks the hypervisor
 * what was written (abi/pvmm/dirty.h).
 *
 *   pv_live_begin()   the heads of the stream, and where the guest has its p2m list
 *   pv_live_round()   the first with what == NULL: all of its plain pages; then what was written
 *   pv_live_finish()  the guest stands because it suspended itself: what was written since, what
 *                     never went, what has another frame or another type than when it went, all
 *                     tables, and the guest's state. Everything pv_stream_write() checks is checked
 *                     here, before its first byte of this round
 *
 * After an error only pv_live_free() may follow, and what was written is the caller's to remove.
 */
struct pv_live;

/* Frames by mfn: bit m % 64 of word m / 64. */
struct pv_frame_set {
    const uint64_t *words;
    uint64_t frames; /* bits there are */
};

struct pv_live_told {
    unsigned round;        /* 1, 2, ..; the last one included */
    uint64_t pages, bytes; /* that this round wrote */
    uint64_t left;         /* pages that a last round will have to write besides what is written
                              from now on: tables */
};

/* `running` is the memory of a machine that runs pvmm (a view of another kind is refused), and
 * looked at anew by every round; its guest need not stand. `o` is copied, but for what it points
 * to. */
int pv_live_begin(struct pv_live **out, struct pv_view *running, int fd,
                  const struct pv_save_options *o, struct pv_error *e);
int pv_live_round(struct pv_live *l, const struct pv_frame_set *what, struct pv_live_told *told,
                  struct pv_error *e);
/* `standing`: opened after the guest stood. */
/* Of the stream, so far; for progress, also from within it. */
uint64_t pv_live_bytes(const struct pv_live *l);
int pv_live_finish(struct pv_live *l, const struct pv_view *standing,
                   const struct pv_frame_set *what, struct pv_live_told *told,
                   struct pv_saved *saved, struct pv_error *e);
void pv_live_free(struct pv_live *l);

/* ---- taking in */

/* One page of a guest that was taken in. */
struct pv_taken_page {
    uint64_t offset; /* of its content in the stream (decompressed); 0: it came without */
    uint32_t record; /* number of libxc's records, from 0 on */
    uint32_t mfn;    /* ~0: no page has this pfn */
    uint8_t level;   /* 1..4: a table; 0: none */
    bool pinned;
};

struct pv_taken {
    bool of_xl;
    char name[80], uuid[40]; /* "": not told */
    uint64_t max_memory;     /* bytes, as the configuration has it; 0: not told */
    uint32_t xen_major, xen_minor;
    unsigned width;             /* 8 */
    uint64_t end_pfn;           /* every pfn is below: the length of the p2m */
    struct pv_taken_page *page; /* end_pfn of them, by pfn */
    uint64_t pages, tables;
    uint64_t *p2m_pfn; /* of the pages of the guest's p2m list */
    size_t p2m_frames;
    unsigned nr_vcpus;
    struct pv_vcpu *vcpu; /* contexts as in the stream, frames by pfn; then, localised, by mfn */
    uint8_t shared_info[4096]; /* as in the stream */
    uint64_t tsc_khz;          /* 0: not told */
    uint64_t records, bytes;   /* read */
};

/*
 * Where what is taken in goes. Both may fail, with *e set.
 */
struct pv_take_ops {
    /* Once, when it is known how many pfns there may be (t->end_pfn) and what kind of guest it is,
     * and before any page: memory for all of them is to be had on return. */
    int (*begin)(void *context, const struct pv_taken *t, struct pv_error *e);
    /* The frame for the next pfn that is new: 4096 bytes to be written, until pv_take() returns and
     * beyond, and its number. */
    int (*frame)(void *context, void **at, mfn_t *m, struct pv_error *e);
};

struct pv_take_options {
    uint64_t max_pfns;  /* a stream with more is refused */
    unsigned max_vcpus; /* likewise */
    bool live;          /* pages may come again, and the last counts; else that is refused, but of a
                           stream that says so itself, as ours do */
    const void *begun;  /* what was read of it already, */
    size_t begun_bytes; /* at most PV_BEGUN_MOST */
    struct pv_progress progress; /* by pages */
};
#define PV_BEGUN_MOST 16u

/*
 * Reads a whole stream from `fd` (a file, a pipe; compressed or not; libxc's or xl's) strictly:
 * what the format does not allow, what a PV guest of 64 bits does not have, what is not complete is
 * refused, with the number and the offset of the record and the reason. It ends behind the END
 * record, and what follows that in a file is refused too. Everything it believes is checked:
 * numbers of pfns, lengths, orders, doubles. *out is freed by pv_taken_free(), also after an error
 * (it may be NULL).
 */
int pv_take(struct pv_taken **out, int fd, const struct pv_take_ops *ops, void *context,
            const struct pv_take_options *o, struct pv_error *e);

/*
 * What is the toolstack's to rewrite, when all pages are there: entries of tables, the guest's own
 * p2m list, and frames in the vCPUs' states from pfn to mfn; start_info (suspend record) from
 * *now. `at` gives the bytes of a page that ops->frame() gave. Errors name pfn, slot, record,
 * offset. All is checked before anything is written, but memory that changes meanwhile may be left
 * half rewritten by an error.
 */
struct pv_take_start {
    mfn_t shared_info;
    uint32_t store_port, console_port; /* 0: there is none */
    pfn_t start_info, store, console;  /* filled in: where the guest has them; store: NO_PFN */
};
int pv_take_localise(struct pv_taken *t, void *(*at)(void *context, mfn_t m), void *context,
                     struct pv_take_start *now, struct pv_error *e);

/* Where a page came from: "record 12 (PAGE_DATA) at offset 123456"; false: no such page. */
bool pv_taken_place(const struct pv_taken *t, pfn_t p, struct pv_place *out);

void pv_taken_free(struct pv_taken *t);

#endif
