/* SPDX-License-Identifier: MIT */
/*
 * A peer that writes into the store's ring what it likes: replies and events that could be, the
 * same damaged, bytes and indices at random. Each call of the guest's ends in time with 0 or an
 * error, touches nothing that is not its own, and with a store that is sane all works again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "internal.h"
#include "store.h"

#include <cmocka.h>

#define NR_PAGES  4096u
#define US        1000ull
#define MS        1000000ull
#define PORT      1u
#define HEADER    sizeof(struct xsd_sockmsg)
#define SEEDS     4u
#define ROUNDS    800u
#define CALLS     80u
#define NODES     6u
#define TOKENS    5u
#define REQUESTS  100u /* of one call, at most: control's opening with all its tries */
#define QUEUE_MAX 16384u
#define NR_CALLS  12u

static struct machine *m;
static struct pvguest *g;
static uint64_t chance;
static unsigned seed, turn; /* round of which a failure tells */

static int setup(void **state)
{
    struct pvg_options o;
    (void)state;
    pvg_options_default(&o);
    m = machine_make(&(struct machine_params){.seed = 5, .nr_pages = NR_PAGES});
    g = guest_start(m);
    return !g || pvg_boot(g, &o) || pvg_xs_open(g);
}

static int teardown(void **state)
{
    (void)state;
    machine_store_close(m);
    const char *wrong = guest_check(m, g);
    if (wrong)
        print_error("%s\n", wrong);
    machine_end(m);
    return wrong ? -1 : 0;
}

#define CHECK(holds, ...)                                                                          \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            print_error("seed %u, round %u: ", seed, turn);                                        \
            fail_msg(__VA_ARGS__);                                                                 \
        }                                                                                          \
    } while (0)

/* ---- chance */

static uint64_t below(uint64_t n)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (chance >> 11) % n;
}

static bool one_in(unsigned n)
{
    return below(n) == 0;
}

static void fill(char *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (char)below(256);
}

static const char *node(void)
{
    static const char *const names[NODES] = {"data",     "data/a",           "data/b/c",
                                             "data/d-e", "control/shutdown", "memory/target"};
    return names[below(NODES)];
}

static const char *token(void)
{
    static const char *const names[TOKENS] = {
        "t", "a token that is as long as one may be, which is 63 bytes of it!", "another",
        "pvguest/shutdown", "pvguest/target"};
    return names[below(TOKENS)];
}

/* ---- the peer's side of the ring, and what of it nobody else writes */

static struct xenstore_domain_interface *ring(void)
{
    return machine_store_ring(m);
}

static struct {
    char rsp[XENSTORE_RING_SIZE];
    uint32_t req_cons, rsp_prod;
} mine;

static void keep_mine(void)
{
    memcpy(mine.rsp, ring()->rsp, sizeof(mine.rsp));
    mine.req_cons = ring()->req_cons;
    mine.rsp_prod = ring()->rsp_prod;
}

static void check_mine(void)
{
    const char *end = (const char *)(ring() + 1);
    CHECK(memcmp(mine.rsp, ring()->rsp, sizeof(mine.rsp)) == 0,
          "replies were written by the guest");
    CHECK(mine.req_cons == ring()->req_cons && mine.rsp_prod == ring()->rsp_prod,
          "the peer's indices were written by the guest");
    for (const char *at = end; at < (const char *)ring() + PVG_PAGE_BYTES; at++)
        CHECK(*at == 0, "behind the ring is %d", *at);
}

/* What the peer is about to say, of which a piece at a time is put into the ring. */
static char queue[QUEUE_MAX];
static size_t queued;

static void say(const void *bytes, size_t n)
{
    if (n > QUEUE_MAX - queued)
        return;
    memcpy(queue + queued, bytes, n);
    queued += n;
}

static void put_some(void)
{
    struct xenstore_domain_interface *r = ring();
    size_t room = XENSTORE_RING_SIZE - (r->rsp_prod - g->store.rsp_cons);
    size_t n = room > XENSTORE_RING_SIZE ? 0 : room < queued ? room : queued;
    if (one_in(6))
        n = below(n + 1);
    for (size_t i = 0; i < n; i++)
        r->rsp[MASK_XENSTORE_IDX(r->rsp_prod++)] = queue[i];
    memmove(queue, queue + n, queued - n);
    queued -= n;
}

static bool take_some(void)
{
    struct xenstore_domain_interface *r = ring();
    uint32_t there = g->store.req_prod - r->req_cons;
    if (there <= XENSTORE_RING_SIZE)
        r->req_cons += one_in(6) ? (uint32_t)below(there + 1) : there;
    return r->req_cons == g->store.req_prod && g->store.out.at == g->store.out.size;
}

/* ---- what it says */

static unsigned damage; /* one in so many */

static void say_message(uint32_t type, uint32_t id, const void *payload, size_t size)
{
    struct xsd_sockmsg h = {type, id, (uint32_t)below(3), (uint32_t)size};
    uint32_t *fields[] = {&h.type, &h.req_id, &h.len};
    if (one_in(damage)) {
        uint32_t *field = fields[below(3)];
        *field = one_in(2) ? *field + (uint32_t)below(5) - 2 : (uint32_t)below(1ull << 32);
    }
    say(&h, HEADER);
    say(payload, size);
}

static size_t say_text(char *to, const char *text)
{
    size_t n = strlen(text);
    memcpy(to, text, n + 1);
    return n;
}

static size_t names(char *to)
{
    size_t n = 0;
    for (uint64_t left = below(30); left > 0; left--)
        n += say_text(to + n, node()) + 1;
    return one_in(damage) && n > 0 ? n - 1 : n;
}

static const char *word(void)
{
    static const char *const words[] = {"poweroff", "halt",  "reboot", "suspend",
                                        "",         "16384", "12x",    "a word without room",
                                        "0",        "1",     " 12",    "99999999999999999999999"};
    return words[below(sizeof(words) / sizeof(words[0]))];
}

static const char *error(void)
{
    static const char *const errors[] = {"ENOENT", "EAGAIN", "EEXIST", "EACCES", "EIO",
                                         "EINVAL", "",       "E",      "%s%n"};
    return errors[below(sizeof(errors) / sizeof(errors[0]))];
}

static size_t content(char *to)
{
    size_t n = one_in(3) ? below(XENSTORE_PAYLOAD_MAX + 1) : below(40);
    fill(to, n);
    return one_in(4) ? n : say_text(to, word()) + below(2);
}

static void say_reply(void)
{
    static char payload[XENSTORE_PAYLOAD_MAX + 1];
    uint32_t type = g->store.asked_type;
    size_t n;
    if (one_in(6)) {
        n = say_text(payload, error()) + below(2);
        type = XS_ERROR;
    } else if (type == XS_DIRECTORY) {
        n = names(payload);
    } else if (type == XS_TRANSACTION_START && !one_in(damage)) {
        n = (size_t)snprintf(payload, 16, "%u", (unsigned)below(1000) + 1);
    } else {
        n = content(payload);
    }
    say_message(type, g->store.asked, payload, n);
}

/* Of a path and a token, but for what is damaged. */
static void say_event(void)
{
    static char payload[XENSTORE_PAYLOAD_MAX + 1];
    size_t path = say_text(payload, node());
    if (one_in(8)) {
        path = PVG_XS_PATH_MAX - 1 + one_in(2) + one_in(damage);
        memset(payload, 'p', path);
    }
    payload[path] = 0;
    size_t n = path + 1 + say_text(payload + path + 1, token()) + 1;
    if (one_in(damage))
        n = below(n + 10);
    if (one_in(damage))
        payload[below(n + 1)] = (char)below(2);
    say_message(XS_WATCH_EVENT, (uint32_t)below(2), payload, n);
}

/* ---- what it does */

static uint32_t some_index(uint32_t is)
{
    uint32_t by = (uint32_t)below(2 * XENSTORE_RING_SIZE);
    return one_in(3) ? (uint32_t)below(1ull << 32) : one_in(2) ? is + by : is - by;
}

static void misdeed(void)
{
    struct xenstore_domain_interface *r = ring();
    char bytes[64];
    switch (below(6)) {
    case 0:
        r->rsp_prod = some_index(r->rsp_prod);
        break;
    case 1:
        r->req_cons = some_index(r->req_cons);
        break;
    case 2: /* what is the guest's to write */
        r->req_prod = some_index(r->req_prod);
        r->rsp_cons = some_index(r->rsp_cons);
        break;
    case 3:
        fill(bytes, sizeof(bytes));
        say(bytes, below(sizeof(bytes)));
        break;
    case 4:
        fill(r->rsp, sizeof(r->rsp));
        fill(r->req, sizeof(r->req));
        break;
    case 5: /* an answer before the question */
        say_message(g->store.asked_type, g->store.asked + 1, "OK", 3);
        break;
    }
}

static uint32_t replied;

static void hostile(struct machine *machine)
{
    check_mine();
    if (take_some() && replied != g->store.asked && !one_in(20)) {
        replied = g->store.asked;
        say_reply();
    }
    if (one_in(5))
        say_event();
    if (one_in(damage))
        misdeed();
    put_some();
    if (!one_in(10))
        machine_raise(machine, PORT);
    keep_mine();
}

/* ---- the guest's calls. Memory that they are given is as large as they are told */

static char *room;
static size_t room_size;
static pvg_xs_tx tx;
static unsigned asked_for[PVG_CONTROL_TARGET + 1];

static int call_read(void)
{
    size_t length = 0;
    int rc = pvg_xs_read(g, tx, node(), room, room_size, one_in(2) ? &length : NULL);
    CHECK(rc || (length < room_size && room[length] == 0) || length == 0, "a text without an end");
    return rc;
}

static int call_write(void)
{
    static char text[4300];
    size_t n = one_in(4) ? below(sizeof(text)) : below(30);
    memset(text, 'w', n);
    text[n] = 0;
    return pvg_xs_write(g, tx, node(), text);
}

static int call_directory(void)
{
    unsigned count = 0, found = 0;
    int rc = pvg_xs_directory(g, tx, node(), room, room_size, &count);
    for (const char *at = room; rc == 0 && found < count; at += strlen(at) + 1)
        found++;
    return rc;
}

static int call_begin(void)
{
    return pvg_xs_begin(g, &tx);
}

static int call_end(void)
{
    int rc = pvg_xs_end(g, tx, one_in(2));
    tx = 0;
    return rc;
}

static int call_watch(void)
{
    return pvg_xs_watch(g, node(), token());
}

static int call_unwatch(void)
{
    return pvg_xs_unwatch(g, node(), token());
}

static int call_event(void)
{
    struct pvg_xs_event *e = malloc(sizeof(*e));
    assert_non_null(e);
    int rc = pvg_xs_event(g, e);
    CHECK(rc != 1 || (strnlen(e->path, sizeof(e->path)) <= PVG_XS_PATH_MAX &&
                      strnlen(e->token, sizeof(e->token)) < PVG_XS_TOKEN_MAX),
          "an event without an end");
    free(e);
    return rc == 1 ? 0 : rc;
}

static int call_control_open(void)
{
    return pvg_control_open(g);
}

static int call_control_next(void)
{
    enum pvg_control what = PVG_CONTROL_UNKNOWN;
    uint64_t target = 0;
    int rc = pvg_control_next(g, &what, &target);
    CHECK(rc == 0 || what == PVG_CONTROL_NONE, "%d, and there is %u to do", rc, what);
    CHECK(what <= PVG_CONTROL_TARGET, "there is %u to do", what);
    asked_for[what]++;
    return rc;
}

static int call_control_wait(void)
{
    return pvg_control_wait(g, pvg_time(g) + below(100 * US));
}

static int call_open(void)
{
    if (!one_in(4))
        queued = 0; /* else the rest of a message is the first that comes */
    return pvg_xs_open(g);
}

static struct {
    int (*call)(void);
    const char *name;
    unsigned done, given_up, late;
} calls[NR_CALLS] = {
    {call_read, "read", 0, 0, 0},
    {call_write, "write", 0, 0, 0},
    {call_directory, "directory", 0, 0, 0},
    {call_begin, "begin", 0, 0, 0},
    {call_end, "end", 0, 0, 0},
    {call_watch, "watch", 0, 0, 0},
    {call_unwatch, "unwatch", 0, 0, 0},
    {call_event, "event", 0, 0, 0},
    {call_control_open, "control_open", 0, 0, 0},
    {call_control_next, "control_next", 0, 0, 0},
    {call_control_wait, "control_wait", 0, 0, 0},
    {call_open, "open", 0, 0, 0},
};

/* ---- what holds after each */

static void check_pairs(const struct store_pairs *p)
{
    uint32_t at = 0, count = 0;
    CHECK(p->used <= sizeof(p->text), "%u bytes of pairs", p->used);
    for (; at < p->used; count++)
        for (unsigned i = 0; i < 2; i++)
            at += (uint32_t)strnlen(p->text + at, sizeof(p->text) - at) + 1;
    CHECK(at == p->used && count == p->count && count <= STORE_PAIRS, "%u pairs, %u in %u bytes",
          p->count, count, p->used);
}

static void check_state(void)
{
    const struct store_message *in = &g->store.in, *out = &g->store.out;
    check_mine();
    CHECK(in->size < sizeof(in->bytes) && (g->store.broken || in->at < in->size), "beyond the end");
    CHECK(out->size < sizeof(out->bytes) && out->at <= out->size, "beyond the end of a request");
    check_pairs(&g->store.watches);
    check_pairs(&g->store.events);
    CHECK(!g->store.waiting, "waiting for a reply after the call");
}

static void make_a_call(void)
{
    size_t i = g->store.broken && one_in(2) ? NR_CALLS - 1 : below(NR_CALLS);
    uint64_t patience = (1 + below(50)) * US, before = pvg_time(g);
    room_size = one_in(2) ? below(64) : below(XENSTORE_PAYLOAD_MAX + 2);
    room = malloc(room_size);
    assert_non_null(room);
    pvg_xs_patience(g, patience);
    int rc = calls[i].call();
    uint64_t took = pvg_time(g) - before;
    CHECK(rc <= 0 && rc > -1000, "%s: %d", calls[i].name, rc);
    CHECK(rc != 0 || !g->store.broken, "%s: a ring that is given up, and no error", calls[i].name);
    CHECK(took < REQUESTS * (patience + 10 * US), "%s took %llu ns", calls[i].name,
          (unsigned long long)took);
    check_state();
    free(room);
    calls[i].done += rc == 0;
    calls[i].given_up += rc == -XEN_EIO;
    calls[i].late += rc == -XEN_ETIMEDOUT;
}

/* ---- and then the store is sane */

#define MUST(call)                                                                                 \
    do {                                                                                           \
        int rc_ = (call);                                                                          \
        CHECK(rc_ == 0, "%s: %d, %s", #call, rc_, pvg_reason(g));                                  \
    } while (0)

/* It is another one: it knows nothing of what was said. */
static void change_stores(void)
{
    struct pvg_xs_event e;
    machine_set_peer(m, NULL);
    ring()->rsp_prod = g->store.rsp_cons + XENSTORE_RING_SIZE + 1;
    CHECK(pvg_xs_event(g, &e) == -XEN_EIO, "a broken ring is read");
    machine_store_open(m);
    MUST(pvg_xs_open(g));
    pvg_xs_patience(g, MS);
    MUST(store_watch_again(g));
}

static enum pvg_control next(void)
{
    enum pvg_control what = PVG_CONTROL_UNKNOWN;
    uint64_t target = 0;
    MUST(pvg_control_next(g, &what, &target));
    return what;
}

static void drop_watches(void)
{
    static struct store_pairs w;
    struct pvg_xs_event e;
    while ((w = g->store.watches).count > 0)
        MUST(pvg_xs_unwatch(g, w.text, w.text + strlen(w.text) + 1));
    CHECK(pvg_xs_event(g, &e) == 0, "an event of no watch");
    g->store.lost = false;
}

static void nodes_work(void)
{
    char text[32];
    unsigned count = 0;
    pvg_xs_tx own;
    struct pvg_xs_event e;
    MUST(pvg_xs_watch(g, "data/a", "t"));
    CHECK(pvg_xs_event(g, &e) == 1 && strcmp(e.token, "t") == 0, "no first event");
    MUST(pvg_xs_begin(g, &own));
    MUST(pvg_xs_write(g, own, "data/a", "value"));
    MUST(pvg_xs_end(g, own, true));
    CHECK(pvg_xs_event(g, &e) == 1 && strcmp(e.path, "data/a") == 0 && !e.lost, "no event");
    CHECK(pvg_xs_event(g, &e) == 0, "an event twice");
    MUST(pvg_xs_read(g, 0, "data/a", text, sizeof(text), NULL));
    CHECK(strcmp(text, "value") == 0, "data/a is \"%s\"", text);
    MUST(pvg_xs_directory(g, 0, "data", text, sizeof(text), &count));
    CHECK(count == 1 && strcmp(text, "a") == 0, "%u names, \"%s\"", count, text);
    MUST(pvg_xs_unwatch(g, "data/a", "t"));
}

/* A word that was in doubt, and the target that is there already, come first. */
static void control_works(void)
{
    unsigned n = 0;
    if (g->store.control.open)
        MUST(control_again(g));
    MUST(pvg_control_open(g));
    while (next() != PVG_CONTROL_NONE)
        CHECK(++n <= 2, "there is always something to do");
    machine_store_write(m, "control/shutdown", "reboot");
    MUST(pvg_control_wait(g, pvg_time(g) + MS));
    CHECK(next() == PVG_CONTROL_REBOOT, "no reboot");
    CHECK(next() == PVG_CONTROL_NONE, "more than a reboot");
}

static void sane_again(void)
{
    change_stores();
    drop_watches();
    nodes_work();
    control_works();
    if (one_in(2))
        g->store.control = (struct control){0};
    queued = 0;
    tx = 0;
    keep_mine();
}

static void check_all_happened(void)
{
    for (unsigned i = 0; i < NR_CALLS; i++) {
        CHECK(calls[i].done > 0, "%s never worked", calls[i].name);
        CHECK(calls[i].given_up > 0 || calls[i].call == call_open, "%s was never betrayed",
              calls[i].name);
    }
    CHECK(calls[0].late > 0, "no reply was late");
    for (unsigned i = 0; i <= PVG_CONTROL_TARGET; i++)
        CHECK(asked_for[i] > 0, "nobody asked for %u", i);
}

static void test_hostile_peer(void **state)
{
    static const unsigned how[] = {3, 15, 60, 300};
    (void)state;
    seed++;
    chance = seed * 0x9e3779b97f4a7c15ull;
    tx = 0;
    queued = 0;
    replied = 0;
    keep_mine();
    for (turn = 0; turn < ROUNDS; turn++) {
        damage = how[below(4)];
        machine_set_peer(m, hostile);
        for (unsigned i = 0; i < CALLS; i++)
            make_a_call();
        sane_again();
    }
    check_all_happened();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    struct CMUnitTest tests[SEEDS];
    for (unsigned i = 0; i < SEEDS; i++)
        tests[i] = (struct CMUnitTest)TEST(test_hostile_peer);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
