/* SPDX-License-Identifier: MIT */
/*
 * Privileged instructions: what the guest kernel executes although it runs at CPL 3. Those that a
 * paravirtual kernel has no business with give it the #GP that the CPU raised.
 */
#include "emulate.h"

#include "debugreg.h"
#include "guestword.h"
#include "log.h"
#include "machine.h"
#include "request.h"
#include "string.h"
#include "traps.h"

#define FORCED_CPUID_BYTES 7u /* ud2, "xen", cpuid */

/* One-byte opcodes. */
#define OP_IN_IMM8_BYTE  0xe4
#define OP_IN_IMM8       0xe5
#define OP_OUT_IMM8_BYTE 0xe6
#define OP_OUT_IMM8      0xe7
#define OP_IN_DX_BYTE    0xec
#define OP_IN_DX         0xed
#define OP_OUT_DX_BYTE   0xee
#define OP_OUT_DX        0xef
#define OP_CLI           0xfa
#define OP_STI           0xfb

/* Opcodes after 0f. */
#define OP2_CLTS     0x06
#define OP2_WBINVD   0x09
#define OP2_READ_CR  0x20
#define OP2_READ_DR  0x21
#define OP2_WRITE_CR 0x22
#define OP2_WRITE_DR 0x23
#define OP2_WRMSR    0x30
#define OP2_RDMSR    0x32

#define REGISTER_A 0u

void fetch_instruction(const struct regs *r, struct insn_text *t)
{
    unsigned in_page = PAGE_BYTES - (unsigned)(r->rip % PAGE_BYTES);

    t->n = INSN_BYTES_MAX;
    if (in_page >= INSN_TEXT_BYTES && guest_range_ok(gva(r->rip), INSN_TEXT_BYTES) &&
        guest_word_get(&t->word[0], r->rip) && guest_word_get(&t->word[1], r->rip + 8))
        return;
    memset(t->byte, 0, sizeof(t->byte));
    t->n = in_page < INSN_BYTES_MAX ? in_page : INSN_BYTES_MAX;
    if (!copy_from_guest(t->byte, gva(r->rip), t->n))
        t->n = 0;
    else if (t->n < INSN_BYTES_MAX &&
             copy_from_guest(t->byte + t->n, gva(r->rip + t->n), INSN_BYTES_MAX - t->n))
        t->n = INSN_BYTES_MAX;
}

/* ---- ports: there is no device behind any. Reads give ones, writes go nowhere. */

static void port_read(const struct insn *i, struct regs *r, unsigned size)
{
    insn_set(i, r, REGISTER_A, size, ~0ull);
}

static unsigned port_size(const struct insn *i)
{
    return i->operand16 ? 2 : 4;
}

static bool emulate_one_byte(struct vcpu *v, struct regs *r, struct insn *i)
{
    (void)v;
    switch (i->opcode) {
    case OP_IN_IMM8_BYTE:
        i->at++;
        port_read(i, r, 1);
        return true;
    case OP_IN_IMM8:
        i->at++;
        port_read(i, r, port_size(i));
        return true;
    case OP_IN_DX_BYTE:
        port_read(i, r, 1);
        return true;
    case OP_IN_DX:
        port_read(i, r, port_size(i));
        return true;
    case OP_OUT_IMM8_BYTE:
    case OP_OUT_IMM8:
        i->at++;
        return true;
    case OP_OUT_DX_BYTE:
    case OP_OUT_DX:
        return true;
    case OP_CLI:
    case OP_STI:
        return true; /* events are masked in vcpu_info; the real flag stays on */
    default:
        return false;
    }
}

/* ---- control and debug registers */

static bool read_control(struct vcpu *v, unsigned n, uint64_t *out)
{
    switch (n) {
    case 0:
        *out = v->guest_cr0;
        return true;
    case 2:
        *out = v->info->arch.cr2;
        return true;
    case 3:
        *out = mfn_address(v->mem.kernel_root, 0).a;
        return true;
    case 4:
        *out = v->guest_cr4;
        return true;
    default:
        return false;
    }
}

/* MOV to CR3. One that pauses is executed again, after the guest's interrupts. */
static bool load_root(struct vcpu *v, struct insn *i, mfn_t root)
{
    static unsigned seen;
    int rc;

    if (!request_open(v)) {
        i->at = 0;
        return true;
    }
    rc = load_kernel_root(v, root);
    if (rc == CORE_RESTART)
        i->at = 0;
    else if (rc)
        request_refused(v,
                        REQUEST(.kind = PVMM_REQUEST_CR3, .name = "MOV to CR3",
                                .args = {root.n << PAGE_SHIFT_4K}, .address = NO_INDEX),
                        log_worthwhile(&seen));
    request_close(v);
    return rc == 0 || rc == CORE_RESTART;
}

/* Of CR0 the guest has TS alone; of CR4 nothing: what it sees is what there is. */
static bool write_control(struct vcpu *v, struct insn *i, uint64_t value)
{
    static unsigned seen;

    switch (i->reg) {
    case 0:
        if ((value ^ v->guest_cr0) & ~CR0_TS)
            return false;
        cpu_set_task_switched(v, value & CR0_TS);
        return true;
    case 2:
        v->info->arch.cr2 = value;
        return true;
    case 3:
        return load_root(v, i, maddr_frame((maddr_t){value}));
    case 4:
        if (value != v->guest_cr4 && log_worthwhile(&seen))
            log_line("write of %lx to CR4 ignored (it has %lx)", value, v->guest_cr4);
        return true;
    default:
        return false;
    }
}

static bool move_register(struct vcpu *v, struct regs *r, struct insn *i, const struct insn_text *t)
{
    uint64_t *general, modrm;

    if (!insn_next(i, t, 1, &modrm))
        return false;
    insn_modrm_registers(i, modrm); /* always registers, whatever the mod bits say */
    general = insn_register(r, i->rm);
    switch (i->opcode) {
    case OP2_READ_CR:
        return read_control(v, i->reg, general);
    case OP2_WRITE_CR:
        return write_control(v, i, *general);
    case OP2_READ_DR:
        return debugreg_get(v, i->reg, general) == 0;
    default:
        return debugreg_set(v, i->reg, *general) == 0;
    }
}

/* ---- model-specific registers */

static bool read_msr_to_registers(struct vcpu *v, struct regs *r)
{
    uint64_t value;

    if (!msr_read(v, (uint32_t)r->rcx, &value))
        return false;
    r->rax = (uint32_t)value;
    r->rdx = value >> 32;
    return true;
}

static bool emulate_two_byte(struct vcpu *v, struct regs *r, struct insn *i,
                             const struct insn_text *t)
{
    switch (i->opcode) {
    case OP2_RDMSR:
        return read_msr_to_registers(v, r);
    case OP2_WRMSR:
        return msr_write(v, (uint32_t)r->rcx, r->rdx << 32 | (uint32_t)r->rax);
    case OP2_READ_CR:
    case OP2_WRITE_CR:
    case OP2_READ_DR:
    case OP2_WRITE_DR:
        return move_register(v, r, i, t);
    case OP2_CLTS:
        cpu_set_task_switched(v, false);
        return true;
    case OP2_WBINVD:
        return true;
    default:
        return false;
    }
}

/* ---- the forced CPUID: the one way a guest kernel can have CPUID filtered */

static bool is_forced_cpuid(const struct insn_text *t)
{
    static const uint8_t mark[FORCED_CPUID_BYTES] = {0x0f, 0x0b, 'x', 'e', 'n', 0x0f, 0xa2};

    for (unsigned k = 0; k < FORCED_CPUID_BYTES; k++) {
        if (t->n < FORCED_CPUID_BYTES || t->byte[k] != mark[k])
            return false;
    }
    return true;
}

static bool emulate_forced_cpuid(struct regs *r, const struct insn_text *t)
{
    struct cpuid c;

    if (!is_forced_cpuid(t))
        return false;
    c = guest_cpuid((uint32_t)r->rax, (uint32_t)r->rcx);
    r->rax = c.a;
    r->rbx = c.b;
    r->rcx = c.c;
    r->rdx = c.d;
    r->rip += FORCED_CPUID_BYTES;
    return true;
}

static bool emulate_general_protection(struct vcpu *v, struct regs *r, const struct insn_text *t)
{
    struct insn i;

    if (!insn_start(&i, t) || i.lock)
        return false;
    if (!(i.map ? emulate_two_byte(v, r, &i, t) : emulate_one_byte(v, r, &i)))
        return false;
    r->rip += i.at;
    return true;
}

bool emulate_privileged(struct vcpu *v, struct regs *r)
{
    struct insn_text t;
    bool done;

    fetch_instruction(r, &t);
    done =
        r->vector == TRAP_UD ? emulate_forced_cpuid(r, &t) : emulate_general_protection(v, r, &t);
    if (done)
        mailbox.verdict.emulated_instructions++;
    return done;
}
