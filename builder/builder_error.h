/* SPDX-License-Identifier: MIT */
/* Why a guest cannot be built: what, where, why. Whoever embeds the builder makes words of it. */
#ifndef PVMM_BUILDER_ERROR_H
#define PVMM_BUILDER_ERROR_H

#include <stdbool.h>

/* A printf format for up to four unsigned longs. */
struct builder_error {
    const char *text;
    unsigned long value[4];
};

static inline bool builder_refuse(struct builder_error *e, struct builder_error why)
{
    *e = why;
    return false;
}

/* BUILDER_FAIL(e, "text") or BUILDER_FAIL(e, "text %lx %lu", {a, b}); its value is false. */
#define BUILDER_FAIL(e, ...) builder_refuse(e, (struct builder_error){.text = __VA_ARGS__})

#endif
