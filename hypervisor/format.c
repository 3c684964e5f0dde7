/* SPDX-License-Identifier: MIT */
/* Formatted text: the part of printf that the hypervisor uses. */
#include <stdarg.h>

#include "log.h"
#include "machine.h"
#include "string.h"

#define DIGITS_MAX 24

struct out {
    char *to;
    unsigned size, length; /* length: what the whole text needs */
};

struct spec {
    unsigned width;
    bool zero, left, is_long;
    int precision; /* of %s; -1: none */
};

static void put(struct out *o, char c)
{
    if (o->length + 1 < o->size)
        o->to[o->length] = c;
    o->length++;
}

static void put_padded(struct out *o, const char *s, unsigned n, struct spec spec)
{
    unsigned padding = spec.width > n ? spec.width - n : 0;

    for (unsigned i = 0; !spec.left && i < padding; i++)
        put(o, spec.zero ? '0' : ' ');
    for (unsigned i = 0; i < n; i++)
        put(o, s[i]);
    for (unsigned i = 0; spec.left && i < padding; i++)
        put(o, ' ');
}

static void put_number(struct out *o, uint64_t v, unsigned base, bool negative, struct spec spec)
{
    char digits[DIGITS_MAX];
    unsigned at = DIGITS_MAX;

    do {
        digits[--at] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    if (negative && spec.zero && spec.width) {
        put(o, '-');
        spec.width--;
    } else if (negative) {
        digits[--at] = '-';
    }
    put_padded(o, digits + at, DIGITS_MAX - at, spec);
}

static void put_string(struct out *o, const char *s, struct spec spec)
{
    unsigned n = 0;

    if (!s)
        s = "(null)";
    while (s[n] && (spec.precision < 0 || n < (unsigned)spec.precision))
        n++;
    spec.zero = false;
    put_padded(o, s, n, spec);
}

static unsigned read_number(const char **at)
{
    unsigned n = 0;

    for (; **at >= '0' && **at <= '9'; ++*at)
        n = n * 10 + (unsigned)(**at - '0');
    return n;
}

static const char *read_spec(const char *at, struct spec *spec, va_list *args)
{
    *spec = (struct spec){.precision = -1};
    for (; *at == '0' || *at == '-' || *at == '#'; at++) {
        spec->zero |= *at == '0';
        spec->left |= *at == '-';
    }
    spec->width = read_number(&at);
    if (*at == '.') {
        at++;
        if (*at == '*') {
            at++;
            spec->precision = va_arg(*args, int);
        } else {
            spec->precision = (int)read_number(&at);
        }
    }
    for (; *at == 'l' || *at == 'z'; at++)
        spec->is_long = true;
    return at;
}

static void put_conversion(struct out *o, char conversion, struct spec spec, va_list *args)
{
    switch (conversion) {
    case 'd':
    case 'i': {
        int64_t v = spec.is_long ? va_arg(*args, long) : va_arg(*args, int);

        put_number(o, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, v < 0, spec);
        break;
    }
    case 'u':
        put_number(o, spec.is_long ? va_arg(*args, uint64_t) : va_arg(*args, unsigned), 10, false,
                   spec);
        break;
    case 'x':
        put_number(o, spec.is_long ? va_arg(*args, uint64_t) : va_arg(*args, unsigned), 16, false,
                   spec);
        break;
    case 'p':
        put_number(o, (uint64_t)va_arg(*args, void *), 16, false, spec);
        break;
    case 's':
        put_string(o, va_arg(*args, const char *), spec);
        break;
    case 'c':
        put(o, (char)va_arg(*args, int));
        break;
    default:
        put(o, '%');
        put(o, conversion);
    }
}

int format_list(char *to, unsigned size, const char *fmt, va_list *args)
{
    struct out o = {to, size, 0};

    for (; *fmt; fmt++) {
        struct spec spec;

        if (*fmt != '%') {
            put(&o, *fmt);
            continue;
        }
        if (*++fmt == '%') {
            put(&o, '%');
            continue;
        }
        fmt = read_spec(fmt, &spec, args);
        if (!*fmt)
            break;
        put_conversion(&o, *fmt, spec, args);
    }
    if (size)
        to[o.length < size ? o.length : size - 1] = 0;
    return (int)o.length;
}

int format(char *to, unsigned size, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = format_list(to, size, fmt, &args);
    va_end(args);
    return n;
}
