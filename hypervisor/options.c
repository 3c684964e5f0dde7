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

        if (d < 0 || d >= base || __builtin_mul_overflow(*out, (uint64_t)base, out) ||
            __builtin_add_overflow(*out, (uint64_t)d, out))
            return false;
        at++;
    } while (*at && *at != ' ');
    return true;
}

bool option_number(const char *line, const char *key, uint64_t *out)
{
    const char *at = find(line, key);

    return at && parse_number(at, out);
}

static bool starts_with(const char *at, const char *key)
{
    return !strncmp(at, key, strlen(key));
}

static bool is_bad(const char *word, int length)
{
    uint64_t ignored;

    for (int i = 0; i < length; i++) {
        if (word[i] != '=')
            continue;
        return !(starts_with(word, PVMM_OPT_MEM) || starts_with(word, PVMM_OPT_SEED) ||
                 starts_with(word, PVMM_OPT_BLANK) || starts_with(word, PVMM_OPT_STORE) ||
                 starts_with(word, PVMM_OPT_E820) || starts_with(word, PVMM_OPT_RECORDS) ||
                 starts_with(word, PVMM_OPT_STRICT) || starts_with(word, PVMM_OPT_SUSPEND) ||
                 starts_with(word, PVMM_OPT_INCOMING) || starts_with(word, PVMM_OPT_HALT)) ||
               !parse_number(word + i + 1, &ignored);
    }
    return false;
}

const char *option_bad(const char *line, int *length)
{
    while (*line) {
        *length = 0;
        while (line[*length] && line[*length] != ' ')
            ++*length;
        if (is_bad(line, *length))
            return line;
        line += *length;
        while (*line == ' ')
            line++;
    }
    return NULL;
}

const char *option_arguments(const char *string)
{
    while (*string && *string != ' ')
        string++;
    while (*string == ' ')
        string++;
    return string;
}

/*
 * The byte that `\xHH` at `at` stands for, or -1; *length is what it took. Some versions of GRUB
 * put another backslash before it, some do not.
 */
static int hex_byte(const char *at, unsigned *length)
{
    const char *x = at[0] == '\\' && at[1] == '\\' ? at + 1 : at;

    if (x[0] != '\\' || x[1] != 'x' || digit(x[2]) < 0 || digit(x[3]) < 0)
        return -1;
    *length = (unsigned)(x + 4 - at);
    return digit(x[2]) * 16 + digit(x[3]);
}

void option_unquote(char *string)
{
    const char *from = string;
    char *to = string;

    while (*from) {
        unsigned length;
        int byte = hex_byte(from, &length);

        if (byte > 0) {
            *to++ = (char)byte;
            from += length;
        } else if (*from == '"') {
            from++;
        } else {
            if (*from == '\\' && from[1])
                from++;
            *to++ = *from++;
        }
    }
    *to = 0;
}
