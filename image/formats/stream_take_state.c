/* SPDX-License-Identifier: MIT */
/* Records of the guest's state: what it is, its p2m's pages, shared_info, the TSC and the vCPUs.
 * What pvmm does not keep for a guest must not be in use: it would change under it unseen. */
#include "stream_take.h"

#include <stdlib.h>
#include <string.h>

#include <xen/xen.h>

#define P2M_ENTRIES (PAGE_BYTES / sizeof(uint64_t)) /* in a page of the list */
#define TSC_MODES   3u
#define XCR0_KEPT   3ull /* x87, SSE: what a context has room for */
#define CR4_OSXSAVE (1ull << 18)

int take_pv_info(struct taking *c, struct pv_error *e)
{
    struct pv_info h;
    memcpy(&h, c->body, sizeof(h));
    if (h.width == 4 && h.levels == 3)
        return take_refuse(c, e, "a guest of 32 bits; 64 are needed");
    if (h.width != 8 || h.levels != 4)
        return take_refuse(c, e, "words of %u bytes with %u levels of tables; 8 and 4 are needed",
                           h.width, h.levels);
    c->t->width = h.width;
    if (c->version < 3)
        c->phase = TAKE_P2M;
    return 0;
}

/* ---- the p2m's length */

static int check_p2m(const struct taking *c, const struct p2m_frames *h, uint64_t frames,
                     struct pv_error *e)
{
    uint64_t end_pfn = h->end + 1ull;
    if (h->start != 0)
        return take_refuse(c, e, "its first pfn is %x, not 0", h->start);
    if (end_pfn > c->o->max_pfns)
        return take_refuse(c, e, "the guest has pfns up to %x; there is room for %llx of them",
                           h->end, (unsigned long long)c->o->max_pfns);
    uint64_t needed = (end_pfn + P2M_ENTRIES - 1) / P2M_ENTRIES;
    if (frames != needed)
        return take_refuse(c, e, "it has %llu pages of the p2m list; pfns up to %x take %llu",
                           (unsigned long long)frames, h->end, (unsigned long long)needed);
    return 0;
}

static int make_room(struct taking *c, uint64_t end_pfn, size_t frames, struct pv_error *e)
{
    struct pv_taken *t = c->t;
    t->page = calloc(end_pfn, sizeof(*t->page));
    t->p2m_pfn = calloc(frames, sizeof(*t->p2m_pfn));
    c->frame = calloc(end_pfn, sizeof(*c->frame));
    if (!t->page || !t->p2m_pfn || !c->frame)
        return pv_no_memory(e);
    for (uint64_t p = 0; p < end_pfn; p++)
        t->page[p] = (struct pv_taken_page){.record = TAKE_UNSEEN, .mfn = ~0u};
    t->end_pfn = end_pfn;
    t->p2m_frames = frames;
    c->most_listed = end_pfn * TAKE_PASSES;
    c->in.total = end_pfn;
    return 0;
}

int take_p2m_frames(struct taking *c, struct pv_error *e)
{
    struct p2m_frames h;
    if (c->h.bytes < sizeof(h) || (c->h.bytes - sizeof(h)) % sizeof(uint64_t))
        return take_refuse(c, e, "its length is %u, not %zu and 8 for each page of the list",
                           c->h.bytes, sizeof(h));
    uint64_t frames = (c->h.bytes - sizeof(h)) / sizeof(uint64_t);
    if (take_body(c, &h, sizeof(h), e) || check_p2m(c, &h, frames, e) ||
        make_room(c, h.end + 1ull, frames, e) ||
        take_body(c, c->t->p2m_pfn, frames * sizeof(uint64_t), e))
        return -1;
    c->phase = TAKE_PAGES;
    return c->ops->begin(c->context, c->t, e);
}

/* ---- of the domain */

int take_shared_info(struct taking *c, struct pv_error *e)
{
    (void)e;
    memcpy(c->t->shared_info, c->body, sizeof(c->t->shared_info));
    c->phase = TAKE_STATE;
    return 0;
}

int take_tsc_info(struct taking *c, struct pv_error *e)
{
    struct tsc_info h;
    memcpy(&h, c->body, sizeof(h));
    if (h.mode >= TSC_MODES)
        return take_refuse(c, e, "mode %u is not known", h.mode);
    c->t->tsc_khz = h.khz;
    c->phase = TAKE_STATE;
    return 0;
}

/* ---- of vCPUs */

static int more_vcpus(struct taking *c, unsigned n, struct pv_error *e)
{
    struct pv_taken *t = c->t;
    if (n <= t->nr_vcpus)
        return 0;
    struct pv_vcpu *v = reallocarray(t->vcpu, n, sizeof(*v));
    if (!v)
        return pv_no_memory(e);
    for (unsigned i = t->nr_vcpus; i < n; i++) {
        memset(&v[i], 0, sizeof(v[i]));
        v[i].kernel_root = v[i].user_root = NO_MFN;
    }
    t->vcpu = v;
    t->nr_vcpus = n;
    return 0;
}

/* What is behind the vCPU's number. *n is 0: records without content were written by Xen 4.6 to
 * 4.8, and say nothing. */
static int begin_vcpu(struct taking *c, struct pv_vcpu **v, const uint8_t **blob, size_t *n,
                      struct pv_error *e)
{
    struct vcpu_record h;
    memcpy(&h, c->body, sizeof(h));
    if (h.vcpu >= c->o->max_vcpus)
        return take_refuse(c, e, "of vCPU %u; there is room for %u", h.vcpu, c->o->max_vcpus);
    const uint8_t bit = (uint8_t)(1u << (c->h.type == LIBXC_VCPU_MSRS ? 7 : c->h.type - 4));
    if (c->vcpu_had[h.vcpu] & bit)
        return take_refuse(c, e, "that of vCPU %u came already", h.vcpu);
    if (more_vcpus(c, h.vcpu + 1, e))
        return -1;
    c->vcpu_had[h.vcpu] |= bit;
    c->phase = TAKE_STATE;
    *v = &c->t->vcpu[h.vcpu];
    *blob = c->body + sizeof(h);
    *n = c->h.bytes - sizeof(h);
    return 0;
}

static unsigned number_of(const struct taking *c, const struct pv_vcpu *v)
{
    return (unsigned)(v - c->t->vcpu);
}

int take_vcpu_basic(struct taking *c, struct pv_error *e)
{
    struct pv_vcpu *v;
    const uint8_t *blob;
    vcpu_guest_context_t context;
    size_t n;
    if (begin_vcpu(c, &v, &blob, &n, e))
        return -1;
    memcpy(&context, blob, sizeof(context));
    if (context.ctrlreg[4] & CR4_OSXSAVE)
        return take_refuse(c, e, "vCPU %u uses XSAVE (bit OSXSAVE of cr4), which is not kept",
                           number_of(c, v));
    pv_vcpu_take(v, 8, blob);
    if (!v->valid)
        return take_refuse(c, e, "vCPU %u has no cr3", number_of(c, v));
    return 0;
}

int take_vcpu_extended(struct taking *c, struct pv_error *e)
{
    struct pv_vcpu *v;
    const uint8_t *blob;
    struct extended_context x;
    size_t n;
    if (begin_vcpu(c, &v, &blob, &n, e))
        return -1;
    if (n == 0)
        return 0;
    if (n < sizeof(x))
        return take_refuse(c, e, "its content is %zu bytes, not %zu to %u", n, sizeof(x),
                           EXTENDED_MOST);
    memcpy(&x, blob, sizeof(x));
    if (x.vcpu != number_of(c, v) || x.bytes < sizeof(x) || x.bytes > n)
        return take_refuse(c, e, "it says to be of vCPU %u with %u bytes; it is of %u with %zu",
                           x.vcpu, x.bytes, number_of(c, v), n);
    v->extended = stream_extended(&x);
    return 0;
}

/* x87 and SSE are in the context as well. */
int take_vcpu_xsave(struct taking *c, struct pv_error *e)
{
    struct pv_vcpu *v;
    const uint8_t *blob;
    uint64_t xcr0[2]; /* now; all that was ever set */
    size_t n;
    if (begin_vcpu(c, &v, &blob, &n, e))
        return -1;
    if (n == 0)
        return 0;
    if (n < sizeof(xcr0))
        return take_refuse(c, e, "its content is %zu bytes, fewer than %zu", n, sizeof(xcr0));
    memcpy(xcr0, blob, sizeof(xcr0));
    if ((xcr0[0] | xcr0[1]) & ~XCR0_KEPT)
        return take_refuse(c, e, "vCPU %u uses XSAVE (xcr0 %llx, ever %llx), which is not kept",
                           number_of(c, v), (unsigned long long)xcr0[0],
                           (unsigned long long)xcr0[1]);
    return 0;
}

/* Xen sends those alone that are not 0: SPEC_CTRL, MISC_FEATURES_ENABLES, TSC_AUX and the masks of
 * debug registers. A guest that relies on one must not lose it. */
int take_vcpu_msrs(struct taking *c, struct pv_error *e)
{
    struct pv_vcpu *v;
    const uint8_t *blob;
    struct msr {
        uint32_t index, reserved;
        uint64_t value;
    } m;
    size_t n;
    if (begin_vcpu(c, &v, &blob, &n, e))
        return -1;
    if (n % sizeof(m))
        return take_refuse(c, e, "its content is %zu bytes, no multiple of %zu", n, sizeof(m));
    for (size_t at = 0; at < n; at += sizeof(m)) {
        memcpy(&m, blob + at, sizeof(m));
        if (m.value)
            return take_refuse(c, e, "MSR %x of vCPU %u is %llx, which is not kept", m.index,
                               number_of(c, v), (unsigned long long)m.value);
    }
    return 0;
}

/* ---- */

int take_state_complete(struct taking *c, struct pv_error *e)
{
    if (!(c->had >> LIBXC_SHARED_INFO & 1))
        return take_refuse(c, e, "no SHARED_INFO came before it");
    if (c->t->nr_vcpus == 0 || !c->t->vcpu[0].valid)
        return take_refuse(c, e, "no X86_PV_VCPU_BASIC of vCPU 0 came before it");
    for (unsigned i = 1; i < c->t->nr_vcpus; i++)
        if (c->vcpu_had[i] && !c->t->vcpu[i].valid)
            return take_refuse(c, e, "no X86_PV_VCPU_BASIC of vCPU %u came before it", i);
    return 0;
}
