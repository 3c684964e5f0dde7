/* SPDX-License-Identifier: MIT */
#include "attack.h"

#define CODE_PAGE  150u
#define LOW_TABLES 151u /* L3, L2, L1 */
#define LOW_PAGES  154u /* code, stack, free, data */

static uint64_t tried, trapped;

void attempt(const char *name, uint64_t which, void (*f)(void *), void *arg)
{
    uint64_t t = guarded(f, arg);
    defaults();
    if (t)
        say("%s %lx: trap %u error %lx\n", name, which, TRAP_VECTOR(t), t >> 16 & 0xffffffff);
    else
        say("%s %lx: came back\n", name, which);
}

void attempt_quietly(void (*f)(void *), void *arg)
{
    tried++;
    trapped += guarded(f, arg) != 0;
}

void attempts_sum(const char *name)
{
    say("%s: %lu tried, %lu trapped\n", name, tried, trapped);
    tried = trapped = 0;
}

void *code_of(const uint8_t *bytes, unsigned n)
{
    memcpy(pool[CODE_PAGE], bytes, n);
    pool[CODE_PAGE][n] = 0xc3; /* ret */
    return pool[CODE_PAGE];
}

void defaults(void)
{
    pvg_trap_table(guest);
    call2(__HYPERVISOR_stack_switch, FLAT_DS, KERNEL_STACK_END);
    call2(__HYPERVISOR_set_debugreg, 7, 0x400);
    shared_info->vcpu_info[0].evtchn_upcall_mask = 1;
}

void map_low(void)
{
    for (unsigned i = 0; i < 4; i++)
        page(LOW_TABLES + 2)[i] = entry_for(LOW_PAGES + i, P_ | RW | US);
    page(LOW_TABLES + 1)[2] = entry_for(LOW_TABLES + 2, TABLE_ENTRY);
    page(LOW_TABLES)[0] = entry_for(LOW_TABLES + 1, TABLE_ENTRY);
    for (unsigned i = 0; i < 3; i++)
        make_ro(LOW_TABLES + i);
    if (update1(root_mfn() << 12, entry_for(LOW_TABLES, TABLE_ENTRY)))
        pvg_fatal(guest, "the low addresses cannot be mapped");
}

static const struct {
    const char *name;
    void (*run)(void);
} parts[] = {
    {"entries", attack_entries}, {"segments", attack_segments}, {"debug", attack_debug},
    {"buffers", attack_buffers}, {"stores", attack_stores},     {"frames", attack_frames},
    {"grants", attack_grants},   {"rings", attack_rings},       {"events", attack_events},
};

void attack(void)
{
    map_low();
    defaults();
    unsigned fatal = (unsigned)option("fatal", ~0u);
    if (fatal != ~0u) {
        say("fatal %u\n", fatal);
        attack_fatal(fatal);
        say("it was not fatal\n");
        return;
    }
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (option("part", i) != i)
            continue;
        say("# %s\n", parts[i].name);
        parts[i].run();
        defaults();
    }
    say("# alive, %lu traps\n", traps_seen);
}
