/* SPDX-License-Identifier: MIT */
/* Xen's notes, one by one: what is odd, and how the two builders read it. No fault is found here;
 * what a builder refuses, its own code says (boot.c, xen.c). */
#include <elf.h>
#include <stdio.h>
#include <string.h>

#include <xen/elfnote.h>
#include <xen/features.h>

#include "boot.h"

#define ull(x)    ((unsigned long long)(x))
#define TYPES     (XEN_ELFNOTE_MAX + 1)
#define NOTES_MAX 65536u

enum kind { KIND_OTHER, KIND_NUMBER, KIND_STRING, KIND_PAIRS };

static const struct {
    const char *name;
    enum kind kind;
} known[TYPES] = {
    [XEN_ELFNOTE_INFO] = {"INFO", KIND_STRING},
    [XEN_ELFNOTE_ENTRY] = {"ENTRY", KIND_NUMBER},
    [XEN_ELFNOTE_HYPERCALL_PAGE] = {"HYPERCALL_PAGE", KIND_NUMBER},
    [XEN_ELFNOTE_VIRT_BASE] = {"VIRT_BASE", KIND_NUMBER},
    [XEN_ELFNOTE_PADDR_OFFSET] = {"PADDR_OFFSET", KIND_NUMBER},
    [XEN_ELFNOTE_XEN_VERSION] = {"XEN_VERSION", KIND_STRING},
    [XEN_ELFNOTE_GUEST_OS] = {"GUEST_OS", KIND_STRING},
    [XEN_ELFNOTE_GUEST_VERSION] = {"GUEST_VERSION", KIND_STRING},
    [XEN_ELFNOTE_LOADER] = {"LOADER", KIND_STRING},
    [XEN_ELFNOTE_PAE_MODE] = {"PAE_MODE", KIND_STRING},
    [XEN_ELFNOTE_FEATURES] = {"FEATURES", KIND_STRING},
    [XEN_ELFNOTE_BSD_SYMTAB] = {"BSD_SYMTAB", KIND_STRING},
    [XEN_ELFNOTE_HV_START_LOW] = {"HV_START_LOW", KIND_NUMBER},
    [XEN_ELFNOTE_L1_MFN_VALID] = {"L1_MFN_VALID", KIND_PAIRS},
    [XEN_ELFNOTE_SUSPEND_CANCEL] = {"SUSPEND_CANCEL", KIND_NUMBER},
    [XEN_ELFNOTE_INIT_P2M] = {"INIT_P2M", KIND_NUMBER},
    [XEN_ELFNOTE_MOD_START_PFN] = {"MOD_START_PFN", KIND_NUMBER},
    [XEN_ELFNOTE_SUPPORTED_FEATURES] = {"SUPPORTED_FEATURES", KIND_NUMBER},
    [XEN_ELFNOTE_PHYS32_ENTRY] = {"PHYS32_ENTRY", KIND_NUMBER},
};

struct look {
    const struct elfview *v;
    struct lint_report *r;
    struct lint_error *e;
    struct elfview_note first[TYPES]; /* of each type; at 0: none yet */
    bool told_twice[TYPES], told_unknown, told_owner;
    unsigned seen;
};

static bool is_number_size(uint32_t bytes)
{
    return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
}

static uint64_t value_of(const struct look *l, const struct elfview_note *n)
{
    return is_number_size(n->desc_bytes) ? elfview_number(l->v, n->desc, n->desc_bytes) : 0;
}

static int at_note(const struct look *l, struct lint_finding *f, const struct elfview_note *n)
{
    return boot_locate(f, n->at, n->desc_bytes, l->e);
}

/* ---- each */

static bool same_desc(const struct look *l, const struct elfview_note *a,
                      const struct elfview_note *b)
{
    return a->desc_bytes == b->desc_bytes && elfview_holds(l->v, a->desc, a->desc_bytes) &&
           elfview_holds(l->v, b->desc, b->desc_bytes) &&
           memcmp(l->v->data + a->desc, l->v->data + b->desc, a->desc_bytes) == 0;
}

static int repeated(struct look *l, const struct elfview_note *n)
{
    const struct elfview_note *first = &l->first[n->type];

    if (l->told_twice[n->type])
        return 0;
    l->told_twice[n->type] = true;
    if (same_desc(l, first, n))
        return at_note(l,
                       lint_add(l->r, "note-repeated", LINT_NOTE, "%s is given twice, alike",
                                known[n->type].name),
                       n);
    if (known[n->type].kind != KIND_NUMBER)
        return at_note(l,
                       lint_add(l->r, "note-repeated", LINT_NOTE,
                                "%s is given twice, and not alike: builders take the last",
                                known[n->type].name),
                       n);
    return at_note(l,
                   lint_add(l->r, "note-repeated", LINT_NOTE,
                            "%s is given twice, first as 0x%llx, then as 0x%llx: builders take "
                            "the last",
                            known[n->type].name, ull(value_of(l, first)), ull(value_of(l, n))),
                   n);
}

/* A zero byte that pads it to a multiple of four is good enough: Linux leaves it at that. */
static bool ends(const struct look *l, const struct elfview_note *n)
{
    const uint64_t bytes = ((uint64_t)n->desc_bytes + 3) & ~UINT64_C(3);

    return !elfview_holds(l->v, n->desc, bytes) ||
           memchr(l->v->data + n->desc, '\0', bytes) != NULL;
}

static int check_desc(struct look *l, const struct elfview_note *n)
{
    const char *name = known[n->type].name;
    const uint64_t bytes = n->desc_bytes;

    switch (known[n->type].kind) {
    case KIND_STRING:
        if (!ends(l, n))
            return at_note(l,
                           lint_add(l->r, "note-unterminated", LINT_NOTE,
                                    "%s does not end in its %llu bytes; pvmm stops there, Xen "
                                    "reads on to the next zero byte",
                                    name, ull(bytes)),
                           n);
        return 0;
    case KIND_NUMBER:
        if (!is_number_size(n->desc_bytes))
            return at_note(l,
                           lint_add(l->r, "xen-note-size", LINT_NOTE,
                                    "%s is a number of %llu bytes, not of 1, 2, 4 or 8: Xen "
                                    "takes it for 0",
                                    name, ull(bytes)),
                           n);
        return 0;
    case KIND_PAIRS:
        if (bytes == 0 || bytes % 16 != 0)
            return at_note(l,
                           lint_add(l->r, "note-pairs", LINT_NOTE,
                                    "%s has %llu bytes, no whole number of pairs (mask, value) "
                                    "of 16",
                                    name, ull(bytes)),
                           n);
        return 0;
    default:
        return 0;
    }
}

static int take(struct look *l, const struct elfview_note *n)
{
    if (n->type >= TYPES) {
        if (l->told_unknown)
            return 0;
        l->told_unknown = true;
        return at_note(l,
                       lint_add(l->r, "note-unknown", LINT_NOTE,
                                "note %u is none that pvmm or Xen 4.17 knows: it is passed over",
                                n->type),
                       n);
    }
    if (l->first[n->type].at != 0)
        return repeated(l, n);
    l->first[n->type] = *n;
    return check_desc(l, n);
}

/* Xen's public header says "Xen"; another owner's notes are not read, whatever is in them. */
static int foreign(struct look *l, const struct elfview_note *n, const char *owner)
{
    static const char version[] = "xen-3.0";

    if (l->told_owner || n->type != XEN_ELFNOTE_XEN_VERSION || n->desc_bytes != sizeof(version) ||
        !elfview_holds(l->v, n->desc, sizeof(version)) ||
        memcmp(l->v->data + n->desc, version, sizeof(version)) != 0)
        return 0;
    l->told_owner = true;
    return at_note(l,
                   lint_add(l->r, "note-owner", LINT_NOTE,
                            "there are notes that look like Xen's, of the owner \"%.32s\": "
                            "builders pass them over",
                            owner),
                   n);
}

static int walk(struct look *l, uint64_t at, uint64_t bytes)
{
    const uint64_t end = at + bytes;
    struct elfview_note n;
    uint64_t next;

    for (; elfview_note(l->v, at, end, &n, &next) && l->seen < NOTES_MAX; at = next) {
        const char *owner = elfview_string(l->v, at + 12);
        int rc = 0;

        l->seen++;
        if (owner != NULL)
            rc = strcmp(owner, "Xen") == 0 ? take(l, &n) : foreign(l, &n, owner);
        if (rc != 0)
            return -1;
    }
    return 0;
}

static int walk_all(struct look *l)
{
    struct elfview_segment s;
    struct elfview_section t;

    for (unsigned i = 0; elfview_segment(l->v, i, &s); i++)
        if (s.type == PT_NOTE && s.offset != 0 && walk(l, s.offset, s.file_bytes) != 0)
            return -1;
    if (l->seen > 0) /* sections hold the same notes */
        return 0;
    for (unsigned i = 1; elfview_section(l->v, i, &t); i++)
        if (t.type == SHT_NOTE && walk(l, t.offset, t.bytes) != 0)
            return -1;
    return 0;
}

/* ---- all together */

static int note(const struct look *l, struct lint_finding *f)
{
    return f != NULL ? 0 : lint_fail(l->e, "out of memory");
}

static int check_absent(const struct look *l, const struct guest_image *g)
{
    if (!g->seen[XEN_ELFNOTE_ENTRY] &&
        note(l, lint_add(l->r, "no-entry", LINT_NOTE,
                         "there is no ENTRY: builders start it at the ELF header's e_entry 0x%llx",
                         ull(l->v->entry))) != 0)
        return -1;
    if (!g->has_hypercall_page &&
        note(l, lint_add(l->r, "no-hypercall-page", LINT_NOTE,
                         "there is no HYPERCALL_PAGE: the kernel has to make its hypercalls "
                         "without one")) != 0)
        return -1;
    if (!g->has_init_p2m &&
        note(l, lint_add(l->r, "no-init-p2m", LINT_NOTE,
                         "there is no INIT_P2M: the p2m list lies in the initial mapping behind "
                         "the kernel, 2 MiB for each GiB of memory")) != 0)
        return -1;
    return 0;
}

static int check_pae(const struct look *l, const struct guest_image *g)
{
    if (!g->seen[XEN_ELFNOTE_PAE_MODE] || strcmp(g->pae_mode, "yes") == 0)
        return 0;
    return note(l, lint_add(l->r, "pae-mode", LINT_NOTE,
                            "PAE_MODE is \"%s\"; of a 64-bit kernel builders do not care",
                            g->pae_mode));
}

static int check_mfn_valid(const struct look *l, const struct guest_image *g)
{
    if (!g->seen[XEN_ELFNOTE_L1_MFN_VALID] || (g->l1_mfn_value & ~g->l1_mfn_mask) == 0)
        return 0;
    return note(l, lint_add(l->r, "l1-mfn-valid", LINT_NOTE,
                            "L1_MFN_VALID's value 0x%llx has bits outside of its mask 0x%llx: no "
                            "entry can be valid by it",
                            ull(g->l1_mfn_value), ull(g->l1_mfn_mask)));
}

/* ---- features */

static const struct {
    const char *name;
    unsigned bit;
    bool offered; /* by pvmm to its guests */
} features[] = {
    {"writable_page_tables", XENFEAT_writable_page_tables, false},
    {"writable_descriptor_tables", XENFEAT_writable_descriptor_tables, false},
    {"auto_translated_physmap", XENFEAT_auto_translated_physmap, false},
    {"supervisor_mode_kernel", XENFEAT_supervisor_mode_kernel, false},
    {"pae_pgdir_above_4gb", XENFEAT_pae_pgdir_above_4gb, true},
    {"hvm_callback_vector", XENFEAT_hvm_callback_vector, false},
    {"dom0", XENFEAT_dom0, false},
};
#define FEATURES (sizeof(features) / sizeof(features[0]))

static int check_feature(const struct look *l, const struct guest_image *g, const char *word,
                         size_t n)
{
    const bool required = n > 0 && word[0] == '!';
    const char *name = word + required;
    size_t i = 0;

    n -= required;
    while (i < FEATURES &&
           (strlen(features[i].name) != n || memcmp(features[i].name, name, n) != 0))
        i++;
    if (required && (i == FEATURES || !features[i].offered) &&
        note(l, lint_add(l->r, "feature-required", LINT_NOTE,
                         "FEATURES requires %.*s, which pvmm does not offer; its builder does not "
                         "ask, and the kernel finds out",
                         (int)n, name)) != 0)
        return -1;
    if (i == FEATURES || !g->seen[XEN_ELFNOTE_SUPPORTED_FEATURES] ||
        (g->supported_features & UINT64_C(1) << features[i].bit))
        return 0;
    return note(l, lint_add(l->r, "features-disagree", LINT_NOTE,
                            "FEATURES names %.*s, SUPPORTED_FEATURES 0x%llx lacks its bit %u",
                            (int)n, name, ull(g->supported_features), features[i].bit));
}

static int check_features(const struct look *l, const struct guest_image *g)
{
    for (const char *s = g->features; *s != '\0'; s += *s == '|') {
        const size_t n = strcspn(s, "|");

        if (check_feature(l, g, s, n) != 0)
            return -1;
        s += n;
    }
    return 0;
}

int boot_notes(const struct elfview *v, const struct guest_image *g, struct lint_report *r,
               struct lint_error *e)
{
    struct look l = {.v = v, .r = r, .e = e};

    if (walk_all(&l) != 0)
        return -1;
    if (g->notes == 0 && !g->legacy) /* never got there */
        return 0;
    if (check_absent(&l, g) != 0 || check_pae(&l, g) != 0 || check_mfn_valid(&l, g) != 0)
        return -1;
    return check_features(&l, g);
}
