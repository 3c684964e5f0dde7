/* SPDX-License-Identifier: MIT */
#include "make_dump.h"

#include <elf.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "dumpcore.h"

#define PAGE 4096u

static const char *const name[MAKE_SECTIONS] = {DUMP_NOTES, DUMP_PRSTATUS, DUMP_SHARED_INFO,
                                                DUMP_PAGES, DUMP_P2M,      ".shstrtab"};

static bool put(int fd, const void *from, size_t n, uint64_t at)
{
    return pwrite(fd, from, n, (off_t)at) == (ssize_t)n;
}

static struct dump_note note(uint32_t type, size_t bytes)
{
    return (struct dump_note){sizeof(DUMP_NOTE_NAME), (uint32_t)bytes, type, DUMP_NOTE_NAME};
}

static size_t add(uint8_t *to, uint32_t type, const void *content, size_t bytes)
{
    struct dump_note n = note(type, bytes);
    memcpy(to, &n, sizeof(n));
    memcpy(to + sizeof(n), content, bytes);
    return sizeof(n) + bytes;
}

/* A note of somebody else's stands among them. */
static size_t make_notes(const struct make_dump *d, uint8_t *to)
{
    struct dump_header header = {DUMP_MAGIC_PV, d->vcpus, d->pages, PAGE};
    uint64_t format = DUMP_FORMAT_VERSION;
    const struct {
        uint32_t type;
        const void *content;
        size_t bytes;
    } notes[] = {
        {XEN_ELFNOTE_DUMPCORE_NONE, "", 0},
        {XEN_ELFNOTE_DUMPCORE_HEADER, &header, sizeof(header)},
        {0x12345678, "else", 4},
        {XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION, &format, sizeof(format)},
    };
    size_t n = sizeof(notes) / sizeof(*notes), bytes = 0;
    for (size_t i = 0; i < n; i++) {
        size_t k = d->turned ? n - 1 - i : i;
        bytes += add(to + bytes, notes[k].type, notes[k].content, notes[k].bytes);
    }
    return bytes;
}

bool make_dump(struct make_dump *d)
{
    uint8_t notes[256];
    char names[128] = "";
    Elf64_Shdr section[MAKE_SECTIONS + 1] = {0};
    uint64_t bytes[MAKE_SECTIONS] = {
        [MAKE_NOTES] = make_notes(d, notes),
        [MAKE_PRSTATUS] = d->vcpus * d->context_bytes,
        [MAKE_SHARED] = PAGE,
        [MAKE_PAGES] = d->pages * PAGE,
        [MAKE_P2M] = d->pages * sizeof(struct dump_p2m),
        [MAKE_NAMES] = sizeof(names),
    };
    size_t named = 1, strings = 0;
    uint64_t next = PAGE;
    for (unsigned i = 0; i < MAKE_SECTIONS; i++) {
        unsigned s = d->turned ? MAKE_SECTIONS - 1 - i : i;
        d->at[s] = next;
        d->end = next + bytes[s];
        next = (d->end + PAGE - 1) / PAGE * PAGE;
        section[i + 1] = (Elf64_Shdr){.sh_name = (uint32_t)named,
                                      .sh_type = s == MAKE_NAMES ? SHT_STRTAB : SHT_PROGBITS,
                                      .sh_offset = d->at[s],
                                      .sh_size = bytes[s]};
        memcpy(names + named, name[s], strlen(name[s]));
        named += strlen(name[s]) + 1;
        strings = s == MAKE_NAMES ? i + 1 : strings;
    }
    Elf64_Ehdr header = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_CORE,
        .e_machine = (Elf64_Half)d->machine,
        .e_version = EV_CURRENT,
        .e_shoff = sizeof(header),
        .e_ehsize = sizeof(header),
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = MAKE_SECTIONS + 1,
        .e_shstrndx = (Elf64_Half)strings,
    };
    return ftruncate(d->fd, (off_t)d->end) == 0 && put(d->fd, &header, sizeof(header), 0) &&
           put(d->fd, section, sizeof(section), sizeof(header)) &&
           put(d->fd, notes, bytes[MAKE_NOTES], d->at[MAKE_NOTES]) &&
           put(d->fd, names, sizeof(names), d->at[MAKE_NAMES]);
}

bool make_dump_element(const struct make_dump *d, uint64_t i, uint64_t pfn, uint64_t mfn)
{
    struct dump_p2m element = {pfn, mfn};
    return put(d->fd, &element, sizeof(element), d->at[MAKE_P2M] + i * sizeof(element));
}

bool make_dump_page(const struct make_dump *d, uint64_t i, const void *page)
{
    return put(d->fd, page, PAGE, d->at[MAKE_PAGES] + i * PAGE);
}
