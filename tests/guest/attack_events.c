/* SPDX-License-Identifier: MIT */
/* Event channels, timers and polls with random arguments; the console's own port is spared. */
#include "attack.h"
#include "chaos.h"

#include <xen/event_channel.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

static uint32_t random_port(void)
{
    static const uint32_t edges[] = {0, 1, 2, 63, 64, 65, 127, 4095, 4096, 4097, 0x10000, ~0u};
    uint32_t port = chance(20) ? edges[below(12)] : below(80);
    return port == start_info->console.domU.evtchn ? 0 : port;
}

static uint32_t random_word(void)
{
    static const uint32_t words[] = {0, 1, 2, 23, 24, 31, 32, 4096, DOMID_SELF, 0xffff, ~0u, 64};
    return words[below(12)];
}

static void random_event_op(void)
{
    uint32_t arg[8], cmd = below(16);
    for (unsigned i = 0; i < 8; i++)
        arg[i] = chance(50) ? random_port() : random_word();
    if (cmd == EVTCHNOP_close || cmd == EVTCHNOP_send || cmd == EVTCHNOP_unmask)
        arg[0] = random_port();
    if (cmd == EVTCHNOP_bind_interdomain)
        arg[0] = chance(70) ? DOMID_SELF : arg[0];
    if (cmd == EVTCHNOP_alloc_unbound)
        arg[0] = chance(70) ? DOMID_SELF | (uint32_t)DOMID_SELF << 16 : arg[0];
    if (cmd == EVTCHNOP_reset || cmd == EVTCHNOP_init_control || cmd == EVTCHNOP_expand_array)
        arg[0] = 0x123;
    call2(__HYPERVISOR_event_channel_op, cmd, arg);
}

static void random_timer(void)
{
    uint64_t arg[2] = {chance(50) ? random64() : random_word(), random_word()};
    unsigned cmd = VCPUOP_set_periodic_timer + below(4);
    call3(__HYPERVISOR_vcpu_op, cmd, chance(90) ? 0 : random_word(), arg);
    call2(__HYPERVISOR_set_timer_op, chance(50) ? random64() : below(1000), 0);
}

/* A poll that ends: one of its ports is pending, or its time has passed. */
static void random_poll(void)
{
    evtchn_port_t ports[4];
    for (unsigned i = 0; i < 4; i++)
        ports[i] = random_port();
    struct sched_poll p = {.nr_ports = chance(80) ? below(5) : random_word(),
                           .timeout = 1 + below(100)};
    set_xen_guest_handle(p.ports, ports);
    call2(__HYPERVISOR_sched_op, SCHEDOP_poll, &p);
}

void attack_events(void)
{
    chaos_seed(option("seed", 7));
    for (unsigned i = 0; i < 30000; i++) {
        if (chance(85))
            random_event_op();
        else if (chance(70))
            random_timer();
        else
            random_poll();
    }
    say("30000 event requests\n");
}
