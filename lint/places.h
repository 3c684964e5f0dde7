/* SPDX-License-Identifier: MIT */
/*
 * What lies in page-aligned sections, in the order of its addresses, and the judgement: all of it
 * is to be whole pages, on pages. Whatever is not shifts what follows, up to the next that an
 * alignment of its own puts back onto a page.
 */
#ifndef PVMM_LINT_PLACES_H
#define PVMM_LINT_PLACES_H

#include "internal.h"

#define LINT_PAGE  4096u
#define NAME_CHARS 160 /* of a symbol's, section's or file's name; more is cut */

/* A section of one object, there or in the image that it was linked into. */
struct piece {
    const char *section;
    const char *member; /* NULL: the file itself */
    uint64_t start, size;
};

struct place {
    uint64_t start, size;
    const char *name; /* NULL: bytes that no symbol names */
    const char *section, *member;
    const char *up_to; /* has no size of its own, and is as long as up to that; "": the end */
    bool sized, global;
    bool beyond; /* it claims more than its section has */
    unsigned shifted;
};

struct places {
    struct place *at;
    size_t nr, room;
};

/* -1: no memory. */
int places_add(struct places *p, const struct place *place);
void places_free(struct places *p);

/*
 * Takes the places from `from` on, in any order, for the symbols of `piece`: sorts them, leaves out
 * those that lie in others or only mark an end, gives those without a size the room up to the next,
 * and adds the bytes that no symbol names where they shift something.
 */
int places_settle(struct places *p, size_t from, const struct piece *piece, struct lint_error *e);

/* `image`: addresses are those of a linked image, and not from a section's start on. */
int places_judge(struct places *p, bool image, struct lint_report *r, struct lint_error *e);

/* As much of a name as is shown, without what a terminal would act on. */
const char *name_words(const char *name, char text[static NAME_CHARS + 1]);
/* Fills in what a finding is of; -1 if it is NULL or memory is out. */
int finding_of(struct lint_finding *f, const char *member, const char *section, const char *symbol,
               struct lint_error *e);

#endif
