/* SPDX-License-Identifier: MIT */
#include "recording.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include <pvmm/boot.h>
#include <pvmm/report.h>

#include "exitcodes.h"
#include "memfd.h"
#include "options.h"

#define JSON_MAX (1u << 20)
#define MEGABYTES_MAX                                                                              \
    (1u << 20) /* 1 TiB: a machine is larger than its guest, which has 256 GiB                     \
                */
#define WORD_MAX     512u
#define XEN_LINE_MAX 1024u
#define EVENTS_HEAD                                                                                \
    12u /* of QEMU's record: its version, which is written at the end, and a number */

/* --- fields of recording.json; what they say is bounded here --- */

struct fields {
    struct json_object *o;
    struct error *e;
};

static int bad(const struct fields *f, const char *key, const char *what)
{
    return error_set(f->e, EXIT_UNREADABLE, "\"%s\" is %s", key, what);
}

static int field(const struct fields *f, const char *key, json_type type,
                 struct json_object **value)
{
    if (!json_object_object_get_ex(f->o, key, value))
        return bad(f, key, "missing");
    if (!json_object_is_type(*value, type))
        return bad(f, key, "of another type than it should be");
    return 0;
}

static int take_text(const struct fields *f, const char *key, size_t most, char **to)
{
    struct json_object *value;

    if (field(f, key, json_type_string, &value) != 0)
        return -1;
    if ((size_t)json_object_get_string_len(value) > most)
        return bad(f, key, "too long");
    if (strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value))
        return bad(f, key, "a text with a NUL in it");
    *to = strdup(json_object_get_string(value));
    return *to != NULL ? 0 : error_set(f->e, EXIT_ENVIRONMENT, "out of memory");
}

/* json-c keeps what does not fit 64 bits as the nearest that does: a bound refuses that too. */
static int take_number(const struct fields *f, const char *key, uint64_t least, uint64_t most,
                       uint64_t *to)
{
    struct json_object *value;
    int64_t n;

    if (field(f, key, json_type_int, &value) != 0)
        return -1;
    n = json_object_get_int64(value);
    if (n < 0 || (uint64_t)n < least || (uint64_t)n > most)
        return bad(f, key, "out of its range");
    *to = (uint64_t)n;
    return 0;
}

static int take_bool(const struct fields *f, const char *key, bool *to)
{
    struct json_object *value;

    if (field(f, key, json_type_boolean, &value) != 0)
        return -1;
    *to = json_object_get_boolean(value);
    return 0;
}

/* A word of QEMU's command line, and no list of options. */
static int take_word(const struct fields *f, const char *key, char **to)
{
    if (take_text(f, key, WORD_MAX, to) != 0)
        return -1;
    return (*to)[0] != '\0' && strpbrk(*to, " \t\r\n") == NULL ? 0 : bad(f, key, "no word");
}

static int take_machine(const struct fields *f, struct recording *r)
{
    uint64_t exit_code;

    if (take_word(f, "machine", &r->machine) != 0 || take_word(f, "cpu", &r->cpu) != 0 ||
        take_number(f, "megabytes", 1, MEGABYTES_MAX, &r->megabytes) != 0 ||
        take_number(f, "memory", 4096, r->megabytes << 20, &r->memory) != 0 ||
        take_number(f, "instructions", 1, INT64_MAX - 1, &r->instructions) != 0 ||
        take_number(f, "exit_code", 0, 255, &exit_code) != 0)
        return -1;
    r->exit_code = (int)exit_code;
    if (strcmp(r->machine, "q35") != 0 && strcmp(r->machine, "pc") != 0)
        return bad(f, "machine", "neither q35 nor pc");
    return r->memory % 4096 == 0 ? 0 : bad(f, "memory", "no multiple of 4096");
}

static int take_words(const struct fields *f, struct recording *r)
{
    return take_text(f, "qemu", WORD_MAX, &r->qemu_version) == 0 &&
                   take_text(f, "kernel", PATH_MAX, &r->kernel) == 0 &&
                   take_text(f, "hypervisor", PATH_MAX, &r->hypervisor) == 0 &&
                   take_text(f, "hypervisor_arguments", XEN_LINE_MAX, &r->hypervisor_arguments) ==
                       0 &&
                   take_text(f, "guest_arguments", PVMM_GUEST_CMDLINE_MAX - 1,
                             &r->guest_arguments) == 0 &&
                   take_bool(f, "real_xen", &r->real_xen) == 0 &&
                   take_bool(f, "initrd", &r->has_initrd) == 0 &&
                   take_bool(f, "e820", &r->has_e820) == 0 && take_bool(f, "store", &r->store) == 0
               ? 0
               : -1;
}

/* Recordings of before do not have it. */
static int take_anyway(const struct fields *f, struct recording *r)
{
    return json_object_object_get_ex(f->o, "symbols_anyway", NULL)
               ? take_bool(f, "symbols_anyway", &r->symbols_anyway)
               : 0;
}

static int take_symbols(const struct fields *f, struct recording *r)
{
    struct json_object *all;

    if (field(f, "symbols", json_type_array, &all) != 0)
        return -1;
    if (json_object_array_length(all) > SYMBOL_FILES)
        return bad(f, "symbols", "too long");
    r->symbols = calloc(SYMBOL_FILES, sizeof(r->symbols[0]));
    if (r->symbols == NULL)
        return error_set(f->e, EXIT_ENVIRONMENT, "out of memory");
    for (size_t i = 0; i < json_object_array_length(all); i++) {
        struct json_object *one = json_object_array_get_idx(all, i);
        const char *path = json_object_get_string(one);

        if (!json_object_is_type(one, json_type_string) || path[0] != '/')
            return bad(f, "symbols", "no list of absolute paths");
        r->symbols[r->nr_symbols] = strdup(path);
        if (r->symbols[r->nr_symbols++] == NULL)
            return error_set(f->e, EXIT_ENVIRONMENT, "out of memory");
    }
    return 0;
}

/* One after the other, in the machine's time and in the mailbox. */
static int take_stop(const struct fields *all, struct json_object *one, struct recording *r)
{
    const struct recording_stop *before = r->nr_stops > 0 ? &r->stop[r->nr_stops - 1] : NULL;
    const struct fields f = {one, all->e};
    struct recording_stop *s = &r->stop[r->nr_stops];
    uint64_t filed;

    if (!json_object_is_type(one, json_type_object))
        return bad(all, "stops", "no list of objects");
    if (take_number(&f, "icount", before != NULL ? before->icount + 1 : 1, r->instructions,
                    &s->icount) != 0 ||
        take_number(&f, "filed", before != NULL ? before->filed + 1 : 1, PVMM_REPORTS, &filed) != 0)
        return error_context(all->e, "\"stops\"");
    s->filed = (unsigned)filed;
    r->nr_stops++;
    return 0;
}

static int take_stops(const struct fields *f, struct recording *r)
{
    struct json_object *all;

    if (field(f, "stops", json_type_array, &all) != 0)
        return -1;
    if (json_object_array_length(all) > PVMM_REPORTS)
        return bad(f, "stops", "too long");
    r->stop = calloc(PVMM_REPORTS, sizeof(r->stop[0]));
    if (r->stop == NULL)
        return error_set(f->e, EXIT_ENVIRONMENT, "out of memory");
    for (size_t i = 0; i < json_object_array_length(all); i++)
        if (take_stop(f, json_object_array_get_idx(all, i), r) != 0)
            return -1;
    return 0;
}

static int check_version(const struct fields *f)
{
    uint64_t version;

    if (take_number(f, "recording", 0, INT64_MAX, &version) != 0)
        return -1;
    if (version != RECORDING_VERSION)
        return error_set(f->e, EXIT_UNREADABLE,
                         "a recording of version %llu; this tool plays version %d",
                         (unsigned long long)version, RECORDING_VERSION);
    return 0;
}

static int take_all(struct json_object *o, struct recording *r, struct error *e)
{
    const struct fields f = {o, e};

    if (!json_object_is_type(o, json_type_object))
        return error_set(e, EXIT_UNREADABLE, "not a JSON object");
    return check_version(&f) == 0 && take_words(&f, r) == 0 && take_machine(&f, r) == 0 &&
                   take_symbols(&f, r) == 0 && take_anyway(&f, r) == 0 && take_stops(&f, r) == 0
               ? 0
               : -1;
}

/* --- files --- */

static int open_file(const char *dir, const char *name, struct error *e)
{
    struct stat st;
    char *path;
    int fd;

    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    free(path);
    if (fd < 0)
        return error_errno(e, EXIT_UNREADABLE, "cannot open %s", name);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
        return fd;
    close(fd);
    return error_set(e, EXIT_UNREADABLE, "%s is empty or no file", name);
}

static int read_json(const char *dir, struct json_object **o, struct error *e)
{
    const int fd = open_file(dir, "recording.json", e);
    char *text;
    ssize_t n;

    if (fd < 0)
        return errno == ENOENT ? error_context(e, "the recording is not complete") : -1;
    text = malloc(JSON_MAX + 1);
    n = text != NULL ? pread(fd, text, JSON_MAX, 0) : -1;
    close(fd);
    if (n > 0) {
        text[n] = '\0';
        *o = json_tokener_parse(text);
    }
    free(text);
    return n > 0 && *o != NULL ? 0 : error_set(e, EXIT_UNREADABLE, "recording.json is no JSON");
}

/* QEMU writes the head of its record last. */
static int check_events(const char *dir, struct error *e)
{
    static const uint8_t zeroes[4];
    uint8_t head[EVENTS_HEAD];
    const int fd = open_file(dir, "events", e);
    ssize_t n;

    if (fd < 0)
        return -1;
    n = pread(fd, head, sizeof(head), 0);
    close(fd);
    if (n != (ssize_t)sizeof(head) || memcmp(head, zeroes, sizeof(zeroes)) == 0)
        return error_set(e, EXIT_UNREADABLE, "the recording is not complete: events has no head");
    return 0;
}

static int check_file(const char *dir, const char *name, struct error *e)
{
    const int fd = open_file(dir, name, e);

    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

/* Of the console and the verdict nothing is needed to play it: whoever compares opens them. */
static int check_files(const struct recording *r, struct error *e)
{
    return check_file(r->dir, "hypervisor", e) == 0 && check_file(r->dir, "kernel", e) == 0 &&
                   (!r->has_initrd || check_file(r->dir, "initrd", e) == 0) &&
                   (!r->has_e820 || check_file(r->dir, "e820", e) == 0) &&
                   check_events(r->dir, e) == 0
               ? 0
               : -1;
}

int recording_open(const char *dir, struct recording *r, struct error *e)
{
    struct json_object *o = NULL;
    int rc;

    *r = (struct recording){.dir = strdup(dir)};
    if (r->dir == NULL)
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    rc = read_json(dir, &o, e);
    if (rc == 0 && take_all(o, r, e) != 0)
        rc = error_context(e, "recording.json");
    json_object_put(o);
    if (rc == 0)
        rc = check_files(r, e);
    if (rc == 0)
        return 0;
    recording_close(r);
    return error_context(e, "%s", dir);
}

void recording_close(struct recording *r)
{
    for (unsigned i = 0; i < r->nr_symbols; i++)
        free(r->symbols[i]);
    free(r->symbols);
    free(r->stop);
    free(r->dir);
    free(r->qemu_version);
    free(r->kernel);
    free(r->hypervisor);
    free(r->machine);
    free(r->cpu);
    free(r->hypervisor_arguments);
    free(r->guest_arguments);
    *r = (struct recording){.dir = NULL};
}

int recording_kernel(const struct recording *r, int *fd, struct error *e)
{
    *fd = r->real_xen ? -1 : open_file(r->dir, "kernel", e);
    return r->real_xen || *fd >= 0 ? 0 : error_context(e, "%s", r->dir);
}

/* --- the machine --- */

static int open_files(const struct recording *r, struct machine *m, struct error *e)
{
    m->hypervisor_fd = open_file(r->dir, "hypervisor", e);
    if (m->hypervisor_fd < 0)
        return -1;
    m->kernel_fd = open_file(r->dir, "kernel", e);
    if (m->kernel_fd < 0)
        return -1;
    m->events_fd = open_file(r->dir, "events", e);
    if (m->events_fd < 0)
        return -1;
    if (r->has_initrd && (m->initrd_fd = open_file(r->dir, "initrd", e)) < 0)
        return -1;
    if (r->has_e820 && (m->e820_fd = open_file(r->dir, "e820", e)) < 0)
        return -1;
    m->ram_fd = memfd_new("machine", r->megabytes << 20, e);
    return m->ram_fd >= 0 ? 0 : -1;
}

int recording_machine(const struct recording *r, struct machine *m, struct error *e)
{
    *m = (struct machine){
        .qemu = "qemu-system-x86_64",
        .machine = r->machine,
        .cpu = r->cpu,
        .accel = "tcg",
        .megabytes = r->megabytes,
        .ram_fd = -1,
        .iso_fd = -1,
        .hypervisor_fd = -1,
        .kernel_fd = -1,
        .initrd_fd = -1,
        .e820_fd = -1,
        .play = PLAY_REPLAY,
        .events_fd = -1,
        .pipes_dir = -1,
        .stopped = true,
        .hypervisor_arguments = r->hypervisor_arguments,
        .guest_arguments = r->guest_arguments,
    };
    if (open_files(r, m, e) == 0)
        return 0;
    recording_machine_close(m);
    return error_context(e, "%s", r->dir);
}

static void close_file(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void recording_machine_close(struct machine *m)
{
    close_file(&m->ram_fd);
    close_file(&m->hypervisor_fd);
    close_file(&m->kernel_fd);
    close_file(&m->initrd_fd);
    close_file(&m->e820_fd);
    close_file(&m->events_fd);
}
