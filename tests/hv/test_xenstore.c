/* SPDX-License-Identifier: MIT */
/*
 * The host's messages on COM2 and the guest's store ring, with this file as the machine around: the
 * serial line is an array, the guest's frame a variable.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <xen/io/xs_wire.h>

#include "domain.h"
#include "log.h"

#define PORT 7

static struct xenstore_domain_interface ring;
static bool ring_is_table;
static struct domain domain;
static unsigned events, bells, lines;
static char last_line[256];
static uint8_t line_in[4096];
static unsigned line_bytes, line_read;

/* ---- the machine */

void *domain_page(const struct domain *d, mfn_t m)
{
    assert_ptr_equal(d, &domain);
    assert_int_equal(m.n, 0x1234);
    return ring_is_table ? NULL : &ring;
}

void event_raise(struct domain *d, unsigned port)
{
    assert_ptr_equal(d, &domain);
    assert_int_equal(port, PORT);
    events++;
}

void serial_interrupt(unsigned line)
{
    (void)line;
}

void serial_write(unsigned line, const void *data, unsigned n)
{
    assert_int_equal(line, 1);
    bells += n == 2 && memcmp(data, "*\n", 2) == 0;
}

unsigned serial_read(unsigned line, void *to, unsigned n)
{
    assert_int_equal(line, 1);
    if (line_read == line_bytes || n == 0)
        return 0;
    *(uint8_t *)to = line_in[line_read++];
    return 1;
}

void log_line(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(last_line, sizeof(last_line), fmt, args);
    va_end(args);
    lines++;
}

bool log_worthwhile(unsigned *seen)
{
    ++*seen;
    return true;
}

/* ---- both ends */

static void host_sends(const void *bytes, unsigned n)
{
    assert_true(n <= sizeof(line_in));
    memcpy(line_in, bytes, n);
    line_bytes = n;
    line_read = 0;
    channel_input();
    assert_int_equal(line_read, n);
}

static void host_sends_data(uint8_t n, uint8_t first)
{
    uint8_t message[2 + 255] = {PVMM_BELL_STORE_DATA, n};
    for (unsigned i = 0; i < n; i++)
        message[2 + i] = (uint8_t)(first + i);
    host_sends(message, 2u + n);
}

static void host_takes(unsigned n)
{
    while (n > 0) {
        uint8_t piece = n < 255 ? (uint8_t)n : 255;
        host_sends((uint8_t[]){PVMM_BELL_STORE_TAKEN, piece}, 2);
        n -= piece;
    }
}

static void serve(void)
{
    events = bells = 0;
    xenstore_serve(&domain);
}

static void guest_writes(unsigned n, uint8_t first)
{
    for (unsigned i = 0; i < n; i++)
        ring.req[MASK_XENSTORE_IDX(ring.req_prod++)] = (char)(first + i);
}

static void expect_out(uint64_t at, unsigned n, uint8_t first)
{
    assert_int_equal(mailbox.store_out_written, at + n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(mailbox.store_out[(at + i) % PVMM_STORE_RING], (uint8_t)(first + i));
}

static void guest_reads(unsigned n, uint8_t first)
{
    assert_int_equal(ring.rsp_prod - ring.rsp_cons, n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal((uint8_t)ring.rsp[MASK_XENSTORE_IDX(ring.rsp_cons++)],
                         (uint8_t)(first + i));
}

/* Everything sound, empty and acknowledged; what was counted stays counted. */
static int settle(void **state)
{
    (void)state;
    domain.store_port = PORT;
    domain.xenstore_mfn = mfn(0x1234);
    ring_is_table = false;
    ring.req_prod = ring.req_cons;
    for (unsigned i = 0; i < 2; i++) { /* what waits fits at once */
        ring.rsp_cons = ring.rsp_prod;
        xenstore_serve(&domain);
    }
    ring.rsp_cons = ring.rsp_prod;
    host_takes(PVMM_STORE_RING);
    serve();
    lines = 0;
    return 0;
}

/* ---- requests */

static void test_requests(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        uint64_t at = mailbox.store_out_written;
        guest_writes(100, (uint8_t)round);
        serve();
        expect_out(at, 100, (uint8_t)round);
        assert_int_equal(ring.req_cons, ring.req_prod);
        assert_int_equal(events, 1);
        assert_int_equal(bells, 1);
        host_takes(100);
    }
    assert_int_equal(lines, 0);
}

static void test_nothing_moves(void **state)
{
    (void)state;
    serve();
    assert_int_equal(events, 0);
    assert_int_equal(bells, 0);
}

/* Never more than PVMM_STORE_RING beyond what the host took. */
static void test_host_is_slow(void **state)
{
    uint64_t at = mailbox.store_out_written;
    (void)state;
    guest_writes(1000, 1);
    serve();
    guest_writes(100, (uint8_t)(1 + 1000));
    serve();
    expect_out(at, PVMM_STORE_RING, 1);
    assert_int_equal(ring.req_prod - ring.req_cons, 1100 - PVMM_STORE_RING);
    serve();
    assert_int_equal(events, 0);
    assert_false(xenstore_input_waits());
    host_takes(5);
    assert_true(xenstore_input_waits());
    serve();
    assert_int_equal(mailbox.store_out_written, at + PVMM_STORE_RING + 5);
    host_takes(PVMM_STORE_RING);
    serve();
    assert_int_equal(mailbox.store_out_written, at + 1100);
}

static void test_took_too_much(void **state)
{
    uint64_t at = mailbox.store_out_written;
    (void)state;
    guest_writes(10, 0);
    serve();
    host_takes(11);
    assert_int_equal(lines, 1);
    guest_writes(1024, 3);
    serve(); /* no more room than there is */
    expect_out(at + 10, 1024, 3);
}

static void test_request_indices(void **state)
{
    uint64_t at = mailbox.store_out_written;
    (void)state;
    ring.req_prod = ring.req_cons + XENSTORE_RING_SIZE + 1;
    serve();
    assert_int_equal(ring.req_cons, ring.req_prod);
    assert_int_equal(mailbox.store_out_written, at);
    ring.req_prod = ring.req_cons - 1;
    serve();
    assert_int_equal(ring.req_cons, ring.req_prod);
    assert_int_equal(events, 0);
    ring.req_cons = ring.req_prod = ~0u - 2; /* the counters run over */
    guest_writes(8, 40);
    serve();
    assert_int_equal(ring.req_cons, 5);
    expect_out(at, 8, 40);
}

/* ---- replies */

static void test_replies(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        uint64_t at = mailbox.store_in_taken;
        host_sends_data(255, (uint8_t)round);
        assert_true(xenstore_input_waits());
        serve();
        assert_false(xenstore_input_waits());
        assert_int_equal(mailbox.store_in_taken, at + 255);
        assert_int_equal(events, 1);
        assert_int_equal(bells, 1);
        guest_reads(255, (uint8_t)round);
    }
    assert_int_equal(lines, 0);
}

static void test_guest_is_slow(void **state)
{
    uint64_t at = mailbox.store_in_taken;
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        host_sends_data(255, (uint8_t)(255 * i));
    serve();
    assert_int_equal(mailbox.store_in_taken, at + 1020);
    host_sends_data(10, (uint8_t)1020);
    serve(); /* four fit */
    assert_int_equal(mailbox.store_in_taken, at + 1024);
    guest_reads(1024, 0);
    serve(); /* the guest's kick */
    assert_int_equal(mailbox.store_in_taken, at + 1030);
    guest_reads(6, (uint8_t)1024);
    assert_int_equal(lines, 0);
}

static void test_host_is_rash(void **state)
{
    uint64_t at = mailbox.store_in_taken;
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        host_sends_data(255, (uint8_t)(255 * i));
    host_sends_data(4, (uint8_t)1020);
    assert_int_equal(lines, 0);
    host_sends_data(3, 99); /* dropped */
    assert_int_equal(lines, 3);
    assert_non_null(strstr(last_line, "dropped"));
    serve();
    assert_int_equal(mailbox.store_in_taken, at + 1024);
    guest_reads(1024, 0);
    serve();
    guest_reads(0, 0);
}

static void test_reply_indices(void **state)
{
    uint64_t at = mailbox.store_in_taken;
    (void)state;
    host_sends_data(3, 5);
    for (unsigned i = 0; i < 2; i++) {
        uint32_t bad = i ? ring.rsp_prod + 1 : ring.rsp_prod - XENSTORE_RING_SIZE - 1;
        ring.rsp_cons = bad;
        serve();
        assert_int_equal(mailbox.store_in_taken, at);
        assert_int_equal(ring.rsp_cons, bad);
        assert_int_equal(events, 0);
    }
    ring.rsp_cons = ring.rsp_prod = ~0u; /* sound again, and running over */
    serve();
    assert_int_equal(ring.rsp_prod, 2);
    guest_reads(3, 5);
}

/* ---- the frame and the port */

static void test_frame_is_a_table(void **state)
{
    static struct xenstore_domain_interface before;
    uint64_t in = mailbox.store_in_taken, out = mailbox.store_out_written;
    (void)state;
    host_sends_data(3, 5);
    guest_writes(9, 9);
    ring_is_table = true;
    before = ring;
    serve();
    assert_memory_equal(&before, &ring, sizeof(ring));
    assert_int_equal(mailbox.store_in_taken, in);
    assert_int_equal(mailbox.store_out_written, out);
    assert_int_equal(events + bells, 0);
    ring_is_table = false;
    serve();
    assert_int_equal(mailbox.store_in_taken, in + 3);
    assert_int_equal(mailbox.store_out_written, out + 9);
}

static void test_port_is_closed(void **state)
{
    uint64_t out = mailbox.store_out_written;
    (void)state;
    domain.store_port = 0;
    guest_writes(9, 9);
    serve();
    assert_int_equal(mailbox.store_out_written, out);
    assert_int_equal(events, 0);
}

/* ---- messages */

/* Whatever the pieces, the same bytes arrive; one of them looks like a message of its own. */
static void test_pieces(void **state)
{
    static const uint8_t messages[] = {'s', 5, 'q', 's', 'a', 0, 'x', 's', 0, 's', 1, 'y', 'a', 2};
    (void)state;
    for (unsigned cut = 1; cut <= sizeof(messages); cut++) {
        settle(NULL);
        guest_writes(2, 0);
        serve();
        uint64_t at = mailbox.store_in_taken;
        for (unsigned i = 0; i < sizeof(messages); i += cut)
            host_sends(messages + i, sizeof(messages) - i < cut ? sizeof(messages) - i : cut);
        serve();
        assert_int_equal(mailbox.store_in_taken, at + 6);
        assert_int_equal(ring.rsp_prod - ring.rsp_cons, 6);
        for (const char *p = "qsa\0xy"; ring.rsp_cons != ring.rsp_prod; p++)
            assert_int_equal(ring.rsp[MASK_XENSTORE_IDX(ring.rsp_cons++)], *p);
        assert_false(channel_stop_requested());
        assert_int_equal(lines, 0);
    }
}

static void test_unknown_and_stop(void **state)
{
    (void)state;
    host_sends("zz\0", 3);
    assert_int_equal(lines, 1); /* said once */
    assert_non_null(strstr(last_line, "7a"));
    assert_false(channel_stop_requested());
    host_sends_data(2, 1);
    host_sends("q", 1);
    assert_true(channel_stop_requested());
    serve();
    guest_reads(2, 1);
}

static void test_numbers_published(void **state)
{
    (void)state;
    domain.mem.id = 1;
    domain.console_mfn = mfn(0x77);
    domain.console_port = 3;
    channel_init();
    channel_domain(&domain);
    assert_int_equal(mailbox.domid, 1);
    assert_int_equal(mailbox.store_port, PORT);
    assert_int_equal(mailbox.store_mfn, 0x1234);
    assert_int_equal(mailbox.console_mfn, 0x77);
    assert_int_equal(mailbox.console_port, 3);
    assert_int_equal(mailbox.store_ring_size, PVMM_STORE_RING);
    assert_int_equal(mailbox.version, PVMM_MAILBOX_VERSION);
}

/* What the host keeps its pace by: bytes ever, of each line by itself. */
static void test_received_bytes_are_told(void **state)
{
    (void)state;
    channel_received(0, 3);
    channel_received(1, 0x100000005);
    channel_received(0, 4);
    assert_int_equal(mailbox.received[0], 4);
    assert_int_equal(mailbox.received[1], 0x100000005);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_requests, settle),
        cmocka_unit_test_setup(test_nothing_moves, settle),
        cmocka_unit_test_setup(test_host_is_slow, settle),
        cmocka_unit_test_setup(test_took_too_much, settle),
        cmocka_unit_test_setup(test_request_indices, settle),
        cmocka_unit_test_setup(test_replies, settle),
        cmocka_unit_test_setup(test_guest_is_slow, settle),
        cmocka_unit_test_setup(test_host_is_rash, settle),
        cmocka_unit_test_setup(test_reply_indices, settle),
        cmocka_unit_test_setup(test_frame_is_a_table, settle),
        cmocka_unit_test_setup(test_port_is_closed, settle),
        cmocka_unit_test_setup(test_pieces, settle),
        cmocka_unit_test_setup(test_unknown_and_stop, settle),
        cmocka_unit_test_setup(test_numbers_published, settle),
        cmocka_unit_test_setup(test_received_bytes_are_told, settle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
