/* SPDX-License-Identifier: MIT */
#include "player.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "clock.h"
#include "exitcodes.h"
#include "jsonput.h"

/* How far it is. A halted machine goes on only when QEMU's main loop turns, and without a clock of
 * the host's among its inputs nothing else turns it. */
#define ASK_AGAIN  (SECOND / 100)
#define STANDSTILL (60 * SECOND) /* then QEMU waits for what the record does not have */
#define LAST_WORDS (SECOND)      /* for a QEMU that hangs up to be gone */

enum source { SIGNALS, PROCESS, COM1, COM2, ERRORS, STDOUT, MONITOR, SOURCES };

/* --- start and end --- */

static int check_version(const struct player *p, struct error *e)
{
    if (p->any_qemu || strcmp(p->qmp.version, p->recording->qemu_version) == 0)
        return 0;
    return error_set(e, EXIT_ENVIRONMENT,
                     "recorded with QEMU %s, and this is QEMU %s, which need not take the same "
                     "steps (--any-qemu tries)",
                     p->recording->qemu_version, p->qmp.version);
}

int player_start(struct player *p, struct error *e)
{
    p->qmp.fd = -1;
    p->qemu_process = (struct qemu){.pid = -1, .pidfd = -1};
    if (recording_machine(p->recording, &p->machine, e) != 0)
        return -1;
    p->machine.qemu = p->qemu;
    p->machine.gdb_port = p->gdb_port;
    if (qemu_start(&p->qemu_process, &p->machine, e) != 0) {
        recording_machine_close(&p->machine);
        return -1;
    }
    if (qmp_open(&p->qmp, p->qemu_process.qmp, e) == 0 && check_version(p, e) == 0)
        return 0;
    qemu_read_errors(&p->qemu_process, p->verbose);
    if (p->qmp.version[0] == '\0' && p->qemu_process.said[0] != '\0')
        error_set(e, EXIT_ENVIRONMENT, "QEMU says: %s", p->qemu_process.said);
    player_end(p);
    return -1;
}

void player_end(struct player *p)
{
    qmp_close(&p->qmp);
    if (p->qemu_process.pid > 0) {
        qemu_end(&p->qemu_process);
        qemu_close(&p->qemu_process);
    }
    mailbox_close(&p->mailbox);
    recording_machine_close(&p->machine);
}

/* --- its channels --- */

static void on_com2(struct player *p)
{
    char data[256];
    ssize_t n;

    while ((n = read(p->qemu_process.com2, data, sizeof(data))) > 0)
        if (mailbox_feed(&p->mailbox, p->machine.ram_fd, data, (size_t)n, &p->trouble) != 0)
            p->over = true;
    mailbox_copy_log(&p->mailbox, p->log);
}

static void fill(struct pollfd *p, int fd, bool in, bool out)
{
    p->events = (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0));
    p->fd = p->events != 0 ? fd : -1;
    p->revents = 0;
}

static bool has_output(const struct player *p)
{
    return p->console != NULL && console_has_output(p->console);
}

/* What nobody wants to see has to be taken all the same, or the machine would wait. */
static void on_com1(struct player *p)
{
    char data[4096];

    if (p->console != NULL)
        console_read_guest(p->console, p->qemu_process.com1);
    else
        while (read(p->qemu_process.com1, data, sizeof(data)) > 0)
            ;
}

static void wait_for_news(const struct player *p, struct pollfd *f)
{
    const struct qemu *q = &p->qemu_process;
    const int64_t left = earlier(p->deadline, p->asked + ASK_AGAIN) - clock_now();

    fill(&f[SIGNALS], p->signals, true, false);
    fill(&f[PROCESS], q->pidfd, true, false);
    fill(&f[COM1], q->com1, p->console == NULL || console_wants_output(p->console), false);
    fill(&f[COM2], q->com2, true, false);
    fill(&f[ERRORS], q->errors, true, false);
    fill(&f[STDOUT], STDOUT_FILENO, false, has_output(p));
    fill(&f[MONITOR], q->qmp, true, false);
    while (poll(f, SOURCES, left > 0 ? (int)(left / 1000000 + 1) : 0) < 0 && errno == EINTR)
        ;
}

static void handle_output(struct player *p, const struct pollfd *f)
{
    if (f[COM1].revents)
        on_com1(p);
    if (f[COM2].revents)
        on_com2(p);
    if (f[ERRORS].revents)
        qemu_read_errors(&p->qemu_process, p->verbose);
    if (f[STDOUT].revents)
        console_write_stdout(p->console);
}

static enum played signalled(const struct player *p)
{
    struct signalfd_siginfo info;

    if (read(p->signals, &info, sizeof(info)) != sizeof(info) || info.ssi_signo == SIGINT)
        return PLAYED_INTERRUPT;
    return PLAYED_TERMINATE;
}

/* --- is it getting on? --- */

static enum played awry(struct player *p, const char *what)
{
    p->over = true;
    qemu_read_errors(&p->qemu_process, p->verbose);
    if (p->trouble.code == 0)
        error_set(&p->trouble, EXIT_FINDINGS, "%s, after %" PRIu64 " instructions%s%s", what,
                  p->icount, p->qemu_process.said[0] != '\0' ? ": " : "", p->qemu_process.said);
    return PLAYED_AWRY;
}

static void take_answer(struct player *p)
{
    struct json_object *info;
    struct error ignored;
    uint64_t icount;

    if (!p->asking || qmp_answer(&p->qmp, &info, &ignored) != 1)
        return;
    p->asking = false;
    if (qmp_icount_of(info, &icount, &ignored) == 0 && icount != p->icount) {
        p->icount = icount;
        p->moved = clock_now();
    }
    json_object_put(info);
}

/* A machine whose output nobody takes cannot get on. */
static bool stands_still(struct player *p)
{
    const int64_t now = clock_now();
    struct error ignored;

    if (has_output(p))
        p->moved = now;
    if (now - p->asked >= ASK_AGAIN) {
        p->asked = now;
        if (!p->asking)
            p->asking = qmp_send(&p->qmp, "query-replay", NULL, &ignored) == 0;
    }
    return now - p->moved >= STANDSTILL;
}

/* --- from one stop to the next --- */

/* Where it stands: exactly, since it does. */
static enum played stands(struct player *p, enum played how)
{
    struct error e;

    if (qmp_icount(&p->qmp, &p->icount, &e) != 0) {
        p->trouble = e;
        return awry(p, "");
    }
    return how;
}

/* A machine that is over stops too: that is told first. Other stops are not the record's. */
static bool stopped(struct player *p, uint64_t icount, enum played *how)
{
    if (qmp_take_event(&p->qmp, "SHUTDOWN", NULL)) {
        p->over = true;
        *how = stands(p, PLAYED_END);
        return true;
    }
    if (!qmp_take_event(&p->qmp, "STOP", NULL))
        return false;
    *how = stands(p, PLAYED_THERE);
    if (*how == PLAYED_THERE && p->icount != icount)
        *how = p->points ? PLAYED_POINT : awry(p, "the record ends early");
    return true;
}

static int set_out(struct player *p, uint64_t icount, struct error *e)
{
    struct json_object *to;

    qmp_take_event(&p->qmp, "RESUME", NULL);
    if (icount != PLAY_TO_END) {
        to = json_object_new_object();
        put_int(to, "icount", icount);
        if (qmp_command(&p->qmp, "replay-break", to, NULL, e) != 0)
            return -1;
    }
    p->asking = false;
    p->moved = p->asked = clock_now();
    return qmp_command(&p->qmp, "cont", NULL, NULL, e);
}

static enum played play(struct player *p, uint64_t icount)
{
    struct pollfd f[SOURCES];
    struct error e;
    enum played how;

    qmp_read(&p->qmp, &e); /* what came with the answer to "cont" */
    while (!stopped(p, icount, &how)) {
        wait_for_news(p, f);
        handle_output(p, f);
        if (f[SIGNALS].revents)
            return signalled(p);
        if (f[PROCESS].revents)
            return awry(p, "QEMU ended");
        if (p->over)
            return awry(p, "");
        if (f[MONITOR].revents && qmp_read(&p->qmp, &e) != 0) {
            poll(&(struct pollfd){.fd = p->qemu_process.pidfd, .events = POLLIN}, 1,
                 LAST_WORDS / 1000000);
            return awry(p, "QEMU hung up");
        }
        take_answer(p);
        if (p->console != NULL && p->console->broken)
            return PLAYED_OUTPUT;
        if (clock_now() >= p->deadline)
            return PLAYED_TIMEOUT;
        if (stands_still(p))
            return awry(p, "the machine stands still, where it did not when it was recorded");
    }
    return how;
}

enum played player_run(struct player *p, uint64_t icount)
{
    enum played how;

    if (p->over || set_out(p, icount, &p->trouble) != 0)
        return awry(p, "nothing is left to play");
    how = play(p, icount);
    on_com2(p);
    if (p->console != NULL && (how == PLAYED_THERE || how == PLAYED_END || how == PLAYED_AWRY))
        console_drain(p->console, p->qemu_process.com1);
    return how;
}

/* QEMU answers only after it has told that the machine ran and stopped. */
int player_stepped(struct player *p, struct error *e)
{
    const int rc = qmp_icount(&p->qmp, &p->icount, e);

    while (qmp_take_event(&p->qmp, "STOP", NULL) || qmp_take_event(&p->qmp, "RESUME", NULL))
        ;
    return rc;
}

enum played player_stay(struct player *p)
{
    struct pollfd f[SOURCES];
    struct error e;

    for (;;) {
        p->asked = clock_now(); /* nobody asks how far it is */
        wait_for_news(p, f);
        handle_output(p, f);
        if (f[SIGNALS].revents)
            return signalled(p);
        if (f[PROCESS].revents || (f[MONITOR].revents && qmp_read(&p->qmp, &e) != 0))
            return awry(p, "QEMU ended");
        if (qmp_take_event(&p->qmp, "SHUTDOWN", NULL)) {
            p->over = true;
            return PLAYED_END;
        }
    }
}
