/* SPDX-License-Identifier: MIT */
#include "pass.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "exitcodes.h"
#include "jsonput.h"

#define LEG        UINT64_C(20000000) /* instructions without a stop: progress is told after it */
#define SHOW_AFTER SECOND

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
            of, p->player.icount / million, g->recording->instructions / million);
    g->shown = true;
}

/* ---- running */

/* Why it does not stand where it should, as an error. */
static int failed(const struct pass *p, enum played how, struct error *e)
{
    switch (how) {
    case PLAYED_INTERRUPT:
        return error_set(e, EXIT_INTERRUPTED, "interrupted");
    case PLAYED_TERMINATE:
        return error_set(e, EXIT_TERMINATED, "terminated");
    case PLAYED_TIMEOUT:
        return error_set(e, EXIT_TIMEOUT, "not found in the time that --timeout gives");
    default:
        *e = p->player.trouble;
        return error_context(e, "replay of %s", p->playing->recording->dir);
    }
}

/* Leg by leg, for progress. 1: it stands there, or at a point; 0: the machine is over. */
static int run_legs(struct pass *p, uint64_t icount, struct error *e)
{
    const int64_t begun = clock_now();

    while (!p->player.over && p->player.icount < icount) {
        const uint64_t at = p->player.icount;
        const enum played how = player_run(&p->player, icount - at > LEG ? at + LEG : icount);

        if (how == PLAYED_POINT)
            return 1;
        if (how != PLAYED_THERE && how != PLAYED_END)
            return failed(p, how, e);
        if (p->playing->shown || clock_now() - begun > SHOW_AFTER)
            show(p);
    }
    return !p->player.over;
}

int pass_run_to(struct pass *p, uint64_t icount, struct error *e)
{
    p->player.points = false;
    return run_legs(p, icount, e);
}

int pass_run(struct pass *p, uint64_t limit, struct error *e)
{
    p->player.points = true;
    return run_legs(p, limit, e);
}

/* ---- QEMU's debugger stub */

/* A command for people, and what it says. */
static int monitor(struct pass *p, const char *line, char *said, size_t size, struct error *e)
{
    struct json_object *o = json_object_new_object(), *answer = NULL;
    const char *text;

    put(o, "command-line", json_object_new_string(line));
    if (qmp_command(&p->player.qmp, "human-monitor-command", o, &answer, e) != 0)
        return -1;
    text = json_object_is_type(answer, json_type_string) ? json_object_get_string(answer) : "";
    snprintf(said, size, "%s", text);
    json_object_put(answer);
    return 0;
}

/* QEMU makes no other as long as the first is there. */
static int close_stub(struct pass *p, struct error *e)
{
    char said[256];

    if (p->stub < 0)
        return 0;
    close(p->stub);
    p->stub = -1;
    return monitor(p, "gdbserver none", said, sizeof(said), e);
}

int pass_listen(struct pass *p, unsigned port, struct error *e)
{
    char line[64], said[256];

    if (close_stub(p, e) != 0 ||
        qmp_command(&p->player.qmp, "replay-delete-break", NULL, NULL, e) != 0)
        return -1;
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

    if (qmp_command(&p->player.qmp, "query-chardev", NULL, &all, e) != 0)
        return -1;
    for (size_t i = 0;
         json_object_is_type(all, json_type_array) && i < json_object_array_length(all) && !found;
         i++)
        found = parse_port(json_object_array_get_idx(all, i), port);
    json_object_put(all);
    return found ? 0 : error_set(e, EXIT_ENVIRONMENT, "QEMU's debugger stub is at no port");
}

static int connect_stub(struct pass *p, struct error *e)
{
    unsigned port;

    if (p->stub >= 0)
        return 0;
    if (pass_listen(p, 0, e) != 0 || stub_port(p, &port, e) != 0)
        return -1;
    p->stub = debugger_connect(port, e);
    return p->stub >= 0 ? 0 : -1;
}

int pass_point(struct pass *p, enum debugger_point kind, bool set, uint64_t va, unsigned bytes,
               struct error *e)
{
    return connect_stub(p, e) == 0 ? debugger_point(p->stub, kind, set, va, bytes, e) : -1;
}

int pass_step(struct pass *p, struct error *e)
{
    return connect_stub(p, e) == 0 && debugger_step(p->stub, e) == 0 &&
                   player_stepped(&p->player, e) == 0
               ? 0
               : -1;
}

int pass_stay(struct pass *p, struct error *e)
{
    const enum played how = player_stay(&p->player);

    /* A debugger that kills it has done what it wanted. */
    return how == PLAYED_END || how == PLAYED_AWRY ? 0 : failed(p, how, e);
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
    const uint64_t bytes = p->player.machine.megabytes << 20, high = UINT64_C(1) << 32;
    const uint64_t low = low_memory(&p->player.machine, bytes);

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
    if (pread(p->player.machine.ram_fd, word, sizeof(*word), (off_t)at) == sizeof(*word))
        return 0;
    return error_errno(e, EXIT_ENVIRONMENT, "cannot read the machine's memory");
}

/* ---- from start to end */

int pass_open(struct pass *p, struct playing *playing, struct error *e)
{
    *p = (struct pass){
        .playing = playing,
        .player = {.recording = playing->recording,
                   .qemu = playing->qemu,
                   .any_qemu = playing->any_qemu,
                   .signals = playing->signals,
                   .deadline = playing->deadline},
        .stub = -1,
    };
    playing->pass++;
    return player_start(&p->player, e);
}

void pass_close(struct pass *p)
{
    if (p->stub >= 0)
        close(p->stub);
    player_end(&p->player);
}
