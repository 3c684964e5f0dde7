/* SPDX-License-Identifier: MIT */
/* The library's own words of the command line. */
#include "internal.h"

static const struct {
    const char *name;
    enum pvg_fault fault;
} faults[] = {
    {"high-tables-rw", PVG_FAULT_HIGH_TABLES_RW},   {"high-tail-ro", PVG_FAULT_HIGH_TAIL_RO},
    {"ioremap-swapper", PVG_FAULT_IOREMAP_SWAPPER}, {"initial-pinned", PVG_FAULT_INITIAL_PINNED},
    {"short-mfn-list", PVG_FAULT_SHORT_MFN_LIST},
};
#define FAULTS (sizeof(faults) / sizeof(faults[0]))

/* A piece of the command line: not terminated. */
struct piece {
    const char *at;
    size_t length;
};

static bool piece_is(struct piece p, const char *text)
{
    return p.length == strlen(text) && memcmp(p.at, text, p.length) == 0;
}

/* If the word starts with `key`, what follows it is the value. */
static bool take_key(struct piece *word, const char *key)
{
    size_t n = strlen(key);
    if (word->length < n || memcmp(word->at, key, n) != 0)
        return false;
    word->at += n;
    word->length -= n;
    return true;
}

/* A word that is quoted in a reason, short enough for it. */
static const char *quote(struct piece p, char text[32])
{
    size_t n = p.length < 31 ? p.length : 31;
    memcpy(text, p.at, n);
    text[n] = 0;
    return text;
}

static int parse_layout(struct pvguest *g, struct piece value, struct pvg_options *o)
{
    char text[32];
    if (piece_is(value, "linear"))
        o->p2m = PVG_P2M_LINEAR;
    else if (piece_is(value, "tree"))
        o->p2m = PVG_P2M_TREE;
    else
        return fail(g, -XEN_EINVAL, "p2m=%s: linear or tree is wanted", quote(value, text));
    return 0;
}

static bool take_number(struct piece *p, uint64_t *n)
{
    size_t start = p->length;
    *n = 0;
    for (; p->length > 0 && *p->at >= '0' && *p->at <= '9'; p->at++, p->length--) {
        unsigned digit = (unsigned)(*p->at - '0');
        if (*n > (UINT64_MAX - digit) / 10)
            return false;
        *n = *n * 10 + digit;
    }
    return p->length < start;
}

static bool take_unit(struct piece p, unsigned *shift)
{
    static const char units[] = "KMG";
    *shift = 0;
    if (p.length == 0)
        return true;
    for (unsigned i = 0; i < 3; i++)
        if ((*p.at & ~0x20) == units[i])
            *shift = 10 * (i + 1);
    return p.length == 1 && *shift > 0;
}

static int parse_limit(struct pvguest *g, struct piece value, struct pvg_options *o)
{
    char text[32];
    struct piece rest = value;
    uint64_t n;
    unsigned shift;
    if (!take_number(&rest, &n) || !take_unit(rest, &shift) || n > UINT64_MAX >> shift)
        return fail(g, -XEN_EINVAL, "mem=%s: a number of bytes, or with K, M or G, is wanted",
                    quote(value, text));
    if (n << shift < PVG_PAGE_BYTES)
        return fail(g, -XEN_EINVAL, "mem=%s: less than a page", quote(value, text));
    o->memory_limit = n << shift >> PVG_PAGE_SHIFT;
    return 0;
}

static int unknown_fault(struct pvguest *g, struct piece value)
{
    char text[32], all[160];
    size_t n = 0;
    for (unsigned i = 0; i < FAULTS; i++)
        n += pvg_format(all + n, sizeof(all) - n, "%s%s", i ? ", " : "", faults[i].name);
    return fail(g, -XEN_EINVAL, "fault=%s: one of %s is wanted", quote(value, text), all);
}

static int parse_fault(struct pvguest *g, struct piece value, struct pvg_options *o)
{
    for (unsigned i = 0; i < FAULTS; i++)
        if (piece_is(value, faults[i].name)) {
            o->faults |= faults[i].fault;
            return 0;
        }
    return unknown_fault(g, value);
}

static int parse_word(struct pvguest *g, struct piece word, struct pvg_options *o)
{
    if (take_key(&word, "p2m="))
        return parse_layout(g, word, o);
    if (take_key(&word, "mem="))
        return parse_limit(g, word, o);
    if (take_key(&word, "fault="))
        return parse_fault(g, word, o);
    return 0;
}

void pvg_options_default(struct pvg_options *o)
{
    *o = (struct pvg_options){.p2m = PVG_P2M_LINEAR};
}

int pvg_options_parse(struct pvguest *g, struct pvg_options *o)
{
    struct pvg_options read;
    const char *at = pvg_command_line(g);
    pvg_options_default(&read);
    while (*at) {
        struct piece word = {at, 0};
        while (at[word.length] && at[word.length] != ' ')
            word.length++;
        int rc = parse_word(g, word, &read);
        if (rc)
            return fail_in(g, rc, "command line");
        at += word.length + (at[word.length] == ' ');
    }
    *o = read;
    return 0;
}
