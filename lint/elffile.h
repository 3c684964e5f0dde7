/* SPDX-License-Identifier: MIT */
/* An ELF file in memory as libelf reads it, and the checks that libelf leaves to its users. */
#ifndef PVMM_LINT_ELFFILE_H
#define PVMM_LINT_ELFFILE_H

#include <gelf.h>

#include "internal.h"

/* A table of strings. libelf looks for the end of each again, which can take as long as the table.
 */
struct elf_strings {
    const char *base;
    size_t end; /* where the last NUL is */
};

struct elf_file {
    Elf *elf;
    GElf_Ehdr header;
    size_t nr_sections; /* with the one of no use, 0 */
    struct elf_strings names;
};

struct elf_symbol {
    uint64_t value, size;
    size_t section; /* SHN_UNDEF: in none */
    const char *name;
    unsigned char type, binding;
};

/* All symbols of a file; those of SHN_ABS, SHN_COMMON and the like are in section SHN_UNDEF. */
struct elf_symbols {
    Elf_Data *data, *sections; /* NULL: none */
    size_t nr;
    struct elf_strings strings;
};

bool is_elf(const struct lint_input *in);
bool elf_is_image(const struct elf_file *f); /* linked, with addresses of its own */

int elf_file_open(const struct lint_input *in, struct elf_file *f, struct lint_error *e);
void elf_file_close(struct elf_file *f);

/* `i` is less than nr_sections. */
int elf_section(const struct elf_file *f, size_t i, GElf_Shdr *s, struct lint_error *e);
/* "" if the file has none for it. */
const char *elf_section_name(const struct elf_file *f, const GElf_Shdr *s);

int elf_symbols_open(const struct elf_file *f, struct elf_symbols *s, struct lint_error *e);
/* `i` is less than nr. */
void elf_symbol_get(const struct elf_symbols *s, size_t i, struct elf_symbol *symbol);

/* GNU's build id, hexadecimal; "": none. */
void elf_build_id(const struct elf_file *f, char *text, size_t chars);

#endif
