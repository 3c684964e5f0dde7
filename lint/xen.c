/* SPDX-License-Identifier: MIT */
/* Will Xen 4.17 start it, as dom0 and as a domU? */
#include "xen.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "boot.h"

#define ull(x) ((unsigned long long)(x))

/* A kernel for the one role alone is no broken one. */
static enum lint_weight weight_of(const char *code)
{
    return strcmp(code, "xen-not-dom0") == 0 || strcmp(code, "xen-not-domu") == 0 ? LINT_NOTE
                                                                                  : LINT_FINDING;
}

static int add(struct lint_report *r, const char *role, const struct xen_refusal *why,
               const char *said, struct lint_error *e)
{
    struct lint_finding *f =
        lint_add(r, why->code, weight_of(why->code), "%s: %s", role, why->text);

    if (f == NULL)
        return lint_fail(e, "out of memory");
    snprintf(f->also, sizeof(f->also), "%s", said);
    return 0;
}

bool xen_finds_nothing(const struct lint_input *elf)
{
    struct xen_refusal why = {.code = NULL};
    struct xen_image x;

    if (xen_image_read(&x, elf->data, elf->size, &why) != 0 && strcmp(why.code, "xen-headers") == 0)
        return false; /* who knows */
    return x.notes == 0 && !x.legacy;
}

/* ---- what no builder checks */

static bool in_segment(const struct xen_image *x, uint64_t va)
{
    const uint64_t paddr = va - x->virt_base + x->paddr_offset;
    struct elfview_segment s;

    for (unsigned i = 0; elfview_segment(&x->elf, i, &s); i++)
        if (xen_loads(&s) && paddr >= s.paddr && paddr - s.paddr < s.bytes)
            return true;
    return false;
}

/* It is started, and finds nothing there. */
static int check_entry(const struct xen_image *x, struct xen_refusal *why)
{
    if (in_segment(x, x->entry))
        return 0;
    return xen_refuse(why, "xen-entry",
                      "the entry 0x%llx is in no segment that is loaded; Xen does not check, and "
                      "starts it there",
                      ull(x->entry));
}

static int check_file(const struct xen_image *x, struct lint_report *r, struct lint_error *e)
{
    struct elfview_segment s;

    for (unsigned i = 0; elfview_segment(&x->elf, i, &s); i++) {
        if (!xen_loads(&s) || elfview_holds(&x->elf, s.offset, s.file_bytes))
            continue;
        struct lint_finding *f =
            lint_add(r, "xen-truncated", LINT_OPEN,
                     "segment %u is at 0x%llx in the file, 0x%llx bytes, and the file ends at "
                     "0x%llx: Xen does not check; dom0 gets what lies behind it in memory, a domU "
                     "none of the segment",
                     i, ull(s.offset), ull(s.file_bytes), ull(x->elf.size));
        return boot_locate(f, s.vaddr, s.bytes, e); /* one says it for all */
    }
    return 0;
}

/* It stops copying at twice the image's size; what is left out may matter or not. */
static int check_copies(const struct xen_image *x, struct lint_report *r, struct lint_error *e)
{
    const uint64_t bytes = x->kernel_end - x->kernel;
    struct lint_finding *f;

    if (x->loaded / 2 <= bytes)
        return 0;
    f = lint_add(r, "xen-overlap", LINT_OPEN,
                 "the segments overlap: they have 0x%llx bytes, the image 0x%llx, and Xen loads no "
                 "more than twice as much",
                 ull(x->loaded), ull(bytes));
    if (f == NULL)
        return lint_fail(e, "out of memory");
    snprintf(f->also, sizeof(f->also), "program segments total to more than the input image size");
    return 0;
}

/* The toolstack wants it below the kernel and page-aligned; Xen, for dom0, does not look. */
static int check_list(const struct xen_image *x, struct lint_report *r, struct lint_error *e)
{
    if (x->init_p2m == XEN_UNSET || (x->init_p2m < x->virt_base && x->init_p2m % XEN_PAGE == 0))
        return 0;
    return boot_locate(lint_add(r, "xen-p2m-ignored", LINT_NOTE,
                                "INIT_P2M 0x%llx is not below VIRT_BASE 0x%llx, or not "
                                "page-aligned: a domU's list is behind the kernel instead, and "
                                "dom0's there all the same",
                                ull(x->init_p2m), ull(x->virt_base)),
                       x->init_p2m, 0, e);
}

static int check_skipped(const struct xen_image *x, struct lint_report *r, struct lint_error *e)
{
    struct elfview_segment s;

    for (unsigned i = 0; elfview_segment(&x->elf, i, &s); i++) {
        if (s.type != PT_LOAD || s.bytes == 0 || xen_loads(&s))
            continue;
        struct lint_finding *f =
            lint_add(r, "xen-segment-skipped", LINT_NOTE,
                     "segment %u has no right at all (p_flags), and so Xen does not load it; pvmm "
                     "does",
                     i);
        return boot_locate(f, s.vaddr, s.bytes, e);
    }
    return 0;
}

/* ---- the answer */

static void tell(struct lint_report *r, const struct xen_refusal *dom0,
                 const struct xen_refusal *domu)
{
    snprintf(r->why[LINT_BOOT_XEN], LINT_CHARS, "as dom0: %s%s; as a domU: %s%s",
             dom0->code ? "no, " : "yes", dom0->code ? dom0->code : "", domu->code ? "no, " : "yes",
             domu->code ? domu->code : "");
}

/* What both refuse by the same code is said once, in the words of dom0's; what they print differs.
 */
static int add_same(struct lint_report *r, const struct xen_refusal *dom0,
                    const struct xen_refusal *domu, struct lint_error *e)
{
    const bool alike = strcmp(dom0->said, domu->said) == 0;
    char said[LINT_CHARS];

    snprintf(said, sizeof(said), "%s%s(as a domU: %s)", dom0->said, dom0->said[0] ? " " : "",
             domu->said[0] ? domu->said : "nothing");
    return add(r, "as dom0 and as a domU", dom0, alike ? dom0->said : said, e);
}

static int add_both(struct lint_report *r, const struct xen_refusal *dom0,
                    const struct xen_refusal *domu, struct lint_error *e)
{
    tell(r, dom0, domu);
    if (dom0->code && domu->code && strcmp(dom0->code, domu->code) == 0)
        return add_same(r, dom0, domu, e);
    if (dom0->code && add(r, "as dom0", dom0, dom0->said, e) != 0)
        return -1;
    return domu->code ? add(r, "as a domU", domu, domu->said, e) : 0;
}

int lint_boot_xen(const struct lint_input *elf, const struct lint_options *o, struct lint_report *r,
                  struct lint_error *e)
{
    const struct xen_domain d = {boot_memory(o) / XEN_PAGE, xen_pages_of(boot_initrd(o))};
    struct xen_refusal dom0 = {.code = NULL}, domu = {.code = NULL};
    struct xen_image x;

    if (xen_image_read(&x, elf->data, elf->size, &dom0) != 0) {
        domu = dom0; /* the same code looks, in the toolstack without a word */
        snprintf(domu.said, sizeof(domu.said), "no loader found");
        return add_both(r, &dom0, &domu, e);
    }
    if (xen_dom0(&x, &d, &dom0) == 0)
        (void)check_entry(&x, &dom0);
    if (xen_domu(&x, &d, &domu) == 0)
        (void)check_entry(&x, &domu);
    if (add_both(r, &dom0, &domu, e) != 0 || check_skipped(&x, r, e) != 0 ||
        check_list(&x, r, e) != 0 || check_copies(&x, r, e) != 0)
        return -1;
    return check_file(&x, r, e);
}
