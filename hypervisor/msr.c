/* SPDX-License-Identifier: MIT */
/* Model-specific registers as the guest kernel sees them. */
#include "cpu.h"
#include "emulate.h"
#include "log.h"
#include "machine.h"

#define APIC_BASE_VALUE 0xfee00900ull /* enabled, boot CPU */

/* Registers with a fixed value; writes are accepted and dropped. */
struct fixed_msr {
    uint32_t first, last;
    uint64_t value;
};

static const struct fixed_msr fixed_msrs[] = {
    {MSR_APIC_BASE, MSR_APIC_BASE, APIC_BASE_VALUE},
    {0x8b, 0x8b, 0},   /* microcode level */
    {0x179, 0x17a, 0}, /* machine check: no banks; read natively by Linux, must not fault */
    {MSR_PAT, MSR_PAT, PAT_XEN},
    {0x400, 0x407, 0},           /* machine check banks 0 and 1 */
    {0xc0000103, 0xc0000103, 0}, /* TSC_AUX */
    {0xc0010015, 0xc0010015, 0}, /* AMD hardware configuration */
    {0xc0011029, 0xc0011029, 0}, /* AMD decode configuration */
};

static const struct fixed_msr *find_fixed(uint32_t msr)
{
    for (unsigned k = 0; k < sizeof(fixed_msrs) / sizeof(fixed_msrs[0]); k++) {
        if (msr >= fixed_msrs[k].first && msr <= fixed_msrs[k].last)
            return &fixed_msrs[k];
    }
    return NULL;
}

static bool unknown(const char *what, uint32_t msr, uint64_t value)
{
    static unsigned seen;

    if (log_worthwhile(&seen))
        log_line("%s of unknown MSR %x (%lx): #GP", what, msr, value);
    return false;
}

bool msr_read(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    const struct fixed_msr *f = find_fixed(msr);

    (void)v;
    if (f) {
        *value = f->value;
        return true;
    }
    switch (msr) {
    case MSR_FS_BASE:
        *value = cpu_fs_base();
        return true;
    case MSR_GS_BASE:
        *value = cpu_gs_base_active();
        return true;
    case MSR_KERNEL_GS_BASE:
        *value = cpu_gs_base_inactive();
        return true;
    case MSR_EFER:
        *value = rdmsr(MSR_EFER);
        return true;
    default:
        return unknown("read", msr, 0);
    }
}

bool msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
    (void)v;
    if (find_fixed(msr))
        return true;
    switch (msr) {
    case MSR_FS_BASE:
    case MSR_GS_BASE:
    case MSR_KERNEL_GS_BASE:
        if (!canonical(value))
            return false;
        wrmsr(msr, value);
        return true;
    case MSR_EFER:
        return value == rdmsr(MSR_EFER);
    default:
        return unknown("write", msr, value);
    }
}
