/* SPDX-License-Identifier: MIT */
#include "options.h"

#include "string.h"

static const char *find(const char *line, const char *key)
{
    size_t n = strlen(key);

    for (const char *at = line; *at; at++) {
        if ((at == line || at[-1] == ' ') && !strncmp(at, key, n))
            return at + n;
    }
    return NULL;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool parse_number(const char *at, uint64_t *out)
{
    int base = 10;

    if (at[0] == '0' && at[1] == 'x') {
        base = 16;
        at += 2;
    }
    *out = 0;
    do {
        int d = digit(*at);

        if (d < 0 || d >= base)
            return false;
        *out = *out * (uint64_t)base + (uint64_t)d;
        at++;
    } while (*at && *at != ' ');
    return true;
}

bool option_number(const char *line, const char *key, uint64_t *out)
{
    const char *at = find(line, key);

    return at && parse_number(at, out);
}
