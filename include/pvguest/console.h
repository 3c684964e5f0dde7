/* SPDX-License-Identifier: MIT */
/*
 * The console: console_io for the initial domain, the ring of <xen/io/console.h> for any other.
 * Works from pvg_start() on, through every change of the page tables.
 */
#ifndef PVGUEST_CONSOLE_H
#define PVGUEST_CONSOLE_H

#include <stdarg.h>

#include <pvguest/types.h>

#pragma GCC visibility push(default)

/* `bytes` of `text`, as they are. Waits until the console has taken them in. What nobody listens to
 * is lost without a word: there is nobody to be told. */
void pvg_write(struct pvguest *g, const char *text, size_t bytes);
/* Formatted as by pvg_format(), up to 1023 bytes; the rest of it is replaced by "..." and a
 * newline. */
void pvg_print(struct pvguest *g, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Takes what was typed, up to `room` bytes, and returns how many; 0: nothing. Never waits. The
 * initial domain has no input here. */
size_t pvg_read(struct pvguest *g, char *to, size_t room);

/*
 * %s %c %d %u %x %p %% with l, ll, z, width, and zero or blank fill; no precision. Returns the
 * length that the whole text has, without the NUL; writes at most `size` bytes with the NUL, and
 * nothing where `size` is 0.
 */
size_t pvg_format(char *to, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
size_t pvg_format_list(char *to, size_t size, const char *format, va_list list);

#pragma GCC visibility pop

#endif
