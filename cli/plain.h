/* SPDX-License-Identifier: MIT */
/* Text from elsewhere (names of files, and what is in them), made fit for where it goes. */
#ifndef PVMM_CLI_PLAIN_H
#define PVMM_CLI_PLAIN_H

#include <stddef.h>
#include <stdio.h>

#include <json-c/json.h>

/* How many bytes the character at `at` has in UTF-8; 0: there is none that is well-formed. */
size_t utf8_length(const char *at);

/* On one line, without what a terminal would act on: that, and what is no UTF-8, is "?". */
void plain_put(const char *text, FILE *out);

/* JSON's strings are UTF-8: what is not is U+FFFD. NULL: no memory. */
struct json_object *json_text(const char *text);

#endif
