/* SPDX-License-Identifier: MIT */
/* Which view each format is written from, and what it has no room for. */
#include "convert.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "elfcore.h"
#include "portable.h"
#include "stream.h"
#include "transfer.h"

#define ULL (unsigned long long)

void pv_lose(struct pv_losses *l, const char *fmt, ...)
{
    va_list args;
    if (l->n == PV_LOSSES)
        return;
    va_start(args, fmt);
    vsnprintf(l->text[l->n++], sizeof(*l->text), fmt, args);
    va_end(args);
}

/* ---- what is lost */

/* Pages of a stream that came without content. */
static uint64_t count_empty(const struct pv_view *v)
{
    const struct pv_backend *b = v->backend;
    uint64_t n = 0;
    uint8_t byte;
    for (pfn_t p = b->next_pfn(v, pfn(0)); v->portable && p.n != NO_PFN.n;
         p = b->next_pfn(v, pfn(p.n + 1)))
        n += !b->read(v, b->mfn_of(v, p), 0, &byte, 1);
    return n;
}

static bool tells_types(const struct pv_view *v)
{
    struct pv_told told;
    const mfn_t m = v->backend->next_owned(v, mfn(0));
    return v->backend->told && !mfn_eq(m, NO_MFN) && v->backend->told(v, m, &told);
}

static uint64_t count_nameless(const struct pv_view *v)
{
    const struct pv_backend *b = v->backend;
    uint64_t n = 0;
    for (pfn_t p = b->next_pfn(v, pfn(0)); p.n != NO_PFN.n; p = b->next_pfn(v, pfn(p.n + 1)))
        n++;
    return v->nr_pages > n ? v->nr_pages - n : 0;
}

static void lose_names(const struct pv_view *v, const char *what, struct pv_losses *l)
{
    const struct pv_domain *d = &v->domain[v->chosen];
    if (d->name[0] || d->uuid[0] || v->tsc_khz)
        pv_lose(l, "%s", what);
    if (v->nr_domains > 1)
        pv_lose(l, "the machine's other %u domains", v->nr_domains - 1);
}

static void lose_nameless(uint64_t n, struct pv_losses *l)
{
    if (n)
        pv_lose(l, "%llu frames of the guest that are at no pfn of their own", ULL n);
}

static bool has_extended(const struct pv_view *v)
{
    for (unsigned i = 0; i < v->nr_vcpus; i++)
        if (v->vcpu[i].extended.there)
            return true;
    return false;
}

static void lose_of_core(const struct pv_view *v, struct pv_losses *l)
{
    const uint64_t empty = count_empty(v);
    if (v->portable)
        pv_lose(l, "machine frame numbers, as before: every page has its pfn for an mfn, and the "
                   "guest's own p2m list still has the frames of before");
    if (empty)
        pv_lose(l, "%llu pages came without content, and read as 0", ULL empty);
    lose_nameless(v->portable ? 0 : count_nameless(v), l);
    if (tells_types(v))
        pv_lose(l, "page types and pins");
    if (has_extended(v))
        pv_lose(l, "the vCPUs' syscall32 and sysenter callbacks");
    lose_names(v, "the guest's name, uuid and TSC frequency", l);
    if (v->xen[0])
        pv_lose(l, "the version of the hypervisor, %s: a dump-core of pvmm's has its own", v->xen);
}

static void lose_words(const struct portable_told *t, bool kept, struct pv_losses *l)
{
    const char *where = kept ? "; the note \"pvmm\" has them" : "";
    if (t->inferred)
        pv_lose(l, "page types are not the image's but those of use: %llu tables%s", ULL t->tables,
                kept ? "" : "; of pins, those of roots alone");
    if (t->xens)
        pv_lose(l,
                "%llu entries of the hypervisor's own in the roots, or of shared_info, are not as "
                "they were%s",
                ULL t->xens, where);
    if (t->foreign)
        pv_lose(l, "%llu %s no page of the guest %s 0%s", ULL t->foreign,
                t->foreign == 1 ? "entry that names" : "entries that name",
                t->foreign == 1 ? "is" : "are", where);
    if (t->superpages)
        pv_lose(l, "%llu superpages, which no PV guest has, are 0%s", ULL t->superpages, where);
    if (t->beyond && kept)
        pv_lose(l, "%llu of these are more than the note has room for", ULL t->beyond);
    lose_nameless(t->nameless, l);
}

static void lose_of_stream(const struct pv_view *v, const struct portable_told *t, bool of_xl,
                           struct pv_losses *l)
{
    const bool suspended = t ? t->suspended : !mfn_eq(v->start_info, NO_MFN);
    if (!suspended)
        pv_lose(l,
                "nothing can restore it: the guest did not suspend itself (rdx of vCPU 0 names no "
                "start_info); the stream is to be read");
    if (t) {
        pv_lose(l, "machine frame numbers: tables and registers hold pfns");
        lose_words(t, false, l);
        if (t->registers)
            pv_lose(l,
                    "%llu frames in the vCPUs' states that are none of the guest's stay as they "
                    "are",
                    ULL t->registers);
        if (t->no_list[0])
            pv_lose(l, "where the guest's p2m list lies, without which nothing can restore it: %s",
                    t->no_list);
    }
    if (mfn_eq(v->shared_info, NO_MFN))
        pv_lose(l, "shared_info: the image has none");
    if (v->nr_vcpus == 0)
        pv_lose(l, "vCPUs: the image has none");
    if (!of_xl)
        lose_names(v, "the guest's name and uuid", l);
    else
        pv_lose(l, "what a configuration says besides name, uuid, memory and vCPUs");
}

static void lose_of_elf(const struct pv_view *v, const struct portable_told *t, struct pv_losses *l)
{
    if (t) {
        pv_lose(l, "machine frame numbers: tables hold pfns; the note \"pvmm\" has the frames");
        lose_words(t, true, l);
    }
    if (v->nr_domains > 1)
        pv_lose(l, "the machine's other %u domains", v->nr_domains - 1);
}

/* ---- converting */

static int to_core(const struct pv_view *v, int fd, const struct pv_convert_options *o,
                   struct pv_converted *out, struct pv_error *e)
{
    lose_of_core(v, &out->lost);
    out->pages = v->nr_pages;
    return pv_dumpcore_write(v, fd, &o->progress, e);
}

static int to_stream(const struct pv_view *v, const struct portable_told *t, int fd,
                     const struct pv_convert_options *o, struct pv_converted *out,
                     struct pv_error *e)
{
    const struct pv_save_options how = {
        .of_xl = o->of_xl, .zstd = o->zstd, .as_found = true, .progress = o->progress};
    struct pv_saved saved;
    lose_of_stream(v, t, o->of_xl, &out->lost);
    if (pv_stream_write(v, fd, &how, &saved, e))
        return -1;
    out->pages = saved.pages;
    out->tables = saved.tables;
    return 0;
}

static int to_portable(const struct pv_view *v, const struct pv_view *from, int fd,
                       const struct pv_convert_options *o, struct pv_converted *out,
                       struct pv_error *e)
{
    const struct portable_told *t = from ? pv_portable_told(v) : NULL;
    if (o->to == PV_TO_STREAM)
        return to_stream(v, t, fd, o, out, e);
    lose_of_elf(from ? from : v, t, &out->lost);
    return pv_elfcore_write(v, from, fd, o, out, e);
}

int pv_convert(const struct pv_view *v, int fd, const struct pv_convert_options *o,
               struct pv_converted *out, struct pv_error *e)
{
    struct pv_view *portable;
    *out = (struct pv_converted){0};
    if (v->lost[0])
        pv_lose(&out->lost, "the image is not whole: %s", v->lost);
    if (o->to == PV_TO_CORE)
        return to_core(v, fd, o, out, e);
    if (v->portable)
        return to_portable(v, NULL, fd, o, out, e);
    if (pv_portable_open(&portable, v, o->symbols, o->to == PV_TO_STREAM, &o->progress, e))
        return pv_context(e, "its tables cannot be made to hold pfns");
    const int rc = to_portable(portable, v, fd, o, out, e);
    pv_close(portable);
    return rc;
}
