/* SPDX-License-Identifier: MIT */
/* What all views have in common: vCPUs, and virtual addresses. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include <xen/xen.h>
#include <xen/foreign/x86_32.h>

#include "pte.h"

_Static_assert(sizeof(vcpu_guest_context_t) == PV_CONTEXT_BYTES, "image.h");

struct pv_view *pv_view_new(const struct pv_backend *backend, const char *kind, unsigned vcpus)
{
    struct pv_view *v = calloc(1, sizeof(*v));
    struct pv_vcpu *vcpu = calloc(vcpus ? vcpus : 1, sizeof(*vcpu));
    struct pv_domain *domain = calloc(1, sizeof(*domain));
    if (!v || !vcpu || !domain) {
        free(v);
        free(vcpu);
        free(domain);
        return NULL;
    }
    *domain = (struct pv_domain){.id = -1, .shared_info = NO_MFN};
    *v = (struct pv_view){
        .backend = backend,
        .kind = kind,
        .width = 8,
        .shared_info = NO_MFN,
        .start_info = NO_MFN,
        .initial_root = NO_MFN,
        .kernel_root = NO_MFN,
        .nr_vcpus = vcpus,
        .vcpu = vcpu,
        .nr_domains = 1,
        .domain = domain,
    };
    for (unsigned i = 0; i < vcpus; i++)
        vcpu[i].kernel_root = vcpu[i].user_root = NO_MFN;
    return v;
}

void pv_view_free(struct pv_view *v)
{
    free(v->vcpu);
    free(v->domain);
    free(v);
}

void pv_close(struct pv_view *v)
{
    if (!v)
        return;
    v->backend->close(v);
    pv_view_free(v);
}

bool pv_place_of(const struct pv_view *v, mfn_t m, struct pv_place *out)
{
    return v->backend->place && v->backend->place(v, m, out);
}

/* ---- vCPUs */

size_t pv_context_bytes(unsigned width)
{
    return width == 4 ? sizeof(vcpu_guest_context_x86_32_t) : sizeof(vcpu_guest_context_t);
}

static mfn_t root_64(uint64_t control_register)
{
    return control_register ? mfn(xen_cr3_to_pfn(control_register)) : NO_MFN;
}

/* 32 bits have no room for a frame number and 12 bits below it: its upper bits stand below. */
static mfn_t root_32(uint32_t control_register)
{
    return control_register
               ? mfn(control_register >> 12 | (uint64_t)(control_register & 0xfff) << 20)
               : NO_MFN;
}

static void set_64(struct pv_vcpu *vcpu, const void *context)
{
    vcpu_guest_context_t c;
    memcpy(&c, context, sizeof(c));
    vcpu->kernel_root = root_64(c.ctrlreg[3]);
    vcpu->user_root = root_64(c.ctrlreg[1]);
    vcpu->rip = c.user_regs.rip;
    vcpu->rsp = c.user_regs.rsp;
    vcpu->rflags = c.user_regs.rflags;
    vcpu->in_kernel = c.flags & VGCF_in_kernel;
}

static void set_32(struct pv_vcpu *vcpu, const void *context)
{
    vcpu_guest_context_x86_32_t c;
    memcpy(&c, context, sizeof(c));
    vcpu->kernel_root = root_32(c.ctrlreg[3]);
    vcpu->rip = c.user_regs.eip;
    vcpu->rsp = c.user_regs.esp;
    vcpu->rflags = c.user_regs.eflags;
    vcpu->in_kernel = c.flags & VGCF_in_kernel;
}

void pv_vcpu_take(struct pv_vcpu *to, unsigned width, const void *context)
{
    memmove(to->context, context, pv_context_bytes(width));
    if (width == 4)
        set_32(to, context);
    else
        set_64(to, context);
    to->valid = !mfn_eq(to->kernel_root, NO_MFN);
}

void pv_vcpu_set(struct pv_view *v, unsigned vcpu, const void *context)
{
    struct pv_vcpu *to = &v->vcpu[vcpu];
    pv_vcpu_take(to, v->width, context);
    if (vcpu == 0)
        v->kernel_root = to->kernel_root;
}

/* ---- virtual addresses */

static bool is_canonical(const struct pv_view *v, uint64_t va)
{
    uint64_t top = va >> 47;
    return v->width == 4 ? va >> 32 == 0 : top == 0 || top == 0x1ffff;
}

unsigned pv_top_level(const struct pv_view *v)
{
    return v->width == 4 ? 3 : 4;
}

bool pv_is_leaf(unsigned level, uint64_t entry)
{
    return level == 1 || (level < 4 && (entry & PTE_PSE));
}

/* Where its words lie in memory no read of the file is needed. */
static bool read_entry(const struct pv_view *v, mfn_t table, unsigned slot, uint64_t *entry)
{
    const uint64_t *words = v->backend->words ? v->backend->words(v, table) : NULL;
    if (!words)
        return v->backend->read(v, table, slot * 8, entry, 8);
    *entry = __atomic_load_n(&words[slot], __ATOMIC_RELAXED); /* the guest may run */
    return true;
}

/* One level of the walk; false: it ends here, without a mapping. */
static bool step(const struct pv_view *v, mfn_t table, uint64_t va, struct pv_walk *w)
{
    unsigned slot = va >> (PAGE_SHIFT_4K + 9 * (w->level - 1)) & 511;
    w->at[w->level] = mfn_address(table, slot * 8);
    w->absent = !read_entry(v, table, slot, &w->entry[w->level]);
    return !w->absent && pte_present(w->entry[w->level]);
}

bool pv_walk(const struct pv_view *v, mfn_t root, gva_t va, struct pv_walk *w)
{
    *w = (struct pv_walk){.top = pv_top_level(v)};
    if (!is_canonical(v, va.a) || mfn_eq(root, NO_MFN))
        return false;
    mfn_t table = root;
    for (w->level = w->top; step(v, table, va.a, w); w->level--) {
        table = pte_frame(w->entry[w->level]);
        if (!pv_is_leaf(w->level, w->entry[w->level]))
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
