/* SPDX-License-Identifier: MIT */
/*
 * What the compiler expects of a C library. Weak: a kernel that has its own gets its own. The loops
 * are the processor's, so that no compiler makes calls of these very functions out of them.
 */
#include "internal.h"

#define WEAK __attribute__((weak))

WEAK void *memset(void *to, int c, size_t bytes)
{
    void *p = to;
    __asm__ volatile("rep stosb" : "+D"(p), "+c"(bytes) : "a"(c) : "memory");
    return to;
}

WEAK void *memcpy(void *to, const void *from, size_t bytes)
{
    void *p = to;
    size_t words = bytes / 8, rest = bytes % 8;
    __asm__ volatile("rep movsq" : "+D"(p), "+S"(from), "+c"(words) : : "memory");
    __asm__ volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(rest) : : "memory");
    return to;
}

/* Backwards when the end of `from` would be overwritten before it is read. */
WEAK void *memmove(void *to, const void *from, size_t bytes)
{
    if ((uintptr_t)to - (uintptr_t)from >= bytes)
        return memcpy(to, from, bytes);
    uint8_t *p = (uint8_t *)to + bytes - 1;
    const uint8_t *q = (const uint8_t *)from + bytes - 1;
    __asm__ volatile("std; rep movsb; cld" : "+D"(p), "+S"(q), "+c"(bytes) : : "memory", "cc");
    return to;
}

WEAK int memcmp(const void *a, const void *b, size_t bytes)
{
    const uint8_t *p = a, *q = b;
    for (; bytes > 0; bytes--, p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}

WEAK size_t strlen(const char *text)
{
    const char *end = text;
    while (*end)
        end++;
    return (size_t)(end - text);
}

WEAK int strcmp(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++)
        ;
    return (uint8_t)*a - (uint8_t)*b;
}

WEAK int strncmp(const char *a, const char *b, size_t bytes)
{
    for (; bytes > 0; bytes--, a++, b++)
        if (*a != *b || !*a)
            return (uint8_t)*a - (uint8_t)*b;
    return 0;
}
