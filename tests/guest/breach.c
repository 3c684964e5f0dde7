/* SPDX-License-Identifier: MIT */
/*
 * One breach of the memory contract, of each way there is to ask, for tests of reports, of
 * `--strict` and of `--gdb`: "breach case=N". It says what it got, so that a test can tell that
 * nothing was done twice and no answer was lost.
 */
#include "attack.h"
#include "grants.h"

#include <xen/sched.h>
#include <xen/vcpu.h>

#define TABLE 40u /* an L1 table */
#define PLAIN 41u
#define OTHER 42u /* an L1 table that no L1 entry may map writable, as well */
#define UPPER 43u /* would be an L2 table, and the next ones its L1 tables */
#define SPACE 50u
#define LONG  8192u
#define WAYS  60u

static mmu_update_t updates[64];
static mmu_update_t many[LONG];
static multicall_entry_t calls[LONG];
static volatile unsigned upcalls;

static mmu_update_t update(unsigned slot, unsigned i, uint64_t flags)
{
    return (mmu_update_t){slot_address(TABLE, slot), entry_for(i, flags)};
}

static void tables(void)
{
    make_ro(TABLE);
    make_ro(OTHER);
    pin(TABLE, 1);
    pin(OTHER, 1);
}

static multicall_entry_t call_of(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return (multicall_entry_t){.op = n, .args = {a, b, c, d}};
}

static int64_t update_alone(void)
{
    return update1(slot_address(TABLE, 7), entry_for(OTHER, P_ | RW));
}

static int64_t update_batch(void)
{
    for (unsigned i = 0; i < 64; i++)
        updates[i] = update(i, PLAIN, P_);
    updates[35] = update(35, OTHER, P_ | RW);
    return call4(__HYPERVISOR_mmu_update, updates, 64, 0, DOMID_SELF);
}

static int64_t update_unreadable(void)
{
    mmu_update_t *last = (mmu_update_t *)(pool[SPACE] + PAGE) - 2;
    last[0] = update(1, PLAIN, P_);
    last[1] = update(2, PLAIN, P_);
    set_va(page_va(SPACE + 1), 0);
    return call4(__HYPERVISOR_mmu_update, last, 3, 0, DOMID_SELF);
}

static int64_t update_va(void)
{
    return set_va(page_va(OTHER), entry_for(OTHER, RW_ENTRY));
}

/* The second of three; each of them is done once. */
static int64_t in_multicall(void)
{
    updates[0] = update(9, PLAIN, P_);
    updates[1] = update(10, OTHER, P_ | RW);
    calls[0] = call_of(__HYPERVISOR_mmu_update, (uint64_t)&updates[0], 1, 0, DOMID_SELF);
    calls[1] = call_of(__HYPERVISOR_mmu_update, (uint64_t)&updates[1], 1, 0, DOMID_SELF);
    calls[2] = call_of(__HYPERVISOR_xen_version, 0, 0, 0, 0);
    int64_t rc = call2(__HYPERVISOR_multicall, calls, 3);
    say("results %ld %ld %lx\n", calls[0].result, (int64_t)calls[1].result, calls[2].result);
    return rc;
}

/* Long enough to pause, when it ticks. */
static int64_t long_batch(void)
{
    for (unsigned i = 0; i < LONG; i++)
        many[i] = update(i % ENTRIES, i % 3 ? PLAIN : SPACE, P_);
    many[LONG - 100] = update(35, OTHER, P_ | RW);
    return call4(__HYPERVISOR_mmu_update, many, LONG, 0, DOMID_SELF);
}

static int64_t long_multicall(void)
{
    for (unsigned i = 0; i < LONG; i++) {
        many[i] = update(i % ENTRIES, i % 3 ? PLAIN : SPACE, P_);
        calls[i] = call_of(__HYPERVISOR_mmu_update, (uint64_t)&many[i], 1, 0, DOMID_SELF);
    }
    many[LONG - 100] = update(35, OTHER, P_ | RW);
    return call2(__HYPERVISOR_multicall, calls, LONG);
}

/* The third table of an L2 cannot be had: what the first two took is left over. */
static int64_t pin_half(void)
{
    struct mmuext_op op[3] = {{.cmd = MMUEXT_TLB_FLUSH_LOCAL}, {.cmd = MMUEXT_PIN_L2_TABLE}};
    for (unsigned i = 0; i < 3; i++) {
        page(UPPER)[i] = entry_for(UPPER + 1 + i, TABLE_ENTRY);
        page(UPPER + 1 + i)[3] = entry_for(i == 2 ? OTHER : PLAIN, P_ | RW);
        make_ro(UPPER + 1 + i);
    }
    make_ro(UPPER);
    op[1].arg1.mfn = pool_mfn[UPPER];
    return call4(__HYPERVISOR_mmuext_op, op, 3, 0, DOMID_SELF);
}

static int64_t unknown_operation(void)
{
    struct mmuext_op op[2] = {{.cmd = MMUEXT_TLB_FLUSH_LOCAL}, {.cmd = 99}};
    return call4(__HYPERVISOR_mmuext_op, op, 2, 0, DOMID_SELF);
}

static int64_t big_gdt(void)
{
    return call2(__HYPERVISOR_set_gdt, 0, 100000);
}

static int64_t writable_gdt(void)
{
    unsigned long frame = pool_mfn[PLAIN];
    return call2(__HYPERVISOR_set_gdt, &frame, 512);
}

static int64_t descriptor(void)
{
    return call2(__HYPERVISOR_update_descriptor, slot_address(OTHER, 1), 0x00cffb000000ffff);
}

static int64_t free_nothing(void)
{
    xen_pfn_t list[2] = {pool_mfn[PLAIN], 1ull << 44};
    struct xen_memory_reservation r = {.nr_extents = 2, .domid = DOMID_SELF};
    set_xen_guest_handle(r.extent_start, list);
    set_va(page_va(PLAIN), 0);
    return call2(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, &r);
}

static int64_t grant_beyond(void)
{
    static uint64_t frames[1];
    struct gnttab_setup_table s = {.dom = DOMID_SELF, .nr_frames = 1};
    struct gnttab_map_grant_ref m[2] = {{.flags = GNTMAP_host_map | GNTMAP_contains_pte},
                                        {.flags = GNTMAP_host_map | GNTMAP_contains_pte}};
    s.frame_list.p = frames;
    call3(__HYPERVISOR_grant_table_op, GNTTABOP_setup_table, &s, 1);
    set_va(page_va(SPACE), frame_entry(frames[0], RW_ENTRY));
    grants = (grant_entry_v1_t *)page(SPACE);
    grant_entry(0, GTF_permit_access, own_id(), pool_mfn[PLAIN]);
    m[0].host_addr = slot_address(TABLE, 11);
    m[1].host_addr = 1ull << 45;
    m[0].ref = m[1].ref = REF(0);
    m[0].dom = m[1].dom = own_id();
    int64_t rc = call3(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, m, 2);
    say("statuses %d %d\n", m[0].status, m[1].status);
    return rc;
}

static void do_store(void *arg)
{
    (void)arg;
    *(volatile uint64_t *)&page(TABLE)[12] = entry_for(OTHER, P_ | RW);
}

static int64_t store(void)
{
    return (int64_t)guarded(do_store, NULL);
}

static void do_load_root(void *arg)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"(arg) : "memory");
}

static int64_t load_root(void)
{
    return (int64_t)guarded(do_load_root, (void *)(pool_mfn[PLAIN] << 12));
}

static void do_load_ds(void *arg)
{
    __asm__ volatile("movl %0, %%ds" : : "r"((uint32_t)(uint64_t)arg));
}

/* Its page is mapped writable. */
static int64_t use_ldt(void)
{
    ext1(MMUEXT_SET_LDT, page_va(PLAIN), 8);
    return (int64_t)guarded(do_load_ds, (void *)15);
}

static int64_t write_to_table(void)
{
    return !try_write(page_va(OTHER) + 4, 1); /* half an entry: no store to an entry */
}

/* Of a kernel that has no user mode yet, this is its own. */
static int64_t write_to_user_page(void)
{
    set_va(page_va(PLAIN), entry_for(PLAIN, P_ | US | A_));
    return !try_write(page_va(PLAIN), 1);
}

static int64_t shut_down(void)
{
    struct sched_shutdown how = {.reason = SHUTDOWN_crash};
    return call2(__HYPERVISOR_sched_op, SCHEDOP_shutdown, &how);
}

/* Each from a place of its own: more than reports are kept of. Then the end, of which one is. */
static int64_t many_ways(void)
{
    static const uint8_t stub[] = {0xb8, __HYPERVISOR_update_va_mapping,
                                   0,    0,
                                   0, /* mov , %eax */
                                   0x0f, 0x05,
                                   0xc3}; /* syscall; ret */
    uint8_t *code = code_of(stub, sizeof(stub));
    for (unsigned i = 0; i < WAYS; i++) {
        memcpy(code + i * sizeof(stub), stub, sizeof(stub));
        ((int64_t(*)(uint64_t, uint64_t, uint64_t))(code + i * sizeof(stub)))(
            page_va(OTHER), entry_for(OTHER, RW_ENTRY), 0);
    }
    return shut_down();
}

static _Noreturn void elsewhere(void)
{
    say("breach iret-in-multicall: 0\n");
    say("TEST-END\n");
    pvg_shutdown(guest, SHUTDOWN_poweroff);
}

/* The guest never comes back to the call. */
static int64_t iret_in_multicall(void)
{
    struct iret_frame f = {.rip = (uint64_t)elsewhere,
                           .cs = FLAT_KERNEL_CS & ~3u,
                           .rflags = 2,
                           .rsp = KERNEL_STACK_END - 8,
                           .ss = FLAT_DS};
    updates[0] = update(10, OTHER, P_ | RW);
    calls[0] = call_of(__HYPERVISOR_mmu_update, (uint64_t)&updates[0], 1, 0, DOMID_SELF);
    calls[1] = call_of(__HYPERVISOR_iret, 0, 0, 0, 0);
    raw_call(&f, __HYPERVISOR_multicall, (uint64_t)calls, 2);
}

/* What stands before it in the list is done once. */
static int64_t shut_down_in_multicall(void)
{
    struct sched_shutdown how = {.reason = SHUTDOWN_crash};
    updates[0] = update(9, PLAIN, P_);
    calls[0] = call_of(__HYPERVISOR_mmu_update, (uint64_t)&updates[0], 1, 0, DOMID_SELF);
    calls[1] = call_of(__HYPERVISOR_sched_op, SCHEDOP_shutdown, (uint64_t)&how, 0, 0);
    return call2(__HYPERVISOR_multicall, calls, 2);
}

static int64_t no_handler(void)
{
    call1(__HYPERVISOR_set_trap_table, 0);
    __asm__ volatile("ud2");
    return 0;
}

static int64_t no_stack(void)
{
    __asm__ volatile("mov %0, %%rsp; ud2" : : "r"(0x1000ull));
    return 0;
}

static int64_t bad_iret(void)
{
    raw_iret((const struct iret_frame *)0x1000);
}

/* In user mode, and the kernel has no stack. */
static int64_t no_stack_in_user_mode(void)
{
    static const uint8_t code[] = {0x0f, 0x05}; /* syscall */
    struct iret_frame f = {.rip = (uint64_t)code_of(code, sizeof(code)),
                           .cs = 0xe033,
                           .rflags = 2,
                           .rsp = LOW_STACK,
                           .ss = 0xe02b};
    map_low();
    ext1(MMUEXT_NEW_USER_BASEPTR, root_mfn(), 0);
    call2(__HYPERVISOR_stack_switch, FLAT_DS, 0x1000);
    raw_iret(&f);
}

static const struct {
    const char *name;
    int64_t (*make)(void);
} breaches[] = {
    {"update-alone", update_alone},
    {"update-batch", update_batch},
    {"update-unreadable", update_unreadable},
    {"update-va", update_va},
    {"multicall", in_multicall},
    {"long-batch", long_batch},
    {"long-multicall", long_multicall},
    {"pin-half", pin_half},
    {"unknown-operation", unknown_operation},
    {"big-gdt", big_gdt},
    {"writable-gdt", writable_gdt},
    {"descriptor", descriptor},
    {"free-nothing", free_nothing},
    {"grant-beyond", grant_beyond},
    {"store", store},
    {"load-root", load_root},
    {"use-ldt", use_ldt},
    {"write-to-table", write_to_table},
    {"write-to-user-page", write_to_user_page},
    {"iret-in-multicall", iret_in_multicall},
    {"shut-down", shut_down},
    {"many-ways", many_ways},
    {"shut-down-in-multicall", shut_down_in_multicall},
    {"no-handler", no_handler},
    {"no-stack", no_stack},
    {"bad-iret", bad_iret},
    {"no-stack-in-user-mode", no_stack_in_user_mode},
};

/* A handler that asks by itself, between a breach and its answer. */
static bool upcall(struct pvguest *g, struct pvg_trap *t)
{
    (void)g;
    (void)t;
    upcalls++;
    shared_info->vcpu_info[0].evtchn_upcall_pending = 0;
    for (unsigned i = 0; i < 64; i++)
        shared_info->evtchn_pending[i] = 0;
    shared_info->vcpu_info[0].evtchn_pending_sel = 0;
    if (call2(__HYPERVISOR_xen_version, 0, 0) < 0x40000)
        pvg_fatal(guest, "an answer that is none of xen_version's");
    return true;
}

/* Ticks all the time. */
static void tick(void)
{
    struct vcpu_set_periodic_timer every = {.period_ns = 1000000};
    struct evtchn_bind_virq b = {.virq = VIRQ_TIMER};
    pvg_trap_set(guest, PVG_TRAP_EVENT, upcall);
    call2(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq, &b);
    call3(__HYPERVISOR_vcpu_op, VCPUOP_set_periodic_timer, 0, &every);
    shared_info->vcpu_info[0].evtchn_upcall_mask = 0;
}

void breach(void)
{
    uint64_t which = option("case", ~0ull);
    if (which >= sizeof(breaches) / sizeof(breaches[0]))
        pvg_fatal(guest, "there is no such case");
    tables();
    if (option_word("ticking"))
        tick();
    int64_t rc = breaches[which].make();
    shared_info->vcpu_info[0].evtchn_upcall_mask = 1;
    say("breach %s: %lx\n", breaches[which].name, rc);
    if (upcalls)
        say("there were upcalls\n");
}
