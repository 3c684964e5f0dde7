/* SPDX-License-Identifier: MIT */
/*
 * What a kernel has of the world outside: numbers of pages, pages lent, ports, the store. Each is
 * tried, and what is not there is said so: the initial domain has no store, a domain of pvmm's no
 * partner.
 */
#include <pvguest/pvguest.h>
#include <xen/sched.h>

#define BORROWED 0x200000000000ull
#define BLOCK    3u /* order: 8 pages */
#define SECOND   1000000000ull

static void say(struct pvguest *g, const char *what, int rc)
{
    pvg_print(g, "life: %s: %s\n", what, rc ? pvg_reason(g) : "well");
}

/* ---- memory that comes and goes */

static void balloon(struct pvguest *g)
{
    uint64_t now, most, done, before;
    if (pvg_reservation(g, &before, &most))
        pvg_fatal(g, "reservation");
    int rc = pvg_balloon_down(g, 100, &done);
    pvg_print(g, "life: %lu pages went\n", done);
    if (rc == 0)
        rc = pvg_balloon_up(g, 100, &done);
    if (rc == 0)
        rc = pvg_balloon_to(g, before - 50, &now);
    if (rc == 0)
        rc = pvg_balloon_to(g, before, &now);
    say(g, "balloon", rc);
}

/* For a device that knows machine addresses only. */
static void contiguous(struct pvguest *g)
{
    pvg_pfn_t first;
    pvg_mfn_t frame;
    if (pvg_pages_take(g, 1u << BLOCK, 1u << BLOCK, &first))
        pvg_fatal(g, "pages");
    int rc = pvg_make_contiguous(g, first, BLOCK, 32, &frame);
    say(g, "contiguous frames", rc);
    if (rc == 0)
        say(g, "scattered ones", pvg_make_scattered(g, first, BLOCK));
    if (pvg_pages_give(g, first, 1u << BLOCK))
        pvg_fatal(g, "pages");
}

/* ---- pages of ours for others, and the other way round: here we are both */

static domid_t own_id(struct pvguest *g)
{
    char text[8];
    domid_t id = 0; /* the initial domain's */
    if (pvg_xs_open(g) == 0 && pvg_xs_read(g, 0, "domid", text, sizeof(text), NULL) == 0)
        for (const char *at = text; *at; at++)
            id = (domid_t)(id * 10 + (*at - '0'));
    return id;
}

static void borrow(struct pvguest *g, domid_t from, uint32_t ref)
{
    struct pvg_grant_mapping m;
    int rc = pvg_grant_map(g, from, ref, BORROWED, true, &m);
    say(g, "a page borrowed", rc);
    if (rc)
        return;
    pvg_print(g, "life: it says %lx; %u borrowed\n", *(volatile uint64_t *)m.va,
              pvg_grant_mappings(g));
    if (pvg_grant_unmap(g, &m))
        pvg_fatal(g, "giving it back");
}

static void grants(struct pvguest *g)
{
    pvg_pfn_t page;
    uint32_t ref;
    if (pvg_grant_init(g, 1)) {
        say(g, "grant table", -1);
        return;
    }
    if (pvg_pages_take(g, 1, 1, &page))
        pvg_fatal(g, "page");
    *(volatile uint64_t *)pvg_page(g, page) = 0x1234;
    const domid_t to = own_id(g);
    int rc = pvg_grant_access(g, to, page, true, &ref);
    pvg_print(g, "life: %u lent\n", pvg_grants(g));
    if (rc == 0) {
        borrow(g, to, ref);
        rc = pvg_grant_end(g, ref);
    }
    say(g, "a page lent", rc);
    if (pvg_pages_give(g, page, 1))
        pvg_fatal(g, "page");
}

/* ---- ports: an end to another, which is ours, too */

static void events(struct pvguest *g)
{
    uint32_t ours, theirs;
    int rc = pvg_event_offer(g, DOMID_SELF, &ours);
    if (rc == 0)
        rc = pvg_event_bind(g, DOMID_SELF, ours, &theirs);
    if (rc == 0)
        rc = pvg_event_send(g, theirs);
    if (rc == 0)
        rc = pvg_event_wait(g, &ours, 1, pvg_time(g) + SECOND);
    pvg_print(g, "life: an event %s\n",
              rc == 0 && pvg_event_take(g, ours) ? "came" : "did not come");
    if (rc == 0)
        rc = pvg_event_close(g, theirs);
    if (rc == 0)
        rc = pvg_event_close(g, ours);
    say(g, "ports", rc);
}

/* ---- the store */

/* Nobody sees one node without the other. */
static int write_both(struct pvguest *g)
{
    pvg_xs_tx tx;
    int rc;
    do {
        rc = pvg_xs_begin(g, &tx);
        if (rc)
            return rc;
        rc = pvg_xs_write(g, tx, "data/first", "1");
        if (rc == 0)
            rc = pvg_xs_write(g, tx, "data/second", "2");
        int ended = pvg_xs_end(g, tx, rc == 0);
        rc = rc ? rc : ended;
    } while (rc == -XEN_EAGAIN);
    return rc;
}

static int list(struct pvguest *g)
{
    char names[256], value[16];
    unsigned count;
    int rc = pvg_xs_directory(g, 0, "data", names, sizeof(names), &count);
    if (rc == 0)
        rc = pvg_xs_read(g, 0, "data/second", value, sizeof(value), NULL);
    if (rc == 0)
        pvg_print(g, "life: %u nodes, the second is %s\n", count, value);
    return rc;
}

static void watch(struct pvguest *g)
{
    static struct pvg_xs_event e; /* large for a stack */
    uint64_t until = pvg_time(g) + SECOND;
    uint32_t port = pvg_xs_port(g);
    int rc = pvg_xs_watch(g, "data/first", "mine");
    while (rc == 0 && (rc = pvg_xs_event(g, &e)) == 0)
        rc = pvg_event_wait(g, &port, 1, until);
    say(g, "watch", rc < 0 ? rc : 0);
    if (rc > 0)
        pvg_print(g, "life: %s changed\n", e.token);
    pvg_xs_unwatch(g, "data/first", "mine");
}

static void store(struct pvguest *g)
{
    pvg_xs_patience(g, 10 * SECOND);
    int rc = pvg_xs_open(g);
    if (rc == 0)
        rc = pvg_xs_mkdir(g, 0, "data");
    if (rc == 0)
        rc = write_both(g);
    if (rc == 0)
        rc = list(g);
    say(g, "store", rc);
    if (rc)
        return;
    watch(g);
    say(g, "removed", pvg_xs_remove(g, 0, "data/first"));
    if (pvg_control_open(g) == 0) /* nothing is asked for, most likely */
        pvg_control_wait(g, pvg_time(g) + SECOND / 100);
}

void kernel_main(const start_info_t *si)
{
    struct pvg_options options;
    struct pvguest *g = pvg_start(si);
    if (pvg_options_parse(g, &options) || pvg_boot(g, &options))
        pvg_fatal(g, "boot");
    balloon(g);
    contiguous(g);
    grants(g);
    events(g);
    store(g);
    pvg_shutdown(g, SHUTDOWN_reboot);
}
