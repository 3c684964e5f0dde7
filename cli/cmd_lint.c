/* SPDX-License-Identifier: MIT */
/* `pvmm lint`: what can be said of a kernel, or of the objects it is made of, before it is booted.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "exitcodes.h"
#include "format.h"
#include "help.h"
#include "kernel.h"
#include "lint_report.h"
#include "options.h"
#include "plain.h"

#define NAMES 32 /* of an option that may be given more than once */

struct request {
    struct lint_options lint;
    const char *sections[NAMES], *except[NAMES];
    const char *map, *initrd, *json; /* NULL: none */
    char **files;
    int nr_files;
    bool quiet, help;
};

/* The text is for stderr, or there is none, and the JSON alone goes to stdout. */
struct output {
    struct json_object *files; /* NULL: not wanted */
    bool text, quiet, many;
    struct lint_tally clean; /* of many */
};

/* ---- the command line */

static int take_name(const char *list[static NAMES], size_t *nr, const char *option,
                     const char *name, struct error *e)
{
    if (name[0] == '\0')
        return error_set(e, EXIT_USAGE, "%s wants a name", option);
    if (*nr == NAMES)
        return error_set(e, EXIT_USAGE, "%s: more than %d names", option, NAMES);
    list[(*nr)++] = name;
    return 0;
}

static int take_option(struct request *o, int opt, char **argv, struct error *e)
{
    switch (opt) {
    case 's':
        return take_name(o->sections, &o->lint.nr_sections, "--section", optarg, e);
    case 'x':
        return take_name(o->except, &o->lint.nr_except, "--except", optarg, e);
    case 'M':
        o->map = optarg;
        return 0;
    case 'm':
        if (!parse_size(optarg, &o->lint.memory) || o->lint.memory == 0)
            return error_set(e, EXIT_USAGE, "-m %s: not a size", optarg);
        return 0;
    case 'i':
        o->initrd = optarg;
        return 0;
    case 'S':
        o->lint.no_boot = true;
        return 0;
    case 'j':
        o->json = optarg;
        return 0;
    case 'q':
        o->quiet = true;
        return 0;
    case 'h':
        o->help = true;
        return 0;
    }
    return command_bad_option(opt, argv, e);
}

static int parse(int argc, char **argv, struct request *o, struct error *e)
{
    static const struct option options[] = {
        {"section", required_argument, NULL, 's'}, {"except", required_argument, NULL, 'x'},
        {"map", required_argument, NULL, 'M'},     {"memory", required_argument, NULL, 'm'},
        {"initrd", required_argument, NULL, 'i'},  {"sections-only", no_argument, NULL, 'S'},
        {"json", required_argument, NULL, 'j'},    {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    int opt;

    optind = 1;
    opterr = 0;
    while (!o->help && (opt = getopt_long(argc, argv, ":m:i:qh", options, NULL)) != -1)
        if (take_option(o, opt, argv, e) != 0)
            return -1;
    o->lint.sections = o->sections;
    o->lint.except = o->except;
    o->files = argv + optind;
    o->nr_files = argc - optind;
    if (o->help)
        return 0;
    if (o->nr_files == 0)
        return error_set(e, EXIT_USAGE, "a file is wanted");
    if (o->map != NULL && o->nr_files != 1)
        return error_set(e, EXIT_USAGE, "--map is of one image, and %d files are given",
                         o->nr_files);
    return 0;
}

/* ---- what options name */

/* The library wants a text that ends; `*text` is to be freed. */
static int read_map(struct request *o, char **text, struct error *e)
{
    struct view v;

    if (o->map == NULL)
        return 0;
    if (view_of_path(o->map, EXIT_UNREADABLE, &v, e) != 0)
        return error_context(e, "--map %s", o->map);
    *text = malloc(v.size + 1);
    if (*text != NULL) {
        memcpy(*text, v.data, v.size);
        (*text)[v.size] = '\0';
        o->lint.map = *text;
        o->lint.map_size = v.size;
    }
    view_drop(&v);
    return *text != NULL ? 0 : error_set(e, EXIT_ENVIRONMENT, "no memory for %s", o->map);
}

static int measure_initrd(struct request *o, struct error *e)
{
    struct stat st;

    if (o->initrd == NULL)
        return 0;
    if (stat(o->initrd, &st) != 0)
        return error_errno(e, EXIT_UNREADABLE, "--initrd %s", o->initrd);
    if (!S_ISREG(st.st_mode))
        return error_set(e, EXIT_UNREADABLE, "--initrd %s: it is no file", o->initrd);
    o->lint.initrd = (uint64_t)st.st_size;
    return 0;
}

/* ---- a file */

/* Where the members of a thin archive are, and how much of them may still be read. */
struct beside {
    const char *archive;
    uint64_t left;
};
#define MEMBERS_BYTES (64ull << 30) /* an archive may name one large file again and again */

static int view_of_member(struct beside *b, const char *name, struct view *v, struct error *e)
{
    const char *slash = strrchr(b->archive, '/');
    const int directory = name[0] != '/' && slash != NULL ? (int)(slash + 1 - b->archive) : 0;
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%.*s%s", directory, b->archive, name) >= (int)sizeof(path))
        return error_set(e, EXIT_UNREADABLE, "its path is too long");
    if (view_of_path(path, EXIT_UNREADABLE, v, e) != 0)
        return error_context(e, "a file of its own, %s", path);
    if (v->size > b->left) {
        view_drop(v);
        return error_set(e, EXIT_UNREADABLE, "up to it, members have more than %llu GiB",
                         MEMBERS_BYTES >> 30);
    }
    b->left -= v->size;
    return 0;
}

static int member_open(void *beside, const char *name, struct lint_input *in, struct lint_error *e)
{
    struct error why;
    struct view v;

    if (view_of_member(beside, name, &v, &why) != 0) {
        snprintf(e->text, sizeof(e->text), "%s", why.text);
        return -1;
    }
    in->data = v.data;
    in->size = v.size;
    return 0;
}

static void member_close(void *beside, struct lint_input *in)
{
    struct view v = {in->data, in->size};

    (void)beside;
    view_drop(&v);
}

static int judge(const char *path, struct view v, const char *wrapping, const struct request *o,
                 struct output *out, int *code, struct error *e)
{
    struct beside beside = {path, MEMBERS_BYTES};
    const struct lint_members members = {member_open, member_close, &beside};
    const struct lint_input in = {path, v.data, v.size};
    struct lint_options options = o->lint;
    struct lint_report r;
    struct lint_error why;

    options.members = &members;
    if (lint_file(&in, &options, &r, &why) != 0)
        return error_set(e, EXIT_UNREADABLE, "%s", why.text);
    if (r.weight[LINT_FINDING] != 0)
        *code = EXIT_FINDINGS;
    if (out->text && !(out->many && lint_count(&out->clean, &r)))
        lint_print(path, wrapping, &r, out->quiet);
    if (out->files != NULL)
        json_object_array_add(out->files, lint_json(path, wrapping, &r));
    lint_free(&r);
    return 0;
}

static int judge_unwrapped(const char *path, struct view file, const struct request *o,
                           struct output *out, int *code, struct error *e)
{
    const int fd = elf_unwrap(file, e);
    struct view v;
    int rc;

    if (fd < 0)
        return error_context(e, "%s", path);
    rc = view_of_fd(fd, &v, e);
    if (rc == 0) {
        rc = judge(path, v, format_name(format_of(file)), o, out, code, e);
        view_drop(&v);
    }
    close(fd);
    return rc;
}

static int judge_file(const char *path, const struct request *o, struct output *out, int *code,
                      struct error *e)
{
    struct view v;
    int rc;

    if (view_of_path(path, EXIT_UNREADABLE, &v, e) != 0)
        return error_context(e, "%s", path);
    const enum format f = format_of(v);
    rc = f == FORMAT_BZIMAGE || format_is_compressed(f) ? judge_unwrapped(path, v, o, out, code, e)
                                                        : judge(path, v, "", o, out, code, e);
    view_drop(&v);
    return rc;
}

/* All files are looked at, whatever one of them is. */
static int judge_all(const struct request *o, struct output *out)
{
    int code = EXIT_CLEAN;

    for (int i = 0; i < o->nr_files; i++) {
        struct error e;
        int found = EXIT_CLEAN;

        if (judge_file(o->files[i], o, out, &found, &e) != 0) {
            fflush(stdout);
            fputs("pvmm lint: ", stderr);
            plain_put(e.text, stderr);
            fputc('\n', stderr);
            found = EXIT_UNREADABLE;
            if (out->files != NULL)
                json_object_array_add(out->files, lint_json_error(o->files[i], e.text));
        }
        code = found > code ? found : code;
    }
    return code;
}

/* ---- the command */

static int write_json(const char *path, struct json_object *all, struct error *e)
{
    FILE *f = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");

    if (f == NULL)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot write %s", path);
    fprintf(f, "%s\n",
            json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                    JSON_C_TO_STRING_NOSLASHESCAPE));
    int bad = ferror(f);
    if (f != stdout)
        bad |= fclose(f);
    return bad ? error_set(e, EXIT_ENVIRONMENT, "cannot write %s", path) : 0;
}

static int lint(struct request *o, int *code, struct error *e)
{
    struct output out = {.text = o->json == NULL || strcmp(o->json, "-") != 0,
                         .quiet = o->quiet,
                         .many = o->nr_files > 1};
    int rc = 0;

    if (o->json != NULL)
        out.files = json_object_new_array();
    *code = judge_all(o, &out);
    if (out.text && !out.quiet)
        lint_print_tally(&out.clean);
    if (out.files != NULL) {
        struct json_object *all = lint_json_all(out.files);

        rc = write_json(o->json, all, e);
        json_object_put(all);
    }
    if (rc == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        rc = error_errno(e, EXIT_ENVIRONMENT, "cannot write to standard output");
    return rc;
}

int command_lint(int argc, char **argv)
{
    struct request o = {.nr_files = 0};
    struct error e;
    char *map = NULL;
    int code = EXIT_CLEAN, rc;

    if (parse(argc, argv, &o, &e) != 0)
        return command_failed(argv[0], &e);
    if (o.help)
        return command_help(help_lint);
    rc = read_map(&o, &map, &e);
    if (rc == 0)
        rc = measure_initrd(&o, &e);
    if (rc == 0)
        rc = lint(&o, &code, &e);
    free(map);
    return rc != 0 ? command_failed(argv[0], &e) : code;
}
