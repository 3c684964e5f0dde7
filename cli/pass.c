/* SPDX-License-Identifier: MIT */
#include "pass.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "clock.h"
#include "exitcodes.h"
#include "jsonput.h"

#define LEG          UINT64_C(20000000) /* instructions without a stop: progress is told after it */
#define LEG_PATIENCE (180 * SECOND)     /* one takes a second, or ten on a busy host */
#define END_PATIENCE (10 * SECOND)      /* for QEMU to end after the machine has */
#define SHOW_AFTER   SECOND

enum source { SIGNALS, PROCESS, MONITOR, COM1, COM2, ERRORS, SOURCES };

/* ---- what is shown meanwhile */

void playing_hide(struct playing *playing)
{
    if (playing->shown)
        fprintf(stderr, "\r%70s\r", "");
    playing->shown = false;
}

static void show(struct pass *p)
{
    struct playing *g = p->playing;
    const uint64_t million = 1000000;
    char of[24] = "";

    if (!isatty(STDERR_FILENO))
        return;
    if (g->passes >= g->pass)
        snprintf(of, sizeof(of), " of %u", g->passes);
    fprintf(stderr, "\rpvmm: pass %u%s: %" PRIu64 " of %" PRIu64 " million instructions ", g->pass,
            of, p->icount / million, g->recording->instructions / million);
    g->shown = true;
}

/* ---- waiting */

static int on_signal(const struct pass *p, struct error *e)
{
    struct signalfd_siginfo info;

    if (read(p->playing->signals, &info, sizeof(info)) != sizeof(info))
        return 0;
    if (info.ssi_signo == SIGINT)
        return error_set(e, EXIT_INTERRUPTED, "interrupted");
    return error_set(e, EXIT_TERMINATED, "terminated");
}

/* What the guest prints is known already; of the hypervisor its mailbox is wanted. A channel that
 * nobody empties would stop the machine. */
static int drain(struct pass *p, struct error *e)
{
    char data[4096];
    ssize_t n;

    while (read(p->qemu.com1, data, sizeof(data)) > 0)
        ;
    while ((n = read(p->qemu.com2, data, sizeof(data))) > 0)
        if (mailbox_feed(&p->mailbox, p->machine.ram_fd, data, (size_t)n, e) != 0)
            return -1;
    qemu_read_errors(&p->qemu, false);
    return 0;
}

/* Until something comes, or the deadline, which is an error; *polled tells what. */
static int wait_for_news(struct pass *p, struct pollfd polled[SOURCES], int64_t deadline,
                         struct error *e)
{
    const int fds[SOURCES] = {
        [SIGNALS] = p->playing->signals, [PROCESS] = p->qemu.pidfd, [MONITOR] = p->qmp.fd,
        [COM1] = p->qemu.com1,           [COM2] = p->qemu.com2,     [ERRORS] = p->qemu.errors,
    };
    int n;

    for (unsigned i = 0; i < SOURCES; i++)
        polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    do {
        const int64_t left = deadline - clock_now();

        if (left <= 0)
            return error_set(e, EXIT_ENVIRONMENT,
                             "the replay stands still after %" PRIu64 " instructions", p->icount);
        n = poll(polled, SOURCES, left > SECOND ? 1000 : (int)(left / 1000000 + 1));
    } while (n == 0 || (n < 0 && errno == EINTR));
    if (polled[SIGNALS].revents != 0 && on_signal(p, e) != 0)
        return -1;
    return drain(p, e);
}

/* The machine powers itself off, or QEMU goes: what it left is in its memory. */
static int await_end(struct pass *p, struct error *e)
{
    const int64_t deadline = clock_now() + END_PATIENCE;
    struct pollfd polled[SOURCES] = {{0}};

    while (polled[PROCESS].revents == 0) {
        if (wait_for_news(p, polled, deadline, e) != 0)
            return -1;
        if (polled[MONITOR].revents & POLLHUP)
            p->qmp.fd = -1; /* poll() passes it over */
    }
    p->ended = true;
    return 0;
}

/* 1: it stands; 0: the machine is at its end; -1: error. */
static int await_stop(struct pass *p, struct error *e)
{
    const int64_t deadline = clock_now() + LEG_PATIENCE;
    struct pollfd polled[SOURCES];
    struct error hung_up;

    for (;;) {
        if (qmp_take_event(&p->qmp, "SHUTDOWN", NULL))
            return await_end(p, e) == 0 ? 0 : -1;
        if (qmp_take_event(&p->qmp, "STOP", NULL))
            return qmp_icount(&p->qmp, &p->icount, e) == 0 ? 1 : -1;
        if (wait_for_news(p, polled, deadline, e) != 0)
            return -1;
        if (polled[PROCESS].revents != 0 ||
            (polled[MONITOR].revents != 0 && qmp_read(&p->qmp, &hung_up) != 0))
            return await_end(p, e) == 0 ? 0 : -1;
    }
}

/* ---- running */

/* Up to there, or to a point; where it stands now is p->icount. */
static int run_leg(struct pass *p, uint64_t icount, struct error *e)
{
    struct json_object *where = json_object_new_object();
    int rc;

    put_int(where, "icount", icount);
    while (qmp_take_event(&p->qmp, "STOP", NULL)) /* of a debugger that came */
        ;
    if (qmp_command(&p->qmp, "replay-break", where, NULL, e) != 0 ||
        qmp_command(&p->qmp, "cont", NULL, NULL, e) != 0)
        return -1;
    rc = await_stop(p, e);
    if (rc > 0 && p->icount < icount) /* a point of the stub's; or the events are over */
        qmp_command(&p->qmp, "replay-delete-break", NULL, NULL, &(struct error){0});
    return rc;
}

/* Leg by leg; `points`: a stop before its end is one of the caller's points. */
static int run_legs(struct pass *p, uint64_t icount, bool points, struct error *e)
{
    const int64_t begun = clock_now();

    while (!p->ended && p->icount < icount) {
        const uint64_t goal = icount - p->icount > LEG ? p->icount + LEG : icount;
        const int rc = run_leg(p, goal, e);

        if (rc < 0)
            return error_context(e, "replay of %s", p->playing->recording->dir);
        if (rc > 0 && p->icount < goal) {
            if (points)
                return 1;
            p->ended = true; /* all that was recorded was played */
        }
        if (p->playing->shown || clock_now() - begun > SHOW_AFTER)
            show(p);
    }
    return p->ended ? 0 : 1;
}

int pass_run_to(struct pass *p, uint64_t icount, struct error *e)
{
    return run_legs(p, icount, false, e);
}

int pass_run(struct pass *p, uint64_t limit, struct error *e)
{
    return run_legs(p, limit, true, e);
}

/* ---- QEMU's debugger stub */

/* A command for people, and what it says. */
static int monitor(struct pass *p, const char *line, char *said, size_t size, struct error *e)
{
    struct json_object *o = json_object_new_object(), *answer = NULL;
    const char *text;

    put(o, "command-line", json_object_new_string(line));
    if (qmp_command(&p->qmp, "human-monitor-command", o, &answer, e) != 0)
        return -1;
    text = json_object_is_type(answer, json_type_string) ? json_object_get_string(answer) : "";
    snprintf(said, size, "%s", text);
    json_object_put(answer);
    return 0;
}

int pass_listen(struct pass *p, unsigned port, struct error *e)
{
    char line[64], said[256];

    snprintf(line, sizeof(line), "gdbserver tcp:127.0.0.1:%u", port);
    if (monitor(p, line, said, sizeof(said), e) != 0)
        return -1;
    if (strstr(said, "Waiting for gdb connection") != NULL)
        return 0;
    said[strcspn(said, "\r\n")] = '\0';
    return error_set(e, EXIT_ENVIRONMENT, "QEMU's debugger stub cannot be at port %u: %s", port,
                     said);
}

/* Of the stub's socket, which took a port that was free: "disconnected:tcp:127.0.0.1:PORT,...". */
static bool parse_port(struct json_object *chardev, unsigned *port)
{
    struct json_object *label, *file;
    const char *at;

    if (!json_object_object_get_ex(chardev, "label", &label) ||
        !json_object_object_get_ex(chardev, "filename", &file) ||
        strcmp(json_object_get_string(label), "gdb") != 0)
        return false;
    at = strstr(json_object_get_string(file), "tcp:127.0.0.1:");
    return at != NULL && sscanf(at, "tcp:127.0.0.1:%u", port) == 1;
}

static int stub_port(struct pass *p, unsigned *port, struct error *e)
{
    struct json_object *all = NULL;
    bool found = false;

    if (qmp_command(&p->qmp, "query-chardev", NULL, &all, e) != 0)
        return -1;
    for (size_t i = 0;
         json_object_is_type(all, json_type_array) && i < json_object_array_length(all) && !found;
         i++)
        found = parse_port(json_object_array_get_idx(all, i), port);
    json_object_put(all);
    return found ? 0 : error_set(e, EXIT_ENVIRONMENT, "QEMU's debugger stub is at no port");
}

int pass_point(struct pass *p, enum debugger_point kind, bool set, uint64_t va, unsigned bytes,
                 struct error *e)
{
    unsigned port;

    if (p->stub < 0) {
        if (pass_listen(p, 0, e) != 0 || stub_port(p, &port, e) != 0)
            return -1;
        p->stub = debugger_connect(port, e);
    }
    return p->stub < 0 ? -1 : debugger_point(p->stub, kind, set, va, bytes, e);
}

int pass_stay(struct pass *p, struct error *e)
{
    struct pollfd polled[SOURCES] = {{0}};
    struct error hung_up;

    while (polled[PROCESS].revents == 0) {
        if (wait_for_news(p, polled, NEVER, e) != 0)
            return -1;
        if (polled[MONITOR].revents != 0 && qmp_read(&p->qmp, &hung_up) != 0)
            p->qmp.fd = -1;
    }
    p->ended = true;
    return 0;
}

/* ---- registers and memory */

/* "RIP=ffffffff8011165c": the digits behind the name. */
static bool take(const char *text, const char *name, uint64_t *value)
{
    const char *at = strstr(text, name);
    char *end;

    if (at == NULL)
        return false;
    *value = strtoull(at + strlen(name), &end, 16);
    return end != at + strlen(name);
}

static bool take_all(const char *text, struct pass_registers *to)
{
    struct pvmm_regs *r = &to->r;
    const struct {
        const char *name;
        uint64_t *to;
    } registers[] = {
        {"RAX=", &r->rax}, {"RBX=", &r->rbx},    {"RCX=", &r->rcx}, {"RDX=", &r->rdx},
        {"RSI=", &r->rsi}, {"RDI=", &r->rdi},    {"RBP=", &r->rbp}, {"RSP=", &r->rsp},
        {"R8 =", &r->r8},  {"R9 =", &r->r9},     {"R10=", &r->r10}, {"R11=", &r->r11},
        {"R12=", &r->r12}, {"R13=", &r->r13},    {"R14=", &r->r14}, {"R15=", &r->r15},
        {"RIP=", &r->rip}, {"RFL=", &r->rflags},
    };

    for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
        if (!take(text, registers[i].name, registers[i].to))
            return false;
    return true;
}

int pass_registers(struct pass *p, struct pass_registers *to, struct error *e)
{
    char text[8192];
    uint64_t level = 0;
    bool whole;

    *to = (struct pass_registers){0};
    if (p->ended)
        return error_set(e, EXIT_ENVIRONMENT, "the machine is gone, and its registers with it");
    if (monitor(p, "info registers", text, sizeof(text), e) != 0)
        return -1;
    whole = take(text, "CPL=", &level) && take(text, "CR3=", &to->cr3) &&
            take(text, "CS =", &to->r.cs) && take(text, "SS =", &to->r.ss);
    to->level = (unsigned)level;
    if (whole && take_all(text, to))
        return 0;
    if (whole && take(text, "EIP=", &to->r.rip) && take(text, "EFL=", &to->r.rflags))
        return 0;
    return error_set(e, EXIT_ENVIRONMENT, "QEMU's \"info registers\" is not understood");
}

/* Source: QEMU, hw/i386/pc_q35.c and pc_piix.c: how much of the memory lies below 4 GiB. */
static uint64_t low_memory(const struct machine *m, uint64_t bytes)
{
    const bool q35 = strncmp(m->machine, "pc", 2) != 0;
    const uint64_t most = q35 ? 0xb0000000 : 0xe0000000, cut = q35 ? 0x80000000 : 0xc0000000;

    return bytes >= most ? cut : bytes;
}

bool pass_place(const struct pass *p, uint64_t address, uint64_t *offset)
{
    const uint64_t bytes = p->machine.megabytes << 20, high = UINT64_C(1) << 32;
    const uint64_t low = low_memory(&p->machine, bytes);

    if (address < low) {
        *offset = address;
        return true;
    }
    if (address < high || address - high >= bytes - low)
        return false;
    *offset = low + (address - high);
    return true;
}

int pass_word(const struct pass *p, uint64_t address, uint64_t *word, struct error *e)
{
    uint64_t at;

    if (!pass_place(p, address, &at))
        return error_set(e, EXIT_CRASHED,
                         "machine address 0x%" PRIx64 " is no memory of the "
                         "machine's",
                         address);
    if (pread(p->machine.ram_fd, word, sizeof(*word), (off_t)at) == sizeof(*word))
        return 0;
    return error_errno(e, EXIT_ENVIRONMENT, "cannot read the machine's memory");
}

/* ---- from start to end */

static void close_channels(struct qemu *q)
{
    close(q->com1);
    close(q->com2);
    close(q->errors);
    close(q->qmp);
}

static int start(struct pass *p, struct error *e)
{
    if (recording_machine(p->playing->recording, &p->machine, e) != 0)
        return -1;
    p->machine.stopped = true;
    if (p->playing->qemu != NULL)
        p->machine.qemu = p->playing->qemu;
    if (qemu_start(&p->qemu, &p->machine, e) == 0) {
        if (qmp_open(&p->qmp, p->qemu.qmp, e) == 0)
            return 0;
        qemu_read_errors(&p->qemu, false);
        if (p->qemu.said[0] != '\0')
            error_context(e, "QEMU says \"%s\"", p->qemu.said);
        qemu_end(&p->qemu);
        close_channels(&p->qemu);
    }
    recording_machine_close(&p->machine);
    return -1;
}

int pass_open(struct pass *p, struct playing *playing, struct error *e)
{
    *p = (struct pass){.playing = playing, .stub = -1};
    playing->pass++;
    return start(p, e) == 0 ? 0 : error_context(e, "replay of %s", playing->recording->dir);
}

void pass_close(struct pass *p)
{
    if (p->stub >= 0)
        close(p->stub);
    qmp_close(&p->qmp);
    qemu_end(&p->qemu);
    close_channels(&p->qemu);
    mailbox_close(&p->mailbox);
    recording_machine_close(&p->machine);
}
