/* SPDX-License-Identifier: MIT */
/*
 * The functions of a C library that compilers call on their own, and a few like them. What they do
 * is said in C17, 7.24.
 *
 * They are weak: a kernel that defines one itself has its own, and so has the library then. Not
 * part of <pvguest/pvguest.h>, so that a kernel may declare them in its own way.
 */
#ifndef PVGUEST_STRING_H
#define PVGUEST_STRING_H

#include <stddef.h>

#pragma GCC visibility push(default)

void *memset(void *to, int c, size_t bytes);
void *memcpy(void *to, const void *from, size_t bytes); /* must not overlap */
void *memmove(void *to, const void *from, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t bytes);

#pragma GCC visibility pop

#endif
