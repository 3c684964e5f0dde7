/* SPDX-License-Identifier: MIT */
/* Colours, on terminals whose users have not said no (https://no-color.org). */
#ifndef PVMM_CLI_TONE_H
#define PVMM_CLI_TONE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline bool tone_wanted(FILE *out)
{
    const char *no_color = getenv("NO_COLOR");

    return isatty(fileno(out)) && (no_color == NULL || no_color[0] == '\0');
}

#endif
