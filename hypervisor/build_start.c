/* SPDX-License-Identifier: MIT */
/* What a new guest finds when it starts: start_info, its console's port, its first registers. */
#include "builder.h"

#include "context.h"
#include "string.h"

#define HYPERCALL_STUB_BYTES 32u
#define RFLAGS_START         0x202u /* interrupts on; bit 1 is always set */

/* ---- start_info */

static void fill_module(start_info_t *s, const struct guest_layout *l, const struct guest_image *g)
{
    if (l->module.count == 0)
        return;
    s->mod_start = g->unmapped_module ? l->module.first : guest_layout_va(l, l->module.first);
    s->mod_len = l->module.count * PAGE_BYTES;
    if (g->unmapped_module)
        s->flags |= SIF_MOD_START_PFN;
}

static void fill_start_info(const struct domain *d, const struct guest_layout *l,
                            const struct guest_image *g, const char *command_line)
{
    start_info_t *s = guest_page(l->start_info);
    copy_string(s->magic, "xen-3.0-x86_64", sizeof(s->magic));
    s->nr_pages = l->total;
    s->shared_info = mfn_address(d->shared_mfn, 0).a;
    s->store_mfn = d->xenstore_mfn.n;
    s->store_evtchn = d->store_port; /* 0: nobody answers, the guest then does without */
    s->console.domU.mfn = d->console_mfn.n;
    s->console.domU.evtchn = d->console_port;
    s->pt_base = guest_layout_va(l, l->tables.first);
    s->nr_pt_frames = l->tables.count;
    s->mfn_list = l->p2m_va;
    fill_module(s, l, g);
    copy_string((char *)s->cmd_line, command_line, sizeof(s->cmd_line));
    if (g->has_init_p2m) {
        s->first_p2m_pfn = l->p2m.first;
        s->nr_p2m_frames = l->p2m.count + l->p2m_tables.count;
    }
}

/* ---- the hypercall page */

/* Saves what SYSCALL destroys and makes call `n`; iret does not come back, its frame is on the
 * stack. */
static void fill_stub(uint8_t *to, uint8_t n)
{
    /* clang-format off */
    static const uint8_t call[] = {
        0x51, 0x41, 0x53,                  /* push %rcx; push %r11 */
        0xb8, 0, 0, 0, 0,                  /* mov $n, %eax */
        0x0f, 0x05,                        /* syscall */
        0x41, 0x5b, 0x59,                  /* pop %r11; pop %rcx */
        0xc3,                              /* ret */
    };
    static const uint8_t iret[] = {
        0x51, 0x41, 0x53, 0x50,            /* push %rcx; push %r11; push %rax */
        0xb8, __HYPERVISOR_iret, 0, 0, 0,  /* mov $iret, %eax */
        0x0f, 0x05,                        /* syscall */
    };
    /* clang-format on */
    if (n == __HYPERVISOR_iret) {
        memcpy(to, iret, sizeof(iret));
        return;
    }
    memcpy(to, call, sizeof(call));
    to[4] = n;
}

static void fill_hypercall_page(const struct guest_layout *l, const struct guest_image *g)
{
    if (!g->has_hypercall_page)
        return;
    uint8_t *page = guest_page((g->hypercall_page - l->virt_base) / PAGE_BYTES);
    memset(page, 0xcc, PAGE_BYTES); /* int3 between the stubs */
    for (unsigned n = 0; n < PAGE_BYTES / HYPERCALL_STUB_BYTES; n++)
        fill_stub(page + n * HYPERCALL_STUB_BYTES, (uint8_t)n);
}

/* ---- the first vCPU */

static void fill_vcpu(struct vcpu *v, const struct guest_layout *l, const struct guest_image *g)
{
    uint64_t stack_top = guest_layout_va(l, l->stack + 1);
    v->regs = (struct regs){
        .rip = g->entry,
        .cs = FLAT_KERNEL_CS,
        .rflags = RFLAGS_START,
        .rsp = stack_top,
        .ss = FLAT_KERNEL_SS,
        .rsi = guest_layout_va(l, l->start_info),
    };
    v->kernel_ss = FLAT_KERNEL_SS;
    v->kernel_sp = stack_top;
    v->guest_cr0 = CR0_START;
    v->guest_cr4 = CR4_START;
    v->in_kernel = true;
    v->online = true;
    runstate_enter(v, RUNSTATE_running);
    vtime_publish(v);
}

static uint16_t bind_host(struct domain *d, enum host_port host)
{
    unsigned p = event_port_take(d);
    d->ports[p].state = PORT_INTERDOMAIN;
    d->ports[p].host = (uint8_t)host;
    return (uint16_t)p;
}

void host_ports_bind(struct domain *d, bool with_store)
{
    d->console_port = bind_host(d, HOST_PORT_CONSOLE);
    if (with_store)
        d->store_port = bind_host(d, HOST_PORT_STORE);
}

void start_state_make(struct domain *d, const struct guest_layout *l, const struct guest_image *g,
                      const char *command_line, bool with_store)
{
    d->start_info = pfn(l->start_info);
    d->virt_base = gva(l->virt_base);
    d->xenstore_mfn = guest_mfn(l->xenstore);
    d->console_mfn = guest_mfn(l->console);
    host_ports_bind(d, with_store);
    fill_start_info(d, l, g, command_line);
    fill_hypercall_page(l, g);
    fill_vcpu(&d->vcpu[0], l, g);
}
