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

#define PATIENCE (5 * SECOND) /* for a whole reply */

/* It was there to connect to, and went away without a word. */
static int just_ended(struct error *e)
{
    return error_set(e, EXIT_NO_GUEST, "it has just ended");
}

static int send_request(int fd, const char *word, bool follow, struct error *e)
{
    char line[128];
    const int n = snprintf(line, sizeof(line), "{\"pvmm\": %d, \"do\": \"%s\", \"follow\": %s}\n",
                           CONTROL_VERSION, word, follow ? "true" : "false");

    if (send(fd, line, (size_t)n, MSG_NOSIGNAL) == n) /* a fresh socket has room for it */
        return 0;
    if (errno == EPIPE || errno == ECONNRESET)
        return just_ended(e);
    return error_errno(e, EXIT_ENVIRONMENT, "cannot send the request");
}

/*
 * One line and not a byte more, as a stream may follow it: look first, then take. Returns its
 * length without the newline.
 */
static int read_line(int fd, char *line, size_t size, struct error *e)
{
    const int64_t deadline = clock_now() + PATIENCE;
    size_t used = 0;

    while (used < size) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        const int64_t left = deadline - clock_now();
        const char *end;
        ssize_t n;

        if (left <= 0 || poll(&p, 1, (int)(left / 1000000) + 1) == 0)
            return error_set(e, EXIT_ENVIRONMENT, "it does not answer");
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
        n = recv(fd, line + used, (size_t)n, 0);
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

static int converse(int fd, const char *word, bool follow, struct json_object **reply,
                    struct error *e)
{
    static char line[REPLY_CHARS + 1];
    struct json_object *o;
    int n;

    if (send_request(fd, word, follow, e) != 0)
        return -1;
    n = read_line(fd, line, sizeof(line) - 1, e);
    if (n < 0)
        return -1;
    line[n] = '\0';
    o = json_tokener_parse(line);
    if (check_reply(o, e) != 0) {
        json_object_put(o);
        return -1;
    }
    if (reply != NULL)
        *reply = o;
    else
        json_object_put(o);
    return 0;
}

int ask(const struct registry *r, const char *name, const char *word, bool follow,
        struct json_object **reply, struct error *e)
{
    const int fd = registry_connect(r, name, e);

    if (fd < 0)
        return -1;
    if (converse(fd, word, follow, reply, e) != 0) {
        close(fd);
        return error_context(e, "guest \"%s\"", name);
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

int ask_guest(const char *name, const char *word, bool follow, struct error *e)
{
    struct registry r;
    int fd;

    if (guest_name_check(name, e) != 0 || registry_open(&r, false, e) != 0)
        return -1;
    fd = ask(&r, name, word, follow, NULL, e);
    registry_close(&r);
    return fd;
}
