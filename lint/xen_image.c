/* SPDX-License-Identifier: MIT */
#include "xen_image.h"

#include <elf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xen/elfnote.h>
#include <xen/features.h>

#define FEATURE_CHARS 63u /* longer words are cut there, and go on as the next */

int xen_refuse(struct xen_refusal *why, const char *code, const char *format, ...)
{
    va_list args;

    *why = (struct xen_refusal){.code = code};
    va_start(args, format);
    vsnprintf(why->text, sizeof(why->text), format, args);
    va_end(args);
    return -1;
}

static int say(struct xen_refusal *why, const char *said)
{
    snprintf(why->said, sizeof(why->said), "%s", said);
    return -1;
}

/* ---- features */

/* Those that a kernel can name; Xen knows more, but not by name. */
static const struct {
    const char *name;
    unsigned bit;
} feature_names[] = {
    {"writable_page_tables", XENFEAT_writable_page_tables},
    {"writable_descriptor_tables", XENFEAT_writable_descriptor_tables},
    {"auto_translated_physmap", XENFEAT_auto_translated_physmap},
    {"supervisor_mode_kernel", XENFEAT_supervisor_mode_kernel},
    {"pae_pgdir_above_4gb", XENFEAT_pae_pgdir_above_4gb},
    {"hvm_callback_vector", XENFEAT_hvm_callback_vector},
    {"dom0", XENFEAT_dom0},
};

static uint32_t feature_named(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof(feature_names) / sizeof(feature_names[0]); i++)
        if (strlen(feature_names[i].name) == n && memcmp(feature_names[i].name, name, n) == 0)
            return UINT32_C(1) << feature_names[i].bit;
    return 0;
}

/* "a|!b|c": `b` is required, and must be known. */
static int take_features(struct xen_image *x, const char *s, struct xen_refusal *why)
{
    while (*s != '\0') {
        size_t n = strcspn(s, "|");
        const bool required = *s == '!';

        n = n < FEATURE_CHARS ? n : FEATURE_CHARS;
        const uint32_t bit = feature_named(s + required, n - required);

        x->supported |= bit;
        x->required |= required ? bit : 0;
        if (required && bit == 0)
            return xen_refuse(why, "xen-feature",
                              "the kernel requires the feature \"%.*s\", which Xen 4.17 does not "
                              "know by this name",
                              (int)(n - 1), s + 1);
        s += n;
        s += *s == '|' && n < FEATURE_CHARS;
    }
    return 0;
}

/* ---- notes */

/* Only numbers of these sizes count; others are 0. */
static uint64_t note_number(const struct elfview *v, const struct elfview_note *n)
{
    switch (n->desc_bytes) {
    case 1:
    case 2:
    case 4:
    case 8:
        return elfview_number(v, n->desc, n->desc_bytes);
    default:
        return 0;
    }
}

#define TAKE_STRING(to, s) snprintf(to, sizeof(to), "%s", s)

static void take_number(struct xen_image *x, const struct elfview_note *n)
{
    const uint64_t value = note_number(&x->elf, n);

    switch (n->type) {
    case XEN_ELFNOTE_ENTRY:
        x->entry = value;
        break;
    case XEN_ELFNOTE_HYPERCALL_PAGE:
        x->hypercall_page = value;
        break;
    case XEN_ELFNOTE_VIRT_BASE:
        x->virt_base = value;
        break;
    case XEN_ELFNOTE_PADDR_OFFSET:
        x->paddr_offset = value;
        break;
    case XEN_ELFNOTE_INIT_P2M:
        x->init_p2m = value;
        break;
    case XEN_ELFNOTE_MOD_START_PFN:
        x->unmapped_initrd = value != 0;
        break;
    case XEN_ELFNOTE_SUPPORTED_FEATURES:
        x->states_features = true;
        if (n->desc_bytes % sizeof(x->supported) == 0 && n->desc_bytes > 0)
            x->supported |= (uint32_t)elfview_number(&x->elf, n->desc, sizeof(x->supported));
        break;
    default:
        break;
    }
}

/* A string that does not end is as if it were not there; where it ends nobody checks. */
static int take_note(struct xen_image *x, const struct elfview_note *n, struct xen_refusal *why)
{
    const char *s = elfview_string(&x->elf, n->desc);

    x->notes++;
    switch (n->type) {
    case XEN_ELFNOTE_LOADER:
        if (s != NULL)
            TAKE_STRING(x->loader, s);
        return 0;
    case XEN_ELFNOTE_GUEST_OS:
        if (s != NULL)
            TAKE_STRING(x->guest_os, s);
        return 0;
    case XEN_ELFNOTE_XEN_VERSION:
        if (s != NULL)
            TAKE_STRING(x->xen_version, s);
        return 0;
    case XEN_ELFNOTE_FEATURES:
        return s != NULL ? take_features(x, s, why) : 0;
    default:
        take_number(x, n);
        return 0;
    }
}

static int take_notes(struct xen_image *x, uint64_t at, uint64_t bytes, unsigned *seen,
                      struct xen_refusal *why)
{
    const uint64_t end = at + bytes;
    struct elfview_note n;
    uint64_t next;

    x->looked_at_notes = true;
    for (; elfview_note(&x->elf, at, end, &n, &next) && *seen < XEN_NOTES_MAX; at = next) {
        const char *owner = elfview_string(&x->elf, at + 12);

        ++*seen;
        if (owner != NULL && strcmp(owner, "Xen") == 0 && take_note(x, &n, why) != 0)
            return -1;
    }
    return 0;
}

static int notes_in_segments(struct xen_image *x, struct xen_refusal *why)
{
    struct elfview_segment s;
    unsigned seen = 0;

    for (unsigned i = 0; elfview_segment(&x->elf, i, &s); i++)
        if (s.type == PT_NOTE && s.offset != 0 &&
            take_notes(x, s.offset, s.file_bytes, &seen, why) != 0)
            return -1;
    return 0;
}

static int notes_in_sections(struct xen_image *x, struct xen_refusal *why)
{
    struct elfview_section s;
    unsigned seen = 0;

    for (unsigned i = 1; elfview_section(&x->elf, i, &s); i++)
        if (s.type == SHT_NOTE && take_notes(x, s.offset, s.bytes, &seen, why) != 0)
            return -1;
    return 0;
}

/* ---- the way before notes: "KEY=value,KEY=value" in a section __xen_guest */

static void take_word(struct xen_image *x, const char *key, const char *value,
                      struct xen_refusal *why, int *rc)
{
    if (strcmp(key, "LOADER") == 0)
        TAKE_STRING(x->loader, value);
    else if (strcmp(key, "GUEST_OS") == 0)
        TAKE_STRING(x->guest_os, value);
    else if (strcmp(key, "XEN_VER") == 0)
        TAKE_STRING(x->xen_version, value);
    else if (strcmp(key, "VIRT_BASE") == 0)
        x->virt_base = strtoull(value, NULL, 0);
    else if (strcmp(key, "VIRT_ENTRY") == 0)
        x->entry = strtoull(value, NULL, 0);
    else if (strcmp(key, "ELF_PADDR_OFFSET") == 0)
        x->paddr_offset = strtoull(value, NULL, 0);
    else if (strcmp(key, "HYPERCALL_PAGE") == 0)
        x->hypercall_page = strtoull(value, NULL, 0) << 12;
    else if (strcmp(key, "FEATURES") == 0)
        *rc = take_features(x, value, why);
}

/* Xen drops what it has said of an unknown feature here, and of the words behind it. */
static void take_words(struct xen_image *x, const char *s)
{
    struct xen_refusal dropped;
    int rc = 0;

    while (*s != '\0' && rc == 0) {
        char word[160], *value;
        const size_t n = strcspn(s, ",");

        snprintf(word, sizeof(word), "%.*s", (int)(n < sizeof(word) ? n : sizeof(word)), s);
        value = strchr(word, '=');
        if (value != NULL) {
            *value++ = '\0';
            take_word(x, word, value, &dropped, &rc);
        }
        s += n;
        s += *s == ',';
    }
    if (x->virt_base != XEN_UNSET && x->hypercall_page != XEN_UNSET)
        x->hypercall_page += x->virt_base;
}

static void look_for_words(struct xen_image *x)
{
    struct elfview_section names, s;

    if (!elfview_section(&x->elf, x->elf.names, &names))
        return;
    for (unsigned i = 1; elfview_section(&x->elf, i, &s); i++) {
        const char *name = elfview_string(&x->elf, names.offset + s.name);

        if (name == NULL || strcmp(name, "__xen_guest") != 0)
            continue;
        const char *words = elfview_string(&x->elf, s.offset);

        x->legacy = true;
        if (words != NULL)
            take_words(x, words);
        return;
    }
}

/* ---- what is checked of them */

static int check_headers(const struct elfview *v, struct xen_refusal *why)
{
    const uint64_t segments_end = v->segments_at + (uint64_t)v->segment_bytes * v->segments;
    const uint64_t sections_end = v->sections_at + (uint64_t)v->section_bytes * v->sections;

    if (segments_end > v->size) {
        xen_refuse(why, "xen-headers",
                   "the program headers end at 0x%llx, behind the file's end at 0x%llx",
                   (unsigned long long)segments_end, (unsigned long long)v->size);
        return say(why, "ELF: phdr overflow");
    }
    if (sections_end > v->size) {
        xen_refuse(why, "xen-headers",
                   "the section headers end at 0x%llx, behind the file's end at 0x%llx; Xen reads "
                   "them even where it needs none",
                   (unsigned long long)sections_end, (unsigned long long)v->size);
        return say(why, "ELF: shdr overflow");
    }
    return 0;
}

bool xen_loads(const struct elfview_segment *s)
{
    return s->type == PT_LOAD && (s->flags & (PF_R | PF_W | PF_X)) != 0;
}

static void measure(struct xen_image *x)
{
    struct elfview_segment s;

    x->pstart = UINT64_MAX;
    for (unsigned i = 0; elfview_segment(&x->elf, i, &s); i++) {
        if (!xen_loads(&s))
            continue;
        x->pstart = s.paddr < x->pstart ? s.paddr : x->pstart;
        x->pend = s.paddr + s.bytes > x->pend ? s.paddr + s.bytes : x->pend;
        if (__builtin_add_overflow(x->loaded, s.bytes, &x->loaded))
            x->loaded = UINT64_MAX;
    }
}

static int check_words(const struct xen_image *x, struct xen_refusal *why)
{
    if (!x->looked_at_notes && !x->legacy) {
        xen_refuse(why, "xen-not-pv", "there are neither notes nor a section __xen_guest in it");
        return say(why, "ERROR: Not a Xen-ELF image: No ELF notes or '__xen_guest' section found");
    }
    if (strncmp(x->loader, "generic", 7) != 0 && strncmp(x->guest_os, "linux", 5) != 0) {
        if (x->notes == 0 && !x->legacy)
            xen_refuse(why, "xen-not-pv", "the notes in it are not Xen's");
        else
            xen_refuse(why, "xen-loader",
                       "LOADER is \"%s\" and GUEST_OS \"%s\"; Xen takes the generic loader, or "
                       "any if GUEST_OS is linux",
                       x->loader, x->guest_os);
        return say(why, "ERROR: Will only load images built for the generic loader or Linux "
                        "images");
    }
    if (strncmp(x->xen_version, "xen-3.0", 7) != 0) {
        xen_refuse(why, "xen-version",
                   x->xen_version[0] == '\0' ? "XEN_VERSION is missing%s"
                                             : "XEN_VERSION is \"%s\", not xen-3.0",
                   x->xen_version);
        return say(why, "ERROR: Xen will only load images built for Xen v3.0");
    }
    return 0;
}

/* What nobody said. */
static int fill_in(struct xen_image *x, struct xen_refusal *why)
{
    if (x->paddr_offset != XEN_UNSET && x->virt_base == XEN_UNSET) {
        xen_refuse(why, "xen-virt-base", "PADDR_OFFSET is set, VIRT_BASE is not");
        return say(why, "ERROR: ELF_PADDR_OFFSET set, VIRT_BASE unset");
    }
    if (x->virt_base == XEN_UNSET)
        x->virt_base = 0;
    if (x->paddr_offset == XEN_UNSET)
        x->paddr_offset = x->legacy ? x->virt_base : 0;
    if (x->entry == XEN_UNSET)
        x->entry = x->elf.entry;
    x->kernel = x->pstart - x->paddr_offset + x->virt_base;
    x->kernel_end = x->pend - x->paddr_offset + x->virt_base;
    return 0;
}

static int check_bounds(const struct xen_image *x, struct xen_refusal *why)
{
    if (x->pstart > x->pend)
        xen_refuse(why, "xen-segments", "no segment is to be loaded");
    else if (x->kernel > x->kernel_end || x->virt_base > x->kernel)
        xen_refuse(why, "xen-segments",
                   "the image at 0x%llx-0x%llx begins below VIRT_BASE 0x%llx, or wraps",
                   (unsigned long long)x->kernel, (unsigned long long)x->kernel_end,
                   (unsigned long long)x->virt_base);
    else if (x->entry < x->kernel || x->entry > x->kernel_end)
        xen_refuse(why, "xen-entry", "the entry 0x%llx lies outside the image 0x%llx-0x%llx",
                   (unsigned long long)x->entry, (unsigned long long)x->kernel,
                   (unsigned long long)x->kernel_end);
    else if (x->init_p2m >= x->kernel && x->init_p2m < x->kernel_end && x->init_p2m != XEN_UNSET) {
        xen_refuse(why, "xen-p2m", "INIT_P2M 0x%llx lies in the image 0x%llx-0x%llx",
                   (unsigned long long)x->init_p2m, (unsigned long long)x->kernel,
                   (unsigned long long)x->kernel_end);
        return say(why, "ERROR: P->M table base is out of bounds");
    } else
        return 0;
    return say(why, "ERROR: ELF start or entries are out of bounds");
}

int xen_image_read(struct xen_image *x, const uint8_t *data, uint64_t size, struct xen_refusal *why)
{
    *x = (struct xen_image){.virt_base = XEN_UNSET,
                            .paddr_offset = XEN_UNSET,
                            .entry = XEN_UNSET,
                            .hypercall_page = XEN_UNSET,
                            .init_p2m = XEN_UNSET};
    if (!elfview_open(&x->elf, data, size)) {
        xen_refuse(why, "xen-headers", "it does not start like an ELF file");
        return say(why, "ELF: not an ELF binary");
    }
    if (check_headers(&x->elf, why) != 0)
        return -1;
    measure(x);
    if (notes_in_segments(x, why) != 0 || (x->notes == 0 && notes_in_sections(x, why) != 0))
        return -1;
    if (x->notes == 0)
        look_for_words(x);
    if (check_words(x, why) != 0 || fill_in(x, why) != 0)
        return -1;
    return check_bounds(x, why);
}
