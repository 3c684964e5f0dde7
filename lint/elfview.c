/* SPDX-License-Identifier: MIT */
#include "elfview.h"

#include <elf.h>
#include <stddef.h>
#include <string.h>

#define STRING_MAX 4096u
#define NOTE_BYTES 12u

/* A header's field, in both classes. */
struct field {
    uint8_t at32, bytes32, at64, bytes64;
};
#define FIELD(kind, member)                                                                        \
    {                                                                                              \
        offsetof(Elf32_##kind, member), sizeof(((Elf32_##kind *)0)->member),                       \
            offsetof(Elf64_##kind, member), sizeof(((Elf64_##kind *)0)->member)                    \
    }

bool elfview_holds(const struct elfview *v, uint64_t offset, uint64_t bytes)
{
    return offset <= v->size && bytes <= v->size - offset;
}

uint64_t elfview_number(const struct elfview *v, uint64_t offset, unsigned bytes)
{
    uint64_t n = 0;

    if (!elfview_holds(v, offset, bytes))
        return 0;
    for (unsigned i = 0; i < bytes; i++)
        n = n << 8 | v->data[offset + (v->big ? i : bytes - 1 - i)];
    return n;
}

static uint64_t get(const struct elfview *v, uint64_t base, struct field f)
{
    return v->wide ? elfview_number(v, base + f.at64, f.bytes64)
                   : elfview_number(v, base + f.at32, f.bytes32);
}
#define GET(v, base, kind, member) get(v, base, (struct field)FIELD(kind, member))

const char *elfview_string(const struct elfview *v, uint64_t offset)
{
    if (offset >= v->size)
        return NULL;
    const uint64_t left = v->size - offset < STRING_MAX ? v->size - offset : STRING_MAX;

    return memchr(v->data + offset, '\0', left) ? (const char *)v->data + offset : NULL;
}

bool elfview_open(struct elfview *v, const uint8_t *data, uint64_t size)
{
    *v = (struct elfview){.data = data, .size = size};
    if (size < sizeof(Elf32_Ehdr) || memcmp(data, ELFMAG, SELFMAG) != 0)
        return false;
    v->wide = data[EI_CLASS] == ELFCLASS64;
    v->big = data[EI_DATA] == ELFDATA2MSB;
    v->type = (unsigned)GET(v, 0, Ehdr, e_type);
    v->machine = (unsigned)GET(v, 0, Ehdr, e_machine);
    v->entry = GET(v, 0, Ehdr, e_entry);
    v->segments_at = GET(v, 0, Ehdr, e_phoff);
    v->sections_at = GET(v, 0, Ehdr, e_shoff);
    v->segment_bytes = (unsigned)GET(v, 0, Ehdr, e_phentsize);
    v->section_bytes = (unsigned)GET(v, 0, Ehdr, e_shentsize);
    v->segments = (unsigned)GET(v, 0, Ehdr, e_phnum);
    v->sections = (unsigned)GET(v, 0, Ehdr, e_shnum);
    v->names = (unsigned)GET(v, 0, Ehdr, e_shstrndx);
    return true;
}

bool elfview_segment(const struct elfview *v, unsigned i, struct elfview_segment *s)
{
    const uint64_t base = v->segments_at + (uint64_t)v->segment_bytes * i;

    if (i >= v->segments || !elfview_holds(v, base, 1))
        return false;
    *s = (struct elfview_segment){
        .type = (uint32_t)GET(v, base, Phdr, p_type),
        .flags = (uint32_t)GET(v, base, Phdr, p_flags),
        .offset = GET(v, base, Phdr, p_offset),
        .vaddr = GET(v, base, Phdr, p_vaddr),
        .paddr = GET(v, base, Phdr, p_paddr),
        .file_bytes = GET(v, base, Phdr, p_filesz),
        .bytes = GET(v, base, Phdr, p_memsz),
    };
    return true;
}

bool elfview_section(const struct elfview *v, unsigned i, struct elfview_section *s)
{
    const uint64_t base = v->sections_at + (uint64_t)v->section_bytes * i;

    if (i >= v->sections || !elfview_holds(v, base, 1))
        return false;
    *s = (struct elfview_section){
        .name = (uint32_t)GET(v, base, Shdr, sh_name),
        .type = (uint32_t)GET(v, base, Shdr, sh_type),
        .offset = GET(v, base, Shdr, sh_offset),
        .bytes = GET(v, base, Shdr, sh_size),
    };
    return true;
}

static uint64_t aligned4(uint32_t n)
{
    return ((uint64_t)n + 3) & ~(uint64_t)3;
}

bool elfview_note(const struct elfview *v, uint64_t offset, uint64_t end, struct elfview_note *n,
                  uint64_t *next)
{
    if (offset >= end || !elfview_holds(v, offset, NOTE_BYTES))
        return false;
    *n = (struct elfview_note){
        .at = offset,
        .name_bytes = (uint32_t)elfview_number(v, offset, 4),
        .desc_bytes = (uint32_t)elfview_number(v, offset + 4, 4),
        .type = (uint32_t)elfview_number(v, offset + 8, 4),
    };
    n->desc = offset + NOTE_BYTES + aligned4(n->name_bytes);
    *next = n->desc + aligned4(n->desc_bytes);
    return true;
}
