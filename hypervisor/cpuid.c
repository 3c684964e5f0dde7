/* SPDX-License-Identifier: MIT */
/*
 * CPUID for the guest kernel: the machine's own, without what a paravirtual kernel must not use.
 * Its programs execute the real instruction, so nothing may be shown to the kernel that the
 * hypervisor does not keep switched on or off alike for both (CR4.OSXSAVE, FSGSBASE: off).
 */
#include "emulate.h"
#include "machine.h"

#define XEN_LEAF_FIRST 0x40000000u
#define XEN_LEAF_COUNT 6u
#define XEN_LEAVES_END 0x40010000u /* other hypervisors' places: answered with zeroes */

#define XEN_VERSION     (4u << 16 | 17u)
#define XEN_SIGNATURE_B 0x566e6558u /* "XenVMMXenVMM" */
#define XEN_SIGNATURE_C 0x65584d4du
#define XEN_SIGNATURE_D 0x4d4d566eu

/* Leaf 1, ECX. */
#define C1_MONITOR      (1u << 3)
#define C1_VMX          (1u << 5)
#define C1_PCID         (1u << 17)
#define C1_X2APIC       (1u << 21)
#define C1_TSC_DEADLINE (1u << 24)
#define C1_XSAVE        (1u << 26)
#define C1_OSXSAVE      (1u << 27)
#define C1_AVX          (1u << 28)
#define C1_F16C         (1u << 29)
#define C1_FMA          (1u << 12)
#define C1_HYPERVISOR   (1u << 31)
#define C1_HIDDEN                                                                                  \
    (C1_MONITOR | C1_VMX | C1_PCID | C1_X2APIC | C1_TSC_DEADLINE | C1_XSAVE | C1_OSXSAVE |         \
     C1_AVX | C1_F16C | C1_FMA)

/* Leaf 1, EDX. */
#define D1_VME    (1u << 1)
#define D1_PSE    (1u << 3)
#define D1_MCE    (1u << 7)
#define D1_APIC   (1u << 9)
#define D1_SEP    (1u << 11)
#define D1_MTRR   (1u << 12)
#define D1_PGE    (1u << 13)
#define D1_MCA    (1u << 14)
#define D1_PSE36  (1u << 17)
#define D1_DS     (1u << 21)
#define D1_HIDDEN (D1_VME | D1_PSE | D1_MCE | D1_SEP | D1_MTRR | D1_PGE | D1_MCA | D1_PSE36 | D1_DS)

/* Leaf 7: only what needs nothing of the hypervisor. */
#define B7_BMI1       (1u << 3)
#define B7_BMI2       (1u << 8)
#define B7_ERMS       (1u << 9)
#define B7_RDSEED     (1u << 18)
#define B7_ADX        (1u << 19)
#define B7_CLFLUSHOPT (1u << 23)
#define B7_CLWB       (1u << 24)
#define B7_SHA        (1u << 29)
#define B7_SHOWN                                                                                   \
    (B7_BMI1 | B7_BMI2 | B7_ERMS | B7_RDSEED | B7_ADX | B7_CLFLUSHOPT | B7_CLWB | B7_SHA)

/* Leaf 0x80000001. */
#define CX_SVM     (1u << 2)
#define CX_EXTAPIC (1u << 3)
#define CX_IBS     (1u << 10)
#define CX_XOP     (1u << 11)
#define CX_SKINIT  (1u << 12)
#define CX_WDT     (1u << 13)
#define CX_LWP     (1u << 15)
#define CX_FMA4    (1u << 16)
#define CX_NODEID  (1u << 19)
#define CX_TOPOEXT (1u << 22)
#define CX_PERFCTR (3u << 23)
#define CX_MWAITX  (1u << 29)
#define CX_HIDDEN                                                                                  \
    (CX_SVM | CX_EXTAPIC | CX_IBS | CX_XOP | CX_SKINIT | CX_WDT | CX_LWP | CX_FMA4 | CX_NODEID |   \
     CX_TOPOEXT | CX_PERFCTR | CX_MWAITX)
#define DX_PAGE1GB (1u << 26)
#define DX_RDTSCP  (1u << 27)
#define DX_HIDDEN                                                                                  \
    (D1_VME | D1_PSE | D1_MCE | D1_MTRR | D1_PGE | D1_MCA | D1_PSE36 | DX_PAGE1GB | DX_RDTSCP)

#define D_INVARIANT_TSC (1u << 8) /* leaf 0x80000007 */
#define B_CLZERO        (1u << 0) /* leaf 0x80000008 */

static struct cpuid xen_leaf(uint32_t index)
{
    vcpu_time_info_t time;

    switch (index) {
    case 0:
        return (struct cpuid){XEN_LEAF_FIRST + XEN_LEAF_COUNT - 1, XEN_SIGNATURE_B, XEN_SIGNATURE_C,
                              XEN_SIGNATURE_D};
    case 1:
        return (struct cpuid){.a = XEN_VERSION};
    case 2:
        /* one hypercall page; its MSR; MMU_PT_UPDATE_PRESERVE_AD is there */
        return (struct cpuid){1, XEN_LEAF_FIRST, 1, 0};
    case 3:
        clock_vcpu_time(&time);
        return (struct cpuid){.b = time.tsc_to_system_mul, .c = (uint32_t)tsc_khz()};
    case 5:
        return (struct cpuid){.b = cpuid(0x80000008, 0).a & 0xff}; /* machine address width */
    default:
        return (struct cpuid){0};
    }
}

static struct cpuid features(struct cpuid c)
{
    c.c = (c.c & ~C1_HIDDEN) | C1_HYPERVISOR;
    c.d = (c.d & ~D1_HIDDEN) | D1_APIC;
    return c;
}

static struct cpuid extended_features(struct cpuid c)
{
    c.c &= ~CX_HIDDEN;
    c.d &= ~DX_HIDDEN;
    return c;
}

static struct cpuid structured_features(struct cpuid c, uint32_t subleaf)
{
    if (subleaf)
        return (struct cpuid){0};
    return (struct cpuid){.b = c.b & B7_SHOWN};
}

struct cpuid guest_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid c;

    if (leaf >= XEN_LEAF_FIRST && leaf < XEN_LEAVES_END)
        return xen_leaf(leaf - XEN_LEAF_FIRST);
    c = cpuid(leaf, subleaf);
    switch (leaf) {
    case 0x1:
        return features(c);
    case 0x7:
        return structured_features(c, subleaf);
    case 0x80000001:
        return extended_features(c);
    case 0x80000007:
        return (struct cpuid){.d = c.d & D_INVARIANT_TSC};
    case 0x80000008:
        c.b &= B_CLZERO;
        return c;
    case 0x5:        /* MONITOR */
    case 0x6:        /* power */
    case 0xa:        /* performance counters */
    case 0xd:        /* XSAVE */
    case 0x8000000a: /* SVM */
    case 0x8000001f: /* memory encryption */
    case 0x80000021:
        return (struct cpuid){0};
    default:
        return c;
    }
}
