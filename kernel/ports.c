/* SPDX-License-Identifier: MIT */
/* Event channels by the library: to oneself, asked and waited for, and the time meanwhile. */
#include "themes.h"

#define MS         1000000ull
#define SHORT      (5 * MS)
#define LONG       (60000 * MS) /* for a machine that is emulated, on a host with other things to do */
#define FREE_PORT  40u          /* a guest that has just begun has a handful */
#define NO_DOMAIN  0x7000u
#define NO_VIRQ    77u
#define SPARE_VIRQ VIRQ_DEBUG

/* Whoever binds is pending once, as the other end may have been sent by before. */
static bool connect(struct tap *t, uint32_t port[2])
{
    int rc = pvg_event_offer(t->g, DOMID_SELF, &port[0]);
    if (rc == 0)
        rc = pvg_event_bind(t->g, DOMID_SELF, port[0], &port[1]);
    if (rc == 0)
        pvg_event_take(t->g, port[1]);
    return tap_ok(t, __FILE_NAME__, __LINE__, "a channel to oneself", rc);
}

static void disconnect(struct tap *t, const uint32_t port[2])
{
    CHECK_OK(t, pvg_event_close(t->g, port[1]));
    CHECK_OK(t, pvg_event_close(t->g, port[0]));
}

static void to_oneself(struct tap *t)
{
    uint32_t port[2];
    TAP_END_IF_NOT(connect(t, port));
    CHECK(t, port[0] && port[1] && port[0] != port[1]);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(t, !pvg_event_take(t->g, port[0]) && !pvg_event_take(t->g, port[1]));
        CHECK_OK(t, pvg_event_send(t->g, port[i]));
        CHECK(t, !pvg_event_take(t->g, port[i]));
        CHECK(t, pvg_event_take(t->g, port[1 - i]));
    }
    disconnect(t, port);
}

static void waits(struct tap *t)
{
    uint32_t port[2];
    TAP_END_IF_NOT(connect(t, port));
    CHECK_OK(t, pvg_event_send(t->g, port[0]));
    CHECK_OK(t, pvg_event_wait(t->g, port, 2, PVG_FOREVER));
    CHECK_OK(t, pvg_event_wait(t->g, port, 2, 0));
    CHECK(t, pvg_event_take(t->g, port[1])); /* which the waits did not */
    disconnect(t, port);
}

/* It may come back early, but says so only when it is time. */
static int wait_out(struct tap *t, const uint32_t *port, unsigned count, uint64_t until)
{
    int rc;
    do
        rc = pvg_event_wait(t->g, port, count, until);
    while (rc == 0 && pvg_time(t->g) < until);
    return rc;
}

static void timeouts(struct tap *t)
{
    uint32_t port[2];
    TAP_END_IF_NOT(connect(t, port));
    for (unsigned ports = 0; ports <= 2; ports++) {
        uint64_t before = pvg_time(t->g);
        int rc = wait_out(t, port, ports, before + SHORT);
        uint64_t took = pvg_time(t->g) - before;
        CHECK(t, rc == -XEN_ETIMEDOUT || rc == 0);
        CHECK_SAY(t, took >= SHORT && took < LONG, "%lu ns instead of %lu, for %u ports", took,
                  (unsigned long)SHORT, ports);
    }
    CHECK_SAME(t, pvg_event_wait(t->g, port, 2, 1), -XEN_ETIMEDOUT);
    disconnect(t, port);
}

static void refusals(struct tap *t)
{
    uint32_t port = FREE_PORT, got = 7777;
    CHECK_SAME(t, pvg_event_bind(t->g, DOMID_SELF, port, &got), -XEN_EINVAL);
    CHECK_SAME(t, pvg_event_bind(t->g, NO_DOMAIN, 1, &got), -XEN_ESRCH);
    CHECK_SAME(t, pvg_event_bind_virq(t->g, NO_VIRQ, &got), -XEN_EINVAL);
    CHECK_SAME(t, got, 7777);
    CHECK_SAME(t, pvg_event_close(t->g, port), -XEN_EINVAL);
    CHECK_SAME(t, pvg_event_send(t->g, PVG_PORTS), -XEN_EINVAL);
    CHECK(t, !pvg_event_take(t->g, PVG_PORTS));
    port = PVG_PORTS;
    CHECK_SAME(t, pvg_event_wait(t->g, &port, 1, 0), -XEN_EINVAL);
    CHECK_SAME(t, pvg_event_wait(t->g, &port, PVG_WAIT_MAX + 1, 0), -XEN_EINVAL);
}

static void virqs(struct tap *t)
{
    uint32_t port, again = 7777;
    CHECK_OK(t, pvg_event_bind_virq(t->g, SPARE_VIRQ, &port));
    CHECK_SAME(t, pvg_event_bind_virq(t->g, SPARE_VIRQ, &again), -XEN_EEXIST);
    CHECK_SAME(t, again, 7777);
    CHECK_SAME(t, pvg_event_send(t->g, port), -XEN_EINVAL);
    CHECK_OK(t, pvg_event_close(t->g, port));
    CHECK_OK(t, pvg_event_bind_virq(t->g, SPARE_VIRQ, &port));
    CHECK_OK(t, pvg_event_close(t->g, port));
}

/* Each port that is closed can be had again: more often than there are any. */
static void closed_ports(struct tap *t)
{
    uint32_t port[2];
    for (unsigned i = 0; i < 3000 && !t->failed; i++)
        if (connect(t, port))
            disconnect(t, port);
}

static void time_goes_on(struct tap *t)
{
    uint64_t before = pvg_time(t->g);
    CHECK(t, before > 0);
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t now = pvg_time(t->g);
        CHECK_SAY(t, now >= before, "%lu after %lu", now, before);
        before = now;
    }
}

static const struct test tests[] = {
    {"to_oneself", to_oneself},     {"waits", waits}, {"timeouts", timeouts},
    {"refusals", refusals},         {"virqs", virqs}, {"closed_ports", closed_ports},
    {"time_goes_on", time_goes_on},
};

const struct theme ports_theme = THEME("ports", tests);
