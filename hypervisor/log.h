/* SPDX-License-Identifier: MIT */
#ifndef PVMM_HV_LOG_H
#define PVMM_HV_LOG_H

#include <stdarg.h>
#include <stdbool.h>

/* format() with its arguments in a list; the pointer, because the list is handed on. */
int format_list(char *to, unsigned size, const char *fmt, va_list *args);

/* For messages a guest can cause at will: true for the first few and then ever more rarely. */
bool log_worthwhile(unsigned *seen);

void log_init(void);

#endif
