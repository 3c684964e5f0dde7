/* SPDX-License-Identifier: MIT */
/* One request of chaos. */
#include "chaos.h"

#define BATCH 20u

static unsigned any_table(void)
{
    return chance(90) ? below(FIRST_WINDOW) : below(SUBJECTS);
}

static bool is_hypervisors(unsigned i, unsigned slot)
{
    return class_of_page(i) == 4 && slot >= 256 && slot < 272;
}

static void note_entry(unsigned i, unsigned slot)
{
    if (i >= FIRST_WINDOW && i < FIRST_DESC)
        return; /* its address may show something else */
    if (!is_hypervisors(i, slot))
        note("entry", entry_norm(page(i)[slot]));
}

/* ---- updates */

static mmu_update_t random_update(unsigned *i, unsigned *slot)
{
    static const uint8_t commands[] = {0, 0, 0, 0, 0, 0, 0, 2, 3, 1};
    unsigned cmd = chance(2) ? 4 + below(4) : commands[below(10)];
    *i = any_table();
    *slot = plan_slot(*i);
    uint64_t value = plan_entry(*i);
    if (cmd == MMU_MACHPHYS_UPDATE)
        value = chance(50) ? pfn_of(pool[*i]) : random64();
    note_request("update", *i << 16 | *slot << 4 | cmd, cmd == 1 ? 0 : entry_norm(value));
    return (mmu_update_t){slot_address(*i, *slot) + cmd, value};
}

static void op_update(void)
{
    unsigned i, slot;
    mmu_update_t u = random_update(&i, &slot);
    note_result(update1(u.ptr, u.val));
    note_entry(i, slot);
}

static void op_batch(void)
{
    mmu_update_t u[BATCH];
    unsigned i[BATCH], slot[BATCH], n = 2 + below(BATCH - 2);
    uint32_t done = 77;
    for (unsigned k = 0; k < n; k++)
        u[k] = random_update(&i[k], &slot[k]);
    int64_t rc = call4(__HYPERVISOR_mmu_update, u, n, &done, DOMID_SELF);
    note_result(rc);
    note("done", done);
    for (unsigned k = 0; k < n; k++)
        note_entry(i[k], slot[k]);
}

/* ---- pins and roots */

static void op_pin(void)
{
    unsigned i = any_table(), level = class_of_page(i);
    if (chance(15) && level != 4)
        level = 1 + below(3);
    if (!plan_level(i, level))
        level = class_of_page(i);
    if (chance(60))
        note_result(make_ro(i));
    note_request("pin", i, level);
    note_result(pin(i, level));
}

static void op_unpin(void)
{
    unsigned i = any_table();
    note_request("unpin", i, 0);
    note_result(unpin(i));
}

static void op_user_root(void)
{
    unsigned i = FIRST_L4 + below(FIRST_WINDOW - FIRST_L4);
    bool none = chance(30);
    note_request("user root", none ? 0 : i, 0);
    note_result(ext1(MMUEXT_NEW_USER_BASEPTR, none ? 0 : pool_mfn[i], 0));
}

/* A root of the pool gets the slot that everything here lives in. */
static void op_prepare_root(void)
{
    unsigned i = FIRST_L4 + below(FIRST_WINDOW - FIRST_L4);
    uint64_t live = ((volatile uint64_t *)start_info->pt_base)[511];
    note_request("prepare", i, 0);
    note_result(update1(slot_address(i, 511), live & ~(A_ | D_)));
}

static bool can_run_on(unsigned i)
{
    uint64_t live = ((volatile uint64_t *)start_info->pt_base)[511];
    return ((page(i)[511] ^ live) & (ADDRESS | P_ | RW)) == 0;
}

static void op_kernel_root(void)
{
    unsigned i = FIRST_L4 + below(FIRST_WINDOW - FIRST_L4);
    bool back = chance(30) || !can_run_on(i);
    note_request("root", back ? 0 : i, 0);
    note_result(ext1(MMUEXT_NEW_BASEPTR, back ? root_mfn() : pool_mfn[i], 0));
}

/* ---- mappings */

static void op_toggle(void)
{
    unsigned i = chance(90) ? below(FIRST_WINDOW) : FIRST_DESC + below(2);
    bool ro = chance(80);
    note_request(ro ? "read-only" : "writable", i, 0);
    note_result(ro ? make_ro(i) : make_rw(i));
}

static void op_window(void)
{
    static const uint8_t flush[] = {
        UVMF_NONE, UVMF_INVLPG, UVMF_TLB_FLUSH, UVMF_INVLPG | UVMF_ALL, UVMF_TLB_FLUSH | UVMF_ALL,
        3};
    unsigned w = FIRST_WINDOW + below(FIRST_DESC - FIRST_WINDOW), i = below(SUBJECTS);
    uint64_t flags = chance(15) ? 0 : P_ | (random64() & (RW | US | A_ | D_ | G_ | NX));
    uint64_t how = flush[below(6)];
    note_request("window", w << 8 | i, flags);
    note_result(call3(__HYPERVISOR_update_va_mapping, page_va(w), entry_for(i, flags), how));
    note("va entry", entry_norm(*live_entry(page_va(w), 1) & ~(A_ | D_)));
}

/* ---- stores of the guest's own */

struct change {
    uint64_t *at;
    uint64_t value;
    unsigned how;
};

static void do_change(void *arg)
{
    struct change *c = arg;
    switch (c->how) {
    case 0:
        __asm__ volatile("xchgq %0, %1" : "+r"(c->value), "+m"(*c->at));
        break;
    case 1:
        __asm__ volatile("lock; andb $0xfd, %0" : "+m"(*c->at)); /* RW */
        break;
    case 2:
        __asm__ volatile("lock; btrq $5, %0" : "+m"(*c->at)); /* accessed */
        break;
    case 3:
        __asm__ volatile("lock; orb $0x60, %0" : "+m"(*c->at)); /* accessed, dirty */
        break;
    default:
        *(volatile uint64_t *)c->at = c->value;
    }
}

static void op_store(void)
{
    unsigned i = below(FIRST_WINDOW), slot = plan_slot(i);
    struct change c = {&page(i)[slot], plan_entry(i), below(12)};
    if (c.how == 1 && !plan_clear_rw(i))
        c.how = 2;
    if (is_hypervisors(i, slot))
        return;
    note_request("store", i << 16 | slot << 4 | c.how, entry_norm(c.value));
    uint64_t trap = guarded(do_change, &c);
    note_result(trap ? -(int64_t)TRAP_VECTOR(trap) : 0);
    note_entry(i, slot);
}

/* ---- whole pages, descriptors, nonsense */

static void op_page(void)
{
    unsigned to = any_table(), from = any_table();
    bool copy = chance(60) && plan_copy(to, from);
    note_request(copy ? "copy" : "clear", to, copy ? from : 0);
    note_result(copy ? ext1(MMUEXT_COPY_PAGE, pool_mfn[to], pool_mfn[from])
                     : ext1(MMUEXT_CLEAR_PAGE, pool_mfn[to], 0));
    note_entry(to, plan_slot(to));
}

static void op_gdt(void)
{
    unsigned long frames[2];
    unsigned i = chance(80) ? FIRST_DESC + below(2) : below(SUBJECTS), n = below(3);
    for (unsigned k = 0; k < 2; k++)
        frames[k] = pool_mfn[k == 0 ? i : FIRST_DESC + below(2)];
    if (class_of_page(i) == 4)
        return; /* what the hypervisor's slots hold is not for comparison */
    note_request("gdt", i, n);
    note_result(call2(__HYPERVISOR_set_gdt, frames, n * 512));
}

static void op_descriptor(void)
{
    static const uint64_t values[] = {
        0x00cff3000000fffeull, 0x00af9a000000fffeull, 0,
        0x0000890000000066ull, 0x00008c0000100000ull, 0x00008c00e0080000ull,
        0x0040f20000000000ull, 0x0000820000000ffeull};
    unsigned i = chance(70) ? FIRST_DESC + below(2) : any_table(), slot = below(16);
    uint64_t v = values[below(8)];
    note_request("descriptor", i << 16 | slot, v);
    note_result(call2(__HYPERVISOR_update_descriptor, slot_address(i, slot), v));
    note_entry(i, slot);
}

static void op_nonsense(void)
{
    static const uint64_t places[] = {
        0, 0x1000, 0xffff800000000000ull, 0xffff830000001000ull, 0x0000800000000000ull, ~7ull};
    uint64_t at = places[below(6)];
    unsigned n = below(4), which = below(6);
    note_request("nonsense", which, n);
    switch (which) {
    case 0:
        note_result(call4(__HYPERVISOR_mmu_update, at, n, 0, DOMID_SELF));
        break;
    case 1:
        note_result(call4(__HYPERVISOR_mmuext_op, at, n, 0, DOMID_SELF));
        break;
    case 2:
        note_result(call3(__HYPERVISOR_update_va_mapping, at, entry_for(0, P_), 0));
        break;
    case 3:
        note_result(ext1(20 + n, pool_mfn[n], 0));
        break;
    case 4:
        note_result(call2(__HYPERVISOR_update_descriptor, at, 0));
        break;
    default:
        note_result(ext1(MMUEXT_SET_LDT, at, n));
    }
}

/* ---- choosing */

static const struct {
    unsigned weight;
    void (*run)(void);
} ops[] = {{26, op_update},    {8, op_batch},        {11, op_pin},        {7, op_unpin},
           {16, op_toggle},    {6, op_window},       {10, op_store},      {3, op_page},
           {2, op_user_root},  {1, op_prepare_root}, {2, op_kernel_root}, {2, op_gdt},
           {2, op_descriptor}, {1, op_nonsense},     {3, balloon_step}};

void chaos_step(void)
{
    unsigned pick = below(100), i = 0;
    while (pick >= ops[i].weight)
        pick -= ops[i++].weight;
    note("op", i);
    ops[i].run();
}

void chaos_reset(void)
{
    note_result(ext1(MMUEXT_NEW_BASEPTR, root_mfn(), 0));
    note_result(ext1(MMUEXT_NEW_USER_BASEPTR, 0, 0));
    note_result(call2(__HYPERVISOR_set_gdt, 0, 0));
    ext1(MMUEXT_SET_LDT, 0, 0);
    for (unsigned i = FIRST_WINDOW; i < FIRST_DESC; i++)
        set_va(page_va(i), entry_for(i, RO_ENTRY)); /* gives up what it showed */
    balloon_reset();
    pool_reset(0, CHAOS_PAGES);
    for (unsigned i = 0; i < CHAOS_PAGES; i++) {
        update1(slot_address(i, 0) | MMU_MACHPHYS_UPDATE, pfn_of(pool[i]));
        note("zero", page(i)[0]);
    }
    plan_reset();
}
