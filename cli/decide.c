/* SPDX-License-Identifier: MIT */
#include "verdict.h"

#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#include "exitcodes.h"

static void say(struct report *r, int code, const char *outcome, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void say(struct report *r, int code, const char *outcome, const char *fmt, ...)
{
    va_list args;

    r->exit_code = code;
    r->outcome = outcome;
    va_start(args, fmt);
    vsnprintf(r->message, sizeof(r->message), fmt, args);
    va_end(args);
}

static const char *error_word(int code)
{
    switch (code) {
    case EXIT_UNTESTABLE:
        return "untestable";
    case EXIT_UNREADABLE:
        return "refused";
    case EXIT_TIMEOUT:
        return "timeout";
    case EXIT_INTERRUPTED:
    case EXIT_TERMINATED:
        return "interrupted";
    default:
        return "environment";
    }
}

/* Put the hypervisor's reason behind what was said, if it gave one. */
static void say_why(struct report *r)
{
    const char *why = r->facts.verdict.message;
    const size_t used = strlen(r->message);

    if (why[0] != '\0')
        snprintf(r->message + used, sizeof(r->message) - used, ": %s", why);
}

static void machine_died(struct report *r)
{
    const struct run_facts *f = &r->facts;
    const int status = f->qemu_status;
    const char *colon = f->qemu_said[0] != '\0' ? ": " : "";

    if (WIFSIGNALED(status))
        say(r, EXIT_ENVIRONMENT, "environment", "QEMU was killed by signal %d (%s)%s%s",
            WTERMSIG(status), strsignal(WTERMSIG(status)), colon, f->qemu_said);
    else if (WEXITSTATUS(status) != 0)
        say(r, EXIT_ENVIRONMENT, "environment", "QEMU ended with status %d%s%s",
            WEXITSTATUS(status), colon, f->qemu_said);
    else if (f->from_disc && !f->hello && !f->real_xen)
        say(r, EXIT_ENVIRONMENT, "environment",
            "GRUB did not get as far as starting the hypervisor");
    else if (f->real_xen)
        say(r, EXIT_HYPERVISOR, "hypervisor-failed",
            "the machine went down without a word from Xen about the guest");
    else
        say(r, EXIT_HYPERVISOR, "hypervisor-failed",
            "the machine went down without a verdict%s: a fault in the hypervisor",
            f->has_verdict ? "" : " or a hello");
}

static const char *outcome_word(enum pvmm_outcome outcome)
{
    switch (outcome) {
    case PVMM_OUTCOME_POWEROFF:
        return "poweroff";
    case PVMM_OUTCOME_REBOOT:
        return "reboot";
    case PVMM_OUTCOME_SUSPEND:
        return "suspend";
    case PVMM_OUTCOME_CRASH:
        return "crash";
    case PVMM_OUTCOME_KILLED:
        return "killed";
    case PVMM_OUTCOME_STOPPED:
        return "stopped";
    case PVMM_OUTCOME_BROKEN:
        return "broken";
    default:
        return "unknown";
    }
}

static void guest_went_down(struct report *r, const char *word, const char *how)
{
    if (r->facts.expect_given)
        say(r, EXIT_CRASHED, word, "the guest %s without showing the expected text", how);
    else
        say(r, EXIT_CLEAN, word, "the guest %s", how);
}

/* --strict: the first breach is the end, and the reason. */
static void contract_broken(struct report *r)
{
    const struct explainer *x = r->explainer;

    say(r, EXIT_CRASHED, "broken", "the guest broke the contract");
    for (unsigned i = 0; x != NULL && i < x->reports; i++)
        if (x->list[i]->weight == EXPLAIN_BREACH) {
            say(r, EXIT_CRASHED, "broken", "the guest broke the contract: %s: %s", x->list[i]->code,
                x->list[i]->headline);
            return;
        }
}

static void guest_ended(struct report *r)
{
    const enum pvmm_outcome outcome = (enum pvmm_outcome)r->facts.verdict.outcome;
    const char *word = outcome_word(outcome);

    switch (outcome) {
    case PVMM_OUTCOME_POWEROFF:
        guest_went_down(r, word, "powered off");
        return;
    case PVMM_OUTCOME_REBOOT:
        guest_went_down(r, word, "rebooted");
        return;
    case PVMM_OUTCOME_SUSPEND:
        if (r->facts.saved) {
            guest_went_down(r, r->facts.moved ? "moved" : "saved",
                            r->facts.moved ? "was moved" : "was saved");
            return;
        }
        say(r, EXIT_CRASHED, word, "the guest suspended itself, and nobody will resume it");
        return;
    case PVMM_OUTCOME_CRASH:
        say(r, EXIT_CRASHED, word, "the guest crashed");
        break;
    case PVMM_OUTCOME_KILLED:
        say(r, EXIT_CRASHED, word, "the hypervisor had to end the guest");
        break;
    case PVMM_OUTCOME_BROKEN:
        contract_broken(r);
        return;
    default:
        say(r, EXIT_HYPERVISOR, word, "the guest ended with the unknown outcome %u",
            r->facts.verdict.outcome);
        break;
    }
    say_why(r);
}

/* What a stream brought was refused. */
static void not_restored(struct report *r)
{
    say(r, EXIT_UNREADABLE, "refused", "the hypervisor does not take the guest in");
    say_why(r);
    if (r->facts.blame[0] != '\0') {
        const size_t used = strlen(r->message);

        snprintf(r->message + used, sizeof(r->message) - used, " (%s)", r->facts.blame);
    }
}

/* Ends that say more than whatever the guest was doing. True if this was one. */
static bool decide_by_hypervisor(struct report *r)
{
    const struct run_facts *f = &r->facts;

    if (f->ended && f->verdict.outcome == PVMM_OUTCOME_PANIC) {
        say(r, EXIT_HYPERVISOR, "hypervisor-failed", "the hypervisor itself failed");
        say_why(r);
        return true;
    }
    if (f->ended && f->verdict.outcome == PVMM_OUTCOME_BAD_GUEST && r->restored) {
        not_restored(r);
        return true;
    }
    if (f->ended && f->verdict.outcome == PVMM_OUTCOME_BAD_GUEST) {
        say(r, EXIT_UNTESTABLE, "untestable", "the hypervisor cannot start this kernel");
        say_why(r);
        return true;
    }
    return false;
}

static bool decide_by_host(struct report *r)
{
    switch (r->facts.end) {
    case END_INTERRUPT:
        say(r, EXIT_INTERRUPTED, "interrupted", "interrupted");
        return true;
    case END_TERMINATE:
        say(r, EXIT_TERMINATED, "interrupted", "terminated by a signal");
        return true;
    case END_DESTROY:
        say(r, EXIT_DESTROYED, "destroyed", "the guest was destroyed on request");
        return true;
    case END_OUTPUT:
        say(r, EXIT_ENVIRONMENT, "environment", "the guest's console cannot be written to stdout");
        return true;
    case END_CHANNEL:
        say(r, EXIT_ENVIRONMENT, "environment", "%s", r->facts.trouble);
        return true;
    case END_ARRIVAL:
        say(r, r->facts.trouble_code, error_word(r->facts.trouble_code), "%s", r->facts.trouble);
        return true;
    case END_NO_HELLO:
        say(r, EXIT_HYPERVISOR, "hypervisor-failed", "the hypervisor did not come up");
        return true;
    default:
        return false;
    }
}

static void decide_by_guest(struct report *r)
{
    const struct run_facts *f = &r->facts;

    if (f->expect_seen && (f->end == END_EXPECT || f->ended))
        say(r, EXIT_CLEAN, "expected", "the expected text was seen%s",
            f->real_xen || f->ended ? "" : " (the hypervisor gave no verdict when asked)");
    else if (f->end == END_TIMEOUT)
        say(r, EXIT_TIMEOUT, "timeout", "timeout: not done after %g seconds", f->timeout);
    else if (f->ended)
        guest_ended(r);
    else
        machine_died(r);
}

/* Differences in the books are a fault of the hypervisor, and no verdict on the guest is sound. */
static void decide_by_audit(struct report *r)
{
    const struct pvmm_audit *a = &r->facts.verdict.audit;
    const size_t used = strlen(r->message);

    if (!r->facts.ended || a->taken == 0 || a->findings == 0)
        return;
    if (r->exit_code != EXIT_CLEAN && r->exit_code != EXIT_CRASHED && r->exit_code != EXIT_TIMEOUT)
        return;
    r->exit_code = EXIT_HYPERVISOR;
    snprintf(r->message + used, sizeof(r->message) - used, "; the audit found %u differences: %s",
             a->findings, a->finding[0]);
}

/* With --strict, what a guest publishes wrongly is a breach too, if nothing else was wrong. */
static void decide_by_publication(struct report *r)
{
    const size_t used = strlen(r->message);

    if (!r->strict || r->exit_code != EXIT_CLEAN || r->explainer == NULL ||
        !explainer_has_findings(r->explainer))
        return;
    r->exit_code = EXIT_CRASHED;
    r->outcome = "broken";
    snprintf(r->message + used, sizeof(r->message) - used,
             ", but broke the contract: its memory is not as tools need it");
}

void report_decide(struct report *r)
{
    if (!decide_by_hypervisor(r) && !decide_by_host(r))
        decide_by_guest(r);
    decide_by_publication(r);
    decide_by_audit(r);
}

void report_error(struct report *r, const struct error *e)
{
    say(r, e->code, error_word(e->code), "%s", e->text);
}
