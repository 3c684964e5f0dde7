/* SPDX-License-Identifier: MIT */
/* Exceptions, guarded and handled; the address of a page fault; registers across a trap. */
#include "themes.h"

#define VECTOR_DE  0u
#define VECTOR_BP  3u
#define VECTOR_UD  6u
#define VECTOR_GP  13u
#define VECTOR_PF  14u
#define VECTOR_OWN 200u

#define NOWHERE 0x123456789000ull /* the lower half is empty */
#define ERROR_W 2u                /* of #PF: AMD64 APM vol. 2, 8.4.2 */
#define ERROR_U 4u

extern const char pvg_image_start[];

static void do_nothing(void *arg)
{
    *(unsigned *)arg += 1;
}

static void do_read(void *arg)
{
    (void)*(const volatile uint8_t *)arg;
}

static void do_write(void *arg)
{
    *(volatile uint8_t *)arg = 1;
}

/* The selector's entry is outside every table. */
static void do_gp(void *arg)
{
    (void)arg;
    __asm__ volatile("movl $0xfff8, %%eax; movw %%ax, %%ds" : : : "rax", "memory");
}

static void do_ud(void *arg)
{
    (void)arg;
    __asm__ volatile("ud2");
}

static void do_de(void *arg)
{
    uint32_t low = 1, high = 0, zero = 0;
    (void)arg;
    __asm__ volatile("divl %2" : "+a"(low), "+d"(high) : "r"(zero) : "cc");
}

static void do_bp(void *arg)
{
    (void)arg;
    __asm__ volatile("int3");
}

static void comes_back(struct tap *t)
{
    struct pvg_trap met;
    unsigned calls = 0;
    CHECK(t, pvg_guarded(t->g, do_nothing, &calls, &met));
    CHECK_SAME(t, calls, 1);
}

static uint64_t frame_of_handler;

/* System V: RSP is a multiple of 16 at every call, so that RBP, pushed behind the return address,
 * is one, too. Code that was compiled with SSE relies on it. */
static void do_align(void *arg)
{
    *(uint64_t *)arg = (uint64_t)__builtin_frame_address(0);
}

static bool align_it(struct pvguest *g, struct pvg_trap *p)
{
    (void)g, (void)p;
    frame_of_handler = (uint64_t)__builtin_frame_address(0);
    return true;
}

/* Wherever the stack was when the exception came. */
static void trap_with_stack_at(unsigned below)
{
    __asm__ volatile("movq %%rsp, %%rbx; subq %0, %%rsp; int3; movq %%rbx, %%rsp"
                     :
                     : "r"((uint64_t)below)
                     : "rbx", "memory", "cc");
}

static void stack_alignment(struct tap *t)
{
    struct pvg_trap met;
    uint64_t frame = 1;
    CHECK(t, pvg_guarded(t->g, do_align, &frame, &met));
    CHECK_SAME(t, frame % 16, 0);
    pvg_trap_set(t->g, VECTOR_BP, align_it);
    for (unsigned below = 0; below < 16; below += 8) {
        frame_of_handler = 1;
        trap_with_stack_at(below);
        CHECK_SAME(t, frame_of_handler % 16, 0);
    }
    pvg_trap_set(t->g, VECTOR_BP, NULL);
}

static void page_fault_read(struct tap *t)
{
    struct pvg_trap met;
    CHECK(t, !pvg_guarded(t->g, do_read, (void *)(NOWHERE + 0x123), &met));
    CHECK_SAME(t, met.vector, VECTOR_PF);
    CHECK_SAME(t, met.error & ERROR_W, 0);
    CHECK_SAME(t, pvg_fault_address(t->g), NOWHERE + 0x123);
    CHECK_SAY(t, met.rip >= (uint64_t)do_read && met.rip < (uint64_t)do_read + 64, "rip is %lx",
              met.rip);
}

/* The second of two addresses, so that it is not the first's that is told again. */
static void page_fault_write(struct tap *t)
{
    struct pvg_trap met;
    CHECK(t, !pvg_guarded(t->g, do_read, (void *)NOWHERE, &met));
    CHECK(t, !pvg_guarded(t->g, do_write, (void *)(NOWHERE + 0x2468), &met));
    CHECK_SAME(t, met.vector, VECTOR_PF);
    CHECK_SAME(t, met.error & ERROR_W, ERROR_W);
    CHECK_SAME(t, pvg_fault_address(t->g), NOWHERE + 0x2468);
}

static uint8_t mask_in_handler;

static uint8_t *upcall_mask(struct pvguest *g)
{
    return &pvg_shared_info(g)->vcpu_info[0].evtchn_upcall_mask;
}

static bool look_at_mask(struct pvguest *g, struct pvg_trap *p)
{
    (void)p;
    mask_in_handler = *(volatile uint8_t *)upcall_mask(g);
    return false;
}

static bool drop_event(struct pvguest *g, struct pvg_trap *p)
{
    struct vcpu_info *v = &pvg_shared_info(g)->vcpu_info[0];
    (void)p;
    __atomic_store_n(&v->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&v->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
    return true;
}

/* A fault in an event's handler would take the address of this one away, before it is asked for. */
static void page_fault_masks(struct tap *t)
{
    struct pvg_trap met;
    volatile uint8_t *mask = upcall_mask(t->g);
    uint8_t before = *mask;
    mask_in_handler = 2;
    pvg_trap_set(t->g, VECTOR_PF, look_at_mask);
    pvg_trap_handler *events = pvg_trap_set(t->g, PVG_TRAP_EVENT, drop_event);
    *mask = 0;
    bool came_back = pvg_guarded(t->g, do_read, (void *)NOWHERE, &met);
    uint8_t after = *mask;
    *mask = before;
    pvg_trap_set(t->g, PVG_TRAP_EVENT, events);
    pvg_trap_set(t->g, VECTOR_PF, NULL);
    CHECK(t, !came_back);
    CHECK_SAME(t, mask_in_handler, 1);
    CHECK_SAME(t, after, 0);
}

/* f(arg) meets this exception. */
static void meets(struct tap *t, void (*f)(void *), void *arg, unsigned vector, uint64_t error)
{
    struct pvg_trap met;
    CHECK(t, !pvg_guarded(t->g, f, arg, &met));
    CHECK_SAME(t, met.vector, vector);
    CHECK_SAME(t, met.error, error);
}

static void general_protection(struct tap *t)
{
    meets(t, do_gp, NULL, VECTOR_GP, 0xfff8);
}

static void not_canonical(struct tap *t)
{
    meets(t, do_read, (void *)0x8000000000000000ull, VECTOR_GP, 0);
}

static void invalid_opcode(struct tap *t)
{
    meets(t, do_ud, NULL, VECTOR_UD, 0);
}

static void divide(struct tap *t)
{
    meets(t, do_de, NULL, VECTOR_DE, 0);
}

static void breakpoint(struct tap *t)
{
    struct pvg_trap met;
    CHECK(t, !pvg_guarded(t->g, do_bp, NULL, &met));
    CHECK_SAME(t, met.vector, VECTOR_BP);
    CHECK_SAME(t, *((const uint8_t *)met.rip - 1), 0xcc); /* behind the instruction */
}

static unsigned handled;

static bool count_it(struct pvguest *g, struct pvg_trap *p)
{
    (void)g, (void)p;
    handled++;
    return true;
}

static bool refuse_it(struct pvguest *g, struct pvg_trap *p)
{
    (void)g, (void)p;
    handled++;
    return false;
}

/* Handled, the program goes on behind the breakpoint. */
static void handler_takes(struct tap *t)
{
    struct pvg_trap met;
    handled = 0;
    pvg_trap_handler *before = pvg_trap_set(t->g, VECTOR_BP, count_it);
    bool came_back = pvg_guarded(t->g, do_bp, NULL, &met);
    do_bp(NULL);
    pvg_trap_handler *ours = pvg_trap_set(t->g, VECTOR_BP, before);
    CHECK(t, came_back);
    CHECK_SAME(t, handled, 2);
    CHECK(t, ours == count_it);
    CHECK(t, before == NULL);
}

static void handler_refuses(struct tap *t)
{
    struct pvg_trap met;
    handled = 0;
    pvg_trap_set(t->g, VECTOR_BP, refuse_it);
    bool came_back = pvg_guarded(t->g, do_bp, NULL, &met);
    pvg_trap_set(t->g, VECTOR_BP, NULL);
    CHECK(t, !came_back);
    CHECK_SAME(t, handled, 1);
}

static bool skip_ud(struct pvguest *g, struct pvg_trap *p)
{
    (void)g;
    p->rip += 2;
    p->rbx ^= 0xff;
    return true;
}

struct registers {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, r8, r9, r10, r11;
};

static void cross(struct registers *r)
{
    register uint64_t r8 __asm__("r8") = r->r8;
    register uint64_t r9 __asm__("r9") = r->r9;
    register uint64_t r10 __asm__("r10") = r->r10;
    register uint64_t r11 __asm__("r11") = r->r11;
    __asm__ volatile("ud2"
                     : "+a"(r->rax), "+b"(r->rbx), "+c"(r->rcx), "+d"(r->rdx), "+S"(r->rsi),
                       "+D"(r->rdi), "+r"(r8), "+r"(r9), "+r"(r10), "+r"(r11)
                     :
                     : "memory");
    r->r8 = r8;
    r->r9 = r9;
    r->r10 = r10;
    r->r11 = r11;
}

/* Every one as it was, but for the one that the handler changes. RCX and R11 have a way of their
 * own. */
static void registers(struct tap *t)
{
    struct registers r = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    pvg_trap_set(t->g, VECTOR_UD, skip_ud);
    cross(&r);
    pvg_trap_set(t->g, VECTOR_UD, NULL);
    CHECK_SAME(t, r.rax, 1);
    CHECK_SAME(t, r.rbx, 2 ^ 0xff);
    CHECK_SAME(t, r.rcx, 3);
    CHECK_SAME(t, r.rdx, 4);
    CHECK_SAME(t, r.rsi, 5);
    CHECK_SAME(t, r.rdi, 6);
    CHECK_SAME(t, r.r8, 7);
    CHECK_SAME(t, r.r9, 8);
    CHECK_SAME(t, r.r10, 9);
    CHECK_SAME(t, r.r11, 10);
}

static void do_int(void *arg)
{
    (void)arg;
    __asm__ volatile("int %0" : : "i"(VECTOR_OWN));
}

/* Of a gate that is shut, the error code is vector * 8 + 2 (AMD64 APM vol. 2, 8.4.1). QEMU 7.2
 * makes it vector * 16 + 2, and whoever goes by that finds another vector. */
#define ERROR_OF_QEMU(vector) ((vector)*16 + 2)

/* A gate for INT n, by the library's entry; its own table shuts it again. */
static void own_gate(struct tap *t)
{
    struct pvg_trap first = {0}, second;
    trap_info_t gate[2] = {{.vector = VECTOR_OWN,
                            .flags = 3,
                            .cs = FLAT_KERNEL_CS,
                            .address = pvg_trap_stub(VECTOR_OWN)}};
    handled = 0;
    pvg_trap_set(t->g, VECTOR_OWN, count_it);
    CHECK_OK(t, pvg_hypercall(t->g, __HYPERVISOR_set_trap_table, (uintptr_t)gate, 0, 0, 0, 0));
    bool open = pvg_guarded(t->g, do_int, NULL, &first);
    int again = pvg_trap_table(t->g);
    bool shut = !pvg_guarded(t->g, do_int, NULL, &second);
    pvg_trap_set(t->g, VECTOR_OWN, NULL);
    CHECK_OK(t, again);
    CHECK(t, shut);
    CHECK_SAME(t, second.vector, VECTOR_GP);
    if (first.error == ERROR_OF_QEMU(VECTOR_OWN)) {
        tap_skip(t, "QEMU's error code of INT n names another vector");
        return;
    }
    CHECK(t, open);
    CHECK_SAME(t, handled, 1);
}

static void do_iret_to_nowhere(void *arg)
{
    (void)arg;
    __asm__ volatile("movq %%rsp, %%rdx\n\t"
                     "pushq $0xfff8; pushq %%rdx; pushq $2; pushq $0xfff8; pushq $0\n\t"
                     "pushq $0; pushq $0; pushq $0; pushq $0\n\t"
                     "movl %0, %%eax; syscall"
                     :
                     : "i"(__HYPERVISOR_iret)
                     : "rax", "rcx", "rdx", "r11", "memory");
}

/* Selectors outside every table: the exception that the hypervisor met on the way. */
static void iret_to_nowhere(struct tap *t)
{
    struct pvg_trap met;
    CHECK(t, !pvg_guarded(t->g, do_iret_to_nowhere, NULL, &met));
    CHECK_SAME(t, met.vector, VECTOR_GP);
    CHECK_SAME(t, met.error, 0xfff8);
    CHECK_SAY(t, met.rsp >= (uint64_t)&met - 512 && met.rsp < (uint64_t)&met, "rsp is %lx",
              met.rsp);
}

static void no_such_vector(struct tap *t)
{
    CHECK_SAME(t, pvg_trap_stub(PVG_TRAPS), 0);
    CHECK(t, pvg_trap_set(t->g, PVG_TRAPS, count_it) == NULL);
    CHECK(t, pvg_trap_set(t->g, ~0u, count_it) == NULL);
}

static const struct test tests[] = {
    {"comes_back", comes_back},
    {"stack_alignment", stack_alignment},
    {"page_fault_read", page_fault_read},
    {"page_fault_write", page_fault_write},
    {"page_fault_masks", page_fault_masks},
    {"general_protection", general_protection},
    {"not_canonical", not_canonical},
    {"invalid_opcode", invalid_opcode},
    {"divide", divide},
    {"breakpoint", breakpoint},
    {"handler_takes", handler_takes},
    {"handler_refuses", handler_refuses},
    {"registers", registers},
    {"own_gate", own_gate},
    {"iret_to_nowhere", iret_to_nowhere},
    {"no_such_vector", no_such_vector},
};

const struct theme trap_theme = THEME("trap", tests);
