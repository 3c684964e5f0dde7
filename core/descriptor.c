/* SPDX-License-Identifier: MIT */
/* Descriptor pages: what a guest may put into a GDT or LDT that the CPU really uses. */
#include "internal.h"

/* Bits of an 8-byte descriptor (source: AMD64 APM vol. 2, 4.7-4.8). */
#define DESC_PRESENT             (1ull << 47)
#define DESC_DPL                 (3ull << 45)
#define DESC_CODE_OR_DATA        (1ull << 44)
#define DESC_TYPE                (15ull << 40)
#define DESC_CALL_GATE           (12ull << 40)
#define DESC_GATE_RESERVED       (0xffull << 32)
#define DESC_GATE_SELECTOR_SHIFT 16

#define DESCRIPTORS_PER_PAGE (PAGE_BYTES / sizeof(uint64_t))

#define FIRST_RESERVED_SELECTOR 0xe000u /* <xen/arch-x86/xen.h>: FIRST_RESERVED_GDT_BYTE */
#define FLAT_CS64               0xe033u /* <xen/arch-x86/xen-x86_64.h>: FLAT_RING3_CS64 */

static bool gate_selector_ok(uint16_t selector)
{
    bool in_ldt = selector & 4;
    return in_ldt || selector < FIRST_RESERVED_SELECTOR || selector == FLAT_CS64;
}

/* A call gate is kept with DPL 0, so that its use traps; the guest's DPL moves into the RPL of the
 * target selector, where real Xen keeps it too. */
static bool fix_gate(uint64_t *d, uint64_t dpl)
{
    uint16_t selector = (uint16_t)(*d >> DESC_GATE_SELECTOR_SHIFT);
    if (!gate_selector_ok(selector) || (*d & DESC_GATE_RESERVED))
        return false;
    *d &= ~(DESC_DPL | (3ull << DESC_GATE_SELECTOR_SHIFT));
    *d |= dpl << DESC_GATE_SELECTOR_SHIFT;
    return true;
}

bool core_descriptor_fix(uint64_t *descriptor)
{
    if (!(*descriptor & DESC_PRESENT))
        return true; /* using it faults, whatever it says */
    if (*descriptor & DESC_CODE_OR_DATA) {
        *descriptor |= DESC_DPL;
        return true;
    }
    if (!(*descriptor & DESC_TYPE))
        return true; /* the second half of a gate: no type of its own */
    if ((*descriptor & DESC_TYPE) != DESC_CALL_GATE)
        return false;
    return fix_gate(descriptor, 3);
}

int descriptors_validate(struct core *c, struct core_vcpu *v, mfn_t m)
{
    uint64_t *at = glue_frame(c, m);
    for (unsigned i = 0; i < ENTRIES; i++) {
        uint64_t d = entry_load(&at[i]);
        uint64_t fixed = d;
        if (!core_descriptor_fix(&fixed))
            return refuse(c, v, CORE_EINVAL, REASON_BAD_DESCRIPTOR, 2,
                          ABOUT(.frame = m, .value = d, .wanted = TYPE_DESC));
        if (fixed != d)
            entry_store(&at[i], fixed);
    }
    return 0;
}

static void drop_frames(struct core *c, struct core_vcpu *v, mfn_t *frames, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (!mfn_eq(frames[i], NO_MFN))
            use_put(c, v, frames[i]);
        frames[i] = NO_MFN;
    }
}

int core_set_gdt(struct core *c, struct core_vcpu *v, const mfn_t *frames, unsigned n,
                 unsigned entries)
{
    mfn_t taken[CORE_GDT_FRAMES];
    if (n > CORE_GDT_FRAMES)
        return refuse(c, v, CORE_EINVAL, REASON_BAD_ADDRESS, 2, NO_FRAME(.value = n));
    for (unsigned i = 0; i < n; i++) {
        int rc = use_get(c, v, v->domain, frames[i], TYPE_DESC);
        if (rc) {
            drop_frames(c, v, taken, i);
            return rc;
        }
        taken[i] = frames[i];
    }
    drop_frames(c, v, v->gdt, CORE_GDT_FRAMES);
    for (unsigned i = 0; i < n; i++)
        v->gdt[i] = taken[i];
    v->gdt_entries = entries;
    return 0;
}

void core_drop_ldt(struct core *c, struct core_vcpu *v)
{
    if (v->ldt_entries > 0) /* none are taken otherwise */
        drop_frames(c, v, v->ldt, CORE_LDT_FRAMES);
}

int core_set_ldt(struct core *c, struct core_vcpu *v, gva_t base, unsigned entries, bool *changed)
{
    *changed = false;
    if (entries > CORE_LDT_FRAMES * DESCRIPTORS_PER_PAGE || (entries && base.a % PAGE_BYTES))
        return refuse(c, v, CORE_EINVAL, REASON_BAD_ADDRESS, 2, NO_FRAME(.value = base.a));
    if (entries == 0)
        base = gva(0);
    if (v->ldt_base.a == base.a && v->ldt_entries == entries)
        return 0;
    core_drop_ldt(c, v);
    v->ldt_base = base;
    v->ldt_entries = entries;
    *changed = true;
    return 0;
}

int core_ldt_page(struct core *c, struct core_vcpu *v, unsigned index, mfn_t *out)
{
    struct core_walk w;
    gva_t va = gva(v->ldt_base.a + (uint64_t)index * PAGE_BYTES);
    if (index >= CORE_LDT_FRAMES || index * DESCRIPTORS_PER_PAGE >= v->ldt_entries)
        return refuse(c, v, CORE_EINVAL, REASON_BAD_ADDRESS, 2, NO_FRAME(.value = index));
    if (!core_walk(c, v->kernel_root, va, &w))
        return refuse(c, v, CORE_EINVAL, REASON_NO_L1, 2, NO_FRAME(.value = va.a));
    *out = pte_frame(w.at[TYPE_L1].entry);
    if (mfn_eq(v->ldt[index], *out))
        return 0;
    int rc = use_get(c, v, v->domain, *out, TYPE_DESC);
    if (rc)
        return rc;
    drop_frames(c, v, &v->ldt[index], 1);
    v->ldt[index] = *out;
    return 0;
}

int core_update_descriptor(struct core *c, struct core_vcpu *v, maddr_t at, uint64_t descriptor)
{
    mfn_t m = maddr_frame(at);
    unsigned slot = (unsigned)(at.a & (PAGE_BYTES - 1)) / sizeof(uint64_t);
    if (at.a % sizeof(uint64_t) || slot >= ENTRIES)
        return refuse(c, v, CORE_EINVAL, REASON_BAD_ADDRESS, 2, NO_FRAME(.value = at.a));
    if (!core_descriptor_fix(&descriptor))
        return refuse(c, v, CORE_EINVAL, REASON_BAD_DESCRIPTOR, 2, NO_FRAME(.value = descriptor));
    if (!ref_get(c, v, v->domain, m))
        return CORE_EINVAL;
    bool descriptors = core_frame_type(c, m) == TYPE_DESC;
    int rc = type_get(c, v, m, descriptors ? TYPE_DESC : TYPE_WRITABLE);
    if (rc == 0) {
        entry_store(&glue_frame(c, m)[slot], descriptor);
        type_put(c, v, m);
    }
    ref_put(c, m);
    return rc;
}
