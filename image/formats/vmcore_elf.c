/* SPDX-License-Identifier: MIT */
/*
 * A vmcore as the Linux kernel hands it over, an ELF core: program headers say which machine
 * addresses lie where in the file.
 */
#include "vmcore.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS_MAX 65534u /* of 65535 the number would stand elsewhere */

struct piece {
    uint64_t address, bytes, offset;
    unsigned header;
};

struct elf_vmcore {
    struct pv_physical physical;
    struct pv_file *file;
    struct piece *piece; /* ascending, none overlaps another */
    size_t pieces;
};

static struct elf_vmcore *vmcore_of(struct pv_physical *p)
{
    return (struct elf_vmcore *)p;
}

/* ---- reading */

static uint64_t end_of(const struct piece *p)
{
    return p->address + p->bytes;
}

/* The piece that has the address, or the next one; NULL: there is none. */
static const struct piece *piece_from(const struct elf_vmcore *c, uint64_t address)
{
    size_t low = 0, high = c->pieces;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (end_of(&c->piece[middle]) <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->pieces ? &c->piece[low] : NULL;
}

static const struct piece *piece_of(const struct elf_vmcore *c, uint64_t address)
{
    const struct piece *p = piece_from(c, address);
    return p && p->address <= address ? p : NULL;
}

/* A page that a piece begins or ends within has zeroes where the file has nothing. */
static bool elf_read(struct pv_physical *physical, mfn_t m, unsigned offset, void *to, unsigned n)
{
    const struct elf_vmcore *c = vmcore_of(physical);
    if (m.n >= physical->end || offset > PAGE_BYTES || n > PAGE_BYTES - offset)
        return false;
    uint64_t at = mfn_address(m, 0).a + offset, end = at + n;
    const struct piece *p = piece_from(c, mfn_address(m, 0).a);
    if (!p || p->address >= mfn_address(m, 0).a + PAGE_BYTES)
        return false;
    memset(to, 0, n);
    for (; p < c->piece + c->pieces && p->address < end; p++) {
        uint64_t from = p->address > at ? p->address : at;
        uint64_t until = end_of(p) < end ? end_of(p) : end;
        struct pv_error ignored;
        if (from < until &&
            pv_file_read(c->file, p->offset + (from - p->address), (uint8_t *)to + (from - at),
                         until - from, "a page", &ignored))
            return false;
    }
    return true;
}

static bool elf_has(struct pv_physical *physical, mfn_t m)
{
    const struct piece *p = piece_from(vmcore_of(physical), mfn_address(m, 0).a);
    return p && p->address < mfn_address(m, 0).a + PAGE_BYTES;
}

static bool elf_place(struct pv_physical *physical, mfn_t m, struct pv_place *out)
{
    const struct piece *p = piece_of(vmcore_of(physical), mfn_address(m, 0).a);
    if (!p)
        return false;
    out->offset = p->offset + (mfn_address(m, 0).a - p->address);
    snprintf(out->record, sizeof(out->record), "program header %u", p->header);
    return true;
}

static mfn_t elf_next(struct pv_physical *physical, mfn_t from)
{
    if (from.n >= physical->end)
        return NO_MFN;
    const struct piece *p = piece_from(vmcore_of(physical), mfn_address(from, 0).a);
    if (!p)
        return NO_MFN;
    uint64_t first = p->address >> PAGE_SHIFT_4K;
    return first > from.n ? mfn(first) : from;
}

/* The whole frame, as the file has it. */
static const uint64_t *elf_words(struct pv_physical *physical, mfn_t m)
{
    struct elf_vmcore *c = vmcore_of(physical);
    uint64_t at = mfn_address(m, 0).a;
    const struct piece *p = piece_of(c, at);
    return p && end_of(p) - at >= PAGE_BYTES
               ? pv_file_map(c->file, p->offset + (at - p->address), PAGE_BYTES)
               : NULL;
}

static void elf_close(struct pv_physical *physical)
{
    struct elf_vmcore *c = vmcore_of(physical);
    pv_file_close(c->file);
    free(c->piece);
    free(c);
}

static const struct pv_physical_kind elf_kind = {
    .name = "vmcore",
    .of_dom0 = true,
    .read = elf_read,
    .has = elf_has,
    .place = elf_place,
    .next = elf_next,
    .words = elf_words,
    .close = elf_close,
};

/* ---- opening */

static int check_header(const Elf64_Ehdr *h, struct pv_error *e)
{
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_machine != EM_X86_64)
        return pv_fail(e, "not of a 64-bit x86 machine (ELF class %u, machine %u)",
                       h->e_ident[EI_CLASS], h->e_machine);
    if (h->e_type != ET_CORE)
        return pv_fail(e, "not a core file (ELF type %u)", h->e_type);
    if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum > HEADERS_MAX)
        return pv_fail(e, "%u program headers of %u bytes", h->e_phnum, h->e_phentsize);
    return 0;
}

/* What of it lies in the file; the rest is counted as lost. */
static int take_header(struct elf_vmcore *c, const Elf64_Phdr *h, unsigned number, uint64_t *lost,
                       struct pv_error *e)
{
    uint64_t there = h->p_offset < c->file->bytes ? c->file->bytes - h->p_offset : 0;
    if (h->p_type != PT_LOAD || h->p_filesz == 0)
        return 0;
    if (h->p_paddr >> PAGE_SHIFT_4K >= PV_FRAME_LIMIT ||
        h->p_filesz >> PAGE_SHIFT_4K >= PV_FRAME_LIMIT - (h->p_paddr >> PAGE_SHIFT_4K))
        return pv_fail(e, "program header %u has %llx bytes of memory at %llx", number,
                       (unsigned long long)h->p_filesz, (unsigned long long)h->p_paddr);
    if (there > h->p_filesz)
        there = h->p_filesz;
    *lost += h->p_filesz - there;
    if (there)
        c->piece[c->pieces++] = (struct piece){h->p_paddr, there, h->p_offset, number};
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return x->header < y->header ? -1 : 1;
}

/* A kernel's own text may be in the file twice: what was there before is left out. */
static void separate(struct elf_vmcore *c)
{
    size_t kept = 0;
    uint64_t end = 0;
    if (c->pieces)
        qsort(c->piece, c->pieces, sizeof(*c->piece), compare);
    for (size_t i = 0; i < c->pieces; i++) {
        struct piece p = c->piece[i];
        uint64_t twice = p.address < end ? end - p.address : 0;
        if (twice >= p.bytes)
            continue;
        c->piece[kept++] =
            (struct piece){p.address + twice, p.bytes - twice, p.offset + twice, p.header};
        end = end_of(&p);
    }
    c->pieces = kept;
    c->physical.end = (end + PAGE_BYTES - 1) >> PAGE_SHIFT_4K;
}

static int take_headers(struct elf_vmcore *c, const Elf64_Phdr *h, unsigned n, struct pv_error *e)
{
    uint64_t lost = 0;
    for (unsigned i = 0; i < n; i++)
        if (take_header(c, &h[i], i, &lost, e))
            return -1;
    separate(c);
    if (lost)
        snprintf(c->physical.lost, sizeof(c->physical.lost),
                 "cut short: the last %llu bytes of memory are missing", (unsigned long long)lost);
    return c->pieces ? 0 : pv_fail(e, "it has no memory%s%s", lost ? ": " : "", c->physical.lost);
}

static int read_headers(struct elf_vmcore *c, struct pv_error *e)
{
    Elf64_Ehdr h;
    if (pv_file_read(c->file, 0, &h, sizeof(h), "the header", e) || check_header(&h, e))
        return -1;
    Elf64_Phdr *headers = calloc(h.e_phnum, sizeof(*headers));
    c->piece = calloc(h.e_phnum, sizeof(*c->piece));
    int rc = headers && c->piece
                 ? pv_file_read(c->file, h.e_phoff, headers, h.e_phnum * sizeof(*headers),
                                "the program headers", e)
                 : pv_no_memory(e);
    if (rc == 0)
        rc = take_headers(c, headers, h.e_phnum, e);
    free(headers);
    return rc;
}

int pv_vmcore_elf(struct pv_physical **out, struct pv_file *f, struct pv_error *e)
{
    struct elf_vmcore *c = calloc(1, sizeof(*c));
    if (!c) {
        pv_file_close(f);
        return pv_no_memory(e);
    }
    c->physical.kind = &elf_kind;
    c->file = f;
    if (read_headers(c, e)) {
        elf_close(&c->physical);
        return -1;
    }
    *out = &c->physical;
    return 0;
}
