/* SPDX-License-Identifier: MIT */
/*
 * The hypercalls that the library makes, performed on the core. Errors are those of the ABI, as
 * pvmm gives them. Arguments that are addresses are C objects of this process. Requests that the
 * core pauses are taken up again here: a guest does not see that either.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <xen/callback.h>
#include <xen/errno.h>
#include <xen/features.h>
#include <xen/io/console.h>
#include <xen/sched.h>
#include <xen/version.h>
#include <xen/xen.h>

#include "inside.h"

void (*machine_after_call)(struct machine *m, unsigned number);

static struct core_domain io_domain = {.id = DOMID_IO};

/* ---- requests */

void request_begin(struct machine *m)
{
    while (core_begin(&m->w->core, m->v) == CORE_RESTART)
        core_end(&m->w->core, m->v);
}

void request_end(struct machine *m)
{
    while (core_end(&m->w->core, m->v) == CORE_RESTART)
        core_begin(&m->w->core, m->v);
}

static void request_again(struct machine *m)
{
    request_end(m);
    request_begin(m);
}

static bool is_due(struct injection *i)
{
    return i->in > 0 && --i->in == 0;
}

int element_next(struct machine *m)
{
    m->elements++;
    return is_due(&m->element) ? m->element.error : 0;
}

/* ---- mmu_update */

static int update_one(struct machine *m, struct core_domain *frames, const struct core_update *u)
{
    unsigned done;
    int rc;
    while ((rc = core_mmu_update(&m->w->core, m->v, m->d, frames, u, 1, &done)) == CORE_RESTART)
        request_again(m);
    return rc;
}

static int64_t do_mmu_update(struct machine *m, const uint64_t arg[5])
{
    const struct mmu_update *u = (const void *)arg[0];
    unsigned *done_at = (void *)arg[2], performed = 0;
    struct core_domain *frames = arg[3] == DOMID_SELF ? m->d : arg[3] == DOMID_IO ? &io_domain : 0;
    if (!frames)
        return -XEN_ESRCH;
    request_begin(m);
    int rc = 0;
    for (; performed < (uint32_t)arg[1]; performed++) {
        rc = element_next(m);
        if (rc == 0)
            rc = update_one(m, frames, &(struct core_update){u[performed].ptr, u[performed].val});
        if (rc)
            break;
    }
    request_end(m);
    if (done_at)
        *done_at = performed;
    return rc;
}

/* ---- flushes, mmuext_op */

static bool mask_names_us(const void *bitmap)
{
    return *(const uint64_t *)bitmap & 1;
}

static int ext_flush(const struct mmuext_op *op)
{
    bool multi = op->cmd == MMUEXT_TLB_FLUSH_MULTI || op->cmd == MMUEXT_INVLPG_MULTI;
    bool page = op->cmd == MMUEXT_INVLPG_LOCAL || op->cmd == MMUEXT_INVLPG_MULTI ||
                op->cmd == MMUEXT_INVLPG_ALL;
    if (multi && !mask_names_us(op->arg2.vcpumask.p))
        return 0;
    if (page)
        access_flush_page(op->arg1.linear_addr);
    else
        access_flush_all();
    return 0;
}

static int load_root(struct machine *m, uint64_t n)
{
    int rc = core_load_kernel_root(&m->w->core, m->v, mfn(n));
    if (rc == 0)
        access_flush_root();
    return rc;
}

static int ext_perform(struct machine *m, const struct mmuext_op *op)
{
    struct core *c = &m->w->core;
    mfn_t n = mfn(op->arg1.mfn);
    switch (op->cmd) {
    case MMUEXT_PIN_L1_TABLE:
    case MMUEXT_PIN_L2_TABLE:
    case MMUEXT_PIN_L3_TABLE:
    case MMUEXT_PIN_L4_TABLE:
        return core_pin(c, m->v, m->d, n, op->cmd - MMUEXT_PIN_L1_TABLE + 1);
    case MMUEXT_UNPIN_TABLE:
        return core_unpin(c, m->v, m->d, n);
    case MMUEXT_NEW_BASEPTR:
        return load_root(m, n.n);
    case MMUEXT_NEW_USER_BASEPTR:
        return core_load_user_root(c, m->v, n);
    case MMUEXT_TLB_FLUSH_LOCAL:
    case MMUEXT_INVLPG_LOCAL:
    case MMUEXT_TLB_FLUSH_MULTI:
    case MMUEXT_INVLPG_MULTI:
    case MMUEXT_TLB_FLUSH_ALL:
    case MMUEXT_INVLPG_ALL:
        return ext_flush(op);
    case MMUEXT_CLEAR_PAGE:
        return core_clear_page(c, m->v, m->d, n);
    case MMUEXT_COPY_PAGE:
        return core_copy_page(c, m->v, m->d, n, mfn(op->arg2.src_mfn));
    default:
        return -XEN_ENOSYS;
    }
}

static int ext_one(struct machine *m, const struct mmuext_op *op)
{
    int rc = element_next(m);
    if (rc)
        return rc;
    while ((rc = ext_perform(m, op)) == CORE_RESTART)
        request_again(m);
    /* What it left over is finished before the next, which may depend on it. */
    request_again(m);
    return rc;
}

static int64_t do_mmuext_op(struct machine *m, const uint64_t arg[5])
{
    const struct mmuext_op *op = (const void *)arg[0];
    unsigned *done_at = (void *)arg[2], performed = 0;
    int rc = (uint16_t)arg[3] == DOMID_SELF ? 0 : -XEN_ESRCH;
    request_begin(m);
    while (rc == 0 && performed < (uint32_t)arg[1]) {
        rc = ext_one(m, &op[performed]);
        performed += rc == 0;
    }
    request_end(m);
    if (done_at)
        *done_at = performed;
    return rc;
}

/* ---- update_va_mapping */

static void va_flush(uint64_t va, uint64_t flags)
{
    uint64_t kind = flags & UVMF_FLUSHTYPE_MASK, whom = flags & ~(uint64_t)UVMF_FLUSHTYPE_MASK;
    if (whom != UVMF_LOCAL && whom != UVMF_ALL && !mask_names_us((const void *)whom))
        return;
    if (kind == UVMF_TLB_FLUSH)
        access_flush_all();
    else if (kind == UVMF_INVLPG)
        access_flush_page(va);
}

static int64_t do_update_va_mapping(struct machine *m, const uint64_t arg[5])
{
    int rc;
    request_begin(m);
    while ((rc = core_update_va(&m->w->core, m->v, m->d, gva(arg[0]), arg[1])) == CORE_RESTART)
        request_again(m);
    request_end(m);
    if (rc == 0)
        va_flush(arg[0], arg[2]);
    return rc;
}

/* ---- console */

static void console_put(struct machine *m, const char *text, size_t bytes)
{
    size_t room = sizeof(m->console) - 1 - m->console_length;
    if (bytes > room)
        machine_failed("the guest printed more than %u bytes", TEXT_MAX);
    memcpy(m->console + m->console_length, text, bytes);
    m->console_length += bytes;
    m->console[m->console_length] = 0;
}

static int64_t do_console_io(struct machine *m, const uint64_t arg[5])
{
    if (!m->params.initial_domain)
        return -XEN_EPERM;
    if (arg[0] != CONSOLEIO_write)
        return 0; /* nobody types */
    console_put(m, (const char *)arg[2], arg[1]);
    return 0;
}

/* What a console's backend does when it is told. */
void drain_ring(struct machine *m)
{
    struct xencons_interface *ring = page_content(m, m->layout.console);
    if (ring->out_prod - ring->out_cons > sizeof(ring->out))
        machine_failed("the console's ring is broken: %u..%u", ring->out_cons, ring->out_prod);
    for (; ring->out_cons != ring->out_prod; ring->out_cons++)
        console_put(m, &ring->out[MASK_XENCONS_IDX(ring->out_cons, ring->out)], 1);
}

/* ---- the rest */

static int64_t do_sched_op(struct machine *m, const uint64_t arg[5])
{
    const struct sched_shutdown *shutdown = (const void *)arg[1];
    if (arg[0] == SCHEDOP_shutdown && shutdown->reason == SHUTDOWN_suspend &&
        m->on_suspend != MACHINE_SUSPEND_ENDS)
        return suspend_domain(m, arg[2]);
    if (arg[0] == SCHEDOP_shutdown)
        machine_stop((int)shutdown->reason);
    if (arg[0] == SCHEDOP_yield && !m->params.initial_domain)
        drain_ring(m);
    if (arg[0] == SCHEDOP_poll)
        return do_poll(m, (const void *)arg[1]);
    return arg[0] == SCHEDOP_yield || arg[0] == SCHEDOP_block ? 0 : -XEN_ENOSYS;
}

static int64_t get_features(struct machine *m, xen_feature_info_t *info)
{
    uint32_t least = 1u << XENFEAT_mmu_pt_update_preserve_ad | 1u << XENFEAT_gnttab_map_avail_bits;
    uint32_t more = 1u << XENFEAT_pae_pgdir_above_4gb | 1u << XENFEAT_memory_op_vnode_supported;
    if (info->submap_idx != 0)
        return -XEN_EINVAL;
    info->submap = m->params.features_minimal ? least : least | more;
    if (m->params.initial_domain)
        info->submap |= 1u << XENFEAT_dom0;
    return 0;
}

static int64_t do_xen_version(struct machine *m, const uint64_t arg[5])
{
    switch (arg[0]) {
    case XENVER_version:
        return 4 << 16 | 17;
    case XENVER_get_features:
        return get_features(m, (xen_feature_info_t *)arg[1]);
    case XENVER_extraversion:
        strcpy((char *)arg[1], "-host");
        return 0;
    default:
        return -XEN_ENOSYS;
    }
}

/* No exception ever comes here. */
static int64_t do_nothing(struct machine *m, const uint64_t arg[5])
{
    (void)m, (void)arg;
    return 0;
}

/* ---- dispatch */

static hypercall_handler do_multicall;

static hypercall_handler *const handlers[64] = {
    [__HYPERVISOR_set_trap_table] = do_nothing,
    [__HYPERVISOR_mmu_update] = do_mmu_update,
    [__HYPERVISOR_stack_switch] = do_nothing,
    [__HYPERVISOR_set_callbacks] = do_nothing,
    [__HYPERVISOR_memory_op] = do_memory_op,
    [__HYPERVISOR_multicall] = do_multicall,
    [__HYPERVISOR_update_va_mapping] = do_update_va_mapping,
    [__HYPERVISOR_xen_version] = do_xen_version,
    [__HYPERVISOR_console_io] = do_console_io,
    [__HYPERVISOR_grant_table_op] = do_grant_table_op,
    [__HYPERVISOR_vm_assist] = do_nothing,
    [__HYPERVISOR_mmuext_op] = do_mmuext_op,
    [__HYPERVISOR_sched_op] = do_sched_op,
    [__HYPERVISOR_callback_op] = do_nothing,
    [__HYPERVISOR_event_channel_op] = do_event_channel_op,
};

static bool is_counted(unsigned number)
{
    return number != __HYPERVISOR_console_io && number != __HYPERVISOR_event_channel_op &&
           number != __HYPERVISOR_sched_op;
}

static int64_t dispatch(struct machine *m, unsigned number, const uint64_t arg[5], bool nested)
{
    hypercall_handler *serve = number < 64 ? handlers[number] : NULL;
    struct made *made = &m->made[m->nr_made++ % CALLS_KEPT];
    *made = (struct made){.number = number, .nested = nested, .result = -1};
    memcpy(made->arg, arg, sizeof(made->arg));
    m->calls += is_counted(number);
    if (is_counted(number) && is_due(&m->call)) {
        m->failed_at = (int)number;
        made->injected = true;
        return made->result = m->call.error;
    }
    uint64_t element = m->element.in;
    m->v->refusal.error = 0;
    int64_t result = serve ? serve(m, arg) : -XEN_ENOSYS;
    if (element && !m->element.in && m->failed_at < 0)
        m->failed_at = (int)number, made->injected = true;
    made->result = result;
    if (machine_after_call)
        machine_after_call(m, number);
    return result;
}

static int64_t do_multicall(struct machine *m, const uint64_t arg[5])
{
    struct multicall_entry *call = (void *)arg[0];
    for (uint32_t i = 0; i < (uint32_t)arg[1]; i++) {
        if (call[i].op == __HYPERVISOR_multicall)
            return -XEN_EINVAL;
        uint64_t nested[5];
        for (unsigned k = 0; k < 5; k++)
            nested[k] = call[i].args[k];
        call[i].result = (uint64_t)dispatch(m, (unsigned)call[i].op, nested, true);
    }
    return 0;
}

int64_t machine_hypercall(unsigned number, const uint64_t arg[5])
{
    return dispatch(&the_machine, number, arg, false);
}

void print_calls(struct machine *m)
{
    const struct core_refusal *r = &m->v->refusal;
    uint64_t from = m->nr_made > CALLS_KEPT ? m->nr_made - CALLS_KEPT : 0;
    for (uint64_t i = from; i < m->nr_made; i++) {
        const struct made *made = &m->made[i % CALLS_KEPT];
        fprintf(stderr,
                "  %s%u(%" PRIx64 ", %" PRIx64 ", %" PRIx64 ", %" PRIx64 ", %" PRIx64 ") = %" PRId64
                "%s\n",
                made->nested ? "  " : "", made->number, made->arg[0], made->arg[1], made->arg[2],
                made->arg[3], made->arg[4], made->result, made->injected ? " (made to fail)" : "");
    }
    if (r->error)
        fprintf(stderr, "  refused: %s; frame %" PRIx64 " is %s, value %" PRIx64 ", R%u\n",
                core_reason_text(r->reason), r->frame.n, core_type_name(core_use_type(r->use)),
                r->value, r->rule);
}
