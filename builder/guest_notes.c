/* SPDX-License-Identifier: MIT */
/* What a kernel says of itself: Xen's notes, or the string from before there were notes. */
#include "reader.h"

/* ---- values, from wherever they come */

static bool is_number(uint32_t type)
{
    switch (type) {
    case XEN_ELFNOTE_ENTRY:
    case XEN_ELFNOTE_HYPERCALL_PAGE:
    case XEN_ELFNOTE_VIRT_BASE:
    case XEN_ELFNOTE_PADDR_OFFSET:
    case XEN_ELFNOTE_HV_START_LOW:
    case XEN_ELFNOTE_SUSPEND_CANCEL:
    case XEN_ELFNOTE_INIT_P2M:
    case XEN_ELFNOTE_MOD_START_PFN:
    case XEN_ELFNOTE_SUPPORTED_FEATURES:
    case XEN_ELFNOTE_PHYS32_ENTRY:
        return true;
    default:
        return false;
    }
}

static void set_number(struct guest_image *g, uint32_t type, uint64_t n)
{
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
    case XEN_ELFNOTE_HV_START_LOW:
        g->hv_start_low = n;
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
    case XEN_ELFNOTE_SUPPORTED_FEATURES:
        g->supported_features = n;
        break;
    case XEN_ELFNOTE_PHYS32_ENTRY:
        g->phys32_entry = n;
        break;
    default:
        break;
    }
}

/* Copies text of at most `bytes` bytes, ends at NUL; always terminates. */
static void copy_text(char *to, size_t size, const uint8_t *from, uint64_t bytes)
{
    size_t n = 0;
    while (n + 1 < size && n < bytes && from[n]) {
        to[n] = (char)from[n];
        n++;
    }
    to[n] = '\0';
}

/* Those that are no text ask nothing of a domain builder for paravirtual guests. */
static void set_text(struct guest_image *g, uint32_t type, const uint8_t *text, uint64_t bytes)
{
    switch (type) {
    case XEN_ELFNOTE_XEN_VERSION:
        copy_text(g->xen_version, sizeof(g->xen_version), text, bytes);
        break;
    case XEN_ELFNOTE_GUEST_OS:
        copy_text(g->guest_os, sizeof(g->guest_os), text, bytes);
        break;
    case XEN_ELFNOTE_GUEST_VERSION:
        copy_text(g->guest_version, sizeof(g->guest_version), text, bytes);
        break;
    case XEN_ELFNOTE_LOADER:
        copy_text(g->loader, sizeof(g->loader), text, bytes);
        break;
    case XEN_ELFNOTE_PAE_MODE:
        copy_text(g->pae_mode, sizeof(g->pae_mode), text, bytes);
        break;
    case XEN_ELFNOTE_FEATURES:
        copy_text(g->features, sizeof(g->features), text, bytes);
        break;
    default:
        break;
    }
}

/* ---- notes */

static void take_l1_mfn_valid(struct guest_image *g, const uint8_t *desc, uint64_t bytes)
{
    if (bytes < 16)
        return;
    g->l1_mfn_mask = number_at(desc, 8);
    g->l1_mfn_value = number_at(desc + 8, 8);
}

static bool take_note(const struct reader *r, uint32_t type, const uint8_t *desc, uint64_t bytes)
{
    struct guest_image *g = r->image;
    g->notes++;
    if (type > XEN_ELFNOTE_MAX)
        return true;
    g->seen[type] = true;
    if (type == XEN_ELFNOTE_L1_MFN_VALID)
        take_l1_mfn_valid(g, desc, bytes);
    else if (!is_number(type))
        set_text(g, type, desc, bytes);
    else if (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8)
        set_number(g, type, number_at(desc, (unsigned)bytes));
    else
        return BUILDER_FAIL(r->error, BUILDER_NOTES,
                            "the kernel's notes are damaged: Xen note %lu is a number of %lu "
                            "bytes, not of 1, 2, 4 or 8",
                            {type, bytes});
    return true;
}

static uint64_t aligned4(uint64_t n)
{
    return (n + 3) & ~3ull;
}

/* Walks the notes in file[offset, +bytes). Of one table's headers they are at most *left bytes, so
 * that many headers of the same bytes do not take for ever. */
static bool walk_notes(const struct reader *r, uint64_t offset, uint64_t bytes, uint64_t *left)
{
    if (!in_file(r, offset, bytes))
        return BUILDER_FAIL(r->error, BUILDER_TRUNCATED,
                            "the kernel is truncated: notes at 0x%lx + 0x%lx, file ends at 0x%lx",
                            {offset, bytes, r->bytes});
    if (bytes > *left)
        return BUILDER_FAIL(r->error, BUILDER_NOTES,
                            "the kernel's notes are damaged: their headers claim more bytes than "
                            "the file has (0x%lx)",
                            {r->bytes});
    *left -= bytes;
    while (bytes >= 12) {
        const uint8_t *p = r->file + offset;
        uint64_t name = number_at(p, 4), desc = number_at(p + 4, 4);
        uint32_t type = (uint32_t)number_at(p + 8, 4);
        uint64_t used = 12 + aligned4(name) + desc, next = 12 + aligned4(name) + aligned4(desc);
        if (used > bytes)
            return BUILDER_FAIL(r->error, BUILDER_NOTES,
                                "the kernel's notes are damaged: the one at 0x%lx has 0x%lx bytes "
                                "where 0x%lx are left",
                                {offset, used, bytes});
        if (name == 4 && same_bytes((const char *)p + 12, "Xen", 4) &&
            !take_note(r, type, p + 16, desc))
            return false;
        if (next > bytes) /* the last one need not be padded */
            break;
        offset += next;
        bytes -= next;
    }
    return true;
}

#define PT_NOTE  4
#define SHT_NOTE 7

/* One at offset 0 has not been told where its notes are (by older linkers), and Xen passes it
 * over too. */
static bool notes_in_segments(const struct reader *r, const struct header_table *t)
{
    uint64_t left = r->bytes;
    for (uint64_t i = 0; i < t->count; i++) {
        const uint8_t *h = t->at + i * PHDR_BYTES;
        uint64_t offset = number_at(h + 8, 8);
        if (number_at(h, 4) == PT_NOTE && offset != 0 &&
            !walk_notes(r, offset, number_at(h + 32, 8), &left))
            return false;
    }
    return true;
}

static bool notes_in_sections(const struct reader *r, const struct header_table *t)
{
    uint64_t left = r->bytes;
    for (uint64_t i = 0; i < t->count; i++) {
        const uint8_t *h = t->at + i * SHDR_BYTES;
        if (number_at(h + 4, 4) == SHT_NOTE &&
            !walk_notes(r, number_at(h + 24, 8), number_at(h + 32, 8), &left))
            return false;
    }
    return true;
}

/* ---- the older description: one string "KEY=value,KEY=value" in section __xen_guest */

static unsigned digit_of(char c)
{
    return c >= '0' && c <= '9'   ? (unsigned)(c - '0')
           : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
           : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                  : 99;
}

static uint64_t text_number(const char *s, const char *end)
{
    uint64_t n = 0, base = 10;
    if (end - s > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        base = 16;
        s += 2;
    }
    for (; s < end && digit_of(*s) < base; s++)
        n = n * base + digit_of(*s);
    return n;
}

static bool key_is(const char *s, const char *end, const char *key)
{
    while (s < end && *key && *s == *key) {
        s++;
        key++;
    }
    return s == end && *key == '\0';
}

/* The note that a key stands for; 0: none. */
static uint32_t legacy_type(const char *s, const char *end)
{
    static const struct {
        char key[20];
        uint32_t type;
    } keys[] = {
        {"LOADER", XEN_ELFNOTE_LOADER},
        {"GUEST_OS", XEN_ELFNOTE_GUEST_OS},
        {"GUEST_VER", XEN_ELFNOTE_GUEST_VERSION},
        {"XEN_VER", XEN_ELFNOTE_XEN_VERSION},
        {"PAE", XEN_ELFNOTE_PAE_MODE},
        {"FEATURES", XEN_ELFNOTE_FEATURES},
        {"VIRT_BASE", XEN_ELFNOTE_VIRT_BASE},
        {"VIRT_ENTRY", XEN_ELFNOTE_ENTRY},
        {"ELF_PADDR_OFFSET", XEN_ELFNOTE_PADDR_OFFSET},
        {"HYPERCALL_PAGE", XEN_ELFNOTE_HYPERCALL_PAGE},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (key_is(s, end, keys[i].key))
            return keys[i].type;
    return 0;
}

static void take_legacy_word(struct guest_image *g, const char *word, const char *end)
{
    const char *value = word;
    while (value < end && *value != '=')
        value++;
    uint32_t type = legacy_type(word, value);
    if (type == 0)
        return;
    if (value < end)
        value++;
    g->seen[type] = true;
    if (is_number(type))
        set_number(g, type, text_number(value, end));
    else
        set_text(g, type, (const uint8_t *)value, (uint64_t)(end - value));
}

static void take_legacy(struct guest_image *g, const char *s, uint64_t bytes)
{
    const char *end = s;
    while (end < s + bytes && *end)
        end++;
    while (s < end) {
        const char *word = s;
        while (s < end && *s != ',')
            s++;
        take_legacy_word(g, word, s);
        if (s < end)
            s++;
    }
    /* Without an offset the segments' physical addresses are virtual ones. */
    if (!g->seen[XEN_ELFNOTE_PADDR_OFFSET])
        g->paddr_offset = g->virt_base;
    if (g->has_hypercall_page) /* given as a page number from VIRT_BASE on */
        g->hypercall_page = g->virt_base + g->hypercall_page * GUEST_PAGE_BYTES;
    g->legacy = true;
}

/* The section's header, NULL if there is none of that name. */
static const uint8_t *find_legacy(const struct reader *r, const struct header_table *t)
{
    static const char wanted[] = "__xen_guest";
    uint64_t index = number_at(r->file + 62, 2);
    if (index >= t->count)
        return NULL;
    uint64_t names = number_at(t->at + index * SHDR_BYTES + 24, 8);
    uint64_t names_bytes = number_at(t->at + index * SHDR_BYTES + 32, 8);
    if (!in_file(r, names, names_bytes))
        return NULL;
    for (uint64_t i = 0; i < t->count; i++) {
        const uint8_t *h = t->at + i * SHDR_BYTES;
        uint64_t name = number_at(h, 4);
        if (name <= names_bytes && names_bytes - name >= sizeof(wanted) &&
            same_bytes((const char *)r->file + names + name, wanted, sizeof(wanted)))
            return h;
    }
    return NULL;
}

static bool read_legacy(const struct reader *r, const struct header_table *t)
{
    const uint8_t *h = find_legacy(r, t);
    if (h == NULL)
        return true;
    uint64_t offset = number_at(h + 24, 8), bytes = number_at(h + 32, 8);
    if (!in_file(r, offset, bytes))
        return BUILDER_FAIL(
            r->error, BUILDER_TRUNCATED,
            "the kernel is truncated: __xen_guest at 0x%lx + 0x%lx, file ends at 0x%lx",
            {offset, bytes, r->bytes});
    take_legacy(r->image, (const char *)r->file + offset, bytes);
    return true;
}

/* Notes in program headers, else in sections, else the older string. */
bool guest_notes_read(const struct reader *r, const struct header_table *segments)
{
    const struct guest_image *g = r->image;
    struct header_table sections;
    if (!notes_in_segments(r, segments))
        return false;
    if (g->notes > 0)
        return true;
    if (!guest_find_headers(r, true, &sections) || !notes_in_sections(r, &sections))
        return false;
    if (g->notes == 0 && !read_legacy(r, &sections))
        return false;
    if (g->notes == 0 && !g->legacy)
        return BUILDER_FAIL(r->error, BUILDER_NO_NOTES,
                            "the kernel has no Xen notes: it is not built for paravirtual guests");
    return true;
}
