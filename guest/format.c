/* SPDX-License-Identifier: MIT */
/* Formatted text. The length is counted on when the room is used up. */
#include "internal.h"

#define DIGITS 20u /* of 2^64 - 1 */

struct out {
    char *to;
    size_t size, length;
};

struct directive {
    char fill;
    unsigned width;
    bool is_long; /* l, ll and z are all 64 bits */
};

static void put(struct out *o, char c)
{
    if (o->length + 1 < o->size)
        o->to[o->length] = c;
    o->length++;
}

static void put_fill(struct out *o, char fill, unsigned width, size_t taken)
{
    for (; taken < width; taken++)
        put(o, fill);
}

static void put_text(struct out *o, const char *text, const struct directive *d)
{
    put_fill(o, ' ', d->width, strlen(text));
    while (*text)
        put(o, *text++);
}

/* A sign goes before zeros and after blanks. */
static void put_number(struct out *o, uint64_t value, unsigned base, const char *sign,
                       const struct directive *d)
{
    char digit[DIGITS];
    unsigned n = 0;
    do {
        digit[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    size_t taken = n + strlen(sign);
    if (d->fill == ' ')
        put_fill(o, ' ', d->width, taken);
    while (*sign)
        put(o, *sign++);
    if (d->fill == '0')
        put_fill(o, '0', d->width, taken);
    while (n > 0)
        put(o, digit[--n]);
}

static const char *parse(const char *at, struct directive *d)
{
    *d = (struct directive){.fill = ' '};
    if (*at == '0')
        d->fill = *at++;
    while (*at >= '0' && *at <= '9')
        d->width = d->width * 10 + (unsigned)(*at++ - '0');
    for (; *at == 'l' || *at == 'z'; at++)
        d->is_long = true;
    return at;
}

/* The list goes by address: whoever reads from it moves it on for all. */
struct arguments {
    va_list list;
};

static uint64_t number(struct arguments *a, const struct directive *d)
{
    return d->is_long ? va_arg(a->list, uint64_t) : va_arg(a->list, unsigned);
}

static void put_signed(struct out *o, struct arguments *a, const struct directive *d)
{
    int64_t v = d->is_long ? va_arg(a->list, int64_t) : va_arg(a->list, int);
    put_number(o, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, v < 0 ? "-" : "", d);
}

static void put_string(struct out *o, struct arguments *a, const struct directive *d)
{
    const char *text = va_arg(a->list, const char *);
    put_text(o, text ? text : "(null)", d);
}

static const char *put_directive(struct out *o, const char *at, struct arguments *a)
{
    struct directive d;
    at = parse(at, &d);
    switch (*at) {
    case 's':
        put_string(o, a, &d);
        break;
    case 'c':
        put(o, (char)va_arg(a->list, int));
        break;
    case 'd':
        put_signed(o, a, &d);
        break;
    case 'u':
        put_number(o, number(a, &d), 10, "", &d);
        break;
    case 'x':
        put_number(o, number(a, &d), 16, "", &d);
        break;
    case 'p':
        put_number(o, (uintptr_t)va_arg(a->list, void *), 16, "0x", &d);
        break;
    case 0: /* the text ends in the middle of a directive */
        put(o, '%');
        return at;
    case '%':
        put(o, '%');
        break;
    default: /* shown as it stands, so that the mistake is seen */
        put(o, '%');
        put(o, *at);
    }
    return at + 1;
}

size_t pvg_format_list(char *to, size_t size, const char *format, va_list list)
{
    struct out o = {to, size, 0};
    struct arguments a;
    va_copy(a.list, list);
    while (*format) {
        if (*format == '%')
            format = put_directive(&o, format + 1, &a);
        else
            put(&o, *format++);
    }
    va_end(a.list);
    if (size > 0)
        to[o.length < size ? o.length : size - 1] = 0;
    return o.length;
}

size_t pvg_format(char *to, size_t size, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    size_t length = pvg_format_list(to, size, format, list);
    va_end(list);
    return length;
}
