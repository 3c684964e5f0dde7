/* SPDX-License-Identifier: MIT */
/* What a guest's memory holds: as hexadecimal digits, as it is, as a text, or as JSON. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "exitcodes.h"
#include "help.h"
#include "jsonput.h"
#include "options.h"
#include "readout.h"

#define TEXT_LIMIT  (64u << 10) /* of a text whose length is not given */
#define BLOCK       (1u << 20)  /* of output */
#define HEX_PER_ROW 16u

enum form { FORM_HEX, FORM_RAW, FORM_STRING };

struct wanted {
    struct lookup_options o;
    const char *file;
    struct place place;
    enum form form;
    bool has_length;
    uint64_t length;
};

/* Bytes that are not there, in a row. */
struct gap {
    uint64_t at, bytes;
    char why[256]; /* of the first of them */
};

struct reading {
    const struct wanted *wanted;
    struct stretch s;
    uint64_t got, missing, pieces;
    struct gap gap; /* not told yet; bytes == 0: none */
    uint64_t pages; /* to be read at once */
    struct pv_progress progress;
    bool ended; /* a text, by its NUL */
    uint8_t row[HEX_PER_ROW];
    uint64_t row_at;
    unsigned row_bytes;
    uint8_t last; /* of a text */
    bool escape;  /* a terminal reads it */
};

/* ---- the command line */

#define OPTION_AS 320

static int take_form(struct wanted *w, const char *text, struct error *e)
{
    static const char *const names[] = {
        [FORM_HEX] = "hex", [FORM_RAW] = "raw", [FORM_STRING] = "string"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(text, names[i]) == 0) {
            w->form = i;
            return 1;
        }
    return error_set(e, EXIT_USAGE, "--as %s: hex, raw or string", text);
}

static int take_length(struct wanted *w, const char *text, struct error *e)
{
    if ((!parse_number(text, &w->length) && !parse_size(text, &w->length)) || w->length == 0)
        return error_set(e, EXIT_USAGE,
                         "%s: not a length: a number of bytes, with K, M or G or without", text);
    w->has_length = true;
    return 0;
}

static int check(struct wanted *w, struct error *e)
{
    if (!w->has_length && w->form != FORM_STRING)
        return error_set(e, EXIT_USAGE, "a length is wanted (only a string ends by itself)");
    if (w->form == FORM_RAW && w->o.image.json)
        return error_set(e, EXIT_USAGE, "--as raw and --json exclude each other");
    if (w->place.kind != PLACE_VA && (w->o.root != NULL || w->o.has_vcpu || w->o.user))
        return error_set(e, EXIT_USAGE, "--root, --vcpu and --user go with virtual addresses");
    if (!w->has_length)
        w->length = TEXT_LIMIT;
    return lookup_options_check(&w->o, e);
}

static int take_words(int argc, char **argv, struct wanted *w, struct error *e)
{
    if (argc - optind < 2)
        return error_set(e, EXIT_USAGE,
                         "an image is wanted, an address, a symbol, pfn:N or mfn:N, and a length");
    if (argc - optind > 3)
        return error_set(e, EXIT_USAGE, "\"%s\" follows the length", argv[optind + 3]);
    w->file = argv[optind];
    if (place_parse(&w->place, argv[optind + 1], e) != 0)
        return -1;
    if (argc - optind == 3 && take_length(w, argv[optind + 2], e) != 0)
        return -1;
    return check(w, e);
}

/* -1: go on; otherwise the exit code. */
static int parse(int argc, char **argv, struct wanted *w)
{
    static const struct option options[] = {
        LOOKUP_LONG_OPTIONS, {"as", required_argument, NULL, OPTION_AS}, {NULL, 0, NULL, 0}};
    struct error e;
    int opt;

    optind = 1;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (opt == 'h')
            return command_help(help_read);
        int taken = opt == OPTION_AS ? take_form(w, optarg, &e) : lookup_option(&w->o, opt, &e);
        if (taken == 0)
            command_bad_option(opt, argv, &e);
        if (taken != 1)
            return command_failed(argv[0], &e);
    }
    return take_words(argc, argv, w, &e) == 0 ? -1 : command_failed(argv[0], &e);
}

/* ---- hexadecimal */

static void end_row(struct reading *r)
{
    if (r->row_bytes == 0)
        return;
    printf("%016" PRIx64 ":", r->row_at);
    for (unsigned i = 0; i < HEX_PER_ROW; i++) {
        if (i % 2 == 0)
            putchar(' ');
        if (i < r->row_bytes)
            printf("%02x", r->row[i]);
        else
            fputs("  ", stdout);
    }
    fputs("  ", stdout);
    for (unsigned i = 0; i < r->row_bytes; i++)
        putchar(r->row[i] >= ' ' && r->row[i] < 0x7f ? r->row[i] : '.');
    putchar('\n');
    r->row_bytes = 0;
}

static void put_hex_rows(struct reading *r, const struct piece *p)
{
    for (uint64_t i = 0; i < p->bytes; i++) {
        if (r->row_bytes == 0)
            r->row_at = p->at + i;
        r->row[r->row_bytes++] = p->data[i];
        if (r->row_bytes == HEX_PER_ROW)
            end_row(r);
    }
}

/* ---- texts */

static void put_char(const struct reading *r, uint8_t c)
{
    const bool plain = (c >= ' ' && c < 0x7f) || c == '\n' || c == '\t';

    if (plain || !r->escape)
        putchar(c);
    else
        printf("\\x%02x", c);
}

static size_t text_bytes(struct reading *r, const struct piece *p)
{
    const uint8_t *end = memchr(p->data, 0, p->bytes);

    r->ended = end != NULL;
    return end != NULL ? (size_t)(end - p->data) : p->bytes;
}

static void put_string(struct reading *r, const struct piece *p)
{
    const size_t n = text_bytes(r, p);

    for (size_t i = 0; i < n; i++)
        put_char(r, p->data[i]);
    r->last = n > 0 ? p->data[n - 1] : r->last;
}

/* ---- JSON: pieces in a list, those that are missing as well */

static struct json_object *digits_of(const struct piece *p)
{
    static const char digit[] = "0123456789abcdef";
    char text[2 * sizeof(p->data)];

    for (uint64_t i = 0; i < p->bytes; i++) {
        text[2 * i] = digit[p->data[i] >> 4];
        text[2 * i + 1] = digit[p->data[i] & 15];
    }
    return json_object_new_string_len(text, (int)(2 * p->bytes));
}

/* A byte is the character of that number. */
static struct json_object *characters_of(struct reading *r, const struct piece *p)
{
    const size_t n = text_bytes(r, p);
    char text[2 * sizeof(p->data)];
    int to = 0;

    for (size_t i = 0; i < n; i++) {
        if (p->data[i] >= 0x80)
            text[to++] = (char)(0xc0 | p->data[i] >> 6);
        text[to++] = (char)(p->data[i] >= 0x80 ? 0x80 | (p->data[i] & 0x3f) : p->data[i]);
    }
    return json_object_new_string_len(text, to);
}

static void put_json_piece(struct reading *r, const struct piece *p)
{
    struct json_object *o = json_object_new_object();

    put_hex(o, "address", p->at);
    json_object_object_add(o, "bytes", json_object_new_uint64(p->bytes));
    put_frame(o, r->s.image, p->frame, 0);
    if (r->wanted->form == FORM_STRING)
        json_object_object_add(o, "text", characters_of(r, p));
    else
        json_object_object_add(o, "hex", digits_of(p));
    json_item(o, r->pieces++ == 0);
}

static void put_json_gap(struct reading *r)
{
    struct json_object *o = json_object_new_object();

    put_hex(o, "address", r->gap.at);
    json_object_object_add(o, "bytes", json_object_new_uint64(r->gap.bytes));
    put_text_or_null(o, "missing", r->gap.why);
    json_item(o, r->pieces++ == 0);
}

static void begin_json(const struct reading *r, const struct root *root)
{
    static const char *const kinds[] = {
        [PLACE_VA] = "va", [PLACE_PFN] = "pfn", [PLACE_MFN] = "mfn"};
    struct json_object *o = json_object_new_object();

    json_object_object_add(o, "format", json_object_new_int(1));
    put_text_or_null(o, "kind", kinds[r->s.kind]);
    put_hex(o, "address", r->s.start);
    json_object_object_add(o, "length", json_object_new_uint64(r->s.bytes));
    if (r->s.kind == PLACE_VA)
        put_symbol(o, "symbol", r->s.image, r->s.start);
    json_object_object_add(o, "root", r->s.kind == PLACE_VA ? root_json(r->s.image, root) : NULL);
    json_list_begin(o, "pieces");
}

static void end_json(const struct reading *r)
{
    struct json_object *o = json_object_new_object();

    json_object_object_add(o, "read", json_object_new_uint64(r->got));
    json_object_object_add(o, "missing", json_object_new_uint64(r->missing));
    json_object_object_add(
        o, "terminated", r->wanted->form == FORM_STRING ? json_object_new_boolean(r->ended) : NULL);
    json_list_end(o);
}

/* ---- what is missing */

static void tell_gap(struct reading *r)
{
    const struct gap *g = &r->gap;

    if (g->bytes == 0)
        return;
    end_row(r);
    if (r->wanted->o.image.json)
        put_json_gap(r);
    else {
        fflush(stdout);
        image_progress_end();
        fprintf(stderr, "pvmm read: %" PRIx64 " to %" PRIx64 " (%" PRIu64 " bytes): %s\n", g->at,
                g->at + g->bytes - 1, g->bytes, g->why);
    }
    r->gap.bytes = 0;
}

static void add_gap(struct reading *r, const struct piece *p)
{
    if (r->gap.bytes == 0) {
        r->gap.at = p->at;
        snprintf(r->gap.why, sizeof(r->gap.why), "%s", p->why);
    }
    r->gap.bytes += p->bytes;
    r->missing += p->bytes;
}

/* ---- reading */

static void put_piece(struct reading *r, const struct piece *p)
{
    tell_gap(r);
    if (r->wanted->o.image.json)
        put_json_piece(r, p);
    else if (r->wanted->form == FORM_HEX)
        put_hex_rows(r, p);
    else if (r->wanted->form == FORM_RAW)
        fwrite(p->data, 1, p->bytes, stdout);
    else
        put_string(r, p);
    r->got += p->bytes;
}

/* ---- many pages at once, as they are */

#define PAGES_FIRST 16u
#define PAGES_MOST  (1u << 18)

static bool put_raw(void *context, const void *data, uint64_t bytes)
{
    struct reading *r = context;

    tell_gap(r);
    fwrite(data, 1, bytes, stdout);
    r->got += bytes;
    return !ferror(stdout) && r->progress.tell(r->progress.context, "reading", r->got, r->s.bytes);
}

/* Whole pages that are there, from `done` on; 0: what follows is to be read piece by piece. Where
 * much is missing, little is tried. */
static uint64_t put_pages(struct reading *r, uint64_t done)
{
    const uint64_t left = (r->s.bytes - done) / PAGE_BYTES;

    if (r->wanted->form != FORM_RAW || (r->s.start + done) % PAGE_BYTES != 0 || left == 0)
        return 0;
    const uint64_t pages = left < r->pages ? left : r->pages;
    const uint64_t there = stretch_pages(&r->s, done, pages, put_raw, r);

    r->pages = there < pages ? PAGES_FIRST : 2 * pages < PAGES_MOST ? 2 * pages : PAGES_MOST;
    return there * PAGE_BYTES;
}

/* A text ends where something of it is not there. */
static int read_all(struct reading *r, struct error *e)
{
    const bool is_text = r->wanted->form == FORM_STRING;
    struct piece p;

    r->progress = image_progress();
    r->pages = PAGES_FIRST;
    for (uint64_t done = 0; done < r->s.bytes && !r->ended && !ferror(stdout); done += p.bytes) {
        if (!r->progress.tell(r->progress.context, "reading", done, r->s.bytes))
            return error_set(e, image_end_code(), "stopped after %" PRIu64 " of %" PRIu64 " bytes",
                             done, r->s.bytes);
        p.bytes = put_pages(r, done);
        if (p.bytes != 0)
            continue;
        stretch_piece(&r->s, done, &p);
        if (p.there)
            put_piece(r, &p);
        else
            add_gap(r, &p);
        if (!p.there && is_text)
            break;
    }
    end_row(r);
    tell_gap(r);
    return 0;
}

static void end_text(const struct reading *r)
{
    if (r->wanted->form != FORM_STRING || r->wanted->o.image.json)
        return;
    if (r->got > 0 && r->last != '\n')
        putchar('\n');
    if (!r->ended && r->missing == 0 && !r->wanted->has_length)
        fprintf(stderr, "pvmm read: the text does not end within %u bytes\n", TEXT_LIMIT);
}

/* A number that can be one: what is there is found out page by page. */
static int check_frame(const struct place *p, const struct image *i, struct error *e)
{
    mfn_t frame;

    if (p->n > UINT64_MAX / PAGE_BYTES)
        return error_set(e, EXIT_USAGE, "%" PRIx64 ": beyond the last frame", p->n);
    return p->kind == PLACE_MFN ? place_frame(p, i, &frame, e) : 0;
}

static int read_it(struct wanted *w, const struct image *i, struct error *e)
{
    struct reading r = {.wanted = w, .escape = isatty(STDOUT_FILENO)};
    struct root root = {.frame = NO_MFN};
    static char block[BLOCK];

    if (place_find(&w->place, i, e) != 0)
        return -1;
    if (w->place.kind == PLACE_VA ? root_choose(&root, &w->o, i, e) != 0
                                  : check_frame(&w->place, i, e) != 0)
        return -1;
    const uint64_t unit = w->place.kind == PLACE_VA ? 1 : PAGE_BYTES;
    r.s = (struct stretch){.image = i,
                           .kind = w->place.kind,
                           .root = root.frame,
                           .start = w->place.n * unit + w->place.plus,
                           .bytes = w->length};
    if (r.s.bytes - 1 > UINT64_MAX - r.s.start)
        return error_set(e, EXIT_USAGE,
                         "%" PRIu64 " bytes from %" PRIx64 ": beyond the last address", r.s.bytes,
                         r.s.start);
    /* Raw output comes in large pieces: these need no copy. */
    setvbuf(stdout, block, w->form == FORM_RAW ? _IONBF : _IOFBF, sizeof(block));
    if (w->o.image.json)
        begin_json(&r, &root);
    int rc = read_all(&r, e);
    image_progress_end();
    if (rc != 0)
        return -1;
    if (w->o.image.json)
        end_json(&r);
    end_text(&r);
    return output_code(r.missing == 0 ? EXIT_CLEAN : EXIT_FINDINGS, e);
}

int command_read(int argc, char **argv)
{
    struct wanted w = {.o.image.domain = -1};
    struct image i;
    struct error e;
    int rc = parse(argc, argv, &w);

    if (rc >= 0)
        return rc;
    if (image_open(&i, w.file, &w.o.image, w.place.named, &e) != 0)
        return command_failed(argv[0], &e);
    rc = read_it(&w, &i, &e);
    image_close(&i);
    return rc >= 0 ? rc : command_failed(argv[0], &e);
}
