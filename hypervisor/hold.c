/* SPDX-License-Identifier: MIT */
/*
 * Standing still. Nothing of the guest moves meanwhile: its timers, its console and its store are
 * looked at after this (sched.c). What waits in the serial lines' rings or in the UART stays there.
 */
#include "hold.h"

#include "cpu.h"
#include "dirty.h"
#include "domain.h"
#include "options.h"
#include "publish.h"
#include "serial.h"
#include "string.h"

#include <xen/sched.h>

#define CONSOLE_LINE 0u /* COM1 */

enum pvmm_on_suspend on_suspend(void)
{
    uint64_t n = PVMM_SUSPEND_ENDS;
    option_number(boot_info.command_line, PVMM_OPT_SUSPEND, &n);
    return (enum pvmm_on_suspend)n;
}

static enum pvmm_hold wanted(const struct vcpu *v)
{
    if (v->suspended)
        return PVMM_HOLD_SUSPENDED;
    return channel_pause_wanted() ? PVMM_HOLD_PAUSED : PVMM_HOLD_NONE;
}

static void show_hold(enum pvmm_hold how)
{
    __atomic_store_n(&mailbox.hold, how, __ATOMIC_RELEASE);
}

/* ---- the context in the mailbox: a report of a crash that the guest outlived keeps its own */

static struct {
    bool valid;
    uint8_t context[PVMM_CONTEXT_BYTES];
} kept;

static void show_context(struct vcpu *v)
{
    struct pvmm_machine *m = &mailbox.machine;
    kept.valid = m->context_valid;
    if (kept.valid)
        memcpy(kept.context, m->context, sizeof(kept.context));
    publish_context(v, guest_regs(this_cpu()));
}

static void restore_context(void)
{
    struct pvmm_machine *m = &mailbox.machine;
    m->context_valid = kept.valid;
    if (kept.valid)
        memcpy(m->context, kept.context, sizeof(kept.context));
}

/* ---- standing */

/* Real Xen counts a vCPU that could run, and is not let, as offline. */
static void account(struct vcpu *v, int from, int to)
{
    if (v->runstate.state == from)
        runstate_enter(v, to);
}

static _Noreturn void end(enum pvmm_hold how)
{
    show_hold(PVMM_HOLD_NONE);
    restore_context();
    if (how == PVMM_HOLD_SUSPENDED)
        domain_end(PVMM_OUTCOME_SUSPEND, SHUTDOWN_suspend, "");
    domain_end(PVMM_OUTCOME_STOPPED, ~0u, "");
}

/* What was asked before it stood does not let it go on from a suspend. */
static bool released(enum pvmm_hold how)
{
    return how == PVMM_HOLD_SUSPENDED ? channel_unpaused() : !channel_pause_wanted();
}

static void wait(struct vcpu *v, enum pvmm_hold how)
{
    serial_listen(CONSOLE_LINE, false);
    while (!released(how)) {
        if (channel_stop_requested())
            end(how);
        dirty_serve(v);
        cpu_idle();
    }
    serial_listen(CONSOLE_LINE, true);
}

/* <xen/elfnote.h>, SUSPEND_CANCEL: the hypercall that it stands behind has 1 as its result. */
static void cancel_suspend(struct vcpu *v)
{
    log_line("the guest's suspend was cancelled: it goes on");
    guest_regs(this_cpu())->rax = 1;
    v->suspended = false;
    mailbox.verdict.suspends++;
}

void hold_if_wanted(struct vcpu *v)
{
    enum pvmm_hold how = wanted(v);
    if (how == PVMM_HOLD_NONE)
        return;
    channel_unpaused(); /* forgets what came before */
    account(v, RUNSTATE_running, RUNSTATE_offline);
    show_context(v);
    show_hold(how);
    channel_bell();
    wait(v, how);
    show_hold(PVMM_HOLD_NONE);
    restore_context();
    if (how == PVMM_HOLD_SUSPENDED)
        cancel_suspend(v);
    channel_bell();
    account(v, RUNSTATE_offline, RUNSTATE_running);
    runstate_publish(v);
    attend();
}
