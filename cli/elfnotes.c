/* SPDX-License-Identifier: MIT */
#include "elfnotes.h"

#include <elf.h>
#include <stdio.h>
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

bool has_legacy_section(struct view elf)
{
    static const char name[] = "__xen_guest";
    Elf64_Shdr strings, s;
    Elf64_Ehdr h;

    if (elf.size < sizeof(h))
        return false;
    memcpy(&h, elf.data, sizeof(h));
    if (h.e_shentsize != sizeof(s) || !section(elf, &h, h.e_shstrndx, &strings) ||
        strings.sh_offset > elf.size)
        return false;
    for (unsigned i = 0; i < h.e_shnum && section(elf, &h, i, &s); i++) {
        const uint64_t room = elf.size - strings.sh_offset;

        if (s.sh_name < room && room - s.sh_name >= sizeof(name) &&
            memcmp(elf.data + strings.sh_offset + s.sh_name, name, sizeof(name)) == 0)
            return true;
    }
    return false;
}
