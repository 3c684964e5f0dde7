/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

int lint_fail(struct lint_error *e, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(e->text, sizeof(e->text), format, args);
    va_end(args);
    return -1;
}

int lint_context(struct lint_error *e, const char *format, ...)
{
    char inner[sizeof(e->text)];
    va_list args;
    size_t n;

    memcpy(inner, e->text, sizeof(inner));
    va_start(args, format);
    vsnprintf(e->text, sizeof(e->text), format, args);
    va_end(args);
    n = strlen(e->text);
    snprintf(e->text + n, sizeof(e->text) - n, ": %s", inner);
    return -1;
}

static const struct lint_code *code_named(const char *code)
{
    for (size_t i = 0; i < lint_nr_codes; i++)
        if (strcmp(lint_codes[i].code, code) == 0)
            return &lint_codes[i];
    return NULL;
}

static struct lint_finding *append(struct lint_report *r)
{
    struct lint_finding *list = reallocarray(r->finding, r->nr_findings + 1, sizeof(*list));

    if (list == NULL)
        return NULL;
    r->finding = list;
    return &list[r->nr_findings++];
}

static void drop_names(struct lint_finding *f)
{
    free(f->member);
    free(f->section);
    free(f->symbol);
    *f = (struct lint_finding){.code = NULL};
}

static struct lint_finding *unlisted(struct lint_report *r)
{
    drop_names(&r->beyond);
    return &r->beyond;
}

struct lint_finding *lint_add(struct lint_report *r, const char *code, enum lint_weight weight,
                              const char *format, ...)
{
    const struct lint_code *known = code_named(code);
    struct lint_finding *f;
    va_list args;

    if (known == NULL)
        abort(); /* a code that no table has: a mistake of ours */
    f = known->question == LINT_ALIGNED && r->weight[weight] >= FINDINGS_LISTED ? unlisted(r)
                                                                                : append(r);
    if (f == NULL)
        return NULL;
    *f = (struct lint_finding){.code = known->code, .question = known->question, .weight = weight};
    r->weight[weight]++;
    va_start(args, format);
    vsnprintf(f->text, sizeof(f->text), format, args);
    va_end(args);
    return f;
}

int lint_add_rest(struct lint_report *r, struct lint_error *e)
{
    const struct lint_code *known = code_named("more-findings");

    for (enum lint_weight w = LINT_FINDING; w <= LINT_NOTE; w++) {
        if (r->weight[w] <= FINDINGS_LISTED)
            continue;
        struct lint_finding *f = append(r);
        if (f == NULL)
            return lint_fail(e, "no memory for its findings");
        *f = (struct lint_finding){.code = known->code, .question = known->question, .weight = w};
        snprintf(f->text, sizeof(f->text), "%zu more of the file are not listed",
                 r->weight[w] - FINDINGS_LISTED);
    }
    return 0;
}

void lint_free(struct lint_report *r)
{
    for (size_t i = 0; i < r->nr_findings; i++)
        drop_names(&r->finding[i]);
    drop_names(&r->beyond);
    free(r->finding);
    r->finding = NULL;
    r->nr_findings = 0;
}
