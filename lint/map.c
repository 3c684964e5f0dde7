/* SPDX-License-Identifier: MIT */
#include "map.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "aligned.h"

/* A part of the text. */
struct text {
    const char *at;
    size_t n;
};

struct reader {
    const struct lint_options *options;
    struct linker_map *map;
    struct text pending; /* GNU ld: a long name, whose numbers are on the next line */
    bool in_piece;       /* symbols that follow are of the last piece */
    bool discarding;     /* below /DISCARD/ */
    bool no_memory;
};

/* ---- what is kept */

static size_t room_for(size_t nr)
{
    return nr == 0 || (nr & (nr - 1)) == 0 ? (nr == 0 ? 1 : 2 * nr) : 0;
}

static bool keep_piece(struct reader *r, struct piece p)
{
    struct linker_map *m = r->map;
    const size_t room = room_for(m->nr_pieces);

    if (room != 0) {
        struct piece *more = reallocarray(m->piece, room, sizeof(*more));

        if (more == NULL)
            return false;
        m->piece = more;
    }
    m->piece[m->nr_pieces++] = p;
    return p.section != NULL && p.member != NULL;
}

static void add_piece(struct reader *r, struct text section, uint64_t address, uint64_t size,
                      struct text file)
{
    char name[NAME_CHARS + 1];

    r->in_piece = false;
    r->map->lines++;
    if (r->discarding || size == 0 || section.n > NAME_CHARS || size > UINT64_MAX - address)
        return;
    memcpy(name, section.at, section.n);
    name[section.n] = '\0';
    if (!is_page_aligned(name, r->options))
        return;
    if (!keep_piece(r, (struct piece){strdup(name), strndup(file.at, file.n), address, size}))
        r->no_memory = true;
    r->in_piece = true;
}

static void add_symbol(struct reader *r, struct text name, uint64_t address)
{
    struct linker_map *m = r->map;
    const size_t room = room_for(m->nr_symbols);

    if (!r->in_piece || r->no_memory)
        return;
    if (room != 0) {
        struct map_symbol *more = reallocarray(m->symbol, room, sizeof(*more));

        if (more == NULL) {
            r->no_memory = true;
            return;
        }
        m->symbol = more;
    }
    m->symbol[m->nr_symbols++] =
        (struct map_symbol){strndup(name.at, name.n), address, false, false};
    r->no_memory = m->symbol[m->nr_symbols - 1].name == NULL;
}

/* ---- words of a line */

static void skip(struct text *t, size_t n)
{
    t->at += n;
    t->n -= n;
}

static size_t skip_blanks(struct text *t)
{
    size_t n = 0;

    while (n < t->n && (t->at[n] == ' ' || t->at[n] == '\t'))
        n++;
    skip(t, n);
    return n;
}

static struct text take_word(struct text *t)
{
    struct text word = {t->at, 0};

    while (word.n < t->n && strchr(" \t\r", t->at[word.n]) == NULL)
        word.n++;
    skip(t, word.n);
    return word;
}

static bool take_digits(struct text *t, uint64_t *value)
{
    size_t n = 0;

    *value = 0;
    for (; n < t->n && isxdigit((unsigned char)t->at[n]) && n < 17; n++)
        *value =
            *value << 4 | (unsigned)(t->at[n] <= '9' ? t->at[n] - '0' : (t->at[n] | 32) - 'a' + 10);
    if (n == 0 || n > 16 || (n < t->n && t->at[n] != ' ' && t->at[n] != '\t'))
        return false;
    skip(t, n);
    return true;
}

static bool take_hex(struct text *t, uint64_t *value)
{
    skip_blanks(t);
    if (t->n < 3 || t->at[0] != '0' || t->at[1] != 'x')
        return false;
    skip(t, 2);
    return take_digits(t, value);
}

static bool begins(struct text t, const char *with)
{
    return t.n >= strlen(with) && memcmp(t.at, with, strlen(with)) == 0;
}

static bool has(struct text t, const char *what)
{
    return memmem(t.at, t.n, what, strlen(what)) != NULL;
}

/* ---- GNU ld's
 *
 * .output         0xADDRESS    0xSIZE
 *  *(.patterns of the script)
 *  .input         0xADDRESS    0xSIZE FILE
 *                 0xADDRESS                symbol
 *                 0xADDRESS                symbol = expression
 *  .a_long_name_of_an_input_section
 *                 0xADDRESS    0xSIZE FILE
 */

static bool gnu_place(struct reader *r, struct text section, struct text rest)
{
    uint64_t address, size;

    if (!take_hex(&rest, &address) || !take_hex(&rest, &size))
        return false;
    if (skip_blanks(&rest) == 0 || rest.n == 0)
        return false;
    add_piece(r, section, address, size, rest);
    return true;
}

static void gnu_symbol(struct reader *r, struct text line)
{
    uint64_t address;

    if (!take_hex(&line, &address) || skip_blanks(&line) == 0 || line.n == 0)
        return;
    if (begins(line, "0x") || has(line, " = ") || begins(line, "PROVIDE") ||
        begins(line, "ASSERT") || begins(line, "[!provide]"))
        return;
    add_symbol(r, line, address);
}

static void gnu_line(struct reader *r, struct text line)
{
    const struct text whole = line, pending = r->pending;
    const size_t blanks = skip_blanks(&line);

    r->pending.n = 0;
    if (line.n == 0)
        return;
    if (blanks == 0) {
        r->discarding = begins(whole, "/DISCARD/");
        r->in_piece = false;
        return;
    }
    if (blanks > 1) {
        if (pending.n == 0 || !gnu_place(r, pending, whole))
            gnu_symbol(r, whole);
        return;
    }
    r->in_piece = false;
    if (line.at[0] == '*')
        return;
    const struct text section = take_word(&line);
    skip_blanks(&line);
    if (line.n == 0)
        r->pending = section;
    else
        gnu_place(r, section, line);
}

/* ---- ld.lld's
 *
 * VMA LMA Size Align .output
 * VMA LMA Size Align         FILE:(.input)
 * VMA LMA Size Align                 symbol
 */

static bool lld_input(struct reader *r, struct text line, uint64_t address, uint64_t size)
{
    size_t at = line.n;

    if (line.n < 4 || line.at[line.n - 1] != ')')
        return false;
    while (at > 1 && memcmp(line.at + at - 2, ":(", 2) != 0)
        at--;
    if (at < 2)
        return false;
    add_piece(r, (struct text){line.at + at, line.n - at - 1}, address, size,
              (struct text){line.at, at - 2});
    return true;
}

static void lld_line(struct reader *r, struct text line)
{
    uint64_t number[3], align;

    for (unsigned i = 0; i < 3; i++) {
        skip_blanks(&line);
        if (!take_digits(&line, &number[i]))
            return;
    }
    skip_blanks(&line);
    if (!take_digits(&line, &align) || line.n < 2)
        return;
    skip(&line, 1);
    const size_t indent = skip_blanks(&line);
    if (indent >= 16)
        add_symbol(r, line, number[0]);
    else if (indent < 8 || !lld_input(r, line, number[0], number[2]))
        r->in_piece = false;
}

/* ---- the map */

typedef void line_fn(struct reader *r, struct text line);

static void each_line(struct reader *r, const char *at, size_t n, line_fn *read)
{
    const char *end = at + n;

    while (at < end && !r->no_memory) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        struct text line = {at, (size_t)((stop != NULL ? stop : end) - at)};

        at += line.n + 1;
        if (line.n > 0 && line.at[line.n - 1] == '\r')
            line.n--;
        read(r, line);
    }
}

/* Discarded sections and the machine's memory are listed before, and have no addresses. */
static const char *gnu_start(const struct text *t)
{
    static const char *const titles[] = {"emory map\n", "emory map\r\n"};
    const char *start = NULL;

    for (unsigned i = 0; start == NULL && i < 2; i++)
        start = memmem(t->at, t->n, titles[i], strlen(titles[i]));
    return start;
}

static bool is_lld(struct text t)
{
    static const char *const words[] = {"VMA", "LMA", "Size", "Align", "Out", "In", "Symbol"};
    const char *end = memchr(t.at, '\n', t.n);

    t.n = end != NULL ? (size_t)(end - t.at) : t.n;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        skip_blanks(&t);
        const struct text word = take_word(&t);

        if (word.n != strlen(words[i]) || memcmp(word.at, words[i], word.n) != 0)
            return false;
    }
    return true;
}

int map_read(const struct lint_options *o, struct linker_map *m, struct lint_error *e)
{
    const struct text all = {o->map, o->map_size};
    struct reader r = {.options = o, .map = m};
    const char *start = gnu_start(&all);

    *m = (struct linker_map){0};
    if (is_lld(all))
        each_line(&r, all.at, all.n, lld_line);
    else if (start != NULL)
        each_line(&r, start, (size_t)(all.at + all.n - start), gnu_line);
    else
        return lint_fail(e, "it is neither GNU ld's nor ld.lld's");
    if (r.no_memory || m->lines == 0) {
        map_free(m);
        return lint_fail(e, r.no_memory ? "no memory for it" : "no input section is in it");
    }
    return 0;
}

void map_free(struct linker_map *m)
{
    for (size_t i = 0; i < m->nr_pieces; i++) {
        free((char *)(uintptr_t)m->piece[i].section);
        free((char *)(uintptr_t)m->piece[i].member);
    }
    for (size_t i = 0; i < m->nr_symbols; i++)
        free(m->symbol[i].name);
    free(m->piece);
    free(m->symbol);
    *m = (struct linker_map){0};
}
