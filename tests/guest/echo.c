/* SPDX-License-Identifier: MIT */
/*
 * A guest that stays: each line typed on the console comes back as "echo: LINE". Some lines are
 * obeyed besides: "off" and "crash" end the guest, "flood" prints FLOOD_LINES long lines.
 */
#include "guest.h"

#include <xen/sched.h>

#define FLOOD_LINES 6000u

static void wait_for_input(void)
{
    evtchn_port_t port = start_info->console.domU.evtchn;
    struct sched_poll p = {.nr_ports = 1};
    set_xen_guest_handle(p.ports, &port);
    call2(__HYPERVISOR_sched_op, SCHEDOP_poll, &p);
    __atomic_fetch_and(&shared_info->evtchn_pending[port / 64], ~(1ul << (port % 64)),
                       __ATOMIC_SEQ_CST);
}

static bool is(const char *line, const char *word)
{
    return strlen(line) == strlen(word) && memcmp(line, word, strlen(word)) == 0;
}

static void flood(void)
{
    for (unsigned i = 0; i < FLOOD_LINES; i++)
        say("flood %u: a line of some length, of which there will be many more than fit\n", i);
    say("flood-end\n");
}

static bool obey(const char *line)
{
    say("echo: %s\n", line);
    if (is(line, "crash"))
        pvg_fatal(guest, "crash was typed");
    if (is(line, "flood"))
        flood();
    return !is(line, "off");
}

void echo(void)
{
    char line[128];
    size_t n = 0;
    char c;
    if (start_info->flags & SIF_INITDOMAIN)
        pvg_fatal(guest, "echo wants the console of a domU");
    say("echo-ready\n");
    for (;;) {
        if (!pvg_read(guest, &c, 1)) {
            wait_for_input();
            continue;
        }
        if (c != '\n' && c != '\r' && n < sizeof(line) - 1) {
            line[n++] = c;
            continue;
        }
        line[n] = '\0';
        n = 0;
        if (!obey(line))
            return;
    }
}
