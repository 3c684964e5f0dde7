/* SPDX-License-Identifier: MIT */
/*
 * The lines of the record of real Xen that ask the same: flags met by updates, and kinds of frames
 * met by every way of asking. Its test guest was the initial domain, which may set the cache
 * attributes, but had no right to the addresses beyond memory.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "exhaustive.h"

#define KEPT "keep A D, change to"

struct line {
    unsigned level;
    bool starts_empty;
    bool keep_ad;
    uint64_t flags;
    uint64_t entry; /* its flags */
    int error;
};

/* The request's part of the line. */
static bool parse_request(const char *text, struct line *l)
{
    unsigned bit;
    *l = (struct line){0};
    if (sscanf(text, "%*u L%u present bit %u:", &l->level, &bit) == 2)
        l->flags = PTE_PRESENT | 1ull << bit;
    else if (sscanf(text, "%*u L%u absent bit %u:", &l->level, &bit) == 2)
        l->flags = 1ull << bit;
    else if (sscanf(text, "%*u L%u writable user bit %u:", &l->level, &bit) == 2)
        l->flags = PTE_PRESENT | PTE_RW | PTE_USER | 1ull << bit;
    else if (sscanf(text, "%*u L%u change to %" SCNx64 ":", &l->level, &l->flags) == 2)
        return true;
    else
        return l->keep_ad =
                   sscanf(text, "%*u L%u " KEPT " %" SCNx64 ":", &l->level, &l->flags) == 2;
    l->starts_empty = true;
    return true;
}

/* "entry P20+10000000000005 done 1 = 0", or "entry 0 done 0 = -22". */
static bool parse_answer(const char *text, struct line *l)
{
    const char *entry = strstr(text, ": entry ");
    const char *error = strstr(text, " = ");
    if (!entry || !error || sscanf(error, " = %d", &l->error) != 1)
        return false;
    const char *plus = strchr(entry, '+');
    return sscanf(plus ? plus + 1 : entry + 8, "%" SCNx64, &l->entry) == 1;
}

static bool agrees(const struct line *l)
{
    struct trial where = {.level = l->level,
                          .target = l->level == 1 ? TARGET_NONE
                                                  : (enum target)(TARGET_L1 + l->level - 2)};
    uint64_t entry = pte_make(setting_target(&where), l->flags);
    struct answer a = setting_change(l->level, l->keep_ad, entry);
    if (l->starts_empty)
        setting_change(l->level, false, 0);
    return a.error == l->error && (a.entry & ~PTE_FRAME_MASK) == l->entry;
}

/* Lines about kinds of frames end their request with the name of the kind. */
static bool parse_target(const char *name, struct trial *t)
{
    static const struct {
        const char *name;
        enum target target;
    } kinds[] = {{"writable:", TARGET_WRITABLE}, {"L1:", TARGET_PINNED_L1},
                 {"L2:", TARGET_PINNED_L1 + 1},  {"L3:", TARGET_PINNED_L1 + 2},
                 {"L4:", TARGET_PINNED_L4},      {"live L1:", TARGET_L1},
                 {"live L4:", TARGET_L4},        {"descriptors:", TARGET_DESCRIPTOR},
                 {"untyped:", TARGET_NONE},      {"shared_info:", TARGET_SHARED},
                 {"freed:", TARGET_FREE},        {"beyond:", TARGET_BEYOND},
                 {"all ones:", TARGET_ALL_ONES}};
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        t->target = kinds[i].target;
        if (!strncmp(name, kinds[i].name, strlen(kinds[i].name)))
            return true;
    }
    return false;
}

static bool parse_trial(const char *text, struct trial *t)
{
    static const struct {
        const char *format; /* the level, and where the name begins */
        enum way way;
        uint64_t flags;
    } forms[] = {{"%*u L%u read-only -> %n", WAY_UPDATE, 0x5},
                 {"%*u L%u writable -> %n", WAY_UPDATE, 0x3},
                 {"%*u L%u -> %n", WAY_UPDATE, 0x27},
                 {"%*u validate L%u with %n", WAY_VALIDATE, 0x27}};
    for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        int at = 0;
        *t = (struct trial){.way = forms[i].way, .flags = forms[i].flags};
        if (sscanf(text, forms[i].format, &t->level, &at) == 1 && at && parse_target(text + at, t))
            return t->level >= 1 && t->level <= 4;
    }
    const char *va = strstr(text, " va -> ");
    bool writable = va && !strncmp(va + 7, "writable ", 9);
    *t = (struct trial){.level = 1, .way = WAY_ADDRESS, .flags = writable ? 0x3 : 0x1};
    return va && parse_target(va + (writable ? 16 : 7), t);
}

/* Real Xen lets an entry without RW name a table of the same level unless it is told not to; the
 * core never does (R3). */
static bool is_linear(const struct trial *t)
{
    return t->level > 1 && t->flags == 0x5 &&
           (t->target == TARGET_PINNED_L1 + t->level - 1 || t->target == TARGET_L1 + t->level - 1);
}

static bool trial_agrees(const struct trial *t, const char *text)
{
    int error;
    const char *at = strstr(text, " = ");
    struct answer a = setting_try(t);
    return at && sscanf(at, " = %d", &error) == 1 &&
           a.error == (is_linear(t) ? CORE_EINVAL : error);
}

/* The changes of flags build on each other: they begin from nothing at each level. */
static bool line_agrees(const struct line *l)
{
    static unsigned level;
    if (!l->starts_empty && !l->keep_ad && l->level != level) {
        level = l->level;
        setting_change(level, false, 0);
    }
    return agrees(l);
}

unsigned record_compare(const char *path)
{
    char text[256];
    struct line l;
    struct trial t;
    unsigned flags = 0, kinds = 0, differ = 0;
    FILE *f = fopen(path, "r");
    while (f && fgets(text, sizeof(text), f)) {
        bool ok = true;
        if (parse_request(text, &l) && l.level >= 1 && l.level <= 4 && parse_answer(text, &l))
            ok = line_agrees(&l), flags++;
        else if (parse_trial(text, &t))
            ok = trial_agrees(&t, text), kinds++;
        differ += !ok;
        if (!ok)
            fprintf(stderr, "real Xen said: %s", text);
    }
    if (f)
        fclose(f);
    printf("real Xen's record: %u replies about flags, %u about kinds of frames, %u differ\n",
           flags, kinds, differ);
    return differ + (flags == 0 || kinds == 0);
}
