/* SPDX-License-Identifier: MIT */
/* User mode: in, out by every way there is, and on again; what it cannot reach.
 */
#include "themes.h"
#include "user_world.h"

#define EMPTY 0x12345678000ull /* nothing is mapped there */

#define VECTOR_DB    1u
#define VECTOR_BP    3u
#define VECTOR_UD    6u
#define VECTOR_GP    13u
#define VECTOR_PF    14u
#define VECTOR_INT80 128u
#define ERROR_P      1u /* of #PF: AMD64 APM vol. 2, 8.4.2 */
#define ERROR_W      2u
#define ERROR_U      4u
#define FLAG_TF      0x100ull
#define FLAG_IF      0x200ull
#define FLAG_DF      0x400ull

/* ---- in, out, and on again */

static void system_calls(struct tap *t)
{
    struct pvg_trap r = at(user_sum, 100, 7);
    CHECK_OK(t, run(t->g, &r));
    CHECK_SAME(t, r.vector, PVG_TRAP_SYSCALL);
    CHECK_SAME(t, r.rax, 5050);
    CHECK_SAME(t, r.rsp, USER_TOP);
    CHECK_SAME(t, r.rip, r.rcx); /* SYSCALL's own doing */
    CHECK_SAME(t, r.cs & 3, 3);
    r.rax += 1000; /* the answer */
    CHECK_OK(t, run(t->g, &r));
    CHECK_SAME(t, r.vector, PVG_TRAP_SYSCALL);
    CHECK_SAME(t, r.rax, 6057);
    CHECK_OK(t, run(t->g, &r));
    CHECK_SAME(t, r.vector, VECTOR_UD);
    CHECK_SAME(t, r.rax, 6057);
}

/* RCX and R11, too: IRETQ has no use for them. */
static void registers(struct tap *t)
{
    struct pvg_trap r = at(user_registers, 500, 400);
    r.rax = 100, r.rbx = 200, r.rdx = 300, r.rbp = 600, r.r8 = 700, r.r9 = 800, r.r10 = 900;
    r.r12 = 1000, r.r13 = 1100, r.r14 = 1200, r.r15 = 1300, r.rcx = 1400, r.r11 = 1500;
    CHECK_OK(t, run(t->g, &r));
    CHECK_SAME(t, r.vector, VECTOR_BP);
    CHECK_SAME(t, r.rax, 101);
    CHECK_SAME(t, r.rbx, 202);
    CHECK_SAME(t, r.rdx, 303);
    CHECK_SAME(t, r.rsi, 404);
    CHECK_SAME(t, r.rdi, 505);
    CHECK_SAME(t, r.rbp, 606);
    CHECK_SAME(t, r.r8, 707);
    CHECK_SAME(t, r.r9, 808);
    CHECK_SAME(t, r.r10, 909);
    CHECK_SAME(t, r.r12, 1010);
    CHECK_SAME(t, r.r13, 1111);
    CHECK_SAME(t, r.r14, 1212);
    CHECK_SAME(t, r.r15, 1313);
    CHECK_SAME(t, r.rcx, 1414);
    CHECK_SAME(t, r.r11, 1515);
}

static void many_times(struct tap *t)
{
    for (unsigned i = 1; i <= 1000; i++) {
        struct pvg_trap r = at(user_sum, 2, i);
        CHECK_OK(t, run(t->g, &r));
        CHECK_OK(t, run(t->g, &r));
        CHECK_SAME(t, r.rax, 3 + i);
    }
}

static void stack_in_user_mode(struct tap *t)
{
    struct pvg_trap r = at(user_stack_use, 0, 0xabcdef);
    CHECK_OK(t, run(t->g, &r));
    CHECK_SAME(t, r.vector, PVG_TRAP_SYSCALL);
    CHECK_SAME(t, r.rax, 0xabcdef);
    CHECK_SAME(t, r.rsp, USER_TOP - 8);
    CHECK_SAME(t, data_word(t->g)[WORDS - 1], 0xabcdef);
}

/* Privileges in RFLAGS are not to be had; interrupts are on, so that events come. */
static void flags(struct tap *t)
{
    struct pvg_trap r = at(user_flags, 0, 0);
    r.rflags = 0x3000 | FLAG_DF; /* IOPL */
    CHECK_OK(t, run(t->g, &r));
    CHECK_SAME(t, r.vector, PVG_TRAP_SYSCALL);
    CHECK_SAME(t, r.rax & (0x3000 | FLAG_DF | FLAG_IF), FLAG_DF | FLAG_IF);
    CHECK_SAME(t, r.rflags & (0x3000 | FLAG_DF | FLAG_IF), FLAG_DF | FLAG_IF);
}

static void single_step(struct tap *t)
{
    struct pvg_trap r = at(user_tf, 0, 0);
    r.rflags = FLAG_TF;
    CHECK_OK(t, run(t->g, &r));
    CHECK_SAME(t, r.vector, VECTOR_DB);
    CHECK_SAME(t, r.rip, va_of(user_tf) + 1);
    CHECK_OK(t, run(t->g, &r));
    CHECK_SAME(t, r.vector, VECTOR_DB);
    CHECK_SAME(t, r.rip, va_of(user_tf) + 2);
    r.rflags = 0;
    CHECK_OK(t, run(t->g, &r));
    CHECK_SAME(t, r.vector, PVG_TRAP_SYSCALL);
}

/* ---- exceptions */

static void meets(struct tap *t, const uint8_t *program, unsigned vector, uint64_t error,
                  uint64_t after)
{
    struct pvg_trap r = at(program, 0, 0);
    CHECK_OK(t, run(t->g, &r));
    CHECK_SAME(t, r.vector, vector);
    CHECK_SAME(t, r.error, error);
    CHECK_SAME(t, r.rip, va_of(program) + after);
}

static void exceptions(struct tap *t)
{
    meets(t, user_ud, VECTOR_UD, 0, 0);
    meets(t, user_bp, VECTOR_BP, 0, 1);
    meets(t, user_hlt, VECTOR_GP, 0, 0);
    struct pvg_trap r = at(user_bp, 0, 0);
    CHECK_OK(t, run(t->g, &r));
    CHECK_OK(t, run(t->g, &r));
    CHECK_SAME(t, r.vector, PVG_TRAP_SYSCALL);
}

/* Gates are shut for user mode (of the error code see own_gate() in trap.c), but for one that the
 * hypervisor has of its own. */
static void int_is_shut(struct tap *t)
{
    struct pvg_trap r = at(user_int, 0, 0);
    CHECK_OK(t, run(t->g, &r));
    CHECK_SAME(t, r.vector, VECTOR_GP);
    CHECK_SAME(t, r.rip, va_of(user_int));
    meets(t, user_int80, VECTOR_INT80, 0, 2);
}

static unsigned handled;

static bool skip_ud(struct pvguest *g, struct pvg_trap *p)
{
    (void)g;
    handled += from_user(p);
    p->rip = va_of(user_flags);
    return true;
}

static bool refuse_ud(struct pvguest *g, struct pvg_trap *p)
{
    (void)g, (void)p;
    handled++;
    return false;
}

/* A handler that takes it goes on in user mode; one that does not lets it come back. */
static void handlers(struct tap *t)
{
    struct pvg_trap r = at(user_ud, 0, 0);
    handled = 0;
    pvg_trap_set(t->g, VECTOR_UD, skip_ud);
    int rc = run(t->g, &r);
    pvg_trap_set(t->g, VECTOR_UD, refuse_ud);
    struct pvg_trap again = at(user_ud, 0, 0);
    int rc_again = run(t->g, &again);
    pvg_trap_set(t->g, VECTOR_UD, NULL);
    CHECK_OK(t, rc);
    CHECK_OK(t, rc_again);
    CHECK_SAME(t, handled, 2);
    CHECK_SAME(t, r.vector, PVG_TRAP_SYSCALL);
    CHECK_SAME(t, again.vector, VECTOR_UD);
}

/* ---- page faults */

static void faults(struct tap *t, const uint8_t *program, uint64_t va, uint64_t error)
{
    struct pvg_trap r = at(program, va, 5);
    CHECK_OK(t, run(t->g, &r));
    CHECK_SAY(t, r.vector == VECTOR_PF, "%lx: vector %lu instead of a page fault", va, r.vector);
    CHECK_SAME(t, pvg_fault_address(t->g), va);
    CHECK_SAY(t, (r.error & (ERROR_P | ERROR_W | ERROR_U)) == error, "%lx: error code %lx", va,
              r.error);
}

static void page_faults(struct tap *t)
{
    faults(t, user_read, EMPTY + 8, ERROR_U);
    faults(t, user_write, EMPTY + 16, ERROR_U | ERROR_W);
    faults(t, user_write, USER_CODE, ERROR_U | ERROR_W | ERROR_P);
    CHECK_SAME(t, *(volatile uint8_t *)USER_CODE, user_code[0]);
    faults(t, user_jump, EMPTY + 24, ERROR_U);
    struct pvg_trap r = at(user_read, USER_DATA, 0);
    *data_word(t->g) = 0x5555;
    CHECK_OK(t, run(t->g, &r));
    CHECK_SAME(t, r.vector, PVG_TRAP_SYSCALL);
    CHECK_SAME(t, r.rax, 0x5555);
}

/* The kernel makes the access possible, and the instruction is done again. */
static void demand_paging(struct tap *t)
{
    struct pvg_trap r = at(user_write, USER_CODE + 0xff8, 77);
    CHECK_OK(t, run(t->g, &r));
    CHECK_SAME(t, r.vector, VECTOR_PF);
    CHECK_OK(t, pvg_space_protect(t->g, &world.space, USER_CODE, 1, PVG_PTE_IMAGE | PVG_PTE_USER));
    CHECK_OK(t, run(t->g, &r));
    CHECK_SAME(t, r.vector, PVG_TRAP_SYSCALL);
    CHECK_SAME(t, *(volatile uint64_t *)(USER_CODE + 0xff8), 77);
}

/* Entries without PVG_PTE_USER protect nothing: the hypervisor, for whom the kernel is user mode,
 * too, sets the bit in all of them. What hangs in the user root can be reached. */
static void flag_protects_nothing(struct tap *t)
{
    struct pvg_trap r = at(user_read, USER_OTHER, 0);
    CHECK_OK(t, run(t->g, &r));
    CHECK_SAME(t, r.vector, PVG_TRAP_SYSCALL);
}

/* The kernel's half is not in the user root. */
static void kernel_memory(struct tap *t)
{
    uint64_t image = (uint64_t)user_code, direct = (uint64_t)pvg_page(t->g, world.first);
    faults(t, user_read, image, ERROR_U);
    faults(t, user_write, direct, ERROR_U | ERROR_W);
    faults(t, user_jump, (uint64_t)pvg_user_run, ERROR_U);
    faults(t, user_read, (uint64_t)t, ERROR_U);
}

/* ---- refusals */

static void refused(struct tap *t, const struct pvg_trap *r, int wanted)
{
    struct pvg_trap copy = *r;
    CHECK_SAME(t, pvg_user_run(t->g, &copy), wanted);
    for (unsigned i = 0; i < sizeof(copy) / sizeof(uint64_t); i++)
        CHECK_SAME(t, ((uint64_t *)&copy)[i], ((const uint64_t *)r)[i]);
}

static void refusals(struct tap *t)
{
    struct pvg_trap good = at(user_sum, 1, 1), r = good;
    r.rip = (uint64_t)user_sum;
    refused(t, &r, -XEN_EINVAL);
    r = good;
    r.rsp = PVG_USER_END;
    refused(t, &r, -XEN_EINVAL);
    CHECK_OK(t, pvg_space_load(t->g, NULL));
    refused(t, &good, -XEN_EINVAL);
    CHECK_TEXT(t, pvg_reason(t->g), "user mode: no space with a user root is loaded");
    CHECK_OK(t, pvg_space_load(t->g, &world.space));
}

static struct pvg_trap inner;
static int inner_rc;

static bool run_inside(struct pvguest *g, struct pvg_trap *p)
{
    (void)p;
    inner_rc = pvg_user_run(g, &inner);
    return false;
}

static void guarded_run(void *arg)
{
    inner_rc = pvg_user_run(arg, &inner);
}

static bool guarded_fault;

static void do_ud(void *arg)
{
    (void)arg;
    __asm__ volatile("ud2");
}

static bool guard_inside(struct pvguest *g, struct pvg_trap *p)
{
    struct pvg_trap met;
    if (!from_user(p))
        return false;
    guarded_fault = !pvg_guarded(g, do_ud, NULL, &met) && met.vector == VECTOR_UD;
    return false;
}

static void nested(struct tap *t)
{
    struct pvg_trap r = at(user_ud, 0, 0), met;
    inner = at(user_sum, 1, 1);
    pvg_trap_set(t->g, VECTOR_UD, run_inside);
    int rc = run(t->g, &r);
    pvg_trap_set(t->g, VECTOR_UD, NULL);
    CHECK_OK(t, rc);
    CHECK_SAME(t, inner_rc, -XEN_EBUSY);
    CHECK_SAME(t, r.vector, VECTOR_UD);
    CHECK(t, pvg_guarded(t->g, guarded_run, t->g, &met));
    CHECK_SAME(t, inner_rc, -XEN_EBUSY);
}

/* The other way round it may be: what a handler does for user mode can trap. */
static void guarded_meanwhile(struct tap *t)
{
    struct pvg_trap r = at(user_bp, 0, 0);
    guarded_fault = false;
    pvg_trap_set(t->g, VECTOR_BP, guard_inside);
    int rc = run(t->g, &r);
    pvg_trap_set(t->g, VECTOR_BP, NULL);
    CHECK_OK(t, rc);
    CHECK_SAME(t, r.vector, VECTOR_BP);
    CHECK(t, guarded_fault);
}

#define FOR_EACH(X)                                                                                \
    X(system_calls)                                                                                \
    X(registers)                                                                                   \
    X(many_times)                                                                                  \
    X(stack_in_user_mode)                                                                          \
    X(flags)                                                                                       \
    X(single_step)                                                                                 \
    X(exceptions)                                                                                  \
    X(int_is_shut)                                                                                 \
    X(handlers)                                                                                    \
    X(page_faults)                                                                                 \
    X(demand_paging)                                                                               \
    X(flag_protects_nothing)                                                                       \
    X(kernel_memory)                                                                               \
    X(refusals)                                                                                    \
    X(nested)                                                                                      \
    X(guarded_meanwhile)

USER_TESTS(FOR_EACH)

const struct theme user_theme = THEME("user", tests);
