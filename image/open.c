/* SPDX-License-Identifier: MIT */
/* Which kind of image is it? */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#define HEAD 4096u

/* Any file of whole pages can be the memory of a machine: these are last. */
static const struct pv_format *const formats[] = {
    &pv_format_dumpcore, &pv_format_stream,    &pv_format_elfcore,
    &pv_format_vmcore,   &pv_format_pvmachine, &pv_format_xenmemory,
};
#define FORMATS (sizeof(formats) / sizeof(*formats))

/* The names of all kinds, for a message. */
static void list_formats(char *to, size_t size)
{
    size_t used = 0;
    to[0] = 0;
    for (size_t i = 0; i < FORMATS && used < size; i++)
        used += (size_t)snprintf(to + used, size - used, "%s%s", i ? ", " : "", formats[i]->name);
}

static int not_recognised(const uint8_t *head, size_t n, struct pv_error *e)
{
    char tried[256], begins[32] = "";
    list_formats(tried, sizeof(tried));
    for (size_t i = 0; i < n && i < 8; i++)
        snprintf(begins + 3 * i, sizeof(begins) - 3 * i, "%02x ", head[i]);
    return pv_fail(e, "nothing that is known begins with %s(tried: %s)", begins, tried);
}

static int open_file(struct pv_view **out, struct pv_file *f, const struct pv_open_options *o,
                     struct pv_error *e)
{
    uint8_t head[HEAD] = {0};
    size_t n = f->bytes < HEAD ? (size_t)f->bytes : HEAD;
    int rc = n ? pv_file_read(f, 0, head, n, "its beginning", e) : pv_fail(e, "it is empty");
    for (size_t i = 0; rc == 0 && i < FORMATS; i++)
        if (formats[i]->is(f, head, n))
            return formats[i]->open(out, f, o, e)
                       ? pv_context(e, "cannot open it as %s", formats[i]->name)
                       : 0;
    if (rc == 0)
        rc = not_recognised(head, n, e);
    pv_file_close(f);
    return rc;
}

/* What its file lost comes before what the view does without. */
static void lose_before(struct pv_view *v, const char *lost)
{
    char also[sizeof(v->lost)];
    memcpy(also, v->lost, sizeof(also));
    int n = snprintf(v->lost, sizeof(v->lost), "%s%s%s", lost, also[0] ? "; " : "", also);
    if (n >= (int)sizeof(v->lost))
        memcpy(v->lost + sizeof(v->lost) - sizeof("..."), "...", sizeof("..."));
}

static int open_content(struct pv_view **out, struct pv_file *f, const struct pv_open_options *o,
                        struct pv_error *e)
{
    char lost[PV_FILE_LOST];
    memcpy(lost, f->lost, sizeof(lost));
    int rc = open_file(out, f, o, e);
    if (lost[0] && rc)
        return pv_context(e, "%s", lost);
    if (lost[0])
        lose_before(*out, lost);
    return rc;
}

int pv_open(struct pv_view **out, const char *path, const struct pv_open_options *o,
            struct pv_error *e)
{
    struct pv_file *f;
    int rc = pv_input_open(&f, path, &o->progress, e);
    if (rc == 0)
        rc = open_content(out, f, o, e);
    return rc ? pv_context(e, "%s", path) : 0;
}
