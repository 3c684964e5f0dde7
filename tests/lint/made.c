/* SPDX-License-Identifier: MIT */
#include "made.h"

#include <ar.h>
#include <byteswap.h>
#include <stdio.h>

#define SECTIONS 8
#define SYMBOLS  80

static unsigned nr_sections(const struct made_elf *m)
{
    unsigned n = 0;

    while (n < SECTIONS && m->section[n].name != NULL)
        n++;
    return n;
}

static unsigned nr_symbols(const struct made_elf *m)
{
    unsigned n = 0;

    while (n < SYMBOLS && m->symbol[n].name != NULL)
        n++;
    return n;
}

static Elf64_Word put_name(char *strings, size_t *at, const char *name)
{
    const size_t was = *at;

    strcpy(strings + was, name);
    *at += strlen(name) + 1;
    return (Elf64_Word)was;
}

static void put_sections(const struct made_elf *m, Elf64_Shdr *s, char *strings, size_t *at)
{
    for (unsigned i = 0; i < nr_sections(m); i++) {
        const struct made_section *from = &m->section[i];

        s[i] = (Elf64_Shdr){.sh_name = put_name(strings, at, from->name),
                            .sh_type = SHT_NOBITS,
                            .sh_flags = from->flags != 0 ? from->flags : SHF_ALLOC | SHF_WRITE,
                            .sh_addr = from->address,
                            .sh_size = from->size,
                            .sh_addralign = from->align};
    }
}

static void put_symbols(const struct made_elf *m, Elf64_Sym *s, Elf64_Word *numbers, char *strings,
                        size_t *at)
{
    for (unsigned i = 0; i < nr_symbols(m); i++) {
        const struct made_symbol *from = &m->symbol[i];
        const unsigned number = from->section == 0 ? 0 : m->empty + from->section;

        numbers[i + 1] = number;
        s[i + 1] = (Elf64_Sym){
            .st_name = put_name(strings, at, from->name),
            .st_info = ELF64_ST_INFO(STB_GLOBAL, from->type),
            .st_shndx = number < SHN_LORESERVE ? (Elf64_Half)number : SHN_XINDEX,
            .st_value = from->value,
            .st_size = from->size,
        };
    }
}

/* Header, symbols, their section's numbers, strings, section headers. */
struct bytes make_elf(const struct made_elf *m)
{
    const unsigned own = nr_sections(m), first = m->empty + 1, nr = first + own + 3;
    const size_t symbols_at = sizeof(Elf64_Ehdr), symbols = nr_symbols(m) + 1,
                 numbers_at = symbols_at + symbols * sizeof(Elf64_Sym),
                 strings_at = numbers_at + (symbols * 4 + 7) / 8 * 8, strings_size = 1024,
                 sections_at = strings_at + strings_size;
    struct bytes b = {NULL, sections_at + nr * sizeof(Elf64_Shdr)};
    size_t at = 1;

    b.data = calloc(1, b.size);
    assert_non_null(b.data);
    Elf64_Shdr *s = (Elf64_Shdr *)(b.data + sections_at);
    char *strings = (char *)b.data + strings_at;
    put_sections(m, s + first, strings, &at);
    put_symbols(m, (Elf64_Sym *)(b.data + symbols_at), (Elf64_Word *)(b.data + numbers_at), strings,
                &at);
    if (!m->no_symbols) {
        s[first + own] = (Elf64_Shdr){.sh_type = SHT_SYMTAB,
                                      .sh_offset = symbols_at,
                                      .sh_size = symbols * sizeof(Elf64_Sym),
                                      .sh_link = nr - 1,
                                      .sh_entsize = sizeof(Elf64_Sym)};
        s[first + own + 1] = (Elf64_Shdr){.sh_type = SHT_SYMTAB_SHNDX,
                                          .sh_offset = numbers_at,
                                          .sh_size = symbols * 4,
                                          .sh_link = first + own,
                                          .sh_entsize = 4};
    }
    s[nr - 1] =
        (Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_offset = strings_at, .sh_size = strings_size};
    if (nr >= SHN_LORESERVE) {
        s[0].sh_size = nr;
        s[0].sh_link = nr - 1;
    }
    *header_of(b) = (Elf64_Ehdr){
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = (Elf64_Half)m->type,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_entry = m->entry,
        .e_shoff = sections_at,
        .e_ehsize = sizeof(Elf64_Ehdr),
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = nr < SHN_LORESERVE ? (Elf64_Half)nr : 0,
        .e_shstrndx = nr < SHN_LORESERVE ? (Elf64_Half)(nr - 1) : SHN_XINDEX,
    };
    return b;
}

Elf64_Ehdr *header_of(struct bytes b)
{
    return (Elf64_Ehdr *)b.data;
}

Elf64_Shdr *section_of(struct bytes b, unsigned i)
{
    return (Elf64_Shdr *)(b.data + header_of(b)->e_shoff) + i;
}

/* ---- the other byte order */

static void turn(void *at, const char *widths)
{
    uint8_t *p = at;

    for (; *widths != '\0'; widths++) {
        const unsigned n = (unsigned)(*widths - '0');

        for (unsigned i = 0; i < n / 2; i++) {
            const uint8_t was = p[i];

            p[i] = p[n - 1 - i];
            p[n - 1 - i] = was;
        }
        p += n;
    }
}

void turn_elf(struct bytes b)
{
    const unsigned nr = header_of(b)->e_shnum;

    for (unsigned i = 0; i < nr; i++) {
        Elf64_Shdr *s = section_of(b, i);

        for (size_t k = 0; s->sh_type == SHT_SYMTAB && k < s->sh_size / sizeof(Elf64_Sym); k++)
            turn(b.data + s->sh_offset + k * sizeof(Elf64_Sym), "411288");
    }
    for (unsigned i = 0; i < nr; i++)
        turn(section_of(b, i), "4488884488");
    turn(b.data + EI_NIDENT, "2248884222222");
    b.data[EI_DATA] = ELFDATA2MSB;
}

/* ---- archives */

static void put_header(uint8_t *at, const char *name, size_t size)
{
    char text[128]; /* longer than any header */

    snprintf(text, sizeof(text), "%-16s%-12d%-6d%-6d%-8o%-10zu`\n", name, 0, 0, 0, 0644, size);
    memcpy(at, text, sizeof(struct ar_hdr));
}

static size_t even(size_t n)
{
    return n + n % 2;
}

struct bytes make_archive(const char *const *name, const struct bytes *member, size_t nr)
{
    char names[1024] = "", short_name[17];
    size_t size = SARMAG, at = SARMAG, names_size = 0;
    struct bytes b;

    for (size_t i = 0; i < nr; i++) {
        size += sizeof(struct ar_hdr) + even(member[i].size);
        if (strlen(name[i]) > 15)
            names_size +=
                (size_t)snprintf(names + names_size, sizeof(names) - names_size, "%s/\n", name[i]);
    }
    if (names_size != 0)
        size += sizeof(struct ar_hdr) + even(names_size);
    b = (struct bytes){calloc(1, size), size};
    assert_non_null(b.data);
    memcpy(b.data, ARMAG, SARMAG);
    if (names_size != 0) {
        put_header(b.data + at, "//", names_size);
        memcpy(b.data + at + sizeof(struct ar_hdr), names, names_size);
        at += sizeof(struct ar_hdr) + even(names_size);
    }
    for (size_t i = 0; i < nr; i++) {
        if (strlen(name[i]) > 15)
            snprintf(short_name, sizeof(short_name), "/%zu",
                     (size_t)(strstr(names, name[i]) - names));
        else
            snprintf(short_name, sizeof(short_name), "%s/", name[i]);
        put_header(b.data + at, short_name, member[i].size);
        if (member[i].size != 0)
            memcpy(b.data + at + sizeof(struct ar_hdr), member[i].data, member[i].size);
        at += sizeof(struct ar_hdr) + even(member[i].size);
        free(member[i].data);
    }
    return b;
}

/* ---- what lint says */

static const struct lint_options plain = {.no_boot = true};

struct lint_report lint_of(struct bytes b, const struct lint_options *o)
{
    const struct lint_input in = {"made", b.data, b.size};
    struct lint_report r;
    struct lint_error e = {""};
    const int rc = lint_file(&in, o != NULL ? o : &plain, &r, &e);

    free(b.data);
    if (rc != 0)
        fail_msg("%s", e.text);
    return r;
}

void refuse(struct bytes b, const struct lint_options *o, const char *text)
{
    const struct lint_input in = {"made", b.data, b.size};
    struct lint_report r;
    struct lint_error e = {""};
    const int rc = lint_file(&in, o != NULL ? o : &plain, &r, &e);

    free(b.data);
    assert_int_equal(rc, -1);
    if (strncmp(e.text, "made: ", 6) != 0 || strstr(e.text, text) == NULL)
        fail_msg("\"%s\", where \"%s\" was expected", e.text, text);
}

const struct lint_finding *expect(const struct lint_report *r, size_t i, const char *code,
                                  const char *symbol, unsigned shifted)
{
    assert_true(i < r->nr_findings);
    assert_string_equal(r->finding[i].code, code);
    assert_string_equal(r->finding[i].symbol != NULL ? r->finding[i].symbol : "", symbol);
    assert_int_equal(r->finding[i].shifted, shifted);
    return &r->finding[i];
}

void expect_clean(struct lint_report r, uint64_t symbols)
{
    if (r.nr_findings != 0)
        fail_msg("%s: %s", r.finding[0].code, r.finding[0].text);
    assert_int_equal(r.answer[LINT_ALIGNED], LINT_YES);
    assert_int_equal(r.symbols, symbols);
    lint_free(&r);
}
