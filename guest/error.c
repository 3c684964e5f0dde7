/* SPDX-License-Identifier: MIT */
/* The chain of reasons: made where something fails, longer with each level that passes it on. */
#include "internal.h"

/* Made beside and then moved, as what is said may quote the reason before. */
int fail(struct pvguest *g, int code, const char *format, ...)
{
    char text[REASON_MAX];
    va_list list;
    if (g->undoing)
        return code;
    va_start(list, format);
    pvg_format_list(text, sizeof(text), format, list);
    va_end(list);
    memcpy(g->reason, text, sizeof(text));
    return code;
}

/* Where there is no room, the end is lost, which is the cause: the context gives way instead. */
static void put_before(char *reason, const char *text)
{
    size_t room = REASON_MAX - 1 - strlen(reason), n = strlen(text);
    if (n + 2 > room)
        return;
    memmove(reason + n + 2, reason, strlen(reason) + 1);
    memcpy(reason, text, n);
    memcpy(reason + n, ": ", 2);
}

int fail_in(struct pvguest *g, int code, const char *format, ...)
{
    char text[REASON_MAX];
    va_list list;
    if (code == 0 || g->undoing)
        return code;
    va_start(list, format);
    pvg_format_list(text, sizeof(text), format, list);
    va_end(list);
    put_before(g->reason, text);
    return code;
}

/* The ABI's own list (<xen/errno.h>, its second way of being included). */
static const struct {
    int value;
    const char *name;
} known[] = {
#define XEN_ERRNO(name, value) {value, #name},
#include <xen/errno.h>
};

const char *error_name(int code)
{
    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].value == -code)
            return known[i].name;
    return "E?";
}

int error_code(const char *name)
{
    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].name, name) == 0)
            return -known[i].value;
    return 0;
}

const char *pvg_reason(struct pvguest *g)
{
    return g->reason;
}
