/* SPDX-License-Identifier: MIT */
#include "ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"
#include "exitcodes.h"
#include "jsonput.h"
#include "signals.h"

#define PATIENCE (5 * SECOND) /* for a whole reply */

/* It was there to connect to, and went away without a word. */
static int just_ended(struct error *e)
{
    return error_set(e, EXIT_NO_GUEST, "it has just ended");
}

static struct json_object *request(const struct question *q)
{
    struct json_object *o = json_object_new_object();

    put_int(o, "pvmm", CONTROL_VERSION);
    put_text(o, "do", q->word);
    put_bool(o, "follow", q->follow);
    if (q->how != NULL)
        put_text(o, "how", q->how);
    if (q->timeout != 0)
        put_int(o, "timeout", q->timeout);
    return o;
}

static int send_request(int fd, const struct question *q, struct error *e)
{
    struct json_object *o = request(q);
    char line[256];
    const int n = snprintf(line, sizeof(line), "%s\n",
                           json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));

    json_object_put(o);
    if (send(fd, line, (size_t)n, MSG_NOSIGNAL) == n) /* a fresh socket has room for it */
        return 0;
    if (errno == EPIPE || errno == ECONNRESET)
        return just_ended(e);
    return error_errno(e, EXIT_ENVIRONMENT, "cannot send the request");
}

/* Something to read, within the time. */
static int await_bytes(int fd, int signals, int64_t deadline, struct error *e)
{
    struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    const int64_t left = deadline - clock_now();

    if (left <= 0 || poll(p, 2, (int)(left / 1000000) + 1) == 0)
        return error_set(e, EXIT_ENVIRONMENT, "it does not answer");
    if (p[1].revents != 0)
        return error_set(e, signals_code(signals), "interrupted");
    return 0;
}

/* Take `n` bytes that were seen to be there, and what was passed with them. */
static ssize_t take(int fd, char *to, size_t n, int *passed)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec data = {to, n};
    struct msghdr m = {.msg_iov = &data,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control.bytes)};
    const ssize_t got = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    const struct cmsghdr *h = got > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    int came;

    if (h == NULL || h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS ||
        h->cmsg_len != CMSG_LEN(sizeof(int)))
        return got;
    memcpy(&came, CMSG_DATA(h), sizeof(came));
    if (passed == NULL || *passed >= 0)
        close(came);
    else
        *passed = came;
    return got;
}

/*
 * One line and not a byte more, as a stream may follow it: look first, then take. Returns its
 * length without the newline.
 */
static int read_line(int fd, const struct question *q, char *line, size_t size, int *passed,
                     struct error *e)
{
    const int64_t deadline = clock_now() + PATIENCE + (int64_t)(q->timeout + q->patience) * SECOND;
    size_t used = 0;

    while (used < size) {
        const char *end;
        ssize_t n;

        if (await_bytes(fd, q->signals, deadline, e) != 0)
            return -1;
        n = recv(fd, line + used, size - used, MSG_PEEK);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0 && used == 0)
            return just_ended(e);
        if (n <= 0)
            return error_set(e, EXIT_ENVIRONMENT, "it hung up in the middle of its reply");
        end = memchr(line + used, '\n', (size_t)n);
        if (end != NULL)
            n = end - (line + used) + 1;
        n = take(fd, line + used, (size_t)n, passed);
        if (n > 0)
            used += (size_t)n;
        if (end != NULL && n > 0 && line[used - 1] == '\n')
            return (int)used - 1;
    }
    return error_set(e, EXIT_ENVIRONMENT, "its reply is too long");
}

static int refused(struct json_object *reply, struct error *e)
{
    struct json_object *code, *why;
    int number = EXIT_ENVIRONMENT;

    if (json_object_object_get_ex(reply, "code", &code))
        number = json_object_get_int(code);
    if (!json_object_object_get_ex(reply, "error", &why))
        why = NULL;
    return error_set(e, number > 0 && number < 256 ? number : EXIT_ENVIRONMENT, "%s",
                     why != NULL ? json_object_get_string(why) : "refused without a reason");
}

static int check_reply(struct json_object *reply, struct error *e)
{
    struct json_object *version, *ok;

    if (!json_object_is_type(reply, json_type_object) ||
        !json_object_object_get_ex(reply, "pvmm", &version) ||
        !json_object_object_get_ex(reply, "ok", &ok))
        return error_set(e, EXIT_ENVIRONMENT, "its reply makes no sense");
    if (json_object_get_int64(version) != CONTROL_VERSION)
        return error_set(e, EXIT_ENVIRONMENT, "its pvmm is of another version");
    return json_object_get_boolean(ok) ? 0 : refused(reply, e);
}

static int take_reply(int fd, const struct question *q, struct reply *reply, struct error *e)
{
    static char line[REPLY_CHARS + 1];
    struct json_object *o;
    const int n = read_line(fd, q, line, sizeof(line) - 1, &reply->passed, e);

    if (n < 0)
        return -1;
    line[n] = '\0';
    o = json_tokener_parse(line);
    if (check_reply(o, e) != 0) {
        json_object_put(o);
        return -1;
    }
    reply->o = o;
    return 0;
}

static int converse(int fd, const struct question *q, struct reply *reply, struct error *e)
{
    return send_request(fd, q, e) != 0 ? -1 : take_reply(fd, q, reply, e);
}

int ask_line(int fd, const struct question *q, struct json_object **reply, struct error *e)
{
    struct reply got = {.passed = -1};
    char line[32];
    const int n = snprintf(line, sizeof(line), "%s\n", q->word);

    if (send(fd, line, (size_t)n, MSG_NOSIGNAL) != n)
        return just_ended(e);
    if (take_reply(fd, q, &got, e) != 0)
        return -1;
    if (got.passed >= 0)
        close(got.passed);
    if (reply != NULL)
        *reply = got.o;
    else
        json_object_put(got.o);
    return 0;
}

static int ask_in(const struct registry *r, const char *name, const struct question *q,
                  struct reply *reply, struct error *e)
{
    struct reply got = {.passed = -1};
    const int fd = registry_connect(r, name, e);
    const int rc = fd < 0 ? -1 : converse(fd, q, &got, e);

    if (fd >= 0 && rc != 0) {
        close(fd);
        error_context(e, "guest \"%s\"", name);
    }
    if (got.passed >= 0 && (rc != 0 || reply == NULL))
        close(got.passed);
    if (rc != 0)
        return -1;
    if (reply != NULL)
        *reply = got;
    else
        json_object_put(got.o);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

int ask(const struct registry *r, const char *name, const char *word, bool follow,
        struct json_object **reply, struct error *e)
{
    struct reply got;
    const int fd =
        ask_in(r, name, &(struct question){.word = word, .follow = follow, .signals = -1}, &got, e);

    if (fd < 0)
        return -1;
    if (got.passed >= 0)
        close(got.passed);
    *reply = got.o;
    return fd;
}

int ask_question(const char *name, const struct question *q, struct reply *reply, struct error *e)
{
    struct registry r;
    int fd;

    if (guest_name_check(name, e) != 0 || registry_open(&r, false, e) != 0)
        return -1;
    fd = ask_in(&r, name, q, reply, e);
    registry_close(&r);
    return fd;
}

int ask_guest(const char *name, const char *word, bool follow, struct error *e)
{
    const struct question q = {.word = word, .follow = follow, .signals = -1};

    return ask_question(name, &q, NULL, e);
}

int ask_await_end(int fd, const char *name, unsigned seconds, struct error *e)
{
    const int64_t deadline = seconds != 0 ? clock_now() + seconds * SECOND : NEVER;
    char byte;
    ssize_t n;

    for (;;) {
        const int64_t left = deadline - clock_now();
        struct pollfd p = {.fd = fd, .events = POLLIN};

        if (left <= 0 || poll(&p, 1, deadline == NEVER ? -1 : (int)(left / 1000000) + 1) == 0)
            return error_set(e, EXIT_ENVIRONMENT, "guest \"%s\" is not gone after %u seconds", name,
                             seconds);
        n = recv(fd, &byte, 1, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return 0;
    }
}
