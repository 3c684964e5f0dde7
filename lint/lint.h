/* SPDX-License-Identifier: MIT */
/*
 * What can be said of a kernel before it is booted: are its page-aligned sections what they
 * promise, and will a domain builder start it? Works on the bytes of a file that nobody vouches
 * for, and reads nothing itself. docs/lint.md has the codes, their causes and remedies.
 */
#ifndef PVMM_LINT_LINT_H
#define PVMM_LINT_LINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINT_CHARS 320

struct lint_error {
    char text[512]; /* a chain of reasons, outermost first */
};

/* A file's content; of a compressed kernel, what was in it. */
struct lint_input {
    const char *name; /* for messages */
    const uint8_t *data;
    size_t size;
};

/* What is asked of a file. An object or archive is asked the first question only. */
enum lint_question {
    LINT_ALIGNED,   /* is all in page-aligned sections page-aligned, in address and size? */
    LINT_BOOT_PVMM, /* does pvmm's domain builder take it? */
    LINT_BOOT_XEN,  /* does Xen's (4.17: the one for dom0, and the toolstack's for a domU)? */
    LINT_QUESTIONS,
};

enum lint_answer {
    LINT_NOT_ASKED, /* the question does not apply */
    LINT_YES,
    LINT_NO,          /* there are findings of weight LINT_FINDING */
    LINT_UNDECIDABLE, /* this file does not tell; the finding of weight LINT_OPEN says why */
};

enum lint_weight {
    LINT_FINDING, /* wrong: the exit code says so */
    LINT_OPEN,    /* cannot be decided from this file */
    LINT_NOTE,    /* worth knowing, and no fault */
};

/* Every code there is (codes.c), stable; docs/lint.md lists the same. */
struct lint_code {
    const char *code; /* "symbol-size", "no-entry", ... */
    enum lint_question question;
    const char *meaning; /* a clause, lower case, no full stop */
};
extern const struct lint_code lint_codes[];
extern const size_t lint_nr_codes;

struct lint_finding {
    const char *code;
    enum lint_question question;
    enum lint_weight weight;
    char *member;  /* of an archive, "outer.a(inner.o)" below it; NULL: the file itself */
    char *section; /* NULL: of none */
    char *symbol;  /* NULL: of none */
    bool has_address, has_size;
    uint64_t address,
        size;         /* of the symbol, segment or note; in an object, from its section's start */
    unsigned shifted; /* symbols behind it that lose their alignment by it */
    char text[LINT_CHARS]; /* what, where, why: one sentence */
    char also[LINT_CHARS]; /* names of what it shifts, or what a builder will say; "": nothing */
};

struct lint_report {
    enum lint_answer answer[LINT_QUESTIONS];
    char why[LINT_QUESTIONS][LINT_CHARS]; /* what was looked at, or why not: one clause */
    struct lint_finding *finding;
    size_t nr_findings;
    size_t weight[LINT_NOTE + 1];        /* of these, and of those that are not listed */
    struct lint_finding beyond;          /* the last of those */
    uint64_t members, sections, symbols; /* looked at */
    bool not_pv;               /* no Xen notes at all: whatever it is, it is no PV guest */
    char kind[64];             /* "ELF object", "archive of 12 objects", ... */
    char build_id[2 * 64 + 1]; /* hexadecimal; "": none */
};

/*
 * How members of a thin archive are come by, which are files of their own: `open` gives the bytes
 * of the one that the archive calls `name`, as it has them until `close`; 0, or -1 and why not.
 */
struct lint_members {
    int (*open)(void *context, const char *name, struct lint_input *in, struct lint_error *e);
    void (*close)(void *context, struct lint_input *in);
    void *context;
};

struct lint_options {
    const char *const *sections; /* to be page-aligned besides the four known ones */
    size_t nr_sections;
    const char *const *except; /* symbols whose faults are known: what is found of them is a note */
    size_t nr_except;
    const char *map; /* text of a linker's map of this file, NUL-terminated; NULL: none */
    size_t map_size;
    uint64_t memory;                    /* bytes that the guest is to have; 0: 512 MiB */
    uint64_t initrd;                    /* bytes */
    bool no_boot;                       /* only the first question */
    const struct lint_members *members; /* NULL: a thin archive cannot be read */
};

/* 0, or -1 if the file cannot be read as what it is. The report is to be freed after 0. */
int lint_file(const struct lint_input *in, const struct lint_options *o, struct lint_report *r,
              struct lint_error *e);
void lint_free(struct lint_report *r);

#endif
