/* SPDX-License-Identifier: MIT */
/* What lint found in a file, for people and for programs. */
#ifndef PVMM_CLI_LINT_REPORT_H
#define PVMM_CLI_LINT_REPORT_H

#include <json-c/json.h>

#include "lint.h"

/* Files that are clean, of many, are counted and not listed. */
struct lint_tally {
    uint64_t files, sections, symbols;
};
/* True: it is, and was. An image never is: whether it boots is an answer, too. */
bool lint_count(struct lint_tally *t, const struct lint_report *r);
void lint_print_tally(const struct lint_tally *t);

/* One line for a file without anything to say; else the answers, and what they rest on. `quiet`:
 * findings only. */
void lint_print(const char *file, const char *wrapping, const struct lint_report *r, bool quiet);

struct json_object *lint_json(const char *file, const char *wrapping, const struct lint_report *r);
/* Of one that could not be read. */
struct json_object *lint_json_error(const char *file, const char *why);
/* Takes the objects. */
struct json_object *lint_json_all(struct json_object *files);

#endif
