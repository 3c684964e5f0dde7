/* SPDX-License-Identifier: MIT */
/* Questions about the hypervisor, and calls of which a domain without devices uses little. */
#include "hypercall.h"

#include <xen/physdev.h>
#include <xen/version.h>

#include "string.h"

#define VERSION_MAJOR 4u
#define VERSION_MINOR 17u

/* ---- xen_version */

/* What pvmm stands for, of the features that <xen/features.h> lists. */
static uint32_t features(const struct domain *d)
{
    uint32_t f = 1u << XENFEAT_mmu_pt_update_preserve_ad | 1u << XENFEAT_gnttab_map_avail_bits;
    if (d->vm_assist >> VMASST_TYPE_pae_extended_cr3 & 1)
        f |= 1u << XENFEAT_pae_pgdir_above_4gb;
    return f;
}

static int64_t get_features(struct call *c, gva_t at)
{
    xen_feature_info_t info;
    if (!copy_from_guest(&info, at, sizeof(info)))
        return -XEN_EFAULT;
    if (info.submap_idx != 0)
        return -XEN_EINVAL;
    info.submap = features(c->v->domain);
    return copy_to_guest(at, &info, sizeof(info)) ? 0 : -XEN_EFAULT;
}

static int64_t give_text(gva_t to, const char *text, uint64_t bytes)
{
    static char buffer[sizeof(xen_capabilities_info_t)]; /* the largest of them */
    memset(buffer, 0, bytes);
    copy_string(buffer, text, bytes);
    return copy_to_guest(to, buffer, bytes) ? 0 : -XEN_EFAULT;
}

static int64_t compile_info(gva_t to)
{
    xen_compile_info_t info = {.compile_by = "pvmm"};
    copy_string(info.compiler, __VERSION__, sizeof(info.compiler));
    return copy_to_guest(to, &info, sizeof(info)) ? 0 : -XEN_EFAULT;
}

static int64_t platform_parameters(gva_t to)
{
    xen_platform_parameters_t p = {.virt_start = HV_SLOTS_START};
    return copy_to_guest(to, &p, sizeof(p)) ? 0 : -XEN_EFAULT;
}

static int64_t guest_handle(gva_t to)
{
    static const xen_domain_handle_t none;
    return copy_to_guest(to, none, sizeof(none)) ? 0 : -XEN_EFAULT;
}

int64_t hc_xen_version(struct call *c)
{
    gva_t at = gva(c->arg[1]);
    switch ((uint32_t)c->arg[0]) {
    case XENVER_version:
        return VERSION_MAJOR << 16 | VERSION_MINOR;
    case XENVER_extraversion:
        return give_text(at, "-pvmm", sizeof(xen_extraversion_t));
    case XENVER_compile_info:
        return compile_info(at);
    case XENVER_capabilities:
        return give_text(at, "xen-3.0-x86_64 ", sizeof(xen_capabilities_info_t));
    case XENVER_changeset:
        return give_text(at, "unavailable", sizeof(xen_changeset_info_t));
    case XENVER_platform_parameters:
        return platform_parameters(at);
    case XENVER_get_features:
        return get_features(c, at);
    case XENVER_pagesize:
        return at.a ? -XEN_EINVAL : (int64_t)PAGE_BYTES;
    case XENVER_guest_handle:
        return guest_handle(at);
    case XENVER_commandline: /* these two are not for an unprivileged domain's eyes */
        return give_text(at, "<denied>", sizeof("<denied>"));
    case XENVER_build_id:
        return -XEN_EPERM;
    default:
        return -XEN_ENOSYS;
    }
}

/* ---- the rest */

/* The machine's console is not the guest's; its early console then takes the ring. */
int64_t hc_console_io(struct call *c)
{
    (void)c;
    return -XEN_EPERM;
}

static int64_t set_iopl(struct vcpu *v, gva_t arg)
{
    struct physdev_set_iopl set;
    if (!copy_from_guest(&set, arg, sizeof(set)))
        return -XEN_EFAULT;
    if (set.iopl > 3)
        return -XEN_EINVAL;
    v->iopl = set.iopl;
    return 0;
}

/* Behind no port is a device: which of them user mode may try changes nothing. */
static int64_t set_iobitmap(gva_t arg)
{
    struct physdev_set_iobitmap set;
    if (!copy_from_guest(&set, arg, sizeof(set)))
        return -XEN_EFAULT;
    bool ok = set.nr_ports <= 65536 && guest_range_ok(gva((uint64_t)set.bitmap.p), 65536 / 8);
    return ok ? 0 : -XEN_EINVAL;
}

int64_t hc_physdev_op(struct call *c)
{
    gva_t arg = gva(c->arg[1]);
    switch ((uint32_t)c->arg[0]) {
    case PHYSDEVOP_set_iopl:
        return set_iopl(c->v, arg);
    case PHYSDEVOP_set_iobitmap:
        return set_iobitmap(arg);
    default:
        return -XEN_ENOSYS;
    }
}

/* Performance counters are off, which real Xen says so. */
int64_t hc_xenpmu_op(struct call *c)
{
    (void)c;
    return -XEN_EOPNOTSUPP;
}
