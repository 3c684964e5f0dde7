/* SPDX-License-Identifier: MIT */
/*
 * One reading of a machine's memory. Three things give themselves away, whatever Xen's version: a
 * start_info begins with its magic; an L4 has itself in slot 258, where Xen keeps the tables
 * linear; and Xen's first message names its version. Where an L4's own number is not its place in
 * the file, it tells of the PCI hole, too.
 */
#include "xenmachine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pte.h"

#define LINEAR_SLOT  258u
#define MAGIC        "xen-3.0-x86_64" /* dom0 has a "p" behind it */
#define VERSION      "Xen version "
#define CHUNK        64u /* frames read at once */
#define TELL_EVERY   (16u << 10)
#define SPLITS       8u   /* different ones that are counted */
#define LOW_MULTIPLE 256u /* frames: a hole begins at whole MiB */

struct split {
    uint64_t low; /* frames; 0: there is none */
    uint64_t votes;
};

struct scanner {
    struct xen_scan *found;
    struct pv_physical *physical;
    struct xen_list own; /* what the L4s name themselves, beside found->l4 */
    struct split split[SPLITS];
};

bool xen_list_add(struct xen_list *l, uint64_t n)
{
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        uint32_t *grown = reallocarray(l->n, room, sizeof(*grown));
        if (!grown)
            return false;
        l->n = grown;
        l->room = room;
    }
    l->n[l->count++] = (uint32_t)n;
    return true;
}

/* ---- a page */

/* An L4 at place n that names itself m: is that its place, or can a hole lie between? */
static bool split_of(const struct scanner *s, uint64_t n, uint64_t m, uint64_t *low)
{
    *low = 0;
    if (m == n)
        return true;
    if (!s->physical->kind->split || m < HIGH_FRAME || m < n || m - n > HIGH_FRAME)
        return false;
    *low = HIGH_FRAME - (m - n);
    return *low && *low <= n && *low % LOW_MULTIPLE == 0;
}

static void vote(struct scanner *s, uint64_t low)
{
    for (unsigned i = 0; low && i < SPLITS; i++)
        if (s->split[i].low == low || s->split[i].votes == 0) {
            s->split[i].low = low;
            s->split[i].votes++;
            return;
        }
}

static bool look_for_table(struct scanner *s, uint64_t n, const uint64_t *words)
{
    uint64_t entry = words[LINEAR_SLOT], low;
    if (!pte_present(entry) || !split_of(s, n, pte_frame(entry).n, &low))
        return true;
    vote(s, low);
    return xen_list_add(&s->found->l4, n) && xen_list_add(&s->own, pte_frame(entry).n);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "Xen version 4.17.7 (Debian 4.17.7-1) (pkg@debian.org) (gcc ...": up to whom it was made by. */
static bool take_version(struct xen_scan *s, const char *text, size_t n)
{
    size_t used = strlen(VERSION), dot = used;
    while (dot < n && is_digit(text[dot]))
        dot++;
    if (dot == used || dot + 1 >= n || text[dot] != '.' || !is_digit(text[dot + 1]))
        return false;
    for (; used < n && used - strlen(VERSION) < sizeof(s->version) - 1; used++) {
        char c = text[used];
        if (c < ' ' || c > '~' || (c == ' ' && used + 1 < n && text[used + 1] == '('))
            break;
        s->version[used - strlen(VERSION)] = c;
    }
    return true;
}

static void look_for_version(struct xen_scan *s, const char *text, size_t n)
{
    while (!s->version[0]) {
        const char *at = memmem(text, n, VERSION, strlen(VERSION));
        if (!at || take_version(s, at, n - (size_t)(at - text)))
            return;
        n -= (size_t)(at + 1 - text);
        text = at + 1;
    }
}

static bool look_at(struct scanner *s, uint64_t n, const uint64_t *words)
{
    s->found->frames++;
    if (memcmp(words, MAGIC, strlen(MAGIC)) == 0 && !xen_list_add(&s->found->start_info, n))
        return false;
    return look_for_table(s, n, words);
}

/* ---- all of them */

static int look_at_chunk(struct scanner *s, mfn_t first, struct pv_error *e)
{
    uint64_t words[CHUNK * PAGE_BYTES / sizeof(uint64_t)];
    unsigned per_page = PAGE_BYTES / sizeof(uint64_t);
    for (unsigned i = 0; i < CHUNK; i++) {
        if (!s->physical->kind->read(s->physical, mfn(first.n + i), 0, &words[i * per_page],
                                     PAGE_BYTES))
            memset(&words[i * per_page], 0, PAGE_BYTES);
        else if (!look_at(s, first.n + i, &words[i * per_page]))
            return pv_no_memory(e);
    }
    look_for_version(s->found, (const char *)words, sizeof(words));
    return 0;
}

static int look_at_all(struct scanner *s, const struct pv_progress *progress, struct pv_error *e)
{
    struct pv_physical *p = s->physical;
    uint64_t told = 0;
    for (mfn_t m = p->kind->next(p, mfn(0)); m.n < p->end; m = p->kind->next(p, mfn(m.n + CHUNK))) {
        if (m.n >= told) {
            if (pv_tell(progress, "searching the machine's memory for Xen", m.n, p->end, e))
                return -1;
            told = m.n + TELL_EVERY;
        }
        if (look_at_chunk(s, m, e))
            return -1;
    }
    return 0;
}

/* ---- the hole */

static uint64_t true_number(uint64_t n, uint64_t low)
{
    return low && n >= low ? HIGH_FRAME + n - low : n;
}

static void renumber(struct xen_list *l, uint64_t low)
{
    for (size_t i = 0; i < l->count; i++)
        l->n[i] = (uint32_t)true_number(l->n[i], low);
}

/* Tables that say something else stay out: they are left over from something. */
static void use_split(struct scanner *s)
{
    const struct split *best = s->split;
    for (unsigned i = 1; i < SPLITS; i++)
        if (s->split[i].votes > best->votes)
            best = &s->split[i];
    if (best->low)
        s->physical->kind->split(s->physical, best->low);
    renumber(&s->found->l4, best->low);
    renumber(&s->found->start_info, best->low);
    struct xen_list *l4 = &s->found->l4;
    size_t kept = 0;
    for (size_t i = 0; i < l4->count; i++)
        if (l4->n[i] == s->own.n[i])
            l4->n[kept++] = l4->n[i];
    l4->count = kept;
}

int xen_scan(struct xen_scan *out, struct pv_physical *p, const struct pv_progress *progress,
             struct pv_error *e)
{
    struct scanner s = {.found = out, .physical = p};
    int rc = look_at_all(&s, progress, e);
    if (rc == 0)
        use_split(&s);
    free(s.own.n);
    return rc;
}

void xen_scan_free(struct xen_scan *s)
{
    free(s->l4.n);
    free(s->start_info.n);
}
