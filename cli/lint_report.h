/* SPDX-License-Identifier: MIT */
/* What lint found in a file, for people and for programs. */
#ifndef PVMM_CLI_LINT_REPORT_H
#define PVMM_CLI_LINT_REPORT_H

#include <json-c/json.h>

#include "lint.h"

/* One line for a file without anything to say; else the answers, and what they rest on. `quiet`:
 * findings only. */
void lint_print(const char *file, const char *wrapping, const struct lint_report *r, bool quiet);

struct json_object *lint_json(const char *file, const char *wrapping, const struct lint_report *r);
/* Of one that could not be read. */
struct json_object *lint_json_error(const char *file, const char *why);
/* Takes the objects. */
struct json_object *lint_json_all(struct json_object *files);

#endif
