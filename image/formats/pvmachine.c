/* SPDX-License-Identifier: MIT */
/*
 * The memory of a machine that runs pvmm, as abi/pvmm/machine.h describes it. Of a machine that may
 * be running the frame table and m2p are copied, at opening and at each refresh, so that they
 * agree; of a file they are used where they lie. Everything else is read when it is asked for.
 * Reading a file's hole leaves it one, where touching a mapping of it would fill it: so nothing but
 * these tables, and those that the core walks, is mapped.
 */
#include "pvmachine.h"
#include "core.h"
#include "glue.h"
#include "holes.h"
#include "internal.h"
#include "startinfo.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MFN_LIMIT (1ull << 40) /* machine addresses have 52 bits (AMD64 APM vol. 2, 5.3) */

/* What changes while the machine runs. */
struct snapshot {
    struct frame *frames;
    uint64_t *m2p;
    struct pv_frames index; /* of the guest's frames */
    int domid;
    _Atomic(struct pv_holes *) holes; /* of the file; NULL: not asked for yet */
};

struct machine {
    int fd;
    struct pv_ram ram;
    uint64_t nr_frames, frames_at, m2p_at, shared_mfn;
    uint64_t *map; /* the whole file, read-only; NULL: it cannot be mapped */
    bool still;    /* it does not run: the tables are not copied */
    struct core core;
    struct glue_image glue;
    struct snapshot now;
};

/* ---- places in the file */

bool pv_ram_place(const struct pv_ram *r, uint64_t address, uint64_t *at)
{
    *at = address;
    if (address < r->low_bytes)
        return true;
    if (address < PV_RAM_HIGH || address >= r->high_end)
        return false;
    *at = r->low_bytes + (address - PV_RAM_HIGH);
    return true;
}

static bool place(const struct machine *mc, mfn_t m, uint64_t *at)
{
    return m.n < mc->nr_frames && pv_ram_place(&mc->ram, m.n << PAGE_SHIFT_4K, at);
}

static bool is_ram(const struct machine *mc, mfn_t m)
{
    uint64_t at;
    return place(mc, m, &at);
}

/* ---- the backend */

static const struct machine *machine_of(const struct pv_view *v)
{
    return v->image;
}

static bool machine_read(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    struct pv_error ignored;
    uint64_t at;
    return offset <= PAGE_BYTES && n <= PAGE_BYTES - offset && place(machine_of(v), m, &at) &&
           pv_read_at(machine_of(v)->fd, at + offset, to, n, "memory", &ignored) == 0;
}

static bool is_page(const struct machine *mc, mfn_t m)
{
    return is_ram(mc, m) && core_frame_owner(&mc->core, m) == mc->now.domid &&
           !core_frame_shared(&mc->core, m);
}

static bool machine_owned(const struct pv_view *v, mfn_t m)
{
    return is_page(machine_of(v), m);
}

static pfn_t machine_pfn_of(const struct pv_view *v, mfn_t m)
{
    const struct machine *mc = machine_of(v);
    return m.n < mc->nr_frames ? pfn(mc->now.m2p[m.n]) : NO_PFN;
}

static pfn_t copied_pfn_of(const void *m2p, mfn_t m)
{
    return pfn(((const uint64_t *)m2p)[m.n]);
}

static struct pv_m2p m2p_of(const struct snapshot *s)
{
    return (struct pv_m2p){copied_pfn_of, s->m2p};
}

static mfn_t machine_mfn_of(const struct pv_view *v, pfn_t p)
{
    const struct snapshot *s = &machine_of(v)->now;
    const struct pv_m2p m2p = m2p_of(s);
    return pv_frames_mfn_of(&s->index, &m2p, p);
}

static mfn_t machine_next_owned(const struct pv_view *v, mfn_t from)
{
    const struct machine *mc = machine_of(v);
    for (; from.n < mc->nr_frames; from.n++)
        if (is_page(mc, from))
            return from;
    return NO_MFN;
}

static mfn_t machine_next_pinned_root(const struct pv_view *v, mfn_t from)
{
    const struct core *c = &machine_of(v)->core;
    mfn_t m = machine_next_owned(v, from);
    while (!mfn_eq(m, NO_MFN) && !(core_frame_type(c, m) == TYPE_L4 && core_frame_pinned(c, m)))
        m = machine_next_owned(v, mfn(m.n + 1));
    return m;
}

static pfn_t machine_next_pfn(const struct pv_view *v, pfn_t from)
{
    const struct snapshot *s = &machine_of(v)->now;
    const struct pv_m2p m2p = m2p_of(s);
    return pv_frames_next_pfn(&s->index, &m2p, from);
}

static uint64_t *machine_words(const struct pv_view *v, mfn_t m)
{
    const struct machine *mc = machine_of(v);
    uint64_t at;
    return mc->map && place(mc, m, &at) ? mc->map + at / sizeof(uint64_t) : NULL;
}

/* Two threads may both look: what one of them found is dropped. */
static const struct pv_holes *holes_of(const struct machine *of)
{
    struct machine *mc = (struct machine *)(uintptr_t)of; /* what is in it does not change */
    struct pv_holes *known = atomic_load(&mc->now.holes);
    struct pv_holes *found = known ? NULL : pv_holes_find(mc->fd, mc->ram.file_bytes);
    if (known || !found || atomic_compare_exchange_strong(&mc->now.holes, &known, found))
        return known ? known : found;
    free(found);
    return known;
}

static bool machine_blank(const struct pv_view *v, mfn_t m)
{
    uint64_t at;
    const struct pv_holes *h = holes_of(machine_of(v));
    return h && place(machine_of(v), m, &at) && pv_holes_at(h, at);
}

static int machine_lies(const struct pv_view *v, const mfn_t *m, size_t n, uint64_t *at)
{
    for (size_t i = 0; i < n; i++)
        if (!place(machine_of(v), m[i], &at[i]))
            at[i] = NO_MFN.n;
    return machine_of(v)->fd;
}

static bool machine_place(const struct pv_view *v, mfn_t m, struct pv_place *out)
{
    if (!place(machine_of(v), m, &out->offset))
        return false;
    snprintf(out->record, sizeof(out->record), "machine memory");
    return true;
}

static bool machine_told(const struct pv_view *v, mfn_t m, struct pv_told *out)
{
    const struct core *c = &machine_of(v)->core;
    if (!machine_owned(v, m))
        return false;
    enum frame_type type = core_frame_type(c, m);
    bool table = type >= TYPE_L1 && type <= TYPE_L4 && core_frame_validated(c, m);
    *out = (struct pv_told){.level = table ? (unsigned)(type - TYPE_L1) + 1 : 0,
                            .pinned = table && core_frame_pinned(c, m)};
    return true;
}

static uint64_t machine_index_of(const struct pv_view *v, mfn_t m)
{
    return machine_owned(v, m) ? pv_frames_mfn(&machine_of(v)->now.index, m) : NO_MFN.n;
}

static mfn_t machine_frame_at(const struct pv_view *v, uint64_t index)
{
    const struct pv_frames *f = &machine_of(v)->now.index;
    return index < f->n ? mfn(f->mfn[index]) : NO_MFN;
}

static void snapshot_free(const struct machine *mc, struct snapshot *s)
{
    if (!mc->still) {
        free(s->frames);
        free(s->m2p);
    }
    free(s->holes);
    pv_frames_free(&s->index);
}

static void machine_free(struct machine *mc)
{
    snapshot_free(mc, &mc->now);
    if (mc->map)
        munmap(mc->map, mc->ram.file_bytes);
    close(mc->fd);
    free(mc);
}

static void machine_close(struct pv_view *v)
{
    machine_free(v->image);
}

static const struct pv_backend machine_backend = {
    .read = machine_read,
    .owned = machine_owned,
    .pfn_of = machine_pfn_of,
    .mfn_of = machine_mfn_of,
    .next_pinned_root = machine_next_pinned_root,
    .next_owned = machine_next_owned,
    .next_pfn = machine_next_pfn,
    .words = machine_words,
    .blank = machine_blank,
    .lies = machine_lies,
    .place = machine_place,
    .told = machine_told,
    .index_of = machine_index_of,
    .frame_at = machine_frame_at,
    .close = machine_close,
};

struct core *pv_machine_core(const struct pv_view *v)
{
    return v->backend == &machine_backend ? &((struct machine *)v->image)->core : NULL;
}

/* ---- checking the description */

static int check_version(const struct pvmm_machine *m, struct pv_error *e)
{
    if (m->version != PVMM_MACHINE_VERSION)
        return pv_fail(e, "the description has version %u; known is %u", m->version,
                       PVMM_MACHINE_VERSION);
    if (m->frame_bytes != sizeof(struct frame))
        return pv_fail(e, "the frame table has elements of %u bytes; known are %zu", m->frame_bytes,
                       sizeof(struct frame));
    if (m->vcpus > 1 || m->context_valid > 1 || m->context_valid > m->vcpus)
        return pv_fail(e, "%u vCPUs, of which %u have a context: there is room for one", m->vcpus,
                       m->context_valid);
    return 0;
}

/* Finds out how the file is divided. */
static int check_file(struct machine *mc, const struct pvmm_machine *m, struct pv_error *e)
{
    struct stat st;
    if (fstat(mc->fd, &st) < 0)
        return pv_fail_errno(e, "cannot look at the memory's file");
    uint64_t bytes = st.st_size < 0 ? 0 : (uint64_t)st.st_size;
    if (bytes == 0 || bytes % PAGE_BYTES)
        return pv_fail(e, "the memory's file has %llu bytes: no number of frames",
                       (unsigned long long)bytes);
    if (m->high_end && (m->high_end < PV_RAM_HIGH || m->high_end % PAGE_BYTES))
        return pv_fail(e, "RAM ends at %llx: neither above 4 GiB nor 0",
                       (unsigned long long)m->high_end);
    uint64_t high = m->high_end ? m->high_end - PV_RAM_HIGH : 0;
    if (high > bytes || bytes - high > PV_RAM_HIGH)
        return pv_fail(e, "the memory's file has %llu bytes, of which %llu lie from 4 GiB on",
                       (unsigned long long)bytes, (unsigned long long)high);
    mc->ram.file_bytes = bytes;
    mc->ram.low_bytes = bytes - high;
    mc->ram.high_end = m->high_end;
    return 0;
}

static int check_table(const struct machine *mc, const char *what, uint64_t at, size_t element,
                       struct pv_error *e)
{
    if (at % element || at > mc->ram.low_bytes ||
        mc->nr_frames > (mc->ram.low_bytes - at) / element)
        return pv_fail(e, "%s at %llx, of %llu elements, does not lie in RAM below 4 GiB", what,
                       (unsigned long long)at, (unsigned long long)mc->nr_frames);
    return 0;
}

static int check_frame(const struct machine *mc, const char *what, uint64_t n, struct pv_error *e)
{
    if (!is_ram(mc, mfn(n)))
        return pv_fail(e, "%s, mfn %llx, is no RAM", what, (unsigned long long)n);
    return 0;
}

static int check_tables(struct machine *mc, const struct pvmm_machine *m, struct pv_error *e)
{
    mc->nr_frames = m->nr_frames;
    mc->frames_at = m->frames_at;
    mc->m2p_at = m->m2p_at;
    mc->shared_mfn = m->shared_mfn;
    if (m->nr_frames == 0 || m->nr_frames > MFN_LIMIT)
        return pv_fail(e, "a machine of %llu frames", (unsigned long long)m->nr_frames);
    if (check_table(mc, "the frame table", m->frames_at, sizeof(struct frame), e) ||
        check_table(mc, "m2p", m->m2p_at, sizeof(uint64_t), e))
        return -1;
    if (m->frames_at < m->m2p_at + m->nr_frames * sizeof(uint64_t) &&
        m->m2p_at < m->frames_at + m->nr_frames * sizeof(struct frame))
        return pv_fail(e, "the frame table at %llx and m2p at %llx overlap",
                       (unsigned long long)m->frames_at, (unsigned long long)m->m2p_at);
    if (check_frame(mc, "shared_info", m->shared_mfn, e) ||
        check_frame(mc, "the initial root", m->initial_root, e))
        return -1;
    return 0;
}

/* ---- taking the copy */

static void use_snapshot(struct machine *mc, const struct snapshot *s)
{
    mc->now = *s;
    mc->core.frames = s->frames;
    mc->core.m2p = s->m2p;
    mc->core.nr_frames = mc->nr_frames;
}

/* Frames after which what was touched of the map is given back: it would be counted as memory in
 * use, and is not needed for long. */
#define FORGET_EVERY (1u << 20)

static void forget(const struct machine *mc, uint64_t n)
{
    if (mc->still && n % FORGET_EVERY == 0)
        madvise(mc->map, mc->ram.file_bytes, MADV_DONTNEED);
}

/* m2p is the guest's to write (R7): any number can stand in it. */
static int invert_m2p(struct machine *mc, struct snapshot *s, struct pv_error *e)
{
    const struct machine seen = {.ram = mc->ram,
                                 .nr_frames = mc->nr_frames,
                                 .core = {.frames = s->frames, .nr_frames = mc->nr_frames},
                                 .now = {.domid = s->domid}};
    struct pv_gather found = {0};
    for (uint64_t n = 0; n < mc->nr_frames; n++) {
        forget(mc, n);
        if (is_page(&seen, mfn(n)) && !pv_gather_add(&found, pfn(s->m2p[n]), mfn(n))) {
            pv_gather_free(&found);
            return pv_no_memory(e);
        }
    }
    const struct pv_m2p m2p = m2p_of(s);
    return pv_gather_into(&found, &s->index, &m2p) ? 0 : pv_no_memory(e);
}

/* The guest's domain is the one that shared_info is lent to. */
static int find_domain(const struct machine *mc, struct snapshot *s, struct pv_error *e)
{
    const struct core seen = {.frames = s->frames, .nr_frames = mc->nr_frames};
    s->domid = core_frame_owner(&seen, mfn(mc->shared_mfn));
    if (s->domid < 0 || !core_frame_shared(&seen, mfn(mc->shared_mfn)))
        return pv_fail(e, "mfn %llx, said to be shared_info, is lent to no domain",
                       (unsigned long long)mc->shared_mfn);
    return 0;
}

static int copy_tables(const struct machine *mc, struct snapshot *s, struct pv_error *e)
{
    s->frames = calloc(mc->nr_frames, sizeof(*s->frames));
    s->m2p = calloc(mc->nr_frames, sizeof(*s->m2p));
    if (!s->frames || !s->m2p)
        return pv_no_memory(e);
    if (pv_read_at(mc->fd, mc->frames_at, s->frames, mc->nr_frames * sizeof(*s->frames),
                   "the frame table", e) ||
        pv_read_at(mc->fd, mc->m2p_at, s->m2p, mc->nr_frames * sizeof(*s->m2p), "m2p", e))
        return -1;
    return 0;
}

/* Nobody writes to them: the core is asked, and not told. */
static void use_tables(const struct machine *mc, struct snapshot *s)
{
    s->frames = (struct frame *)(mc->map + mc->frames_at / sizeof(uint64_t));
    s->m2p = mc->map + mc->m2p_at / sizeof(uint64_t);
}

static int fill_snapshot(struct machine *mc, struct snapshot *s, struct pv_error *e)
{
    if (mc->still)
        use_tables(mc, s);
    else if (copy_tables(mc, s, e))
        return -1;
    if (find_domain(mc, s, e))
        return -1;
    return invert_m2p(mc, s, e);
}

/* On failure the copy from before stays. */
static int take_snapshot(struct machine *mc, struct pv_error *e)
{
    struct snapshot fresh = {0};
    if (fill_snapshot(mc, &fresh, e)) {
        snapshot_free(mc, &fresh);
        return -1;
    }
    snapshot_free(mc, &mc->now);
    use_snapshot(mc, &fresh);
    return 0;
}

/* ---- opening */

/* A guest that came in has none. */
static mfn_t builders_root(const struct pvmm_machine *m)
{
    return m->virt_base == PVMM_NOT_BUILT ? NO_MFN : mfn(m->initial_root);
}

static bool is_root(const struct pv_view *v, mfn_t m)
{
    struct pv_told told;
    return machine_told(v, m, &told) && told.level == 4;
}

/* Of a guest whose vCPU is not told: the root by which it publishes its list is its kernel's; the
 * builder's may be forgotten by then. */
static mfn_t likely_root(const struct pv_view *v, const struct pvmm_machine *m)
{
    struct pv_arch_info a;
    struct pv_error ignored;
    const mfn_t first = machine_next_pinned_root(v, mfn(0));
    if (pv_arch_info_read(&a, v, &ignored) == 0 && a.p2m_cr3 && is_root(v, a.p2m_root))
        return a.p2m_root;
    return is_root(v, mfn(m->initial_root)) || mfn_eq(first, NO_MFN) ? mfn(m->initial_root) : first;
}

static void describe(struct pv_view *v, const struct pvmm_machine *m)
{
    const struct machine *mc = v->image;
    const struct pv_m2p m2p = m2p_of(&mc->now);
    v->nr_frames = mc->nr_frames;
    v->nr_pages = mc->now.index.n;
    v->end_pfn = pv_frames_end_pfn(&mc->now.index, &m2p);
    v->shared_info = mfn(m->shared_mfn);
    v->start_info = machine_mfn_of(v, pfn(m->start_info_pfn));
    v->initial_root = builders_root(m);
    v->kernel_root = NO_MFN;
    v->has_m2p = true;
    v->tsc_khz = m->tsc_khz;
    v->domain[0] = (struct pv_domain){
        .id = mc->now.domid, .shared_info = v->shared_info, .pages = v->nr_pages};
    if (m->context_valid)
        pv_vcpu_set(v, 0, m->context);
    if (mfn_eq(v->kernel_root, NO_MFN))
        v->kernel_root = likely_root(v, m);
}

static int open_machine(struct machine *mc, const struct pvmm_machine *m, bool still,
                        struct pv_error *e)
{
    if (check_version(m, e) || check_file(mc, m, e) || check_tables(mc, m, e))
        return -1;
    void *map = mmap(NULL, mc->ram.file_bytes, PROT_READ, MAP_SHARED, mc->fd, 0);
    mc->map = map != MAP_FAILED ? map : NULL;
    mc->still = still && mc->map;
    return take_snapshot(mc, e);
}

static int open_view(struct pv_view **out, int ram_fd, const struct pvmm_machine *m, bool still,
                     struct pv_error *e)
{
    struct machine *mc = calloc(1, sizeof(*mc));
    if (!mc)
        return pv_no_memory(e);
    mc->fd = fcntl(ram_fd, F_DUPFD_CLOEXEC, 0);
    if (mc->fd < 0) {
        free(mc);
        return pv_fail_errno(e, "cannot open the machine's memory");
    }
    struct pv_view *v = NULL;
    int rc = open_machine(mc, m, still, e);
    if (rc)
        pv_context(e, "the machine's memory makes no sense");
    else if (!(v = pv_view_new(&machine_backend, "pvmm machine memory", m->vcpus)))
        rc = pv_no_memory(e);
    if (rc) {
        machine_free(mc);
        return -1;
    }
    v->image = mc;
    mc->glue.view = v;
    mc->core.embedding = &mc->glue;
    describe(v, m);
    *out = v;
    return 0;
}

int pv_machine_open(struct pv_view **out, int ram_fd, const struct pvmm_machine *m,
                    struct pv_error *e)
{
    return open_view(out, ram_fd, m, false, e);
}

int pv_machine_open_still(struct pv_view **out, int ram_fd, const struct pvmm_machine *m,
                          struct pv_error *e)
{
    return open_view(out, ram_fd, m, true, e);
}

static bool is_same_machine(const struct machine *mc, const struct pv_view *v,
                            const struct pvmm_machine *m)
{
    return m->nr_frames == mc->nr_frames && m->frames_at == mc->frames_at &&
           m->m2p_at == mc->m2p_at && m->high_end == mc->ram.high_end &&
           m->shared_mfn == mc->shared_mfn && mfn_eq(builders_root(m), v->initial_root) &&
           m->vcpus == v->nr_vcpus;
}

int pv_machine_look_again(struct pv_view *v, struct pv_error *e)
{
    if (v->backend != &machine_backend)
        return pv_fail(e, "%s does not change", v->kind);
    if (take_snapshot(v->image, e))
        return pv_context(e, "cannot look at the machine's memory again");
    return 0;
}

int pv_machine_refresh(struct pv_view *v, const struct pvmm_machine *m, struct pv_error *e)
{
    if (v->backend != &machine_backend)
        return pv_fail(e, "%s does not change", v->kind);
    struct machine *mc = v->image;
    if (check_version(m, e))
        return -1;
    if (!is_same_machine(mc, v, m))
        return pv_fail(e, "the description is of another machine");
    if (take_snapshot(mc, e))
        return pv_context(e, "cannot look at the machine's memory again");
    describe(v, m);
    return 0;
}
