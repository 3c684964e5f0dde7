/* SPDX-License-Identifier: MIT */
/*
 * The tables of scripts/kallsyms.c of Linux. Each starts at a multiple of 8. Their order:
 *
 *   to 6.3: values, [base], count, names, markers, [order of names], tokens, index
 *   from 6.4: count, names, markers, tokens, index, values, [base], [order of names]
 *
 * values are addresses, or, with a base (from 4.6), offsets; Linux 7.2 has no base: each is an
 * offset from where it stands itself. markers say where each 256th name
 * starts: 4 bytes each, 8 before 4.20. The order of names (from 6.2) is not needed.
 */
#include <string.h>

#include "file.h"
#include "kallsyms.h"

#define NAME_CODES   0x3fffu /* the longest name, in codes: two bytes of length */
#define NAME_CHARS   512u    /* KSYM_NAME_LEN; before 6.1 less */
#define FEWEST       257u    /* symbols: with fewer there is nothing to compare markers with */
#define MOST         (1u << 22)
#define NAMES_BYTES  (16u << 20)
#define ORDER_BYTES  (16u << 20) /* how far the markers may lie before the tokens */
#define KERNEL_SPACE 0xffff800000000000ull

/* What may be looked at in all: a guest that means no good gets no more time than this. */
#define STEPS (128u << 20)

struct search {
    const struct window *w;
    struct kallsyms *k;
    size_t tokens, index_end;
    size_t markers;
    unsigned marker_bytes;
    size_t run; /* markers that ascend */
    uint64_t steps;
};

static uint16_t word16(const struct window *w, size_t at)
{
    uint16_t v;

    memcpy(&v, w->byte + at, sizeof(v));
    return v;
}

static uint32_t word32(const struct window *w, size_t at)
{
    uint32_t v;

    memcpy(&v, w->byte + at, sizeof(v));
    return v;
}

static uint64_t word64(const struct window *w, size_t at)
{
    uint64_t v;

    memcpy(&v, w->byte + at, sizeof(v));
    return v;
}

static size_t align8(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

static bool spend(struct search *s, uint64_t steps)
{
    if (steps > s->steps)
        return false;
    s->steps -= steps;
    return true;
}

/* ---- tokens and their index */

static bool is_printable(uint8_t c)
{
    return c > ' ' && c < 0x7f;
}

/* The token at `at` ends at a NUL, within the window and before `end`. */
static bool token_fits(const struct window *w, size_t at, size_t bytes)
{
    for (size_t i = 0; i + 1 < bytes; i++)
        if (!is_printable(w->byte[at + i]))
            return false;
    return w->byte[at + bytes - 1] == '\0';
}

/* Where the token after that of the mark's digit 0 by so many ends; 0: not within the window. */
static size_t tokens_end(const struct window *w, size_t at)
{
    for (unsigned i = '0'; i < 256; i++) {
        size_t room = w->bytes - at < NAME_CHARS ? w->bytes - at : NAME_CHARS;
        const uint8_t *nul = memchr(w->byte + at, '\0', room);

        if (nul == NULL)
            return 0;
        at = (size_t)(nul - w->byte) + 1;
    }
    return at;
}

static bool index_agrees(const struct window *w, size_t index, size_t tokens, size_t end)
{
    for (unsigned i = 0; i < 256; i++) {
        size_t from = word16(w, index + 2 * i);
        size_t to = i < 255 ? word16(w, index + 2 * (i + 1)) : end - tokens;

        if (to <= from || to > end - tokens || !token_fits(w, tokens + from, to - from))
            return false;
    }
    return word16(w, index) == 0;
}

static bool find_tokens(const struct window *w, size_t at, size_t *tokens, size_t *index)
{
    size_t end, first;

    if (at >= w->bytes)
        return false;
    end = tokens_end(w, at);
    if (end == 0)
        return false;
    *index = align8(end);
    if (*index + 512 > w->bytes)
        return false;
    first = word16(w, *index + 2 * '0');
    if (first > at)
        return false;
    *tokens = at - first;
    return *tokens % 8 == 0 && index_agrees(w, *index, *tokens, end);
}

bool kallsyms_tokens(const struct window *w, size_t at)
{
    size_t tokens, index;

    return find_tokens(w, at, &tokens, &index);
}

/* ---- names */

/* Two bytes where the first has its highest bit: from 6.1; names were shorter before. */
static const uint8_t *name_codes(const uint8_t *at, const uint8_t *end, unsigned *codes)
{
    if (at >= end)
        return NULL;
    *codes = *at++;
    if (*codes & 0x80) {
        if (at >= end)
            return NULL;
        *codes = (*codes & 0x7f) | (unsigned)*at++ << 7;
    }
    if (*codes == 0 || *codes > NAME_CODES || *codes > (size_t)(end - at))
        return NULL;
    return at;
}

static uint64_t marker(const struct search *s, size_t i)
{
    size_t at = s->markers + i * s->marker_bytes;

    return s->marker_bytes == 4 ? word32(s->w, at) : word64(s->w, at);
}

/* Do `count` names from `start` on end where the markers begin, and start where these say? */
static bool names_agree(struct search *s, size_t start, uint32_t count)
{
    const uint8_t *first = s->w->byte + start, *end = s->w->byte + s->markers, *p = first;
    unsigned codes;

    for (uint32_t i = 0; i < count; i++) {
        if (i % 256 == 0 && (uint64_t)(p - first) != marker(s, i / 256))
            return false;
        p = name_codes(p, end, &codes);
        if (p == NULL || !spend(s, 1))
            return false;
        p += codes;
    }
    return end - p < 8;
}

/* ---- values */

static uint64_t value(const struct kallsyms *k, uint32_t i)
{
    uint64_t address;
    int32_t offset;

    if (k->kind == KALLSYMS_ADDRESSES) {
        memcpy(&address, k->values + 8 * (size_t)i, 8);
        return address;
    }
    memcpy(&offset, k->values + 4 * (size_t)i, 4);
    if (k->kind == KALLSYMS_OFFSETS)
        return k->base + (uint32_t)offset;
    if (k->kind == KALLSYMS_RELATIVE)
        return k->base + 4 * (uint64_t)i + (uint64_t)(int64_t)offset;
    return offset >= 0 ? (uint64_t)offset : k->base - 1 - (uint64_t)(int64_t)offset;
}

/* The tables are sorted, and most of a kernel lies in the kernel's half. */
static bool values_agree(struct search *s)
{
    uint64_t last = 0;
    uint32_t upper = 0;

    if (!spend(s, s->k->count))
        return false;
    for (uint32_t i = 0; i < s->k->count; i++) {
        uint64_t now = value(s->k, i);

        if (now < last)
            return false;
        last = now;
        upper += now >= KERNEL_SPACE;
    }
    return upper > s->k->count / 2;
}

static bool try_offsets(struct search *s, size_t values, size_t base)
{
    s->k->values = s->w->byte + values;
    s->k->base = word64(s->w, base);
    if (s->k->base < KERNEL_SPACE)
        return false;
    s->k->kind = KALLSYMS_PERCPU;
    if (values_agree(s))
        return true;
    s->k->kind = KALLSYMS_OFFSETS;
    return values_agree(s);
}

static bool try_relative(struct search *s, size_t values)
{
    s->k->values = s->w->byte + values;
    s->k->base = s->w->va + values;
    s->k->kind = KALLSYMS_RELATIVE;
    return values_agree(s);
}

static bool try_addresses(struct search *s, size_t values)
{
    s->k->values = s->w->byte + values;
    s->k->kind = KALLSYMS_ADDRESSES;
    return values_agree(s);
}

static bool values_before(struct search *s, size_t count_at)
{
    size_t offsets = align8(4 * (size_t)s->k->count), addresses = 8 * (size_t)s->k->count;

    if (count_at >= offsets + 8 && try_offsets(s, count_at - 8 - offsets, count_at - 8))
        return true;
    return count_at >= addresses && try_addresses(s, count_at - addresses);
}

static bool values_behind(struct search *s)
{
    size_t at = align8(s->index_end), room = s->w->bytes - at;
    size_t offsets = align8(4 * (size_t)s->k->count), addresses = 8 * (size_t)s->k->count;

    if (at > s->w->bytes)
        return false;
    if (room >= offsets + 8 && try_offsets(s, at, at + offsets))
        return true;
    if (room >= offsets && try_relative(s, at))
        return true;
    return room >= addresses && try_addresses(s, at);
}

/* ---- markers, and the names before them */

static bool try_names(struct search *s, size_t start, size_t count_at)
{
    uint32_t count = word32(s->w, count_at);
    size_t markers = (count + 255) / 256;

    if (count < FEWEST || count > MOST || markers > s->run)
        return false;
    if (marker(s, markers - 1) >= s->markers - start || !names_agree(s, start, count))
        return false;
    s->k->count = count;
    s->k->names = s->w->byte + start;
    s->k->names_end = s->w->byte + s->markers;
    return values_before(s, count_at) || values_behind(s);
}

/* They start at a multiple of 8, with the count before them: 4 bytes and as many of padding, or 8
 * (before 4.20). */
static bool names_before(struct search *s)
{
    size_t lowest = s->markers > NAMES_BYTES ? s->markers - NAMES_BYTES : 8;
    size_t start = s->markers - (size_t)marker(s, 1);

    for (start &= ~(size_t)7; start >= lowest && start >= 8; start -= 8) {
        if (!spend(s, 1))
            return false;
        if (try_names(s, start, start - 8))
            return true;
    }
    return false;
}

static bool steps_up(uint64_t from, uint64_t to)
{
    return to >= from + 2 * 256 && to <= from + (uint64_t)(NAME_CODES + 2) * 256;
}

/* Markers at `at`: zero, and then upwards. */
static bool markers_here(struct search *s, size_t at, unsigned bytes)
{
    s->markers = at;
    s->marker_bytes = bytes;
    s->run = 1;
    if (at + 2 * bytes > s->tokens || marker(s, 0) != 0)
        return false;
    while (at + (s->run + 1) * bytes <= s->tokens &&
           steps_up(marker(s, s->run - 1), marker(s, s->run)))
        s->run++;
    return s->run >= 2 && marker(s, 1) < at && spend(s, s->run);
}

static bool markers_before(struct search *s)
{
    size_t lowest = s->tokens > ORDER_BYTES ? s->tokens - ORDER_BYTES : 8;

    for (size_t at = s->tokens; at >= lowest + 8; at -= 8) {
        if (!spend(s, 1))
            return false;
        if (markers_here(s, at - 8, 4) && names_before(s))
            return true;
        if (markers_here(s, at - 8, 8) && names_before(s))
            return true;
    }
    return false;
}

bool kallsyms_find(const struct window *w, size_t at, struct kallsyms *out)
{
    struct search s = {.w = w, .k = out, .steps = STEPS};
    size_t index;

    if (!find_tokens(w, at, &s.tokens, &index))
        return false;
    s.index_end = index + sizeof(out->index);
    out->tokens = (const char *)w->byte + s.tokens;
    memcpy(out->index, w->byte + index, sizeof(out->index));
    return markers_before(&s);
}

/* ---- decoding */

static size_t expand(const struct kallsyms *k, const uint8_t *codes, unsigned n, char *to,
                     size_t room)
{
    size_t used = 0;

    for (unsigned i = 0; i < n; i++)
        for (const char *t = k->tokens + k->index[codes[i]]; *t != '\0' && used < room; t++)
            to[used++] = *t;
    return used;
}

bool kallsyms_decode(const struct kallsyms *k, struct source *to)
{
    const uint8_t *p = k->names;
    char name[NAME_CHARS];
    unsigned codes;

    for (uint32_t i = 0; i < k->count; i++) {
        struct new_entry n = {.address = value(k, i)};
        size_t chars;

        p = name_codes(p, k->names_end, &codes);
        if (p == NULL)
            return false;
        chars = expand(k, p, codes, name, sizeof(name));
        p += codes;
        if (chars < 2)
            continue;
        n.flags = letter_flags(name[0]);
        n.name = name + 1; /* behind nm's letter */
        n.name_bytes = chars - 1;
        if (!source_add(to, &n))
            return false;
    }
    return true;
}
