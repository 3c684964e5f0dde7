/* SPDX-License-Identifier: MIT */
#include "qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"
#include "exitcodes.h"
#include "jsonput.h"

#define LINE_MAX_BYTES (1u << 20)

static int gone(struct error *e)
{
    return error_set(e, EXIT_ENVIRONMENT, "QEMU's monitor hung up");
}

/* --- events --- */

static const char *text_of(struct json_object *o, const char *key)
{
    struct json_object *value;

    return json_object_object_get_ex(o, key, &value) && json_object_is_type(value, json_type_string)
               ? json_object_get_string(value)
               : NULL;
}

static void drop_event(struct qmp *q, unsigned i)
{
    q->events--;
    memmove(&q->event[i], &q->event[i + 1], (q->events - i) * sizeof(q->event[0]));
}

static void keep_event(struct qmp *q, struct json_object *event)
{
    if (q->events == QMP_EVENTS) {
        json_object_put(q->event[0]);
        drop_event(q, 0);
    }
    q->event[q->events++] = event;
}

bool qmp_take_event(struct qmp *q, const char *name, struct json_object **event)
{
    for (unsigned i = 0; i < q->events; i++) {
        struct json_object *one = q->event[i];

        if (strcmp(text_of(one, "event"), name) != 0)
            continue;
        drop_event(q, i);
        if (event != NULL)
            *event = one;
        else
            json_object_put(one);
        return true;
    }
    return false;
}

/* --- lines --- */

static int make_room(struct qmp *q, struct error *e)
{
    const size_t room = q->room == 0 ? 4096 : 2 * q->room;
    char *larger;

    if (q->used < q->room)
        return 0;
    if (room > LINE_MAX_BYTES)
        return error_set(e, EXIT_ENVIRONMENT, "QEMU's monitor sends a line without end");
    larger = realloc(q->line, room);
    if (larger == NULL)
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    q->line = larger;
    q->room = room;
    return 0;
}

/* The bytes that are there. 0: none. */
static int receive(struct qmp *q, struct error *e)
{
    ssize_t n;

    if (make_room(q, e) != 0)
        return -1;
    do
        n = recv(q->fd, q->line + q->used, q->room - q->used, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        return gone(e);
    q->used += (size_t)n;
    return 1;
}

/* The first whole line as an object, NULL: there is none. What is not JSON is an error. */
static int next_message(struct qmp *q, struct json_object **message, struct error *e)
{
    char *end = q->used > 0 ? memchr(q->line, '\n', q->used) : NULL;
    size_t length;

    *message = NULL;
    if (end == NULL)
        return 0;
    *end = '\0';
    *message = json_tokener_parse(q->line);
    length = (size_t)(end - q->line) + 1;
    q->used -= length;
    memmove(q->line, q->line + length, q->used);
    if (json_object_is_type(*message, json_type_object))
        return 0;
    json_object_put(*message);
    *message = NULL;
    return error_set(e, EXIT_ENVIRONMENT, "QEMU's monitor says what is no JSON object");
}

/* The next message that is no event, NULL: none is there; events are kept. */
static int sort_messages(struct qmp *q, struct json_object **answer, struct error *e)
{
    for (;;) {
        if (next_message(q, answer, e) != 0)
            return -1;
        if (*answer == NULL || text_of(*answer, "event") == NULL)
            return 0;
        keep_event(q, *answer);
    }
}

/* Until there is something to read, or the deadline. False: nothing came. */
static bool wait_for(int fd, short events, int64_t deadline)
{
    struct pollfd p = {.fd = fd, .events = events};

    for (;;) {
        const int64_t left = deadline - clock_now();
        const int rc = poll(&p, 1,
                            left <= 0       ? 0
                            : left > SECOND ? 1000
                                            : (int)(left / 1000000 + 1));

        if (rc > 0)
            return true;
        if (left <= 0)
            return false;
    }
}

/* The next message that is no event, within the deadline. */
static int next_answer(struct qmp *q, int64_t deadline, struct json_object **answer,
                       struct error *e)
{
    for (;;) {
        if (sort_messages(q, answer, e) != 0)
            return -1;
        if (*answer != NULL)
            return 0;
        if (!wait_for(q->fd, POLLIN, deadline))
            return error_set(e, EXIT_ENVIRONMENT, "QEMU's monitor does not answer");
        if (receive(q, e) < 0)
            return -1;
    }
}

static int send_line(struct qmp *q, const char *text, int64_t deadline, struct error *e)
{
    size_t left = strlen(text);

    while (left > 0) {
        const ssize_t n = send(q->fd, text, left, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0) {
            text += n;
            left -= (size_t)n;
        } else if (errno != EAGAIN && errno != EINTR) {
            return gone(e);
        } else if (!wait_for(q->fd, POLLOUT, deadline)) {
            return error_set(e, EXIT_ENVIRONMENT, "QEMU's monitor takes nothing");
        }
    }
    return 0;
}

/* --- commands --- */

static int send_command(struct qmp *q, const char *name, struct json_object *arguments,
                        int64_t deadline, struct error *e)
{
    struct json_object *o = json_object_new_object();
    char *line;
    int rc;

    put(o, "execute", json_object_new_string(name));
    if (arguments != NULL)
        put(o, "arguments", arguments);
    put_int(o, "id", ++q->commands);
    /* In one piece: QEMU reads up to the last brace, and may be gone before more is sent. */
    if (asprintf(&line, "%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN)) < 0) {
        json_object_put(o);
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    }
    rc = send_line(q, line, deadline, e);
    free(line);
    json_object_put(o);
    return rc;
}

/* An answer to an earlier command, which was not waited for long enough, is passed over. */
static bool answers(const struct qmp *q, struct json_object *answer)
{
    struct json_object *id;

    return json_object_object_get_ex(answer, "id", &id) &&
           json_object_get_uint64(id) == q->commands;
}

static int take_answer(struct json_object *answer, struct json_object **result, struct error *e)
{
    struct json_object *what;
    const char *why;

    if (json_object_object_get_ex(answer, "return", &what)) {
        if (result != NULL)
            *result = json_object_get(what);
        return 0;
    }
    why = json_object_object_get_ex(answer, "error", &what) ? text_of(what, "desc") : NULL;
    return error_set(e, EXIT_ENVIRONMENT, "%s", why != NULL ? why : "QEMU's answer makes no sense");
}

static int ask(struct qmp *q, const char *name, struct json_object *arguments,
               struct json_object **result, struct error *e)
{
    const int64_t deadline = clock_now() + QMP_PATIENCE;
    struct json_object *answer = NULL;
    int rc = send_command(q, name, arguments, deadline, e);

    while (rc == 0) {
        rc = next_answer(q, deadline, &answer, e);
        if (rc != 0 || answers(q, answer))
            break;
        json_object_put(answer);
    }
    if (rc == 0) {
        rc = take_answer(answer, result, e);
        json_object_put(answer);
    }
    return rc;
}

int qmp_command(struct qmp *q, const char *name, struct json_object *arguments,
                struct json_object **result, struct error *e)
{
    if (ask(q, name, arguments, result, e) == 0)
        return 0;
    return error_context(e, "QEMU's %s", name);
}

int qmp_send(struct qmp *q, const char *name, struct json_object *arguments, struct error *e)
{
    json_object_put(q->answer);
    q->answer = NULL;
    if (send_command(q, name, arguments, clock_now() + QMP_PATIENCE, e) == 0)
        return 0;
    return error_context(e, "QEMU's %s", name);
}

int qmp_answer(struct qmp *q, struct json_object **result, struct error *e)
{
    struct json_object *answer = q->answer;
    int rc;

    if (answer == NULL)
        return 0;
    q->answer = NULL;
    rc = take_answer(answer, result, e);
    json_object_put(answer);
    return rc == 0 ? 1 : -1;
}

int qmp_read(struct qmp *q, struct error *e)
{
    struct json_object *message;
    int rc;

    while ((rc = receive(q, e)) > 0)
        ;
    for (;;) {
        struct error why;

        if (sort_messages(q, &message, &why) != 0)
            continue; /* one line less */
        if (message == NULL)
            return rc;
        if (answers(q, message) && q->answer == NULL)
            q->answer = message;
        else
            json_object_put(message);
    }
}

int qmp_wait_event(struct qmp *q, const char *name, int64_t deadline, struct json_object **event,
                   struct error *e)
{
    for (;;) {
        const bool dead = qmp_read(q, e) != 0;

        if (qmp_take_event(q, name, event))
            return 1;
        if (dead)
            return error_context(e, "waiting for QEMU's %s", name);
        if (!wait_for(q->fd, POLLIN, deadline))
            return 0;
    }
}

int qmp_icount_of(struct json_object *info, uint64_t *icount, struct error *e)
{
    struct json_object *count;

    if (!json_object_object_get_ex(info, "icount", &count))
        return error_set(e, EXIT_ENVIRONMENT, "QEMU counts no instructions");
    *icount = json_object_get_uint64(count);
    return 0;
}

int qmp_icount(struct qmp *q, uint64_t *icount, struct error *e)
{
    struct json_object *info;
    int rc;

    if (qmp_command(q, "query-replay", NULL, &info, e) != 0)
        return -1;
    rc = qmp_icount_of(info, icount, e);
    json_object_put(info);
    return rc;
}

/* --- from start to end --- */

/* {"QMP": {"version": {"qemu": {"major": 7, ...}, "package": "Debian ..."}, ...}} */
static void read_version(struct qmp *q, struct json_object *greeting)
{
    static const char *const part[] = {"major", "minor", "micro"};
    struct json_object *version, *qemu, *number;
    const char *package;
    int n[3] = {0};

    if (!json_object_object_get_ex(greeting, "QMP", &version) ||
        !json_object_object_get_ex(version, "version", &version) ||
        !json_object_object_get_ex(version, "qemu", &qemu))
        return;
    for (unsigned i = 0; i < 3; i++)
        if (json_object_object_get_ex(qemu, part[i], &number))
            n[i] = json_object_get_int(number);
    package = text_of(version, "package");
    if (package != NULL && package[0] != '\0')
        snprintf(q->version, sizeof(q->version), "%d.%d.%d (%s)", n[0], n[1], n[2], package);
    else
        snprintf(q->version, sizeof(q->version), "%d.%d.%d", n[0], n[1], n[2]);
}

static int greet(struct qmp *q, struct error *e)
{
    struct json_object *greeting;

    if (next_answer(q, clock_now() + QMP_PATIENCE, &greeting, e) != 0)
        return -1;
    read_version(q, greeting);
    json_object_put(greeting);
    return qmp_command(q, "qmp_capabilities", NULL, NULL, e);
}

int qmp_open(struct qmp *q, int fd, struct error *e)
{
    *q = (struct qmp){.fd = fd};
    if (fd < 0)
        return error_set(e, EXIT_ENVIRONMENT, "QEMU was started without a monitor");
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (greet(q, e) == 0)
        return 0;
    qmp_close(q);
    return -1;
}

void qmp_close(struct qmp *q)
{
    for (unsigned i = 0; i < q->events; i++)
        json_object_put(q->event[i]);
    json_object_put(q->answer);
    free(q->line);
    *q = (struct qmp){.fd = -1};
}
