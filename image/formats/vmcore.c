/* SPDX-License-Identifier: MIT */
/*
 * The vmcore of a machine with Xen, whose dom0 (or Xen) crashed: ELF, or as makedumpfile compresses
 * it, which libkdumpfile reads. Addresses are machine addresses. A context of libkdumpfile's is not
 * made for several threads, so there is one lock.
 */
#include "vmcore.h"

#include <elf.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libkdumpfile/kdumpfile.h>

#define ATTRIBUTE_END "max_pfn" /* what kdumpfile.h has no name for: frames are below it */

struct vmcore {
    struct pv_physical physical;
    struct pv_file *file;
    pthread_mutex_t lock;
    kdump_ctx_t *dump;
    kdump_bmp_t *pages; /* those that are there */
};

static struct vmcore *vmcore_of(struct pv_physical *p)
{
    return (struct vmcore *)p;
}

/* ---- reading */

static bool vmcore_read(struct pv_physical *p, mfn_t m, unsigned offset, void *to, unsigned n)
{
    struct vmcore *c = vmcore_of(p);
    size_t got = n;
    if (m.n >= p->end || offset > PAGE_BYTES || n > PAGE_BYTES - offset)
        return false;
    pthread_mutex_lock(&c->lock);
    kdump_status status =
        kdump_read(c->dump, KDUMP_MACHPHYSADDR, mfn_address(m, offset).a, to, &got);
    pthread_mutex_unlock(&c->lock);
    return status == KDUMP_OK && got == n;
}

static mfn_t vmcore_next(struct pv_physical *p, mfn_t from)
{
    struct vmcore *c = vmcore_of(p);
    kdump_addr_t at = from.n;
    if (from.n >= p->end)
        return NO_MFN;
    pthread_mutex_lock(&c->lock);
    kdump_status status = kdump_bmp_find_set(c->pages, &at);
    pthread_mutex_unlock(&c->lock);
    return status == KDUMP_OK ? mfn(at) : NO_MFN;
}

static bool vmcore_has(struct pv_physical *p, mfn_t m)
{
    return mfn_eq(vmcore_next(p, m), m);
}

/* libkdumpfile does not tell it. */
static bool vmcore_place(struct pv_physical *p, mfn_t m, struct pv_place *out)
{
    (void)p;
    (void)m;
    (void)out;
    return false;
}

static void vmcore_close(struct pv_physical *p)
{
    struct vmcore *c = vmcore_of(p);
    if (c->dump)
        kdump_free(c->dump);
    pthread_mutex_destroy(&c->lock);
    pv_file_close(c->file);
    free(c);
}

static const struct pv_physical_kind vmcore_kind = {
    .name = "vmcore",
    .of_dom0 = true,
    .read = vmcore_read,
    .has = vmcore_has,
    .place = vmcore_place,
    .next = vmcore_next,
    .close = vmcore_close,
};

/* ---- opening */

static int fail(const struct vmcore *c, const char *doing, struct pv_error *e)
{
    const char *why = kdump_get_err(c->dump);
    return pv_fail(e, "%s: %s", doing, why ? why : "no reason is known");
}

static int ask_for_end(struct vmcore *c, struct pv_error *e)
{
    kdump_num_t end;
    if (kdump_get_number_attr(c->dump, ATTRIBUTE_END, &end) != KDUMP_OK)
        return fail(c, "how much memory it has is not said", e);
    if (end == 0 || end > PV_FRAME_LIMIT)
        return pv_fail(e, "a machine of %llu frames", (unsigned long long)end);
    c->physical.end = end;
    return 0;
}

static int open_dump(struct vmcore *c, struct pv_error *e)
{
    kdump_attr_t pages = {.type = KDUMP_BITMAP};
    c->dump = kdump_new();
    if (!c->dump)
        return pv_no_memory(e);
    /* What it maps it never gives back. */
    if (kdump_set_number_attr(c->dump, KDUMP_ATTR_FILE_MMAP_POLICY, KDUMP_MMAP_NEVER) != KDUMP_OK)
        return fail(c, "cannot have it read", e);
    if (kdump_open_fd(c->dump, c->file->fd) != KDUMP_OK)
        return fail(c, "libkdumpfile does not read it", e);
    if (kdump_get_typed_attr(c->dump, KDUMP_ATTR_FILE_PAGEMAP, &pages) != KDUMP_OK)
        return fail(c, "which pages it has is not said", e);
    c->pages = pages.val.bitmap;
    return ask_for_end(c, e);
}

static int open_compressed(struct pv_physical **out, struct pv_file *f, struct pv_error *e)
{
    struct vmcore *c = calloc(1, sizeof(*c));
    if (!c) {
        pv_file_close(f);
        return pv_no_memory(e);
    }
    c->physical.kind = &vmcore_kind;
    c->file = f;
    pthread_mutex_init(&c->lock, NULL);
    if (open_dump(c, e)) {
        vmcore_close(&c->physical);
        return -1;
    }
    *out = &c->physical;
    return 0;
}

static bool is_elf(const void *head)
{
    return memcmp(head, ELFMAG, SELFMAG) == 0;
}

static int open_vmcore(struct pv_view **out, struct pv_file *f, const struct pv_open_options *o,
                       struct pv_error *e)
{
    struct pv_physical *p;
    uint8_t head[SELFMAG];
    if (pv_file_read(f, 0, head, sizeof(head), "its beginning", e)) {
        pv_file_close(f);
        return -1;
    }
    if (is_elf(head) ? pv_vmcore_elf(&p, f, e) : open_compressed(&p, f, e))
        return -1;
    return pv_xen_open(out, p, o, e);
}

/* A dump-core has no program headers. */
static bool is_elf_vmcore(const uint8_t *head, size_t n)
{
    Elf64_Ehdr h;
    memcpy(&h, head, sizeof(h));
    return n >= sizeof(h) && is_elf(head) && h.e_phnum > 0;
}

static bool is_vmcore(struct pv_file *f, const uint8_t *head, size_t n)
{
    (void)f;
    return is_elf_vmcore(head, n) ||
           (n >= 8 && (memcmp(head, "KDUMP   ", 8) == 0 || memcmp(head, "DISKDUMP", 8) == 0));
}

const struct pv_format pv_format_vmcore = {
    .name = "a vmcore", .is = is_vmcore, .open = open_vmcore};
