/* SPDX-License-Identifier: MIT */
/*
 * The vmcore of a machine with Xen, whose dom0 (or Xen) crashed: ELF, or as makedumpfile compresses
 * it. libkdumpfile reads both; addresses are machine addresses. Its contexts are not made for
 * several threads, so there is one lock.
 */
#include "physical.h"

#include <elf.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libkdumpfile/kdumpfile.h>

#define ATTRIBUTE_END "max_pfn" /* what kdumpfile.h has no name for: frames are below it */
#define LOADS_MAX     65534u

struct vmcore {
    struct pv_physical physical;
    struct pv_file *file;
    pthread_mutex_t lock;
    kdump_ctx_t *dump;
    kdump_bmp_t *pages; /* those that are there */
    Elf64_Phdr *load;   /* of an ELF file, for where pages lie */
    unsigned loads;
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

/* Of what is compressed libkdumpfile does not tell the place. */
static bool vmcore_place(struct pv_physical *p, mfn_t m, struct pv_place *out)
{
    const struct vmcore *c = vmcore_of(p);
    uint64_t a = mfn_address(m, 0).a;
    for (unsigned i = 0; i < c->loads; i++) {
        const Elf64_Phdr *h = &c->load[i];
        if (h->p_type != PT_LOAD || a < h->p_paddr || a - h->p_paddr >= h->p_filesz)
            continue;
        out->offset = h->p_offset + (a - h->p_paddr);
        snprintf(out->record, sizeof(out->record), "program header %u", i);
        return true;
    }
    return false;
}

static void vmcore_close(struct pv_physical *p)
{
    struct vmcore *c = vmcore_of(p);
    if (c->dump)
        kdump_free(c->dump);
    pthread_mutex_destroy(&c->lock);
    pv_file_close(c->file);
    free(c->load);
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

static int read_loads(struct vmcore *c, const Elf64_Ehdr *h, struct pv_error *e)
{
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_machine != EM_X86_64)
        return pv_fail(e, "not of a 64-bit x86 machine (ELF class %u, machine %u)",
                       h->e_ident[EI_CLASS], h->e_machine);
    if (h->e_type != ET_CORE)
        return pv_fail(e, "not a core file (ELF type %u)", h->e_type);
    if (h->e_phentsize != sizeof(*c->load) || h->e_phnum > LOADS_MAX)
        return pv_fail(e, "%u program headers of %u bytes", h->e_phnum, h->e_phentsize);
    c->load = calloc(h->e_phnum, sizeof(*c->load));
    if (!c->load)
        return pv_no_memory(e);
    c->loads = h->e_phnum;
    return pv_file_read(c->file, h->e_phoff, c->load, c->loads * sizeof(*c->load),
                        "the program headers", e);
}

/* What libkdumpfile would take memory for is looked at first. */
static int check_loads(const struct vmcore *c, struct pv_error *e)
{
    for (unsigned i = 0; i < c->loads; i++) {
        const Elf64_Phdr *h = &c->load[i];
        if (h->p_offset > c->file->bytes || h->p_filesz > c->file->bytes - h->p_offset)
            return pv_fail(e, "cut short: program header %u has %llu bytes at %llx, the file %llu",
                           i, (unsigned long long)h->p_filesz, (unsigned long long)h->p_offset,
                           (unsigned long long)c->file->bytes);
        if (h->p_type == PT_LOAD && (h->p_paddr >> PAGE_SHIFT_4K >= PV_FRAME_LIMIT ||
                                     h->p_memsz >> PAGE_SHIFT_4K >= PV_FRAME_LIMIT))
            return pv_fail(e, "program header %u has %llx bytes of memory at %llx", i,
                           (unsigned long long)h->p_memsz, (unsigned long long)h->p_paddr);
    }
    return 0;
}

static int look_at_header(struct vmcore *c, struct pv_error *e)
{
    Elf64_Ehdr h;
    if (pv_file_read(c->file, 0, &h, sizeof(h), "the header", e))
        return -1;
    if (memcmp(h.e_ident, ELFMAG, SELFMAG))
        return 0;
    return read_loads(c, &h, e) || check_loads(c, e) ? -1 : 0;
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
    if (look_at_header(c, e))
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

static int open_vmcore(struct pv_view **out, struct pv_file *f, const struct pv_open_options *o,
                       struct pv_error *e)
{
    struct vmcore *c = calloc(1, sizeof(*c));
    if (!c) {
        pv_file_close(f);
        return pv_no_memory(e);
    }
    c->physical.kind = &vmcore_kind;
    c->file = f;
    pthread_mutex_init(&c->lock, NULL);
    if (open_dump(c, e) == 0)
        return pv_xen_open(out, &c->physical, o, e);
    vmcore_close(&c->physical);
    return -1;
}

/* A dump-core has no program headers. */
static bool is_elf_vmcore(const uint8_t *head, size_t n)
{
    Elf64_Ehdr h;
    memcpy(&h, head, sizeof(h));
    return n >= sizeof(h) && memcmp(h.e_ident, ELFMAG, SELFMAG) == 0 && h.e_phnum > 0;
}

static bool is_vmcore(struct pv_file *f, const uint8_t *head, size_t n)
{
    (void)f;
    return is_elf_vmcore(head, n) ||
           (n >= 8 && (memcmp(head, "KDUMP   ", 8) == 0 || memcmp(head, "DISKDUMP", 8) == 0));
}

const struct pv_format pv_format_vmcore = {
    .name = "a vmcore", .is = is_vmcore, .open = open_vmcore};
