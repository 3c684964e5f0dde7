/* SPDX-License-Identifier: MIT */
#include "lint_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "jsonput.h"
#include "plain.h"
#include "tone.h"

#define FORMAT 1 /* docs/lint.md */

static const char *const questions[] = {
    [LINT_ALIGNED] = "page-aligned",
    [LINT_BOOT_PVMM] = "boots-pvmm",
    [LINT_BOOT_XEN] = "boots-xen",
};
static const char *const asked[] = {
    [LINT_ALIGNED] = "page-aligned",
    [LINT_BOOT_PVMM] = "boots on pvmm",
    [LINT_BOOT_XEN] = "boots on Xen",
};
static const char *const answers[] = {
    [LINT_NOT_ASKED] = "not-asked",
    [LINT_YES] = "yes",
    [LINT_NO] = "no",
    [LINT_UNDECIDABLE] = "undecidable",
};
static const char *const weights[] = {
    [LINT_FINDING] = "finding", [LINT_OPEN] = "open", [LINT_NOTE] = "note"};

/* ---- text */

static const char *answer_word(enum lint_answer answer)
{
    return answer == LINT_UNDECIDABLE ? "not decidable" : answers[answer];
}

static const char *colour(enum lint_answer answer)
{
    static const char *const codes[] = {[LINT_NOT_ASKED] = "",
                                        [LINT_YES] = "\033[32m",
                                        [LINT_NO] = "\033[1;31m",
                                        [LINT_UNDECIDABLE] = "\033[33m"};
    return codes[answer];
}

static void print_kind(const char *file, const char *wrapping, const struct lint_report *r)
{
    plain_put(file, stdout);
    printf(": %s%s%s", wrapping, wrapping[0] ? ", " : "", r->kind);
}

/* "page-aligned: 5 symbols are whole pages; boots on pvmm, boots on Xen" */
static void print_clean(const char *file, const char *wrapping, const struct lint_report *r)
{
    print_kind(file, wrapping, r);
    printf(": %s", r->why[LINT_ALIGNED]);
    for (unsigned q = LINT_ALIGNED + 1; q < LINT_QUESTIONS; q++)
        if (r->answer[q] != LINT_NOT_ASKED)
            printf(", %s", asked[q]);
    printf("\n");
}

static void print_answers(const struct lint_report *r)
{
    const bool tone = tone_wanted(stdout);

    for (unsigned q = 0; q < LINT_QUESTIONS; q++) {
        const enum lint_answer answer = r->answer[q];

        if (answer == LINT_NOT_ASKED && r->why[q][0] == '\0')
            continue;
        printf("  %-14s%s%-13s%s  ", asked[q], tone ? colour(answer) : "",
               answer == LINT_NOT_ASKED ? "not asked" : answer_word(answer), tone ? "\033[0m" : "");
        command_wrap(r->why[q], 31);
    }
}

static void print_where(const struct lint_finding *f)
{
    const char *between = "";

    if (!f->has_address && f->section == NULL && f->member == NULL)
        return;
    printf("      where   ");
    if (f->has_address) {
        printf("0x%" PRIx64, f->address);
        between = " ";
    }
    if (f->section != NULL) {
        printf("%sin %s", between, f->section);
        between = " ";
    }
    if (f->member != NULL)
        printf("%sof %s", between, f->member);
    printf("\n");
}

static void print_also(const struct lint_finding *f)
{
    char text[LINT_CHARS + 32];

    if (f->shifted == 0 && f->also[0] == '\0')
        return;
    if (f->shifted != 0)
        snprintf(text, sizeof(text), "%u symbol%s: %s", f->shifted, f->shifted == 1 ? "" : "s",
                 f->also);
    else
        snprintf(text, sizeof(text), "%s", f->also);
    printf("      %-8s", f->shifted != 0 ? "shifts" : "also");
    command_wrap(text, 14);
}

static void print_finding(const struct lint_finding *f)
{
    const bool tone = tone_wanted(stdout) && f->weight == LINT_FINDING;
    char text[LINT_CHARS + 64];

    snprintf(text, sizeof(text), "%s%s: %s", f->code, f->weight == LINT_NOTE ? " (note)" : "",
             f->text);
    printf("  - %s", tone ? "\033[1m" : "");
    command_wrap(text, 4);
    printf("%s", tone ? "\033[0m" : "");
    print_where(f);
    print_also(f);
}

/* What is open is often said by the answer. */
static bool is_said(const struct lint_finding *f, const struct lint_report *r)
{
    return f->weight == LINT_OPEN && strcmp(f->text, r->why[f->question]) == 0 && f->member == NULL;
}

/* Nothing was asked but the sections, and there is not even an excepted symbol in them. */
static bool is_clean(const struct lint_report *r)
{
    for (unsigned q = 0; q < LINT_QUESTIONS; q++)
        if (r->answer[q] != (q == LINT_ALIGNED ? LINT_YES : LINT_NOT_ASKED))
            return false;
    for (size_t i = 0; i < r->nr_findings; i++)
        if (r->finding[i].symbol != NULL)
            return false;
    return true;
}

bool lint_count(struct lint_tally *t, const struct lint_report *r)
{
    if (!is_clean(r))
        return false;
    t->files++;
    t->sections += r->sections;
    t->symbols += r->symbols;
    return true;
}

void lint_print_tally(const struct lint_tally *t)
{
    if (t->files == 0)
        return;
    printf("%" PRIu64 " file%s clean: ", t->files, t->files == 1 ? " is" : "s are");
    if (t->sections == 0)
        printf("no page-aligned section is in %s\n", t->files == 1 ? "it" : "them");
    else
        printf("%" PRIu64 " symbol%s in %" PRIu64 " section%s %s whole pages\n", t->symbols,
               t->symbols == 1 ? "" : "s", t->sections, t->sections == 1 ? "" : "s",
               t->symbols == 1 ? "is" : "are");
}

void lint_print(const char *file, const char *wrapping, const struct lint_report *r, bool quiet)
{
    if (quiet && r->weight[LINT_FINDING] == 0)
        return;
    if (r->nr_findings == 0) {
        print_clean(file, wrapping, r);
        return;
    }
    print_kind(file, wrapping, r);
    printf("%s%s\n", r->build_id[0] ? ", build id " : "", r->build_id);
    if (!quiet)
        print_answers(r);
    for (size_t i = 0; i < r->nr_findings; i++)
        if (r->finding[i].weight == LINT_FINDING || (!quiet && !is_said(&r->finding[i], r)))
            print_finding(&r->finding[i]);
}

/* ---- JSON */

static struct json_object *text_or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? json_text(text) : NULL;
}

/* As in the text: JSON's readers lose bits above 53. */
static struct json_object *json_question(const struct lint_report *r, unsigned q)
{
    struct json_object *o = json_object_new_object();

    put(o, "question", json_text(questions[q]));
    put(o, "answer", json_text(answers[r->answer[q]]));
    put(o, "why", text_or_null(r->why[q]));
    return o;
}

static struct json_object *json_finding(const struct lint_finding *f)
{
    struct json_object *o = json_object_new_object();

    put(o, "code", json_text(f->code));
    put(o, "question", json_text(questions[f->question]));
    put(o, "weight", json_text(weights[f->weight]));
    put(o, "member", text_or_null(f->member));
    put(o, "section", text_or_null(f->section));
    put(o, "symbol", text_or_null(f->symbol));
    put_hex_if(o, "address", f->address, f->has_address);
    put_hex_if(o, "size", f->size, f->has_size);
    put_int(o, "shifted", f->shifted);
    put(o, "text", json_text(f->text));
    put(o, "also", text_or_null(f->also));
    return o;
}

struct json_object *lint_json(const char *file, const char *wrapping, const struct lint_report *r)
{
    struct json_object *o = json_object_new_object(), *all = json_object_new_array(),
                       *findings = json_object_new_array();

    put(o, "file", json_text(file));
    put(o, "error", NULL);
    put(o, "wrapping", text_or_null(wrapping));
    put(o, "kind", json_text(r->kind));
    put(o, "build_id", text_or_null(r->build_id));
    put_bool(o, "not_pv", r->not_pv);
    put_int(o, "members", r->members);
    put_int(o, "sections", r->sections);
    put_int(o, "symbols", r->symbols);
    for (unsigned q = 0; q < LINT_QUESTIONS; q++)
        json_object_array_add(all, json_question(r, q));
    put(o, "questions", all);
    for (size_t i = 0; i < r->nr_findings; i++)
        json_object_array_add(findings, json_finding(&r->finding[i]));
    put(o, "findings", findings);
    return o;
}

struct json_object *lint_json_error(const char *file, const char *why)
{
    struct json_object *o = json_object_new_object();

    put(o, "file", json_text(file));
    put(o, "error", json_text(why));
    return o;
}

struct json_object *lint_json_all(struct json_object *files)
{
    struct json_object *o = json_object_new_object();

    put_int(o, "format", FORMAT);
    put(o, "files", files);
    return o;
}
