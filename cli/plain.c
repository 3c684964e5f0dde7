/* SPDX-License-Identifier: MIT */
#include "plain.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The first two bytes tell how long it is, and whether it is the shortest form of a character. */
struct form {
    unsigned char first, last, second_first, second_last;
    size_t length;
};
static const struct form forms[] = {
    {0x01, 0x7f, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

static bool is_form(const struct form *f, const unsigned char *at)
{
    if (at[0] < f->first || at[0] > f->last)
        return false;
    if (f->length > 1 && (at[1] < f->second_first || at[1] > f->second_last))
        return false;
    for (size_t i = 2; i < f->length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return false;
    return true;
}

size_t utf8_length(const char *at)
{
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (is_form(&forms[i], (const unsigned char *)at))
            return forms[i].length;
    return 0;
}

/* C0, DEL, and C1 (U+0080 to U+009F). */
static bool is_control(const char *at)
{
    const unsigned char *c = (const unsigned char *)at;

    return c[0] < 0x20 || c[0] == 0x7f || (c[0] == 0xc2 && c[1] < 0xa0);
}

void plain_put(const char *text, FILE *out)
{
    while (*text != '\0') {
        const size_t n = utf8_length(text);

        if (n == 0 || is_control(text))
            fputc('?', out);
        else
            fwrite(text, 1, n, out);
        text += n + (n == 0);
    }
}

struct json_object *json_text(const char *text)
{
    static const char unknown[] = "\xef\xbf\xbd"; /* U+FFFD */
    const size_t longest = sizeof(unknown) - 1;
    char *valid = calloc(strlen(text) + 1, longest), *to = valid;
    struct json_object *string;

    if (valid == NULL)
        return NULL;
    while (*text != '\0') {
        const size_t n = utf8_length(text);

        to = mempcpy(to, n == 0 ? unknown : text, n == 0 ? longest : n);
        text += n + (n == 0);
    }
    string = json_object_new_string(valid);
    free(valid);
    return string;
}
