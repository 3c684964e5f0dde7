/* SPDX-License-Identifier: MIT */
/*
 * A domain that the host puts together: what it says is copied first, each word once, then checked
 * as a whole, then taken. Of the pages nothing is taken on trust: they come in without a type, and
 * what they are to be the core makes of them, as of a guest's own.
 */
#include "incoming.h"

#include "asm.h"
#include "builder.h"
#include "context.h"
#include "cpu.h"
#include "debugreg.h"
#include "frames.h"
#include "options.h"
#include "publish.h"
#include "request.h"
#include "string.h"

#define NOT_USED          0x1fffffffu /* a pfn of 29 bits */
#define PINS_END          5u          /* levels 1 to 4; 0: none */
#define MXCSR_MASK_OFFSET 28u         /* in FXSAVE's image */
#define MXCSR_MASK_OLD    0xffbfu     /* of a CPU that stores none */
#define WHY_CHARS         160u

/* Ends the run, because of page `pfn`. */
#define REFUSE(pfn, ...)                                                                           \
    do {                                                                                           \
        mailbox.transfer.refused_pfn = (pfn);                                                      \
        BAD_GUEST(__VA_ARGS__);                                                                    \
    } while (0)

/* ---- the room that the host writes to */

static struct {
    struct pvmm_transfer_page *list;
    struct pvmm_transfer *head;
    struct boot_range range;
} room;

static uint64_t list_bytes(uint64_t pages)
{
    return (pages * sizeof(*room.list) + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
}

/* More pages than the machine has are refused later, with better words. */
void transfer_reserve(void)
{
    uint64_t incoming = 0, bytes = 0;
    option_number(boot_info.command_line, PVMM_OPT_INCOMING, &incoming);
    option_number(boot_info.command_line, PVMM_OPT_MEM, &bytes);
    uint64_t pages = bytes / PAGE_BYTES;
    if (!incoming || pages > the_core()->nr_frames)
        return;
    uint64_t size =
        list_bytes(pages) + ((sizeof(*room.head) + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1));
    room.list = boot_array(size);
    room.head = (struct pvmm_transfer *)((uint8_t *)room.list + list_bytes(pages));
    room.range.start = direct_address(room.list).a;
    room.range.end = room.range.start + size;
    memset(room.list, 0, size);
}

struct boot_range transfer_room(void)
{
    return room.range;
}

/* ---- the empty domain. What is known of its pages lies in the audit's scratch, which nobody needs
 * before there is a guest; behind it a bit for each pfn that was named. */

struct own_page {
    uint32_t mfn;
    uint32_t pfn : 29, pin : 3;
};

#define BITS_BYTES (sizeof(struct core_count) - sizeof(struct own_page)) /* for each frame */

static struct own_page *own_pages(void)
{
    return (struct own_page *)audit_scratch;
}

static uint64_t *named_bits(uint64_t pages)
{
    return (uint64_t *)(own_pages() + pages);
}

/* The bits that are certainly there, whatever the number of pages. */
static uint64_t pfns_limit(void)
{
    uint64_t bits = (the_core()->nr_frames * BITS_BYTES / sizeof(uint64_t) - 1) * 64;
    return bits < NOT_USED ? bits : NOT_USED;
}

/* Not cleared: the host writes all of what it names, and what it does not goes back. */
static void take_frames(uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++) {
        mfn_t m;
        ASSERT(frames_take_as_it_is(&m));
        own_pages()[i] = (struct own_page){.mfn = (uint32_t)m.n, .pfn = NOT_USED};
        room.list[i] = (struct pvmm_transfer_page){.mfn = m.n, .pfn = PVMM_NO_PFN};
    }
}

static void show_place(const struct domain *d, uint64_t pages)
{
    struct pvmm_transfer_place *p = &mailbox.transfer;
    channel_domain(d);
    publish_empty(d);
    p->page_bytes = sizeof(*room.list);
    p->list_at = direct_address(room.list).a;
    p->pages = pages;
    p->at = direct_address(room.head).a;
    p->refused_pfn = PVMM_NO_PFN;
    __atomic_store_n(&p->version, PVMM_TRANSFER_VERSION, __ATOMIC_RELEASE);
    channel_bell();
}

static void wait_for_build(void)
{
    channel_poll();
    while (!channel_build_requested()) {
        if (channel_stop_requested())
            domain_end(PVMM_OUTCOME_STOPPED, ~0u, "");
        cpu_idle();
    }
}

/* ---- what the host says, as it was copied */

static struct pvmm_transfer told;

static const vcpu_guest_context_t *told_context(void)
{
    _Static_assert(sizeof(told.context) == sizeof(vcpu_guest_context_t), "the ABI's layout");
    return (const vcpu_guest_context_t *)told.context;
}

static uint32_t mxcsr_mask(void)
{
    static uint8_t image[512] __attribute__((aligned(16)));
    uint32_t mask;
    fxsave(image);
    memcpy(&mask, image + MXCSR_MASK_OFFSET, sizeof(mask));
    return mask ? mask : MXCSR_MASK_OLD;
}

static void check_head(uint64_t pages, uint64_t heard_ns)
{
    if (told.version != PVMM_TRANSFER_VERSION || told.bytes != sizeof(told))
        BAD_GUEST("the transfer is of version %u and %u bytes; known is version %u of %lu bytes",
                  told.version, told.bytes, PVMM_TRANSFER_VERSION, sizeof(told));
    if (told.pages != pages)
        BAD_GUEST("the transfer speaks of %lu pages; the list has %lu", told.pages, pages);
    if (told.used == 0 || told.used > pages)
        BAD_GUEST("%lu pages cannot be used of a list of %lu", told.used, pages);
    if (told.end_pfn < told.used || told.end_pfn > pfns_limit())
        BAD_GUEST("the end of the pfns, %lx, is out of range: from the %lu pages used to %lx",
                  told.end_pfn, told.used, pfns_limit());
    if (told.vcpus != 1)
        BAD_GUEST("a domain of %u vCPUs: 1 is what there is", told.vcpus);
    if (told.wall_ns < heard_ns || told.wall_ns >= PVMM_WALL_END)
        BAD_GUEST("the time of day cannot be %lu ns", told.wall_ns);
}

static void check_context(void)
{
    char why[WHY_CHARS];
    if (!context_check(told_context(), &told.extended, mxcsr_mask(), why, sizeof(why)))
        BAD_GUEST("the vCPU cannot be loaded: %s", why);
}

/* One element, of which the hypervisor's part must be as it was. */
static void take_element(uint64_t i, uint64_t *bits)
{
    struct own_page *own = &own_pages()[i];
    const volatile struct pvmm_transfer_page *at = &room.list[i];
    const struct pvmm_transfer_page p = {.mfn = at->mfn, .pfn = at->pfn, .pin = at->pin};
    if (p.mfn != own->mfn)
        REFUSE(p.pfn, "element %lu of the list names frame %lx: %x was given", i, p.mfn, own->mfn);
    if (p.pin >= PINS_END || (p.pin && p.pfn == PVMM_NO_PFN))
        REFUSE(p.pfn, "pfn %x is to be pinned as a table of level %u", p.pfn, p.pin);
    if (p.pfn == PVMM_NO_PFN)
        return;
    if (p.pfn >= told.end_pfn)
        REFUSE(p.pfn, "pfn %x is beyond the end of the pfns, %lx", p.pfn, told.end_pfn);
    if (bits[p.pfn / 64] >> p.pfn % 64 & 1)
        REFUSE(p.pfn, "pfn %x is there twice", p.pfn);
    bits[p.pfn / 64] |= 1ull << p.pfn % 64;
    own->pfn = p.pfn & NOT_USED;
    own->pin = p.pin & 7;
}

static void take_list(uint64_t pages)
{
    uint64_t used = 0, *bits = named_bits(pages);
    memset(bits, 0, (told.end_pfn + 63) / 64 * sizeof(*bits));
    for (uint64_t i = 0; i < pages; i++) {
        take_element(i, bits);
        used += own_pages()[i].pfn != NOT_USED;
    }
    if (used != told.used)
        BAD_GUEST("the list uses %lu pages, the transfer says %lu", used, told.used);
}

/* The frame of one of the pages that the hypervisor has to know. */
static mfn_t frame_named(uint64_t pages, uint32_t pfn, const char *what)
{
    for (uint64_t i = 0; pfn < NOT_USED && i < pages; i++)
        if (own_pages()[i].pfn == pfn)
            return mfn(own_pages()[i].mfn);
    REFUSE(pfn, "pfn %x, which is to be %s, is not there", pfn, what);
    return NO_MFN;
}

static void name_pages(struct domain *d, uint64_t pages)
{
    frame_named(pages, told.start_info_pfn, "start_info");
    d->start_info = pfn(told.start_info_pfn);
    d->virt_base = gva(PVMM_NOT_BUILT);
    d->console_mfn = frame_named(pages, told.console_pfn, "the console's ring");
    if (d->store_port || told.store_pfn != PVMM_NO_PFN)
        d->xenstore_mfn = frame_named(pages, told.store_pfn, "the store's ring");
}

/* ---- the domain. Its pages have no type yet (R1, R7). */

static void give_pages(struct domain *d, uint64_t pages)
{
    struct core *c = the_core();
    for (uint64_t i = 0; i < pages; i++) {
        mfn_t m = mfn(own_pages()[i].mfn);
        if (own_pages()[i].pfn == NOT_USED) {
            frames_give(m);
            continue;
        }
        ASSERT(core_assign(c, &d->mem, m) == 0);
        c->m2p[m.n] = own_pages()[i].pfn;
    }
}

static uint32_t pfn_of(mfn_t m)
{
    bool has = m.n < the_core()->nr_frames && the_core()->m2p[m.n] < PVMM_NO_PFN;
    return has ? (uint32_t)the_core()->m2p[m.n] : PVMM_NO_PFN;
}

/* What the core stumbled on: the word at fault, and the frame, if it is one of the domain's. */
static int frame_words(char *to, unsigned size, const struct core_refusal *why)
{
    uint32_t pfn = pfn_of(why->frame);
    if (pfn == PVMM_NO_PFN)
        return format(to, size, " (%lx)", why->value);
    if (why->wanted == TYPE_NONE)
        return format(to, size, " (%lx, which is pfn %x)", why->value, pfn);
    return format(to, size, " (%lx); pfn %x, in use as %s, is wanted as %s", why->value, pfn,
                  core_type_name(core_use_type(why->use)),
                  core_type_name((enum frame_type)why->wanted));
}

/* The core refused what was wanted of the page: it speaks of the innermost table that it came to.
 */
static void refused(const struct core_refusal *why, mfn_t m, const char *what)
{
    char words[PVMM_MESSAGE_CHARS / 2];
    unsigned n = (unsigned)frame_words(words, sizeof(words), why);
    for (unsigned i = 0; i < why->steps && n < sizeof(words); i++)
        n += (unsigned)format(words + n, sizeof(words) - n, "%s L%u pfn %x [%u]", i ? "," : "; in",
                              (unsigned)why->path[i].level, pfn_of(why->path[i].table),
                              (unsigned)why->path[i].slot);
    if (why->steps)
        m = why->path[why->steps - 1].table;
    REFUSE(pfn_of(m), "%s: R%u, %s%s", what, (unsigned)why->rule, core_reason_text(why->reason),
           words);
}

static int pin(struct core *c, struct core_vcpu *v, const void *page)
{
    const struct own_page *own = page;
    return core_pin(c, v, v->domain, mfn(own->mfn), own->pin);
}

static int kernel_root(struct core *c, struct core_vcpu *v, const void *m)
{
    return core_load_kernel_root(c, v, *(const mfn_t *)m);
}

static int user_root(struct core *c, struct core_vcpu *v, const void *m)
{
    return core_load_user_root(c, v, *(const mfn_t *)m);
}

/* In the order of the list (R4, R5). */
static void pin_tables(struct vcpu *v, uint64_t pages)
{
    char what[48];
    for (uint64_t i = 0; i < pages; i++) {
        const struct own_page *own = &own_pages()[i];
        if (!own->pin || request_to_the_end(v, pin, own) == 0)
            continue;
        format(what, sizeof(what), "pfn %x cannot be pinned as L%u", own->pfn, own->pin);
        refused(&v->mem.refusal, mfn(own->mfn), what);
    }
}

static void load_roots(struct vcpu *v, const vcpu_guest_context_t *c)
{
    mfn_t kernel = maddr_frame((maddr_t){c->ctrlreg[3]});
    mfn_t user = maddr_frame((maddr_t){c->ctrlreg[1]});
    if (request_to_the_end(v, kernel_root, &kernel))
        refused(&v->mem.refusal, kernel, "cr3 cannot be loaded");
    if (request_to_the_end(v, user_root, &user))
        refused(&v->mem.refusal, user, "the user root cannot be loaded");
}

static int gdt(struct core *c, struct core_vcpu *v, const void *context)
{
    const vcpu_guest_context_t *from = context;
    const unsigned n = (from->gdt_ents * 8 + PAGE_BYTES - 1) / PAGE_BYTES;
    mfn_t frames[CORE_GDT_FRAMES];
    for (unsigned i = 0; i < n; i++)
        frames[i] = mfn(from->gdt_frames[i]);
    return core_set_gdt(c, v, frames, n, (unsigned)from->gdt_ents);
}

static int ldt(struct core *c, struct core_vcpu *v, const void *context)
{
    const vcpu_guest_context_t *from = context;
    bool changed; /* nothing is loaded yet */
    return core_set_ldt(c, v, gva(from->ldt_base), (unsigned)from->ldt_ents, &changed);
}

static void load_descriptors(struct vcpu *v, const vcpu_guest_context_t *c)
{
    if (request_to_the_end(v, gdt, c))
        refused(&v->mem.refusal, v->mem.refusal.frame, "the GDT cannot be loaded");
    if (request_to_the_end(v, ldt, c))
        refused(&v->mem.refusal, NO_MFN, "the LDT cannot be loaded");
}

/* What lies in the CPU itself: nobody else uses it. */
static void load_cpu(struct vcpu *v, const vcpu_guest_context_t *c)
{
    if (c->flags & VGCF_i387_valid)
        fxrstor(&c->fpu_ctxt);
    for (unsigned n = 0; n < 8; n++)
        if (n != 4 && n != 5)
            ASSERT(debugreg_set(v, n, c->debugreg[n]) == 0);
    cpu_set_task_switched(v, c->ctrlreg[0] & CR0_TS);
}

/* Event channels are others, and none of them has an event; the clock is this machine's. */
static void take_shared_info(struct domain *d, const shared_info_t *old)
{
    shared_info_t *s = d->shared;
    memcpy(s->vcpu_info, old->vcpu_info, sizeof(s->vcpu_info));
    memcpy(&s->arch, &old->arch, sizeof(s->arch));
    s->arch.pfn_to_mfn_frame_list_list = 0;
    memset(s->evtchn_pending, 0, sizeof(s->evtchn_pending));
    memset(s->evtchn_mask, 0xff, sizeof(s->evtchn_mask));
    for (unsigned i = 0; i < XEN_LEGACY_MAX_VCPUS; i++) {
        s->vcpu_info[i].evtchn_upcall_pending = 0;
        s->vcpu_info[i].evtchn_upcall_mask = !!s->vcpu_info[i].evtchn_upcall_mask;
        s->vcpu_info[i].evtchn_pending_sel = 0;
    }
    vtime_wallclock(d);
}

static void take_vcpu(struct vcpu *v, const vcpu_guest_context_t *c)
{
    load_roots(v, c);
    load_descriptors(v, c);
    context_load(v, c, &told.extended);
    load_cpu(v, c);
    v->online = true;
    runstate_enter(v, RUNSTATE_running);
    vtime_publish(v);
}

static void refuse_modules(void)
{
    uint64_t e820;
    if (boot_info.nr_modules)
        BAD_GUEST("a domain that comes in has no kernel of its own: the boot loader passed %u "
                  "modules",
                  boot_info.nr_modules);
    if (option_number(boot_info.command_line, PVMM_OPT_E820, &e820))
        BAD_GUEST("a domain that comes in has no modules, and so no memory map " PVMM_OPT_E820
                  "%lu",
                  e820);
}

void transfer_receive(uint64_t pages, bool with_store)
{
    struct domain *d = &the_domain;
    uint64_t heard_ns;
    refuse_modules();
    domain_init(d, pages);
    host_ports_bind(d, with_store);
    take_frames(pages);
    show_place(d, pages);
    wait_for_build();
    heard_ns = now_ns();
    memcpy(&told, room.head, sizeof(told));
    check_head(pages, heard_ns);
    check_context();
    take_list(pages);
    name_pages(d, pages);
    d->build_frames = told.end_pfn;
    e820_flat(&d->e820, told.end_pfn * PAGE_BYTES);
    give_pages(d, pages);
    wallclock_set(told.wall_ns, heard_ns);
    take_shared_info(d, (const shared_info_t *)told.shared_info);
    pin_tables(&d->vcpu[0], pages);
    take_vcpu(&d->vcpu[0], told_context());
    log_line("guest: came in with %lu pages of %lu, start_info pfn %x", told.used, told.end_pfn,
             told.start_info_pfn);
    frames_release_modules();
    domain_started(d);
}
