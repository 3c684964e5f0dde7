/* SPDX-License-Identifier: MIT */
/* Why a guest cannot be built: what, where, why. Whoever embeds the builder makes words of it. */
#ifndef PVMM_BUILDER_ERROR_H
#define PVMM_BUILDER_ERROR_H

#include <stdbool.h>

/* What a refusal is about, for those who have to tell them apart. */
enum builder_cause {
    BUILDER_NO_ELF,
    BUILDER_32_BIT,
    BUILDER_MACHINE,
    BUILDER_TYPE, /* no executable */
    BUILDER_HEADERS,
    BUILDER_TRUNCATED,
    BUILDER_NO_NOTES,
    BUILDER_NOTES, /* damaged */
    BUILDER_PVH_ALONE,
    BUILDER_VERSION,
    BUILDER_LOADER,
    BUILDER_VIRT_BASE, /* and the initial mapping from there on */
    BUILDER_SEGMENTS,
    BUILDER_ENTRY,
    BUILDER_HYPERCALL_PAGE,
    BUILDER_INIT_P2M,
    BUILDER_HV_START_LOW,
    BUILDER_MEMORY, /* too small, or more than there can be */
    BUILDER_CAUSES
};

/* A printf format for up to four unsigned longs. */
struct builder_error {
    enum builder_cause cause;
    const char *text;
    unsigned long value[4];
};

static inline bool builder_refuse(struct builder_error *e, struct builder_error why)
{
    *e = why;
    return false;
}

/* BUILDER_FAIL(e, cause, "text") or BUILDER_FAIL(e, cause, "text %lx %lu", {a, b}); its value is
 * false. */
#define BUILDER_FAIL(e, why, ...)                                                                  \
    builder_refuse(e, (struct builder_error){.cause = (why), .text = __VA_ARGS__})

#endif
