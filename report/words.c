/* SPDX-License-Identifier: MIT */
/* Fields of JSON whose text the guest, or the name of a file, may have made. */
#include "gather.h"

#include <stdlib.h>
#include <string.h>

#include "jsonput.h"

/* How many bytes a character of UTF-8 has there; 0: it is none. */
static size_t character(const uint8_t *at)
{
    if (at[0] < 0x80)
        return 1;
    const size_t n = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    const bool surrogate = at[0] == 0xed && at[1] >= 0xa0, beyond = at[0] == 0xf4 && at[1] >= 0x90,
               overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    return surrogate || beyond || overlong ? 0 : n;
}

void put_words(struct json_object *o, const char *key, const char *text)
{
    char *clean = text && text[0] ? strdup(text) : NULL;
    for (size_t i = 0, n; clean && clean[i]; i += n) {
        n = character((const uint8_t *)clean + i);
        if (n == 0 || (n == 1 && (clean[i] < ' ' || clean[i] == 0x7f))) {
            clean[i] = '?';
            n = 1;
        }
    }
    put_text(o, key, clean);
    free(clean);
}

void put_number(struct json_object *o, const char *key, uint64_t n)
{
    put(o, key, n != ~0ull ? json_object_new_uint64(n) : NULL);
}

void put_cell(struct json_object *o, const char *key, uint32_t cell)
{
    put(o, key, cell != NO_CELL ? json_object_new_uint64(cell) : NULL);
}
