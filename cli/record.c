/* SPDX-License-Identifier: MIT */
#include "record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "exitcodes.h"
#include "jsonput.h"
#include "memfd.h"

#define QUIT_PATIENCE   (20 * SECOND) /* to write what is left of a record */
#define ICOUNT_PATIENCE (8 * SECOND)  /* for the vCPU to look at its clock, when it waits */
#define BETWEEN         1001          /* instructions: what a vCPU that waits does in no time */
#define UNFINISHED      "recording.json.new"

static const char *const made[] = {"hypervisor",   "kernel",   "initrd",
                                   "e820",         "events",   "console",
                                   "verdict.json", UNFINISHED, "recording.json"};

/* --- the folder --- */

static int check_empty(int dir, struct error *e)
{
    const int fd = fcntl(dir, F_DUPFD_CLOEXEC, 0);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    bool empty = true;

    if (d == NULL)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot list it");
    while ((entry = readdir(d)) != NULL)
        empty &= strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(d);
    return empty
               ? 0
               : error_set(e, EXIT_USAGE, "it is not empty: a recording never overwrites anything");
}

static int make_folder(struct record *r, struct error *e)
{
    if (mkdir(r->path, 0777) != 0 && errno != EEXIST)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot make it");
    r->dir = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->dir < 0)
        return error_errno(e, errno == ENOTDIR ? EXIT_USAGE : EXIT_ENVIRONMENT, "cannot open it");
    return check_empty(r->dir, e);
}

static int new_file(struct record *r, const char *name, struct error *e)
{
    const int fd = openat(r->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

    return fd >= 0 ? fd : error_errno(e, EXIT_ENVIRONMENT, "cannot make %s", name);
}

/* -1 as `from`: there is nothing to copy. */
static int copy_file(struct record *r, const char *name, int from, struct error *e)
{
    struct view v;
    int fd, rc;

    if (from < 0)
        return 0;
    if (view_of_fd(from, &v, e) != 0)
        return error_context(e, "%s", name);
    fd = new_file(r, name, e);
    rc = fd < 0 ? -1 : memfd_append(fd, v.data, v.size, e);
    view_drop(&v);
    if (fd >= 0)
        close(fd);
    return rc == 0 ? 0 : error_context(e, "%s", name);
}

static int copy_inputs(struct record *r, const struct machine *m, struct error *e)
{
    return copy_file(r, "hypervisor", m->hypervisor_fd, e) == 0 &&
                   copy_file(r, "kernel", m->kernel_fd, e) == 0 &&
                   copy_file(r, "initrd", m->initrd_fd, e) == 0 &&
                   copy_file(r, "e820", m->e820_fd, e) == 0
               ? 0
               : -1;
}

int record_open(struct record *r, const char *path, const struct machine *m, struct error *e)
{
    *r = (struct record)RECORD_NONE;
    r->path = path;
    if (make_folder(r, e) != 0 || (r->events_fd = new_file(r, "events", e)) < 0 ||
        (r->spool.fd = new_file(r, "console", e)) < 0 || copy_inputs(r, m, e) != 0)
        return error_context(e, "--record %s", path);
    return 0;
}

void record_discard(struct record *r)
{
    if (r == NULL || r->dir < 0 || r->events_fd < 0) /* what is there may be somebody else's */
        return;
    for (unsigned i = 0; i < sizeof(made) / sizeof(made[0]); i++)
        unlinkat(r->dir, made[i], 0);
    qemu_forget_pipes(r->dir);
    rmdir(r->path);
}

void record_close(struct record *r)
{
    if (r == NULL)
        return;
    qmp_close(&r->qmp);
    if (r->spool.fd >= 0)
        close(r->spool.fd);
    if (r->events_fd >= 0)
        close(r->events_fd);
    if (r->dir >= 0)
        close(r->dir);
    *r = (struct record)RECORD_NONE;
}

/* --- while the machine runs --- */

/* The first trouble is the one that counts. */
static void note(struct record *r, const struct error *e)
{
    if (r->trouble.code == 0)
        r->trouble = *e;
}

int record_attach(struct record *r, int fd, struct error *e)
{
    if (r == NULL)
        return 0;
    if (qmp_open(&r->qmp, fd, e) != 0)
        return error_context(e, "--record");
    qemu_forget_pipes(r->dir);
    memcpy(r->qemu_version, r->qmp.version, sizeof(r->qemu_version));
    return 0;
}

/* The next number that QEMU tells, and that is beyond `least`. */
static int next_icount(struct qmp *q, uint64_t least, uint64_t *icount, struct error *e)
{
    const int64_t deadline = clock_now() + ICOUNT_PATIENCE;

    do
        if (qmp_icount(q, icount, e) != 0)
            return -1;
    while (*icount <= least && clock_now() < deadline);
    return *icount > least ? 0 : error_set(e, EXIT_ENVIRONMENT, "the machine stands still");
}

/*
 * What QEMU tells is as old as the vCPU's last look at its clock. The hypervisor waits by looking
 * at its clock, so that the second number is one of the wait, and the third too. Just at such
 * instructions the record may have an input, and QEMU gets lost if it is stopped there: between
 * them it has none.
 */
static int icount_of_wait(struct qmp *q, uint64_t *icount, struct error *e)
{
    uint64_t before, from, to;

    if (qmp_icount(q, &before, e) != 0 || next_icount(q, before, &from, e) != 0 ||
        next_icount(q, from + BETWEEN, &to, e) != 0)
        return -1;
    *icount = from + BETWEEN / 2;
    return 0;
}

void record_wait(struct record *r, unsigned filed)
{
    struct recording_stop s = {.filed = filed};
    struct error e;

    if (r == NULL || r->ended || r->nr_stops == PVMM_REPORTS)
        return;
    if (icount_of_wait(&r->qmp, &s.icount, &e) != 0)
        note(r, &e);
    else
        r->stop[r->nr_stops++] = s;
}

/* It writes what is left, and ends; whether it answers before that is its own affair. */
static void quit(struct record *r)
{
    struct error e;

    if (r->ended)
        return;
    if (qmp_icount(&r->qmp, &r->instructions, &e) != 0 || qmp_send(&r->qmp, "quit", NULL, &e) != 0)
        note(r, &e);
    else
        r->ended = true;
}

void record_news(struct record *r)
{
    struct error e;

    if (r == NULL || r->qmp.fd < 0)
        return;
    if (qmp_read(&r->qmp, &e) != 0) { /* which is as it should be after `quit` */
        if (!r->ended)
            note(r, &e);
        qmp_close(&r->qmp);
    } else if (qmp_take_event(&r->qmp, "SHUTDOWN", NULL)) {
        quit(r);
    }
}

static bool process_ended(int pidfd, int64_t patience)
{
    const int64_t deadline = clock_now() + patience;
    struct pollfd p = {.fd = pidfd, .events = POLLIN};

    for (;;) {
        const int64_t left = deadline - clock_now();

        if (poll(&p, 1, left > 0 ? (int)(left / 1000000 + 1) : 0) > 0)
            return true;
        if (left <= 0)
            return false;
    }
}

/* Stopped first, so that the last instruction is known. */
void record_end(struct record *r, const struct qemu *q)
{
    struct error e;

    if (r == NULL)
        return;
    if (!r->ended && !process_ended(q->pidfd, 0)) {
        if (qmp_command(&r->qmp, "stop", NULL, NULL, &e) != 0)
            note(r, &e);
        else
            quit(r);
    }
    if (r->ended && !process_ended(q->pidfd, QUIT_PATIENCE)) {
        error_set(&e, EXIT_ENVIRONMENT, "QEMU does not end");
        note(r, &e);
    }
}

/* --- afterwards --- */

static struct json_object *stops(const struct record *r)
{
    struct json_object *all = json_object_new_array();

    for (unsigned i = 0; i < r->nr_stops; i++) {
        struct json_object *o = json_object_new_object();

        put_int(o, "icount", r->stop[i].icount);
        put_int(o, "filed", r->stop[i].filed);
        json_object_array_add(all, o);
    }
    return all;
}

static struct json_object *to_json(const struct record *r, const struct recording *what)
{
    struct json_object *o = json_object_new_object(), *symbols = json_object_new_array();

    put_int(o, "recording", RECORDING_VERSION);
    put_text(o, "pvmm", PVMM_VERSION);
    put_text(o, "qemu", r->qemu_version);
    put_text(o, "kernel", what->kernel);
    put_text(o, "hypervisor", what->hypervisor);
    put_bool(o, "real_xen", what->real_xen);
    put_int(o, "memory", what->memory);
    put_text(o, "machine", what->machine);
    put_text(o, "cpu", what->cpu);
    put_int(o, "megabytes", what->megabytes);
    put_text(o, "hypervisor_arguments", what->hypervisor_arguments);
    put_text(o, "guest_arguments", what->guest_arguments);
    for (unsigned i = 0; i < what->nr_symbols; i++)
        json_object_array_add(symbols, json_object_new_string(what->symbols[i]));
    put(o, "symbols", symbols);
    put_bool(o, "symbols_anyway", what->symbols_anyway);
    put_bool(o, "initrd", what->has_initrd);
    put_bool(o, "e820", what->has_e820);
    put_bool(o, "store", what->store);
    put(o, "stops", stops(r));
    put_int(o, "instructions", r->instructions);
    put_int(o, "exit_code", (uint64_t)what->exit_code);
    return o;
}

static int sync_file(int fd, const char *name, struct error *e)
{
    return fsync(fd) == 0 ? 0 : error_errno(e, EXIT_ENVIRONMENT, "cannot write %s", name);
}

static int write_verdict(struct record *r, const struct report *verdict, struct error *e)
{
    const int fd = new_file(r, "verdict.json", e);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    int rc;

    if (fd < 0)
        return -1;
    if (out == NULL) {
        close(fd);
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    }
    rc = report_json(verdict, out);
    if (rc == 0)
        rc = sync_file(fd, "verdict.json", e);
    else
        error_errno(e, EXIT_ENVIRONMENT, "cannot write verdict.json");
    fclose(out);
    return rc;
}

/* Under its name only when it is whole and on the disk, as all the others are. */
static int write_recording(struct record *r, const struct recording *what, struct error *e)
{
    const int fd = new_file(r, UNFINISHED, e);
    struct json_object *o;
    const char *text;
    int rc;

    if (fd < 0)
        return -1;
    o = to_json(r, what);
    text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                 JSON_C_TO_STRING_NOSLASHESCAPE);
    rc = memfd_append(fd, text, strlen(text), e);
    if (rc == 0)
        rc = memfd_append(fd, "\n", 1, e);
    json_object_put(o);
    if (rc != 0)
        error_context(e, "recording.json");
    else
        rc = sync_file(fd, UNFINISHED, e);
    close(fd);
    if (rc == 0 && renameat(r->dir, UNFINISHED, r->dir, "recording.json") != 0)
        rc = error_errno(e, EXIT_ENVIRONMENT, "cannot name recording.json");
    return rc == 0 ? sync_file(r->dir, "the folder", e) : -1;
}

/* QEMU says that it cannot write its record, and goes on without. */
static int check_end(const struct record *r, int status, const char *said, struct error *e)
{
    if (r->trouble.code != 0) {
        *e = r->trouble;
        return -1;
    }
    if (r->spool.failed) {
        errno = r->spool.why;
        return error_errno(e, EXIT_ENVIRONMENT, "cannot write console");
    }
    if (strstr(said, "replay write error") != NULL)
        return error_set(e, EXIT_ENVIRONMENT, "cannot write events: QEMU says: %s", said);
    if (!r->ended)
        return error_set(e, EXIT_ENVIRONMENT, "QEMU ended by itself");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return error_set(e, EXIT_ENVIRONMENT, "QEMU ended with an error, and not its record");
    return 0;
}

int record_finish(struct record *r, int status, const struct recording *what,
                  const struct report *verdict, struct error *e)
{
    if (check_end(r, status, verdict->facts.qemu_said, e) == 0 &&
        sync_file(r->events_fd, "events", e) == 0 && sync_file(r->spool.fd, "console", e) == 0 &&
        write_verdict(r, verdict, e) == 0 && write_recording(r, what, e) == 0)
        return 0;
    return error_context(e, "the recording in %s is not complete", r->path);
}
