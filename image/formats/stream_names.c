/* SPDX-License-Identifier: MIT */
/* What docs/specs/libxc-migration-stream and libxl-migration-stream call their records, and what
 * one of them says. */
#include "stream_parts.h"

static const char *const libxl_names[LIBXL_RECORDS] = {
    [LIBXL_END] = "END",
    [LIBXL_CONTEXT] = "LIBXC_CONTEXT",
    [LIBXL_EMULATOR_XENSTORE] = "EMULATOR_XENSTORE_DATA",
    [LIBXL_EMULATOR_CONTEXT] = "EMULATOR_CONTEXT",
    [LIBXL_CHECKPOINT_END] = "CHECKPOINT_END",
    [LIBXL_CHECKPOINT_STATE] = "CHECKPOINT_STATE",
};

static const char *const libxc_names[LIBXC_RECORDS] = {
    [LIBXC_END] = "END",
    [LIBXC_PAGE_DATA] = "PAGE_DATA",
    [LIBXC_PV_INFO] = "X86_PV_INFO",
    [LIBXC_P2M_FRAMES] = "X86_PV_P2M_FRAMES",
    [LIBXC_VCPU_BASIC] = "X86_PV_VCPU_BASIC",
    [LIBXC_VCPU_EXTENDED] = "X86_PV_VCPU_EXTENDED",
    [LIBXC_VCPU_XSAVE] = "X86_PV_VCPU_XSAVE",
    [LIBXC_SHARED_INFO] = "SHARED_INFO",
    [LIBXC_TSC_INFO] = "X86_TSC_INFO",
    [LIBXC_HVM_CONTEXT] = "HVM_CONTEXT",
    [LIBXC_HVM_PARAMS] = "HVM_PARAMS",
    [LIBXC_TOOLSTACK] = "TOOLSTACK",
    [LIBXC_VCPU_MSRS] = "X86_PV_VCPU_MSRS",
    [LIBXC_VERIFY] = "VERIFY",
    [LIBXC_CHECKPOINT] = "CHECKPOINT",
    [LIBXC_DIRTY_PFNS] = "CHECKPOINT_DIRTY_PFN_LIST",
    [LIBXC_STATIC_DATA_END] = "STATIC_DATA_END",
    [LIBXC_CPUID_POLICY] = "X86_CPUID_POLICY",
    [LIBXC_MSR_POLICY] = "X86_MSR_POLICY",
};

const char *stream_record_name(uint32_t type, bool of_libxc)
{
    if (of_libxc && type == RECORD_PVMM_LIVE)
        return "PVMM_LIVE";
    if (type & RECORD_OPTIONAL)
        return "an optional one";
    if (of_libxc)
        return type < LIBXC_RECORDS ? libxc_names[type] : "unknown";
    return type < LIBXL_RECORDS ? libxl_names[type] : "unknown";
}

struct pv_extended stream_extended(const struct extended_context *c)
{
    return (struct pv_extended){
        .there = true,
        .syscall32_eip = c->syscall32_eip,
        .sysenter_eip = c->sysenter_eip,
        .syscall32_cs = c->syscall32_cs,
        .sysenter_cs = c->sysenter_cs,
        .syscall32_disables_events = c->syscall32_disables_events != 0,
        .sysenter_disables_events = c->sysenter_disables_events != 0,
    };
}
