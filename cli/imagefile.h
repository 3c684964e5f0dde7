/* SPDX-License-Identifier: MIT */
/* What the commands on images (inspect, check, p2m, walk, read, find-maps) have in common. */
#ifndef PVMM_CLI_IMAGEFILE_H
#define PVMM_CLI_IMAGEFILE_H

#include <stdbool.h>

#include "error.h"
#include "image.h"
#include "symbols.h"

#define IMAGE_SYMBOL_FILES 16

/* The options that all of them take. */
struct image_options {
    int domain; /* --domain; -1: not given */
    bool json;
    const char *symbols[IMAGE_SYMBOL_FILES];
    unsigned nr_symbols;
    bool symbols_anyway; /* also those of another kernel */
};

/* For getopt_long(): the common entries of a command's table, in front of its own. Values above
 * 255 and "h" are taken. */
#define IMAGE_OPTION_DOMAIN  256
#define IMAGE_OPTION_JSON    257
#define IMAGE_OPTION_SYMBOLS 258
#define IMAGE_OPTION_ANYWAY  259
#define IMAGE_LONG_OPTIONS                                                                         \
    {"domain", required_argument, NULL, IMAGE_OPTION_DOMAIN},                                      \
        {"json", no_argument, NULL, IMAGE_OPTION_JSON},                                            \
        {"symbols", required_argument, NULL, IMAGE_OPTION_SYMBOLS},                                \
        {"symbols-anyway", no_argument, NULL, IMAGE_OPTION_ANYWAY},                                \
    {                                                                                              \
        "help", no_argument, NULL, 'h'                                                             \
    }

/* One of them. 1: it was; 0: it is the command's own; -1: it was, and is wrong. */
int image_option(struct image_options *o, int opt, struct error *e);

struct image {
    const char *path; /* for messages */
    struct pv_view *view;
    struct pv_symbols *symbols; /* of the files given, else of the kallsyms in memory; none is no
                                   error: then nothing has a name */
    char no_symbols[256];       /* why there are none; "": there are */
};

/* Opens it, with progress on stderr when that is a terminal and it takes longer than a second;
 * SIGINT and SIGTERM end it (EXIT_INTERRUPTED, EXIT_TERMINATED). With want_symbols, names too.
 * What of the image is lost is said on stderr. */
int image_open(struct image *i, const char *path, const struct image_options *o, bool want_symbols,
               struct error *e);
/* The names, later: where they are wanted only if there is something to name. */
int image_take_symbols(struct image *i, const struct image_options *o, struct error *e);
void image_close(struct image *i);

/* The same progress, for what else takes long. */
struct pv_progress image_progress(void);
/* The code of an error after it: a signal's, or EXIT_UNREADABLE. */
int image_end_code(void);
/* The same of what writes: else EXIT_ENVIRONMENT. */
int image_write_code(void);
/* Wipes it away, before output. */
void image_progress_end(void);
/* The exit code of what fails meanwhile: that of the signal that ended it, or EXIT_UNREADABLE. */
int image_end_code(void);

/* "0x1234", "4660": a number, whole; a range "A-B", "A", "A+N" or "all" (0..~0). false: it is none.
 */
bool parse_number(const char *text, uint64_t *n);
bool parse_range(const char *text, uint64_t *first, uint64_t *last);

#endif
