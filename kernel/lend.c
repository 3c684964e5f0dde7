/* SPDX-License-Identifier: MIT */
/* Two domains and a page. */
#include "live.h"

#include "look.h"

#include <xen/sched.h>

#define REF     "data/ref"
#define WHERE   0x0000600000000000ull
#define QUARTER 250000000ull
#define SEED    0x1e4du
#define ANSWER  0xa5eedu /* the seed of what is written over it */

static void must(struct pvguest *g, const char *what, int rc)
{
    if (rc == 0)
        return;
    say(g, "LIVE FATAL %s: %s\n", what, pvg_reason(g));
    pvg_fatal(g, what);
}

static void pause(struct pvguest *g)
{
    pvg_event_wait(g, NULL, 0, pvg_time(g) + QUARTER);
}

static _Noreturn void end(struct pvguest *g)
{
    pvg_shutdown(g, SHUTDOWN_poweroff);
}

/* The other one is still at it until it has unmapped the page. */
static void take_back(struct pvguest *g, uint32_t ref)
{
    int rc;
    unsigned busy = 0;
    while ((rc = pvg_grant_end(g, ref)) == -XEN_EBUSY) {
        busy++;
        pause(g);
    }
    must(g, "the end of a grant", rc);
    say(g, "LEND ended busy=%u grants=%u\n", busy, pvg_grants(g));
}

void lend(struct pvguest *g, domid_t to)
{
    pvg_pfn_t page;
    uint32_t ref;
    char text[16];
    must(g, "xenstore", pvg_xs_open(g));
    must(g, "grants", pvg_grant_init(g, 1));
    must(g, "a page", pvg_pages_take(g, 1, 1, &page));
    fill_page(pvg_page(g, page), SEED);
    must(g, "a grant", pvg_grant_access(g, to, page, false, &ref));
    pvg_format(text, sizeof(text), "%u", ref);
    must(g, REF, pvg_xs_write(g, 0, REF, text));
    say(g, "LEND page=%lx ref=%u to=%u\n", page.n, ref, to);
    while (is_filled(pvg_page(g, page), SEED) || !is_filled(pvg_page(g, page), ANSWER))
        pause(g);
    say(g, "LEND answer=ok\n");
    take_back(g, ref);
    end(g);
}

static uint32_t number(const char *text)
{
    uint32_t n = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        n = n * 10 + (uint32_t)(*text - '0');
    return n;
}

/* When it is there, and we may read it. */
static uint32_t wait_for_ref(struct pvguest *g, domid_t from)
{
    char path[48], text[16];
    int rc, last = 0;
    pvg_format(path, sizeof(path), "/local/domain/%u/" REF, from);
    while ((rc = pvg_xs_read(g, 0, path, text, sizeof(text), NULL)) != 0) {
        if (rc != -XEN_ENOENT && rc != -XEN_EACCES)
            must(g, path, rc);
        if (rc != last)
            say(g, "BORROW waits %d\n", rc);
        last = rc;
        pause(g);
    }
    return number(text);
}

void borrow(struct pvguest *g, domid_t from)
{
    struct pvg_grant_mapping m;
    must(g, "xenstore", pvg_xs_open(g));
    uint32_t ref = wait_for_ref(g, from);
    int rc = pvg_grant_map(g, from, ref + 1, WHERE, false, &m);
    say(g, "BORROW another ref=%u: %d %s\n", ref + 1, rc, rc ? pvg_reason(g) : "MAPPED");
    must(g, "mapping", pvg_grant_map(g, from, ref, WHERE, false, &m));
    volatile uint64_t *word = (volatile uint64_t *)m.va;
    say(g, "BORROW ref=%u from=%u pattern=%s\n", ref, from, is_filled(word, SEED) ? "ok" : "BAD");
    fill_page(word, ANSWER);
    for (unsigned i = 0; i < 8; i++) /* so that the lender finds it in use */
        pause(g);
    must(g, "unmapping", pvg_grant_unmap(g, &m));
    say(g, "BORROW done mappings=%u readable=%s\n", pvg_grant_mappings(g),
        can_read(g, WHERE) ? "STILL" : "no");
    end(g);
}
