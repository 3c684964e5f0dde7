/* SPDX-License-Identifier: MIT */
/*
 * Privileged instructions of a guest kernel: what is done, how many bytes are taken, and what is
 * left to the guest's own #GP.
 */
#include <string.h>

#include "hosted.h"

#include "asm.h"
#include "debugreg.h"
#include "emulate.h"
#include "request.h"
#include "traps.h"

#define CODE      0xffffffff81000800ull
#define CR0_VALUE 0x80050033ull
#define CR4_VALUE 0x620ull
#define KNOWN_MSR 0xc0000100u
#define MSR_VALUE 0x1122334455667788ull
#define ROOT_MFN  0x1234ull

static struct vcpu vcpu;
static vcpu_info_t info;

/* ---- what the emulator asks of the others, and what it asked for */

static struct {
    bool ts_changed, ts;
    uint64_t msr_written;
    bool busy;       /* nothing may be asked now */
    int open;        /* requests opened and not closed */
    int root_result; /* of load_kernel_root() */
    mfn_t root;
    uint64_t refused_root; /* 0: none was */
} asked;

bool msr_read(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    (void)v;
    *value = MSR_VALUE;
    return msr == KNOWN_MSR;
}

bool msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
    (void)v;
    asked.msr_written = value;
    return msr == KNOWN_MSR;
}

struct cpuid guest_cpuid(uint32_t leaf, uint32_t subleaf)
{
    return (struct cpuid){leaf, subleaf, 3, 4};
}

void cpu_set_task_switched(struct vcpu *v, bool set)
{
    (void)v;
    asked.ts_changed = true;
    asked.ts = set;
}

bool request_open(struct vcpu *v)
{
    (void)v;
    if (asked.busy)
        return false;
    asked.open++;
    return true;
}

void request_close(struct vcpu *v)
{
    (void)v;
    asked.open--;
}

void request_refused(struct vcpu *v, const struct request *q, bool log)
{
    (void)v;
    (void)log;
    assert_int_equal(q->kind, PVMM_REQUEST_CR3);
    assert_int_equal(q->hypercall, NO_INDEX);
    asked.refused_root = q->args[0];
}

int load_kernel_root(struct vcpu *v, mfn_t m)
{
    (void)v;
    assert_int_equal(asked.open, 1);
    asked.root = m;
    return asked.root_result;
}

int debugreg_set(struct vcpu *v, uint32_t n, uint64_t value)
{
    if (n >= 8)
        return -1;
    v->debugreg[n] = value;
    return 0;
}

int debugreg_get(const struct vcpu *v, uint32_t n, uint64_t *value)
{
    if (n >= 8)
        return -1;
    *value = v->debugreg[n];
    return 0;
}

/* ---- one instruction */

static struct regs regs;

static bool run(const char *bytes, unsigned n, unsigned vector)
{
    memset(hosted_memory.byte, 0xcc, sizeof(hosted_memory.byte));
    memcpy(hosted_memory.byte + (CODE - hosted_memory.base), bytes, n);
    regs.rip = CODE;
    regs.vector = vector;
    return emulate_privileged(&vcpu, &regs);
}

#define RUN(text) run(text, sizeof(text) - 1, TRAP_GP)

/* It is done, and all of its bytes are taken. */
#define DONE(text)                                                                                 \
    do {                                                                                           \
        assert_true(RUN(text));                                                                    \
        assert_int_equal(regs.rip, CODE + sizeof(text) - 1);                                       \
    } while (0)

/* It is not, and nothing has changed. */
#define LEFT(text)                                                                                 \
    do {                                                                                           \
        struct regs before_;                                                                       \
        regs.rip = CODE;                                                                           \
        regs.vector = TRAP_GP;                                                                     \
        before_ = regs;                                                                            \
        assert_false(RUN(text));                                                                   \
        assert_memory_equal(&regs, &before_, sizeof(regs));                                        \
    } while (0)

static int fresh(void **state)
{
    (void)state;
    memset(&vcpu, 0, sizeof(vcpu));
    memset(&info, 0, sizeof(info));
    memset(&asked, 0, sizeof(asked));
    memset(&mailbox.verdict, 0, sizeof(mailbox.verdict));
    regs = (struct regs){.rax = 0x1111111122222222, .rdx = 0x3333333344444444, .rcx = KNOWN_MSR};
    vcpu.info = &info;
    vcpu.guest_cr0 = CR0_VALUE;
    vcpu.guest_cr4 = CR4_VALUE;
    vcpu.mem.kernel_root = mfn(ROOT_MFN);
    hosted_memory.base = CODE & ~0xfffull;
    hosted_memory.bytes = 8192;
    return 0;
}

/* ---- ports and flags */

static void test_ports_read_as_ones(void **state)
{
    (void)state;
    DONE("\xe4\x60");
    assert_int_equal(regs.rax, 0x11111111222222ff);
    regs.rax = 0;
    DONE("\xec");
    assert_int_equal(regs.rax, 0xff);
    regs.rax = 0x1111111122220000;
    DONE("\x66\xed");
    assert_int_equal(regs.rax, 0x111111112222ffff);
    DONE("\xed");
    assert_int_equal(regs.rax, 0xffffffff); /* the upper half is cleared */
    regs.rax = 0;
    DONE("\xe5\x70");
    assert_int_equal(regs.rax, 0xffffffff);
    regs.rax = 0;
    DONE("\x48\xed"); /* there are no 8-byte ports */
    assert_int_equal(regs.rax, 0xffffffff);
}

static void test_ports_take_anything(void **state)
{
    struct regs before = regs;

    (void)state;
    DONE("\xe6\x80");
    DONE("\xe7\x80");
    DONE("\xee");
    DONE("\xef");
    DONE("\x66\xef");
    DONE("\xfa");
    DONE("\xfb");
    before.rip = regs.rip;
    before.vector = regs.vector;
    assert_memory_equal(&regs, &before, sizeof(regs));
    assert_int_equal(mailbox.verdict.emulated_instructions, 7);
}

/* ---- control and debug registers */

static void test_reads_of_control_registers(void **state)
{
    (void)state;
    info.arch.cr2 = 0xabc;
    DONE("\x0f\x20\xc0"); /* mov %cr0, %rax */
    assert_int_equal(regs.rax, CR0_VALUE);
    DONE("\x0f\x20\xd3"); /* %cr2, %rbx */
    assert_int_equal(regs.rbx, 0xabc);
    DONE("\x41\x0f\x20\xdf"); /* %cr3, %r15 */
    assert_int_equal(regs.r15, ROOT_MFN << 12);
    DONE("\x0f\x20\xe7"); /* %cr4, %rdi */
    assert_int_equal(regs.rdi, CR4_VALUE);
    LEFT("\x0f\x20\xc8");     /* %cr1 */
    LEFT("\x44\x0f\x20\xc0"); /* %cr8 */
}

/* The processor takes the operand of a MOV from or to such a register as a register, whatever the
 * mod bits say: there is no displacement to skip. */
static void test_mod_bits_do_not_count(void **state)
{
    (void)state;
    DONE("\x0f\x20\x00");
    assert_int_equal(regs.rax, CR0_VALUE);
    DONE("\x0f\x20\x45");
    assert_int_equal(regs.rbp, CR0_VALUE);
    DONE("\x0f\x20\x84");
    assert_int_equal(regs.rsp, CR0_VALUE);
}

static void test_writes_of_cr0(void **state)
{
    (void)state;
    regs.rax = CR0_VALUE | CR0_TS;
    DONE("\x0f\x22\xc0");
    assert_true(asked.ts_changed && asked.ts);
    regs.rax = CR0_VALUE;
    DONE("\x0f\x22\xc0");
    assert_false(asked.ts);
    regs.rax = 0;
    LEFT("\x0f\x22\xc0");
    assert_int_equal(vcpu.guest_cr0, CR0_VALUE);
    asked.ts = true;
    DONE("\x0f\x06"); /* clts */
    assert_false(asked.ts);
}

static void test_writes_of_other_control_registers(void **state)
{
    (void)state;
    regs.rax = 0xdef;
    DONE("\x0f\x22\xd0");
    assert_int_equal(info.arch.cr2, 0xdef);
    DONE("\x0f\x22\xe0"); /* CR4: logged and dropped */
    assert_contains(hosted_log, "write of def to CR4 ignored");
    assert_int_equal(vcpu.guest_cr4, CR4_VALUE);
    LEFT("\x0f\x22\xc8");
    LEFT("\x44\x0f\x22\xc0");
}

static void test_writes_of_cr3(void **state)
{
    (void)state;
    regs.rax = 0x5678ull << 12 | 0x18;
    DONE("\x0f\x22\xd8");
    assert_int_equal(asked.root.n, 0x5678);
    assert_int_equal(asked.open, 0);
    asked.root_result = CORE_EINVAL;
    LEFT("\x0f\x22\xd8");
    assert_int_equal(asked.refused_root, 0x5678ull << 12);
    assert_int_equal(asked.open, 0);
}

/* What pauses, or cannot begin yet, is executed again. */
static void test_writes_of_cr3_that_pause(void **state)
{
    (void)state;
    asked.root_result = CORE_RESTART;
    assert_true(RUN("\x0f\x22\xd8"));
    assert_int_equal(regs.rip, CODE);
    assert_int_equal(asked.refused_root, 0);
    asked.root_result = 0;
    asked.root = mfn(1);
    asked.busy = true;
    assert_true(RUN("\x0f\x22\xd8"));
    assert_int_equal(regs.rip, CODE);
    assert_int_equal(asked.root.n, 1);
    assert_int_equal(asked.open, 0);
}

/* debugreg.c says what they may hold. */
static void test_debug_registers(void **state)
{
    (void)state;
    vcpu.debugreg[6] = 0xffff0ff0;
    DONE("\x0f\x21\xf0"); /* mov %dr6, %rax */
    assert_int_equal(regs.rax, 0xffff0ff0);
    regs.r9 = 0x400;
    DONE("\x41\x0f\x23\xd1"); /* %r9, %dr2 */
    assert_int_equal(vcpu.debugreg[2], 0x400);
    LEFT("\x44\x0f\x21\xc0");
    LEFT("\x44\x0f\x23\xc0");
}

/* ---- MSRs, the rest */

static void test_msrs(void **state)
{
    (void)state;
    DONE("\x0f\x32");
    assert_int_equal(regs.rax, 0x55667788);
    assert_int_equal(regs.rdx, 0x11223344);
    regs.rax = ~0xfull;
    regs.rdx = ~0xffull;
    DONE("\x0f\x30");
    assert_int_equal(asked.msr_written, 0xffffff00fffffff0);
    regs.rcx = 0x10;
    LEFT("\x0f\x32");
    LEFT("\x0f\x30");
    regs.rcx = 0xffffffff00000000 | KNOWN_MSR; /* ECX counts */
    DONE("\x0f\x32");
}

static void test_not_for_guests(void **state)
{
    (void)state;
    DONE("\x0f\x09");     /* wbinvd */
    LEFT("\xf4");         /* hlt */
    LEFT("\x0f\x08");     /* invd */
    LEFT("\x0f\x01\xf8"); /* swapgs */
    LEFT("\x0f\x01\x18"); /* lidt */
    LEFT("\x0f\x00\xd8"); /* ltr */
    LEFT("\x0f\x07");     /* sysret */
    LEFT("\x0f\xa2");     /* cpuid */
    LEFT("\x0f\x33");     /* rdpmc */
    LEFT("\xcf");         /* iret */
    LEFT("\x6c");         /* ins */
    LEFT("\xf0\x0f\x20\xc0");
    LEFT("\xf0\xfa");
    LEFT("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\xfa");
}

static void test_forced_cpuid(void **state)
{
    static const char forced[] = "\x0f\x0bxen\x0f\xa2";

    (void)state;
    regs.rax = 0xffffffff00000007;
    regs.rcx = 0xffffffff00000002;
    assert_true(run(forced, 7, TRAP_UD));
    assert_int_equal(regs.rip, CODE + 7);
    assert_int_equal(regs.rax, 7);
    assert_int_equal(regs.rbx, 2);
    assert_int_equal(regs.rcx, 3);
    assert_int_equal(regs.rdx, 4);
    assert_false(run(forced, 6, TRAP_UD));
    assert_false(run("\x0f\x0bxem\x0f\xa2", 7, TRAP_UD));
    assert_false(run("\x0f\x0b", 2, TRAP_UD));
    assert_false(run("\x0f\x20\xc0", 3, TRAP_UD)); /* what #GP is for */
}

/* Code that ends with the last readable byte. */
static void test_end_of_the_page(void **state)
{
    struct insn_text t;

    (void)state;
    regs.rip = hosted_memory.base + 4096 - 2;
    fetch_instruction(&regs, &t);
    assert_int_equal(t.n, INSN_BYTES_MAX);
    hosted_memory.bytes = 4096;
    fetch_instruction(&regs, &t);
    assert_int_equal(t.n, 2);
    memcpy(hosted_memory.byte + 4094, "\x0f\x20", 2);
    regs.vector = TRAP_GP;
    assert_false(emulate_privileged(&vcpu, &regs));
    memcpy(hosted_memory.byte + 4094, "\x0f\x06", 2);
    assert_true(emulate_privileged(&vcpu, &regs));
    regs.rip = hosted_memory.base - 5;
    fetch_instruction(&regs, &t);
    assert_int_equal(t.n, 0);
    assert_false(emulate_privileged(&vcpu, &regs));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_ports_read_as_ones, fresh),
        cmocka_unit_test_setup(test_ports_take_anything, fresh),
        cmocka_unit_test_setup(test_reads_of_control_registers, fresh),
        cmocka_unit_test_setup(test_mod_bits_do_not_count, fresh),
        cmocka_unit_test_setup(test_writes_of_cr0, fresh),
        cmocka_unit_test_setup(test_writes_of_other_control_registers, fresh),
        cmocka_unit_test_setup(test_writes_of_cr3, fresh),
        cmocka_unit_test_setup(test_writes_of_cr3_that_pause, fresh),
        cmocka_unit_test_setup(test_debug_registers, fresh),
        cmocka_unit_test_setup(test_msrs, fresh),
        cmocka_unit_test_setup(test_not_for_guests, fresh),
        cmocka_unit_test_setup(test_forced_cpuid, fresh),
        cmocka_unit_test_setup(test_end_of_the_page, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
