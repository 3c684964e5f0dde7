/* SPDX-License-Identifier: MIT */
/* Descriptor tables, control registers and MSRs of the boot CPU. */
#include "asm.h"
#include "cpu.h"
#include "machine.h"

#define GATE_INTERRUPT     0x8eull /* present, DPL 0, 64-bit interrupt gate */
#define GATE_DPL3          0x60ull
#define TRAP_STUB_BYTES    16u
#define SYSCALL_STUB_BYTES 64u

/* Descriptors: present, accessed. */
#define DESCRIPTOR_HV_CODE   0x00af9b000000ffffull
#define DESCRIPTOR_HV_DATA   0x00cf93000000ffffull
#define DESCRIPTOR_FLAT_CS32 0x00cffb000000ffffull
#define DESCRIPTOR_FLAT_SS   0x00cff3000000ffffull
#define DESCRIPTOR_FLAT_CS64 0x00affb000000ffffull
#define TSS_TYPE             0x89ull

/* STAR[63:48]: SYSRET would take CS from it + 16 and SS from it + 8. */
#define STAR_SYSRET_BASE SELECTOR_FLAT_CS32

#define FPU_CONTROL_INITIAL 0x37f
#define MXCSR_INITIAL       0x1f80u

extern uint8_t trap_stubs[], syscall_stubs[], syscall32_stubs[];

struct gate {
    uint64_t low, high;
};

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

static struct gate idt[256] __attribute__((aligned(PAGE_BYTES)));

static unsigned gate_ist(unsigned vector)
{
    switch (vector) {
    case TRAP_DB:
        return IST_DB;
    case TRAP_NMI:
        return IST_NMI;
    case TRAP_MC:
        return IST_MC;
    case TRAP_DF:
        return IST_DF;
    default:
        return 0;
    }
}

/* INT3, INTO and INT 0x80 may be executed by the guest; any other INT n is a #GP that names n. */
static bool gate_open(unsigned vector)
{
    return vector == TRAP_BP || vector == TRAP_OF || vector == TRAP_INT80;
}

static void make_idt(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t at = (uint64_t)&trap_stubs[i * TRAP_STUB_BYTES];
        uint64_t type = GATE_INTERRUPT | (gate_open(i) ? GATE_DPL3 : 0);

        idt[i].low = (at & 0xffff) | (uint64_t)SELECTOR_HV_CODE << 16 |
                     (uint64_t)gate_ist(i) << 32 | type << 40 | (at >> 16 & 0xffff) << 48;
        idt[i].high = at >> 32;
    }
}

static uint64_t stack_end(struct cpu *c, unsigned page)
{
    return (uint64_t)cpu_blocks[c->id] + (page + 1) * (uint64_t)PAGE_BYTES;
}

static void make_tss(struct cpu *c)
{
    c->tss.rsp[0] = (uint64_t)c;
    c->tss.ist[IST_NMI - 1] = stack_end(c, 0);
    c->tss.ist[IST_MC - 1] = stack_end(c, 1);
    c->tss.ist[IST_DF - 1] = stack_end(c, 2);
    c->tss.ist[IST_DB - 1] = stack_end(c, 3);
    c->tss.io_bitmap = sizeof(c->tss); /* none: every port access of the guest is a #GP */
}

static void set_descriptor(struct cpu *c, unsigned selector, uint64_t value)
{
    c->descriptors[(selector & ~7u) / 8 - DESCRIPTOR_OWN / 8] = value;
}

static void make_descriptors(struct cpu *c)
{
    uint64_t base = (uint64_t)&c->tss, limit = sizeof(c->tss) - 1;
    mfn_t page = hv_frame();

    c->descriptors = direct_frame(page);
    set_descriptor(c, SELECTOR_HV_CODE, DESCRIPTOR_HV_CODE);
    set_descriptor(c, SELECTOR_HV_DATA, DESCRIPTOR_HV_DATA);
    set_descriptor(c, SELECTOR_FLAT_CS32, DESCRIPTOR_FLAT_CS32);
    set_descriptor(c, SELECTOR_FLAT_SS, DESCRIPTOR_FLAT_SS);
    set_descriptor(c, SELECTOR_FLAT_CS64, DESCRIPTOR_FLAT_CS64);
    set_descriptor(c, SELECTOR_TSS,
                   limit | (base & 0xffffff) << 16 | TSS_TYPE << 40 | (base >> 24 & 0xff) << 56);
    set_descriptor(c, SELECTOR_TSS + 8, base >> 32);
    paging_map_descriptor(DESCRIPTOR_OWN / PAGE_BYTES, page,
                          PTE_PRESENT | PTE_RW | PTE_ACCESSED | PTE_DIRTY | PTE_NX);
}

static void load_tables(struct cpu *c)
{
    struct table_pointer gdtr = {DESCRIPTOR_OWN + PAGE_BYTES - 1,
                                 DESCRIPTOR_BASE + c->id * (uint64_t)DESCRIPTOR_STRIDE};
    struct table_pointer idtr = {sizeof(idt) - 1, (uint64_t)idt};

    __asm__ volatile("lgdt %0; lidt %1; ltr %w2"
                     :
                     : "m"(gdtr), "m"(idtr), "r"(SELECTOR_TSS)
                     : "memory");
    __asm__ volatile("pushq %0; leaq 1f(%%rip), %%rax; pushq %%rax; lretq; 1: movl %1, %%ss"
                     :
                     : "i"(SELECTOR_HV_CODE), "r"(SELECTOR_HV_DATA)
                     : "rax", "memory");
}

static void set_syscall(struct cpu *c)
{
    wrmsr(MSR_STAR, (uint64_t)STAR_SYSRET_BASE << 48 | (uint64_t)SELECTOR_HV_CODE << 32);
    wrmsr(MSR_LSTAR, (uint64_t)&syscall_stubs[c->id * SYSCALL_STUB_BYTES]);
    wrmsr(MSR_CSTAR, (uint64_t)&syscall32_stubs[c->id * SYSCALL_STUB_BYTES]);
    wrmsr(MSR_FMASK, RFLAGS_IF | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_AC);
    wrmsr(MSR_SYSENTER_CS, 0); /* SYSENTER: #GP */
}

static void init_fpu(void)
{
    uint16_t control = FPU_CONTROL_INITIAL;
    uint32_t mxcsr = MXCSR_INITIAL;

    __asm__ volatile("fninit; fldcw %0; ldmxcsr %1" : : "m"(control), "m"(mxcsr));
}

void cpu_init(void)
{
    struct cpu *c = this_cpu();

    c->id = 0;
    make_idt();
    make_tss(c);
    make_descriptors(c);
    load_tables(c);
    set_syscall(c);
    wrmsr(MSR_PAT, PAT_XEN);
    init_fpu();
    tlb_flush_local(); /* the PAT took effect; the TLB clock leaves 0 */
}
