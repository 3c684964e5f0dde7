/* SPDX-License-Identifier: MIT */
/* Every entry that a guest may try, what the ABI says of it, and what the core answers. */
#ifndef PVMM_CONTRACT_EXHAUSTIVE_H
#define PVMM_CONTRACT_EXHAUSTIVE_H

#include "world.h"

enum target {
    TARGET_NONE, /* a frame of the domain's without uses */
    TARGET_L1,   /* validated, by a loaded root or an entry above */
    TARGET_L4 = TARGET_L1 + 3,
    TARGET_PINNED_L1,
    TARGET_PINNED_L4 = TARGET_PINNED_L1 + 3,
    TARGET_DESCRIPTOR,
    TARGET_WRITABLE,
    TARGET_SHARED,
    TARGET_FOREIGN,
    TARGET_FREE,
    TARGET_DEVICE,
    TARGET_BEYOND,
    TARGET_ALL_ONES,
    TARGET_ITSELF,
    TARGETS,
};

enum way { WAY_UPDATE, WAY_KEEP_AD, WAY_ADDRESS, WAY_STORE, WAY_VALIDATE, WAYS };

struct trial {
    unsigned level;
    enum way way;
    enum target target;
    uint64_t flags;
    bool devices; /* the domain has the right to them */
};

struct answer {
    int error;
    uint64_t entry; /* what stands there afterwards */
};

/* setting.c: a domain with a frame of every kind, and one trial in it. The entry is empty before,
 * and afterwards again. */
void setting_make(void);
mfn_t setting_target(const struct trial *t);
/* What stands there before the trial: nothing, or the accessed and dirty bits to be kept. */
uint64_t setting_old(const struct trial *t);
struct answer setting_try(const struct trial *t);
/* One update of the L1..L4 entry that is left as it becomes. */
struct answer setting_change(unsigned level, bool keep_ad, uint64_t entry);
bool setting_sound(void);

/* record.c: the same against what real Xen said. Returns how many lines differ. */
unsigned record_compare(const char *path);

#endif
