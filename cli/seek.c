/* SPDX-License-Identifier: MIT */
#include "seek.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "exitcodes.h"
#include "explain_print.h"
#include "jsonput.h"
#include "signals.h"
#include "stand.h"
#include "tone.h"
#include "until.h"
#include "whostored.h"

/* ---- for both */

void seek_when(const struct seeking *s, const struct moment *m, char *text, size_t size)
{
    const uint64_t all = s->question->recording->instructions;
    int n = snprintf(text, size, "before instruction %" PRIu64 " of %" PRIu64, m->icount + 1, all);

    if (m->timed && n > 0 && (size_t)n < size)
        snprintf(text + n, size - (size_t)n, ", %.6f s after the guest's start or later",
                 m->seconds);
}

struct json_object *seek_moment_json(const struct moment *m)
{
    struct json_object *o = json_object_new_object();
    char cr3[24];

    put_int(o, "icount", m->icount);
    put(o, "seconds_before", m->timed ? json_object_new_double(m->seconds) : NULL);
    put_text(o, "mode", scene_mode_code(m->mode));
    put(o, "rip", explain_symbol_json(&m->at));
    put(o, "instruction",
        m->instruction[0] != '\0' ? json_object_new_string(m->instruction) : NULL);
    snprintf(cr3, sizeof(cr3), "0x%" PRIx64, m->registers.cr3);
    put_text(o, "cr3", cr3);
    put(o, "stack", explain_calls_json(m->call, m->calls));
    return o;
}

int seek_write_json(struct seeking *s, struct json_object *o, struct error *e)
{
    int rc = 0;

    if (s->json != NULL)
        rc = fprintf(s->json, "%s\n",
                     json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
                                                           JSON_C_TO_STRING_NOSLASHESCAPE)) < 0 ||
                     fflush(s->json) != 0
                 ? error_errno(e, EXIT_ENVIRONMENT, "cannot write %s", s->question->json)
                 : 0;
    json_object_put(o);
    return rc;
}

int seek_stand(struct seeking *s, struct pass *p, struct error *e)
{
    const unsigned port = seek_port(s->question);
    char text[1200];

    if (pass_listen(p, port, e) != 0)
        return -1;
    /* the kernel that was booted: what has its name now may be another */
    snprintf(text, sizeof(text), "gdb -ex 'target remote localhost:%u' %s/kernel", port,
             s->question->recording->dir);
    explain_text_label("stands", text, tone_wanted(stdout), stdout);
    if (fflush(stdout) != 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot write to standard output");
    p->player.deadline = NEVER; /* a person has all the time there is */
    return pass_stay(p, e);
}

/* ---- from start to end */

static int open_json(struct seeking *s, struct error *e)
{
    const char *path = s->question->json;

    if (path == NULL)
        return 0;
    s->json = fopen(path, "we");
    return s->json != NULL ? 0 : error_errno(e, EXIT_ENVIRONMENT, "cannot write %s", path);
}

unsigned seek_port(const struct seek_question *q)
{
    return q->gdb_port == 0 && q->who_stored == NULL ? STAND_PORT : q->gdb_port;
}

/* A port that is taken is better said now than when the guest stands. */
static int check_port(unsigned port, struct error *e)
{
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    int rc;

    if (port == 0 || fd < 0)
        return fd < 0 ? 0 : close(fd);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* as QEMU does */
    rc = bind(fd, (const struct sockaddr *)&at, sizeof(at));
    if (rc != 0)
        error_errno(e, EXIT_ENVIRONMENT, "--gdb: port %u", port);
    close(fd);
    return rc;
}

static int prepare(struct seeking *s, struct error *e)
{
    const struct seek_question *q = s->question;

    if (check_port(seek_port(q), e) != 0 ||
        scene_open(&s->scene, q->recording, q->symbols, q->nr_symbols, q->symbols_anyway, e) != 0 ||
        findings_open(&s->findings, q->recording, e) != 0 || open_json(s, e) != 0)
        return -1;
    s->playing.signals = signals_watch(e);
    return s->playing.signals >= 0 ? 0 : -1;
}

static int64_t deadline_of(const struct seek_question *q)
{
    return q->timeout > 0 ? clock_now() + (int64_t)(q->timeout * (double)SECOND) : NEVER;
}

int seek(const struct seek_question *q, struct error *e)
{
    struct seeking s = {
        .question = q,
        .playing = {.recording = q->recording,
                    .qemu = q->qemu,
                    .any_qemu = q->any_qemu,
                    .signals = -1,
                    .deadline = deadline_of(q)},
    };
    int rc = prepare(&s, e);

    if (rc == 0)
        rc = q->who_stored != NULL ? who_stored_seek(&s, e) : until_seek(&s, e);
    playing_hide(&s.playing);
    scene_close(&s.scene);
    findings_close(&s.findings);
    if (s.json != NULL)
        fclose(s.json);
    if (s.playing.signals >= 0)
        close(s.playing.signals);
    return rc;
}
