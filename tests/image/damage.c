/* SPDX-License-Identifier: MIT */
#include "damage.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "pte.h"

#define PAGE       4096u
#define TABLES_MAX 4096u

uint64_t damage_random(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static uint64_t below(uint64_t *seed, uint64_t n)
{
    return n ? damage_random(seed) % n : 0;
}

/* ---- targets */

static void add(struct span **list, unsigned *n, uint64_t at, uint64_t bytes)
{
    struct span *more = reallocarray(*list, *n + 1, sizeof(*more));
    if (!more)
        abort();
    *list = more;
    more[(*n)++] = (struct span){at, bytes};
}

/* What is not all zeroes of the bytes from..to, by pages. */
static void add_index(struct targets *t, uint64_t from, uint64_t to)
{
    static const uint8_t zeroes[PAGE];
    uint64_t begun = from;
    for (uint64_t at = from, end; at < to; at = end) {
        end = (at / PAGE + 1) * PAGE;
        end = end < to ? end : to;
        if (memcmp(t->map + at, zeroes, end - at) != 0)
            continue;
        if (at > begun)
            add(&t->index, &t->indices, begun, at - begun);
        begun = end;
    }
    if (to > begun)
        add(&t->index, &t->indices, begun, to - begun);
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x > y ? 1 : x < y ? -1 : 0;
}

/* Where pages of the guest's begin in the file, in order; to be freed. */
static uint64_t *pages_of(const struct pv_view *v, uint64_t bytes, uint64_t *n)
{
    uint64_t *at = calloc(v->nr_pages + 1, sizeof(*at));
    struct pv_place place;
    if (!at)
        abort();
    *n = 0;
    for (mfn_t m = v->backend->next_owned(v, mfn(0)); !mfn_eq(m, NO_MFN) && *n < v->nr_pages;
         m = v->backend->next_owned(v, mfn(m.n + 1)))
        if (pv_place_of(v, m, &place) && place.offset <= bytes && bytes - place.offset >= PAGE)
            at[(*n)++] = place.offset;
    qsort(at, *n, sizeof(*at), ascending);
    return at;
}

/* What lies between the pages. */
static void find_indices(struct targets *t, const struct pv_view *v)
{
    uint64_t n, *page = pages_of(v, t->bytes, &n), begun = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (page[i] > begun)
            add_index(t, begun, page[i]);
        begun = page[i] + PAGE;
    }
    if (t->bytes > begun)
        add_index(t, begun, t->bytes);
    free(page);
}

static void find_tables(struct targets *t, const struct pv_view *v, mfn_t m, unsigned level)
{
    uint64_t entry[512];
    struct pv_place place;
    if (t->tables >= TABLES_MAX || !v->backend->read(v, m, 0, entry, sizeof(entry)))
        return;
    if (pv_place_of(v, m, &place) && place.offset < t->bytes && t->bytes - place.offset >= PAGE)
        add(&t->table, &t->tables, place.offset, PAGE);
    for (unsigned i = 0; i < 512 && level > 1; i++)
        if (pte_present(entry[i]) && !(entry[i] & PTE_PSE))
            find_tables(t, v, pte_frame(entry[i]), level - 1);
}

void damage_find_targets(struct targets *t, const struct pv_view *v, uint8_t *map, uint64_t bytes)
{
    struct pv_place place;
    *t = (struct targets){.map = map, .bytes = bytes};
    if (v)
        find_indices(t, v);
    if (t->indices == 0)
        add(&t->index, &t->indices, 0, bytes);
    if (!v)
        return;
    find_tables(t, v, v->kernel_root, v->width == 4 ? 3 : 4);
    if (pv_place_of(v, v->shared_info, &place) && place.offset + PAGE <= bytes)
        add(&t->table, &t->tables, place.offset, PAGE);
}

void damage_free_targets(struct targets *t)
{
    free(t->index);
    free(t->table);
}

/* ---- places */

/* Each span is as likely as any other, and its beginning as likely as all the rest of it. */
static uint64_t place_in(const struct span *list, unsigned n, uint64_t *seed)
{
    const struct span *s = &list[below(seed, n)];
    uint64_t most = below(seed, 2) && s->bytes > 8192 ? 8192 : s->bytes;
    return s->at + below(seed, most);
}

static uint64_t choose_place(const struct targets *t, uint64_t *seed)
{
    uint64_t dice = below(seed, 16);
    if (dice == 0)
        return below(seed, t->bytes);
    return dice < 6 && t->tables ? place_in(t->table, t->tables, seed)
                                 : place_in(t->index, t->indices, seed);
}

/* ---- changes */

/* Keeps what is to be overwritten; false: there is no more room, or no such place. */
static bool keep(const struct targets *t, struct undo *u, uint64_t at, uint64_t bytes)
{
    if (u->n == UNDO_SPANS || bytes > UNDO_BYTES || at > t->bytes || bytes > t->bytes - at)
        return false;
    u->span[u->n] = (struct span){at, bytes};
    memcpy(u->was[u->n++], t->map + at, bytes);
    return true;
}

static void change_byte(const struct targets *t, struct undo *u, uint64_t *seed)
{
    uint64_t at = choose_place(t, seed);
    if (!keep(t, u, at, 1))
        return;
    const uint8_t was = t->map[at], other[] = {0,
                                               0xff,
                                               was ^ (uint8_t)(1u << below(seed, 8)),
                                               (uint8_t)(was + 1),
                                               (uint8_t)(was - 1),
                                               (uint8_t)below(seed, 256)};
    t->map[at] = other[below(seed, sizeof(other))];
}

static uint64_t word_at(const struct targets *t, uint64_t at, unsigned bytes)
{
    uint64_t word = 0;
    if (at <= t->bytes && bytes <= t->bytes - at)
        memcpy(&word, t->map + at, bytes);
    return word;
}

static void change_word(const struct targets *t, struct undo *u, uint64_t *seed)
{
    unsigned bytes = 2u << below(seed, 3);
    uint64_t at = choose_place(t, seed) & ~(uint64_t)(bytes - 1);
    if (!keep(t, u, at, bytes))
        return;
    uint64_t was = word_at(t, at, bytes), other = choose_place(t, seed) & ~7ull;
    const uint64_t now[] = {0,
                            ~0ull,
                            1ull << 63,
                            ~0ull >> 1,
                            1ull << 31,
                            1ull << 32,
                            1ull << 52,
                            t->bytes,
                            t->bytes / PAGE,
                            was + 1,
                            was - 1,
                            was + 8,
                            was ^ 1ull << below(seed, 8 * bytes),
                            was << 12,
                            was >> 12,
                            damage_random(seed),
                            below(seed, 4096),
                            word_at(t, other, 8),
                            word_at(t, other, bytes)};
    memcpy(t->map + at, &now[below(seed, sizeof(now) / sizeof(*now))], bytes);
}

/* A block takes another's place, or both each other's. */
static void change_block(const struct targets *t, struct undo *u, uint64_t *seed)
{
    uint64_t bytes = 8ull << below(seed, 10), mask = bytes < 8 ? 7 : bytes - 1;
    uint64_t a = choose_place(t, seed) & ~mask, b = choose_place(t, seed) & ~mask;
    if (a == b || !keep(t, u, a, bytes))
        return;
    if (below(seed, 2)) {
        if (b <= t->bytes && bytes <= t->bytes - b)
            memmove(t->map + a, t->map + b, bytes);
        else
            memset(t->map + a, 0, bytes);
    } else if (keep(t, u, b, bytes)) {
        memcpy(t->map + a, u->was[u->n - 1], bytes);
        memcpy(t->map + b, u->was[u->n - 2], bytes);
    }
}

void damage(const struct targets *t, uint64_t seed, struct undo *u)
{
    u->n = 0;
    for (uint64_t n = 1 + below(&seed, 4); n-- > 0;) {
        uint64_t dice = below(&seed, 8);
        if (dice < 2)
            change_byte(t, u, &seed);
        else if (dice < 7)
            change_word(t, u, &seed);
        else
            change_block(t, u, &seed);
    }
}

void damage_undo(const struct targets *t, const struct undo *u)
{
    for (unsigned i = u->n; i-- > 0;)
        memcpy(t->map + u->span[i].at, u->was[i], u->span[i].bytes);
}
