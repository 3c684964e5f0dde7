/* SPDX-License-Identifier: MIT */
/* What a file is, and which questions are asked of it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive.h"
#include "elffile.h"
#include "places.h"

#define FILE_CHARS 4096 /* of the path of a thin archive's member */
#define DEPTH      8 /* of archives in archives: their members' bytes are gone through once for each */

struct walk {
    const struct lint_options *options;
    struct lint_report *report;
    unsigned depth;
    size_t skipped; /* members that are no objects */
};

/* ---- answers */

static bool is_excepted(const struct lint_finding *f, const struct lint_options *o)
{
    for (size_t i = 0; f->symbol != NULL && i < o->nr_except; i++)
        if (strcmp(f->symbol, o->except[i]) == 0)
            return f->question == LINT_ALIGNED && f->weight == LINT_FINDING;
    return false;
}

/* How many are. */
static size_t except(struct lint_report *r, const struct lint_options *o)
{
    size_t nr = 0;

    for (size_t i = 0; i < r->nr_findings; i++)
        if (is_excepted(&r->finding[i], o)) {
            r->finding[i].weight = LINT_NOTE;
            nr++;
        }
    r->weight[LINT_FINDING] -= nr;
    r->weight[LINT_NOTE] += nr;
    return nr;
}

static void why_aligned(const struct lint_report *r, size_t excepted, char why[static LINT_CHARS])
{
    char but[64] = "";

    if (excepted != 0)
        snprintf(but, sizeof(but), ", but for %zu excepted", excepted);
    if (r->sections == 0)
        snprintf(why, LINT_CHARS, "no page-aligned section is in it");
    else
        snprintf(why, LINT_CHARS, "%" PRIu64 " symbol%s in %" PRIu64 " section%s %s whole pages%s",
                 r->symbols, r->symbols == 1 ? "" : "s", r->sections, r->sections == 1 ? "" : "s",
                 r->symbols == 1 ? "is" : "are", but);
}

static void answer_aligned(struct lint_report *r, const struct lint_options *o)
{
    char *why = r->why[LINT_ALIGNED];
    size_t weight[LINT_NOTE + 1] = {0};

    const size_t excepted = except(r, o);

    for (size_t i = 0; i < r->nr_findings; i++)
        weight[r->finding[i].weight] += r->finding[i].question == LINT_ALIGNED;
    if (weight[LINT_FINDING] != 0) {
        r->answer[LINT_ALIGNED] = LINT_NO;
        snprintf(why, LINT_CHARS, "%zu finding%s", weight[LINT_FINDING],
                 weight[LINT_FINDING] == 1 ? "" : "s");
    } else if (weight[LINT_OPEN] != 0) {
        r->answer[LINT_ALIGNED] = LINT_UNDECIDABLE;
        for (size_t i = 0; i < r->nr_findings; i++)
            if (r->finding[i].question == LINT_ALIGNED && r->finding[i].weight == LINT_OPEN)
                memcpy(why, r->finding[i].text, LINT_CHARS);
    } else {
        r->answer[LINT_ALIGNED] = LINT_YES;
        why_aligned(r, excepted, why);
    }
}

/* ---- ELF */

static bool is_bitcode(const struct lint_input *in)
{
    return in->size >= 4 && memcmp(in->data, "BC\xc0\xde", 4) == 0;
}

static int add_bitcode(const char *member, struct lint_report *r, struct lint_error *e)
{
    return finding_of(lint_add(r, "intermediate-code", LINT_OPEN,
                               "it is a compiler's intermediate code (LLVM's bitcode): the linker "
                               "makes the sections"),
                      member, NULL, NULL, e);
}

/* What it is in words; whether it can be booted. */
static int look_at(const struct lint_input *in, struct lint_report *r, bool *boots,
                   struct lint_error *e)
{
    static const char *const types[] = {
        [ET_REL] = "object", [ET_EXEC] = "executable", [ET_DYN] = "shared object"};
    struct elf_file f;

    if (elf_file_open(in, &f, e) != 0)
        return -1;
    const unsigned type = f.header.e_type;
    const bool known = type == ET_REL || type == ET_EXEC || type == ET_DYN;
    if (known) {
        snprintf(r->kind, sizeof(r->kind), "ELF %s%s%s", types[type],
                 f.header.e_ident[EI_CLASS] == ELFCLASS32 ? ", 32-bit" : "",
                 f.header.e_ident[EI_DATA] == ELFDATA2MSB ? ", big-endian" : "");
        elf_build_id(&f, r->build_id, sizeof(r->build_id));
        *boots = type == ET_EXEC || (type == ET_DYN && f.header.e_entry != 0);
    }
    elf_file_close(&f);
    if (type == ET_CORE)
        return lint_fail(e, "a core file: there is no kernel to judge in it");
    return known ? 0
                 : lint_fail(e, "an ELF file of type %u, which is neither an object nor an image",
                             type);
}

static int lint_elf(const struct lint_input *in, const struct lint_options *o,
                    struct lint_report *r, struct lint_error *e)
{
    bool boots = false;

    if (look_at(in, r, &boots, e) != 0 || lint_aligned(in, NULL, o, r, e) != 0 ||
        lint_add_rest(r, e) != 0)
        return -1;
    answer_aligned(r, o);
    return boots && !o->no_boot ? lint_boot(in, o, r, e) : 0;
}

/* ---- archives */

static int walk_archive(struct walk *w, const struct lint_input *in, const char *outer,
                        struct lint_error *e);

static int fail_thin(const struct lint_input *in, struct lint_error *e)
{
    char name[NAME_CHARS + 1], words[NAME_CHARS + 1] = "none";
    struct lint_input member;
    struct lint_error none;
    struct archive a;

    archive_open(&a, in);
    if (archive_next(&a, name, sizeof(name), &member, &none) == 1)
        name_words(name, words);
    return lint_fail(e,
                     "a thin archive: its members are files of their own, to be given themselves "
                     "(the first: %s)",
                     words);
}

static bool is_object(const struct lint_input *in)
{
    return is_elf(in) && in->size > EI_NIDENT + 1 &&
           in->data[EI_NIDENT + (in->data[EI_DATA] == ELFDATA2MSB)] != ET_CORE;
}

static int walk_member(struct walk *w, const struct lint_input *in, const char *name,
                       struct lint_error *e)
{
    if (is_archive(in) || is_thin_archive(in))
        return walk_archive(w, in, name, e);
    if (is_bitcode(in)) {
        w->report->members++;
        return add_bitcode(name, w->report, e);
    }
    if (!is_object(in)) {
        w->skipped++;
        return 0;
    }
    w->report->members++;
    return lint_aligned(in, name, w->options, w->report, e);
}

/* Of a thin archive, whose members are opened one by one. */
static int walk_file(struct walk *w, struct lint_input *member, const char *file, const char *path,
                     struct lint_error *e)
{
    const struct lint_members *members = w->options->members;

    if (members->open(members->context, file, member, e) != 0)
        return -1;
    const int rc = walk_member(w, member, path, e);
    members->close(members->context, member);
    return rc;
}

static int walk_members(struct walk *w, const struct lint_input *in, const char *outer,
                        struct lint_error *e)
{
    char name[FILE_CHARS], words[NAME_CHARS + 1], path[4 * NAME_CHARS];
    struct lint_input member;
    struct archive a;
    int rc;

    archive_open(&a, in);
    while ((rc = archive_next(&a, name, sizeof(name), &member, e)) == 1) {
        name_words(name, words);
        if (outer != NULL)
            snprintf(path, sizeof(path), "%s(%s)", outer, words);
        else
            snprintf(path, sizeof(path), "%s", words);
        member.name = path;
        if ((a.thin ? walk_file(w, &member, name, path, e) : walk_member(w, &member, path, e)) != 0)
            return lint_context(e, "%s", words);
    }
    return rc;
}

static int walk_archive(struct walk *w, const struct lint_input *in, const char *outer,
                        struct lint_error *e)
{
    int rc;

    /* One in another would open files without end; linkers' and archivers' are flat. */
    if (is_thin_archive(in) && (w->options->members == NULL || w->depth != 0))
        return fail_thin(in, e);
    if (w->depth == DEPTH)
        return lint_fail(e, "archives are in each other more than %d deep", DEPTH);
    w->depth++;
    rc = walk_members(w, in, outer, e);
    w->depth--;
    return rc;
}

static int note_skipped(const struct walk *w, struct lint_error *e)
{
    if (w->skipped == 0)
        return 0;
    return finding_of(lint_add(w->report, "no-object", LINT_NOTE,
                               "%zu member%s no object, and left out", w->skipped,
                               w->skipped == 1 ? " is" : "s are"),
                      NULL, NULL, NULL, e);
}

static int lint_archive(const struct lint_input *in, const struct lint_options *o,
                        struct lint_report *r, struct lint_error *e)
{
    struct walk w = {o, r, 0, 0};

    if (walk_archive(&w, in, NULL, e) != 0 || note_skipped(&w, e) != 0 || lint_add_rest(r, e) != 0)
        return -1;
    snprintf(r->kind, sizeof(r->kind), "archive of %" PRIu64 " object%s", r->members,
             r->members == 1 ? "" : "s");
    answer_aligned(r, o);
    return 0;
}

/* ---- the file */

static int lint_bitcode(const struct lint_options *o, struct lint_report *r, struct lint_error *e)
{
    snprintf(r->kind, sizeof(r->kind), "LLVM bitcode");
    if (add_bitcode(NULL, r, e) != 0)
        return -1;
    answer_aligned(r, o);
    return 0;
}

int lint_file(const struct lint_input *in, const struct lint_options *o, struct lint_report *r,
              struct lint_error *e)
{
    int rc;

    *r = (struct lint_report){0};
    if (in->size == 0)
        rc = lint_fail(e, "it is empty");
    else if (is_elf(in))
        rc = lint_elf(in, o, r, e);
    else if (is_archive(in) || is_thin_archive(in))
        rc = lint_archive(in, o, r, e);
    else if (is_bitcode(in))
        rc = lint_bitcode(o, r, e);
    else
        rc = lint_fail(e, "it is neither an ELF file nor an archive of such");
    if (rc != 0) {
        lint_free(r);
        return lint_context(e, "%s", in->name);
    }
    return 0;
}
