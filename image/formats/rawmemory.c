/* SPDX-License-Identifier: MIT */
/*
 * The file behind a virtual machine's memory, without any header: RAM below the PCI hole first, at
 * its machine address, then, without a gap, the RAM from 4 GiB on. Where the hole begins stands
 * nowhere in the file: whoever understands its content finds out.
 */
#include "physical.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SMALLEST (1u << 20) /* bytes; no machine has less */

struct raw {
    struct pv_physical physical;
    struct pv_file *file;
    uint64_t low_frames; /* those at their machine address */
};

static struct raw *raw_of(struct pv_physical *p)
{
    return (struct raw *)p;
}

/* false: no RAM. */
static bool find(const struct raw *r, mfn_t m, uint64_t *at)
{
    if (m.n >= r->physical.end || (m.n >= r->low_frames && m.n < HIGH_FRAME))
        return false;
    *at = (m.n < r->low_frames ? m.n : m.n - HIGH_FRAME + r->low_frames) << PAGE_SHIFT_4K;
    return true;
}

static bool raw_read(struct pv_physical *p, mfn_t m, unsigned offset, void *to, unsigned n)
{
    struct pv_error ignored;
    uint64_t at;
    return offset <= PAGE_BYTES && n <= PAGE_BYTES - offset && find(raw_of(p), m, &at) &&
           pv_file_read(raw_of(p)->file, at + offset, to, n, "memory", &ignored) == 0;
}

static bool raw_place(struct pv_physical *p, mfn_t m, struct pv_place *out)
{
    if (!find(raw_of(p), m, &out->offset))
        return false;
    snprintf(out->record, sizeof(out->record), "machine memory");
    return true;
}

/* Only before it is split: the file's frames in their order. */
static mfn_t raw_next(struct pv_physical *p, mfn_t from)
{
    const struct pv_file *f = raw_of(p)->file;
    if (from.n >= f->bytes >> PAGE_SHIFT_4K)
        return NO_MFN;
    off_t at = lseek(f->fd, (off_t)(from.n << PAGE_SHIFT_4K), SEEK_DATA);
    if (at < 0) /* nothing but a hole, or a file system that knows none */
        return errno == ENXIO ? NO_MFN : from;
    return mfn((uint64_t)at >> PAGE_SHIFT_4K);
}

static const uint64_t *raw_words(struct pv_physical *p, mfn_t m)
{
    uint64_t at;
    return find(raw_of(p), m, &at) ? pv_file_map(raw_of(p)->file, at, PAGE_BYTES) : NULL;
}

static void raw_split(struct pv_physical *p, uint64_t low_frames)
{
    uint64_t frames = raw_of(p)->file->bytes >> PAGE_SHIFT_4K;
    if (low_frames >= frames)
        return;
    raw_of(p)->low_frames = low_frames;
    p->end = HIGH_FRAME + frames - low_frames;
}

static void raw_close(struct pv_physical *p)
{
    pv_file_close(raw_of(p)->file);
    free(p);
}

static const struct pv_physical_kind raw_kind = {
    .name = "Xen machine memory",
    .read = raw_read,
    .place = raw_place,
    .next = raw_next,
    .words = raw_words,
    .split = raw_split,
    .close = raw_close,
};

static int open_raw(struct pv_view **out, struct pv_file *f, const struct pv_open_options *o,
                    struct pv_error *e)
{
    struct raw *r = calloc(1, sizeof(*r));
    if (!r) {
        pv_file_close(f);
        return pv_no_memory(e);
    }
    r->file = f;
    r->low_frames = f->bytes >> PAGE_SHIFT_4K;
    r->physical = (struct pv_physical){.kind = &raw_kind, .end = r->low_frames};
    if (r->low_frames < PV_FRAME_LIMIT - HIGH_FRAME)
        return pv_xen_open(out, &r->physical, o, e);
    raw_close(&r->physical);
    return pv_fail(e, "more than 16 TiB of memory");
}

/* Nothing marks such a file but its size. */
static bool is_raw(struct pv_file *f, const uint8_t *head, size_t n)
{
    (void)head;
    (void)n;
    return f->bytes >= SMALLEST && f->bytes % PAGE_BYTES == 0;
}

const struct pv_format pv_format_xenmemory = {
    .name = "the memory of a machine with Xen", .is = is_raw, .open = open_raw};
