/* SPDX-License-Identifier: MIT */
/* Xen's own builder (facts: xen/arch/x86/pv/dom0_build.c). It trusts the kernel, and so what it
 * does not check ends it: both are refusals here. */
#include <elf.h>
#include <stdio.h>

#include <xen/features.h>

#include "xen.h"

#define ull(x)       ((unsigned long long)(x))
#define REGION_ALIGN (UINT64_C(4) << 20)
#define PADDING      (UINT64_C(512) << 10)

/* The initial mapping. Addresses wrap, as they do in Xen. */
struct region {
    uint64_t tables, tables_end, end;
    uint64_t block; /* pages of the one piece of memory that it lies in, a power of two */
};

#define SAID(why, ...) (snprintf((why)->said, sizeof((why)->said), __VA_ARGS__), -1)

static int check_machine(const struct elfview *v, struct xen_refusal *why)
{
    if (!v->wide) {
        xen_refuse(why, "xen-32-bit",
                   "it is a 32-bit kernel, which Debian's Xen is built without (CONFIG_PV32)");
        return SAID(why, "Found 32-bit PV kernel, but CONFIG_PV32 missing");
    }
    if (v->machine != EM_X86_64 || v->big) {
        xen_refuse(why, "xen-machine", "it is built for ELF machine %u%s, not for x86-64",
                   v->machine, v->big ? ", big-endian" : "");
        return SAID(why, "Mismatch between Xen and DOM0 kernel");
    }
    return 0;
}

static int check_role(const struct xen_image *x, struct xen_refusal *why)
{
    if (x->states_features && !(x->supported & 1u << XENFEAT_dom0)) {
        xen_refuse(why, "xen-not-dom0", "SUPPORTED_FEATURES says that it is no kernel for dom0");
        return SAID(why, "Kernel does not support Dom0 operation");
    }
    if (x->required & 1u << XENFEAT_supervisor_mode_kernel) {
        xen_refuse(why, "xen-feature",
                   "the kernel requires supervisor_mode_kernel, which no Xen for x86-64 offers");
        return SAID(why, "Dom0 requires supervisor-mode execution");
    }
    return 0;
}

static uint64_t up(uint64_t a, uint64_t align)
{
    return (a + align - 1) & ~(align - 1);
}

static uint64_t tables_of(uint64_t from, uint64_t end, unsigned shift)
{
    const uint64_t mask = (UINT64_C(1) << shift) - 1;

    return (((end + mask) & ~mask) - (from & ~mask)) >> shift;
}

static uint64_t end_with(const struct region *r, uint64_t nr_tables)
{
    const uint64_t stack_end = r->tables + (nr_tables + 1) * XEN_PAGE;
    const uint64_t end = up(stack_end, REGION_ALIGN);

    return end - stack_end < PADDING ? end + REGION_ALIGN : end;
}

/* The least number of tables that is enough for the region they lie in. */
static uint64_t count_tables(const struct region *r, uint64_t base)
{
    uint64_t n = 2;

    for (;;) {
        const uint64_t end = end_with(r, n);
        const uint64_t needed =
            1 + tables_of(base, end, 39) + tables_of(base, end, 30) + tables_of(base, end, 21);

        if (needed <= n)
            return n;
        n = needed;
    }
}

static uint64_t power_of_two(uint64_t pages)
{
    uint64_t n = 1;

    while (n < pages && n <= UINT64_MAX / 2)
        n <<= 1;
    return n;
}

static int too_small(const struct xen_domain *d, uint64_t needed, struct xen_refusal *why)
{
    xen_refuse(why, "xen-memory",
               "dom0's memory of %llu KiB is too small: kernel, page tables and ramdisk take %llu "
               "KiB, what is mapped at first rounded up to a power of two",
               ull(d->pages * 4), ull(needed * 4));
    return SAID(why, "Domain 0 allocation is too small for kernel image");
}

static int lay_out(const struct xen_image *x, const struct xen_domain *d, struct region *r,
                   struct xen_refusal *why)
{
    const uint64_t image = xen_pages_of(x->kernel_end - x->virt_base);
    uint64_t at = up(x->kernel_end, XEN_PAGE);

    if (image > d->pages) /* before numbers come that nobody can have meant */
        return too_small(d, image, why);
    if (!x->unmapped_initrd)
        at += d->initrd_pages * XEN_PAGE;
    if (x->init_p2m == XEN_UNSET)
        at = up(at + d->pages * sizeof(uint64_t), XEN_PAGE);
    r->tables = at + XEN_PAGE; /* behind start_info */
    const uint64_t nr_tables = count_tables(r, x->virt_base);

    r->tables_end = r->tables + nr_tables * XEN_PAGE;
    r->end = end_with(r, nr_tables);
    r->block = power_of_two(xen_pages_of(r->end - x->virt_base) -
                            (x->unmapped_initrd ? 0 : d->initrd_pages));
    if (r->block + d->initrd_pages > d->pages)
        return too_small(d, r->block + d->initrd_pages, why);
    return 0;
}

static int check_place(const struct xen_image *x, const struct region *r, struct xen_refusal *why)
{
    if (x->virt_base < XEN_END && r->end > XEN_START) {
        xen_refuse(why, "xen-virt-base",
                   "the initial mapping 0x%llx-0x%llx lies in what Xen keeps for itself, "
                   "0x%llx-0x%llx",
                   ull(x->virt_base), ull(r->end), ull(XEN_START), ull(XEN_END));
        return SAID(why, "DOM0 image overlaps with Xen private area.");
    }
    if (x->virt_base % XEN_PAGE != 0)
        return xen_refuse(why, "xen-virt-base",
                          "VIRT_BASE 0x%llx is not page-aligned; Xen does not check, and writes "
                          "the page tables beside their pages",
                          ull(x->virt_base));
    if (!xen_guest_range(x->virt_base, r->end - 1)) {
        xen_refuse(why, "xen-virt-base", "the initial mapping 0x%llx-0x%llx is not canonical",
                   ull(x->virt_base), ull(r->end));
        return SAID(why, "Failed to load the kernel binary");
    }
    return 0;
}

static int check_segments(const struct xen_image *x, struct xen_refusal *why)
{
    struct elfview_segment s;

    for (unsigned i = 0; elfview_segment(&x->elf, i, &s); i++)
        if (xen_loads(&s) && s.file_bytes > s.bytes) {
            xen_refuse(why, "xen-segments",
                       "segment %u has 0x%llx bytes in the file but 0x%llx in memory", i,
                       ull(s.file_bytes), ull(s.bytes));
            return SAID(why, "Failed to load the kernel binary");
        }
    return 0;
}

static int check_hypercall_page(const struct xen_image *x, const struct region *r,
                                struct xen_refusal *why)
{
    const uint64_t at = x->hypercall_page;

    if (at == XEN_UNSET)
        return 0;
    if (at < x->virt_base || at >= r->end) {
        xen_refuse(why, "xen-hypercall-page",
                   "HYPERCALL_PAGE 0x%llx lies outside of the initial mapping 0x%llx-0x%llx",
                   ull(at), ull(x->virt_base), ull(r->end));
        return SAID(why, "Invalid HYPERCALL_PAGE field in ELF notes.");
    }
    if (r->end - at < XEN_PAGE || (at + XEN_PAGE > r->tables && at < r->tables_end)) {
        xen_refuse(why, "xen-hypercall-page",
                   "HYPERCALL_PAGE 0x%llx lies in the guest's page tables or reaches behind the "
                   "initial mapping, where Xen faults as it writes the page",
                   ull(at));
        return SAID(why, "FATAL PAGE FAULT");
    }
    return 0;
}

static int check_p2m(const struct xen_image *x, const struct xen_domain *d, const struct region *r,
                     struct xen_refusal *why)
{
    const uint64_t at = x->init_p2m, bytes = d->pages * sizeof(uint64_t);

    if (at == XEN_UNSET)
        return 0;
    if (x->virt_base <= at + bytes && at <= r->end) {
        xen_refuse(why, "xen-p2m",
                   "the p2m list at INIT_P2M 0x%llx, 0x%llx bytes, meets the initial mapping "
                   "0x%llx-0x%llx",
                   ull(at), ull(bytes), ull(x->virt_base), ull(r->end));
        return SAID(why, "DOM0 P->M table overlaps initial mapping");
    }
    if (!xen_guest_range(at, at + bytes - 1))
        return xen_refuse(why, "xen-p2m",
                          "the p2m list at INIT_P2M 0x%llx, 0x%llx bytes, is not canonical or "
                          "lies in what Xen keeps for itself; Xen does not check, and falls",
                          ull(at), ull(bytes));
    if (r->block + d->initrd_pages + xen_pages_of(bytes) + 3 > d->pages) {
        xen_refuse(why, "xen-memory",
                   "dom0's memory of %llu KiB is too small for its p2m list of %llu KiB besides "
                   "%llu KiB of kernel and ramdisk",
                   ull(d->pages * 4), ull(bytes / 1024), ull((r->block + d->initrd_pages) * 4));
        return SAID(why, "Dom0 allocation too small for initial P->M table");
    }
    return 0;
}

int xen_dom0(const struct xen_image *x, const struct xen_domain *d, struct xen_refusal *why)
{
    struct region r = {0};

    if (check_machine(&x->elf, why) != 0 || check_role(x, why) != 0 ||
        lay_out(x, d, &r, why) != 0 || check_place(x, &r, why) != 0 ||
        check_segments(x, why) != 0 || check_hypercall_page(x, &r, why) != 0)
        return -1;
    return check_p2m(x, d, &r, why);
}
