/* SPDX-License-Identifier: MIT */
#include "snapshot.h"

#include <stdio.h>
#include <stdlib.h>

#include "exitcodes.h"
#include "pvmachine.h"
#include "symbolfile.h"
#include "timeline.h"

#define TRIES 8u /* of finding a kernel's own symbols, ever less often */

static int take_files(struct snapshots *s, const struct pv_view *v, struct error *e)
{
    const struct image_options *o = s->options->image;
    const struct symbol_owner of = {
        .name = s->options->name, .view = v, .kernel_fd = -1, .anyway = o->symbols_anyway};

    for (unsigned n = 0; n < o->nr_symbols; n++)
        if (symbol_file_take(s->symbols, o->symbols[n], &of, e) != 0)
            return -1;
    s->has_symbols = true;
    return 0;
}

static void take_guest(struct snapshots *s, const struct pv_view *v)
{
    struct pv_error ignored;
    size_t count;

    if (s->wait > 0) {
        s->wait--;
        return;
    }
    if (s->tries == TRIES)
        return;
    s->has_symbols = pv_symbols_guest(s->symbols, v, v->kernel_root, &count, &ignored) == 0;
    s->wait = 1u << s->tries++;
}

static int take_symbols(struct snapshots *s, const struct pv_view *v, struct error *e)
{
    if (s->symbols == NULL)
        s->symbols = pv_symbols_new();
    if (s->symbols == NULL)
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    if (s->has_symbols)
        return 0;
    if (s->options->image->nr_symbols != 0)
        return take_files(s, v, e);
    take_guest(s, v);
    return 0;
}

static bool stands(const struct pv_view *v)
{
    return v->nr_vcpus > 0 && v->vcpu[0].valid;
}

static int make_data(struct snapshots *s, struct pv_view *v, const struct timeline *t, char **text,
                     size_t *size, struct error *e)
{
    const struct report_options how = {.detail = s->options->detail, .live = true};
    const struct pv_check_options checking = {.keep = 256};
    struct pv_check check = {0};
    struct pv_p2m *lists;
    char version[128], made[32];
    struct pv_error why;
    int rc = pv_p2m_open(&lists, v, s->symbols, &why);

    if (rc != 0)
        return error_set(e, EXIT_ENVIRONMENT, "%s", why.text);
    live_version(version, sizeof(version));
    live_time(made, sizeof(made));
    const bool checked = stands(v) && pv_check(v, lists, &checking, &check, &why) == 0;
    const struct report_subject subject = {.view = v,
                                           .lists = lists,
                                           .symbols = s->symbols,
                                           .check = checked ? &check : NULL,
                                           .timeline = t->is.act != NULL ? &t->is : NULL,
                                           .file = s->options->title != NULL ? s->options->title
                                                                             : s->options->name,
                                           .version = version,
                                           .made = made};

    rc = report_data(&subject, &how, text, size, &why);
    pv_check_free(&check);
    pv_p2m_close(lists);
    return rc == 0 ? 0 : error_set(e, EXIT_ENVIRONMENT, "%s", why.text);
}

/* The hypervisor tells the vCPU's context of a guest that stands alone; else the root is known that
 * was loaded last, if the recorder is on. */
static int show(struct snapshots *s, struct pv_view *v, char **text, size_t *size, struct error *e)
{
    struct timeline t;
    int rc;

    timeline_take(&t, s->memory, v->tsc_khz);
    if (!stands(v) && !mfn_eq(t.kernel_root, NO_MFN) && v->backend->owned(v, t.kernel_root))
        v->kernel_root = t.kernel_root;
    snprintf(v->domain[0].name, sizeof(v->domain[0].name), "%s", s->options->name);
    rc = take_symbols(s, v, e);
    if (rc == 0)
        rc = make_data(s, v, &t, text, size, e);
    timeline_drop(&t);
    return rc;
}

int snapshot_take(struct snapshots *s, char **text, size_t *size, struct error *e)
{
    struct pv_view *v;
    struct pv_error why;
    int rc;

    if (pv_memory_open_running(&v, s->memory, &why) != 0)
        return error_set(e, EXIT_ENVIRONMENT, "%s", why.text);
    rc = show(s, v, text, size, e);
    pv_close(v);
    return rc;
}

void snapshots_drop(struct snapshots *s)
{
    if (s->symbols != NULL)
        pv_symbols_free(s->symbols);
    s->symbols = NULL;
    s->has_symbols = false;
    s->tries = s->wait = 0;
}
