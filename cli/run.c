/* SPDX-License-Identifier: MIT */
#include "run.h"

#include <cpuid.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "corefile.h"
#include "exitcodes.h"
#include "memfd.h"
#include "plan.h"
#include "session.h"

/* Each machine begins with memory of zeroes. */
static int machine_memory(const struct plan *p, struct error *e)
{
    const uint64_t size = p->megabytes * MIB;
    int fd;

    if (p->memory_fd < 0)
        return memfd_new("machine", size, e);
    if (memory_file_clear(p->memory_fd, size, e) != 0)
        return error_context(e, "--memory-file");
    fd = fcntl(p->memory_fd, F_DUPFD_CLOEXEC, 0);
    return fd >= 0 ? fd : error_errno(e, EXIT_ENVIRONMENT, "cannot keep the memory file open");
}

/* One machine, with the accelerator `accel`. */
static int attempt(struct plan *p, const char *accel, bool on_trial, struct console *console,
                   struct report *r, struct error *e)
{
    static struct session session; /* large, and there is one at a time */
    struct machine m = plan_machine(p, accel);
    int rc;

    session = (struct session){
        .real_xen = p->real_xen,
        .on_trial = on_trial,
        .from_disc = p->iso_fd >= 0,
        .verbose = p->o->verbose,
        .expect = p->has_expect ? &p->expect : NULL,
        .log = p->log,
        .signals = p->signals,
        .control = p->control,
        .detach = &p->detach,
        .explainer = &p->explainer,
        .store = {.wanted = p->o->store && !p->real_xen,
                  .name = p->name != NULL ? p->name : "guest",
                  .memory = p->memory},
        .hold = {.cancels = p->o->cancel_suspend,
                 .arrives = target_holds_back(&p->target),
                 .paused = p->o->paused || target_holds_back(&p->target)},
        .stand = {.port = p->real_xen ? 0 : p->o->gdb_port},
        .record = p->o->record != NULL ? &p->record : NULL,
        .arrival = p->arrival,
        .target = &p->target,
        .deadline = plan_deadline(p),
    };
    m.ram_fd = machine_memory(p, e);
    if (m.ram_fd < 0)
        return -1;
    r->facts = (struct run_facts){.timeout = p->o->timeout};
    rc = session_run(&session, &m, console, &r->facts, e);
    close(m.ram_fd);
    r->accel = rc == 0 ? accel : NULL;
    r->facts.wall = clock_seconds_since(p->start);
    return rc;
}

/* Is what happened under KVM better explained by a KVM that does not work? */
static bool kvm_failed(const struct report *r, const struct console *c)
{
    const struct run_facts *f = &r->facts;

    if (f->end == END_NO_HELLO)
        return true;
    if (c->seen) /* the guest has spoken: the machine works */
        return false;
    if (f->ended)
        return f->verdict.outcome == PVMM_OUTCOME_PANIC ||
               f->verdict.outcome == PVMM_OUTCOME_KILLED;
    return f->end == END_MACHINE;
}

#define CPUID_1_ECX_VMX        (1u << 5) /* Intel SDM 3C, 24.6 */
#define CPUID_80000001_ECX_SVM (1u << 2) /* AMD APM 2, 15.4 */

/* Without them a /dev/kvm may open all the same: that
 * of a machine which is itself a guest of such a kind (KVM on PVM) runs a hypervisor for a while,
 * and then stands. */
static bool processor_virtualizes(void)
{
    unsigned a, b, c, d;

    if (__get_cpuid(1, &a, &b, &c, &d) && (c & CPUID_1_ECX_VMX))
        return true;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & CPUID_80000001_ECX_SVM);
}

/* A real Xen sends no hello, so that a KVM that does not work cannot be told from a slow start. */
static bool try_kvm(const struct plan *p)
{
    if (p->arrival != NULL) /* a stream is read once */
        return false;
    return p->o->accel == ACCEL_AUTO && !p->real_xen && !p->o->icount && processor_virtualizes() &&
           access("/dev/kvm", R_OK | W_OK) == 0;
}

/* The log of a try that does not count. */
static void forget_log(FILE *log)
{
    if (log == NULL)
        return;
    rewind(log);
    if (ftruncate(fileno(log), 0) != 0)
        fprintf(log, "... what follows is another try\n"); /* a pipe, for instance */
}

static void tail_tap(void *ctx, const char *data, size_t size)
{
    tail_add(ctx, data, size);
}

static int start(struct plan *p, struct report *r, struct error *e)
{
    static struct console console;
    int rc;

    r->memory = p->memory;
    console.all_keys = p->o->all_keys;
    console.tap = p->junit.tail != NULL ? tail_tap : NULL;
    console.tap_ctx = p->junit.tail;
    console.spool = p->o->record != NULL ? &p->record.spool : NULL;
    terminal_raw();
    if (try_kvm(p)) {
        rc = attempt(p, "kvm", true, &console, r, e);
        if (rc != 0 || !kvm_failed(r, &console))
            goto out;
        if (p->o->verbose)
            fprintf(stderr, "pvmm: KVM does not work here (%s), going on with TCG\n",
                    r->facts.qemu_said[0] != '\0' ? r->facts.qemu_said : "no sign of life");
        forget_log(p->log);
    }
    rc = attempt(p, p->o->accel == ACCEL_KVM ? "kvm" : "tcg", false, &console, r, e);
out:
    terminal_restore();
    return rc;
}

static bool core_is_due(const struct report *r)
{
    const uint32_t outcome = r->facts.verdict.outcome;

    return report_guest_is_over(r) &&
           (outcome == PVMM_OUTCOME_CRASH || outcome == PVMM_OUTCOME_KILLED ||
            outcome == PVMM_OUTCOME_BROKEN);
}

static void write_core(struct plan *p, struct core_facts *c)
{
    struct error e;

    c->path = p->core;
    if (p->explainer.view == NULL)
        snprintf(c->why, sizeof(c->why), "the machine's memory could not be read");
    else if (corefile_write(p->explainer.view, p->core, p->signals, &c->bytes, &e) != 0)
        snprintf(c->why, sizeof(c->why), "%s", e.text);
    else
        c->written = true;
}

/* What is left to do with the memory of a machine that is over. */
static void look_back(struct plan *p, struct report *r)
{
    if (p->real_xen)
        return;
    r->explainer = &p->explainer;
    if (report_guest_is_over(r))
        explainer_check(&p->explainer, stderr);
    if (core_is_due(r) && p->core != NULL)
        write_core(p, &r->core);
}

/* A run that went well failed all the same if what was wanted of it is not there. */
static void regret(struct report *r, const struct error *e)
{
    if (r->exit_code == EXIT_CLEAN)
        report_error(r, e);
    else
        fprintf(stderr, "pvmm: %s\n", e->text);
}

static void write_trace(struct plan *p, struct report *r)
{
    struct error e;

    if (p->real_xen || p->trace == NULL || explainer_trace(&p->explainer, p->trace) == 0)
        return;
    error_set(&e, EXIT_ENVIRONMENT, "cannot write %s", p->o->trace);
    regret(r, &e);
}

/* For a structure whose texts are its own, where it is only read. */
static char *lent(const char *text)
{
    return (char *)(uintptr_t)text;
}

static void finish_record(struct plan *p, struct report *r)
{
    const struct recording what = {
        .kernel = lent(p->o->kernel),
        .hypervisor = lent(p->o->hypervisor),
        .real_xen = p->real_xen,
        .memory = p->memory,
        .machine = lent(p->o->machine),
        .cpu = lent(p->o->cpu),
        .megabytes = p->megabytes,
        .hypervisor_arguments = p->hypervisor_arguments,
        .guest_arguments = p->guest_arguments,
        .symbols = p->symbols,
        .nr_symbols = p->o->nr_symbols,
        .symbols_anyway = p->o->symbols_anyway,
        .has_initrd = p->initrd_fd >= 0,
        .has_e820 = p->e820_fd >= 0,
        .store = p->o->store && !p->real_xen,
        .exit_code = r->exit_code,
    };
    struct error e;

    if (p->o->record == NULL)
        return;
    r->recording = p->o->record;
    if (record_finish(&p->record, r->facts.qemu_status, &what, r, &e) == 0)
        r->instructions = p->record.instructions;
    else
        regret(r, &e);
}

/* Last of all, as it has the exit code. Of what could not be begun nothing is written. */
static void write_junit(struct plan *p, struct report *r)
{
    struct error e;

    if (p->junit.file.fd < 0 || junit_finish(&p->junit, r, p->o, &p->kernel, &e) == 0)
        return;
    fprintf(stderr, "pvmm: --junit: %s\n", e.text);
    if (r->exit_code == EXIT_CLEAN)
        r->exit_code = EXIT_ENVIRONMENT;
}

int run(const struct options *o)
{
    static struct report r;
    static struct plan p; /* large */
    struct error e;

    p = plan_new(o);
    r = (struct report){.kernel = o->kernel,
                        .hypervisor = o->hypervisor,
                        .memory = o->memory,
                        .strict = o->strict,
                        .restored = o->restore};
    if (plan_look_at_stdin(&p, &e) != 0 ||
        (plan_detaches(&p) && detach_fork(&p.detach, plan_wants_stdin(&p), &e) != 0))
        report_error(&r, &e);
    else if (plan_prepare(&p, &e) != 0 || start(&p, &r, &e) != 0) {
        record_discard(&p.record);
        report_error(&r, &e);
    } else {
        look_back(&p, &r);
        report_decide(&r);
        write_trace(&p, &r);
        finish_record(&p, &r);
    }
    control_close(p.control);
    target_close(&p.target, r.message);
    report_print(&r, stderr);
    if (p.json != NULL && report_json(&r, p.json) != 0) {
        fprintf(stderr, "pvmm: cannot write %s\n", o->json);
        if (r.exit_code == EXIT_CLEAN)
            r.exit_code = EXIT_ENVIRONMENT;
    }
    write_junit(&p, &r);
    plan_close(&p);
    return r.exit_code;
}
