/* SPDX-License-Identifier: MIT */
/* Where two runs differ for the first time: their consoles, and what --json has of them. */
#ifndef PVMM_CLI_DIFFERENCE_H
#define PVMM_CLI_DIFFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "memfd.h"

#define DIFFERENCE_CHARS 320

/* A console that is compared as it comes. */
struct console_check {
    struct view recorded;
    uint64_t at;    /* bytes that came */
    bool different; /* from byte `at_fault` on */
    uint64_t at_fault;
};

void console_check_feed(struct console_check *c, const char *data, size_t size);
/* There is no more: it is different too if there was more. */
void console_check_end(struct console_check *c);

/*
 * Of two verdicts what is about the guest, and not about the host, its clock and how the run came
 * to its end. True, with the key of the first difference and both values: they differ.
 */
bool verdicts_differ(struct json_object *recorded, struct json_object *played,
                     char what[DIFFERENCE_CHARS]);

#endif
