/* SPDX-License-Identifier: MIT */
/*
 * Reads a guest kernel: ELF-64 headers, Xen notes, or the older __xen_guest section string.
 * Pure: no globals, no allocation, nothing of the hypervisor, so that it runs on the host too.
 * Every offset and length comes from the file and is checked before use.
 */
#include "elf.h"

#include <stddef.h>
#include <xen/elfnote.h>

#define EHDR_BYTES 64u
#define PHDR_BYTES 56u
#define SHDR_BYTES 64u

#define ELF_CLASS_32       1
#define ELF_CLASS_64       2
#define ELF_DATA_LSB       1
#define ELF_MACHINE_X86_64 62
#define ELF_TYPE_EXEC      2
#define ELF_TYPE_DYN       3
#define PT_LOAD            1
#define PT_NOTE            4
#define SHT_NOTE           7

#define PAGE       4096u
#define HOLE_START 0x0000800000000000ull /* first non-canonical address */
#define HOLE_END   0xffff800000000000ull
#define HV_START   0xffff800000000000ull /* the hypervisor's slots (R6) */
#define HV_END     0xffff880000000000ull

struct reader {
    const uint8_t *file;
    uint64_t bytes;
    struct guest_image *image;
    struct elf_error *error;
};

static bool fail(const struct reader *r, const char *text, uint64_t a, uint64_t b, uint64_t c)
{
    *r->error = (struct elf_error){.text = text, .value = {a, b, c}};
    return false;
}

/* ---- bytes */

static uint64_t number(const uint8_t *p, unsigned bytes)
{
    uint64_t n = 0;
    for (unsigned i = bytes; i-- > 0;)
        n = n << 8 | p[i];
    return n;
}

static bool in_file(const struct reader *r, uint64_t offset, uint64_t bytes)
{
    return offset <= r->bytes && bytes <= r->bytes - offset;
}

static bool equal(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

static size_t length(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

static bool same_string(const char *a, const char *b)
{
    return length(a) == length(b) && equal(a, b, length(a));
}

/* Copies text of at most `bytes` bytes, ends at NUL; always terminates. */
static void take_string(char *to, size_t size, const uint8_t *from, uint64_t bytes)
{
    size_t n = 0;
    while (n + 1 < size && n < bytes && from[n]) {
        to[n] = (char)from[n];
        n++;
    }
    to[n] = '\0';
}

/* ---- headers */

static bool check_header(const struct reader *r)
{
    const uint8_t *h = r->file;
    if (r->bytes == 0)
        return fail(r, "the kernel file is empty", 0, 0, 0);
    if (r->bytes < EHDR_BYTES)
        return fail(r, "the kernel file has only %lu bytes, less than an ELF header (%lu)",
                    r->bytes, EHDR_BYTES, 0);
    if (number(h, 4) != 0x464c457f)
        return fail(r, "the kernel is no ELF file (it starts with %08lx)", number(h, 4), 0, 0);
    if (h[4] == ELF_CLASS_32)
        return fail(r, "the kernel is a 32-bit ELF file; only 64-bit guests can be started", 0, 0,
                    0);
    if (h[4] != ELF_CLASS_64 || h[5] != ELF_DATA_LSB)
        return fail(r, "the kernel's ELF class %lu, byte order %lu are not 64-bit little-endian",
                    h[4], h[5], 0);
    if (number(h + 18, 2) != ELF_MACHINE_X86_64)
        return fail(r, "the kernel is for ELF machine %lu, not x86-64 (%lu)", number(h + 18, 2),
                    ELF_MACHINE_X86_64, 0);
    if (number(h + 16, 2) != ELF_TYPE_EXEC && number(h + 16, 2) != ELF_TYPE_DYN)
        return fail(r, "the kernel's ELF type %lu is not an executable", number(h + 16, 2), 0, 0);
    return true;
}

/* Finds a table of headers; *count is how many there are, 0 if none. */
static bool find_table(const struct reader *r, bool sections, const uint8_t **table,
                       uint64_t *count)
{
    uint64_t offset = number(r->file + (sections ? 40 : 32), 8);
    uint64_t size = number(r->file + (sections ? 58 : 54), 2);
    uint64_t wanted = sections ? SHDR_BYTES : PHDR_BYTES;
    *count = number(r->file + (sections ? 60 : 56), 2);
    if (*count == 0)
        return true;
    if (size != wanted)
        return fail(r, "the kernel's ELF headers have entries of %lu bytes, not %lu", size, wanted,
                    0);
    if (!in_file(r, offset, *count * size))
        return fail(r, "the kernel is truncated: ELF headers at 0x%lx + 0x%lx, file ends at 0x%lx",
                    offset, *count * size, r->bytes);
    *table = r->file + offset;
    return true;
}

/* ---- notes */

static void take_l1_mfn_valid(struct guest_image *g, const uint8_t *desc, uint64_t bytes)
{
    if (bytes < 16)
        return;
    g->l1_mfn_mask = number(desc, 8);
    g->l1_mfn_value = number(desc + 8, 8);
}

static void take_note(struct guest_image *g, uint32_t type, const uint8_t *desc, uint64_t bytes)
{
    uint64_t n = number(desc, bytes <= 8 ? (unsigned)bytes : 8);
    switch (type) {
    case XEN_ELFNOTE_ENTRY:
        g->entry = n;
        break;
    case XEN_ELFNOTE_HYPERCALL_PAGE:
        g->hypercall_page = n;
        g->has_hypercall_page = true;
        break;
    case XEN_ELFNOTE_VIRT_BASE:
        g->virt_base = n;
        break;
    case XEN_ELFNOTE_PADDR_OFFSET:
        g->paddr_offset = n;
        break;
    case XEN_ELFNOTE_XEN_VERSION:
        take_string(g->xen_version, sizeof(g->xen_version), desc, bytes);
        break;
    case XEN_ELFNOTE_GUEST_OS:
        take_string(g->guest_os, sizeof(g->guest_os), desc, bytes);
        break;
    case XEN_ELFNOTE_GUEST_VERSION:
        take_string(g->guest_version, sizeof(g->guest_version), desc, bytes);
        break;
    case XEN_ELFNOTE_LOADER:
        take_string(g->loader, sizeof(g->loader), desc, bytes);
        break;
    case XEN_ELFNOTE_PAE_MODE:
        take_string(g->pae_mode, sizeof(g->pae_mode), desc, bytes);
        break;
    case XEN_ELFNOTE_FEATURES:
        take_string(g->features, sizeof(g->features), desc, bytes);
        break;
    case XEN_ELFNOTE_HV_START_LOW:
        g->hv_start_low = n;
        break;
    case XEN_ELFNOTE_L1_MFN_VALID:
        take_l1_mfn_valid(g, desc, bytes);
        break;
    case XEN_ELFNOTE_SUSPEND_CANCEL:
        g->suspend_cancel = n == 1;
        break;
    case XEN_ELFNOTE_INIT_P2M:
        g->init_p2m = n;
        g->has_init_p2m = true;
        break;
    case XEN_ELFNOTE_MOD_START_PFN:
        g->unmapped_module = n != 0;
        break;
    default:
        break; /* the others ask nothing of a domain builder for paravirtual guests */
    }
}

static uint64_t aligned4(uint64_t n)
{
    return (n + 3) & ~3ull;
}

/* Walks the notes in file[offset, +bytes); adds the number of Xen's ones to *found. */
static bool walk_notes(const struct reader *r, uint64_t offset, uint64_t bytes, unsigned *found)
{
    if (!in_file(r, offset, bytes))
        return fail(r, "the kernel is truncated: notes at 0x%lx + 0x%lx, file ends at 0x%lx",
                    offset, bytes, r->bytes);
    const uint8_t *p = r->file + offset;
    while (bytes >= 12) {
        uint64_t name = number(p, 4), desc = number(p + 4, 4);
        uint32_t type = (uint32_t)number(p + 8, 4);
        uint64_t size = 12 + aligned4(name) + aligned4(desc);
        if (size - aligned4(desc) + desc > bytes)
            return fail(r,
                        "the kernel's notes are damaged: one of 0x%lx bytes where 0x%lx are left",
                        size, bytes, 0);
        if (name == 4 && equal((const char *)p + 12, "Xen", 4)) {
            take_note(r->image, type, p + 16, desc);
            ++*found;
        }
        p += size < bytes ? size : bytes;
        bytes -= size < bytes ? size : bytes;
    }
    return true;
}

static bool notes_in_segments(const struct reader *r, const uint8_t *table, uint64_t count,
                              unsigned *found)
{
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *h = table + i * PHDR_BYTES;
        if (number(h, 4) == PT_NOTE && !walk_notes(r, number(h + 8, 8), number(h + 32, 8), found))
            return false;
    }
    return true;
}

static bool notes_in_sections(const struct reader *r, const uint8_t *table, uint64_t count,
                              unsigned *found)
{
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *h = table + i * SHDR_BYTES;
        if (number(h + 4, 4) == SHT_NOTE &&
            !walk_notes(r, number(h + 24, 8), number(h + 32, 8), found))
            return false;
    }
    return true;
}

/* ---- the older description: one string "KEY=value,KEY=value" in section __xen_guest */

static uint64_t text_number(const char *s, const char *end)
{
    uint64_t n = 0, base = 10;
    if (end - s > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        base = 16;
        s += 2;
    }
    for (; s < end; s++) {
        unsigned digit = *s >= '0' && *s <= '9'   ? (unsigned)(*s - '0')
                         : *s >= 'a' && *s <= 'f' ? (unsigned)(*s - 'a') + 10
                         : *s >= 'A' && *s <= 'F' ? (unsigned)(*s - 'A') + 10
                                                  : 99;
        if (digit >= base)
            break;
        n = n * base + digit;
    }
    return n;
}

#define LEGACY_UNSET (~0ull)

struct legacy {
    uint64_t paddr_offset, hypercall_page; /* the latter as a page number from VIRT_BASE */
};

static bool key_is(const char *s, const char *end, const char *key)
{
    return (size_t)(end - s) == length(key) && equal(s, key, length(key));
}

static void take_legacy_word(struct guest_image *g, struct legacy *l, const char *word,
                             const char *end)
{
    const char *value = word;
    while (value < end && *value != '=')
        value++;
    const char *key_end = value;
    if (value < end)
        value++;
    const uint8_t *text = (const uint8_t *)value;
    uint64_t bytes = (uint64_t)(end - value);
    if (key_is(word, key_end, "LOADER"))
        take_string(g->loader, sizeof(g->loader), text, bytes);
    else if (key_is(word, key_end, "GUEST_OS"))
        take_string(g->guest_os, sizeof(g->guest_os), text, bytes);
    else if (key_is(word, key_end, "GUEST_VER"))
        take_string(g->guest_version, sizeof(g->guest_version), text, bytes);
    else if (key_is(word, key_end, "XEN_VER"))
        take_string(g->xen_version, sizeof(g->xen_version), text, bytes);
    else if (key_is(word, key_end, "PAE"))
        take_string(g->pae_mode, sizeof(g->pae_mode), text, bytes);
    else if (key_is(word, key_end, "FEATURES"))
        take_string(g->features, sizeof(g->features), text, bytes);
    else if (key_is(word, key_end, "VIRT_BASE"))
        g->virt_base = text_number(value, end);
    else if (key_is(word, key_end, "VIRT_ENTRY"))
        g->entry = text_number(value, end);
    else if (key_is(word, key_end, "ELF_PADDR_OFFSET"))
        l->paddr_offset = text_number(value, end);
    else if (key_is(word, key_end, "HYPERCALL_PAGE"))
        l->hypercall_page = text_number(value, end);
}

static void take_legacy(struct guest_image *g, const char *s, uint64_t bytes)
{
    struct legacy l = {LEGACY_UNSET, LEGACY_UNSET};
    const char *end = s;
    while (end < s + bytes && *end)
        end++;
    while (s < end) {
        const char *word = s;
        while (s < end && *s != ',')
            s++;
        take_legacy_word(g, &l, word, s);
        if (s < end)
            s++;
    }
    /* Without an offset the segments' physical addresses are virtual ones. */
    g->paddr_offset = l.paddr_offset == LEGACY_UNSET ? g->virt_base : l.paddr_offset;
    g->has_hypercall_page = l.hypercall_page != LEGACY_UNSET;
    if (g->has_hypercall_page)
        g->hypercall_page = g->virt_base + l.hypercall_page * PAGE;
    g->legacy = true;
}

static bool find_legacy(const struct reader *r, const uint8_t *table, uint64_t count, bool *found)
{
    static const char wanted[] = "__xen_guest";
    uint64_t index = number(r->file + 62, 2);
    if (index >= count)
        return true;
    uint64_t names = number(table + index * SHDR_BYTES + 24, 8);
    uint64_t names_bytes = number(table + index * SHDR_BYTES + 32, 8);
    if (!in_file(r, names, names_bytes))
        return true;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *h = table + i * SHDR_BYTES;
        uint64_t name = number(h, 4), offset = number(h + 24, 8), bytes = number(h + 32, 8);
        if (name > names_bytes || names_bytes - name < sizeof(wanted) ||
            !equal((const char *)r->file + names + name, wanted, sizeof(wanted)))
            continue;
        if (!in_file(r, offset, bytes))
            return fail(r,
                        "the kernel is truncated: __xen_guest at 0x%lx + 0x%lx, file ends at 0x%lx",
                        offset, bytes, r->bytes);
        take_legacy(r->image, (const char *)r->file + offset, bytes);
        *found = true;
        return true;
    }
    return true;
}

/* Notes in program headers, else in sections, else the older string. */
static bool read_description(const struct reader *r, const uint8_t *phdrs, uint64_t nr_phdrs)
{
    const uint8_t *sections = NULL;
    uint64_t nr_sections = 0;
    unsigned notes = 0;
    bool legacy = false;
    if (!notes_in_segments(r, phdrs, nr_phdrs, &notes))
        return false;
    if (notes > 0)
        return true;
    if (!find_table(r, true, &sections, &nr_sections) ||
        !notes_in_sections(r, sections, nr_sections, &notes))
        return false;
    if (notes == 0 && !find_legacy(r, sections, nr_sections, &legacy))
        return false;
    if (notes == 0 && !legacy)
        return fail(r, "the kernel has no Xen notes: it is not built for paravirtual guests", 0, 0,
                    0);
    return true;
}

/* ---- segments */

/* Is [start, end) canonical, in one half, and clear of the hypervisor's slots? */
static bool range_ok(uint64_t start, uint64_t end)
{
    if (end < start)
        return false;
    return end <= HOLE_START || start >= HV_END;
}

static bool take_segment(const struct reader *r, const uint8_t *h)
{
    struct guest_image *g = r->image;
    uint64_t paddr = number(h + 24, 8);
    struct elf_segment s = {
        .offset = number(h + 8, 8),
        .file_bytes = number(h + 32, 8),
        .bytes = number(h + 40, 8),
        .va = g->virt_base + (paddr - g->paddr_offset),
    };
    if (s.bytes == 0)
        return true;
    if (g->segments == ELF_SEGMENTS_MAX)
        return fail(r, "the kernel has more than %lu loadable segments", ELF_SEGMENTS_MAX, 0, 0);
    if (s.file_bytes > s.bytes)
        return fail(r, "a kernel segment at 0x%lx has 0x%lx bytes in the file but 0x%lx in memory",
                    paddr, s.file_bytes, s.bytes);
    if (!in_file(r, s.offset, s.file_bytes))
        return fail(r, "the kernel is truncated: segment at 0x%lx + 0x%lx, file ends at 0x%lx",
                    s.offset, s.file_bytes, r->bytes);
    if (paddr < g->paddr_offset)
        return fail(r, "a kernel segment's physical address 0x%lx lies below PADDR_OFFSET 0x%lx",
                    paddr, g->paddr_offset, 0);
    if (s.va < g->virt_base || s.va + s.bytes < s.va || !range_ok(g->virt_base, s.va + s.bytes))
        return fail(r,
                    "a kernel segment at 0x%lx + 0x%lx wraps, is not canonical, or lies in the "
                    "hypervisor's part of the address space (VIRT_BASE 0x%lx)",
                    s.va, s.bytes, g->virt_base);
    g->segment[g->segments++] = s;
    return true;
}

static bool check_overlap(const struct reader *r)
{
    const struct guest_image *g = r->image;
    for (unsigned i = 0; i < g->segments; i++)
        for (unsigned k = 0; k < i; k++) {
            const struct elf_segment *a = &g->segment[i], *b = &g->segment[k];
            if (a->va < b->va + b->bytes && b->va < a->va + a->bytes)
                return fail(r, "kernel segments overlap: 0x%lx + 0x%lx and 0x%lx", a->va, a->bytes,
                            b->va);
        }
    return true;
}

static bool read_segments(const struct reader *r, const uint8_t *table, uint64_t count)
{
    struct guest_image *g = r->image;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *h = table + i * PHDR_BYTES;
        if (number(h, 4) == PT_LOAD && !take_segment(r, h))
            return false;
    }
    if (g->segments == 0)
        return fail(r, "the kernel has no loadable segments", 0, 0, 0);
    if (!check_overlap(r))
        return false;
    g->start = g->segment[0].va;
    for (unsigned i = 0; i < g->segments; i++) {
        const struct elf_segment *s = &g->segment[i];
        g->start = s->va < g->start ? s->va : g->start;
        g->end = s->va + s->bytes > g->end ? s->va + s->bytes : g->end;
    }
    return true;
}

/* ---- what the notes say, once all is read */

static bool check_version(const struct reader *r)
{
    const struct guest_image *g = r->image;
    if (g->xen_version[0] == '\0')
        return fail(r, "the kernel's Xen notes do not describe a paravirtual guest (no version)", 0,
                    0, 0);
    if (!same_string(g->xen_version, "xen-3.0"))
        return fail(r, "the kernel is built for another interface than xen-3.0", 0, 0, 0);
    if (g->loader[0] != '\0' && !equal(g->loader, "generic", 7))
        return fail(r, "the kernel asks for another loader than the generic one", 0, 0, 0);
    return true;
}

static bool check_base(const struct reader *r)
{
    const struct guest_image *g = r->image;
    if (g->virt_base % PAGE)
        return fail(r, "the kernel's VIRT_BASE 0x%lx is not page-aligned", g->virt_base, 0, 0);
    if (!range_ok(g->virt_base, g->virt_base + 1))
        return fail(r,
                    "the kernel's VIRT_BASE 0x%lx is not canonical or lies in the hypervisor's "
                    "part (0x%lx-0x%lx)",
                    g->virt_base, HV_START, HV_END);
    return true;
}

static bool check_addresses(const struct reader *r)
{
    const struct guest_image *g = r->image;
    if (g->entry < g->start || g->entry >= g->end)
        return fail(r, "the kernel's entry 0x%lx lies outside its image 0x%lx-0x%lx", g->entry,
                    g->start, g->end);
    if (g->hv_start_low > HV_START && g->hv_start_low < HV_END)
        return fail(r, "the kernel leaves the hypervisor only 0x%lx upwards; it needs 0x%lx",
                    g->hv_start_low, HV_START, 0);
    if (g->has_hypercall_page && (g->hypercall_page % PAGE || g->hypercall_page < g->start ||
                                  g->hypercall_page > g->end || g->end - g->hypercall_page < PAGE))
        return fail(r, "the kernel's hypercall page 0x%lx is no page of its image 0x%lx-0x%lx",
                    g->hypercall_page, g->start, g->end);
    if (g->has_init_p2m && (g->init_p2m % PAGE || !range_ok(g->init_p2m, g->init_p2m + PAGE)))
        return fail(r,
                    "the kernel's INIT_P2M 0x%lx is not page-aligned, not canonical, or in the "
                    "hypervisor's part (0x%lx-0x%lx)",
                    g->init_p2m, HV_START, HV_END);
    return true;
}

bool elf_parse(const uint8_t *file, uint64_t bytes, struct guest_image *image,
               struct elf_error *error)
{
    struct reader r = {file, bytes, image, error};
    const uint8_t *phdrs = NULL;
    uint64_t nr_phdrs = 0;
    *image = (struct guest_image){.segments = 0};
    *error = (struct elf_error){.text = ""};
    if (!check_header(&r) || !find_table(&r, false, &phdrs, &nr_phdrs))
        return false;
    image->entry = number(file + 24, 8); /* unless a note says otherwise */
    return read_description(&r, phdrs, nr_phdrs) && check_version(&r) && check_base(&r) &&
           read_segments(&r, phdrs, nr_phdrs) && check_addresses(&r);
}
