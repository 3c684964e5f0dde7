/* SPDX-License-Identifier: MIT */
/* `ar` archives: GNU's and BSD's names. */
#ifndef PVMM_LINT_ARCHIVE_H
#define PVMM_LINT_ARCHIVE_H

#include "internal.h"

bool is_archive(const struct lint_input *in);
/* One whose members are files of their own. */
bool is_thin_archive(const struct lint_input *in);

struct archive {
    const struct lint_input *in;
    size_t at;         /* of the next header */
    const char *names; /* the long ones; NULL: none so far */
    size_t names_size;
    bool thin; /* a member's bytes do not follow its header */
};

void archive_open(struct archive *a, const struct lint_input *in);
/*
 * The next member, tables of symbols and names aside: 1, 0 at the end, -1 if the archive is
 * damaged. Its name is put into `name`, which `member->name` becomes.
 */
int archive_next(struct archive *a, char *name, size_t chars, struct lint_input *member,
                 struct lint_error *e);

#endif
