/* SPDX-License-Identifier: MIT */
#include "elfnotes.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exitcodes.h"

static uint64_t align4(uint64_t x)
{
    return (x + 3) & ~UINT64_C(3);
}

static bool is_number(uint32_t type)
{
    switch (type) {
    case XEN_ELFNOTE_ENTRY:
    case XEN_ELFNOTE_HYPERCALL_PAGE:
    case XEN_ELFNOTE_VIRT_BASE:
    case XEN_ELFNOTE_PADDR_OFFSET:
    case XEN_ELFNOTE_HV_START_LOW:
    case XEN_ELFNOTE_INIT_P2M:
    case XEN_ELFNOTE_MOD_START_PFN:
    case XEN_ELFNOTE_PHYS32_ENTRY:
        return true;
    default:
        return false;
    }
}

static uint64_t number(const uint8_t *desc, uint32_t size)
{
    uint64_t value = 0;

    for (uint32_t i = size; i-- > 0;)
        value = value << 8 | desc[i];
    return value;
}

static int take(struct xen_notes *notes, uint32_t type, const uint8_t *desc, uint32_t size,
                struct error *e)
{
    notes->count++;
    if (type > XEN_ELFNOTE_MAX)
        return 0;
    notes->seen[type] = true;
    if (type == XEN_ELFNOTE_GUEST_OS)
        snprintf(notes->guest_os, sizeof(notes->guest_os), "%.*s",
                 (int)strnlen((const char *)desc, size), (const char *)desc);
    if (!is_number(type))
        return 0;
    if (size != 1 && size != 2 && size != 4 && size != 8)
        return error_set(e, EXIT_UNTESTABLE, "damaged: Xen ELF note %u is a number of %u bytes",
                         type, size);
    notes->value[type] = number(desc, size);
    return 0;
}

int xen_notes_read(struct view elf, uint64_t offset, uint64_t size, struct xen_notes *notes,
                   struct error *e)
{
    uint64_t at = 0;

    if (offset > elf.size || size > elf.size - offset)
        return error_set(e, EXIT_UNTESTABLE,
                         "truncated: the ELF notes at 0x%llx, 0x%llx bytes, end past the file",
                         (unsigned long long)offset, (unsigned long long)size);
    while (size - at >= sizeof(Elf64_Nhdr)) {
        const uint8_t *p = elf.data + offset + at;
        uint64_t desc, next;
        Elf64_Nhdr n;

        memcpy(&n, p, sizeof(n));
        desc = sizeof(n) + align4(n.n_namesz);
        next = desc + n.n_descsz;
        if (next > size - at)
            return error_set(e, EXIT_UNTESTABLE,
                             "damaged: the ELF note at 0x%llx runs out of its segment",
                             (unsigned long long)(offset + at));
        if (n.n_namesz == 4 && memcmp(p + sizeof(n), "Xen", 4) == 0 &&
            take(notes, n.n_type, p + desc, n.n_descsz, e) != 0)
            return -1;
        next = align4(next);
        if (next > size - at)
            break;
        at += next;
    }
    return 0;
}

/* Section header `i`, if all of it is in the file. */
static bool section(struct view elf, const Elf64_Ehdr *h, unsigned i, Elf64_Shdr *s)
{
    const uint64_t at = h->e_shoff + i * sizeof(*s);

    if (at < h->e_shoff || at > elf.size || elf.size - at < sizeof(*s))
        return false;
    memcpy(s, elf.data + at, sizeof(*s));
    return true;
}

static bool find_legacy(struct view elf, const Elf64_Ehdr *h, Elf64_Shdr *s)
{
    static const char name[] = "__xen_guest";
    Elf64_Shdr strings;

    if (h->e_shentsize != sizeof(*s) || !section(elf, h, h->e_shstrndx, &strings) ||
        strings.sh_offset > elf.size)
        return false;
    for (unsigned i = 0; i < h->e_shnum && section(elf, h, i, s); i++) {
        const uint64_t room = elf.size - strings.sh_offset;

        if (s->sh_name < room && room - s->sh_name >= sizeof(name) &&
            memcmp(elf.data + strings.sh_offset + s->sh_name, name, sizeof(name)) == 0)
            return true;
    }
    return false;
}

/* One word KEY=value of it; it ends with a NUL. */
static void take_word(struct xen_notes *notes, const char *word)
{
    static const struct {
        const char *key;
        uint32_t type;
    } keys[] = {
        {"VIRT_BASE=", XEN_ELFNOTE_VIRT_BASE},
        {"VIRT_ENTRY=", XEN_ELFNOTE_ENTRY},
        {"ELF_PADDR_OFFSET=", XEN_ELFNOTE_PADDR_OFFSET},
    };

    if (strncmp(word, "GUEST_OS=", 9) == 0)
        snprintf(notes->guest_os, sizeof(notes->guest_os), "%s", word + 9);
    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const size_t n = strlen(keys[i].key);

        if (strncmp(word, keys[i].key, n) != 0)
            continue;
        notes->seen[keys[i].type] = true;
        notes->value[keys[i].type] = strtoull(word + n, NULL, 0);
    }
}

int legacy_notes_read(struct view elf, struct xen_notes *notes, struct error *e)
{
    char text[1024], *rest, *word;
    Elf64_Ehdr h;
    Elf64_Shdr s;

    if (elf.size < sizeof(h))
        return 0;
    memcpy(&h, elf.data, sizeof(h));
    if (!find_legacy(elf, &h, &s))
        return 0;
    if (s.sh_offset > elf.size || s.sh_size > elf.size - s.sh_offset)
        return error_set(
            e, EXIT_UNTESTABLE,
            "truncated: section __xen_guest at 0x%llx, 0x%llx bytes, ends past the file",
            (unsigned long long)s.sh_offset, (unsigned long long)s.sh_size);
    if (s.sh_size >= sizeof(text))
        return error_set(e, EXIT_UNTESTABLE, "damaged: section __xen_guest has 0x%llx bytes",
                         (unsigned long long)s.sh_size);
    memcpy(text, elf.data + s.sh_offset, s.sh_size);
    text[s.sh_size] = '\0';
    notes->count++;
    notes->seen[XEN_ELFNOTE_ENTRY] = true;
    notes->value[XEN_ELFNOTE_ENTRY] = h.e_entry;
    for (word = strtok_r(text, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest))
        take_word(notes, word);
    /* Without an offset the segments' physical addresses are virtual ones. */
    if (!notes->seen[XEN_ELFNOTE_PADDR_OFFSET])
        notes->value[XEN_ELFNOTE_PADDR_OFFSET] = notes->value[XEN_ELFNOTE_VIRT_BASE];
    return 0;
}
