/* SPDX-License-Identifier: MIT */
#include "live.h"

#include "user_world.h"

#include <xen/sched.h>

#define SECOND 1000000000ull

#define SPACE_AT    0x0000000000a00000ull /* beside the world's own */
#define SPACE_PAGES 16u
#define SPOILT      100u /* none of these */

#define LINE_MOST 64u

/* For whoever reads the memory from outside. */
static const char banner[] = "pvkernel on libpvguest, for Xen's PV guests";

struct life {
    struct pvguest *g;
    uint64_t beats, due; /* the next of them */
    uint32_t ref;        /* of a page that dom0 may map, over every suspend */
    bool spoil;
    char line[LINE_MOST]; /* typed so far */
    size_t typed;
};

static _Noreturn void die(struct pvguest *g, const char *what)
{
    say(g, "LIVE FATAL %s: %s\n", what, pvg_reason(g));
    pvg_fatal(g, what);
}

static void must(struct pvguest *g, const char *what, int rc)
{
    if (rc)
        die(g, what);
}

/* The grant stands, can be taken back and given again. */
static const char *grant_again(struct life *l)
{
    if (pvg_grants(l->g) != 1)
        return "BAD:lost";
    if (pvg_grant_end(l->g, l->ref))
        return pvg_reason(l->g);
    return pvg_grant_access(l->g, 0, held_page(0), false, &l->ref) ? pvg_reason(l->g) : "ok";
}

/* Loaded all the time, with a program for user mode, and some of the pages. */
static void open_space(struct life *l)
{
    must(l->g, "a space with a program", world_begin(l->g));
    for (unsigned i = 0; i < SPACE_PAGES; i++)
        must(l->g, "a space's page",
             pvg_space_map(l->g, &world.space, SPACE_AT + i * PVG_PAGE_BYTES, held_page(i), 1,
                           PVG_PTE_RO_DATA | PVG_PTE_USER));
}

/* The program comes back by its system call, with this in RAX. */
static bool runs(struct pvguest *g, const uint8_t *program, uint64_t rdi, uint64_t rsi,
                 uint64_t wanted)
{
    struct pvg_trap r = at(program, rdi, rsi);
    return run(g, &r) == 0 && r.vector == PVG_TRAP_SYSCALL && r.rax == wanted;
}

/* User mode computes, and has a stack that it writes. */
static bool user_mode_works(struct life *l)
{
    const uint64_t word = ~l->beats;
    return runs(l->g, user_sum, 100, 0, 5050) && runs(l->g, user_stack_use, 0, word, word) &&
           data_word(l->g)[WORDS - 1] == word;
}

/* Still loaded, the program in it runs, and it shows the pages to kernel and program. */
static const char *space_of(struct life *l)
{
    if (pvg_space_loaded(l->g) != &world.space)
        return "BAD:not-loaded";
    if (!user_mode_works(l))
        return "BAD:user-mode";
    for (unsigned i = 0; i < SPACE_PAGES; i++) {
        const uint64_t va = SPACE_AT + i * PVG_PAGE_BYTES;
        if (!can_read(l->g, va))
            return "BAD:unmapped";
        if (!is_filled((const volatile uint64_t *)va, held_page(i).n))
            return "BAD:other-pages";
        if (!runs(l->g, user_read, va, 0, *(const volatile uint64_t *)va))
            return "BAD:not-for-user-mode";
    }
    return "ok";
}

static void look(struct life *l)
{
    say(l->g, " sum=%s lists=%s spaces=%s\n", held_pages(l->g), lists_of(l->g), space_of(l));
}

static void take_target(struct life *l, uint64_t target)
{
    uint64_t now = 0;
    int rc = pvg_balloon_to(l->g, target, &now);
    if (rc)
        say(l->g, "LIVE balloon %d: %s\n", rc, pvg_reason(l->g));
    say(l->g, "LIVE target=%lu now=%lu", target, now);
    look(l);
}

static void spoil_page(struct pvguest *g, pvg_pfn_t page)
{
    volatile uint64_t *word = pvg_page(g, page);
    word[WORDS - 1] ^= 1;
}

static void suspend(struct life *l)
{
    enum pvg_resumed how;
    say(l->g, "LIVE suspending\n");
    int rc = pvg_suspend(l->g, &how);
    if (rc) {
        say(l->g, "LIVE refused %d: %s\n", rc, pvg_reason(l->g));
        return;
    }
    l->due = 0; /* by another machine's clock */
    if (l->spoil)
        spoil_page(l->g, held_page(SPOILT));
    say(l->g, "LIVE %s grant=%s", how == PVG_RESUMED ? "resumed" : "cancelled", grant_again(l));
    look(l);
}

static void beat(struct life *l)
{
    say(l->g, "LIVE alive n=%lu", ++l->beats);
    look(l);
}

/* Seconds since 1970, by the hypervisor's clocks. */
static uint64_t date(struct pvguest *g)
{
    const volatile shared_info_t *s = pvg_shared_info(g);
    uint32_t version;
    uint64_t at;
    do {
        version = s->wc_version & ~1u;
        at = ((uint64_t)s->wc_sec_hi << 32 | s->wc_sec) * SECOND + s->wc_nsec;
    } while (version != s->wc_version);
    return (at + pvg_time(g)) / SECOND;
}

/* A line that was typed is said again; of one that is too long, its beginning. */
static void hear(struct life *l)
{
    char c;
    while (pvg_read(l->g, &c, 1)) {
        if (c != '\n' && c != '\r') {
            if (l->typed < LINE_MOST - 1)
                l->line[l->typed++] = c;
            continue;
        }
        l->line[l->typed] = 0;
        l->typed = 0;
        say(l->g, "LIVE heard %s date=%lu\n", l->line, date(l->g));
    }
}

static void wait_a_second(struct pvguest *g)
{
    int rc = pvg_control_wait(g, pvg_time(g) + SECOND);
    if (rc && rc != -XEN_ETIMEDOUT)
        die(g, "waiting");
}

/* Whether there was something. */
static bool obey(struct life *l)
{
    enum pvg_control what;
    uint64_t target;
    must(l->g, "control", pvg_control_next(l->g, &what, &target));
    switch (what) {
    case PVG_CONTROL_NONE:
        return false;
    case PVG_CONTROL_TARGET:
        take_target(l, target);
        break;
    case PVG_CONTROL_SUSPEND:
        suspend(l);
        break;
    case PVG_CONTROL_POWEROFF:
    case PVG_CONTROL_REBOOT:
        say(l->g, "LIVE %s\n", what == PVG_CONTROL_REBOOT ? "reboots" : "ends");
        pvg_shutdown(l->g, what == PVG_CONTROL_REBOOT ? SHUTDOWN_reboot : SHUTDOWN_poweroff);
    case PVG_CONTROL_UNKNOWN:
        say(l->g, "LIVE an unknown word\n");
        break;
    }
    return true;
}

void live(struct pvguest *g, bool spoil)
{
    struct life l = {.g = g, .spoil = spoil};
    const uint64_t pages = hold_pages(g);
    must(g, "xenstore", pvg_xs_open(g));
    must(g, "control", pvg_control_open(g));
    must(g, "grants", pvg_grant_init(g, 1));
    must(g, "a grant", pvg_grant_access(g, 0, held_page(0), false, &l.ref));
    open_space(&l);
    say(g, "LIVE banner %s\n", banner);
    say(g, "LIVE up pages=%lu\n", pages);
    for (;;) {
        while (obey(&l))
            ;
        hear(&l);
        if (pvg_time(g) >= l.due) {
            beat(&l);
            l.due = pvg_time(g) + SECOND;
        }
        wait_a_second(g);
    }
}
