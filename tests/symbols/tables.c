/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "tables.h"

struct out {
    uint8_t *to;
    size_t n, room;
    uint64_t va;
    bool full;
};

static void put(struct out *o, const void *from, size_t n)
{
    if (o->full || n > o->room - o->n) {
        o->full = true;
        return;
    }
    memcpy(o->to + o->n, from, n);
    o->n += n;
}

static void put8(struct out *o, unsigned value)
{
    uint8_t v = (uint8_t)value;

    put(o, &v, sizeof(v));
}

static void put32(struct out *o, uint32_t value)
{
    put(o, &value, sizeof(value));
}

static void put64(struct out *o, uint64_t value)
{
    put(o, &value, sizeof(value));
}

static void align(struct out *o)
{
    while (o->n % 8 != 0 && !o->full)
        put8(o, 0);
}

/* A few codes that are no printable characters stand for parts of names. */
static const char *const part[] = {"__", "xen_", "init_", "function_", "Tfunction_"};
#define PARTS (sizeof(part) / sizeof(part[0]))

/* The token of a code. 0x80 and up, and below blank: parts, or none. */
static void token(unsigned code, char to[16])
{
    to[0] = '\0';
    if (code > ' ' && code < 0x7f) {
        to[0] = (char)code;
        to[1] = '\0';
    } else if (code >= 0x80 && code < 0x80 + PARTS) {
        strcpy(to, part[code - 0x80]);
    }
}

static size_t compress(const char *text, uint8_t *to)
{
    size_t n = 0;

    while (*text != '\0') {
        unsigned code = (uint8_t)*text, used = 1;

        for (unsigned i = 0; i < PARTS; i++)
            if (strncmp(text, part[i], strlen(part[i])) == 0 && strlen(part[i]) > used) {
                code = 0x80 + i;
                used = (unsigned)strlen(part[i]);
            }
        to[n++] = (uint8_t)code;
        text += used;
    }
    return n;
}

static void put_values(struct out *o, const struct tables_kind *kind,
                       const struct tables_symbol *symbol, size_t nr, uint64_t base)
{
    for (size_t i = 0; i < nr; i++) {
        uint64_t a = symbol[i].address;

        if (kind->values == VALUES_ADDRESSES)
            put64(o, a);
        else if (kind->values == VALUES_OFFSETS)
            put32(o, (uint32_t)(a - base));
        else if (kind->values == VALUES_RELATIVE)
            put32(o, (uint32_t)(a - (o->va + o->n)));
        else
            put32(o, (uint32_t)(a >> 63 ? base - 1 - a : a));
    }
    align(o);
    if (kind->values == VALUES_OFFSETS || kind->values == VALUES_PERCPU)
        put64(o, base);
}

static void put_names(struct out *o, const struct tables_symbol *symbol, size_t nr,
                      uint64_t *marker)
{
    uint8_t codes[1024];
    char text[1024];
    size_t start = o->n;

    for (size_t i = 0; i < nr; i++) {
        size_t n;

        if (i % 256 == 0)
            marker[i / 256] = o->n - start;
        text[0] = symbol[i].letter;
        strcpy(text + 1, symbol[i].name);
        n = compress(text, codes);
        if (n > 0x7f) {
            put8(o, (n & 0x7f) | 0x80);
            put8(o, (unsigned)(n >> 7));
        } else {
            put8(o, (unsigned)n);
        }
        put(o, codes, n);
    }
    align(o);
}

static void put_markers(struct out *o, const uint64_t *marker, size_t nr, unsigned bytes)
{
    for (size_t i = 0; i < nr; i++)
        put(o, &marker[i], bytes);
    align(o);
}

static void put_order(struct out *o, size_t nr)
{
    for (size_t i = nr; i-- > 0;) {
        put8(o, (unsigned)(i >> 16));
        put8(o, (unsigned)(i >> 8));
        put8(o, (unsigned)i);
    }
    align(o);
}

static void put_tokens(struct out *o)
{
    uint16_t index[256];
    size_t start = o->n;
    char text[16];

    for (unsigned i = 0; i < 256; i++) {
        index[i] = (uint16_t)(o->n - start);
        token(i, text);
        put(o, text, strlen(text) + 1);
    }
    align(o);
    put(o, index, sizeof(index));
}

size_t tables_build(const struct tables_kind *kind, const struct tables_symbol *symbol, size_t nr,
                    uint64_t base, uint64_t va, uint8_t *to, size_t room)
{
    struct out o = {.to = to, .room = room, .va = va};
    size_t markers = (nr + 255) / 256;
    uint64_t *marker = calloc(markers, sizeof(*marker));

    if (marker == NULL)
        return 0;
    if (!kind->values_last)
        put_values(&o, kind, symbol, nr, base);
    if (kind->marker_bytes == 8)
        put64(&o, nr);
    else
        put32(&o, (uint32_t)nr);
    align(&o);
    put_names(&o, symbol, nr, marker);
    put_markers(&o, marker, markers, kind->marker_bytes);
    if (kind->order_of_names && !kind->values_last)
        put_order(&o, nr);
    put_tokens(&o);
    if (kind->values_last) {
        put_values(&o, kind, symbol, nr, base);
        if (kind->order_of_names)
            put_order(&o, nr);
    }
    free(marker);
    return o.full ? 0 : o.n;
}
