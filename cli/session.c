/* SPDX-License-Identifier: MIT */
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "clock.h"
#include "detach.h"
#include "exitcodes.h"

#define START_PATIENCE (3 * SECOND)  /* for the guest to be started, with KVM on trial */
#define DISC_PATIENCE  (12 * SECOND) /* the same where GRUB has to read it from a disc */
#define STOP_PATIENCE  (10 * SECOND) /* for the verdict after --expect was seen */
#define AUDIT_OF_GIB   (SECOND)      /* more for each of these, of the machine's memory */
#define LATE_PATIENCE  (3 * SECOND)  /* for the verdict after a timeout */
#define LEAVE_PATIENCE (3 * SECOND)  /* for QEMU to end after the verdict is there */
#define QUIET          (SECOND / 4)  /* then the unfinished line is taken for a prompt */

enum source {
    SIGNALS,
    PROCESS,
    COM1,
    COM1_IN,
    COM2,
    COM2_IN,
    ERRORS,
    STDIN,
    STDOUT,
    MONITOR,
    ARRIVAL,
    TARGET,
    SOURCES
};

static void each_line(void *ctx, const char *line)
{
    struct session *s = ctx;

    if (s->expect != NULL && !s->expect_seen && regexec(s->expect, line, 0, NULL, 0) == 0)
        s->expect_seen = true;
    if (s->real_xen)
        xen_log_line(&s->xen, line);
}

static bool guest_over(const struct session *s)
{
    if (s->real_xen)
        return s->xen.outcome != PVMM_OUTCOME_NONE;
    return mailbox_state(&s->mailbox) == PVMM_STATE_ENDED;
}

/* Ask our hypervisor to stop the guest and say what there is to say. False: there is none to ask.
 */
static bool ask_to_stop(struct session *s)
{
    static const char bell = PVMM_BELL_STOP;

    return !s->real_xen && s->mailbox.box != NULL && !guest_over(s) &&
           bell_ring(&s->bell, &bell, 1);
}

/* The first end that is seen is the one that counts; what follows are its consequences. */
static void finish(struct session *s, enum session_end end)
{
    int64_t patience = 0;

    if (s->end != END_NONE)
        return;
    s->end = end;
    if (end == END_EXPECT && ask_to_stop(s))
        patience = STOP_PATIENCE + s->audit_time;
    else if (end == END_TIMEOUT && ask_to_stop(s))
        patience = LATE_PATIENCE + s->audit_time;
    else if (end == END_GUEST && !s->real_xen)
        patience = LEAVE_PATIENCE;
    s->kill_deadline = clock_now() + patience;
}

static void on_signal(struct session *s)
{
    struct signalfd_siginfo info;

    if (read(s->signals, &info, sizeof(info)) == sizeof(info))
        finish(s, info.ssi_signo == SIGINT ? END_INTERRUPT : END_TERMINATE);
}

static void on_com1(struct session *s)
{
    console_read_guest(s->console, s->qemu.com1);
    s->quiet_since = clock_now();
}

/* It stands still until its report is read. */
static void let_guest_go_on(struct session *s)
{
    static const char go = PVMM_BELL_GO;

    if (bell_room(&s->bell) == 0 || !explainer_has_read(s->explainer, &s->mailbox))
        return;
    record_wait(s->record, s->explainer->looked);
    bell_ring(&s->bell, &go, 1);
    bell_write(&s->bell, s->qemu.com2_in);
}

static void on_com2(struct session *s)
{
    char data[256];
    ssize_t n;

    while ((n = read(s->qemu.com2, data, sizeof(data))) > 0)
        if (mailbox_feed(&s->mailbox, s->ram_fd, data, (size_t)n, &s->trouble) != 0)
            finish(s, END_CHANNEL);
    mailbox_copy_log(&s->mailbox, s->log);
    explainer_look(s->explainer, &s->mailbox, s->console, stderr);
    let_guest_go_on(s);
}

static void serve_store(struct session *s)
{
    const char *why;

    if (guest_store_serve(&s->store, &s->mailbox, &s->bell, &s->trouble) != 0)
        finish(s, END_CHANNEL);
    why = guest_store_trouble(&s->store);
    if (why != NULL)
        fprintf(stderr, "pvmm: the guest's store is cut off: %s\n", why);
}

static void serve_hold(struct session *s)
{
    if (!s->real_xen && hold_serve(&s->hold, &s->trouble) != 0)
        finish(s, END_CHANNEL);
}

/* What a client is answered, or gives up, may be for the hypervisor or for the store. */
static void serve_wishes(struct session *s)
{
    serve_store(s);
    serve_hold(s);
    control_answer(s->control);
    serve_hold(s);
    serve_store(s);
}

/* How much the machine has taken of what was sent, and what may follow. */
static void keep_pace(struct session *s)
{
    const volatile struct pvmm_mailbox *box = s->mailbox.box;

    if (s->record == NULL || (box == NULL && !s->real_xen))
        return;
    pace_told(&s->console->pace, box != NULL ? box->received[0] : 0);
    pace_told(&s->bell.pace, box != NULL ? box->received[1] : 0);
}

static void start_pace(struct session *s)
{
    const enum pacing by = s->record == NULL ? PACE_NOT : s->real_xen ? PACE_TIME : PACE_TOLD;

    s->bell.pace = s->console->pace = (struct pace){.by = by};
}

static void serve_arrival(struct session *s)
{
    if (s->end != END_NONE)
        return;
    if (arrival_serve(s->arrival, &s->mailbox, s->ram_fd, &s->bell, &s->trouble) != 0)
        finish(s, END_ARRIVAL);
    s->store.target = arrival_memory(s->arrival);
}

/* What the memory of a machine that is gone says is not true any more. */
static void serve_target(struct session *s)
{
    if (s->end != END_NONE || s->qemu.pid <= 0)
        return;
    if (target_serve(s->target, &s->mailbox, &s->hold, &s->trouble) != 0)
        finish(s, END_ARRIVAL);
    if (s->target->stage != TARGET_GOES)
        return;
    detach_alone(s->detach); /* the source's guest may be over as soon as this one runs */
    target_serve(s->target, &s->mailbox, &s->hold, &s->trouble);
}

/* Of --timeout. A guest that was handed over may be the only one there is: it stands until it is
 * known what became of it. */
static int64_t life_deadline(const struct session *s)
{
    return s->hold.live.handed ? NEVER : s->deadline;
}

/* What `--detach` waits for: one that is to be paused stands when its user gets his prompt back. */
static bool has_started(const struct session *s)
{
    const unsigned state = mailbox_state(&s->mailbox);

    if (s->real_xen)
        return s->console->seen;
    return target_is_done(s->target) && (state > PVMM_STATE_RUNNING ||
                                         (state == PVMM_STATE_RUNNING && hold_as_wished(&s->hold)));
}

/* What the state of things means, whoever brought the news. */
static void take_stock(struct session *s)
{
    const int64_t now = clock_now();

    keep_pace(s);
    let_guest_go_on(s);
    serve_arrival(s);
    serve_target(s);
    serve_wishes(s);
    if (stand_serve(&s->stand, &s->mailbox, &s->bell, s->qemu.com2_in))
        s->deadline = NEVER; /* a person has all the time there is */
    if (s->quiet_since != NEVER && now - s->quiet_since >= QUIET && lines_pending(&s->lines)) {
        lines_peek(&s->lines);
        s->quiet_since = NEVER;
    }
    if (s->console->quit)
        finish(s, END_INTERRUPT);
    if (control_destroyed(s->control)) {
        finish(s, END_DESTROY);
        s->kill_deadline = now; /* whatever else was being waited for */
    }
    if (s->console->broken)
        finish(s, END_OUTPUT);
    if (has_started(s))
        detach_started(s->detach);
    if (s->expect_seen)
        finish(s, END_EXPECT);
    if (guest_over(s))
        finish(s, END_GUEST);
    if (now >= life_deadline(s))
        finish(s, END_TIMEOUT);
    if (mailbox_state(&s->mailbox) < PVMM_STATE_RUNNING && now >= s->trial_deadline)
        finish(s, END_NO_HELLO);
    if (s->on_trial && strstr(s->qemu.said, "KVM internal error") != NULL)
        finish(s, END_NO_HELLO);
    /* The verdict is there: what remains is QEMU's own way out. */
    if (s->end != END_NONE && guest_over(s))
        s->kill_deadline = earlier(s->kill_deadline, now + LEAVE_PATIENCE);
    bell_write(&s->bell, s->qemu.com2_in);
}

static int64_t next_deadline(const struct session *s)
{
    int64_t next = s->end != END_NONE ? s->kill_deadline : life_deadline(s);

    if (s->end == END_NONE && mailbox_state(&s->mailbox) < PVMM_STATE_RUNNING)
        next = earlier(next, s->trial_deadline);
    if (s->quiet_since != NEVER && lines_pending(&s->lines))
        next = earlier(next, s->quiet_since + QUIET);
    if (bell_is_held(&s->bell) || console_is_held(s->console))
        next = earlier(next, clock_now() + PACE_LOOK);
    return next;
}

/* Milliseconds for poll(): rounded up, at least now and then, as a missed bell must not hang us. */
static int patience_ms(const struct session *s)
{
    const int64_t left = next_deadline(s) - clock_now();

    if (left <= 0)
        return 0;
    return left > SECOND ? 1000 : (int)(left / 1000000 + 1);
}

/* What is typed before the hypervisor has set up its UART would be lost there. */
static bool may_type(const struct session *s)
{
    return (s->real_xen || s->mailbox.box != NULL) && console_has_input(s->console);
}

static void fill(struct pollfd *p, int fd, bool in, bool out)
{
    p->events = (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0));
    p->fd = p->events != 0 ? fd : -1;
    p->revents = 0;
}

static void wait_for_news(struct session *s, struct pollfd *p)
{
    const nfds_t n = SOURCES + control_fill(s->control, p + SOURCES);
    struct console *c = s->console;

    fill(&p[SIGNALS], s->signals, true, false);
    fill(&p[PROCESS], s->qemu.pidfd, true, false);
    fill(&p[COM1], s->qemu.com1, console_wants_output(c), false);
    fill(&p[COM1_IN], s->qemu.com1_in, false, may_type(s));
    fill(&p[COM2], s->qemu.com2, true, false);
    fill(&p[COM2_IN], s->qemu.com2_in, false, bell_waits(&s->bell));
    fill(&p[ERRORS], s->qemu.errors, true, false);
    fill(&p[MONITOR], s->qemu.qmp, s->record != NULL && s->record->qmp.fd >= 0, false);
    fill(&p[ARRIVAL], arrival_news(s->arrival), s->arrival != NULL, false);
    fill(&p[TARGET], target_news(s->target), true, false);
    fill(&p[STDIN], STDIN_FILENO, console_wants_input(c), false);
    fill(&p[STDOUT], STDOUT_FILENO, false, console_has_output(c));
    while (poll(p, n, patience_ms(s)) < 0 && errno == EINTR)
        ;
}

static void handle_news(struct session *s, const struct pollfd *p)
{
    if (p[SIGNALS].revents)
        on_signal(s);
    if (p[COM1].revents & (POLLIN | POLLHUP))
        on_com1(s);
    if (p[COM1_IN].revents)
        console_write_guest(s->console, s->qemu.com1_in);
    if (p[COM2].revents)
        on_com2(s);
    if (p[MONITOR].revents)
        record_news(s->record);
    if (p[ERRORS].revents)
        qemu_read_errors(&s->qemu, s->verbose);
    if (p[STDIN].revents)
        console_read_stdin(s->console);
    if (p[STDOUT].revents)
        console_write_stdout(s->console);
    control_handle(s->control, p + SOURCES);
}

/* Until QEMU is gone, or has had its time to go. */
static void loop(struct session *s)
{
    struct pollfd p[SOURCES + CONTROL_POLLS];

    for (;;) {
        wait_for_news(s, p);
        if (p[PROCESS].revents)
            return;
        handle_news(s, p);
        take_stock(s);
        if (s->end != END_NONE && clock_now() >= s->kill_deadline)
            return;
    }
}

/* The machine is gone; what it had said before is still in the channels and in its memory. */
static void collect_rest(struct session *s)
{
    console_drain(s->console, s->qemu.com1);
    if (lines_pending(&s->lines))
        lines_peek(&s->lines);
    on_com2(s);
    qemu_read_errors(&s->qemu, s->verbose);
    take_stock(s);
    finish(s, END_MACHINE);
}

static void take_facts(struct session *s, struct run_facts *f)
{
    f->end = s->end;
    f->expect_given = s->expect != NULL;
    f->expect_seen = s->expect_seen;
    f->real_xen = s->real_xen;
    f->from_disc = s->from_disc;
    f->hello = s->mailbox.box != NULL;
    f->ended = guest_over(s);
    f->saved = s->hold.saved;
    f->moved = s->hold.live.handed;
    if (s->real_xen) {
        f->verdict.outcome = s->xen.outcome;
        memcpy(f->verdict.message, s->xen.message, sizeof(f->verdict.message));
    } else {
        f->has_verdict = mailbox_verdict(&s->mailbox, &f->verdict);
        mailbox_log_tail(&s->mailbox, f->log_tail, sizeof(f->log_tail));
    }
    memcpy(f->qemu_said, s->qemu.said, sizeof(f->qemu_said));
    memcpy(f->trouble, s->trouble.text, sizeof(f->trouble));
    f->trouble_code = s->trouble.code;
    arrival_blame(s->arrival, &s->mailbox, f->blame, sizeof(f->blame));
}

/* A KVM that does not work may let the hypervisor say hello, and no more. */
static int64_t trial_deadline(const struct session *s)
{
    if (!s->on_trial)
        return NEVER;
    return clock_now() + (s->from_disc ? DISC_PATIENCE : START_PATIENCE) + s->audit_time;
}

int session_run(struct session *s, const struct machine *m, struct console *console,
                struct run_facts *facts, struct error *e)
{
    if (explainer_start(s->explainer, m->ram_fd, e) != 0 || qemu_start(&s->qemu, m, e) != 0)
        return -1;
    if (s->verbose)
        fprintf(stderr, "pvmm: QEMU is process %d, accelerator %s\n", (int)s->qemu.pid, m->accel);
    if (record_attach(s->record, s->qemu.qmp, e) != 0) {
        qemu_read_errors(&s->qemu, true);
        qemu_end(&s->qemu);
        qemu_close(&s->qemu);
        return -1;
    }
    s->console = console;
    start_pace(s);
    s->lines = (struct lines){.each = each_line, .ctx = s};
    console->lines = &s->lines;
    s->ram_fd = m->ram_fd;
    s->audit_time = (int64_t)(m->megabytes / 1024) * AUDIT_OF_GIB;
    s->quiet_since = NEVER;
    s->kill_deadline = NEVER;
    s->trial_deadline = trial_deadline(s);
    s->hold.store = &s->store;
    s->hold.mailbox = &s->mailbox;
    s->hold.bell = &s->bell;
    s->hold.ram_fd = m->ram_fd;
    control_attach(s->control, &s->mailbox, console, &s->hold, s->qemu.pid);
    loop(s);
    record_end(s->record, &s->qemu);
    facts->qemu_status = qemu_end(&s->qemu);
    collect_rest(s);
    take_facts(s, facts);
    explainer_settle(s->explainer, &s->mailbox);
    control_detach(s->control);
    guest_store_close(&s->store);
    mailbox_close(&s->mailbox);
    qemu_close(&s->qemu);
    return 0;
}
