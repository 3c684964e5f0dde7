/* SPDX-License-Identifier: MIT */
/* Every memory hypercall with good, bad and borderline arguments, one line for each request. */
#include "ask.h"

static const struct {
    const char *name;
    void (*run)(void);
} groups[] = {
    {"bits of entries", conform_flags}, {"types of frames", conform_types},
    {"mmu_update", conform_updates},    {"batches", conform_batches},
    {"mmuext_op", conform_ext},         {"descriptors", conform_descriptors},
    {"memory_op", conform_memory},      {"other calls", conform_misc},
    {"grants", conform_grants},         {"exchange", conform_exchange},
};

void conform(void)
{
    for (unsigned i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        say("# %s\n", groups[i].name);
        groups[i].run();
        pool_reset(0, POOL);
    }
    say("# %u requests\n", requests_asked());
}
