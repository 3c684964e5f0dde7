/* SPDX-License-Identifier: MIT */
/* Making the machine, looking at it, and ending it. */
#include "inside.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPARE_FRAMES 320u /* free ones, beyond what the domain may have */

static struct world the_world;
struct machine the_machine;
void (*machine_on_failure)(const char *text);

static jmp_buf on_stop;
static bool stop_is_awaited;
static int stopped_how;

/* ---- how it ends */

int machine_run(void (*f)(void *), void *arg)
{
    stop_is_awaited = true;
    stopped_how = MACHINE_RETURNED;
    if (setjmp(on_stop) == 0)
        f(arg);
    stop_is_awaited = false;
    return stopped_how;
}

_Noreturn void machine_stop(int how)
{
    if (!stop_is_awaited)
        machine_failed("the guest ended itself, %d; its console says:\n%s", how,
                       the_machine.console);
    stopped_how = how;
    longjmp(on_stop, 1);
}

_Noreturn void machine_failed(const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    stop_is_awaited = false;
    if (machine_on_failure)
        machine_on_failure(text);
    fprintf(stderr, "%s\n", text);
    print_calls(&the_machine);
    abort();
}

/* ---- making */

static bool is_ram(const struct machine_params *p, uint64_t page)
{
    if (!p->initial_domain || !p->e820)
        return true;
    for (unsigned i = 0; i < p->nr_e820; i++)
        if (p->e820[i].type == 1 && p->e820[i].address <= page * PAGE_BYTES &&
            p->e820[i].address + p->e820[i].bytes >= (page + 1) * PAGE_BYTES)
            return true;
    /* Behind the map's end the machine keeps what the domain does not know of. */
    const struct machine_e820 *last = &p->e820[p->nr_e820 - 1];
    return page * PAGE_BYTES >= last->address + last->bytes;
}

/* How large the machine is: the frames of RAM that are wanted, what lies between, devices. */
static uint64_t machine_size(const struct machine_params *p)
{
    uint64_t n = WORLD_FIRST_FREE;
    uint64_t wanted =
        (p->max_pages > p->nr_pages ? p->max_pages : p->nr_pages) + OTHER_FRAMES + SPARE_FRAMES;
    while (wanted > 0 && n < WORLD_FRAMES_MAX)
        wanted -= is_ram(p, n++);
    return n + WORLD_DEVICE_FRAMES;
}

/* The machine's holes are the initial domain's: it has them in its map. */
static void make_holes(struct world *w, const struct machine_params *p)
{
    for (uint64_t n = WORLD_FIRST_FREE; n < w->core.nr_frames - WORLD_DEVICE_FRAMES; n++)
        if (!is_ram(p, n)) {
            w->frames[n].hold = (uint64_t)OWNER_DEVICE << 50;
            w->free[n] = false;
        }
}

static void fill_devices(struct world *w)
{
    for (uint64_t n = 0; n < w->core.nr_frames; n++)
        if (w->frames[n].hold >> 50 == OWNER_DEVICE)
            for (unsigned i = 0; i < WORLD_TABLE_ENTRIES; i++)
                w->memory[n][i] = n << 12 | i * sizeof(uint64_t);
}

static void set_defaults(struct machine_params *p)
{
    if (!p->max_pages)
        p->max_pages = p->nr_pages;
    if (!p->image_pages)
        p->image_pages = 64;
    if (!p->command_line)
        p->command_line = "";
}

struct machine *machine_make(const struct machine_params *p)
{
    struct machine *m = &the_machine;
    free(m->p2m);
    *m = (struct machine){
        .w = &the_world, .params = *p, .failed_at = -1, .shared = WORLD_SHARED_FRAME};
    set_defaults(&m->params);
    uint64_t size = machine_size(&m->params);
    if (size > WORLD_FRAMES_MAX)
        machine_failed("a machine of %" PRIu64 " frames is too large", size);
    world_init(m->w, size, p->seed);
    make_holes(m->w, &m->params);
    fill_devices(m->w);
    m->d = world_domain(m->w, 0);
    m->v = world_vcpu(m->w, 0, 0);
    m->d->has_devices = p->initial_domain;
    m->d->max_frames = m->params.max_pages;
    m->p2m = calloc(p->nr_pages, sizeof(*m->p2m));
    access_init();
    grants_init();
    builder_build(m);
    events_init(m);
    machine_store_close(m);
    machine_store_at(m, 0);
    machine_pause(m, p->pause_one_in);
    return m;
}

void machine_end(struct machine *m)
{
    machine_store_close(m);
    world_pause(m->w, PAUSE_NEVER, 0);
    suspend_relinquish(m);
    for (unsigned i = 1; i < WORLD_DOMAINS; i++)
        world_relinquish(m->w, i);
    grants_end(m);
    const char *wrong = world_check_free(m->w);
    if (wrong)
        machine_failed("after the domain's end: %s", wrong);
    free(m->p2m);
    m->p2m = NULL;
}

/* ---- what goes wrong */

void machine_fail_call(struct machine *m, uint64_t n, int error)
{
    m->call = (struct injection){n, error};
    m->failed_at = -1;
}

void machine_fail_element(struct machine *m, uint64_t n, int error)
{
    m->element = (struct injection){n, error};
    m->failed_at = -1;
}

uint64_t machine_calls(struct machine *m)
{
    return m->calls;
}

uint64_t machine_elements(struct machine *m)
{
    return m->elements;
}

int machine_failed_at(struct machine *m)
{
    return m->failed_at;
}

void machine_pause(struct machine *m, unsigned one_in)
{
    world_pause(m->w, one_in ? PAUSE_RANDOM : PAUSE_NEVER, one_in);
}

/* ---- looking */

static const char *check_count(struct machine *m)
{
    static char text[160];
    uint64_t want = m->params.nr_pages + m->populated - m->released, have = 0;
    for (uint64_t n = 0; n < m->w->core.nr_frames; n++)
        have += machine_owner(m, n) == MACHINE_GUEST && !core_frame_shared(&m->w->core, mfn(n));
    if (have == want)
        return NULL;
    snprintf(text, sizeof(text),
             "the domain owns %" PRIu64 " frames; it was given %" PRIu64 " + %" PRIu64
             " and gave back %" PRIu64,
             have, m->params.nr_pages, m->populated, m->released);
    return text;
}

const char *machine_audit(struct machine *m)
{
    if (!world_audit(m->w))
        return "the core's audit";
    const char *wrong = world_check_tables(m->w);
    if (!wrong)
        wrong = world_check_free(m->w);
    if (!wrong)
        wrong = check_count(m);
    if (!wrong) {
        access_show(m);
        wrong = world_check_tlb(m->w);
        m->w->cpu[0].any_cached = false;
    }
    return wrong;
}

uint64_t machine_frames(struct machine *m)
{
    return m->w->core.nr_frames;
}

enum machine_owner machine_owner(struct machine *m, uint64_t n)
{
    int id = n < m->w->core.nr_frames ? core_frame_owner(&m->w->core, mfn(n)) : -2;
    return id == m->d->id ? MACHINE_GUEST
           : id >= 0      ? MACHINE_OTHER
           : id == -1     ? MACHINE_NOBODY
                          : MACHINE_DEVICE;
}

unsigned machine_type(struct machine *m, uint64_t n)
{
    return core_frame_uses(&m->w->core, mfn(n)) ? core_frame_type(&m->w->core, mfn(n)) : 0;
}

bool machine_pinned(struct machine *m, uint64_t n)
{
    return core_frame_pinned(&m->w->core, mfn(n));
}

uint64_t machine_m2p(struct machine *m, uint64_t n)
{
    return m->w->m2p[n];
}

void machine_set_m2p(struct machine *m, uint64_t mfn, uint64_t page)
{
    m->w->m2p[mfn] = page;
}

uint64_t *machine_frame(struct machine *m, uint64_t n)
{
    return m->w->memory[n];
}

uint64_t machine_owned(struct machine *m)
{
    return m->d->frames;
}

uint64_t machine_released(struct machine *m)
{
    return m->released;
}

uint64_t machine_populated(struct machine *m)
{
    return m->populated;
}

uint64_t machine_tables(struct machine *m, unsigned level)
{
    uint64_t by_type[TYPE_COUNT] = {0}, pinned = 0;
    core_count_types(&m->w->core, m->d, by_type, &pinned);
    return by_type[level];
}

uint64_t machine_pins(struct machine *m)
{
    uint64_t by_type[TYPE_COUNT] = {0}, pinned = 0;
    core_count_types(&m->w->core, m->d, by_type, &pinned);
    return pinned;
}

uint64_t machine_built_p2m(struct machine *m, uint64_t pfn)
{
    return m->p2m[pfn];
}

uint64_t machine_device_frame(struct machine *m)
{
    return m->w->core.nr_frames - WORLD_DEVICE_FRAMES;
}

uint64_t machine_other_frame(struct machine *m)
{
    for (uint64_t n = WORLD_FIRST_FREE;; n++)
        if (machine_owner(m, n) == MACHINE_OTHER)
            return n;
}

uint64_t machine_shared_frame(struct machine *m)
{
    return m->shared;
}

const char *machine_console(struct machine *m)
{
    return m->console;
}

void machine_console_clear(struct machine *m)
{
    m->console_length = 0;
    m->console[0] = 0;
}

const struct machine_layout *machine_layout(struct machine *m)
{
    return &m->layout;
}

uint64_t machine_user_root(struct machine *m)
{
    return m->v->user_root.n; /* NO_MFN is MACHINE_NONE */
}

/* ---- port.h */

uint64_t machine_m2p_word(uint64_t base, uint64_t n)
{
    struct machine *m = &the_machine;
    if (base != M2P_BASE)
        machine_failed("the guest reads m2p[%" PRIx64 "] at %" PRIx64 "; it is at %" PRIx64, n,
                       base, (uint64_t)M2P_BASE);
    return n < m->w->core.nr_frames ? m->w->m2p[n] : NO_PFN.n;
}

uint64_t machine_cr3(void)
{
    return the_machine.v->kernel_root.n << 12;
}
