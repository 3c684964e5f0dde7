/* SPDX-License-Identifier: MIT */
/*
 * mmu_update, mmuext_op, update_va_mapping: the guest's requests about its page tables. The rules
 * are the core's; here are the ABI's argument shapes, its batches and the flushes it asks for.
 */
#include "hypercall.h"

#include "dirty.h"
#include "guestword.h"
#include "shadow.h"

#define MMU_UPDATE_PREEMPTED 0x80000000u /* in the count of a batch that is issued again */
#define FETCHED              16u         /* elements taken from the guest at a time */

/* DOMID_IO owns what is not RAM; the core knows such frames by themselves, no frame is "its". */
static struct core_domain io_domain = {.id = DOMID_IO};

/* ---- batches: what mmu_update and mmuext_op have in common */

struct batch {
    gva_t list;
    uint32_t count;
    uint32_t element_bytes;
    gva_t done_at;   /* where the guest wants the number done; 0: nowhere */
    uint32_t done;   /* before this turn, as the guest was told there */
    uint64_t before; /* the same, told or not: only reports use it */
};

/*
 * A batch that pauses is issued again with what is left and MMU_UPDATE_PREEMPTED in the count. One
 * that is finished but left releases over is issued again empty, with its result, noted by then, in
 * place of the domain. false: *result is the answer.
 */
static bool batch_start(struct call *c, struct batch *b, int64_t *result)
{
    *b = (struct batch){
        .list = gva(c->arg[0]),
        .count = (uint32_t)c->arg[1],
        .done_at = gva(c->arg[2]),
        .element_bytes = b->element_bytes,
    };
    if (!request_begin(c)) {
        *result = call_restart(c);
        return false;
    }
    if (b->count == MMU_UPDATE_PREEMPTED && b->list.a == 0) {
        request_end(c, 0);
        *result = (int32_t)c->arg[3];
        c->noted = true;
        return false;
    }
    b->before = progress_take(&c->v->batch, b->list.a);
    if (b->count & MMU_UPDATE_PREEMPTED) {
        b->count &= ~MMU_UPDATE_PREEMPTED;
        if (b->done_at.a && !copy_from_guest(&b->done, b->done_at, sizeof(b->done)))
            b->done = 0;
    }
    /* The elements are fetched one by one; where the list ends shows then. */
    if (guest_range_ok(b->list, 1))
        return true;
    *result = request_end(c, -XEN_EFAULT);
    return false;
}

/* Takes up to `n` elements; fewer when the list ends in a page that is not there. */
static unsigned batch_fetch(const struct batch *b, void *to, uint32_t from, unsigned n)
{
    gva_t at = gva(b->list.a + (uint64_t)from * b->element_bytes);
    if (n > FETCHED)
        n = FETCHED;
    if (copy_from_guest(to, at, (uint64_t)n * b->element_bytes))
        return n;
    return copy_from_guest(to, at, b->element_bytes) ? 1 : 0;
}

/* Sees to what the requests left over, while nothing else wants the CPU. */
static bool leftovers_remain(struct call *c)
{
    struct core_vcpu *v = &c->v->mem;
    while (core_end(the_core(), v) == CORE_RESTART) {
        if (cpu_interrupt_pending())
            return true;
        core_begin(the_core(), v);
    }
    return false;
}

/* The element that was refused, as the guest's list has it now; the list itself as it was issued
 * first. */
static __attribute__((noinline, cold)) void note_element(struct call *c, const struct batch *b,
                                                         uint32_t performed, int rc)
{
    uint64_t words[3] = {0};
    uint64_t bytes = b->element_bytes < sizeof(words) ? b->element_bytes : sizeof(words);
    gva_t at = gva(b->list.a + (uint64_t)performed * b->element_bytes);
    bool read = copy_from_guest(words, at, bytes);
    c->arg[0] = b->list.a - b->before * b->element_bytes;
    c->arg[1] = b->before + b->count;
    note_refusal_at(c, rc, b->before + performed, c->arg[1], read ? words : NULL);
}

static __attribute__((noinline)) int64_t batch_finish(struct call *c, const struct batch *b,
                                                      uint32_t performed, int rc)
{
    uint32_t done = b->done + performed;
    if (rc < 0 && rc != CORE_RESTART)
        note_element(c, b, performed, rc);
    bool remain = leftovers_remain(c);
    if (b->done_at.a)
        copy_to_guest(b->done_at, &done, sizeof(done));
    if (rc == CORE_RESTART) {
        c->arg[0] = b->list.a + (uint64_t)performed * b->element_bytes;
        c->arg[1] = (b->count - performed) | MMU_UPDATE_PREEMPTED;
        c->v->batch = (struct progress){c->arg[0], b->before + performed};
        return call_restart(c);
    }
    if (!remain)
        return rc;
    c->arg[0] = 0;
    c->arg[1] = MMU_UPDATE_PREEMPTED;
    c->arg[2] = 0;
    c->arg[3] = (uint32_t)rc;
    return call_restart(c);
}

/* ---- mmu_update */

/* The domain in bits 31:16 (number plus one; 0 the caller) owns the tables. */
static bool names_own_tables(const struct vcpu *v, uint32_t named)
{
    uint16_t id = (uint16_t)(named >> 16);
    return id == 0 || id - 1 == v->domain->mem.id;
}

/* The one in bits 15:0 owns the frames. NULL: it exists, but the caller has no right to it. */
static int named_frames(struct vcpu *v, uint32_t named, struct core_domain **frames)
{
    struct core_domain *own = &v->domain->mem;
    uint16_t frames_id = (uint16_t)named;
    *frames = frames_id == DOMID_SELF ? own : frames_id == DOMID_IO ? &io_domain : NULL;
    /* A domain must not name itself by number here: real Xen refuses that. */
    return *frames || frames_id == DOMID_XEN ? 0 : -XEN_ESRCH;
}

/* While the guest is watched, and before the change: the core tells of changes of references alone,
 * and the shadows must know of those of accessed and dirty bits, too. */
static __attribute__((noinline)) void tell_shadows(const struct core_update *u, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        shadow_entry_changes(u[i].ptr);
}

static inline void entries_change(const struct core_update *u, unsigned n)
{
    if (__builtin_expect(shadow_on, false))
        tell_shadows(u, n);
}

static int update_some(struct call *c, struct core_domain *frames, const struct core_update *u,
                       unsigned n, uint32_t *performed)
{
    unsigned done = 0;
    if (n == 0)
        return -XEN_EFAULT;
    if (!frames)
        return -XEN_EPERM;
    entries_change(u, n);
    int rc = core_mmu_update(the_core(), &c->v->mem, &c->v->domain->mem, frames, u, n, &done);
    *performed += done;
    return rc;
}

/* What a kernel does at nearly every fault: one update of its own, and nobody asks how many were
 * done. */
static bool is_alone(const struct call *c)
{
    return (uint32_t)c->arg[1] == 1 && c->arg[2] == 0 && (uint32_t)c->arg[3] == DOMID_SELF;
}

/* Refused, paused, or something is left over: as for a batch of one. */
static __attribute__((noinline, cold)) int64_t finish_alone(struct call *c, unsigned done, int rc)
{
    const struct batch b = {
        .list = gva(c->arg[0]), .count = 1, .element_bytes = sizeof(struct core_update)};
    return batch_finish(c, &b, done, rc);
}

static bool fetch_alone(uint64_t at, struct core_update *u)
{
    return guest_range_ok(gva(at), sizeof(*u)) && guest_word_get(&u->ptr, at) &&
           guest_word_get(&u->val, at + sizeof(u->ptr));
}

static int64_t update_alone(struct call *c)
{
    struct core_domain *d = &c->v->domain->mem;
    struct core_update u;
    unsigned done = 0;
    int rc = -XEN_EFAULT;
    if (!request_begin(c))
        return call_restart(c);
    if (fetch_alone(c->arg[0], &u)) {
        if (__builtin_expect(shadow_on, false))
            shadow_entry_changes(u.ptr);
        rc = core_mmu_update(the_core(), &c->v->mem, d, d, &u, 1, &done);
    }
    if (rc == 0 && core_end(the_core(), &c->v->mem) == 0)
        return 0;
    return finish_alone(c, done, rc);
}

static __attribute__((noinline)) int64_t update_batch(struct call *c)
{
    _Static_assert(sizeof(struct core_update) == sizeof(mmu_update_t), "the ABI's layout");
    struct batch b = {.element_bytes = sizeof(struct core_update)};
    struct core_update u[FETCHED];
    struct core_domain *frames;
    uint32_t performed = 0;
    int64_t result;
    if (!batch_start(c, &b, &result))
        return result;
    if (!names_own_tables(c->v, (uint32_t)c->arg[3]))
        return request_end(c, -XEN_ESRCH); /* the one refusal that leaves the done counter alone */
    int rc = named_frames(c->v, (uint32_t)c->arg[3], &frames);
    while (rc == 0 && performed < b.count) {
        unsigned n = batch_fetch(&b, u, performed, b.count - performed);
        rc = update_some(c, frames, u, n, &performed);
    }
    return batch_finish(c, &b, performed, rc);
}

int64_t hc_mmu_update(struct call *c)
{
    return is_alone(c) ? update_alone(c) : update_batch(c);
}

/* ---- flushing on the guest's request */

/* Does the guest's bitmap name the vCPU that this CPU runs? All vCPUs fit one word. */
static int mask_names(const struct vcpu *v, gva_t bitmap, bool *named)
{
    _Static_assert(MAX_VCPUS <= 64, "one word of the bitmap is read");
    uint64_t word;
    if (!copy_from_guest(&word, bitmap, sizeof(word)))
        return -XEN_EFAULT;
    *named = word >> v->id & 1;
    return 0;
}

/* Other addresses have no entry of the guest's in the TLB. */
static void flush_page(gva_t va)
{
    if (guest_range_ok(va, 1))
        tlb_flush_page(va);
}

static int flush_by_mask(const struct vcpu *v, gva_t bitmap, bool whole, gva_t va)
{
    bool named = false;
    int rc = mask_names(v, bitmap, &named);
    if (rc || !named)
        return rc;
    if (whole)
        tlb_flush_local();
    else
        flush_page(va);
    return 0;
}

/* ---- mmuext_op */

static int ext_set_ldt(struct vcpu *v, const struct mmuext_op *op)
{
    uint32_t entries = op->arg2.nr_ents;
    gva_t base = gva(entries ? op->arg1.linear_addr : 0);
    bool changed = false;
    if (entries && !guest_range_ok(base, 1)) /* what of it is reachable shows page by page */
        return -XEN_EINVAL;
    int rc = core_set_ldt(the_core(), &v->mem, base, entries, &changed);
    if (rc == 0 && changed) {
        cpu_unmap_ldt(v);
        cpu_load_ldt(v);
    }
    return rc;
}

static int ext_flush(struct vcpu *v, const struct mmuext_op *op)
{
    gva_t va = gva(op->arg1.linear_addr);
    gva_t bitmap = gva((uint64_t)op->arg2.vcpumask.p);
    switch (op->cmd) {
    case MMUEXT_TLB_FLUSH_LOCAL:
    case MMUEXT_TLB_FLUSH_ALL:
        tlb_flush_local();
        return 0;
    case MMUEXT_INVLPG_LOCAL:
    case MMUEXT_INVLPG_ALL:
        flush_page(va);
        return 0;
    default: /* the two MULTI forms: a bad bitmap is a bad argument here */
        return flush_by_mask(v, bitmap, op->cmd == MMUEXT_TLB_FLUSH_MULTI, va) ? -XEN_EINVAL : 0;
    }
}

static int ext_perform(struct vcpu *v, const struct mmuext_op *op)
{
    struct core *core = the_core();
    struct core_domain *d = &v->domain->mem;
    mfn_t m = mfn(op->arg1.mfn);
    switch (op->cmd) {
    case MMUEXT_PIN_L1_TABLE:
    case MMUEXT_PIN_L2_TABLE:
    case MMUEXT_PIN_L3_TABLE:
    case MMUEXT_PIN_L4_TABLE:
        return core_pin(core, &v->mem, d, m, op->cmd - MMUEXT_PIN_L1_TABLE + 1);
    case MMUEXT_UNPIN_TABLE:
        return core_unpin(core, &v->mem, d, m);
    case MMUEXT_NEW_BASEPTR:
        return load_kernel_root(v, m);
    case MMUEXT_NEW_USER_BASEPTR:
        return core_load_user_root(core, &v->mem, m);
    case MMUEXT_TLB_FLUSH_LOCAL:
    case MMUEXT_INVLPG_LOCAL:
    case MMUEXT_TLB_FLUSH_MULTI:
    case MMUEXT_INVLPG_MULTI:
    case MMUEXT_TLB_FLUSH_ALL:
    case MMUEXT_INVLPG_ALL:
        return ext_flush(v, op);
    case MMUEXT_FLUSH_CACHE:
        return -XEN_EACCES; /* for domains with devices only */
    case MMUEXT_FLUSH_CACHE_GLOBAL:
        return -XEN_EINVAL; /* likewise; the ABI has it so */
    case MMUEXT_SET_LDT:
        return ext_set_ldt(v, op);
    case MMUEXT_CLEAR_PAGE:
        dirty_mark(m);
        return core_clear_page(core, &v->mem, d, m);
    case MMUEXT_COPY_PAGE:
        dirty_mark(m);
        return core_copy_page(core, &v->mem, d, m, mfn(op->arg2.src_mfn));
    case MMUEXT_MARK_SUPER:
    case MMUEXT_UNMARK_SUPER:
        return -XEN_EOPNOTSUPP;
    default:
        return -XEN_ENOSYS;
    }
}

/* The domain whose frames the operations name: only the caller's own can be. */
static int ext_domain(const struct call *c)
{
    uint16_t id = (uint16_t)c->arg[3];
    if (id == DOMID_SELF)
        return 0;
    return id == DOMID_IO || id == DOMID_XEN ? -XEN_EPERM : -XEN_ESRCH;
}

/* What an operation left over is finished before the next one, which may depend on it. */
static int ext_one(struct call *c, const struct mmuext_op *op, bool first)
{
    if (!first && (cpu_interrupt_pending() || (c->v->mem.leftovers > 0 && leftovers_remain(c))))
        return CORE_RESTART;
    return ext_perform(c->v, op);
}

int64_t hc_mmuext_op(struct call *c)
{
    struct batch b = {.element_bytes = sizeof(struct mmuext_op)};
    struct mmuext_op op;
    uint32_t performed = 0;
    int64_t result;
    if (!batch_start(c, &b, &result))
        return result;
    int rc = ext_domain(c);
    while (rc == 0 && performed < b.count) {
        rc = batch_fetch(&b, &op, performed, 1) ? ext_one(c, &op, performed == 0) : -XEN_EFAULT;
        performed += rc == 0;
    }
    return batch_finish(c, &b, performed, rc);
}

/* ---- update_va_mapping */

static int va_flush(struct vcpu *v, gva_t va, uint64_t flags)
{
    uint64_t kind = flags & UVMF_FLUSHTYPE_MASK, whom = flags & ~(uint64_t)UVMF_FLUSHTYPE_MASK;
    if (kind != UVMF_TLB_FLUSH && kind != UVMF_INVLPG)
        return 0;
    if (whom != UVMF_LOCAL && whom != UVMF_ALL)
        return flush_by_mask(v, gva(whom), kind == UVMF_TLB_FLUSH, va);
    if (kind == UVMF_TLB_FLUSH)
        tlb_flush_local();
    else
        flush_page(va);
    return 0;
}

int64_t hc_update_va_mapping(struct call *c)
{
    gva_t va = gva(c->arg[0]);
    if (!request_begin(c))
        return call_restart(c);
    shadow_tables_change();
    int rc = core_update_va(the_core(), &c->v->mem, &c->v->domain->mem, va, c->arg[1]);
    if (rc == 0)
        rc = va_flush(c->v, va, c->arg[2]);
    return request_end(c, rc);
}

int64_t hc_update_va_mapping_otherdomain(struct call *c)
{
    int rc = ext_domain(c);
    return rc ? rc : hc_update_va_mapping(c);
}
