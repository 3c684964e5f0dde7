/* SPDX-License-Identifier: MIT */
/* What walk, read and find-maps have in common: places in an image, roots, and what is known of a
 * frame. */
#ifndef PVMM_CLI_LOOKUP_H
#define PVMM_CLI_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include <getopt.h>

#include <json-c/json.h>

#include "imagefile.h"

/* ---- options */

struct lookup_options {
    struct image_options image;
    bool user, has_vcpu;
    uint64_t vcpu;
    const char *root; /* NULL: not given */
};

#define LOOKUP_OPTION_VCPU 300
#define LOOKUP_OPTION_ROOT 301
#define LOOKUP_OPTION_USER 302
#define LOOKUP_ROOT_OPTION                                                                         \
    {                                                                                              \
        "root", required_argument, NULL, LOOKUP_OPTION_ROOT                                        \
    }
#define LOOKUP_LONG_OPTIONS                                                                        \
    IMAGE_LONG_OPTIONS, LOOKUP_ROOT_OPTION, {"vcpu", required_argument, NULL, LOOKUP_OPTION_VCPU}, \
    {                                                                                              \
        "user", no_argument, NULL, LOOKUP_OPTION_USER                                              \
    }

/* One of these, or of image_options. 1: it was; 0: it is the command's own; -1: it was, and is
 * wrong. */
int lookup_option(struct lookup_options *o, int opt, struct error *e);
/* Takes all options of a command that has none of its own. -1: go on; else the exit code, with the
 * help or the error printed. */
int lookup_parse(struct lookup_options *o, int argc, char **argv, const struct option *options,
                 const char *help);
/* Options that exclude each other, once all are there. */
int lookup_options_check(const struct lookup_options *o, struct error *e);

/* ---- places */

enum place_kind { PLACE_VA, PLACE_PFN, PLACE_MFN };

/* A virtual address, "SYMBOL", "pfn:N" or "mfn:N", each with "+N" bytes behind it, or without. */
struct place {
    enum place_kind kind;
    bool named;     /* by a symbol, that is yet to be found */
    char name[160]; /* the symbol's */
    uint64_t n;     /* the address, or the frame's number */
    uint64_t plus;
};

int place_parse(struct place *p, const char *text, struct error *e);
/* Finds the symbol, and adds what is to be added: n is the place, plus 0, or, of a frame, the
 * offset in it. */
int place_find(struct place *p, const struct image *i, struct error *e);
/* The frame of a place that is one. */
int place_frame(const struct place *p, const struct image *i, mfn_t *m, struct error *e);

/* ---- roots */

struct root {
    mfn_t frame;
    char of[48]; /* "vCPU 0, kernel", "--root", ... */
};
int root_choose(struct root *r, const struct lookup_options *o, const struct image *i,
                struct error *e);

/* ---- what is known */

/* Who says which pfn a frame has: "container", "m2p", or "entry" where the entries name pfns. */
const char *pfn_source(const struct pv_view *v);
/* "mfn 1d415 (pfn 2a15 by container)", or "pfn 2a15" where page tables hold pfns. */
const char *frame_words(const struct pv_view *v, mfn_t m, char *text, size_t size);
/* "RW US A": the flags of an entry of that level, with a space in between. */
const char *flag_words(unsigned level, uint64_t entry, char *text, size_t size);
/* The symbol at or before a kernel's address, "name+0x12"; false: none is near. */
bool near_symbol(const struct image *i, uint64_t va, struct pv_symbol *s);
const char *symbol_words(const struct image *i, uint64_t va, char *text, size_t size);
/* Why an address that is not mapped is not, in a sentence, and as a stable word. */
const char *walk_why(const struct pv_view *v, const struct pv_walk *w, char *text, size_t size);
const char *walk_why_code(const struct pv_walk *w);

/* ---- the same as JSON */

void put_symbol(struct json_object *o, const char *key, const struct image *i, uint64_t va);
void put_flags(struct json_object *o, const char *key, unsigned level, uint64_t entry);
/* Its numbers, its type if the image tells it or (level != 0) a walk uses it as such a table, and
 * where its content lies. */
void put_frame(struct json_object *o, const struct image *i, mfn_t m, unsigned level);
struct json_object *root_json(const struct image *i, const struct root *r);
/* Prints and frees an object; all of it, or up to a list `key` that json_item() fills and
 * json_list_end() ends with what else there is to say. */
void json_print(struct json_object *o);
void json_list_begin(struct json_object *o, const char *key);
void json_item(struct json_object *o, bool first);
void json_list_end(struct json_object *o);

/* The command's exit code, or, if the output could not be written, an error. */
int output_code(int code, struct error *e);

#endif
