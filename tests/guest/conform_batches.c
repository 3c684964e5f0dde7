/* SPDX-License-Identifier: MIT */
/* Batches: how far they come, what they count, and lists at bad places; multicalls. */
#include "ask.h"

#define MMU_UPDATE_PREEMPTED 0x80000000u
#define HYPERVISOR_VA        0xffff830000000000ull

static mmu_update_t updates[64];
static struct mmuext_op ops[64];
static multicall_entry_t calls[8];

static void fill(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        updates[i] = (mmu_update_t){slot_address(70, i), entry_for(71, P_)};
        ops[i] = (struct mmuext_op){.cmd = MMUEXT_TLB_FLUSH_LOCAL};
    }
}

static void bad_elements(void)
{
    static const unsigned places[] = {0, 1, 7, 15, 16, 17, 31, 63};
    for (unsigned i = 0; i < 8; i++) {
        fill(64);
        updates[places[i]].val = entry_for(70, P_ | RW); /* the table itself */
        ask_batch(__HYPERVISOR_mmu_update, updates, 64, 5, "64 updates, number %u bad", places[i]);
        ops[places[i]].cmd = 99;
        ask_batch(__HYPERVISOR_mmuext_op, ops, 64, 5, "64 operations, number %u bad", places[i]);
    }
}

static void counts(void)
{
    static const uint64_t n[] = {
        0, 1, 2, 64, MMU_UPDATE_PREEMPTED, MMU_UPDATE_PREEMPTED | 2, 1ull << 32, 1ull << 32 | 2};
    for (unsigned i = 0; i < sizeof(n) / sizeof(n[0]); i++) {
        fill(64);
        ask_batch(__HYPERVISOR_mmu_update, updates, n[i], 7, "%lx updates", n[i]);
        ask_batch(__HYPERVISOR_mmuext_op, ops, n[i], 7, "%lx operations", n[i]);
    }
}

static void lists(void)
{
    static const struct {
        const char *name;
        uint64_t at;
    } places[] = {{"at 0", 0},
                  {"not mapped", 0x1000},
                  {"hypervisor's", HYPERVISOR_VA},
                  {"m2p", 0xffff800000000000ull},
                  {"not canonical", 0x0000800000000000ull},
                  {"below the hole", 0x00007ffffffffff8ull},
                  {"at the end", 0xfffffffffffffff0ull}};
    static const uint64_t n[] = {0, 1, 3, 0x7fffffff};
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        for (unsigned k = 0; k < 4; k++) {
            if (k == 3 && i < 2)
                continue;
            ask_batch(__HYPERVISOR_mmu_update, (void *)places[i].at, n[k], 7, "%lx updates from %s",
                      n[k], places[i].name);
            ask_batch(__HYPERVISOR_mmuext_op, (void *)places[i].at, n[k], 7,
                      "%lx operations from %s", n[k], places[i].name);
        }
}

/* The list runs into a page that is not there. */
static void straddling(void)
{
    mmu_update_t *u = (mmu_update_t *)(page_va(73)) - 3;
    set_va(page_va(73), 0);
    for (unsigned i = 0; i < 3; i++)
        u[i] = (mmu_update_t){slot_address(70, i), 0};
    ask_batch(__HYPERVISOR_mmu_update, u, 3, 7, "updates up to the edge");
    ask_batch(__HYPERVISOR_mmu_update, u, 8, 7, "updates over the edge");
    ask_batch(__HYPERVISOR_mmu_update, (char *)(u + 2) + 8, 1, 7, "half an update");
    make_rw(73);
}

static void done_pointers(void)
{
    static const uint64_t places[] = {0, 0x1000, HYPERVISOR_VA, 0x0000800000000000ull, ~0ull - 1};
    for (unsigned i = 0; i < 5; i++) {
        fill(4);
        ASK(__HYPERVISOR_mmu_update, updates, 4, places[i], DOMID_SELF, "updates, done at %lx",
            places[i]);
        ASK(__HYPERVISOR_mmuext_op, ops, 4, places[i], DOMID_SELF, "operations, done at %lx",
            places[i]);
    }
    ASK(__HYPERVISOR_mmu_update, 0, MMU_UPDATE_PREEMPTED, 0, 12345, "an empty continuation");
    ASK(__HYPERVISOR_mmuext_op, 0, MMU_UPDATE_PREEMPTED, 0, -7, "an empty continuation");
}

static void order(void)
{
    make_ro(74);
    ops[0] = (struct mmuext_op){.cmd = MMUEXT_PIN_L2_TABLE, .arg1.mfn = pool_mfn[74]};
    ops[1] = (struct mmuext_op){.cmd = MMUEXT_UNPIN_TABLE, .arg1.mfn = pool_mfn[74]};
    ops[2] = (struct mmuext_op){.cmd = MMUEXT_PIN_L1_TABLE, .arg1.mfn = pool_mfn[74]};
    ops[3] = (struct mmuext_op){.cmd = MMUEXT_UNPIN_TABLE, .arg1.mfn = pool_mfn[74]};
    ops[4] = (struct mmuext_op){.cmd = MMUEXT_CLEAR_PAGE, .arg1.mfn = pool_mfn[74]};
    ops[5] = (struct mmuext_op){.cmd = MMUEXT_UNPIN_TABLE, .arg1.mfn = pool_mfn[74]};
    ask_batch(__HYPERVISOR_mmuext_op, ops, 6, 0, "pin, unpin, pin otherwise, clear, unpin twice");
    make_rw(74);
}

static void one_call(unsigned i, uint64_t op, uint64_t a, uint64_t b, uint64_t c)
{
    calls[i] = (multicall_entry_t){.op = op, .result = 777, .args = {a, b, c}};
}

static void multicalls(void)
{
    one_call(0, __HYPERVISOR_fpu_taskswitch, 0, 0, 0);
    one_call(1, __HYPERVISOR_update_va_mapping, page_va(75), entry_for(75, RO_ENTRY), 0);
    one_call(2, 99, 0, 0, 0);
    one_call(3, __HYPERVISOR_update_va_mapping, page_va(75), entry_for(70, P_ | RW), 0);
    one_call(4, __HYPERVISOR_multicall, (uint64_t)calls, 1, 0);
    one_call(5, __HYPERVISOR_update_va_mapping, page_va(75), entry_for(75, RW_ENTRY), 0);
    one_call(6, 1ull << 40, 0, 0, 0);
    one_call(7, __HYPERVISOR_stack_switch, FLAT_DS, KERNEL_STACK_END, 0);
    ASK(__HYPERVISOR_multicall, calls, 8, 0, 0, "multicall of 8");
    for (unsigned i = 0; i < 8; i++)
        tell("result %u: %ld", i, (int64_t)calls[i].result);
    ASK(__HYPERVISOR_multicall, calls, 0, 0, 0, "multicall of 0");
    ASK(__HYPERVISOR_multicall, 0, 0, 0, 0, "multicall of 0 at 0");
    ASK(__HYPERVISOR_multicall, 0x1000, 2, 0, 0, "multicall not mapped");
    ASK(__HYPERVISOR_multicall, HYPERVISOR_VA, 2, 0, 0, "multicall of the hypervisor's");
    ASK(__HYPERVISOR_multicall, 0x0000800000000000ull, 1, 0, 0, "multicall not canonical");
}

void conform_batches(void)
{
    make_ro(70);
    pin(70, 1);
    bad_elements();
    counts();
    lists();
    straddling();
    done_pointers();
    order();
    multicalls();
}
