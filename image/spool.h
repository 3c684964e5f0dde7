/* SPDX-License-Identifier: MIT */
/* From what can only be read once, or is compressed, to a file that is read in any order. */
#ifndef PVMM_IMAGE_SPOOL_H
#define PVMM_IMAGE_SPOOL_H

#include "internal.h"

/* ---- decode.c: what compresses. */

struct decode_buffers {
    const uint8_t *in;
    size_t in_bytes;
    uint8_t *out;
    size_t out_room;
};

enum decoded {
    DECODE_MORE,    /* it goes on: with more input, or more room */
    DECODE_END,     /* what may be all; another part can follow */
    DECODE_DAMAGED, /* *why says what is wrong */
};

struct decoder {
    const char *name;
    bool (*is)(const uint8_t *head, size_t n);
    void *(*start)(void); /* NULL: out of memory */
    /* Goes on in the buffers, which are moved. `last`: there is no input behind this. */
    enum decoded (*run)(void *state, struct decode_buffers *b, bool last, const char **why);
    void (*end)(void *state);
};

#define DECODE_HEAD 8u /* bytes that tell */

/* NULL: not compressed, as far as is known. */
const struct decoder *pv_decoder_for(const uint8_t *head, size_t n);

/* ---- spool.c */

/* Is its content compressed? Of a regular file. */
bool pv_is_compressed(int fd);
/* Copies the content, decompressed if need be, into a file without a name in $TMPDIR; blocks of
 * zeroes become holes. Takes fd over. Of what is damaged or cut short the part before is kept, and
 * (*out)->lost says so. */
int pv_spool(struct pv_file **out, int fd, const struct pv_progress *progress, struct pv_error *e);

#endif
