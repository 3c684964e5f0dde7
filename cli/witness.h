/* SPDX-License-Identifier: MIT */
/*
 * The flight recorder (abi/pvmm/recorder.h), read out of the machine's memory, and what it is
 * asked: who did that, and when. The machine may run meanwhile; records that were overtaken while
 * they were read are dropped.
 */
#ifndef PVMM_CLI_WITNESS_H
#define PVMM_CLI_WITNESS_H

#include <stdbool.h>
#include <stddef.h>

#include <pvmm/channel.h>

#include "error.h"

struct witness {
    const volatile struct pvmm_record *ring;   /* NULL: off, or not there */
    const volatile struct pvmm_recorder *live; /* in the mailbox */
    uint64_t records;                          /* of the ring: a power of two */
    bool still;                                /* nobody writes to it any more */
    void *map;
    size_t map_bytes;
};

/*
 * `live` is the mailbox's part and stays there; `ram_fd` is not taken over. A recorder that is off
 * is no error. -1: what it says of itself cannot be; *w is then as if it were off.
 */
int witness_open(struct witness *w, int ram_fd, const volatile struct pvmm_recorder *live,
                 struct error *e);
void witness_close(struct witness *w);

/* Records ever, and the first that is still there for sure. */
uint64_t witness_written(const struct witness *w);
uint64_t witness_oldest(const struct witness *w);

/* Record `index`. false: it is not there yet, or not any more. */
bool witness_read(const struct witness *w, uint64_t index, struct pvmm_record *r);

/* The parts of `at`. */
uint64_t record_address(const struct pvmm_record *r);
unsigned record_act(const struct pvmm_record *r);
unsigned record_vcpu(const struct pvmm_record *r);

enum witness_answer {
    WITNESS_OFF,       /* there is no recorder */
    WITNESS_SEEN,      /* `record` is the act */
    WITNESS_VALIDATED, /* stored before the table was validated, which is `record` */
    WITNESS_OLDER,     /* older than the recorder reaches */
    WITNESS_BEFORE,    /* the recorder has everything, so it was there before: the builder's */
    WITNESS_UNSEEN, /* stored in a table that is not validated yet: nobody looks at such stores */
};

struct witnessed {
    enum witness_answer answer;
    uint64_t index;
    struct pvmm_record record;
};

/* The questions are about the time before record `before`. */

/* Who made the entry at `at` name frame `mfn`, in a table of `level`? */
struct witnessed witness_entry(const struct witness *w, uint64_t before, uint64_t at, uint64_t mfn,
                               unsigned level);
/* The last act of this kind on the frame; of PVMM_ACT_TYPE and PVMM_ACT_ROOT only those that made
 * it `now`: a type; 0 the kernel's root, 1 the user's. */
struct witnessed witness_frame(const struct witness *w, uint64_t before, enum pvmm_act act,
                               uint64_t mfn, uint64_t now);

/* The kernel root that was loaded last; PVMM_NONE: no record of that. */
uint64_t witness_kernel_root(const struct witness *w);

#endif
