/* SPDX-License-Identifier: MIT */
/* A store that breaks its promises: it is found out, the ring is given up, and begun anew. Or it is
 * slow: then what it says late is nobody's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "guest.h"
#include "internal.h"

#include <cmocka.h>

#define NR_PAGES 4096u
#define MS       1000000ull
#define PORT     1u
#define HEADER   sizeof(struct xsd_sockmsg)

static struct machine *m;
static struct pvguest *g;
static char text[5000];

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
    machine_set_peer(m, NULL);
    const char *wrong = guest_check(m, g);
    if (wrong)
        print_error("%s\n", wrong);
    machine_end(m);
    return wrong ? -1 : 0;
}

#define assert_reason(part)                                                                        \
    do {                                                                                           \
        if (!strstr(pvg_reason(g), part))                                                          \
            fail_msg("%s: no word of \"%s\"", pvg_reason(g), part);                                \
    } while (0)

static int read_text(void)
{
    return pvg_xs_read(g, 0, "x", text, sizeof(text), NULL);
}

/* ---- the peer's side of the ring */

static struct xenstore_domain_interface *ring(void)
{
    return machine_store_ring(m);
}

static void put(const void *bytes, size_t n)
{
    struct xenstore_domain_interface *r = ring();
    for (size_t i = 0; i < n; i++)
        r->rsp[MASK_XENSTORE_IDX(r->rsp_prod++)] = ((const char *)bytes)[i];
    machine_raise(m, PORT);
}

static void put_message(uint32_t type, uint32_t id, const void *payload, uint32_t size)
{
    struct xsd_sockmsg h = {type, id, 0, size};
    put(&h, HEADER);
    put(payload, size);
}

/* The next request, of which the header is kept. */
static struct xsd_sockmsg request;

static bool take_request(void)
{
    struct xenstore_domain_interface *r = ring();
    char *to = (char *)&request;
    if (r->req_prod - r->req_cons < HEADER)
        return false;
    for (unsigned i = 0; i < HEADER; i++)
        to[i] = r->req[MASK_XENSTORE_IDX(r->req_cons++)];
    r->req_cons += request.len;
    return true;
}

/* ---- what it does to the first request; afterwards it answers all as it should */

static void (*misdeed)(void);
static unsigned asked;

static void answer_all(struct machine *machine)
{
    (void)machine;
    while (take_request())
        put_message(request.type, request.req_id, "good", 4);
}

static void misbehave(struct machine *machine)
{
    (void)machine;
    if (!take_request())
        return;
    asked++;
    misdeed();
    machine_raise(m, PORT);
    machine_set_peer(m, NULL);
}

static void prod_far(void)
{
    ring()->rsp_prod += XENSTORE_RING_SIZE + 1;
}

static void prod_back(void)
{
    ring()->rsp_prod--;
}

static void prod_very_far(void)
{
    ring()->rsp_prod += 1u << 31;
}

static void cons_far(void)
{
    ring()->req_cons++;
}

static void cons_back(void)
{
    ring()->req_cons -= XENSTORE_RING_SIZE + 100;
}

static void wrong_id(void)
{
    put_message(request.type, request.req_id + 1, "good", 4);
}

static void old_id(void)
{
    put_message(request.type, request.req_id - 1, "good", 4);
}

static void wrong_type(void)
{
    put_message(XS_WRITE, request.req_id, "good", 4);
}

static void long_reply(void)
{
    struct xsd_sockmsg h = {request.type, request.req_id, 0, XENSTORE_PAYLOAD_MAX + 1};
    put(&h, HEADER);
}

static void very_long_reply(void)
{
    struct xsd_sockmsg h = {request.type, request.req_id, 0, ~0u - 10};
    put(&h, HEADER);
}

static void event_without_token(void)
{
    put_message(XS_WATCH_EVENT, 0, "data", 5);
}

static void event_without_end(void)
{
    put_message(XS_WATCH_EVENT, 0, "data\0t", 6);
}

static void event_with_more(void)
{
    put_message(XS_WATCH_EVENT, 0, "data\0t\0", 8);
}

static void event_of_nothing(void)
{
    put_message(XS_WATCH_EVENT, 0, "", 0);
}

static const struct {
    void (*does)(void);
    const char *reason;
} misdeeds[] = {
    {prod_far, "1025 bytes of replies are said"},
    {prod_back, "4294967295 bytes of replies are said"},
    {prod_very_far, "2147483648 bytes of replies"},
    {cons_far, "4294967295 bytes of requests are said"},
    {cons_back, "1124 bytes of requests"},
    {wrong_id, "a reply to request"},
    {old_id, "a reply to request"},
    {wrong_type, "a reply of type 11 to a request of type 2"},
    {long_reply, "a message of 4097 bytes"},
    {very_long_reply, "a message of 4294967285 bytes"},
    {event_without_token, "an event that is not"},
    {event_without_end, "an event that is not"},
    {event_with_more, "an event that is not"},
    {event_of_nothing, "an event that is not"},
};

static void test_misdeeds(void **state)
{
    (void)state;
    struct pvg_xs_event e;
    enum pvg_control what;
    uint64_t target;
    for (unsigned i = 0; i < sizeof(misdeeds) / sizeof(misdeeds[0]); i++) {
        misdeed = misdeeds[i].does;
        machine_set_peer(m, misbehave);
        int rc = read_text();
        if (rc != -XEN_EIO)
            fail_msg("%u: %d", i, rc);
        assert_reason("the store's end of the ring");
        assert_reason(misdeeds[i].reason);
        assert_int_equal(pvg_xs_port(g), 0);
        /* nobody looks at it any more */
        struct xenstore_domain_interface before = *ring();
        assert_int_equal(read_text(), -XEN_EIO);
        assert_reason("was given up");
        assert_int_equal(pvg_xs_event(g, &e), -XEN_EIO);
        assert_int_equal(pvg_control_next(g, &what, &target), -XEN_EIO);
        assert_memory_equal(&before, ring(), sizeof(before));
        assert_int_equal(store_suspend(g), 0);
        /* what it put there is dropped, and its indices are believed where they can be */
        assert_int_equal(pvg_xs_open(g), 0);
        assert_int_equal(pvg_xs_port(g), PORT);
        ring()->req_cons = ring()->req_prod = g->store.req_prod;
        machine_set_peer(m, answer_all);
        assert_int_equal(read_text(), 0);
        assert_string_equal(text, "good");
    }
}

/* What a request's answer may be, but not of this one. */
static const char *reply_text;
static uint32_t reply_size, reply_type;

static void reply(void)
{
    put_message(reply_type ? reply_type : request.type, request.req_id, reply_text, reply_size);
}

static void test_contents(void **state)
{
    (void)state;
    static const char *const numbers[] = {"", "x", "0", "1x", "-1", "4294967296", " 1"};
    pvg_xs_tx tx = 77;
    unsigned count = 77;
    misdeed = reply;
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        reply_text = numbers[i];
        reply_size = (uint32_t)strlen(reply_text) + 1;
        machine_set_peer(m, misbehave);
        assert_int_equal(pvg_xs_begin(g, &tx), -XEN_EIO);
        assert_reason("a transaction that has no number");
        assert_int_equal(pvg_xs_open(g), 0);
    }
    assert_int_equal(tx, 77);
    reply_text = "4294967295";
    reply_size = 10; /* nor is the NUL missed */
    machine_set_peer(m, misbehave);
    assert_int_equal(pvg_xs_begin(g, &tx), 0);
    assert_int_equal(tx, 4294967295u);
    reply_text = "a\0b";
    reply_size = 3;
    machine_set_peer(m, misbehave);
    assert_int_equal(pvg_xs_directory(g, 0, "x", text, sizeof(text), &count), -XEN_EIO);
    assert_reason("not complete");
    assert_int_equal(count, 77);
    assert_int_equal(pvg_xs_open(g), 0);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int code;
    } of[] = {
        {"EINVAL", -XEN_EINVAL},  {"EACCES", -XEN_EACCES},   {"EEXIST", -XEN_EEXIST},
        {"EISDIR", -XEN_EISDIR},  {"ENOENT", -XEN_ENOENT},   {"ENOMEM", -XEN_ENOMEM},
        {"ENOSPC", -XEN_ENOSPC},  {"EIO", -XEN_EIO},         {"ENOTEMPTY", -XEN_ENOTEMPTY},
        {"ENOSYS", -XEN_ENOSYS},  {"EROFS", -XEN_EROFS},     {"EBUSY", -XEN_EBUSY},
        {"EAGAIN", -XEN_EAGAIN},  {"EISCONN", -XEN_EISCONN}, {"E2BIG", -XEN_E2BIG},
        {"EPERM", -XEN_EPERM},    {"", -XEN_EINVAL},         {"EXYZ", -XEN_EINVAL},
        {"ENOENTX", -XEN_EINVAL}, {"0", -XEN_EINVAL},        {"%s%n", -XEN_EINVAL},
    };
    misdeed = reply;
    reply_type = XS_ERROR;
    for (unsigned i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
        reply_text = of[i].name;
        reply_size = (uint32_t)strlen(reply_text) + (i & 1); /* with its NUL, or without */
        machine_set_peer(m, misbehave);
        assert_int_equal(read_text(), of[i].code);
    }
    reply_type = 0;
    machine_set_peer(m, answer_all);
    assert_int_equal(read_text(), 0); /* the ring is in order */
}

/* ---- pieces, and storms */

static unsigned first_piece;

/* The reply in two pieces, the second when the guest waits for it; an event goes before. */
static void in_two(struct machine *machine)
{
    static char bytes[128];
    static size_t size, sent;
    (void)machine;
    if (take_request()) {
        struct xsd_sockmsg e = {XS_WATCH_EVENT, 0, 0, 7}, h = {request.type, request.req_id, 0, 4};
        memcpy(bytes, &e, HEADER);
        memcpy(bytes + HEADER, "data\0t", 7);
        memcpy(bytes + HEADER + 7, &h, HEADER);
        memcpy(bytes + 2 * HEADER + 7, "good", 4);
        size = 2 * HEADER + 11;
        put(bytes, first_piece);
        sent = first_piece;
    } else if (sent < size) {
        put(bytes + sent, size - sent);
        sent = size;
    }
}

static void test_split_at_every_byte(void **state)
{
    (void)state;
    struct pvg_xs_event e;
    machine_set_peer(m, answer_all);
    assert_int_equal(pvg_xs_watch(g, "data", "t"), 0);
    for (first_piece = 0; first_piece < 2 * HEADER + 11; first_piece++) {
        machine_set_peer(m, in_two);
        memset(text, 0, sizeof(text));
        assert_int_equal(read_text(), 0);
        assert_string_equal(text, "good");
        assert_int_equal(pvg_xs_event(g, &e), 1);
        assert_string_equal(e.path, "data");
        assert_string_equal(e.token, "t");
        assert_int_equal(pvg_xs_event(g, &e), 0);
    }
}

/* A request larger than the ring, of which the peer takes a few bytes at a time. */
static char received[5000];
static size_t received_bytes, sip;

static void sip_requests(struct machine *machine)
{
    struct xenstore_domain_interface *r = ring();
    (void)machine;
    if (r->req_cons == r->req_prod)
        return;
    for (size_t i = 0; i < sip && r->req_cons != r->req_prod; i++)
        received[received_bytes++] = r->req[MASK_XENSTORE_IDX(r->req_cons++)];
    memcpy(&request, received, HEADER);
    if (received_bytes >= HEADER && received_bytes == HEADER + request.len)
        put_message(request.type, request.req_id, "OK", 3);
    machine_raise(m, PORT);
}

static void test_long_request(void **state)
{
    (void)state;
    static char value[4001];
    for (unsigned i = 0; i < 4000; i++)
        value[i] = (char)('a' + i % 23);
    for (sip = 1; sip < 1200; sip = sip * 7 + 1) {
        received_bytes = 0;
        machine_set_peer(m, sip_requests);
        assert_int_equal(pvg_xs_write(g, 0, "data/long", value), 0);
        assert_int_equal(received_bytes, HEADER + 10 + 4000);
        assert_memory_equal(received + HEADER, "data/long", 10);
        assert_memory_equal(received + HEADER + 10, value, 4000);
    }
}

static void storm(struct machine *machine)
{
    struct xenstore_domain_interface *r = ring();
    (void)machine;
    take_request();
    while (XENSTORE_RING_SIZE - (r->rsp_prod - r->rsp_cons) >= HEADER + 7)
        put_message(XS_WATCH_EVENT, 0, "data\0t", 7);
    machine_raise(m, PORT);
}

/* It ends by patience, whatever else comes; and a look takes what lies there once. */
static void test_storm(void **state)
{
    (void)state;
    struct pvg_xs_event e;
    machine_set_peer(m, answer_all);
    assert_int_equal(pvg_xs_watch(g, "data", "t"), 0);
    pvg_xs_patience(g, 2 * MS);
    machine_set_peer(m, storm);
    assert_int_equal(read_text(), -XEN_ETIMEDOUT);
    assert_reason("store: reading x: no answer in 2000000 ns");
    assert_int_equal(pvg_xs_event(g, &e), 1);
    assert_true(e.lost);
    assert_int_equal(pvg_xs_event(g, &e), 1);
    assert_true(e.lost); /* as there are more every time */
    machine_set_peer(m, NULL);
    unsigned n = 0;
    while (pvg_xs_event(g, &e) == 1)
        n++;
    assert_in_range(n, 1, 2 * PVG_XS_EVENTS);
    machine_set_peer(m, answer_all);
    g->store.answered = g->store.asked; /* the storm took the request, and answers it never */
    assert_int_equal(read_text(), 0);
}

/* Events of watches that there are not. */
static void test_events_of_nobody(void **state)
{
    (void)state;
    struct pvg_xs_event e;
    put_message(XS_WATCH_EVENT, 0, "data\0t", 7);
    put_message(XS_WATCH_EVENT, 0, "\0", 2);
    put_message(XS_WATCH_EVENT, 0, "x\0pvguest/other", 16);
    assert_int_equal(pvg_xs_event(g, &e), 0);
    assert_int_equal(pvg_xs_port(g), PORT);
}

/* ---- patience */

static unsigned silent; /* requests that are not answered at once */
static uint32_t late[20], late_type[20];
static unsigned nr_late;

static void keep_silent(struct machine *machine)
{
    (void)machine;
    while (take_request()) {
        if (silent == 0) {
            for (unsigned i = 0; i < nr_late; i++)
                put_message(late_type[i], late[i], "late", 4);
            nr_late = 0;
            put_message(request.type, request.req_id, "good", 4);
            continue;
        }
        silent--;
        late[nr_late] = request.req_id;
        late_type[nr_late++] = request.type;
    }
}

static void test_late_replies(void **state)
{
    (void)state;
    pvg_xs_patience(g, MS);
    for (unsigned n = 1; n <= 20; n += 6) {
        silent = n;
        nr_late = 0;
        machine_set_peer(m, keep_silent);
        for (unsigned i = 0; i < n; i++) {
            uint64_t before = pvg_time(g);
            assert_int_equal(read_text(), -XEN_ETIMEDOUT);
            assert_in_range(pvg_time(g), before + MS, before + 2 * MS);
        }
        assert_int_equal(nr_late, n);
        assert_int_equal(read_text(), 0);
        assert_string_equal(text, "good");
    }
    /* Late ones that come while nobody waits; the same again is one too many. */
    struct pvg_xs_event e;
    silent = 2;
    assert_int_equal(read_text(), -XEN_ETIMEDOUT);
    assert_int_equal(read_text(), -XEN_ETIMEDOUT);
    put_message(late_type[0], late[0], "late", 4);
    assert_int_equal(pvg_xs_event(g, &e), 0);
    put_message(XS_ERROR, late[1], "ENOENT", 7);
    assert_int_equal(pvg_xs_event(g, &e), 0);
    put_message(late_type[1], late[1], "late", 4);
    assert_int_equal(pvg_xs_event(g, &e), -XEN_EIO);
}

/* A request that the peer did not even take whole goes on before the next one, or is in the way of
 * a suspend. */
static void test_half_sent(void **state)
{
    (void)state;
    static char value[3001];
    memset(value, 'v', 3000);
    pvg_xs_patience(g, MS);
    assert_int_equal(pvg_xs_write(g, 0, "data/long", value), -XEN_ETIMEDOUT);
    assert_int_equal(read_text(), -XEN_ETIMEDOUT);
    assert_reason("the request before: no answer");
    uint32_t last = g->store.asked;
    assert_int_equal(store_suspend(g), -XEN_EBUSY);
    assert_reason("store: 2002 bytes of a request are not sent");
    sip = 500;
    received_bytes = 0;
    machine_set_peer(m, sip_requests);
    for (unsigned i = 0; i < 4; i++) {
        struct pvg_xs_event e;
        sip_requests(m);
        assert_int_equal(pvg_xs_event(g, &e), 0);
    }
    while (received_bytes < HEADER + 10 + 3000)
        sip_requests(m);
    assert_int_equal(store_suspend(g), 0);
    assert_memory_equal(received + HEADER + 10, value, 3000);
    assert_int_equal(request.req_id, last);
    received_bytes = 0;
    machine_set_peer(m, answer_all);
    assert_int_equal(read_text(), 0);
    assert_string_equal(text, "good");
}

/* As long as a number may be; with a little more it would be in the past. */
static void test_much_patience(void **state)
{
    (void)state;
    machine_set_peer(m, answer_all);
    for (unsigned i = 0; i < 3; i++) {
        pvg_xs_patience(g, ~0ull - i * MS * MS);
        assert_int_equal(read_text(), 0);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_misdeeds),         TEST(test_contents),
        TEST(test_errors),           TEST(test_split_at_every_byte),
        TEST(test_long_request),     TEST(test_storm),
        TEST(test_events_of_nobody), TEST(test_late_replies),
        TEST(test_half_sent),        TEST(test_much_patience),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
