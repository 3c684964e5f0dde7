/* SPDX-License-Identifier: MIT */
/* What all views have in common: vCPUs, and virtual addresses. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include <xen/xen.h>

#include "pte.h"

_Static_assert(sizeof(vcpu_guest_context_t) == PVMM_CONTEXT_BYTES, "abi/pvmm/machine.h");

struct pv_view *pv_view_new(const struct pv_backend *backend, const char *kind, unsigned vcpus)
{
    struct pv_view *v = calloc(1, sizeof(*v));
    struct pv_vcpu *vcpu = calloc(vcpus ? vcpus : 1, sizeof(*vcpu));
    if (!v || !vcpu) {
        free(v);
        free(vcpu);
        return NULL;
    }
    *v = (struct pv_view){
        .backend = backend,
        .kind = kind,
        .shared_info = NO_MFN,
        .initial_root = NO_MFN,
        .nr_vcpus = vcpus,
        .vcpu = vcpu,
    };
    for (unsigned i = 0; i < vcpus; i++)
        vcpu[i].kernel_root = vcpu[i].user_root = NO_MFN;
    return v;
}

void pv_close(struct pv_view *v)
{
    if (!v)
        return;
    v->backend->close(v);
    free(v->vcpu);
    free(v);
}

static mfn_t root_of(unsigned long control_register)
{
    return control_register ? mfn(xen_cr3_to_pfn(control_register)) : NO_MFN;
}

void pv_vcpu_set(struct pv_vcpu *vcpu, const uint8_t context[PVMM_CONTEXT_BYTES])
{
    vcpu_guest_context_t c;
    memcpy(&c, context, sizeof(c));
    memcpy(vcpu->context, context, sizeof(c));
    vcpu->kernel_root = root_of(c.ctrlreg[3]);
    vcpu->user_root = root_of(c.ctrlreg[1]);
}

static bool is_canonical(uint64_t va)
{
    uint64_t top = va >> 47;
    return top == 0 || top == 0x1ffff;
}

static bool is_leaf(unsigned level, uint64_t entry)
{
    return level == 1 || (level < 4 && (entry & PTE_PSE));
}

/* One level of the walk; false: it ends here, without a mapping. */
static bool step(const struct pv_view *v, mfn_t table, uint64_t va, struct pv_walk *w)
{
    unsigned slot = va >> (PAGE_SHIFT_4K + 9 * (w->level - 1)) & 511;
    w->at[w->level] = mfn_address(table, slot * 8);
    return v->backend->read(v, table, slot * 8, &w->entry[w->level], 8) &&
           pte_present(w->entry[w->level]);
}

bool pv_walk(const struct pv_view *v, mfn_t root, gva_t va, struct pv_walk *w)
{
    *w = (struct pv_walk){0};
    if (!is_canonical(va.a) || mfn_eq(root, NO_MFN))
        return false;
    mfn_t table = root;
    for (w->level = 4; step(v, table, va.a, w); w->level--) {
        table = pte_frame(w->entry[w->level]);
        if (!is_leaf(w->level, w->entry[w->level]))
            continue;
        uint64_t within = (1ull << (PAGE_SHIFT_4K + 9 * (w->level - 1))) - 1;
        w->to.a = (mfn_address(table, 0).a & ~within) | (va.a & within);
        w->present = true;
        return true;
    }
    return false;
}

size_t pv_read_va(const struct pv_view *v, mfn_t root, gva_t va, void *to, size_t n)
{
    size_t done = 0;
    while (done < n && va.a + done >= va.a) {
        struct pv_walk w;
        if (!pv_walk(v, root, gva(va.a + done), &w))
            break;
        unsigned offset = w.to.a & (PAGE_BYTES - 1);
        size_t part = PAGE_BYTES - offset < n - done ? PAGE_BYTES - offset : n - done;
        if (!v->backend->read(v, maddr_frame(w.to), offset, (uint8_t *)to + done, (unsigned)part))
            break;
        done += part;
    }
    return done;
}
