/* SPDX-License-Identifier: MIT */
/* Chains of reasons: "cannot do this: because of that". */
#include "internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int pv_fail(struct pv_error *e, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, args);
    va_end(args);
    return -1;
}

static void append(struct pv_error *e, const char *reason)
{
    size_t used = strlen(e->text);
    snprintf(e->text + used, sizeof(e->text) - used, ": %s", reason);
}

int pv_fail_errno(struct pv_error *e, const char *fmt, ...)
{
    int saved = errno;
    va_list args;
    va_start(args, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, args);
    va_end(args);
    append(e, strerror(saved));
    return -1;
}

int pv_context(struct pv_error *e, const char *fmt, ...)
{
    struct pv_error inner = *e;
    va_list args;
    va_start(args, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, args);
    va_end(args);
    append(e, inner.text);
    return -1;
}

int pv_no_memory(struct pv_error *e)
{
    return pv_fail(e, "out of memory");
}
