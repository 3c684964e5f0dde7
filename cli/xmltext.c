/* SPDX-License-Identifier: MIT */
#include "xmltext.h"

#include <stdint.h>
#include <string.h>

/* RFC 3629, 4: how long the character at `s` is, of which `size` bytes are there; 0: none is. */
static size_t utf8_length(const unsigned char *s, size_t size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    uint32_t c = s[0] & (0xffu >> (n + 1));

    if (n == 1)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n > size)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    /* XML 1.0, 2.2: surrogates and the last two of the first plane are no characters */
    return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || c == 0xfffe || c == 0xffff
               ? 0
               : n;
}

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>': /* "]]>" */
        return "&gt;";
    case '"':
        return "&quot;";
    default:
        return NULL;
    }
}

static void put_char(FILE *out, const char *text, size_t n)
{
    const unsigned char c = (unsigned char)text[0];

    if (n == 0 || (c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
        fprintf(out, "\\x%02x", c);
    else if (n == 1 && entity(text[0]) != NULL)
        fputs(entity(text[0]), out);
    else
        fwrite(text, 1, n, out);
}

void xml_text(FILE *out, const char *text, size_t size)
{
    size_t n;

    for (size_t i = 0; i<size; i += n> 0 ? n : 1) {
        n = utf8_length((const unsigned char *)text + i, size - i);
        if (text[i] != '\r' || i + 1 == size || (text[i + 1] != '\n' && text[i + 1] != '\r'))
            put_char(out, text + i, n);
    }
}

/* Readers of attributes make spaces of ends of lines. */
void xml_attribute(FILE *out, const char *name, const char *text)
{
    fprintf(out, " %s=\"", name);
    xml_text(out, text, strlen(text));
    fputc('"', out);
}
