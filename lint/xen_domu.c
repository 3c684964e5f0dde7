/* SPDX-License-Identifier: MIT */
/* The toolstack's builder (facts: tools/libs/guest/xg_dom_*.c). What is left to the hypervisor, or
 * to nobody, is a refusal here as well if the guest cannot live with it. */
#include <elf.h>
#include <stdio.h>

#include <xen/features.h>

#include "xen.h"

#define ull(x)       ((unsigned long long)(x))
#define REGION_ALIGN (UINT64_C(4) << 20)
#define PADDING      128u /* pages: 512 KiB */
#define MAGIC_PAGES  3u   /* start_info, store, console */

#define SAID(why, ...) (snprintf((why)->said, sizeof((why)->said), __VA_ARGS__), -1)

static int check_type(const struct xen_image *x, struct xen_refusal *why)
{
    if (x->required & 1u << XENFEAT_dom0) {
        xen_refuse(why, "xen-not-domu", "FEATURES requires dom0");
        return SAID(why, "Kernel does not support unprivileged (DomU) operation");
    }
    if (x->elf.machine == EM_386) {
        xen_refuse(why, "xen-32-bit",
                   "it is a 32-bit kernel, which Debian's Xen is built without (CONFIG_PV32)");
        return SAID(why, "guest type xen-3.0-x86_32p not supported by xen kernel, sorry");
    }
    if (x->elf.machine != EM_X86_64 || !x->elf.wide || x->elf.big) {
        xen_refuse(why, "xen-machine", "it is built for ELF machine %u, not for 64-bit x86-64",
                   x->elf.machine);
        return SAID(why, "unknown image type %u", x->elf.machine);
    }
    return 0;
}

static int check_kernel(const struct xen_image *x, const struct xen_domain *d,
                        struct xen_refusal *why)
{
    const uint64_t pages = xen_pages_of(x->kernel_end - x->virt_base);

    if (x->kernel % XEN_PAGE != 0) {
        xen_refuse(why, "xen-alignment", "the image begins at 0x%llx, which is not page-aligned",
                   ull(x->kernel));
        return SAID(why, "segment boundary isn't page aligned");
    }
    if (x->virt_base % XEN_PAGE != 0)
        return xen_refuse(why, "xen-virt-base",
                          "VIRT_BASE 0x%llx is not page-aligned; the toolstack does not check, and "
                          "the image is not where it is linked",
                          ull(x->virt_base));
    if (pages > d->pages) {
        xen_refuse(why, "xen-memory", "the image takes %llu KiB, the guest has %llu KiB",
                   ull(pages * 4), ull(d->pages * 4));
        return SAID(why, "segment kernel too large");
    }
    return 0;
}

/* A p2m address that is not below the kernel's, or not page-aligned, is passed over. */
static bool p2m_apart(const struct xen_image *x)
{
    return x->init_p2m < x->virt_base && x->init_p2m % XEN_PAGE == 0;
}

static uint64_t tables_of(uint64_t from, uint64_t last, unsigned shift)
{
    return (last >> shift) - (from >> shift) + 1;
}

/* The last address of the initial mapping, which begins with `pages` pages and holds its tables. */
static uint64_t region_last(uint64_t base, uint64_t pages)
{
    uint64_t tables = 0, seen, last;

    do {
        seen = tables;
        last = (base + (pages + tables + 1 + PADDING) * XEN_PAGE - 1) | (REGION_ALIGN - 1);
        if (last < base)
            return last;
        tables =
            1 + tables_of(base, last, 39) + tables_of(base, last, 30) + tables_of(base, last, 21);
    } while (tables > seen);
    return last;
}

static int lay_out(const struct xen_image *x, const struct xen_domain *d, uint64_t *last,
                   struct xen_refusal *why)
{
    const uint64_t p2m = xen_pages_of(d->pages * sizeof(uint64_t));
    uint64_t pages = xen_pages_of(x->kernel_end - x->virt_base) + MAGIC_PAGES;

    pages += x->unmapped_initrd ? 0 : d->initrd_pages;
    pages += p2m_apart(x) ? 0 : p2m;
    *last = pages <= d->pages ? region_last(x->virt_base, pages) : 0;
    const uint64_t region = pages <= d->pages ? xen_pages_of(*last - x->virt_base) : pages;
    const uint64_t needed =
        region + (x->unmapped_initrd ? d->initrd_pages : 0) + (p2m_apart(x) ? p2m : 0);

    if (needed <= d->pages && region < d->pages)
        return 0;
    xen_refuse(why, "xen-memory",
               "a domU's memory of %llu KiB is too small: kernel, page tables, p2m and ramdisk "
               "take %llu KiB",
               ull(d->pages * 4), ull(needed * 4));
    return SAID(why, "not enough memory for initial mapping");
}

static int check_place(const struct xen_image *x, const struct xen_domain *d, uint64_t last,
                       struct xen_refusal *why)
{
    const uint64_t bytes = xen_pages_of(d->pages * sizeof(uint64_t)) * XEN_PAGE;

    if (last == UINT64_MAX)
        return xen_refuse(why, "xen-virt-base",
                          "the initial mapping 0x%llx-0x%llx ends with the last address, and the "
                          "toolstack looks for a larger one without end",
                          ull(x->virt_base), ull(last));
    if (!xen_guest_range(x->virt_base, last))
        return xen_refuse(why, "xen-virt-base",
                          "the initial mapping 0x%llx-0x%llx is not canonical or lies in what Xen "
                          "keeps for itself; the toolstack does not check, and the guest finds "
                          "nothing there",
                          ull(x->virt_base), ull(last));
    if (!p2m_apart(x))
        return 0;
    if (x->init_p2m + bytes > x->virt_base) {
        xen_refuse(why, "xen-p2m",
                   "the p2m list at INIT_P2M 0x%llx, 0x%llx bytes, reaches into the initial "
                   "mapping at 0x%llx",
                   ull(x->init_p2m), ull(bytes), ull(x->virt_base));
        /* in the upper half the toolstack compares cut addresses with whole ones */
        return x->virt_base < XEN_HOLE_START ? SAID(why, "overlapping mappings") : -1;
    }
    if (!xen_guest_range(x->init_p2m, x->init_p2m + bytes - 1))
        return xen_refuse(why, "xen-p2m",
                          "the p2m list at INIT_P2M 0x%llx, 0x%llx bytes, is not canonical or "
                          "lies in what Xen keeps for itself; the toolstack does not check",
                          ull(x->init_p2m), ull(bytes));
    return 0;
}

/* A copy that does not fit is left out in silence. */
static int check_segments(const struct xen_image *x, struct xen_refusal *why)
{
    struct elfview_segment s;

    for (unsigned i = 0; elfview_segment(&x->elf, i, &s); i++)
        if (xen_loads(&s) && s.file_bytes > s.bytes)
            return xen_refuse(why, "xen-segments",
                              "segment %u has 0x%llx bytes in the file but 0x%llx in memory; the "
                              "toolstack does not check, and leaves out what does not fit",
                              i, ull(s.file_bytes), ull(s.bytes));
    return 0;
}

static int check_hypercall_page(const struct xen_image *x, const struct xen_domain *d,
                                struct xen_refusal *why)
{
    if (x->hypercall_page == XEN_UNSET || (x->hypercall_page - x->virt_base) / XEN_PAGE < d->pages)
        return 0;
    xen_refuse(why, "xen-hypercall-page",
               "HYPERCALL_PAGE 0x%llx is none of the %llu pages from VIRT_BASE 0x%llx on",
               ull(x->hypercall_page), ull(d->pages), ull(x->virt_base));
    return SAID(why, "HYPERCALL_INIT failed");
}

int xen_domu(const struct xen_image *x, const struct xen_domain *d, struct xen_refusal *why)
{
    uint64_t last = 0;

    if (check_type(x, why) != 0 || check_kernel(x, d, why) != 0 || lay_out(x, d, &last, why) != 0 ||
        check_place(x, d, last, why) != 0 || check_segments(x, why) != 0)
        return -1;
    return check_hypercall_page(x, d, why);
}
