/* SPDX-License-Identifier: MIT */
#ifndef PVMM_IMAGE_SYMBOLS_FILE_H
#define PVMM_IMAGE_SYMBOLS_FILE_H

#include "table.h"

/* Each adds what it finds; -1 with the reason. */
int elf_symbols(struct source *to, int fd, const char *name, struct pv_error *e);
int systemmap_symbols(struct source *to, int fd, const char *name, struct pv_error *e);

/* What nm's letter says of a symbol, as entry_flags. */
unsigned letter_flags(char letter);

#endif
