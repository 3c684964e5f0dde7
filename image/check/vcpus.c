/* SPDX-License-Identifier: MIT */
/* What the vCPUs hold: their roots and the pages of their descriptor tables. */
#include "run.h"

#include <stdlib.h>
#include <string.h>

#include <xen/xen.h>

#define DESCRIPTORS_PER_PAGE (PAGE_BYTES / 8)

static mfn_t take_root(struct run *r, unsigned vcpu, mfn_t root, const char *which)
{
    if (mfn_eq(root, NO_MFN))
        return NO_MFN;
    mfn_t m = check_number(r, root);
    if (mfn_eq(m, NO_MFN) || !r->v->backend->owned(r->v, root)) {
        check_add(r, ROOT_NOT_GUEST, m, NO_ENTRY,
                  "vCPU %u has loaded %s as its %s root, which is not the guest's", vcpu,
                  check_name_real(r, root).text, which);
        return NO_MFN;
    }
    r->roots++;
    return m;
}

static void take_gdt(struct run *r, unsigned vcpu, const vcpu_guest_context_t *c)
{
    unsigned long pages =
        c->gdt_ents / DESCRIPTORS_PER_PAGE + !!(c->gdt_ents % DESCRIPTORS_PER_PAGE);
    for (unsigned i = 0; i < pages && i < CORE_GDT_FRAMES; i++) {
        mfn_t real = mfn(c->gdt_frames[i]), m = check_number(r, real);
        if (mfn_eq(m, NO_MFN)) {
            check_add(r, FRAME_OF_NOBODY, m, NO_ENTRY,
                      "page %u of vCPU %u's GDT is %s, which is not the guest's", i, vcpu,
                      check_name_real(r, real).text);
            continue;
        }
        r->vcpu[vcpu].gdt[i] = m;
        r->descriptors++;
    }
}

static void take_vcpu(struct run *r, unsigned vcpu)
{
    const struct pv_vcpu *from = &r->v->vcpu[vcpu];
    vcpu_guest_context_t c;
    core_vcpu_init(&r->domain, &r->vcpu[vcpu], vcpu);
    if (!from->valid)
        return;
    memcpy(&c, from->context, sizeof(c));
    r->vcpu[vcpu].kernel_root = take_root(r, vcpu, from->kernel_root, "kernel");
    r->vcpu[vcpu].user_root = take_root(r, vcpu, from->user_root, "user");
    take_gdt(r, vcpu, &c);
}

int check_take_vcpus(struct run *r)
{
    r->vcpu = calloc(r->v->nr_vcpus + 1, sizeof(*r->vcpu));
    if (!r->vcpu)
        return pv_no_memory(r->e);
    for (unsigned i = 0; i < r->v->nr_vcpus; i++)
        take_vcpu(r, i);
    return 0;
}
