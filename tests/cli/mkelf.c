/* SPDX-License-Identifier: MIT */
/*
 * Makes small PV kernel images, good ones and bad ones: mkelf FILE [WORD=VALUE]...
 *
 * Without words the image is one that the tool accepts: a segment at 16 MiB, mapped at
 * ffffffff80000000, with the notes of a Linux kernel. Each word changes one thing.
 */
#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xen/elfnote.h>

#define SEGMENTS 2u

struct image {
    uint64_t class, machine, type, phnum, phoff;
    uint64_t paddr, filesz, memsz, offset; /* the first segment */
    uint64_t paddr2, memsz2;               /* a second one, without content; memsz2 0: none */
    uint64_t notes, has_entry, has_version, note_size, entry_size;
    uint64_t legacy, legacy_size; /* a section __xen_guest; its size, 0: the truth */
    uint64_t entry, virt_base, paddr_offset, p2m;
};

struct word {
    const char *name;
    size_t offset;
    uint64_t value;
};

#define WORD(name, value)                                                                          \
    {                                                                                              \
#name, offsetof(struct image, name), value                                                 \
    }

static const struct word words[] = {
    WORD(class, 64),
    WORD(machine, EM_X86_64),
    WORD(type, ET_EXEC),
    WORD(phnum, SEGMENTS + 1),
    WORD(phoff, sizeof(Elf64_Ehdr)),
    WORD(paddr, 0x1000000),
    WORD(filesz, 0x1000),
    WORD(memsz, 0x2000),
    WORD(offset, 0x1000),
    WORD(paddr2, 0x1400000),
    WORD(memsz2, 0),
    WORD(notes, 1),
    WORD(has_entry, 1),
    WORD(has_version, 1),
    WORD(note_size, 0),
    WORD(entry_size, 8),
    WORD(legacy, 0),
    WORD(legacy_size, 0),
    WORD(entry, 0xffffffff81000000),
    WORD(virt_base, 0xffffffff80000000),
    WORD(paddr_offset, 0),
    WORD(p2m, 0x8000000000),
};

#define WORDS (sizeof(words) / sizeof(words[0]))

static uint64_t *field(struct image *m, const struct word *w)
{
    return (uint64_t *)((char *)m + w->offset);
}

static bool take_word(struct image *m, const char *text)
{
    const char *equals = strchr(text, '=');

    for (size_t i = 0; equals != NULL && i < WORDS; i++)
        if (strlen(words[i].name) == (size_t)(equals - text) &&
            strncmp(words[i].name, text, (size_t)(equals - text)) == 0) {
            *field(m, &words[i]) = strtoull(equals + 1, NULL, 0);
            return true;
        }
    fprintf(stderr, "mkelf: what is \"%s\"?\n", text);
    return false;
}

static size_t put_note(uint8_t *at, uint32_t type, uint64_t value, uint64_t size)
{
    const Elf64_Nhdr n = {4, (uint32_t)size, type};

    memcpy(at, &n, sizeof(n));
    memcpy(at + sizeof(n), "Xen", 4);
    memcpy(at + sizeof(n) + 4, &value, 8);
    return sizeof(n) + 4 + 8;
}

static size_t put_version(uint8_t *at)
{
    uint64_t text;

    memcpy(&text, "xen-3.0", sizeof(text));
    return put_note(at, XEN_ELFNOTE_XEN_VERSION, text, sizeof(text));
}

static size_t put_notes(uint8_t *at, const struct image *m)
{
    size_t n = 0;

    if (!m->notes)
        return 0;
    if (m->has_entry)
        n += put_note(at + n, XEN_ELFNOTE_ENTRY, m->entry, m->entry_size);
    if (m->has_version)
        n += put_version(at + n);
    n += put_note(at + n, XEN_ELFNOTE_VIRT_BASE, m->virt_base, 8);
    n += put_note(at + n, XEN_ELFNOTE_PADDR_OFFSET, m->paddr_offset, 8);
    n += put_note(at + n, XEN_ELFNOTE_INIT_P2M, m->p2m, 8);
    n += put_note(at + n, XEN_ELFNOTE_PHYS32_ENTRY, 0x1000000, 8);
    return n;
}

/* The description before there were notes: one string, found by its section's name. */
static void put_legacy(uint8_t *file, const struct image *m)
{
    static const char names[] = "\0.shstrtab\0__xen_guest";
    Elf64_Shdr s[3] = {
        [1] = {.sh_name = 1, .sh_type = SHT_STRTAB, .sh_offset = 0x800, .sh_size = sizeof(names)},
        [2] = {.sh_name = 11, .sh_type = SHT_PROGBITS, .sh_offset = 0x900},
    };
    Elf64_Ehdr *h = (Elf64_Ehdr *)file;

    if (!m->legacy)
        return;
    h->e_shoff = 0xa00;
    h->e_shentsize = sizeof(s[0]);
    h->e_shnum = 3;
    h->e_shstrndx = 1;
    memcpy(file + 0x800, names, sizeof(names));
    s[2].sh_size =
        (uint64_t)sprintf((char *)file + 0x900,
                          "GUEST_OS=old,XEN_VER=xen-3.0,VIRT_BASE=0x%llx,VIRT_ENTRY=0x%llx,"
                          "ELF_PADDR_OFFSET=0x%llx,LOADER=generic",
                          (unsigned long long)m->virt_base, (unsigned long long)m->entry,
                          (unsigned long long)m->paddr_offset);
    if (m->legacy_size != 0)
        s[2].sh_size = m->legacy_size;
    memcpy(file + 0xa00, s, sizeof(s));
}

static void put_headers(uint8_t *file, const struct image *m, size_t notes)
{
    Elf64_Ehdr h = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, m->class == 64 ? ELFCLASS64 : ELFCLASS32,
                    ELFDATA2LSB, EV_CURRENT},
        .e_type = (uint16_t)m->type,
        .e_machine = (uint16_t)m->machine,
        .e_version = EV_CURRENT,
        .e_phoff = m->phoff,
        .e_ehsize = sizeof(h),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = (uint16_t)m->phnum,
    };
    const Elf64_Phdr p[SEGMENTS + 1] = {
        {PT_LOAD, 7, m->offset, m->virt_base + m->paddr, m->paddr, m->filesz, m->memsz, 4096},
        {PT_LOAD, 7, 0, m->virt_base + m->paddr2, m->paddr2, 0, m->memsz2, 4096},
        {PT_NOTE, 4, 0x400, 0, 0, m->note_size != 0 ? m->note_size : notes, 0, 4},
    };

    memcpy(file, &h, sizeof(h));
    memcpy(file + sizeof(h), p, sizeof(p));
}

int main(int argc, char **argv)
{
    static _Alignas(8) uint8_t file[0x2000];
    struct image m;
    FILE *f;

    for (size_t i = 0; i < WORDS; i++)
        *field(&m, &words[i]) = words[i].value;
    for (int i = 2; i < argc; i++)
        if (!take_word(&m, argv[i]))
            return 2;
    put_headers(file, &m, put_notes(file + 0x400, &m));
    put_legacy(file, &m);
    f = argc > 1 ? fopen(argv[1], "wb") : NULL;
    if (f == NULL || fwrite(file, sizeof(file), 1, f) != 1 || fclose(f) != 0) {
        perror("mkelf");
        return 2;
    }
    return 0;
}
