/* SPDX-License-Identifier: MIT */
/* Any bytes as text of XML 1.0, between tags and in attributes. */
#ifndef PVMM_CLI_XMLTEXT_H
#define PVMM_CLI_XMLTEXT_H

#include <stddef.h>
#include <stdio.h>

/* What is no UTF-8, and characters that XML has not, become "\xNN", a byte each; the carriage
 * return of a line's end is left out. */
void xml_text(FILE *out, const char *text, size_t size);

/* NAME="TEXT", with a space before it. */
void xml_attribute(FILE *out, const char *name, const char *text);

#endif
