/* SPDX-License-Identifier: MIT */
#include "image.h"

#include <string.h>

#define EHDR_BYTES 64u
#define PHDR_BYTES 56u
#define SHDR_BYTES 64u
#define TEXT_BYTES 32u /* of content in the file, per segment */
#define SECTIONS   3u  /* null, description, names */

/* ---- what there can be */

static struct image_note *note_of(struct image *m, uint32_t type)
{
    for (unsigned i = 0; i < m->notes; i++)
        if (m->note[i].type == type)
            return &m->note[i];
    return &m->note[m->notes++];
}

void image_number(struct image *m, uint32_t type, uint64_t value)
{
    *note_of(m, type) = (struct image_note){.type = type, .number = value, .bytes = 8};
}

void image_text(struct image *m, uint32_t type, const char *text)
{
    *note_of(m, type) =
        (struct image_note){.type = type, .text = text, .bytes = (uint32_t)strlen(text) + 1};
}

void image_drop(struct image *m, uint32_t type)
{
    *note_of(m, type) = m->note[m->notes - 1];
    m->notes--;
}

void image_add_segment(struct image *m, uint64_t paddr, uint64_t bytes)
{
    m->segment[m->segments++] =
        (struct image_segment){.paddr = paddr, .file_bytes = TEXT_BYTES, .bytes = bytes};
}

static void image_plain(struct image *m)
{
    *m = (struct image){
        .elf_class = 2,
        .data = 1,
        .machine = 62,
        .type = 2,
        .phoff = EHDR_BYTES,
        .phentsize = PHDR_BYTES,
        .shentsize = SHDR_BYTES,
        .shstrndx = 2,
    };
}

void image_linux(struct image *m)
{
    image_plain(m);
    image_add_segment(m, LINUX_PADDR, 0x1800);
    image_text(m, XEN_ELFNOTE_GUEST_OS, "linux");
    image_text(m, XEN_ELFNOTE_GUEST_VERSION, "2.6");
    image_text(m, XEN_ELFNOTE_XEN_VERSION, "xen-3.0");
    image_number(m, XEN_ELFNOTE_VIRT_BASE, LINUX_BASE);
    image_number(m, XEN_ELFNOTE_INIT_P2M, LINUX_P2M);
    image_number(m, XEN_ELFNOTE_ENTRY, LINUX_BASE + LINUX_PADDR + 0x10);
    image_text(m, XEN_ELFNOTE_FEATURES, "!writable_page_tables");
    image_text(m, XEN_ELFNOTE_PAE_MODE, "yes");
    image_number(m, XEN_ELFNOTE_L1_MFN_VALID, 1);
    m->note[m->notes - 1].more = 1;
    m->note[m->notes - 1].bytes = 16;
    image_number(m, XEN_ELFNOTE_MOD_START_PFN, 1);
    image_number(m, XEN_ELFNOTE_HV_START_LOW, 0xffff800000000000ull);
    image_number(m, XEN_ELFNOTE_PADDR_OFFSET, 0);
    image_text(m, XEN_ELFNOTE_LOADER, "generic");
    image_number(m, XEN_ELFNOTE_SUSPEND_CANCEL, 1);
    image_number(m, XEN_ELFNOTE_HYPERCALL_PAGE, LINUX_BASE + LINUX_PADDR);
    m->note[m->notes - 1].bytes = 8;
}

void image_grub(struct image *m)
{
    image_plain(m);
    image_add_segment(m, 0, 0x1800);
    image_text(m, XEN_ELFNOTE_GUEST_OS, "GRUB");
    image_text(m, XEN_ELFNOTE_LOADER, "generic");
    image_text(m, XEN_ELFNOTE_XEN_VERSION, "xen-3.0");
    image_number(m, XEN_ELFNOTE_VIRT_BASE, 0);
    image_number(m, XEN_ELFNOTE_ENTRY, 0);
    image_number(m, XEN_ELFNOTE_HYPERCALL_PAGE, 0);
}

void image_legacy(struct image *m, const char *text)
{
    image_plain(m);
    image_add_segment(m, LINUX_BASE + LINUX_PADDR, 0x3000);
    m->legacy = text;
}

/* ---- making the file */

static void put(struct image *m, uint64_t at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes && at + i < IMAGE_BYTES; i++)
        m->byte[at + i] = (uint8_t)(value >> 8 * i);
}

static uint64_t put_text(struct image *m, uint64_t at, const char *text)
{
    memcpy(m->byte + at, text, strlen(text) + 1);
    return strlen(text) + 1;
}

static void put_note(struct image *m, const struct image_note *note)
{
    put(m, m->n, 4, 4);
    put(m, m->n + 4, note->bytes, 4);
    put(m, m->n + 8, note->type, 4);
    put_text(m, m->n + 12, "Xen");
    m->n += 16;
    if (note->text) {
        put_text(m, m->n, note->text);
    } else {
        put(m, m->n, note->number, note->bytes < 8 ? note->bytes : 8);
        put(m, m->n + 8, note->more, note->bytes == 16 ? 8 : 0);
    }
    m->n += (note->bytes + 3) & ~3u;
}

static void put_segments(struct image *m)
{
    for (unsigned i = 0; i < m->segments; i++) {
        const struct image_segment *s = &m->segment[i];
        uint64_t at = m->phoff + i * PHDR_BYTES;

        put(m, at, 1, 4); /* PT_LOAD */
        put(m, at + 8, s->offset ? s->offset : m->n, 8);
        put(m, at + 24, s->paddr, 8);
        put(m, at + 32, s->file_bytes, 8);
        put(m, at + 40, s->bytes, 8);
        if (!s->offset && s->file_bytes == TEXT_BYTES) {
            memset(m->byte + m->n, 0x90, TEXT_BYTES);
            m->n += TEXT_BYTES;
        }
    }
}

/* The notes, and where they are. */
static struct image_segment put_notes(struct image *m)
{
    struct image_segment where = {.offset = m->n};

    for (unsigned i = 0; i < m->notes; i++)
        put_note(m, &m->note[i]);
    where.bytes = m->n - where.offset;
    if (m->notes_offset)
        where.offset = m->notes_offset;
    if (m->notes_bytes)
        where.bytes = m->notes_bytes;
    return where;
}

static void put_section(struct image *m, uint64_t at, uint32_t name, uint32_t type,
                        struct image_segment where)
{
    put(m, at, name, 4);
    put(m, at + 4, type, 4);
    put(m, at + 24, where.offset, 8);
    put(m, at + 32, where.bytes, 8);
}

static uint64_t put_sections(struct image *m, struct image_segment description)
{
    struct image_segment names = {.offset = m->n};
    uint64_t table;

    m->n += 1; /* name 0 is empty */
    m->n += put_text(m, m->n, m->legacy ? "__xen_guest" : ".notes");
    names.bytes = m->n - names.offset;
    if (m->names_offset)
        names.offset = m->names_offset;
    table = m->n;
    put_section(m, table + SHDR_BYTES, 1, m->legacy ? 1 : 7, description);
    put_section(m, table + 2 * SHDR_BYTES, 0, 3, names);
    m->n += SECTIONS * SHDR_BYTES;
    return m->shoff ? m->shoff : table;
}

static void put_header(struct image *m, uint64_t sections, unsigned phnum)
{
    put(m, 0, 0x464c457f, 4);
    put(m, 4, m->elf_class, 1);
    put(m, 5, m->data, 1);
    put(m, 16, m->type, 2);
    put(m, 18, m->machine, 2);
    put(m, 24, m->entry, 8);
    put(m, 32, m->phoff, 8);
    put(m, 40, sections, 8);
    put(m, 54, m->phentsize, 2);
    put(m, 56, m->phnum ? m->phnum : phnum, 2);
    put(m, 58, m->shentsize, 2);
    put(m, 60, sections ? SECTIONS : 0, 2);
    put(m, 62, m->shstrndx, 2);
}

void image_build(struct image *m)
{
    bool header = m->notes && !m->notes_in_section;
    unsigned phnum = m->segments + (header ? 1 : 0);
    struct image_segment notes, legacy;
    uint64_t sections = 0;

    memset(m->byte, 0, sizeof(m->byte));
    m->n = EHDR_BYTES + phnum * PHDR_BYTES;
    put_segments(m);
    notes = put_notes(m);
    if (header) {
        uint64_t at = m->phoff + m->segments * PHDR_BYTES;

        put(m, at, 4, 4); /* PT_NOTE */
        put(m, at + 8, notes.offset, 8);
        put(m, at + 32, notes.bytes, 8);
    }
    if (m->notes_in_section)
        sections = put_sections(m, notes);
    if (m->legacy) {
        legacy = (struct image_segment){.offset = m->n};
        legacy.bytes = put_text(m, m->n, m->legacy);
        m->n += legacy.bytes;
        if (m->legacy_offset)
            legacy.offset = m->legacy_offset;
        sections = put_sections(m, legacy);
    }
    put_header(m, sections, phnum);
}
