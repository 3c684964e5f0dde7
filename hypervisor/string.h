/* SPDX-License-Identifier: MIT */
/* The freestanding image's <string.h>. */
#ifndef PVMM_HV_STRING_H
#define PVMM_HV_STRING_H

#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
/* Copies at most size - 1 characters and ends with NUL; the length copied. */
size_t copy_string(char *to, const char *from, size_t size);

#endif
