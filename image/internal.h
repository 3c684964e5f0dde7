/* SPDX-License-Identifier: MIT */
/* What the files of libpvimage share. */
#ifndef PVMM_IMAGE_INTERNAL_H
#define PVMM_IMAGE_INTERNAL_H

#include "image.h"

/* ---- error.c: all return -1 */
int pv_fail(struct pv_error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Adds errno's text. */
int pv_fail_errno(struct pv_error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Puts what was tried before what went wrong. */
int pv_context(struct pv_error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int pv_no_memory(struct pv_error *e);

/* ---- file.c */
/* All n bytes at that place, or -1. `what` is for the message. */
int pv_read_at(int fd, uint64_t at, void *to, size_t n, const char *what, struct pv_error *e);
int pv_write_at(int fd, uint64_t at, const void *from, size_t n, const char *what,
                struct pv_error *e);

#define PV_FILE_LOST 160u

/* A file that is read in any order. */
struct pv_file {
    int fd;
    uint64_t bytes;
    const char *spooled; /* NULL: the file itself; else what its content came out of: "zstd", ... */
    char lost[PV_FILE_LOST]; /* what of the content could not be had, in words; "": nothing */
    _Atomic(uintptr_t) map;
};
/* Takes `fd` over, also when it fails. Not a regular file: an error. */
int pv_file_new(struct pv_file **out, int fd, const char *spooled, struct pv_error *e);
/* All n bytes, which must lie in the file. */
int pv_file_read(const struct pv_file *f, uint64_t at, void *to, size_t n, const char *what,
                 struct pv_error *e);
/* Where they lie in memory, until the file is closed; `at` is a multiple of 8. NULL: not in the
 * file, or it cannot be mapped. Touching a hole of a file on tmpfs fills it: for tables only. */
const void *pv_file_map(struct pv_file *f, uint64_t at, uint64_t n);
void pv_file_close(struct pv_file *f);

/* ---- input.c: opens a path; what is compressed or a pipe is spooled first. */
int pv_input_open(struct pv_file **out, const char *path, const struct pv_progress *progress,
                  struct pv_error *e);

/* Tells progress; -1: it is to end. */
int pv_tell(const struct pv_progress *p, const char *doing, uint64_t done, uint64_t total,
            struct pv_error *e);

/* ---- pairs.c: a table that is found by key. It grows with what is in it, whatever a file says. */
struct pv_pair {
    uint64_t key, value;
};

struct pv_pairs {
    struct pv_pair *pair;
    size_t n, room;
};

bool pv_pairs_add(struct pv_pairs *p, uint64_t key, uint64_t value); /* false: out of memory */
/* By key; equals stay in the order in which they were added. false: out of memory. */
bool pv_pairs_sort(struct pv_pairs *p);
/* Of a sorted table. The first of that key, or of that key or above; NULL: none. */
const struct pv_pair *pv_pairs_find(const struct pv_pairs *p, uint64_t key);
const struct pv_pair *pv_pairs_from(const struct pv_pairs *p, uint64_t key);
void pv_pairs_free(struct pv_pairs *p);

/* ---- frames.c: the frames of an image by pfn and by mfn, in 14 bytes each. A frame's index is its
 * place in the ascending order of pfns. */
#define PV_FRAME_LIMIT (1ull << 32) /* pfns and mfns are below: 16 TiB */

struct pv_frames {
    uint32_t *pfn, *mfn; /* by index */
    uint32_t *by_mfn;    /* indices, in ascending order of mfns */
    uint32_t *hint;      /* by mfn >> shift: where in by_mfn to begin */
    unsigned shift;
    size_t n, room;
};

/* pfns ascending, both below the limit. false: out of memory. */
bool pv_frames_add(struct pv_frames *f, pfn_t p, mfn_t m);
/* If they did not ascend: puts them in order. (*from)[index] is when that frame was added, from 0
 * on; malloc'd, to be freed. false: out of memory. */
bool pv_frames_order(struct pv_frames *f, uint32_t **from);
/* Once all are there, in order. false: out of memory. */
bool pv_frames_sort(struct pv_frames *f);
/* An index, or ~0: the frame's (of several pfns the lowest), the pfn's, the first at or above. */
uint64_t pv_frames_mfn(const struct pv_frames *f, mfn_t m);
/* The same of many: they are looked up side by side, and memory is not waited for each by each. */
void pv_frames_mfn_each(const struct pv_frames *f, const mfn_t *m, size_t n, uint64_t *index);
uint64_t pv_frames_pfn(const struct pv_frames *f, pfn_t p);
uint64_t pv_frames_pfn_from(const struct pv_frames *f, pfn_t p);
/* The frame at or above; NO_MFN: none. */
mfn_t pv_frames_next_mfn(const struct pv_frames *f, mfn_t from);
void pv_frames_free(struct pv_frames *f);

/* ---- gather.c: an index of frames that are not found in the order of pfns, in 8 bytes each until
 * all are there. An m2p is the guest's to write: several frames may have one pfn (the lowest is the
 * pfn's), some none or one of more than 32 bits; those stand at the end, at PV_NAMELESS. */
#define PV_NAMELESS (PV_FRAME_LIMIT - 1)

struct pv_m2p {
    pfn_t (*pfn_of)(const void *context, mfn_t m);
    const void *context;
};

struct pv_gather {
    uint64_t *key;
    size_t n, room;
};

bool pv_gather_add(struct pv_gather *g, pfn_t p, mfn_t m); /* false: out of memory */
/* Makes the sorted index, and frees what was gathered. false: out of memory. */
bool pv_gather_into(struct pv_gather *g, struct pv_frames *f, const struct pv_m2p *m2p);
void pv_gather_free(struct pv_gather *g);
/* Of such an index: the frame at a pfn; the first pfn at or above; every pfn is below the end. */
mfn_t pv_frames_mfn_of(const struct pv_frames *f, const struct pv_m2p *m2p, pfn_t p);
pfn_t pv_frames_next_pfn(const struct pv_frames *f, const struct pv_m2p *m2p, pfn_t from);
pfn_t pv_frames_end_pfn(const struct pv_frames *f, const struct pv_m2p *m2p);

/* ---- view.c */
/* A view of `vcpus` vCPUs, all empty, 64-bit, of one domain of which nothing is known; NULL: out of
 * memory. */
struct pv_view *pv_view_new(const struct pv_backend *backend, const char *kind, unsigned vcpus);
/* Frees what pv_view_new() made; the backend's is the backend's. */
void pv_view_free(struct pv_view *v);
/* Sets the context, of that width, and what follows from it: it may be to->context itself. */
void pv_vcpu_take(struct pv_vcpu *to, unsigned width, const void *context);
/* The same, of a view: of v->width. */
void pv_vcpu_set(struct pv_view *v, unsigned vcpu, const void *context);
/* The level of a root. */
unsigned pv_top_level(const struct pv_view *v);
/* Does a present entry of that level map memory, not a table? */
bool pv_is_leaf(unsigned level, uint64_t entry);
/* Bytes of a context of that width. */
size_t pv_context_bytes(unsigned width);

/* ---- open.c: the kinds of images. They are asked in this order; the first that recognises the
 * file opens it, and takes it over in any case. */
struct pv_format {
    const char *name;
    /* By its first bytes (n of them, at most 4096) and by looking at more of it. */
    bool (*is)(struct pv_file *f, const uint8_t *head, size_t n);
    int (*open)(struct pv_view **out, struct pv_file *f, const struct pv_open_options *o,
                struct pv_error *e);
};
extern const struct pv_format pv_format_dumpcore;  /* formats/dumpcore_read.c */
extern const struct pv_format pv_format_stream;    /* formats/stream_read.c */
extern const struct pv_format pv_format_elfcore;   /* formats/elfcore_read.c */
extern const struct pv_format pv_format_vmcore;    /* formats/vmcore.c */
extern const struct pv_format pv_format_pvmachine; /* formats/pvmemory.c */
extern const struct pv_format pv_format_xenmemory; /* formats/rawmemory.c */

#endif
