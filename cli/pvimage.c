/* SPDX-License-Identifier: MIT */
#include "pvimage.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "elfnotes.h"
#include "exitcodes.h"

#define PAGE     4096ull
#define SEGMENTS 128u /* more loaded segments than this are absurd */

#define ull(x) ((unsigned long long)(x))

static int refuse_header(const Elf64_Ehdr *h, struct error *e)
{
    if (h->e_ident[EI_CLASS] == ELFCLASS32)
        return error_set(e, EXIT_UNTESTABLE,
                         "it is a 32-bit kernel, and only 64-bit PV kernels can be run");
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB)
        return error_set(e, EXIT_UNTESTABLE, "not a 64-bit little-endian ELF file");
    if (h->e_machine != EM_X86_64)
        return error_set(e, EXIT_UNTESTABLE, "built for ELF machine %u, not for x86-64",
                         h->e_machine);
    if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
        return error_set(e, EXIT_UNTESTABLE, "ELF type %u is not an executable", h->e_type);
    if (h->e_phnum == 0 || h->e_phentsize != sizeof(Elf64_Phdr))
        return error_set(e, EXIT_UNTESTABLE, "it has no program headers to load it by");
    return 0;
}

static int read_header(struct view elf, Elf64_Ehdr *h, struct error *e)
{
    if (elf.size < sizeof(Elf32_Ehdr) || memcmp(elf.data, ELFMAG, SELFMAG) != 0)
        return error_set(e, EXIT_UNTESTABLE, "not an ELF file");
    memset(h, 0, sizeof(*h));
    memcpy(h, elf.data, elf.size < sizeof(*h) ? elf.size : sizeof(*h));
    if (refuse_header(h, e) != 0)
        return -1;
    if (h->e_phoff > elf.size || h->e_phnum * sizeof(Elf64_Phdr) > elf.size - h->e_phoff)
        return error_set(e, EXIT_UNTESTABLE,
                         "truncated: %u program headers at 0x%llx, the file ends at 0x%zx",
                         h->e_phnum, ull(h->e_phoff), elf.size);
    return 0;
}

static Elf64_Phdr program_header(struct view elf, const Elf64_Ehdr *h, unsigned i)
{
    Elf64_Phdr p;

    memcpy(&p, elf.data + h->e_phoff + i * sizeof(p), sizeof(p));
    return p;
}

static int check_segment(struct view elf, const Elf64_Phdr *p, unsigned i, struct error *e)
{
    if (p->p_offset > elf.size || p->p_filesz > elf.size - p->p_offset)
        return error_set(e, EXIT_UNTESTABLE,
                         "truncated: segment %u is at 0x%llx, 0x%llx bytes, the file ends at 0x%zx",
                         i, ull(p->p_offset), ull(p->p_filesz), elf.size);
    if (p->p_filesz > p->p_memsz)
        return error_set(e, EXIT_UNTESTABLE,
                         "segment %u has 0x%llx bytes in the file but 0x%llx in memory", i,
                         ull(p->p_filesz), ull(p->p_memsz));
    if (p->p_paddr + p->p_memsz < p->p_paddr)
        return error_set(e, EXIT_UNTESTABLE,
                         "segment %u at 0x%llx, 0x%llx bytes, wraps around the address space", i,
                         ull(p->p_paddr), ull(p->p_memsz));
    return 0;
}

static int check_overlap(const Elf64_Phdr *seg, unsigned n, struct error *e)
{
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = i + 1; j < n; j++) {
            const Elf64_Phdr *a = &seg[i], *b = &seg[j];

            if (a->p_paddr < b->p_paddr + b->p_memsz && b->p_paddr < a->p_paddr + a->p_memsz)
                return error_set(e, EXIT_UNTESTABLE,
                                 "segments overlap: 0x%llx-0x%llx and 0x%llx-0x%llx",
                                 ull(a->p_paddr), ull(a->p_paddr + a->p_memsz - 1), ull(b->p_paddr),
                                 ull(b->p_paddr + b->p_memsz - 1));
        }
    return 0;
}

/* Collect the loaded segments; an empty one loads nothing and is passed over. */
static int collect(struct view elf, const Elf64_Ehdr *h, Elf64_Phdr *seg, unsigned *n,
                   struct error *e)
{
    *n = 0;
    for (unsigned i = 0; i < h->e_phnum; i++) {
        const Elf64_Phdr p = program_header(elf, h, i);

        if (p.p_type != PT_LOAD || p.p_memsz == 0)
            continue;
        if (*n == SEGMENTS)
            return error_set(e, EXIT_UNTESTABLE, "more than %u loaded segments", SEGMENTS);
        if (check_segment(elf, &p, i, e) != 0)
            return -1;
        seg[(*n)++] = p;
    }
    if (*n == 0)
        return error_set(e, EXIT_UNTESTABLE, "no segment is to be loaded");
    return check_overlap(seg, *n, e);
}

static bool canonical(uint64_t va)
{
    return va < 0x800000000000ull || va >= 0xffff800000000000ull;
}

/* "0x1000", or "0x1000-0x1fff". */
static const char *range_text(uint64_t first, uint64_t last)
{
    static char text[48];
    const int n = snprintf(text, sizeof(text), "0x%llx", ull(first));

    if (last != first)
        snprintf(text + n, sizeof(text) - (size_t)n, "-0x%llx", ull(last));
    return text;
}

/* A range of guest-virtual addresses that must be usable by the guest; `last` is inclusive. */
static int check_range(const char *what, uint64_t first, uint64_t last, struct error *e)
{
    if (last < first)
        return error_set(e, EXIT_UNTESTABLE, "%s wraps around the address space at 0x%llx", what,
                         ull(first));
    if (!canonical(first) || !canonical(last) || (first >> 63) != (last >> 63))
        return error_set(e, EXIT_UNTESTABLE, "%s %s is not canonical", what,
                         range_text(first, last));
    if (first <= HV_VIRT_LAST && last >= HV_VIRT_START)
        return error_set(e, EXIT_UNTESTABLE, "%s %s lies in the hypervisor's slots 0x%llx-0x%llx",
                         what, range_text(first, last), HV_VIRT_START, HV_VIRT_LAST);
    return 0;
}

/* Segments are placed by physical address: pfn = (p_paddr - PADDR_OFFSET) / 4096. */
static int place(struct pv_image *img, const Elf64_Phdr *seg, unsigned n, struct error *e)
{
    img->first_paddr = UINT64_MAX;
    img->last_paddr = 0;
    for (unsigned i = 0; i < n; i++) {
        const uint64_t first = seg[i].p_paddr - img->paddr_offset;
        const uint64_t last = first + seg[i].p_memsz - 1;

        if (seg[i].p_paddr < img->paddr_offset)
            return error_set(e, EXIT_UNTESTABLE,
                             "a segment at 0x%llx lies below PADDR_OFFSET 0x%llx",
                             ull(seg[i].p_paddr), ull(img->paddr_offset));
        if (first < img->first_paddr)
            img->first_paddr = first;
        if (last > img->last_paddr)
            img->last_paddr = last;
    }
    return 0;
}

static int check_entry(const struct pv_image *img, const Elf64_Phdr *seg, unsigned n,
                       struct error *e)
{
    const uint64_t paddr = img->entry - img->virt_base + img->paddr_offset;

    for (unsigned i = 0; i < n; i++)
        if (paddr >= seg[i].p_paddr && paddr - seg[i].p_paddr < seg[i].p_memsz)
            return 0;
    return error_set(e, EXIT_UNTESTABLE,
                     "the entry point 0x%llx is in no loaded segment (the image is mapped at "
                     "0x%llx-0x%llx)",
                     ull(img->entry), ull(img->virt_base + img->first_paddr),
                     ull(img->virt_base + img->last_paddr));
}

static int check_addresses(const struct pv_image *img, const Elf64_Phdr *seg, unsigned n,
                           struct error *e)
{
    if (img->virt_base % PAGE != 0)
        return error_set(e, EXIT_UNTESTABLE, "VIRT_BASE 0x%llx is not page-aligned",
                         ull(img->virt_base));
    if (check_range("VIRT_BASE", img->virt_base, img->virt_base, e) != 0 ||
        check_range("the image at VIRT_BASE", img->virt_base, img->virt_base + img->last_paddr,
                    e) != 0 ||
        check_range("the entry point", img->entry, img->entry, e) != 0 ||
        check_entry(img, seg, n, e) != 0)
        return -1;
    if (img->has_init_p2m && img->init_p2m % PAGE != 0)
        return error_set(e, EXIT_UNTESTABLE, "INIT_P2M 0x%llx is not page-aligned",
                         ull(img->init_p2m));
    return img->has_init_p2m ? check_range("INIT_P2M", img->init_p2m, img->init_p2m, e) : 0;
}

static int need_notes(const struct xen_notes *notes, struct error *e)
{
    if (notes->count == 0)
        return error_set(e, EXIT_UNTESTABLE, "not a PV kernel: it has no Xen ELF notes");
    if (!notes->seen[XEN_ELFNOTE_ENTRY])
        return error_set(e, EXIT_UNTESTABLE,
                         "not a PV kernel: it has Xen ELF notes, but no ENTRY%s",
                         notes->seen[XEN_ELFNOTE_PHYS32_ENTRY]
                             ? " (only PHYS32_ENTRY: it was built for PVH alone)"
                             : "");
    return 0;
}

static void take_notes(const struct xen_notes *notes, struct pv_image *img)
{
    memset(img, 0, sizeof(*img));
    img->entry = notes->value[XEN_ELFNOTE_ENTRY];
    /* Absent ones count as zero, as under Xen. */
    img->virt_base = notes->value[XEN_ELFNOTE_VIRT_BASE];
    img->paddr_offset = notes->value[XEN_ELFNOTE_PADDR_OFFSET];
    img->init_p2m = notes->value[XEN_ELFNOTE_INIT_P2M];
    img->has_init_p2m = notes->seen[XEN_ELFNOTE_INIT_P2M];
    img->mod_start_pfn = notes->value[XEN_ELFNOTE_MOD_START_PFN] != 0;
    snprintf(img->guest_os, sizeof(img->guest_os), "%s", notes->guest_os);
}

int pv_image_check(struct view elf, struct pv_image *img, struct error *e)
{
    Elf64_Phdr seg[SEGMENTS];
    struct xen_notes notes = {0};
    Elf64_Ehdr h;
    unsigned n;

    if (read_header(elf, &h, e) != 0)
        return -1;
    for (unsigned i = 0; i < h.e_phnum; i++) {
        const Elf64_Phdr p = program_header(elf, &h, i);

        if (p.p_type == PT_NOTE && xen_notes_read(elf, p.p_offset, p.p_filesz, &notes, e) != 0)
            return -1;
    }
    if ((notes.count == 0 && legacy_notes_read(elf, &notes, e) != 0) || need_notes(&notes, e) != 0)
        return -1;
    take_notes(&notes, img);
    if (collect(elf, &h, seg, &n, e) != 0 || place(img, seg, n, e) != 0)
        return -1;
    return check_addresses(img, seg, n, e);
}

/*
 * What a builder lays out from pfn 0 on: the image, three pages, the page tables, the stack and
 * 512 KiB of slack, rounded up to 4 MiB; then the initrd and the p2m list with its own tables.
 */
static uint64_t pages_needed(const struct pv_image *img, uint64_t pages, uint64_t initrd)
{
    const uint64_t image = img->last_paddr / PAGE + 1;
    const uint64_t tables = image / 512 + 8;
    const uint64_t region = (image + 3 + tables + 1 + 128 + 1023) / 1024 * 1024;
    const uint64_t p2m = (pages * 8 + PAGE - 1) / PAGE;

    return region + (initrd + PAGE - 1) / PAGE + p2m + p2m / 512 + 4;
}

int pv_image_fits(const struct pv_image *img, uint64_t memory, uint64_t initrd, struct error *e)
{
    const uint64_t pages = memory / PAGE;
    const uint64_t p2m_last = img->init_p2m + pages * 8 - 1;
    uint64_t need;

    if (img->last_paddr >= memory)
        return error_set(e, EXIT_UNTESTABLE,
                         "memory too small: the image ends at %llu MiB, the guest has %llu MiB",
                         ull((img->last_paddr >> 20) + 1), ull(memory >> 20));
    need = pages_needed(img, pages, initrd);
    if (need > pages)
        return error_set(e, EXIT_UNTESTABLE,
                         "memory too small: image, initrd and page tables need %llu MiB, the guest "
                         "has %llu MiB",
                         ull((need + 255) / 256), ull(memory >> 20));
    if (!img->has_init_p2m)
        return 0;
    if (check_range("the p2m list at INIT_P2M", img->init_p2m, p2m_last, e) != 0)
        return -1;
    if (img->init_p2m <= img->virt_base + img->last_paddr && p2m_last >= img->virt_base)
        return error_set(e, EXIT_UNTESTABLE,
                         "the p2m list 0x%llx-0x%llx overlaps the image 0x%llx-0x%llx",
                         ull(img->init_p2m), ull(p2m_last), ull(img->virt_base),
                         ull(img->virt_base + img->last_paddr));
    return 0;
}
