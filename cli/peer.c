/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "exitcodes.h"
#include "signals.h"

#define PIPE_ROOM  (1 << 20)     /* bytes on the way, if the system lets us */
#define LOOK       (SECOND / 50) /* for an end that nobody tells of */
#define LAST_WORDS 2u            /* seconds for them */
#define SHOWN      60            /* characters of what makes no sense */

/* --- its life */

static void become(const char *command, int in, int out)
{
    sigset_t none;

    setpgid(0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

static int fork_it(struct peer *p, const char *command, const int in[2], const int out[2],
                   struct error *e)
{
    p->pid = fork();
    if (p->pid < 0) {
        p->pid = 0;
        return error_errno(e, EXIT_ENVIRONMENT, "cannot start \"%s\"", command);
    }
    if (p->pid == 0)
        become(command, in[0], out[1]);
    setpgid(p->pid, p->pid); /* whoever of us is first */
    return 0;
}

int peer_start(struct peer *p, const char *command, struct error *e)
{
    int in[2], out[2], rc;

    *p = PEER_NONE;
    if (pipe2(in, O_CLOEXEC) != 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot make a pipe");
    if (pipe2(out, O_CLOEXEC) != 0) {
        close(in[0]);
        close(in[1]);
        return error_errno(e, EXIT_ENVIRONMENT, "cannot make a pipe");
    }
    fcntl(in[1], F_SETPIPE_SZ, PIPE_ROOM);
    rc = fork_it(p, command, in, out, e);
    close(in[0]);
    close(out[1]);
    p->in = in[1];
    p->out = out[0];
    if (rc != 0)
        peer_end(p, 0, false);
    return rc;
}

static bool reap(struct peer *p)
{
    if (p->pid != 0 && waitpid(p->pid, &p->status, WNOHANG) == p->pid) {
        p->pid = 0;
        p->ended = true;
    }
    return p->pid == 0;
}

static bool ends_within(struct peer *p, int64_t time)
{
    const int64_t deadline = clock_now() + time;

    while (!reap(p)) {
        if (clock_now() >= deadline)
            return false;
        poll(NULL, 0, (int)(LOOK / 1000000));
    }
    return true;
}

static void hang_up(struct peer *p)
{
    if (p->in >= 0)
        close(p->in);
    if (p->out >= 0)
        close(p->out);
    p->in = p->out = -1;
}

void peer_end(struct peer *p, unsigned seconds, bool spared)
{
    hang_up(p);
    if (p->pid == 0 || ends_within(p, seconds * SECOND) || spared)
        return;
    kill(-p->pid, SIGTERM);
    if (ends_within(p, SECOND))
        return;
    kill(-p->pid, SIGKILL);
    while (waitpid(p->pid, &p->status, 0) < 0 && errno == EINTR)
        ;
    p->pid = 0;
}

/* --- what is said */

int peer_say(struct peer *p, const struct handover_line *l, struct error *e)
{
    char text[HANDOVER_CHARS];
    const size_t n = handover_format(text, sizeof(text), l);
    ssize_t done;

    do /* so short a line goes whole, or not at all */
        done = write(p->in, text, n);
    while (done < 0 && errno == EINTR);
    if (done == (ssize_t)n)
        return 0;
    if (done < 0) {
        error_errno(e, EXIT_ENVIRONMENT, "the other end cannot be told \"%.*s\"", (int)n - 1, text);
        return 1;
    }
    return error_set(e, EXIT_ENVIRONMENT, "the other end was told half a line");
}

static int say_how_it_ended(struct peer *p, struct error *e)
{
    if (!ends_within(p, SECOND))
        return error_set(e, EXIT_ENVIRONMENT,
                         "the other end says nothing more (it closed its "
                         "output)");
    if (WIFSIGNALED(p->status))
        return error_set(e, EXIT_ENVIRONMENT,
                         "the command to the other end was killed by signal %d",
                         WTERMSIG(p->status));
    return error_set(e, EXIT_ENVIRONMENT, "the command to the other end ended with exit code %d",
                     WEXITSTATUS(p->status));
}

static int no_sense(const struct peer *p, size_t n, struct error *e)
{
    char shown[SHOWN + 1];
    size_t i;

    for (i = 0; i < n && i < SHOWN; i++)
        shown[i] = isprint((unsigned char)p->line[i]) ? p->line[i] : '?';
    shown[i] = '\0';
    return error_set(e, EXIT_ENVIRONMENT,
                     "the other end says \"%s%s\", which is no word of a migration "
                     "(is it \"pvmm restore -\"?)",
                     shown, n > SHOWN ? "..." : "");
}

/* A whole line is there. */
static int take_line(struct peer *p, size_t n, struct handover_line *l, struct error *e)
{
    int rc = 0;

    handover_parse(l, p->line, n);
    if (l->word == HANDOVER_UNKNOWN)
        rc = no_sense(p, n, e);
    p->used -= n + 1;
    memmove(p->line, p->line + n + 1, p->used);
    return rc;
}

/* More of it. -1: no more will come, or not within the time. */
static int read_more(struct peer *p, int64_t deadline, int signals, struct error *e)
{
    struct pollfd f[] = {{.fd = p->out, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    const int64_t left = deadline - clock_now();
    ssize_t n;

    if (p->used == sizeof(p->line))
        return no_sense(p, p->used, e);
    if (left <= 0 || poll(f, 2, (int)(left / 1000000) + 1) == 0)
        return error_set(e, EXIT_ENVIRONMENT, "the other end does not answer");
    if (f[1].revents != 0)
        return error_set(e, signals_code(signals), "interrupted");
    n = read(p->out, p->line + p->used, sizeof(p->line) - p->used);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n < 0)
        return error_errno(e, EXIT_ENVIRONMENT, "the other end cannot be listened to");
    if (n == 0)
        return p->used > 0 ? no_sense(p, p->used, e) : say_how_it_ended(p, e);
    p->used += (size_t)n;
    return 0;
}

int peer_await(struct peer *p, struct handover_line *l, unsigned seconds, int signals,
               struct error *e)
{
    const int64_t deadline = clock_now() + seconds * SECOND;
    const char *end;

    l->word = HANDOVER_UNKNOWN;
    while ((end = memchr(p->line, '\n', p->used)) == NULL)
        if (read_more(p, deadline, signals, e) != 0)
            return -1;
    return take_line(p, (size_t)(end - p->line), l, e);
}

void peer_blame(struct peer *p, struct error *why)
{
    struct handover_line l;
    struct error e;

    if (p->out < 0)
        return;
    if (peer_await(p, &l, LAST_WORDS, -1, &e) == 0 && l.word == HANDOVER_FAILED)
        error_set(why, EXIT_ENVIRONMENT, "the other end: %s", l.text);
    else if (p->ended)
        *why = e;
}

/* --- while a write may block */

static void *guard(void *context)
{
    struct peer_guard *g = context;
    int64_t deadline = NEVER;

    for (;;) {
        struct pollfd f[] = {{.fd = g->signals, .events = POLLIN},
                             {.fd = g->wake[0], .events = POLLIN}};
        const int64_t left = deadline - clock_now();
        unsigned seconds;

        if (deadline != NEVER && left <= 0) {
            g->late = true;
            break;
        }
        poll(f, 2, deadline == NEVER ? -1 : (int)(left / 1000000) + 1);
        if (f[1].revents != 0) {
            if (read(g->wake[0], &seconds, sizeof(seconds)) != sizeof(seconds))
                return NULL;
            deadline = clock_now() + seconds * SECOND;
        } else if (f[0].revents != 0) {
            break;
        }
    }
    if (g->peer->pid != 0)
        kill(-g->peer->pid, SIGTERM);
    return NULL;
}

int peer_guard(struct peer_guard *g, struct peer *p, int signals, struct error *e)
{
    *g = (struct peer_guard){.peer = p, .signals = signals, .wake = {-1, -1}};
    if (pipe2(g->wake, O_CLOEXEC) != 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot make a pipe");
    if (pthread_create(&g->thread, NULL, guard, g) == 0)
        return 0;
    close(g->wake[0]);
    close(g->wake[1]);
    return error_set(e, EXIT_ENVIRONMENT, "cannot start a thread");
}

void peer_guard_limit(struct peer_guard *g, unsigned seconds)
{
    if (write(g->wake[1], &seconds, sizeof(seconds)) != sizeof(seconds))
        g->late = false; /* then it has no limit */
}

void peer_guard_end(struct peer_guard *g)
{
    close(g->wake[1]);
    pthread_join(g->thread, NULL);
    close(g->wake[0]);
}
