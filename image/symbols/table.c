/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

#define MAX_ENTRIES (4u << 20)
#define MAX_TEXT    (128u << 20)
#define LOOK_BACK   64u /* labels within a function, and no more */

/* Kernels of x86-64 lie in the upper half of the address space. */
#define UPPER_HALF (1ull << 63)

struct entry {
    uint64_t address;
    uint64_t end; /* before source_sort(): what is known of it, 0 is nothing */
    uint32_t name, module;
    uint32_t order;
    uint8_t flags, standing;
    bool sized;
};

struct orc_range {
    uint64_t start, end;
    struct orc_table table;
};

struct source {
    struct orc_range *orc;
    size_t nr_orc;
    struct entry *entry;
    size_t nr, room;
    char *text; /* names one behind the other; the first is "" */
    size_t text_bytes, text_room;
};

struct pv_symbols {
    struct source **source;
    size_t nr;
    struct source *guest; /* one of them */
};

int symbols_fail(struct pv_error *e, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(e->text, sizeof(e->text), format, args);
    va_end(args);
    return -1;
}

/* ---- one source */

struct source *source_new(void)
{
    struct source *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->text_room = 4096;
    s->text = calloc(1, s->text_room);
    s->text_bytes = 1;
    if (s->text == NULL) {
        free(s);
        return NULL;
    }
    return s;
}

void source_free(struct source *s)
{
    if (s == NULL)
        return;
    free(s->orc);
    free(s->entry);
    free(s->text);
    free(s);
}

/* 0: no room */
static uint32_t keep_text(struct source *s, const char *text, size_t bytes)
{
    size_t room = s->text_room;
    uint32_t at = (uint32_t)s->text_bytes;
    char *more;

    while (s->text_bytes + bytes + 1 > room)
        room *= 2;
    if (room > MAX_TEXT)
        return 0;
    if (room != s->text_room) {
        more = realloc(s->text, room);
        if (more == NULL)
            return 0;
        s->text = more;
        s->text_room = room;
    }
    memcpy(s->text + at, text, bytes);
    s->text[at + bytes] = '\0';
    s->text_bytes += bytes + 1;
    return at;
}

/* ---- which of several names */

static unsigned underscores(const char *name)
{
    return (unsigned)strspn(name, "_");
}

/* Names that compilers and linkers make up, and the second names of a module's two ends. */
static bool is_odd(const char *name)
{
    return name[0] == '.' || strchr(name, '$') != NULL || strncmp(name, "__pfx_", 6) == 0 ||
           strncmp(name, "__cfi_", 6) == 0 || strncmp(name, "__start_", 8) == 0 ||
           strncmp(name, "__stop_", 7) == 0 || strcmp(name, "init_module") == 0 ||
           strcmp(name, "cleanup_module") == 0;
}

static unsigned standing(const char *name, unsigned flags)
{
    unsigned few = underscores(name);

    return (is_odd(name) ? 0 : 64u) + (flags & ENTRY_CODE ? 32u : 0) +
           (flags & ENTRY_GLOBAL ? 16u
            : flags & ENTRY_WEAK ? 8u
                                 : 0) +
           (few > 7 ? 0 : 7 - few);
}

/* ---- filling it */

unsigned source_module(struct source *s, const char *name)
{
    return keep_text(s, name, strlen(name));
}

static bool make_room(struct source *s)
{
    size_t room = s->room ? s->room * 2 : 1024;
    struct entry *more;

    if (s->nr < s->room)
        return true;
    if (room > MAX_ENTRIES)
        return false;
    more = realloc(s->entry, room * sizeof(*more));
    if (more == NULL)
        return false;
    s->entry = more;
    s->room = room;
    return true;
}

/* Names go to people's terminals. */
static bool can_be_shown(const char *name, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (name[i] <= ' ' || name[i] > '~')
            return false;
    return bytes > 0;
}

bool source_add(struct source *s, const struct new_entry *n)
{
    struct entry *to;
    uint64_t end = n->size ? n->address + n->size : n->limit;
    uint32_t name;

    if (!can_be_shown(n->name, n->name_bytes))
        return true;
    name = keep_text(s, n->name, n->name_bytes);
    if (name == 0 || !make_room(s))
        return false;
    to = &s->entry[s->nr];
    *to = (struct entry){
        .address = n->address,
        .end = end > n->address ? end : 0,
        .name = name,
        .module = n->module,
        .order = (uint32_t)s->nr,
        .flags = (uint8_t)n->flags,
        .standing = (uint8_t)standing(s->text + name, n->flags),
        .sized = n->size != 0 && end > n->address,
    };
    s->nr++;
    return true;
}

/* By address; of one address the best last, so that the nearest at or below is the best. */
static int compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;

    if (a->address != b->address)
        return a->address < b->address ? -1 : 1;
    if (a->standing != b->standing)
        return a->standing < b->standing ? -1 : 1;
    return a->order < b->order ? 1 : -1;
}

/* In a kernel of the upper half a low value is the offset of a per-CPU variable. */
static void drop_offsets(struct source *s)
{
    size_t first = 0;

    while (first < s->nr && s->entry[first].address < UPPER_HALF)
        first++;
    if (first == s->nr)
        return;
    memmove(s->entry, s->entry + first, (s->nr - first) * sizeof(s->entry[0]));
    s->nr -= first;
}

/* A symbol without a size ends where the next begins; but no further than is believed, if that is
 * the next of another module, or there is none. */
static void bound(struct source *s)
{
    const struct entry *next = NULL;

    for (size_t i = s->nr; i-- > 0;) {
        struct entry *e = &s->entry[i];

        if (i + 1 < s->nr && e[1].address != e->address)
            next = &e[1];
        if (e->sized)
            continue;
        if (e->end == 0 && (next == NULL || next->module != e->module))
            e->end = e->address + LAST_EXTENT;
        if (next != NULL && (e->end == 0 || e->end > next->address))
            e->end = next->address;
    }
}

size_t source_sort(struct source *s)
{
    if (s->nr != 0)
        qsort(s->entry, s->nr, sizeof(s->entry[0]), compare);
    drop_offsets(s);
    bound(s);
    return s->nr;
}

/* ---- look-up */

/* The last entry at or below; NULL: none. */
static const struct entry *nearest(const struct source *s, uint64_t va)
{
    size_t low = 0, high = s->nr;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (s->entry[middle].address <= va)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? NULL : &s->entry[low - 1];
}

/* A label within a function, or between two, is less than the function that has the address. */
static const struct entry *covering(const struct source *s, uint64_t va)
{
    const struct entry *near = nearest(s, va), *label = NULL;

    for (unsigned i = 0; near != NULL && i < LOOK_BACK; i++) {
        if (va < near->end && near->sized)
            return near;
        if (va < near->end && label == NULL)
            label = near;
        near = near == s->entry ? NULL : near - 1;
    }
    return label;
}

bool source_at(const struct source *s, uint64_t va, struct pv_symbol *out)
{
    const struct entry *e = covering(s, va);

    if (e == NULL)
        return false;
    memset(out, 0, sizeof(*out));
    snprintf(out->name, sizeof(out->name), "%s", s->text + e->name);
    snprintf(out->module, sizeof(out->module), "%s", s->text + e->module);
    out->address = e->address;
    out->offset = va - e->address;
    out->size = e->end - e->address;
    out->is_code = (e->flags & ENTRY_CODE) != 0;
    return true;
}

bool source_find(const struct source *s, const char *name, uint64_t *va)
{
    const struct entry *best = NULL;

    for (size_t i = 0; i < s->nr; i++) {
        const struct entry *e = &s->entry[i];

        if (strcmp(s->text + e->name, name) != 0)
            continue;
        if (best == NULL || e->standing > best->standing)
            best = e;
    }
    if (best != NULL)
        *va = best->address;
    return best != NULL;
}

bool source_orc(struct source *s, uint64_t start, uint64_t end, const struct orc_table *t)
{
    struct orc_range *more = realloc(s->orc, (s->nr_orc + 1) * sizeof(*more));

    if (more == NULL)
        return false;
    s->orc = more;
    s->orc[s->nr_orc++] = (struct orc_range){start, end, *t};
    return true;
}

/* ---- all sources */

struct pv_symbols *pv_symbols_new(void)
{
    return calloc(1, sizeof(struct pv_symbols));
}

void pv_symbols_free(struct pv_symbols *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->nr; i++)
        source_free(s->source[i]);
    free(s->source);
    free(s);
}

static void replace(struct pv_symbols *s, struct source *was, struct source *is)
{
    for (size_t i = 0; i < s->nr; i++)
        if (s->source[i] == was)
            s->source[i] = is;
    source_free(was);
}

bool symbols_adopt(struct pv_symbols *s, struct source *source, bool guest)
{
    struct source **more;

    if (guest && s->guest != NULL) {
        replace(s, s->guest, source);
        s->guest = source;
        return true;
    }
    more = realloc(s->source, (s->nr + 1) * sizeof(*more));
    if (more == NULL)
        return false;
    s->source = more;
    s->source[s->nr++] = source;
    if (guest)
        s->guest = source;
    return true;
}

void symbols_orc(const struct pv_symbols *s, uint64_t va, struct orc_table *t)
{
    const struct source *g = s == NULL ? NULL : s->guest;

    for (size_t i = 0; g != NULL && i < g->nr_orc; i++)
        if (va >= g->orc[i].start && va < g->orc[i].end)
            *t = g->orc[i].table;
}

bool symbols_empty(const struct pv_symbols *s)
{
    return s == NULL || s->nr == 0;
}

bool pv_symbol_at(const struct pv_symbols *s, uint64_t va, struct pv_symbol *out)
{
    for (size_t i = 0; s != NULL && i < s->nr; i++)
        if (source_at(s->source[i], va, out))
            return true;
    return false;
}

bool pv_symbol_find(const struct pv_symbols *s, const char *name, uint64_t *va)
{
    for (size_t i = 0; s != NULL && i < s->nr; i++)
        if (source_find(s->source[i], name, va))
            return true;
    return false;
}
