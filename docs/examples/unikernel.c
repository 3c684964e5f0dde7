/* SPDX-License-Identifier: MIT */
/*
 * A whole kernel without a scheduler: it boots, runs a user program in a space of its own, answers
 * its system calls, gives it pages as it touches them, and does meanwhile what the toolstack asks
 * for. docs/guide.md goes through it.
 */
#include <pvguest/pvguest.h>
#include <xen/sched.h> /* SHUTDOWN_* */

/* The program's address space. */
#define PROGRAM  0x400000ull
#define STACK    0x600000ull
#define HEAP     0x800000ull /* pages come when they are touched */
#define HEAP_END 0x810000ull

#define CODE_FLAGS (PVG_PTE_PRESENT | PVG_PTE_USER)
#define DATA_FLAGS (PVG_PTE_DATA | PVG_PTE_USER)

#define TRAP_PAGE_FAULT 14u
#define TICK            10000000ull /* nanoseconds */
#define TEXT_MAX        128u

enum { SYS_EXIT, SYS_WRITE, SYS_SLEEP };

/* ---- the program, which runs at PROGRAM: RDI is its heap */

extern const uint8_t program[], program_end[];
__asm__(".pushsection .rodata\n"
        "program:\n"
        "    movq %rdi, %rbx\n"
        "    movl $1, %eax\n" /* SYS_WRITE: text, bytes */
        "    leaq 1f(%rip), %rdi\n"
        "    movl $(2f - 1f), %esi\n"
        "    syscall\n"
        "    movl $1, %eax\n" /* and from where nothing is */
        "    movl $16, %edi\n"
        "    syscall\n"
        "    movq %rax, (%rbx)\n" /* a page of the heap: what was answered */
        "    movl $2, %eax\n"     /* SYS_SLEEP: nanoseconds */
        "    movl $30000000, %edi\n"
        "    syscall\n"
        "    movl $50000000, %ecx\n" /* busy: ticks come */
        "3:  decl %ecx\n"
        "    jnz 3b\n"
        "    movq (%rbx), %rdi\n" /* SYS_EXIT: status */
        "    xorl %eax, %eax\n"
        "    syscall\n"
        "1:  .ascii \"a user program says hello\"\n"
        "2:\n"
        "program_end:\n"
        "    .popsection\n");

static struct pvg_space space;
static uint32_t timer; /* its port */
static unsigned ticks;
static bool has_store;

/* ---- its space */

/* Takes a page, zeroed, and maps it. */
static int add_page(struct pvguest *g, uint64_t va, uint64_t flags, pvg_pfn_t *page)
{
    int rc = pvg_pages_take(g, 1, 1, page);
    if (rc)
        return rc;
    volatile uint64_t *word = pvg_page(g, *page);
    for (unsigned i = 0; i < PVG_PAGE_BYTES / sizeof(*word); i++)
        word[i] = 0;
    rc = pvg_space_map(g, &space, va, *page, 1, flags);
    if (rc)
        pvg_pages_give(g, *page, 1);
    return rc;
}

static void make_space(struct pvguest *g)
{
    pvg_pfn_t code, stack;
    if (pvg_space_make(g, &space) || add_page(g, PROGRAM, CODE_FLAGS, &code) ||
        add_page(g, STACK, DATA_FLAGS, &stack) || pvg_space_load(g, &space))
        pvg_fatal(g, "the program's space");
    volatile uint8_t *to = pvg_page(g, code);
    for (const uint8_t *from = program; from < program_end; from++)
        *to++ = *from;
}

/* Pages of the program's are the kernel's to give back; the tables go with the space. */
static void drop_page(struct pvguest *g, uint64_t va)
{
    struct pvg_walk w;
    if (!pvg_space_walk(g, &space, va, &w) || !w.mapped)
        return;
    pvg_pfn_t page = pvg_m2p(g, pvg_mfn((w.at[1].entry & PVG_PTE_FRAME) >> PVG_PAGE_SHIFT));
    if (pvg_space_unmap(g, &space, va, 1) || pvg_pages_give(g, page, 1))
        pvg_fatal(g, "a page of the program's");
}

static void end_space(struct pvguest *g)
{
    for (uint64_t va = PROGRAM; va < HEAP_END; va += PVG_PAGE_BYTES)
        drop_page(g, va);
    if (pvg_space_load(g, NULL) || pvg_space_end(g, &space))
        pvg_fatal(g, "the program's space");
}

/* ---- what the toolstack asks for */

static void set_timer(struct pvguest *g)
{
    uint64_t when = pvg_time(g) + TICK;
    pvg_hypercall(g, __HYPERVISOR_set_timer_op, when, 0, 0, 0, 0);
}

/* Ports of the kernel's own do not survive a resume. */
static void open_timer(struct pvguest *g)
{
    if (pvg_event_bind_virq(g, VIRQ_TIMER, &timer))
        pvg_fatal(g, "timer");
    set_timer(g);
}

static void suspend(struct pvguest *g)
{
    enum pvg_resumed how;
    if (pvg_suspend(g, &how))
        pvg_print(g, "unikernel: no suspend: %s\n", pvg_reason(g));
    else if (how == PVG_RESUMED)
        open_timer(g);
}

static void resize(struct pvguest *g, uint64_t target)
{
    uint64_t now;
    if (pvg_balloon_to(g, target, &now))
        pvg_print(g, "unikernel: %lu pages wanted: %s\n", target, pvg_reason(g));
    else
        pvg_print(g, "unikernel: %lu pages, as the toolstack wants\n", now);
}

static void obey(struct pvguest *g, enum pvg_control what, uint64_t target)
{
    switch (what) {
    case PVG_CONTROL_TARGET:
        resize(g, target);
        break;
    case PVG_CONTROL_SUSPEND:
        suspend(g);
        break;
    case PVG_CONTROL_POWEROFF:
        pvg_shutdown(g, SHUTDOWN_poweroff);
    case PVG_CONTROL_REBOOT:
        pvg_shutdown(g, SHUTDOWN_reboot);
    default:
        break;
    }
}

/* All that came in; never waits. */
static void look_around(struct pvguest *g)
{
    enum pvg_control what;
    uint64_t target;
    if (pvg_event_take(g, timer)) {
        ticks++;
        set_timer(g);
    }
    while (has_store && pvg_control_next(g, &what, &target) == 0 && what != PVG_CONTROL_NONE)
        obey(g, what, target);
}

static void open_control(struct pvguest *g)
{
    has_store = pvg_xs_open(g) == 0 && pvg_control_open(g) == 0;
    if (!has_store)
        pvg_print(g, "unikernel: nobody to ask: %s\n", pvg_reason(g));
}

/* ---- system calls */

struct copy {
    char *to;
    const volatile char *from;
    uint64_t bytes;
};

static void copy_bytes(void *arg)
{
    const struct copy *c = arg;
    for (uint64_t i = 0; i < c->bytes; i++)
        c->to[i] = c->from[i];
}

/* The program's word is not to be trusted: an address of its half, or none, and it may trap. */
static int64_t sys_write(struct pvguest *g, uint64_t from, uint64_t bytes)
{
    char text[TEXT_MAX];
    struct copy c = {text, (const volatile char *)from, bytes};
    struct pvg_trap met;
    if (bytes > TEXT_MAX)
        return -XEN_E2BIG;
    if (from >= PVG_USER_END - TEXT_MAX || !pvg_guarded(g, copy_bytes, &c, &met))
        return -XEN_EFAULT;
    pvg_print(g, "unikernel: ");
    pvg_write(g, text, bytes);
    pvg_write(g, "\n", 1);
    return (int64_t)bytes;
}

/* Until the time has come, or something else has. */
static int64_t sys_sleep(struct pvguest *g, uint64_t nanoseconds)
{
    const uint64_t until = pvg_time(g) + nanoseconds;
    const uint32_t ports[] = {timer, pvg_xs_port(g)};
    while (pvg_event_wait(g, ports, has_store ? 2 : 1, until) == 0)
        look_around(g);
    return 0;
}

/* false: the program has ended. */
static bool system_call(struct pvguest *g, struct pvg_trap *r)
{
    switch (r->rax) {
    case SYS_EXIT:
        return false;
    case SYS_WRITE:
        r->rax = (uint64_t)sys_write(g, r->rdi, r->rsi);
        return true;
    case SYS_SLEEP:
        r->rax = (uint64_t)sys_sleep(g, r->rdi);
        return true;
    default:
        r->rax = (uint64_t)-XEN_ENOSYS;
        return true;
    }
}

/* A page of the heap that is not there yet, or a mistake of the program's. */
static bool page_fault(struct pvguest *g)
{
    uint64_t va = pvg_fault_address(g);
    pvg_pfn_t page;
    return va >= HEAP && va < HEAP_END &&
           add_page(g, va & ~(PVG_PAGE_BYTES - 1ull), DATA_FLAGS, &page) == 0;
}

static bool answer(struct pvguest *g, struct pvg_trap *r)
{
    switch (r->vector) {
    case PVG_TRAP_SYSCALL:
        return system_call(g, r);
    case PVG_TRAP_EVENT:
        look_around(g);
        return true;
    case TRAP_PAGE_FAULT:
        return page_fault(g);
    default:
        return false;
    }
}

static void run(struct pvguest *g)
{
    struct pvg_trap r = {.rip = PROGRAM, .rsp = STACK + PVG_PAGE_BYTES, .rdi = HEAP};
    do {
        if (pvg_user_run(g, &r))
            pvg_fatal(g, "the program");
    } while (answer(g, &r));
    if (r.vector == PVG_TRAP_SYSCALL)
        pvg_print(g, "unikernel: the program ends with %ld\n", (int64_t)r.rdi);
    else
        pvg_print(g, "unikernel: trap %lu at %lx ends the program\n", r.vector, r.rip);
}

void kernel_main(const start_info_t *si)
{
    struct pvg_options options;
    struct pvguest *g = pvg_start(si);
    if (pvg_options_parse(g, &options))
        pvg_fatal(g, "options");
    if (pvg_boot(g, &options))
        pvg_fatal(g, "boot");
    open_control(g);
    open_timer(g);
    uint64_t free_before = pvg_pages_free(g);
    make_space(g);
    run(g);
    end_space(g);
    pvg_print(g, "unikernel: %s, and %s\n", ticks ? "ticks came" : "no tick came",
              pvg_pages_free(g) == free_before ? "every page is back" : "pages are missing");
    pvg_shutdown(g, SHUTDOWN_reboot);
}
