/* SPDX-License-Identifier: MIT */
/*
 * The vmcore of a machine with Xen, whose dom0 (or Xen) crashed: ELF, or as makedumpfile compresses
 * it, which libkdumpfile reads. Addresses are machine addresses. A context of libkdumpfile's is not
 * made for several threads, so there is one lock.
 */
#include "vmcore.h"

#include <elf.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libkdumpfile/kdumpfile.h>

#define FLATTENED     "makedumpfile"
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

/* The first page at or above that is there. The lock is held. */
static kdump_addr_t page_from(const struct vmcore *c, uint64_t from)
{
    kdump_addr_t at = from;
    return kdump_bmp_find_set(c->pages, &at) == KDUMP_OK ? at : NO_MFN.n;
}

/* libkdumpfile 0.5.1 must not be asked for a page that was left out: of its cache's entry for it
 * there is no memory when it is used for another. */
static bool vmcore_read(struct pv_physical *p, mfn_t m, unsigned offset, void *to, unsigned n)
{
    struct vmcore *c = vmcore_of(p);
    size_t got = n;
    if (m.n >= p->end || offset > PAGE_BYTES || n > PAGE_BYTES - offset)
        return false;
    pthread_mutex_lock(&c->lock);
    bool there =
        page_from(c, m.n) == m.n &&
        kdump_read(c->dump, KDUMP_MACHPHYSADDR, mfn_address(m, offset).a, to, &got) == KDUMP_OK;
    pthread_mutex_unlock(&c->lock);
    return there && got == n;
}

static mfn_t vmcore_next(struct pv_physical *p, mfn_t from)
{
    struct vmcore *c = vmcore_of(p);
    if (from.n >= p->end)
        return NO_MFN;
    pthread_mutex_lock(&c->lock);
    mfn_t m = mfn(page_from(c, from.n));
    pthread_mutex_unlock(&c->lock);
    return m;
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

/* The headers as makedumpfile writes them on x86-64. */
struct disk_header {
    char signature[8];
    int32_t version;
    char names[4][65], machine[65], domain[65]; /* of uname() */
    int64_t time[2];
    uint32_t status;
    int32_t block_bytes, sub_header_blocks;
    uint32_t bitmap_blocks, frames, total_blocks, device_blocks, written_blocks, cpu;
    int32_t cpus;
};
_Static_assert(offsetof(struct disk_header, block_bytes) == 428, "makedumpfile's diskdump_mod.h");

struct sub_header {
    uint64_t phys_base;
    int32_t level, split;
    uint64_t first, end;
    uint64_t part[3][2]; /* where, bytes: vmcoreinfo, notes, eraseinfo */
    uint64_t first_64, end_64, frames_64;
};
_Static_assert(offsetof(struct sub_header, frames_64) == 96, "makedumpfile's diskdump_mod.h");

#define VERSION_MAX   6
#define VERSION_64    6 /* from which on frames_64 counts */
#define SUB_BLOCKS    256
#define PART_MAX      (16u << 20)
#define BITS_OF_BLOCK (8ull * PAGE_BYTES)

static int check_sub_header(const struct vmcore *c, const struct disk_header *h,
                            const struct sub_header *s, struct pv_error *e)
{
    uint64_t bytes = c->file->bytes;
    uint64_t frames = h->version >= VERSION_64 ? s->frames_64 : h->frames;
    if (frames == 0 || frames >= PV_FRAME_LIMIT || frames > h->bitmap_blocks / 2 * BITS_OF_BLOCK)
        return pv_fail(e, "%llu frames of which %u blocks of bitmaps tell",
                       (unsigned long long)frames, h->bitmap_blocks);
    if (s->split)
        return pv_fail(e, "it is one of several parts of a dump");
    for (unsigned i = 0; i < 3; i++)
        if (s->part[i][1] && (s->part[i][1] > PART_MAX || s->part[i][0] > bytes ||
                              s->part[i][1] > bytes - s->part[i][0]))
            return pv_fail(e, "part %u, of %llu bytes at %llx, does not lie in the file", i,
                           (unsigned long long)s->part[i][1], (unsigned long long)s->part[i][0]);
    return 0;
}

/* Of a machine with Xen the names are empty. libkdumpfile relies on what these say: damaged ones
 * end it by a signal. */
static int check_headers(const struct vmcore *c, struct pv_error *e)
{
    struct disk_header h;
    struct sub_header s;
    if (pv_file_read(c->file, 0, &h, sizeof(h), "the header", e) ||
        pv_file_read(c->file, PAGE_BYTES, &s, sizeof(s), "the header of kdump's", e))
        return -1;
    if (h.machine[0] && strncmp(h.machine, "x86_64", sizeof(h.machine)))
        return pv_fail(e, "not of an x86_64 machine (\"%.*s\")", (int)sizeof(h.machine), h.machine);
    if (h.version < 1 || h.version > VERSION_MAX || h.block_bytes != (int)PAGE_BYTES)
        return pv_fail(e, "version %d, blocks of %d bytes", h.version, h.block_bytes);
    if (h.sub_header_blocks < 1 || h.sub_header_blocks > SUB_BLOCKS)
        return pv_fail(e, "a second header of %d blocks", h.sub_header_blocks);
    uint64_t blocks = 1ull + (unsigned)h.sub_header_blocks + h.bitmap_blocks;
    if (blocks > c->file->bytes / PAGE_BYTES)
        return pv_fail(e, "cut short: %llu blocks of headers and bitmaps, the file has %llu bytes",
                       (unsigned long long)blocks, (unsigned long long)c->file->bytes);
    return check_sub_header(c, &h, &s, e);
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
    if (check_headers(c, e))
        return -1;
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

static bool is_flattened(const void *head)
{
    return memcmp(head, FLATTENED, sizeof(FLATTENED)) == 0;
}

static int open_vmcore(struct pv_view **out, struct pv_file *f, const struct pv_open_options *o,
                       struct pv_error *e)
{
    struct pv_physical *p;
    uint8_t head[sizeof(FLATTENED)];
    int rc = pv_file_read(f, 0, head, sizeof(head), "its beginning", e);
    if (rc == 0 && is_flattened(head))
        rc = pv_fail(e, "it is flattened: \"makedumpfile -R DUMP < FILE\" makes a dump of it");
    if (rc) {
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

static bool is_compressed(const uint8_t *head)
{
    return memcmp(head, "KDUMP   ", 8) == 0 || memcmp(head, "DISKDUMP", 8) == 0;
}

/* `head` is filled up with zeroes. */
static bool is_vmcore(struct pv_file *f, const uint8_t *head, size_t n)
{
    (void)f;
    return is_elf_vmcore(head, n) || is_compressed(head) || is_flattened(head);
}

const struct pv_format pv_format_vmcore = {
    .name = "a vmcore", .is = is_vmcore, .open = open_vmcore};
