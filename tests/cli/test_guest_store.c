/* SPDX-License-Identifier: MIT */
/* The guest's store at the end of the control channel: this file is the hypervisor and the guest.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <errno.h>
#include <xen/io/xs_wire.h>

#include "bell.h"
#include "guest_store.h"
#include "guest_tree.h"

#include <pvstore.h>

#define DOMID 3
#define HOME  "/local/domain/3"

struct machine {
    struct pvmm_mailbox box;
    struct mailbox m;
    struct bell b;
    struct guest_store g;
    struct error e;
    uint64_t acknowledged; /* bytes of store_out, as the host says */
    uint8_t ring[1 << 20]; /* what reached the guest, and how much of it was read */
    size_t received, read;
};

static int make_machine(void **state)
{
    struct machine *h = calloc(1, sizeof(*h));

    h->m.box = &h->box;
    h->box.state = PVMM_STATE_RUNNING;
    h->box.domid = DOMID;
    h->box.store_port = 2;
    h->box.store_mfn = 1234;
    h->box.console_port = 1;
    h->box.console_mfn = 1235;
    h->box.store_ring_size = PVMM_STORE_RING;
    h->g = (struct guest_store){.wanted = true, .name = "a-guest", .memory = 256u << 20};
    *state = h;
    return 0;
}

static int drop_machine(void **state)
{
    struct machine *h = *state;

    guest_store_close(&h->g);
    free(h);
    return 0;
}

static void serve(struct machine *h)
{
    if (guest_store_serve(&h->g, &h->m, &h->b, &h->e) != 0)
        assert_string_equal(h->e.text, "no error");
}

/* The guest writes a piece; false: the ring of the mailbox has no room for it. */
static bool write_out(struct machine *h, const void *data, size_t size)
{
    if (h->box.store_out_written + size - h->acknowledged > PVMM_STORE_RING)
        return false;
    for (size_t i = 0; i < size; i++)
        h->box.store_out[h->box.store_out_written++ % PVMM_STORE_RING] = ((const uint8_t *)data)[i];
    return true;
}

static void request(struct machine *h, uint32_t type, const void *payload, size_t size)
{
    const struct xsd_sockmsg header = {type, 1, 0, (uint32_t)size};

    assert_true(write_out(h, &header, sizeof(header)));
    assert_true(write_out(h, payload, size));
}

/* The hypervisor reads COM2; no message may be cut into. */
static void take_bell(struct machine *h)
{
    size_t i = 0;

    while (i < h->b.used) {
        const uint8_t kind = h->b.bytes[i], n = h->b.bytes[i + 1];

        assert_true(n > 0);
        if (kind == PVMM_BELL_STORE_TAKEN) {
            h->acknowledged += n;
            i += 2;
        } else {
            assert_int_equal(kind, PVMM_BELL_STORE_DATA);
            assert_true(i + 2 + n <= h->b.used);
            memcpy(h->ring + h->received, h->b.bytes + i + 2, n);
            h->received += n;
            i += 2 + n;
        }
    }
    assert_int_equal(i, h->b.used);
    assert_true(h->acknowledged <= h->box.store_out_written);
    assert_true(h->received - h->box.store_in_taken <= PVMM_STORE_RING);
    h->b.used = 0;
}

/* The guest's next message, if all of it has arrived. */
static const struct xsd_sockmsg *next_message(struct machine *h, const char **payload)
{
    static struct xsd_sockmsg header;

    if (h->received - h->read < sizeof(header))
        return NULL;
    memcpy(&header, h->ring + h->read, sizeof(header));
    if (h->received - h->read < sizeof(header) + header.len)
        return NULL;
    *payload = (const char *)h->ring + h->read + sizeof(header);
    h->read += sizeof(header) + header.len;
    return &header;
}

static void reads(struct machine *h, const char *path, const char *value)
{
    const struct xsd_sockmsg *m;
    const char *payload;

    request(h, XS_READ, path, strlen(path) + 1);
    serve(h);
    take_bell(h);
    h->box.store_in_taken = h->received;
    m = next_message(h, &payload);
    assert_non_null(m);
    if (m->type != XS_READ)
        fail_msg("%s: %s", path, payload);
    assert_int_equal(m->len, strlen(value));
    assert_memory_equal(payload, value, m->len);
}

static void the_guest_finds_what_xl_would_give_it(void **state)
{
    static const char *const values[][2] = {
        {"name", "a-guest"},
        {"domid", "3"},
        {"vm", "/vm/00000000-0000-0000-0000-000000000000"},
        {"/vm/00000000-0000-0000-0000-000000000000/name", "a-guest"},
        {"cpu/0/availability", "online"},
        {"memory/static-max", "262144"},
        {"memory/target", "262144"},
        {"control/platform-feature-xs_reset_watches", "1"},
        {"control/shutdown", ""},
        {"console/ring-ref", "1235"},
        {"console/port", "1"},
        {"console/limit", "1048576"},
        {"console/type", "xenconsoled"},
        {"store/ring-ref", "1234"},
        {"store/port", "2"},
        {"device", ""},
        {"data", ""},
        {"console/backend", "/local/domain/0/backend/console/3/0"},
        {"/local/domain/0/backend/console/3/0/frontend", HOME "/console"},
    };
    struct machine *h = *state;

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        reads(h, values[i][0], values[i][1]);
}

static void expect_owner(struct machine *h, const char *path, uint32_t owner, unsigned count)
{
    const struct store_perm *perms;
    unsigned n;

    assert_int_equal(store_get_perms(h->g.store, path, &perms, &n), 0);
    if (perms[0].domid != owner || n != count)
        fail_msg("%s is of domain %u, with %u entries", path, perms[0].domid, n);
}

static void and_may_write_only_where_xl_lets_it(void **state)
{
    static const char *const own[] = {"device/suspend/event-channel",
                                      "control/shutdown",
                                      "control/feature-poweroff",
                                      "control/feature-reboot",
                                      "control/feature-suspend",
                                      "control/sysrq",
                                      "data",
                                      "drivers",
                                      "feature",
                                      "attr",
                                      "error"};
    static const char *const readable[] = {
        "",        "/name",    "/cpu/0/availability", "/memory/target",
        "/device", "/control", "/console/port",       "/store/port"};
    struct machine *h = *state;
    char path[128];

    serve(h);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        snprintf(path, sizeof(path), HOME "/%s", own[i]);
        expect_owner(h, path, DOMID, 1);
    }
    for (size_t i = 0; i < sizeof(readable) / sizeof(readable[0]); i++) {
        snprintf(path, sizeof(path), HOME "%s", readable[i]);
        expect_owner(h, path, 0, 2);
    }
    expect_owner(h, "/libxl/3", 0, 1);
    expect_owner(h, HOME "/console/backend-id", DOMID, 2);
}

static void nothing_happens_before_the_guest_runs(void **state)
{
    struct machine *h = *state;

    h->box.state = PVMM_STATE_BOOTING;
    h->box.domid = 0;
    serve(h);
    assert_null(h->g.store);
    h->m.box = NULL;
    serve(h);
    h->m.box = &h->box;
    h->box.state = PVMM_STATE_RUNNING;
    h->g.wanted = false;
    serve(h);
    assert_null(h->g.store);
}

static void expect_refused(struct machine *h, const char *text)
{
    assert_int_equal(guest_store_serve(&h->g, &h->m, &h->b, &h->e), -1);
    if (strstr(h->e.text, text) == NULL)
        assert_string_equal(h->e.text, text);
}

static void facts_that_cannot_be_are_refused(void **state)
{
    struct machine *h = *state;

    h->box.store_port = 0;
    expect_refused(h, "port 0");
    h->box.store_port = 2;
    h->box.domid = 0x7ff0;
    expect_refused(h, "domain 32752");
    h->box.domid = 0;
    expect_refused(h, "domain 0");
    h->box.domid = DOMID;
    h->box.store_ring_size = 2 * PVMM_STORE_RING;
    expect_refused(h, "2048 bytes");
    assert_null(h->g.store);
    h->box.store_ring_size = PVMM_STORE_RING;
    serve(h);
}

static void counters_that_cannot_be_are_refused(void **state)
{
    struct machine *h = *state;

    reads(h, "name", "a-guest");
    h->box.store_out_written += PVMM_STORE_RING + 1;
    expect_refused(h, "more than a ring's apart");
    h->box.store_out_written = 0; /* it went backwards */
    expect_refused(h, "more than a ring's apart");
    h->box.store_out_written = h->acknowledged;
    h->box.store_in_taken++;
    expect_refused(h, "bytes are said to be taken of");
    h->box.store_in_taken--;
    reads(h, "name", "a-guest");
}

/* A reply larger than the ring goes in parts, as the guest reads. */
static void no_more_is_under_way_than_the_ring_holds(void **state)
{
    struct machine *h = *state;
    const struct xsd_sockmsg *m;
    const char *payload;
    char value[3000];
    unsigned parts = 0;

    serve(h);
    memset(value, 'v', sizeof(value));
    assert_int_equal(store_write(h->g.store, HOME "/data", value, sizeof(value)), 0);
    request(h, XS_READ, "data", 5);
    while ((m = next_message(h, &payload)) == NULL && parts++ < 100) {
        serve(h);
        take_bell(h);
        serve(h); /* nothing more before the guest has read */
        assert_int_equal(h->b.used, 0);
        h->box.store_in_taken += (h->received - h->box.store_in_taken + 1) / 2;
    }
    assert_non_null(m);
    assert_int_equal(m->len, sizeof(value));
    assert_memory_equal(payload, value, sizeof(value));
    assert_true(parts > 3);
}

/* A guest that asks without reading is held up at its own ring, and loses nothing. */
static void a_guest_that_does_not_read_is_held_up(void **state)
{
    struct machine *h = *state;
    const struct xsd_sockmsg header = {XS_READ, 1, 0, 5};
    unsigned asked = 0, answered = 0;
    const struct xsd_sockmsg *m;
    const char *payload;
    char message[21];

    memcpy(message, &header, 16);
    memcpy(message + 16, "name", 5);
    while (write_out(h, message, sizeof(message))) {
        asked++;
        serve(h);
        take_bell(h);
        assert_true(asked < 1000);
    }
    assert_true(asked > 20);
    for (unsigned i = 0; i < 1000 && answered < asked; i++) {
        h->box.store_in_taken = h->received;
        serve(h);
        take_bell(h);
        while ((m = next_message(h, &payload)) != NULL) {
            assert_int_equal(m->type, XS_READ);
            answered++;
        }
    }
    assert_int_equal(answered, asked);
    assert_int_equal(h->acknowledged, h->box.store_out_written);
}

/* The line to the hypervisor is full: nothing is lost, nothing is torn. */
static void a_machine_that_does_not_listen_is_waited_for(void **state)
{
    struct machine *h = *state;
    char filler[sizeof(h->b.bytes)] = {0};

    serve(h);
    request(h, XS_READ, "name", 5);
    assert_true(bell_ring(&h->b, filler, sizeof(filler)));
    assert_false(bell_ring(&h->b, filler, 1));
    serve(h);
    assert_int_equal(h->g.out_read, 0);
    h->b.used -= 12; /* room for acknowledgements, not for the reply */
    serve(h);
    assert_int_equal(h->g.out_read, 21);
    assert_int_equal(h->b.used, sizeof(filler) - 12 + 2);
    h->b.used = 0;
    serve(h);
    h->acknowledged += 21;
    take_bell(h);
    assert_int_equal(h->received, 16 + 7);
}

static void bells_go_out_as_far_as_the_line_takes_them(void **state)
{
    struct machine *h = *state;
    char filler[sizeof(h->b.bytes)], got[sizeof(filler)];
    int ends[2], small = 1;
    size_t n = 0;

    for (size_t i = 0; i < sizeof(filler); i++)
        filler[i] = (char)(i * 7);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    assert_true(bell_ring(&h->b, filler, sizeof(filler)));
    for (unsigned i = 0; i < 10000 && n < sizeof(got); i++) {
        bell_write(&h->b, ends[0]);
        const ssize_t r = read(ends[1], got + n, 100);
        n += r > 0 ? (size_t)r : 0;
    }
    assert_int_equal(n, sizeof(got));
    assert_memory_equal(got, filler, sizeof(got));
    assert_false(bell_waits(&h->b));
    close(ends[1]);
    bell_ring(&h->b, "x", 1);
    bell_write(&h->b, ends[0]); /* SIGPIPE is ignored: the machine is gone */
    assert_false(bell_waits(&h->b));
    close(ends[0]);
}

static void a_guest_that_breaks_the_protocol_is_cut_off_and_told_of_once(void **state)
{
    const struct xsd_sockmsg bad = {XS_READ, 1, 0, 5000};
    struct machine *h = *state;

    assert_true(write_out(h, &bad, sizeof(bad)));
    serve(h);
    assert_non_null(guest_store_trouble(&h->g));
    assert_null(guest_store_trouble(&h->g));
    take_bell(h);
    request(h, XS_READ, "name", 5);
    serve(h);
    take_bell(h);
    assert_int_equal(h->received, 0);
}

static void the_guest_is_asked_to_shut_down(void **state)
{
    struct machine *h = *state;
    const struct xsd_sockmsg *m;
    const char *payload;

    assert_int_equal(guest_store_shutdown(&h->g, "poweroff", &h->e), -1);
    serve(h);
    request(h, XS_WATCH, "control/shutdown\0t", 19);
    serve(h);
    take_bell(h);
    while (next_message(h, &payload) != NULL)
        ;
    assert_int_equal(guest_store_shutdown(&h->g, "poweroff", &h->e), 0);
    serve(h);
    take_bell(h);
    m = next_message(h, &payload);
    assert_non_null(m);
    assert_int_equal(m->type, XS_WATCH_EVENT);
    assert_string_equal(payload, "control/shutdown");
    reads(h, "control/shutdown", "poweroff");
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_machine, drop_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_guest_finds_what_xl_would_give_it),
        T(and_may_write_only_where_xl_lets_it),
        T(nothing_happens_before_the_guest_runs),
        T(facts_that_cannot_be_are_refused),
        T(counters_that_cannot_be_are_refused),
        T(no_more_is_under_way_than_the_ring_holds),
        T(a_guest_that_does_not_read_is_held_up),
        T(a_machine_that_does_not_listen_is_waited_for),
        T(bells_go_out_as_far_as_the_line_takes_them),
        T(a_guest_that_breaks_the_protocol_is_cut_off_and_told_of_once),
        T(the_guest_is_asked_to_shut_down),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
