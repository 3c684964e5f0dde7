/* SPDX-License-Identifier: MIT */
/* Traps: either something guarded did not work, or the test is over. */
#include "guest.h"

#define STUB_BYTES 16u
#define TABLE_END  1u

extern uint64_t guard_rsp;
extern const char unguard[];
void trap_entry(struct trap *t);

uint64_t last_fault_address, traps_seen;
uint64_t steps_left; /* single steps to be let go on */

void trap_entry(struct trap *t)
{
    traps_seen++;
    if (shared_info)
        last_fault_address = shared_info->vcpu_info[0].arch.cr2;
    if (t->vector == 1 && steps_left > 0) {
        steps_left--;
        return;
    }
    if (!guard_rsp) {
        say("trap %lu error %lx rip %lx rsp %lx address %lx\n", t->vector, t->error, t->rip, t->rsp,
            last_fault_address);
        give_up("unexpected trap");
    }
    t->rax = TRAPPED | t->vector | (t->error & 0xffffffff) << 16;
    t->rip = (uint64_t)unguard;
    t->cs = FLAT_KERNEL_CS;
    t->ss = FLAT_DS;
    t->rflags = 0x202;
    /* The stack that is in use now serves for the way back. */
    t->rsp = guard_rsp;
}

void traps_init(void)
{
    static trap_info_t table[256 + TABLE_END];
    for (unsigned i = 0; i < 256; i++)
        table[i] = (trap_info_t){.vector = (uint8_t)i,
                                 .flags = i == 3 || i == 4 ? 3 : 0,
                                 .cs = FLAT_KERNEL_CS,
                                 .address = (uint64_t)trap_stubs + i * STUB_BYTES};
    if (call1(__HYPERVISOR_set_trap_table, table))
        give_up("set_trap_table");
}

struct access {
    uint64_t va, value;
};

static void do_write(void *arg)
{
    struct access *a = arg;
    *(volatile uint64_t *)a->va = a->value;
}

bool try_write(uint64_t va, uint64_t value)
{
    struct access a = {va, value};
    return !guarded(do_write, &a);
}
