/* SPDX-License-Identifier: MIT */
#include "elffile.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool is_elf(const struct lint_input *in)
{
    return in->size >= SELFMAG && memcmp(in->data, ELFMAG, SELFMAG) == 0;
}

bool elf_is_image(const struct elf_file *f)
{
    return f->header.e_type == ET_EXEC || f->header.e_type == ET_DYN;
}

/* ---- strings */

static struct elf_strings strings_of(const struct elf_file *f, size_t section)
{
    Elf_Scn *s = section == 0 || section >= f->nr_sections ? NULL : elf_getscn(f->elf, section);
    Elf_Data *data = s != NULL ? elf_rawdata(s, NULL) : NULL;
    struct elf_strings none = {"", 0}, strings;

    if (data == NULL || data->d_buf == NULL || data->d_size == 0)
        return none;
    const char *last = memrchr(data->d_buf, '\0', data->d_size);
    strings.base = data->d_buf;
    strings.end = last != NULL ? (size_t)(last - strings.base) : 0;
    return strings;
}

/* "" beyond the last string that ends. */
static const char *string_at(const struct elf_strings *s, size_t at)
{
    return at < s->end ? s->base + at : "";
}

/* ---- the file */

static int check_ident(const struct lint_input *in, struct lint_error *e)
{
    const uint8_t *id = in->data;

    if (in->size < EI_NIDENT)
        return lint_fail(e, "truncated: an ELF file of %zu bytes", in->size);
    if (id[EI_CLASS] != ELFCLASS32 && id[EI_CLASS] != ELFCLASS64)
        return lint_fail(e, "damaged: class %u is neither 32-bit nor 64-bit ELF", id[EI_CLASS]);
    if (id[EI_DATA] != ELFDATA2LSB && id[EI_DATA] != ELFDATA2MSB)
        return lint_fail(e, "damaged: byte order %u is no ELF file's", id[EI_DATA]);
    if (id[EI_VERSION] != EV_CURRENT)
        return lint_fail(e, "ELF version %u is unknown", id[EI_VERSION]);
    const size_t header = id[EI_CLASS] == ELFCLASS64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
    if (in->size < header)
        return lint_fail(e, "truncated: an ELF header has %zu bytes, the file %zu", header,
                         in->size);
    return 0;
}

/* libelf takes fewer sections than the header says for none. */
static int check_table(const struct elf_file *f, const struct lint_input *in, struct lint_error *e)
{
    const size_t entry = gelf_fsize(f->elf, ELF_T_SHDR, 1, EV_CURRENT);
    const GElf_Ehdr *h = &f->header;

    if (h->e_shoff == 0)
        return h->e_shnum == 0
                   ? 0
                   : lint_fail(e, "damaged: %u sections, and no table of them", h->e_shnum);
    if (h->e_shentsize != entry)
        return lint_fail(e, "damaged: section headers of %u bytes; they have %zu", h->e_shentsize,
                         entry);
    if (h->e_shoff > in->size || in->size - h->e_shoff < entry)
        return lint_fail(e,
                         "truncated: the section headers are at %" PRIu64 ", the file has %zu "
                         "bytes",
                         (uint64_t)h->e_shoff, in->size);
    if (f->nr_sections == 0)
        return lint_fail(e,
                         "truncated or damaged: section headers at %" PRIu64
                         " do not fit in %zu bytes, or say no number of theirs",
                         (uint64_t)h->e_shoff, in->size);
    return 0;
}

/* Wherever a section's bytes are, they are in the file. */
static int check_sections(const struct elf_file *f, const struct lint_input *in,
                          struct lint_error *e)
{
    for (size_t i = 1; i < f->nr_sections; i++) {
        GElf_Shdr s;

        if (elf_section(f, i, &s, e) != 0)
            return -1;
        if (s.sh_type == SHT_NOBITS || s.sh_type == SHT_NULL)
            continue;
        if (s.sh_offset > in->size || s.sh_size > in->size - s.sh_offset)
            return lint_fail(e,
                             "truncated or damaged: section %zu has %" PRIu64 " bytes at %" PRIu64
                             ", the file has %zu",
                             i, (uint64_t)s.sh_size, (uint64_t)s.sh_offset, in->size);
    }
    return 0;
}

static int read_headers(struct elf_file *f, const struct lint_input *in, struct lint_error *e)
{
    size_t names = 0;

    if (elf_kind(f->elf) != ELF_K_ELF || gelf_getehdr(f->elf, &f->header) == NULL ||
        elf_getshdrnum(f->elf, &f->nr_sections) != 0)
        return lint_fail(e, "damaged: %s", elf_errmsg(-1));
    if (check_table(f, in, e) != 0)
        return -1;
    if (check_sections(f, in, e) != 0)
        return -1;
    if (f->nr_sections != 0 && elf_getshdrstrndx(f->elf, &names) != 0)
        return lint_fail(e, "damaged: which section has the names of all: %s", elf_errmsg(-1));
    f->names = strings_of(f, names);
    return 0;
}

int elf_file_open(const struct lint_input *in, struct elf_file *f, struct lint_error *e)
{
    *f = (struct elf_file){.elf = NULL};
    if (check_ident(in, e) != 0)
        return -1;
    elf_version(EV_CURRENT);
    /* Only ELF_C_READ follows: nothing is stored there. */
    f->elf = elf_memory((char *)(uintptr_t)in->data, in->size);
    if (f->elf == NULL)
        return lint_fail(e, "damaged: %s", elf_errmsg(-1));
    if (read_headers(f, in, e) != 0) {
        elf_file_close(f);
        return -1;
    }
    return 0;
}

void elf_file_close(struct elf_file *f)
{
    elf_end(f->elf);
    f->elf = NULL;
}

int elf_section(const struct elf_file *f, size_t i, GElf_Shdr *s, struct lint_error *e)
{
    Elf_Scn *section = elf_getscn(f->elf, i);

    if (section == NULL || gelf_getshdr(section, s) == NULL)
        return lint_fail(e, "damaged: section %zu: %s", i, elf_errmsg(-1));
    return 0;
}

const char *elf_section_name(const struct elf_file *f, const GElf_Shdr *s)
{
    return string_at(&f->names, s->sh_name);
}

/* ---- symbols */

static int find_table(const struct elf_file *f, GElf_Word type, size_t *at, GElf_Shdr *table,
                      struct lint_error *e)
{
    for (*at = 1; *at < f->nr_sections; ++*at) {
        if (elf_section(f, *at, table, e) != 0)
            return -1;
        if (table->sh_type == type)
            return 0;
    }
    *at = 0;
    return 0;
}

static int open_table(const struct elf_file *f, struct elf_symbols *s, size_t at,
                      const GElf_Shdr *table, struct lint_error *e)
{
    const size_t entry = gelf_fsize(f->elf, ELF_T_SYM, 1, EV_CURRENT);

    if (table->sh_entsize != 0 && table->sh_entsize != entry)
        return lint_fail(e, "damaged: symbols of %" PRIu64 " bytes; they have %zu",
                         (uint64_t)table->sh_entsize, entry);
    if (table->sh_size % entry != 0)
        return lint_fail(e, "damaged: a symbol table of %" PRIu64 " bytes, at %zu each",
                         (uint64_t)table->sh_size, entry);
    s->data = elf_getdata(elf_getscn(f->elf, at), NULL);
    if (s->data == NULL)
        return lint_fail(e, "damaged: symbol table: %s", elf_errmsg(-1));
    s->nr = s->data->d_buf == NULL ? 0 : s->data->d_size / entry;
    s->strings = strings_of(f, table->sh_link);
    return 0;
}

/* The table of section numbers beyond 0xff00, if there is one of this table of symbols. */
static int open_numbers(const struct elf_file *f, struct elf_symbols *s, size_t symbols,
                        struct lint_error *e)
{
    GElf_Shdr table;
    size_t at;

    if (find_table(f, SHT_SYMTAB_SHNDX, &at, &table, e) != 0)
        return -1;
    if (at == 0 || table.sh_link != symbols)
        return 0;
    s->sections = elf_getdata(elf_getscn(f->elf, at), NULL);
    return 0;
}

int elf_symbols_open(const struct elf_file *f, struct elf_symbols *s, struct lint_error *e)
{
    GElf_Shdr table;
    size_t at;

    *s = (struct elf_symbols){0};
    if (find_table(f, SHT_SYMTAB, &at, &table, e) != 0 ||
        (at == 0 && find_table(f, SHT_DYNSYM, &at, &table, e) != 0))
        return -1;
    if (at == 0)
        return 0;
    return open_table(f, s, at, &table, e) != 0 ? -1 : open_numbers(f, s, at, e);
}

static size_t section_of(GElf_Section index, Elf32_Word more)
{
    if (index == SHN_XINDEX)
        return more;
    return index < SHN_LORESERVE ? index : SHN_UNDEF;
}

void elf_symbol_get(const struct elf_symbols *s, size_t i, struct elf_symbol *symbol)
{
    Elf32_Word more = 0;
    GElf_Sym entry;

    *symbol = (struct elf_symbol){.name = ""};
    if (gelf_getsymshndx(s->data, s->sections, (int)i, &entry, &more) == NULL)
        return;
    *symbol = (struct elf_symbol){.value = entry.st_value,
                                  .size = entry.st_size,
                                  .section = section_of(entry.st_shndx, more),
                                  .name = string_at(&s->strings, entry.st_name),
                                  .type = GELF_ST_TYPE(entry.st_info),
                                  .binding = GELF_ST_BIND(entry.st_info)};
}

/* ---- build id */

static bool id_in(Elf_Data *notes, char *text, size_t chars)
{
    size_t at = 0, name, id;
    GElf_Nhdr n;

    while (notes != NULL && (at = gelf_getnote(notes, at, &n, &name, &id)) > 0) {
        const uint8_t *bytes = (const uint8_t *)notes->d_buf;

        if (n.n_type != NT_GNU_BUILD_ID || n.n_namesz != sizeof("GNU") ||
            memcmp(bytes + name, "GNU", sizeof("GNU")) != 0 || n.n_descsz == 0 ||
            n.n_descsz >= chars / 2)
            continue;
        for (size_t i = 0; i < n.n_descsz; i++)
            snprintf(text + 2 * i, 3, "%02x", bytes[id + i]);
        return true;
    }
    return false;
}

/* A note of a kilobyte is long; files that say otherwise are not to cost more than they are. */
#define NOTE_PLACES 64
#define NOTE_BYTES  65536

static void id_of_segments(const struct elf_file *f, char *text, size_t chars)
{
    size_t n, places = 0;

    if (elf_getphdrnum(f->elf, &n) != 0)
        return;
    for (size_t i = 0; i < n && i < PN_XNUM && places < NOTE_PLACES; i++) {
        GElf_Phdr p;

        if (gelf_getphdr(f->elf, (int)i, &p) == NULL || p.p_type != PT_NOTE ||
            p.p_filesz > NOTE_BYTES)
            continue;
        places++;
        if (id_in(elf_getdata_rawchunk(f->elf, (int64_t)p.p_offset, p.p_filesz, ELF_T_NHDR), text,
                  chars))
            return;
    }
}

void elf_build_id(const struct elf_file *f, char *text, size_t chars)
{
    size_t places = 0;

    text[0] = '\0';
    for (size_t i = 1; i < f->nr_sections && places < NOTE_PLACES; i++) {
        struct lint_error none;
        GElf_Shdr s;

        if (elf_section(f, i, &s, &none) != 0 || s.sh_type != SHT_NOTE || s.sh_size > NOTE_BYTES)
            continue;
        places++;
        if (id_in(elf_getdata(elf_getscn(f->elf, i), NULL), text, chars))
            return;
    }
    id_of_segments(f, text, chars);
}
