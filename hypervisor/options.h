/* SPDX-License-Identifier: MIT */
/* Words `key=value` of the boot loader's command line (<pvmm/boot.h>). */
#ifndef PVMM_HV_OPTIONS_H
#define PVMM_HV_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <pvmm/boot.h>

/* The number behind `key` (which ends with '='), decimal or 0x...; false: not there or no number.
 */
bool option_number(const char *line, const char *key, uint64_t *out);

/* The first word `key=value` with an unknown key or without a number; *length is how long it is.
 * Words without `=` are passed over: QEMU puts the image's file name in front. NULL: none. */
const char *option_bad(const char *line, int *length);

/* What follows the file's name in a module's string. */
const char *option_arguments(const char *string);

/* Takes GRUB 2's quoting off, in place: it puts a word with blanks in it into double quotes, and a
 * backslash before backslashes and quotes. What then reads `\xHH` is that byte. */
void option_unquote(char *string);

#endif
