/* SPDX-License-Identifier: MIT */
/* Frames that someone uses: given away, exchanged, made into tables while in use. */
#include "attack.h"

#include <xen/memory.h>
#include <xen/vcpu.h>

#define AREA 182u

static void give(const char *name, uint64_t mfn)
{
    xen_pfn_t list = mfn, out = 0;
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    struct xen_memory_exchange e = {.in = {.nr_extents = 1, .domid = DOMID_SELF},
                                    .out = {.nr_extents = 1, .domid = DOMID_SELF}};
    set_xen_guest_handle(e.in.extent_start, &list);
    set_xen_guest_handle(e.out.extent_start, &out);
    set_xen_guest_handle(r.extent_start, &list);
    int64_t exchanged = call2(__HYPERVISOR_memory_op, XENMEM_exchange, &e);
    int64_t given = call2(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, &r);
    say("give %s: exchange %ld, decrease %ld, again %ld\n", name, exchanged, given,
        call2(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, &r));
}

/* An area that the hypervisor writes, and then the frame below it made a table. */
static void area(const char *name, unsigned cmd, uint64_t where)
{
    struct vcpu_register_runstate_memory_area a;
    a.addr.p = where;
    int64_t rc = call3(__HYPERVISOR_vcpu_op, cmd, 0, &a);
    call2(__HYPERVISOR_set_timer_op, 1, 0);
    for (unsigned i = 0; i < 100; i++)
        call2(__HYPERVISOR_sched_op, 0, 0);
    say("%s at %lx: %ld\n", name, where >= page_va(0) ? where - page_va(0) : where, rc);
}

static void areas(void)
{
    static const unsigned cmds[] = {VCPUOP_register_runstate_memory_area,
                                    VCPUOP_register_vcpu_time_memory_area};
    make_ro(AREA + 1);
    pin(AREA + 1, 1);
    set_va(page_va(AREA + 2), 0);
    for (unsigned i = 0; i < 2; i++) {
        area("area", cmds[i], 0);
        area("area", cmds[i], 0xffff800000000000ull);
        area("area", cmds[i], 0xffff830000000000ull);
        area("area", cmds[i], 0x00007ffffffffff8ull);
        area("area", cmds[i], ~0ull);
        area("area in a table", cmds[i], page_va(AREA + 1) + 8);
        area("area across an edge", cmds[i], page_va(AREA + 2) - 5);
        area("area", cmds[i], page_va(AREA) + 3);
        make_ro(AREA);
        say("its page as a table: %ld\n", pin(AREA, 1));
        for (unsigned k = 0; k < 1000; k++)
            call2(__HYPERVISOR_sched_op, 0, 0);
        for (unsigned k = 0; k < ENTRIES; k++)
            if (page(AREA)[k] & P_)
                say("an entry appeared in the table\n");
        unpin(AREA);
        make_rw(AREA);
        memset(pool[AREA], 0, PAGE);
    }
}

static void vcpu_info(void)
{
    static const uint32_t offsets[] = {~0u, 4095, 4064, 4096, 1, 4, 3};
    struct vcpu_register_vcpu_info v = {.mfn = pool_mfn[AREA + 4]};
    for (unsigned i = 0; i < 7; i++) {
        v.offset = offsets[i];
        say("vcpu_info at offset %u: %ld\n", v.offset,
            call3(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, &v));
    }
    v.offset = 0;
    static const uint64_t bad[] = {~0ull, 1ull << 38, 0};
    for (unsigned i = 0; i < 3; i++) {
        v.mfn = bad[i];
        say("vcpu_info at a bad frame: %ld\n",
            call3(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, &v));
    }
    v.mfn = pool_mfn[AREA + 1];
    say("vcpu_info in a table: %ld\n",
        call3(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, &v));
    v.mfn = pool_mfn[AREA + 4];
    v.offset = 4032;
    say("vcpu_info: %ld\n", call3(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, &v));
    /* from here on cr2 lies there */
    shared_info = (shared_info_t *)(pool[AREA + 4] + 4032);
    shared_info->vcpu_info[0].evtchn_upcall_mask = 1;
    make_ro(AREA + 4);
    say("its frame as a table: %ld\n", pin(AREA + 4, 1));
    make_rw(AREA + 4);
    unsigned long frame = pool_mfn[AREA + 4];
    say("its frame as a GDT: %ld\n", call2(__HYPERVISOR_set_gdt, &frame, 512));
    give("vcpu_info", pool_mfn[AREA + 4]);
    set_va(page_va(AREA + 5), entry_for(AREA + 4, RW_ENTRY));
    set_va(page_va(AREA + 5), entry_for(AREA + 5, RW_ENTRY));
}

/* ---- MOV to CR3 by a guest whose timer never rests: a large tree, not validated yet */

#define TREE   60u /* root, L3, L2, then L1 tables */
#define LEAVES 40u

static void load_cr3(void *arg)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"(arg) : "memory");
}

static void slow_roots(void)
{
    struct vcpu_set_periodic_timer period = {.period_ns = 1000000};
    memcpy(pool[TREE], (const void *)start_info->pt_base, PAGE);
    page(TREE)[1] = entry_for(TREE + 1, TABLE_ENTRY);
    page(TREE + 1)[0] = entry_for(TREE + 2, TABLE_ENTRY);
    for (unsigned i = 0; i < LEAVES; i++) {
        page(TREE + 2)[i] = entry_for(TREE + 3 + i, TABLE_ENTRY);
        for (unsigned k = 0; k < ENTRIES; k++)
            page(TREE + 3 + i)[k] = entry_for(100, P_ | US);
    }
    for (unsigned i = 0; i < LEAVES + 3; i++)
        make_ro(TREE + i);
    call3(__HYPERVISOR_vcpu_op, VCPUOP_set_periodic_timer, 0, &period);
    for (unsigned i = 0; i < 50; i++) {
        attempt_quietly(load_cr3, (void *)(pool_mfn[TREE] << 12));
        attempt_quietly(load_cr3, (void *)(root_mfn() << 12));
    }
    call3(__HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, 0, 0);
    attempts_sum("large roots");
}

void attack_frames(void)
{
    slow_roots();
    areas();
    give("the live root", root_mfn());
    give("a live table", live_table_mfn(page_va(0), 1));
    give("shared_info", start_info->shared_info >> 12);
    give("start_info", mfn_of(start_info));
    give("the stack", mfn_of(__builtin_frame_address(0)));
    give("this code", mfn_of((const void *)pvg_trap_stub(0)));
    if (!(start_info->flags & SIF_INITDOMAIN))
        give("the console", start_info->console.domU.mfn);
    unsigned long frame = pool_mfn[AREA + 6];
    make_ro(AREA + 6);
    call2(__HYPERVISOR_set_gdt, &frame, 512);
    give("the GDT", frame);
    set_va(page_va(AREA + 6), 0);
    call2(__HYPERVISOR_set_gdt, 0, 0);
    vcpu_info();
}
