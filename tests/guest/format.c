/* SPDX-License-Identifier: MIT */
/* Text, and what the compiler expects of a C library. */
#include "guest.h"

void *memset(void *to, int c, size_t n)
{
    uint8_t *p = to;
    while (n-- > 0)
        *p++ = (uint8_t)c;
    return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
    uint8_t *p = to;
    const uint8_t *q = from;
    while (n-- > 0)
        *p++ = *q++;
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *p = a, *q = b;
    for (; n > 0; n--, p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

struct text {
    char *to;
    size_t size, n;
};

static void put(struct text *t, char c)
{
    if (t->n + 1 < t->size)
        t->to[t->n++] = c;
}

static void put_number(struct text *t, uint64_t v, unsigned base, unsigned width, char fill)
{
    char digit[24];
    unsigned n = 0;
    do {
        digit[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    for (unsigned i = n; i < width; i++)
        put(t, fill);
    while (n > 0)
        put(t, digit[--n]);
}

static void put_text(struct text *t, const char *s, unsigned width)
{
    size_t n = strlen(s);
    while (*s)
        put(t, *s++);
    for (; n < width; n++)
        put(t, ' ');
}

static void put_signed(struct text *t, int64_t v, unsigned width, char fill)
{
    if (v < 0)
        put(t, '-');
    put_number(t, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, width, fill);
}

static const char *directive(struct text *t, const char *f, va_list *args)
{
    char fill = ' ';
    unsigned width = 0;
    bool is_long = false;
    if (*f == '0')
        fill = *f++;
    while (*f >= '0' && *f <= '9')
        width = width * 10 + (unsigned)(*f++ - '0');
    for (; *f == 'l'; f++)
        is_long = true;
    switch (*f) {
    case 's':
        put_text(t, va_arg(*args, const char *), width);
        break;
    case 'c':
        put(t, (char)va_arg(*args, int));
        break;
    case 'd':
        put_signed(t, is_long ? va_arg(*args, int64_t) : va_arg(*args, int), width, fill);
        break;
    case 'u':
    case 'x':
        put_number(t, is_long ? va_arg(*args, uint64_t) : va_arg(*args, unsigned),
                   *f == 'u' ? 10 : 16, width, fill);
        break;
    default:
        put(t, *f);
    }
    return f + 1;
}

size_t format_list(char *to, size_t size, const char *fmt, va_list args)
{
    struct text t = {to, size, 0};
    va_list copy;
    va_copy(copy, args);
    while (*fmt) {
        if (*fmt == '%')
            fmt = directive(&t, fmt + 1, &copy);
        else
            put(&t, *fmt++);
    }
    va_end(copy);
    to[t.n] = 0;
    return t.n;
}

size_t format(char *to, size_t size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t n = format_list(to, size, fmt, args);
    va_end(args);
    return n;
}

void say(const char *fmt, ...)
{
    char line[256];
    va_list args;
    va_start(args, fmt);
    size_t n = format_list(line, sizeof(line), fmt, args);
    va_end(args);
    console_write(line, n);
}
