/* SPDX-License-Identifier: MIT */
#include "stand.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "debugger.h"

/* The instruction of the report that was filed last. */
static uint64_t instruction(const volatile struct pvmm_reports *r)
{
    const uint32_t filed = r->filed;

    return filed >= 1 && filed <= PVMM_REPORTS ? r->report[filed - 1].regs.rip : 0;
}

/* The hypervisor goes on only when the breakpoint is there. */
static void let_go(struct bell *b, int com2)
{
    const char go = PVMM_BELL_GO;

    bell_ring(b, &go, 1);
    bell_write(b, com2);
}

static int lead_there(const struct stand *s, uint64_t rip, struct bell *b, int com2,
                      struct error *e)
{
    const int fd = debugger_connect(s->port, e);
    int rc = fd < 0 ? -1 : debugger_run_to(fd, rip, e);
    struct error unused;

    let_go(b, com2);
    if (rc == 0)
        rc = debugger_arrived(fd, rip, e);
    if (fd >= 0 && rc != 0)
        debugger_leave(fd, &unused); /* or it would stop there later, and nobody know */
    if (fd >= 0)
        close(fd);
    return rc;
}

bool stand_serve(struct stand *s, const struct mailbox *m, struct bell *b, int com2)
{
    struct error e;
    uint64_t rip;

    if (s->port == 0 || s->done || m->box == NULL || m->box->reports.waiting != PVMM_WAITING_STAND)
        return false;
    s->done = true;
    rip = instruction(&m->box->reports);
    if (lead_there(s, rip, b, com2, &e) != 0) {
        fprintf(stderr, "pvmm: the guest does not stand at %" PRIx64 ": %s\n", rip, e.text);
        return false;
    }
    fprintf(stderr,
            "pvmm: the guest stands at %" PRIx64
            ", before the instruction; there:  target remote localhost:%u\n",
            rip, s->port);
    return true;
}
