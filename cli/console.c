/* SPDX-License-Identifier: MIT */
#include "console.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define QUIT_KEY       0x1d /* Ctrl-], as in `xl console` and telnet */
#define INTERRUPT_KEY  0x03 /* Ctrl-C */
#define DRAIN_PATIENCE 2000 /* ms to wait for a reader of standard output at the end */

static struct termios saved;
static bool is_raw;

void terminal_restore(void)
{
    if (is_raw)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
    is_raw = false;
}

void terminal_raw(void)
{
    static bool registered;
    struct termios raw;

    /* A background job must leave the terminal alone. */
    if (is_raw || !isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) != getpgrp() ||
        tcgetattr(STDIN_FILENO, &saved) != 0)
        return;
    if (!registered)
        atexit(terminal_restore);
    registered = true;
    raw = saved;
    cfmakeraw(&raw);
    raw.c_oflag = saved.c_oflag; /* our own lines on stderr still need their carriage returns */
    is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

bool console_wants_input(const struct console *c)
{
    return !c->in_ended && c->in_size == 0;
}

bool console_has_input(const struct console *c)
{
    return pace_room(&c->pace, c->in_size) > 0;
}

bool console_is_held(const struct console *c)
{
    return c->in_size > 0 && !console_has_input(c);
}

bool console_wants_output(const struct console *c)
{
    return c->out_size == 0 || c->spool != NULL;
}

bool console_has_output(const struct console *c)
{
    return c->out_size > 0;
}

static bool is_quit_key(const struct console *c, char key)
{
    return key == (c->quit_key != 0 ? c->quit_key : QUIT_KEY) ||
           (!c->all_keys && key == INTERRUPT_KEY);
}

/* What was typed before the key that quits still goes to the guest. */
static void look_for_quit_key(struct console *c)
{
    for (size_t i = 0; i < c->in_size && !c->quit; i++)
        if (is_quit_key(c, c->in[i])) {
            c->quit = true;
            c->in_size = i;
        }
}

void console_read_stdin(struct console *c)
{
    const ssize_t n = read(STDIN_FILENO, c->in, sizeof(c->in));

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        c->in_ended = true;
        return;
    }
    c->in_at = 0;
    c->in_size = (size_t)n;
    if (is_raw)
        look_for_quit_key(c);
}

size_t console_put_input(struct console *c, const char *data, size_t size)
{
    const size_t room = sizeof(c->in) - c->in_size;
    const size_t n = size < room ? size : room;

    memmove(c->in, c->in + c->in_at, c->in_size);
    memcpy(c->in + c->in_size, data, n);
    c->in_at = 0;
    c->in_size += n;
    return n;
}

void console_write_guest(struct console *c, int com1)
{
    const size_t room = pace_room(&c->pace, c->in_size);
    const ssize_t n = room > 0 ? write(com1, c->in + c->in_at, room) : 0;

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n < 0) { /* the machine is going away, which is noticed elsewhere */
        c->in_size = 0;
        return;
    }
    pace_sent(&c->pace, (size_t)n);
    c->in_at += (size_t)n;
    c->in_size -= (size_t)n;
}

/* What cannot be spooled is lost, and that is found at the end. */
static void spool_write(struct spool *s, const char *data, size_t size)
{
    const ssize_t n = write(s->fd, data, size);

    s->written += n > 0 ? (size_t)n : 0;
    if (n == (ssize_t)size || s->failed)
        return;
    s->failed = true;
    s->why = n < 0 ? errno : ENOSPC;
}

static void spool_read(struct console *c)
{
    struct spool *s = c->spool;
    ssize_t n;

    if (s == NULL || c->out_size > 0 || s->read == s->written)
        return;
    n = pread(s->fd, c->out, sizeof(c->out), (off_t)s->read);
    if (n <= 0) {
        s->read = s->written;
        return;
    }
    s->read += (size_t)n;
    c->out_at = 0;
    c->out_size = (size_t)n;
}

static void pass_on(struct console *c, const char *data, size_t size)
{
    if (c->spool != NULL) {
        spool_write(c->spool, data, size);
        spool_read(c);
        return;
    }
    memcpy(c->out, data, size);
    c->out_at = 0;
    c->out_size = size;
}

bool console_read_guest(struct console *c, int com1)
{
    char data[CONSOLE_CHUNK];
    const ssize_t n = read(com1, data, sizeof(data));

    if (n <= 0) {
        c->hung_up = n == 0 || (errno != EAGAIN && errno != EINTR);
        return false;
    }
    c->seen = true;
    if (c->lines != NULL)
        lines_feed(c->lines, data, (size_t)n);
    if (c->tap != NULL)
        c->tap(c->tap_ctx, data, (size_t)n);
    pass_on(c, data, (size_t)n);
    return true;
}

void console_write_stdout(struct console *c)
{
    const ssize_t n = write(STDOUT_FILENO, c->out + c->out_at, c->out_size);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n < 0) {
        c->broken = true;
        c->out_size = 0;
        return;
    }
    if (n > 0)
        c->mid_line = c->out[c->out_at + (size_t)n - 1] != '\n';
    c->out_at += (size_t)n;
    c->out_size -= (size_t)n;
    spool_read(c);
}

static void flush_out(struct console *c)
{
    while (c->out_size > 0) {
        struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};

        if (poll(&p, 1, DRAIN_PATIENCE) == 0)
            return;
        console_write_stdout(c);
    }
}

void console_drain(struct console *c, int com1)
{
    if (c->spool != NULL) /* however slow our own reader is */
        while (console_read_guest(c, com1))
            ;
    for (;;) {
        flush_out(c);
        if (c->out_size > 0) /* nobody reads */
            return;
        if (!console_read_guest(c, com1))
            return;
    }
}
