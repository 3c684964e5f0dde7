/* SPDX-License-Identifier: MIT */
/*
 * Builds the domain from the boot modules: frames, image, page tables, P2M. Nothing it writes is
 * taken on trust: the finished tables are pinned and loaded through the core, like a guest's own.
 */
#include "builder.h"

#include "incoming.h"
#include "options.h"
#include "request.h"
#include "string.h"

_Static_assert(HYPERVISOR_VIRT_START == HV_SLOTS_START && HYPERVISOR_VIRT_END == HV_SLOTS_END,
               "the builder keeps guests out of the slots that are ours");

#define SPARE_FRAMES (GRANT_FRAMES_MAX + 16u) /* the grant table, shared_info and the like */

#define UPPER_FLAGS (PTE_PRESENT | PTE_RW | PTE_USER | PTE_ACCESSED | PTE_DIRTY)
#define LEAF_FLAGS  (PTE_PRESENT | PTE_ACCESSED)

/* ---- the guest's memory by pfn: the list is built in the audit's scratch, which nobody needs
 * before there is a guest, and copied to the guest at the end. */

static uint64_t *p2m(void)
{
    _Static_assert(sizeof(struct core_count) >= sizeof(uint64_t), "scratch holds a list");
    return (uint64_t *)audit_scratch;
}

mfn_t guest_mfn(uint64_t page)
{
    return mfn(p2m()[page]);
}

void *guest_page(uint64_t page)
{
    return direct_frame(guest_mfn(page));
}

/* Copies `bytes` bytes to the guest from byte `at` of its pages on. */
static void put_bytes(uint64_t at, const uint8_t *from, uint64_t bytes)
{
    while (bytes > 0) {
        uint64_t offset = at % PAGE_BYTES;
        uint64_t n = PAGE_BYTES - offset < bytes ? PAGE_BYTES - offset : bytes;
        memcpy((uint8_t *)guest_page(at / PAGE_BYTES) + offset, from, n);
        at += n;
        from += n;
        bytes -= n;
    }
}

/* The frames come cleared, in the shuffled order (R1, R7). */
static void populate(struct domain *d, uint64_t total)
{
    struct core *c = the_core();
    for (uint64_t i = 0; i < total; i++) {
        mfn_t m;
        ASSERT(frames_take(0, CORE_NO_LIMIT, &m));
        ASSERT(core_assign(c, &d->mem, m) == 0);
        p2m()[i] = m.n;
        c->m2p[m.n] = i;
    }
}

static void load_image(const struct guest_layout *l, const struct guest_image *g,
                       const uint8_t *file)
{
    for (unsigned i = 0; i < g->segments; i++) {
        const struct guest_segment *s = &g->segment[i];
        put_bytes(s->va - l->virt_base, file + s->offset, s->file_bytes);
    }
}

/* The list fills its last page with "no frame", for the guest rounds up too. */
static void write_p2m(const struct guest_layout *l)
{
    uint64_t none = NO_MFN.n, end = l->p2m.count * PAGE_BYTES / sizeof(none);
    uint64_t at = l->p2m.first * PAGE_BYTES;
    put_bytes(at, (const uint8_t *)p2m(), l->total * sizeof(none));
    for (uint64_t i = l->total; i < end; i++)
        put_bytes(at + i * sizeof(none), (const uint8_t *)&none, sizeof(none));
}

/* ---- page tables */

/* Tables not yet used, by level: pages are handed out in the order of the layout. */
struct pool {
    struct guest_pages level[5];
};

static uint64_t pool_take(struct pool *p, unsigned level)
{
    ASSERT(p->level[level].count > 0);
    p->level[level].count--;
    return p->level[level].first++;
}

static uint64_t *entry_at(mfn_t table, uint64_t va, unsigned level)
{
    unsigned slot = va >> (PAGE_SHIFT_4K + 9 * (level - 1)) & 511;
    return (uint64_t *)direct_frame(table) + slot;
}

static void map_page(const struct guest_layout *l, struct pool *pool, uint64_t va, uint64_t page,
                     uint64_t flags)
{
    mfn_t table = guest_mfn(l->tables.first);
    for (unsigned level = 4; level > 1; level--) {
        uint64_t *e = entry_at(table, va, level);
        if (!pte_present(*e))
            *e = pte_make(guest_mfn(pool_take(pool, level - 1)), UPPER_FLAGS);
        table = pte_frame(*e);
    }
    *entry_at(table, va, 1) = pte_make(guest_mfn(page), flags);
}

static bool is_in(struct guest_pages p, uint64_t page)
{
    return page >= p.first && page - p.first < p.count;
}

/* Tables are mapped read-only, all else writable (R2). */
static uint64_t leaf_flags(const struct guest_layout *l, uint64_t page)
{
    bool table = is_in(l->tables, page) || is_in(l->p2m_tables, page);
    return table ? LEAF_FLAGS : LEAF_FLAGS | PTE_RW;
}

static void make_tables(const struct guest_layout *l, const struct guest_image *g)
{
    struct pool pool, p2m_pool;
    memcpy(pool.level, l->level, sizeof(pool.level));
    memcpy(p2m_pool.level, l->p2m_level, sizeof(p2m_pool.level));
    for (uint64_t i = 0; i < l->mapped; i++)
        map_page(l, &pool, guest_layout_va(l, i), i, leaf_flags(l, i));
    for (uint64_t i = 0; g->has_init_p2m && i < l->p2m.count; i++)
        map_page(l, &p2m_pool, l->p2m_va + i * PAGE_BYTES, l->p2m.first + i,
                 leaf_flags(l, l->p2m.first + i));
}

static int pin_root(struct core *c, struct core_vcpu *v, const void *m)
{
    return core_pin(c, v, v->domain, *(const mfn_t *)m, TYPE_L4);
}

static int load_root(struct core *c, struct core_vcpu *v, const void *m)
{
    return core_load_kernel_root(c, v, *(const mfn_t *)m);
}

/* The guest finds its first root pinned and loaded (R4, R5). */
static void adopt_tables(struct vcpu *v, const struct guest_layout *l)
{
    mfn_t root = guest_mfn(l->tables.first);
    int rc = request_to_the_end(v, pin_root, &root);
    if (rc == 0)
        rc = request_to_the_end(v, load_root, &root);
    if (rc)
        panic("the first page tables are refused: %d, %s (frame %lx, value %lx)", rc,
              core_reason_text(v->mem.refusal.reason), v->mem.refusal.frame.n,
              v->mem.refusal.value);
}

/* ---- the whole */

static void check_options(void)
{
    int length;
    const char *bad = option_bad(boot_info.command_line, &length);
    if (bad)
        BAD_GUEST("the boot loader's command line has a bad option: %.*s (known: " PVMM_OPT_MEM
                  "BYTES " PVMM_OPT_SEED "NUMBER " PVMM_OPT_BLANK "ADDRESS " PVMM_OPT_STORE
                  "0|1 " PVMM_OPT_E820 "MODULE " PVMM_OPT_SUSPEND "0|1|2 " PVMM_OPT_INCOMING "0|1)",
                  length, bad);
}

/* An option that is a choice: 0, which it is without being named, to `most`. */
static uint64_t choice(const char *key, uint64_t most)
{
    uint64_t n = 0;
    if (option_number(boot_info.command_line, key, &n) && n > most)
        BAD_GUEST("the option %s%lu is none of 0 to %lu", key, n, most);
    return n;
}

static uint64_t wanted_pages(void)
{
    uint64_t bytes = 0;
    if (!option_number(boot_info.command_line, PVMM_OPT_MEM, &bytes))
        BAD_GUEST("no memory size: the boot loader's command line needs " PVMM_OPT_MEM "BYTES");
    if (bytes == 0 || bytes % PAGE_BYTES)
        BAD_GUEST("the guest's memory size %lu is no positive multiple of %u bytes", bytes,
                  PAGE_BYTES);
    if (bytes / PAGE_BYTES + SPARE_FRAMES > frames_free())
        BAD_GUEST("the guest wants %lu KiB of memory; the machine has %lu KiB free", bytes / 1024,
                  frames_free() * (PAGE_BYTES / 1024));
    return bytes / PAGE_BYTES;
}

/* The boot modules by what they are for. */
struct modules {
    const struct module *kernel;
    const struct module *ramdisk; /* empty: none */
    const struct module *e820;    /* NULL: none */
};

static void sort_modules(struct modules *m)
{
    static const struct module none = {.size = 0};
    uint64_t e820 = 0, n = boot_info.nr_modules;
    if (n == 0)
        BAD_GUEST("no kernel: the boot loader passed no module");
    *m = (struct modules){&boot_info.module[0], &none, NULL};
    if (option_number(boot_info.command_line, PVMM_OPT_E820, &e820)) {
        if (e820 == 0 || e820 >= n)
            BAD_GUEST("the option " PVMM_OPT_E820 "%lu names no module for a memory map: the boot "
                      "loader passed %lu, and 0 is the kernel",
                      e820, n);
        m->e820 = &boot_info.module[e820];
    }
    for (uint64_t i = n - 1; i > 0; i--) {
        if (i != e820)
            m->ramdisk = &boot_info.module[i];
    }
}

/* The pages are numbered from 0 on without a gap in any case: what lies in a hole of the map is for
 * the guest to move, as under a real Xen. */
static void take_memory_map(struct domain *d, const struct module *m)
{
    struct e820_error why;
    e820_flat(&d->e820, d->build_frames * PAGE_BYTES);
    if (!m)
        return;
    if (!e820_read(&d->e820, m->data, m->size, &why)) {
        char text[PVMM_MESSAGE_CHARS / 2];
        format(text, sizeof(text), why.text, why.value[0], why.value[1]);
        BAD_GUEST("the guest's memory map is none: %s", text);
    }
    log_line("guest: a memory map of its own, %u entries, %lu KiB of RAM", d->e820.count,
             e820_ram(&d->e820) / 1024);
}

static const char *command_line_of(const struct module *m)
{
    if (strlen(m->arguments) >= PVMM_GUEST_CMDLINE_MAX)
        BAD_GUEST("the guest's command line has %lu bytes, more than %u", strlen(m->arguments),
                  PVMM_GUEST_CMDLINE_MAX - 1);
    return m->arguments;
}

static void refuse(const struct builder_error *e)
{
    BAD_GUEST(e->text, e->value[0], e->value[1], e->value[2], e->value[3]);
}

static void read_image(struct guest_image *g, const struct module *kernel)
{
    struct builder_error e;
    if (!guest_image_read(kernel->data, kernel->size, g, &e))
        refuse(&e);
}

static void make_layout(struct guest_layout *l, const struct guest_image *g,
                        const struct module *ramdisk)
{
    struct builder_error e;
    if (!guest_layout_make(l, g, wanted_pages(), ramdisk->size, &e))
        refuse(&e);
}

static void log_layout(const struct guest_layout *l, const struct guest_image *g)
{
    log_line("guest: %s %s, entry %lx, initial mapping %lx-%lx", g->guest_os, g->guest_version,
             g->entry, l->virt_base, l->region_end);
    log_line("guest: %lu pages; start_info pfn %lx, tables %lx+%lx, stack %lx, ramdisk %lx+%lx, "
             "P2M %lx+%lx at %lx",
             l->total, l->start_info, l->tables.first, l->tables.count, l->stack, l->module.first,
             l->module.count, l->p2m.first, l->p2m.count + l->p2m_tables.count, l->p2m_va);
}

void domain_build(void)
{
    static struct guest_image g;
    struct guest_layout l;
    struct modules m;
    struct domain *d = &the_domain;
    check_options();
    bool with_store = choice(PVMM_OPT_STORE, 1);
    choice(PVMM_OPT_SUSPEND, PVMM_SUSPEND_HOLDS);
    if (choice(PVMM_OPT_INCOMING, 1)) {
        transfer_receive(wanted_pages(), with_store);
        return;
    }
    sort_modules(&m);
    const char *command_line = command_line_of(m.kernel);
    read_image(&g, m.kernel);
    make_layout(&l, &g, m.ramdisk);
    log_layout(&l, &g);
    domain_init(d, l.total);
    take_memory_map(d, m.e820);
    populate(d, l.total);
    load_image(&l, &g, m.kernel->data);
    put_bytes(l.module.first * PAGE_BYTES, m.ramdisk->data, m.ramdisk->size);
    write_p2m(&l);
    make_tables(&l, &g);
    start_state_make(d, &l, &g, command_line, with_store);
    adopt_tables(&d->vcpu[0], &l);
    frames_release_modules();
    domain_started(d);
}
