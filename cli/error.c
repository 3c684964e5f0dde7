/* SPDX-License-Identifier: MIT */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *e, int code, const char *fmt, ...)
{
    va_list args;

    e->code = code;
    va_start(args, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, args);
    va_end(args);
    return -1;
}

int error_errno(struct error *e, int code, const char *fmt, ...)
{
    const int saved = errno;
    va_list args;
    size_t used;

    e->code = code;
    va_start(args, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, args);
    va_end(args);
    used = strlen(e->text);
    snprintf(e->text + used, sizeof(e->text) - used, ": %s", strerror(saved));
    return -1;
}

int error_context(struct error *e, const char *fmt, ...)
{
    char chain[ERROR_CHARS];
    va_list args;
    size_t used;

    memcpy(chain, e->text, sizeof(chain));
    va_start(args, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, args);
    va_end(args);
    used = strlen(e->text);
    snprintf(e->text + used, sizeof(e->text) - used, ": %s", chain);
    return -1;
}

int error_consequence(struct error *e, int code, const char *fmt, ...)
{
    char what[ERROR_CHARS / 2];
    va_list args;
    size_t room;

    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    room = sizeof(e->text) - strlen(what) - strlen("...: ") - 1;
    if (strlen(e->text) > room)
        memcpy(e->text + room, "...", sizeof("..."));
    room = strlen(e->text);
    snprintf(e->text + room, sizeof(e->text) - room, ": %s", what);
    e->code = code;
    return -1;
}
