/* SPDX-License-Identifier: MIT */
/* The table of running guests, as `xl list` shows it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "commands.h"
#include "exitcodes.h"
#include "help.h"

struct listing {
    const char *only; /* NULL: all guests */
    bool json;
    struct json_object *guests; /* replies to "info" */
    int exit_code;
};

static uint64_t number(struct json_object *guest, const char *key)
{
    struct json_object *v;

    return json_object_object_get_ex(guest, key, &v) ? json_object_get_uint64(v) : 0;
}

static const char *text(struct json_object *guest, const char *key)
{
    struct json_object *v;

    return json_object_object_get_ex(guest, key, &v) ? json_object_get_string(v) : "?";
}

/* What no letter of `xl list` says. */
static const char *remark(struct json_object *guest)
{
    const char *hold = text(guest, "hold");

    if (hold != NULL && strcmp(hold, "handed over") == 0)
        return "  handed over";
    return hold != NULL && strcmp(hold, "arriving") == 0 ? "  arriving" : "";
}

static void print_row(struct json_object *guest)
{
    struct json_object *seconds = NULL;

    json_object_object_get_ex(guest, "cpu_seconds", &seconds);
    printf("%-40s %7" PRIu64 " %5" PRIu64 " %5" PRIu64 "  %8s %8.1f%s\n", text(guest, "name"),
           number(guest, "id"), number(guest, "memory") >> 20, number(guest, "vcpus"),
           text(guest, "state"), json_object_get_double(seconds), remark(guest));
}

static void print_table(struct json_object *guests)
{
    printf("%-40s %7s %5s %5s  %8s %8s\n", "Name", "ID", "Mem", "VCPUs", "State", "Time(s)");
    for (size_t i = 0; i < json_object_array_length(guests); i++)
        print_row(json_object_array_get_idx(guests, i));
}

static void print_json(struct json_object *guests)
{
    struct json_object *o = json_object_new_object();

    json_object_object_add(o, "format", json_object_new_int(1));
    json_object_object_add(o, "guests", json_object_get(guests));
    printf("%s\n",
           json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                 JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
}

/* A guest that ended between the look into the directory and the question is no error. */
static void add_guest(struct listing *l, const struct registry *r, const char *name)
{
    struct json_object *guest;
    struct error e;
    const int fd = ask(r, name, "info", false, &guest, &e);

    if (fd >= 0) {
        close(fd);
        json_object_object_del(guest, "pvmm");
        json_object_object_del(guest, "ok");
        json_object_array_add(l->guests, guest);
    } else if (e.code == EXIT_NO_GUEST && l->only == NULL) {
        registry_clean(r, name);
    } else {
        l->exit_code = command_failed("list", &e);
    }
}

static int add_all(struct listing *l, const struct registry *r, struct error *e)
{
    size_t count;
    char **names;

    if (registry_names(r, &names, &count, e) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        add_guest(l, r, names[i]);
    registry_names_free(names, count);
    return 0;
}

static int collect(struct listing *l, struct error *e)
{
    struct registry r;
    int rc = 0;

    if (registry_open(&r, false, e) != 0)
        return -1;
    if (l->only != NULL)
        add_guest(l, &r, l->only);
    else
        rc = add_all(l, &r, e);
    registry_close(&r);
    return rc;
}

static int list(struct listing *l)
{
    struct error e;

    l->guests = json_object_new_array();
    if (collect(l, &e) != 0)
        l->exit_code = command_failed("list", &e);
    else if (l->json)
        print_json(l->guests);
    else if (l->only == NULL || l->exit_code == EXIT_CLEAN)
        print_table(l->guests);
    json_object_put(l->guests);
    if (fflush(stdout) != 0 && l->exit_code == EXIT_CLEAN) {
        error_errno(&e, EXIT_ENVIRONMENT, "cannot write to standard output");
        return command_failed("list", &e);
    }
    return l->exit_code;
}

static int parse(int argc, char **argv, struct listing *l, bool *help, struct error *e)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    int opt;

    optind = 1;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (opt == 'h') {
            *help = true;
            return 0;
        }
        if (opt != 'j')
            return command_bad_option(opt, argv, e);
        l->json = true;
    }
    if (optind == argc)
        return 0;
    return command_one_word(argc, argv, "one guest's name", &l->only, e) != 0
               ? -1
               : guest_name_check(l->only, e);
}

int command_list(int argc, char **argv)
{
    struct listing l = {.exit_code = EXIT_CLEAN};
    bool help = false;
    struct error e;

    if (parse(argc, argv, &l, &help, &e) != 0)
        return command_failed(argv[0], &e);
    return help ? command_help(help_list) : list(&l);
}
