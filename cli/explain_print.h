/* SPDX-License-Identifier: MIT */
/* Explanations for people and for programs. */
#ifndef PVMM_CLI_EXPLAIN_PRINT_H
#define PVMM_CLI_EXPLAIN_PRINT_H

#include <json-c/json.h>

#include "explain.h"

#define EXPLAIN_SCHEMA 1 /* of the JSON: docs/explain.md */

/* In full, over several lines. */
void explain_text(const struct explanation *x, bool color, FILE *out);

/* In one line, for the end: what was repeated how often. */
void explain_text_line(const struct explanation *x, FILE *out);

struct json_object *explain_json(const struct explanation *x);

/* A record of the recorder as one line, without its end; `index` counts from 0 for ever. */
void explain_record_text(const struct explain_sources *s, uint64_t index,
                         const struct pvmm_record *r, char *text, size_t size);
struct json_object *explain_record_json(const struct explain_sources *s, uint64_t index,
                                        const struct pvmm_record *r);

#endif
