/* SPDX-License-Identifier: MIT */
/* Symbols of an ELF file: .symtab, or .dynsym where that is all there is. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <gelf.h>

#include "file.h"

struct reading {
    struct source *to;
    Elf *elf;
    const char *name;
    struct pv_error *e;
    uint64_t bytes; /* of the file */
};

static int damaged(const struct reading *r, const char *what)
{
    return symbols_fail(r->e, "%s: %s: %s", r->name, what, elf_errmsg(-1));
}

/* NULL, and no error: the file has no such table. */
static Elf_Scn *table_of(const struct reading *r, unsigned type, GElf_Shdr *header)
{
    Elf_Scn *section = NULL;

    while ((section = elf_nextscn(r->elf, section)) != NULL)
        if (gelf_getshdr(section, header) != NULL && header->sh_type == type)
            return section;
    return NULL;
}

static uint64_t section_end(const struct reading *r, unsigned index, bool *executable)
{
    GElf_Shdr header;
    Elf_Scn *section = index < SHN_LORESERVE ? elf_getscn(r->elf, index) : NULL;

    *executable = false;
    if (section == NULL || gelf_getshdr(section, &header) == NULL)
        return 0;
    *executable = (header.sh_flags & SHF_EXECINSTR) != 0;
    return header.sh_addr + header.sh_size;
}

static int add(const struct reading *r, const GElf_Sym *symbol, const char *name)
{
    unsigned type = GELF_ST_TYPE(symbol->st_info), bind = GELF_ST_BIND(symbol->st_info);
    struct new_entry n = {
        .name = name,
        .name_bytes = strlen(name),
        .address = symbol->st_value,
        .size = symbol->st_size,
    };
    bool executable;

    n.limit = section_end(r, symbol->st_shndx, &executable);
    if (type == STT_FUNC || type == STT_GNU_IFUNC || (type == STT_NOTYPE && executable))
        n.flags |= ENTRY_CODE;
    if (bind == STB_GLOBAL)
        n.flags |= ENTRY_GLOBAL;
    if (bind == STB_WEAK)
        n.flags |= ENTRY_WEAK;
    if (!source_add(r->to, &n))
        return symbols_fail(r->e, "%s: more symbols than can be kept", r->name);
    return 0;
}

static bool is_a_place(const GElf_Sym *symbol)
{
    unsigned type = GELF_ST_TYPE(symbol->st_info);

    return symbol->st_shndx != SHN_UNDEF && symbol->st_shndx != SHN_ABS &&
           symbol->st_shndx != SHN_COMMON &&
           (type == STT_NOTYPE || type == STT_FUNC || type == STT_OBJECT || type == STT_GNU_IFUNC);
}

static int read_table(const struct reading *r, Elf_Scn *section, const GElf_Shdr *header)
{
    Elf_Data *data = elf_getdata(section, NULL);
    size_t nr;

    if (data == NULL || header->sh_entsize == 0)
        return damaged(r, "its table of symbols cannot be read");
    nr = data->d_size / header->sh_entsize;
    for (size_t i = 1; i < nr; i++) {
        GElf_Sym symbol;
        const char *name;

        if (gelf_getsym(data, (int)i, &symbol) == NULL)
            return damaged(r, "its table of symbols is damaged");
        if (!is_a_place(&symbol))
            continue;
        name = elf_strptr(r->elf, header->sh_link, symbol.st_name);
        if (name == NULL)
            return damaged(r, "the names of its symbols are damaged");
        if (add(r, &symbol, name) != 0)
            return -1;
    }
    return 0;
}

/* libelf passes such a file off as one without sections. */
static bool sections_are_there(const struct reading *r, const GElf_Ehdr *file)
{
    return file->e_shoff == 0 ||
           (file->e_shoff <= r->bytes &&
            (uint64_t)file->e_shnum * file->e_shentsize <= r->bytes - file->e_shoff);
}

static int read_elf(const struct reading *r)
{
    GElf_Ehdr file;
    GElf_Shdr header;
    Elf_Scn *section;
    size_t sections;

    if (elf_kind(r->elf) != ELF_K_ELF || gelf_getehdr(r->elf, &file) == NULL ||
        elf_getshdrnum(r->elf, &sections) != 0)
        return damaged(r, "the ELF file is damaged");
    if (file.e_machine != EM_X86_64)
        return symbols_fail(r->e, "%s: is not for x86-64", r->name);
    if (file.e_type != ET_EXEC && file.e_type != ET_DYN)
        return symbols_fail(r->e, "%s: is not a linked program: its addresses are not final",
                            r->name);
    if (!sections_are_there(r, &file))
        return symbols_fail(r->e, "%s: is cut off: its list of sections is not within it", r->name);
    section = table_of(r, SHT_SYMTAB, &header);
    if (section == NULL)
        section = table_of(r, SHT_DYNSYM, &header);
    return section == NULL ? 0 : read_table(r, section, &header);
}

int elf_symbols(struct source *to, int fd, const char *name, struct pv_error *e)
{
    struct reading r = {.to = to, .name = name, .e = e};
    struct stat st;
    int failed;

    if (fstat(fd, &st) != 0)
        return symbols_fail(e, "%s: cannot be read: %s", name, strerror(errno));
    r.bytes = (uint64_t)st.st_size;
    if (elf_version(EV_CURRENT) == EV_NONE)
        return symbols_fail(e, "libelf: %s", elf_errmsg(-1));
    r.elf = elf_begin(fd, ELF_C_READ, NULL);
    if (r.elf == NULL)
        return damaged(&r, "the ELF file is damaged");
    failed = read_elf(&r);
    elf_end(r.elf);
    return failed;
}
