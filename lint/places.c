/* SPDX-License-Identifier: MIT */
#include "places.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int places_add(struct places *p, const struct place *place)
{
    if (p->nr == p->room) {
        const size_t room = p->room == 0 ? 1 : 2 * p->room; /* one of a section is usual */
        struct place *more = reallocarray(p->at, room, sizeof(*more));

        if (more == NULL)
            return -1;
        p->at = more;
        p->room = room;
    }
    p->at[p->nr++] = *place;
    return 0;
}

void places_free(struct places *p)
{
    free(p->at);
    *p = (struct places){0};
}

const char *name_words(const char *name, char text[static NAME_CHARS + 1])
{
    size_t n = 0;

    for (; name[n] != '\0' && n < NAME_CHARS; n++)
        text[n] = isprint((unsigned char)name[n]) ? name[n] : '?';
    text[n] = '\0';
    if (name[n] != '\0')
        memcpy(text + n - 3, "...", 3);
    return text;
}

/* ---- settling */

/* What holds others is before them; of aliases the longest, then a global one. */
static int by_address(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    return (int)y->global - (int)x->global;
}

static uint64_t end_of(const struct place *p)
{
    return p->size > UINT64_MAX - p->start ? UINT64_MAX : p->start + p->size;
}

/* Aliases, and what lies in another: that one answers for it. */
static size_t drop_covered(struct place *p, size_t nr)
{
    uint64_t covered = 0; /* end of what has a size */
    size_t kept = 0;

    for (size_t i = 0; i < nr; i++) {
        const bool alias = kept > 0 && p[kept - 1].start == p[i].start;
        const bool inside = p[i].sized ? end_of(&p[i]) <= covered : p[i].start < covered;

        if (alias || inside)
            continue;
        p[kept++] = p[i];
        if (p[i].sized && end_of(&p[i]) > covered)
            covered = end_of(&p[i]);
    }
    return kept;
}

/* A label that closes what is before it: at its end, and behind it nothing but padding. */
static bool is_end_mark(const struct place *before, const struct place *label)
{
    return before != NULL && before->sized && end_of(before) == label->start &&
           label->start % LINT_PAGE != 0 && label->size < LINT_PAGE;
}

static size_t size_labels(struct place *p, size_t nr, uint64_t end)
{
    size_t kept = 0;

    for (size_t i = 0; i < nr; i++) {
        struct place *next = i + 1 < nr ? &p[i + 1] : NULL;

        if (!p[i].sized) {
            p[i].size = (next != NULL ? next->start : end) - p[i].start;
            p[i].up_to = next != NULL ? next->name : "";
            if (is_end_mark(kept > 0 ? &p[kept - 1] : NULL, &p[i]))
                continue;
        }
        p[kept++] = p[i];
    }
    return kept;
}

static struct place unnamed(const struct piece *piece, uint64_t start, uint64_t end)
{
    return (struct place){.start = start,
                          .size = end - start,
                          .section = piece->section,
                          .member = piece->member,
                          .sized = true};
}

/* Before the first symbol, and behind the last: what is between two may be padding. */
static int add_unnamed(struct places *p, size_t from, const struct piece *piece)
{
    const uint64_t end = piece->start + piece->size;
    const bool none = p->nr == from;
    const uint64_t last = none ? piece->start : end_of(&p->at[p->nr - 1]);

    if (!none && p->at[from].start > piece->start && p->at[from].start % LINT_PAGE != 0) {
        const struct place head = unnamed(piece, piece->start, p->at[from].start);

        if (places_add(p, &head) != 0)
            return -1;
        memmove(&p->at[from + 1], &p->at[from], (p->nr - 1 - from) * sizeof(head));
        p->at[from] = head;
    }
    if (last < end && (none || end % LINT_PAGE != 0)) {
        const struct place tail = unnamed(piece, last, end);

        return places_add(p, &tail);
    }
    return 0;
}

/* -fdata-sections puts a variable that is itself called page_aligned into a section of such a name.
 */
static bool is_own_section(const struct place *p, size_t nr, const struct piece *piece)
{
    static const char name[] = "page_aligned";
    const size_t n = sizeof(name) - 1;

    return nr == 1 && p->name != NULL &&
           (strncmp(piece->section, ".bss.p", 6) == 0 ||
            strncmp(piece->section, ".data.p", 7) == 0) &&
           strncmp(p->name, name, n) == 0 && (p->name[n] == '\0' || p->name[n] == '.');
}

/* How many of them are left. */
static size_t settle(struct place *first, size_t nr, const struct piece *piece)
{
    const uint64_t end = piece->start + piece->size;

    for (size_t i = 0; i < nr; i++)
        first[i].beyond = end_of(&first[i]) > end;
    qsort(first, nr, sizeof(*first), by_address);
    nr = drop_covered(first, nr);
    return size_labels(first, nr, end);
}

int places_settle(struct places *p, size_t from, const struct piece *piece, struct lint_error *e)
{
    if (p->nr > from) {
        p->nr = from + settle(&p->at[from], p->nr - from, piece);
        if (is_own_section(&p->at[from], p->nr - from, piece)) {
            p->nr = from;
            return 0;
        }
    }
    return add_unnamed(p, from, piece) == 0 ? 0 : lint_fail(e, "no memory for its symbols");
}

/* ---- findings */

static int copy_name(char **to, const char *name)
{
    char text[NAME_CHARS + 1];

    *to = name != NULL ? strdup(name_words(name, text)) : NULL;
    return name != NULL && *to == NULL ? -1 : 0;
}

int finding_of(struct lint_finding *f, const char *member, const char *section, const char *symbol,
               struct lint_error *e)
{
    if (f == NULL || copy_name(&f->member, member) != 0 || copy_name(&f->section, section) != 0 ||
        copy_name(&f->symbol, symbol) != 0)
        return lint_fail(e, "no memory for its findings");
    return 0;
}

static bool off_page(const struct place *p)
{
    return p->start % LINT_PAGE != 0;
}

static bool odd_size(const struct place *p)
{
    return p->size == 0 || p->size % LINT_PAGE != 0 || p->beyond;
}

/* Of each place: how many behind it are off their pages until one is not. */
static void count_shifted(struct places *p)
{
    unsigned behind = 0;

    for (size_t i = p->nr; i-- > 0;) {
        p->at[i].shifted = behind;
        behind = off_page(&p->at[i]) ? behind + (p->at[i].name != NULL) : 0;
    }
}

/* The first names of those from `i` on that are off their pages. */
static void list_shifted(const struct places *p, size_t i, unsigned shifted, char *text)
{
    char name[NAME_CHARS + 1];
    size_t n = 0;
    unsigned told = 0;

    text[0] = '\0';
    for (; i < p->nr && off_page(&p->at[i]); i++) {
        if (p->at[i].name == NULL)
            continue;
        name_words(p->at[i].name, name);
        if (n + strlen(name) + sizeof(", and 4294967295 more") > LINT_CHARS)
            break;
        n += (size_t)snprintf(text + n, LINT_CHARS - n, "%s%s", told++ > 0 ? ", " : "", name);
    }
    if (told > 0 && told < shifted)
        snprintf(text + n, LINT_CHARS - n, " and %u more", shifted - told);
}

static const char *whose(const struct place *p, char name[static NAME_CHARS + 1])
{
    return p->name != NULL ? name_words(p->name, name) : "what no symbol names";
}

/* `own`: it starts inside a page, and not because of what is ahead of it. */
static struct lint_finding *size_finding(struct lint_report *r, const struct place *p, bool own)
{
    char name[NAME_CHARS + 1], up_to[NAME_CHARS + 1], start[64] = "";

    if (own)
        snprintf(start, sizeof(start), ", and starts 0x%" PRIx64 " bytes into one",
                 p->start % LINT_PAGE);
    if (p->name == NULL)
        return lint_add(r, "section-size", LINT_FINDING,
                        "%" PRIu64 " bytes that no symbol names are no whole number of pages",
                        p->size);
    if (p->beyond)
        return lint_add(r, "symbol-size", LINT_FINDING,
                        "%s is said to be %" PRIu64 " bytes long, more than its section has",
                        name_words(p->name, name), p->size);
    if (p->up_to == NULL)
        return lint_add(r, "symbol-size", LINT_FINDING,
                        "%s is %" PRIu64 " bytes long, which is no whole number of pages%s",
                        name_words(p->name, name), p->size, start);
    return lint_add(r, "symbol-size", LINT_FINDING,
                    "%s has no size; up to %s it is %" PRIu64
                    " bytes long, which is no whole number of pages%s",
                    name_words(p->name, name),
                    p->up_to[0] != '\0' ? name_words(p->up_to, up_to) : "the section's end",
                    p->size, start);
}

static struct lint_finding *address_finding(struct lint_report *r, const struct place *p,
                                            bool image)
{
    char name[NAME_CHARS + 1];

    return lint_add(r, "symbol-address", LINT_FINDING,
                    "%s starts 0x%" PRIx64 " bytes into a page%s", whose(p, name),
                    p->start % LINT_PAGE, image ? "" : " of its section");
}

static int add_finding(const struct places *p, size_t i, bool image, bool own,
                       struct lint_report *r, struct lint_error *e)
{
    const struct place *at = &p->at[i];
    struct lint_finding *f =
        odd_size(at) ? size_finding(r, at, own) : address_finding(r, at, image);

    if (finding_of(f, at->member, at->section, at->name, e) != 0)
        return -1;
    f->has_address = f->has_size = true;
    f->address = at->start;
    f->size = at->size;
    f->shifted = at->shifted;
    list_shifted(p, i + 1, at->shifted, f->also);
    return 0;
}

/* In an image: the first of a run begins where its section does, and that is inside a page. */
static int add_start(const struct places *p, struct lint_report *r, struct lint_error *e)
{
    const struct place *first = &p->at[0];
    char name[NAME_CHARS + 1];
    struct lint_finding *f =
        lint_add(r, "section-alignment", LINT_FINDING, "%s starts at %" PRIx64 ", inside a page",
                 name_words(first->section, name), first->start);

    if (finding_of(f, first->member, first->section, NULL, e) != 0)
        return -1;
    f->has_address = true;
    f->address = first->start;
    f->shifted = first->shifted + (first->name != NULL);
    list_shifted(p, 0, f->shifted, f->also);
    return 0;
}

/* Findings cost more memory than what they are of. */
#define FINDINGS_SHOWN 64

static int add_rest(const struct place *p, size_t rest, struct lint_report *r, struct lint_error *e)
{
    char name[NAME_CHARS + 1];

    return finding_of(lint_add(r, "more-findings", LINT_FINDING,
                               "%zu more symbols of %s are no whole pages, or not on one", rest,
                               name_words(p->section, name)),
                      p->member, p->section, NULL, e);
}

int places_judge(struct places *p, bool image, struct lint_report *r, struct lint_error *e)
{
    bool shifting = p->nr > 0 && image && off_page(&p->at[0]);
    size_t found = 0;

    count_shifted(p);
    if (shifting && add_start(p, r, e) != 0)
        return -1;
    for (size_t i = 0; i < p->nr; i++) {
        const bool own = off_page(&p->at[i]) && !shifting;

        shifting = odd_size(&p->at[i]) || off_page(&p->at[i]);
        if (!own && !odd_size(&p->at[i]))
            continue;
        if (found++ < FINDINGS_SHOWN && add_finding(p, i, image, own, r, e) != 0)
            return -1;
    }
    return found > FINDINGS_SHOWN ? add_rest(&p->at[0], found - FINDINGS_SHOWN, r, e) : 0;
}
