/* SPDX-License-Identifier: MIT */
/*
 * Reads a guest kernel: ELF-64 headers, then what it says of itself, then its segments and whether
 * all that can be. Pure: no globals, no allocation, no I/O.
 */
#include "guest_image.h"

#include <xen/xen.h>

#include "reader.h"

#define EHDR_BYTES 64u

#define ELF_CLASS_32       1
#define ELF_CLASS_64       2
#define ELF_DATA_LSB       1
#define ELF_MACHINE_X86_64 62
#define ELF_TYPE_EXEC      2
#define ELF_TYPE_DYN       3
#define PT_LOAD            1

#define HOLE_START 0x0000800000000000ull /* first non-canonical address */
#define HOLE_LAST  0xffff7fffffffffffull
#define HV_START   HYPERVISOR_VIRT_START /* the hypervisor's slots (R6) */
#define HV_LAST    (HYPERVISOR_VIRT_END - 1)

/* ---- headers */

static bool check_magic(const struct reader *r)
{
    if (r->bytes == 0)
        return BUILDER_FAIL(r->error, BUILDER_NO_ELF, "the kernel file is empty");
    if (r->bytes < EHDR_BYTES)
        return BUILDER_FAIL(r->error, BUILDER_NO_ELF,
                            "the kernel file has only %lu bytes, less than an ELF header (%lu)",
                            {r->bytes, EHDR_BYTES});
    if (number_at(r->file, 4) != 0x464c457f)
        return BUILDER_FAIL(r->error, BUILDER_NO_ELF,
                            "the kernel is no ELF file (it starts with %08lx)",
                            {number_at(r->file, 4)});
    return true;
}

static bool check_header(const struct reader *r)
{
    const uint8_t *h = r->file;
    uint64_t type = number_at(h + 16, 2), machine = number_at(h + 18, 2);
    if (h[4] == ELF_CLASS_32)
        return BUILDER_FAIL(r->error, BUILDER_32_BIT,
                            "the kernel is a 32-bit ELF file; only 64-bit guests can be started");
    if (h[4] != ELF_CLASS_64 || h[5] != ELF_DATA_LSB)
        return BUILDER_FAIL(r->error, BUILDER_MACHINE,
                            "the kernel's ELF class %lu, byte order %lu are not 64-bit "
                            "little-endian",
                            {h[4], h[5]});
    if (machine != ELF_MACHINE_X86_64)
        return BUILDER_FAIL(r->error, BUILDER_MACHINE,
                            "the kernel is for ELF machine %lu, not x86-64 (%lu)",
                            {machine, ELF_MACHINE_X86_64});
    if (type != ELF_TYPE_EXEC && type != ELF_TYPE_DYN)
        return BUILDER_FAIL(r->error, BUILDER_TYPE,
                            "the kernel's ELF type %lu is not an executable", {type});
    return true;
}

bool guest_find_headers(const struct reader *r, bool sections, struct header_table *table)
{
    uint64_t offset = number_at(r->file + (sections ? 40 : 32), 8);
    uint64_t size = number_at(r->file + (sections ? 58 : 54), 2);
    uint64_t count = number_at(r->file + (sections ? 60 : 56), 2);
    uint64_t wanted = sections ? SHDR_BYTES : PHDR_BYTES;
    *table = (struct header_table){.count = count};
    if (count == 0)
        return true;
    if (size != wanted)
        return BUILDER_FAIL(r->error, BUILDER_HEADERS,
                            sections ? "the kernel's section headers have %lu bytes each, not %lu"
                                     : "the kernel's program headers have %lu bytes each, not %lu",
                            {size, wanted});
    if (!in_file(r, offset, count * size))
        return BUILDER_FAIL(
            r->error, BUILDER_TRUNCATED,
            sections ? "the kernel is truncated: %lu section headers at 0x%lx, file ends at 0x%lx"
                     : "the kernel is truncated: %lu program headers at 0x%lx, file ends at 0x%lx",
            {count, offset, r->bytes});
    table->at = r->file + offset;
    return true;
}

static bool find_segments(const struct reader *r, struct header_table *table)
{
    if (!guest_find_headers(r, false, table))
        return false;
    if (table->count == 0)
        return BUILDER_FAIL(r->error, BUILDER_HEADERS,
                            "the kernel has no program headers to load it by");
    return true;
}

/* ---- addresses */

enum range { RANGE_GOOD, RANGE_WRAPS, RANGE_HOLE, RANGE_HYPERVISOR };

/* Is [first, last] canonical, in one half, and clear of the hypervisor's slots? */
static enum range range_of(uint64_t first, uint64_t last)
{
    if (last < first)
        return RANGE_WRAPS;
    if (first <= HOLE_LAST && last >= HOLE_START)
        return RANGE_HOLE;
    if (first <= HV_LAST && last >= HV_START)
        return RANGE_HYPERVISOR;
    return RANGE_GOOD;
}

/* What is wrong with one address. */
#define ADDRESS_TEXTS(what)                                                                        \
    {                                                                                              \
        [RANGE_HOLE] = what " 0x%lx is not canonical",                                             \
        [RANGE_HYPERVISOR] = what " 0x%lx lies in the hypervisor's slots 0x%lx-0x%lx",             \
    }

static bool check_address(const struct reader *r, enum builder_cause cause,
                          const char *const texts[], uint64_t va)
{
    enum range range = range_of(va, va);
    return range == RANGE_GOOD ||
           BUILDER_FAIL(r->error, cause, texts[range], {va, HV_START, HV_LAST});
}

/* ---- segments */

/* From VIRT_BASE on, for that is where the initial mapping begins. */
static bool check_place(const struct reader *r, const struct guest_segment *s)
{
    static const char *const texts[] = {
        [RANGE_WRAPS] = "kernel segment %lu at 0x%lx + 0x%lx wraps around the address space "
                        "(VIRT_BASE 0x%lx)",
        [RANGE_HOLE] = "kernel segment %lu at 0x%lx + 0x%lx is not canonical, or not in the half "
                       "of VIRT_BASE 0x%lx",
        [RANGE_HYPERVISOR] = "kernel segment %lu at 0x%lx + 0x%lx lies in the hypervisor's slots "
                             "(VIRT_BASE 0x%lx)",
    };
    uint64_t base = r->image->virt_base, end = s->va + s->bytes;
    enum range range = s->va < base || end < s->va ? RANGE_WRAPS : range_of(base, end - 1);
    return range == RANGE_GOOD || BUILDER_FAIL(r->error, BUILDER_SEGMENTS, texts[range],
                                               {s->index, s->va, s->bytes, base});
}

static bool check_segment(const struct reader *r, const struct guest_segment *s, uint64_t paddr)
{
    if (s->file_bytes > s->bytes)
        return BUILDER_FAIL(r->error, BUILDER_SEGMENTS,
                            "kernel segment %lu at 0x%lx has 0x%lx bytes in the file but 0x%lx in "
                            "memory",
                            {s->index, paddr, s->file_bytes, s->bytes});
    if (!in_file(r, s->offset, s->file_bytes))
        return BUILDER_FAIL(
            r->error, BUILDER_TRUNCATED,
            "the kernel is truncated: segment %lu at 0x%lx + 0x%lx, file ends at 0x%lx",
            {s->index, s->offset, s->file_bytes, r->bytes});
    if (paddr < r->image->paddr_offset)
        return BUILDER_FAIL(
            r->error, BUILDER_SEGMENTS,
            "kernel segment %lu's physical address 0x%lx lies below PADDR_OFFSET 0x%lx",
            {s->index, paddr, r->image->paddr_offset});
    return check_place(r, s);
}

/* An empty one loads nothing and is passed over. */
static bool take_segment(const struct reader *r, const uint8_t *h, unsigned index)
{
    struct guest_image *g = r->image;
    uint64_t paddr = number_at(h + 24, 8);
    struct guest_segment s = {
        .index = index,
        .offset = number_at(h + 8, 8),
        .file_bytes = number_at(h + 32, 8),
        .bytes = number_at(h + 40, 8),
        .va = g->virt_base + (paddr - g->paddr_offset),
    };
    if (s.bytes == 0)
        return true;
    if (g->segments == GUEST_SEGMENTS_MAX)
        return BUILDER_FAIL(r->error, BUILDER_SEGMENTS,
                            "the kernel has more than %lu loadable segments", {GUEST_SEGMENTS_MAX});
    if (!check_segment(r, &s, paddr))
        return false;
    g->segment[g->segments++] = s;
    return true;
}

static bool check_overlap(const struct reader *r)
{
    const struct guest_image *g = r->image;
    for (unsigned i = 0; i < g->segments; i++)
        for (unsigned k = 0; k < i; k++) {
            const struct guest_segment *a = &g->segment[k], *b = &g->segment[i];
            if (a->va < b->va + b->bytes && b->va < a->va + a->bytes)
                return BUILDER_FAIL(r->error, BUILDER_SEGMENTS,
                                    "kernel segments overlap: 0x%lx-0x%lx and 0x%lx-0x%lx",
                                    {a->va, a->va + a->bytes - 1, b->va, b->va + b->bytes - 1});
        }
    return true;
}

static bool read_segments(const struct reader *r, const struct header_table *t)
{
    struct guest_image *g = r->image;
    for (uint64_t i = 0; i < t->count; i++) {
        const uint8_t *h = t->at + i * PHDR_BYTES;
        if (number_at(h, 4) == PT_LOAD && !take_segment(r, h, (unsigned)i))
            return false;
    }
    if (g->segments == 0)
        return BUILDER_FAIL(r->error, BUILDER_SEGMENTS, "the kernel has no loadable segments");
    if (!check_overlap(r))
        return false;
    g->start = g->segment[0].va;
    for (unsigned i = 0; i < g->segments; i++) {
        const struct guest_segment *s = &g->segment[i];
        g->start = s->va < g->start ? s->va : g->start;
        g->end = s->va + s->bytes > g->end ? s->va + s->bytes : g->end;
    }
    return true;
}

/* ---- what the notes say, once all is read */

static bool same_text(const char *a, const char *b)
{
    size_t n = 0;
    while (b[n])
        n++;
    return same_bytes(a, b, n + 1);
}

static bool check_kind(const struct reader *r)
{
    const struct guest_image *g = r->image;
    if (!g->seen[XEN_ELFNOTE_ENTRY] && g->seen[XEN_ELFNOTE_PHYS32_ENTRY])
        return BUILDER_FAIL(r->error, BUILDER_PVH_ALONE,
                            "the kernel's Xen notes have no ENTRY (only PHYS32_ENTRY 0x%lx): it "
                            "was built for PVH alone",
                            {g->phys32_entry});
    if (g->xen_version[0] == '\0')
        return BUILDER_FAIL(r->error, BUILDER_VERSION,
                            "the kernel's Xen notes do not describe a paravirtual guest "
                            "(no version)");
    if (!same_text(g->xen_version, "xen-3.0"))
        return BUILDER_FAIL(r->error, BUILDER_VERSION,
                            "the kernel is built for another interface than xen-3.0");
    if (g->loader[0] != '\0' && !same_bytes(g->loader, "generic", 7))
        return BUILDER_FAIL(r->error, BUILDER_LOADER,
                            "the kernel asks for another loader than the generic one");
    return true;
}

static bool check_base(const struct reader *r)
{
    static const char *const texts[] = ADDRESS_TEXTS("the kernel's VIRT_BASE");
    uint64_t base = r->image->virt_base;
    if (base % GUEST_PAGE_BYTES)
        return BUILDER_FAIL(r->error, BUILDER_VIRT_BASE,
                            "the kernel's VIRT_BASE 0x%lx is not page-aligned", {base});
    return check_address(r, BUILDER_VIRT_BASE, texts, base);
}

static bool check_entry(const struct reader *r)
{
    static const char *const texts[] = ADDRESS_TEXTS("the kernel's entry");
    const struct guest_image *g = r->image;
    if (!check_address(r, BUILDER_ENTRY, texts, g->entry))
        return false;
    for (unsigned i = 0; i < g->segments; i++)
        if (g->entry >= g->segment[i].va && g->entry - g->segment[i].va < g->segment[i].bytes)
            return true;
    return BUILDER_FAIL(r->error, BUILDER_ENTRY,
                        "the kernel's entry 0x%lx is in no loaded segment (its image is mapped at "
                        "0x%lx-0x%lx)",
                        {g->entry, g->start, g->end - 1});
}

static bool check_hypercall_page(const struct reader *r)
{
    const struct guest_image *g = r->image;
    uint64_t page = g->hypercall_page;
    if (!g->has_hypercall_page)
        return true;
    if (page % GUEST_PAGE_BYTES || page < g->start || page > g->end ||
        g->end - page < GUEST_PAGE_BYTES)
        return BUILDER_FAIL(r->error, BUILDER_HYPERCALL_PAGE,
                            "the kernel's hypercall page 0x%lx is no page of its image "
                            "0x%lx-0x%lx",
                            {page, g->start, g->end - 1});
    return true;
}

static bool check_init_p2m(const struct reader *r)
{
    static const char *const texts[] = ADDRESS_TEXTS("the kernel's INIT_P2M");
    const struct guest_image *g = r->image;
    if (!g->has_init_p2m)
        return true;
    if (g->init_p2m % GUEST_PAGE_BYTES)
        return BUILDER_FAIL(r->error, BUILDER_INIT_P2M,
                            "the kernel's INIT_P2M 0x%lx is not page-aligned", {g->init_p2m});
    return check_address(r, BUILDER_INIT_P2M, texts, g->init_p2m);
}

static bool check_slots(const struct reader *r)
{
    uint64_t low = r->image->hv_start_low;
    if (low > HV_START && low <= HV_LAST)
        return BUILDER_FAIL(r->error, BUILDER_HV_START_LOW,
                            "the kernel leaves the hypervisor only 0x%lx upwards; it needs 0x%lx",
                            {low, HV_START});
    return true;
}

bool guest_image_read(const uint8_t *file, uint64_t bytes, struct guest_image *image,
                      struct builder_error *error)
{
    struct reader r = {file, bytes, image, error};
    struct header_table segments;
    *image = (struct guest_image){.segments = 0};
    *error = (struct builder_error){.text = ""};
    if (!check_magic(&r) || !check_header(&r) || !find_segments(&r, &segments))
        return false;
    image->entry = number_at(file + 24, 8); /* unless a note says otherwise */
    return guest_notes_read(&r, &segments) && check_kind(&r) && check_base(&r) &&
           read_segments(&r, &segments) && check_entry(&r) && check_hypercall_page(&r) &&
           check_init_p2m(&r) && check_slots(&r);
}
