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

/* For others who tell of the guest in the same manner: a label with its text (no label: more of the
 * one before), the calls of a stack with the instruction ("": none), and the same as JSON. */
void explain_text_label(const char *label, const char *text, bool color, FILE *out);
void explain_text_calls(const struct explain_call *call, unsigned n, const char *instruction,
                        bool color, FILE *out);
struct json_object *explain_symbol_json(const struct explain_symbol *s);
struct json_object *explain_entry_json(const struct explain_entry *e);
struct json_object *explain_calls_json(const struct explain_call *call, unsigned n);

/* A record of the recorder as one line, without its end; `index` counts from 0 for ever. */
void explain_record_text(const struct explain_sources *s, uint64_t index,
                         const struct pvmm_record *r, char *text, size_t size);
struct json_object *explain_record_json(const struct explain_sources *s, uint64_t index,
                                        const struct pvmm_record *r);

#endif
