/* SPDX-License-Identifier: MIT */
/* What is behind the pages: clock, shared_info, vCPUs. */
#include "stream_write.h"

#include <stdlib.h>
#include <string.h>

#include <xen/xen.h>

#define MAGIC        "xen-3.0-x86"
#define GDT_PAGES    14u /* of 512 entries; FIRST_RESERVED_GDT_PAGE of <xen/arch-x86/xen.h> */
#define GDT_PER_PAGE 512u

_Static_assert(GDT_PAGES == FIRST_RESERVED_GDT_PAGE, "xen/arch-x86/xen.h");

/* ---- a context's frames */

static int check_suspended(const struct save_list *l, mfn_t m, struct pv_error *e)
{
    const struct pv_view *v = l->v;
    char begins[sizeof(MAGIC) - 1];
    if (!v->backend->owned(v, m))
        return pv_fail(e,
                       "rdx of vCPU 0, %llx, is no page of the guest's: it has not suspended "
                       "itself",
                       (unsigned long long)m.n);
    if (!v->backend->read(v, m, 0, begins, sizeof(begins)) || memcmp(begins, MAGIC, sizeof(begins)))
        return pv_fail(e,
                       "rdx of vCPU 0 names mfn %llx, which does not begin as start_info: the "
                       "guest has not suspended itself",
                       (unsigned long long)m.n);
    return 0;
}

static int start_info_frame(const struct save_list *l, uint64_t *rdx, struct pv_error *e)
{
    pfn_t p;
    if (check_suspended(l, mfn(*rdx), e))
        return -1;
    if (save_plain_pfn_of(l, mfn(*rdx), &p, e))
        return pv_context(e, "start_info");
    *rdx = p.n;
    return 0;
}

static int gdt_frames(const struct save_list *l, vcpu_guest_context_t *c, struct pv_error *e)
{
    if (c->gdt_ents > GDT_PAGES * GDT_PER_PAGE)
        return pv_fail(e, "a GDT of %llu entries; there is room for %u",
                       (unsigned long long)c->gdt_ents, GDT_PAGES * GDT_PER_PAGE);
    for (unsigned i = 0; i * GDT_PER_PAGE < c->gdt_ents; i++) {
        pfn_t p;
        if (save_plain_pfn_of(l, mfn(c->gdt_frames[i]), &p, e))
            return pv_context(e, "page %u of the GDT", i);
        c->gdt_frames[i] = p.n;
    }
    return 0;
}

static int root_frame(const struct save_list *l, const char *name, uint64_t frame, pfn_t *p,
                      struct pv_error *e)
{
    unsigned type;
    if (save_pfn_of(l, mfn(frame), p, e))
        return pv_context(e, "%s", name);
    if (!save_type(l->v, mfn(frame), &type) || PAGE_LEVEL(type) != 4)
        return pv_fail(e, "%s: mfn %llx, pfn %llx, is no L4 table", name, (unsigned long long)frame,
                       (unsigned long long)p->n);
    return 0;
}

/* A user root has bit 0 set, so that pfn 0 and none are not the same. */
static int root_frames(const struct save_list *l, vcpu_guest_context_t *c, struct pv_error *e)
{
    pfn_t p;
    if (root_frame(l, "cr3", xen_cr3_to_pfn(c->ctrlreg[3]), &p, e))
        return -1;
    c->ctrlreg[3] = xen_pfn_to_cr3(p.n);
    if (c->ctrlreg[1] == 0)
        return 0;
    if (root_frame(l, "the user root", xen_cr3_to_pfn(c->ctrlreg[1]), &p, e))
        return -1;
    c->ctrlreg[1] = p.n << PAGE_SHIFT_4K | 1;
    return 0;
}

static int make_portable(const struct save_list *l, unsigned vcpu, void *context,
                         struct pv_error *e)
{
    vcpu_guest_context_t c;
    memcpy(&c, context, sizeof(c));
    if ((vcpu == 0 && start_info_frame(l, &c.user_regs.rdx, e)) || gdt_frames(l, &c, e) ||
        root_frames(l, &c, e))
        return pv_context(e, "vCPU %u", vcpu);
    memcpy(context, &c, sizeof(c));
    return 0;
}

/* ---- all of it */

static int take_contexts(struct save_state *s, const struct save_list *l, struct pv_error *e)
{
    const struct pv_view *v = l->v;
    s->context = calloc(v->nr_vcpus ? v->nr_vcpus : 1, sizeof(*s->context));
    if (!s->context)
        return pv_no_memory(e);
    for (unsigned i = 0; i < v->nr_vcpus; i++) {
        memcpy(s->context[i], v->vcpu[i].context, sizeof(*s->context));
        if (v->vcpu[i].valid && !v->portable && make_portable(l, i, s->context[i], e))
            return -1;
    }
    return 0;
}

int save_state_open(struct save_state *s, const struct save_list *l, struct pv_error *e)
{
    const struct pv_view *v = l->v;
    s->context = NULL;
    if (l->as_found && mfn_eq(v->shared_info, NO_MFN)) {
        memset(s->shared_info, 0, sizeof(s->shared_info));
        return take_contexts(s, l, e);
    }
    if (!l->as_found && v->portable && mfn_eq(v->start_info, NO_MFN))
        return pv_fail(e, "edx of vCPU 0 names no start_info");
    if (!v->backend->read(v, v->shared_info, 0, s->shared_info, sizeof(s->shared_info)))
        return pv_fail(e, "cannot read shared_info");
    return take_contexts(s, l, e);
}

void save_state_free(struct save_state *s)
{
    free(s->context);
    s->context = NULL;
}

/* ---- records */

static struct extended_context extended_of(unsigned vcpu, const struct pv_extended *x)
{
    return (struct extended_context){
        .vcpu = vcpu,
        .bytes = sizeof(struct extended_context),
        .syscall32_eip = x->syscall32_eip,
        .sysenter_eip = x->sysenter_eip,
        .syscall32_cs = x->syscall32_cs,
        .sysenter_cs = x->sysenter_cs,
        .syscall32_disables_events = x->syscall32_disables_events,
        .sysenter_disables_events = x->sysenter_disables_events,
    };
}

static int put_vcpu(const struct save_state *s, const struct pv_view *v, unsigned vcpu,
                    struct sink *k, struct pv_error *e)
{
    const struct pv_extended *x = &v->vcpu[vcpu].extended;
    const struct vcpu_record h = {.vcpu = vcpu};
    const struct extended_context c = extended_of(vcpu, x);
    return save_record_of(k, LIBXC_VCPU_BASIC, &h, sizeof(h), s->context[vcpu],
                          pv_context_bytes(v->width), e) ||
           (x->there && save_record_of(k, LIBXC_VCPU_EXTENDED, &h, sizeof(h), &c, sizeof(c), e));
}

/* How long the guest has been there is told as of the last time that it was told the time. */
static struct tsc_info clock_of(const struct save_state *s, const struct pv_view *v)
{
    struct vcpu_time_info t;
    memcpy(&t, s->shared_info + offsetof(shared_info_t, vcpu_info[0].time), sizeof(t));
    return (struct tsc_info){.khz = v->tsc_khz <= UINT32_MAX ? (uint32_t)v->tsc_khz : 0,
                             .nsec = t.system_time};
}

int save_state_put(const struct save_state *s, const struct pv_view *v, struct sink *k,
                   struct pv_error *e)
{
    const struct tsc_info clock = clock_of(s, v);
    if (save_record(k, LIBXC_TSC_INFO, &clock, sizeof(clock), e) ||
        (!mfn_eq(v->shared_info, NO_MFN) &&
         save_record(k, LIBXC_SHARED_INFO, s->shared_info, sizeof(s->shared_info), e)))
        return -1;
    for (unsigned i = 0; i < v->nr_vcpus; i++)
        if (v->vcpu[i].valid && put_vcpu(s, v, i, k, e))
            return -1;
    return 0;
}
