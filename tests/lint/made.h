/* SPDX-License-Identifier: MIT */
/* ELF files made in memory, and what lint says of them. */
#ifndef PVMM_TESTS_LINT_MADE_H
#define PVMM_TESTS_LINT_MADE_H

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lint.h"

struct made_section {
    const char *name;
    uint64_t address, size, align;
    uint64_t flags; /* 0: those of .bss */
};

struct made_symbol {
    const char *name;
    unsigned section; /* from 1 on, as listed; 0: undefined */
    uint64_t value, size;
    unsigned char type; /* STT_OBJECT and the like */
};

struct made_elf {
    unsigned type; /* ET_REL and the like */
    uint64_t entry;
    unsigned empty;  /* so many sections of no name come first */
    bool no_symbols; /* no table at all */
    struct made_section section[8];
    struct made_symbol symbol[80];
};

/* A file on the heap, as long as it is. */
struct bytes {
    uint8_t *data;
    size_t size;
};

struct bytes make_elf(const struct made_elf *m);
/* The same in the other byte order. */
void turn_elf(struct bytes b);
Elf64_Ehdr *header_of(struct bytes b);
Elf64_Shdr *section_of(struct bytes b, unsigned i);

/* An archive of `nr` members, their names behind "/", and long ones in the table. */
struct bytes make_archive(const char *const *name, const struct bytes *member, size_t nr);

/* Of a file that can be read; the report is to be freed. Frees the file. */
struct lint_report lint_of(struct bytes b, const struct lint_options *o);
/* The file cannot be read, and the message has the text. Frees the file. */
void refuse(struct bytes b, const struct lint_options *o, const char *text);

/* The i-th finding is of that code and symbol ("": of none), and shifts so many. */
const struct lint_finding *expect(const struct lint_report *r, size_t i, const char *code,
                                  const char *symbol, unsigned shifted);
/* The answer, with nothing found, and no more. */
void expect_clean(struct lint_report r, uint64_t symbols);

#endif
