/* SPDX-License-Identifier: MIT */
/*
 * Event channels by queues: this file is a guest that takes events out of them as the ABI has it
 * (<xen/event_channel.h>), and one that does not.
 */
#include <string.h>

#include "hosted.h"
#include "hosted_machine.h"

#include "domain.h"
#include "hypercall.h"

#define CONTROL 0x800u /* frames of the guest */
#define WORDS   0x801u
#define MORE    0x802u
#define OFFSET  64u

#define PENDING (1u << EVTCHN_FIFO_PENDING)
#define MASKED  (1u << EVTCHN_FIFO_MASKED)
#define LINKED  (1u << EVTCHN_FIFO_LINKED)

static struct domain domain;
static shared_info_t shared;
static vcpu_info_t info;
static unsigned woken;
static uint64_t no_page; /* this frame is no page of the guest's any more */

/* ---- the rest of the hypervisor */

struct core *the_core(void)
{
    static struct core core = {.nr_frames = 0x1000};
    return &core;
}

struct vcpu *domain_vcpu(struct domain *d, uint64_t id)
{
    return id < d->nr_vcpus ? &d->vcpu[id] : NULL;
}

void *domain_page(const struct domain *d, mfn_t m)
{
    assert_ptr_equal(d, &domain);
    return m.n >= CONTROL && m.n <= MORE + 8 && m.n != no_page ? direct_frame(m) : NULL;
}

void vcpu_wake(struct vcpu *v)
{
    assert_ptr_equal(v, &domain.vcpu[0]);
    woken++;
}

/* ---- the guest */

static struct evtchn_fifo_control_block *control(void)
{
    return (struct evtchn_fifo_control_block *)((uint8_t *)direct_frame(mfn(CONTROL)) + OFFSET);
}

static uint32_t *word(unsigned port)
{
    return (uint32_t *)direct_frame(mfn(WORDS)) + port;
}

static int init(void)
{
    struct evtchn_init_control c = {.control_gfn = CONTROL, .offset = OFFSET, .vcpu = 0};
    int rc = fifo_init_control(&domain, &c);
    assert_int_equal(c.link_bits, EVTCHN_FIFO_LINK_BITS);
    return rc;
}

static int expand(uint64_t frame)
{
    return fifo_expand_array(&domain, &(struct evtchn_expand_array){.array_gfn = frame});
}

/* As Linux takes the next of a queue; 0: it is empty. */
static unsigned take(unsigned queue)
{
    static unsigned head[EVTCHN_FIFO_MAX_QUEUES];
    if (control()->ready & 1u << queue) {
        control()->ready &= ~(1u << queue);
        if (!head[queue])
            head[queue] = control()->head[queue];
    }
    unsigned port = head[queue];
    if (!port)
        return 0;
    uint32_t w = *word(port);
    *word(port) = w & ~(LINKED | EVTCHN_FIFO_LINK_MASK);
    head[queue] = w & EVTCHN_FIFO_LINK_MASK;
    if (!head[queue])
        control()->head[queue] = 0;
    assert_true(w & LINKED);
    *word(port) &= ~PENDING;
    return port;
}

static int start(void **state)
{
    (void)state;
    hosted_machine_init();
    memset(&domain, 0, sizeof(domain));
    memset(&shared, 0, sizeof(shared));
    memset(&info, 0, sizeof(info));
    domain.nr_vcpus = 1;
    domain.shared = &shared;
    domain.vcpu[0].domain = &domain;
    domain.vcpu[0].info = &info;
    for (unsigned p = 1; p < 20; p++)
        assert_int_equal(event_port_take(&domain), p);
    woken = 0;
    no_page = 0;
    return 0;
}

static int start_by_queues(void **state)
{
    start(state);
    assert_int_equal(init(), 0);
    assert_int_equal(expand(WORDS), 0);
    return 0;
}

/* ---- setting it up */

static void test_two_levels_until_asked(void **state)
{
    (void)state;
    event_raise(&domain, 3);
    assert_int_equal(shared.evtchn_pending[0], 1u << 3);
    assert_int_equal(expand(WORDS), -XEN_EOPNOTSUPP);
    assert_int_equal(fifo_set_priority(&domain, &(struct evtchn_set_priority){.port = 3}),
                     -XEN_ENOSYS);
}

static void test_what_a_control_block_must_be(void **state)
{
    (void)state;
    struct evtchn_init_control c = {.control_gfn = CONTROL, .vcpu = 1};
    assert_int_equal(fifo_init_control(&domain, &c), -XEN_ENOENT);
    c = (struct evtchn_init_control){.control_gfn = CONTROL, .offset = 4};
    assert_int_equal(fifo_init_control(&domain, &c), -XEN_EINVAL);
    c.offset = 4096 - sizeof(struct evtchn_fifo_control_block) + 8;
    assert_int_equal(fifo_init_control(&domain, &c), -XEN_EINVAL);
    c = (struct evtchn_init_control){.control_gfn = 0x1000000000};
    assert_int_equal(fifo_init_control(&domain, &c), -XEN_EINVAL);
    c.control_gfn = 1;
    assert_int_equal(fifo_init_control(&domain, &c), -XEN_EINVAL);
    assert_false(domain.fifo.on);
    assert_int_equal(init(), 0);
    assert_int_equal(init(), -XEN_EINVAL); /* it has one */
}

static void test_pages_of_words(void **state)
{
    (void)state;
    assert_int_equal(init(), 0);
    assert_int_equal(expand(1), -XEN_EINVAL);
    for (unsigned i = 0; i < FIFO_PAGES; i++)
        assert_int_equal(expand(WORDS + i), 0);
    assert_int_equal(expand(WORDS + 7), -XEN_ENOSPC);
}

static void test_what_was_pending_comes_along(void **state)
{
    (void)state;
    event_raise(&domain, 5);
    info = (vcpu_info_t){0};
    assert_int_equal(init(), 0);
    event_raise(&domain, 6); /* before its word is there */
    assert_int_equal(info.evtchn_upcall_pending, 0);
    assert_int_equal(expand(WORDS), 0);
    assert_int_equal(info.evtchn_upcall_pending, 1);
    assert_int_equal(take(7), 5);
    assert_int_equal(take(7), 6);
    assert_int_equal(take(7), 0);
}

/* ---- queues */

static void test_in_the_order_in_which_they_came(void **state)
{
    (void)state;
    event_raise(&domain, 9);
    assert_int_equal(info.evtchn_upcall_pending, 1);
    assert_int_equal(control()->ready, 1u << 7);
    info.evtchn_upcall_pending = 0;
    event_raise(&domain, 2);
    event_raise(&domain, 9); /* it is there already */
    event_raise(&domain, 4);
    assert_int_equal(info.evtchn_upcall_pending, 0); /* one upcall for a queue */
    assert_int_equal(take(7), 9);
    assert_int_equal(take(7), 2);
    event_raise(&domain, 9); /* behind the one that is left */
    assert_int_equal(take(7), 4);
    assert_int_equal(take(7), 9);
    assert_int_equal(take(7), 0);
    event_raise(&domain, 4); /* the queue begins anew */
    assert_int_equal(info.evtchn_upcall_pending, 1);
    assert_int_equal(take(7), 4);
    assert_int_equal(take(7), 0);
}

static void test_masked_ones_wait(void **state)
{
    (void)state;
    *word(3) = MASKED;
    event_raise(&domain, 3);
    assert_int_equal(*word(3), MASKED | PENDING);
    assert_true(event_port_pending(&domain, 3));
    assert_int_equal(control()->ready, 0);
    event_unmask(&domain, 3);
    assert_int_equal(take(7), 3);
    assert_false(event_port_pending(&domain, 3));
    event_unmask(&domain, 3); /* nothing is pending */
    assert_int_equal(take(7), 0);
}

static void test_priorities(void **state)
{
    (void)state;
    struct evtchn_set_priority s = {.port = 3, .priority = 16};
    assert_int_equal(fifo_set_priority(&domain, &s), -XEN_EINVAL);
    s.priority = 0;
    event_raise(&domain, 3); /* in its old queue, the tail of which it is */
    assert_int_equal(fifo_set_priority(&domain, &s), 0);
    assert_int_equal(take(7), 3);
    event_raise(&domain, 3);
    event_raise(&domain, 4);
    assert_int_equal(control()->ready, 1u << 0 | 1u << 7);
    assert_int_equal(take(0), 3);
    assert_int_equal(take(7), 4);
    assert_int_equal(take(7) | take(0), 0);
    s.port = 1000;
    assert_int_equal(fifo_set_priority(&domain, &s), -XEN_EINVAL);
}

static void test_pollers_are_woken_by_masked_ones_too(void **state)
{
    (void)state;
    domain.vcpu[0].polling = true;
    *word(3) = MASKED;
    event_raise(&domain, 3);
    assert_int_equal(woken, 1);
    event_raise(&domain, 3);
    assert_int_equal(woken, 1);
}

static void test_a_port_that_is_used_anew(void **state)
{
    (void)state;
    event_raise(&domain, 3);
    event_port_free(&domain, 3); /* while it is linked */
    assert_false(*word(3) & PENDING);
    assert_int_equal(event_port_take(&domain), 3);
    event_raise(&domain, 4);
    event_raise(&domain, 3);
    assert_int_equal(take(7), 3); /* it was linked all the time */
    assert_int_equal(take(7), 4);
    assert_int_equal(take(7), 0);
}

static void test_reset(void **state)
{
    (void)state;
    fifo_reset(&domain);
    event_raise(&domain, 3);
    assert_int_equal(*word(3), 0);
    assert_int_equal(shared.evtchn_pending[0], 1u << 3);
    assert_int_equal(init(), 0);
}

/* ---- guests that do as they like */

static void test_pages_that_are_no_longer_its_own(void **state)
{
    (void)state;
    no_page = WORDS;
    event_raise(&domain, 3);
    event_unmask(&domain, 3);
    assert_false(event_port_pending(&domain, 3));
    assert_int_equal(*word(3), 0);
    no_page = CONTROL;
    event_raise(&domain, 4);
    assert_int_equal(*word(4), 0);
    assert_int_equal(control()->ready, 0);
    no_page = 0;
    event_raise(&domain, 4);
    assert_int_equal(take(7), 4);
}

static void test_words_full_of_nonsense(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (unsigned i = 0; i < 200000; i++) {
        seed = seed * 1664525u + 1013904223u;
        *word(seed >> 16 & 31) = seed;
        control()->head[seed >> 8 & 15] = seed;
        control()->ready ^= seed;
        event_raise(&domain, 1 + (seed >> 20) % 19);
        event_unmask(&domain, 1 + (seed >> 24) % 19);
        if (seed % 7 == 0)
            fifo_set_priority(&domain, &(struct evtchn_set_priority){.port = 1 + seed % 19,
                                                                     .priority = seed % 16});
    }
    for (unsigned p = 0; p < EVTCHN_FIFO_MAX_QUEUES; p++)
        assert_true(domain.vcpu[0].queues.tail[p] < 20);
}

#define TWO_LEVELS(t) cmocka_unit_test_setup(t, start)
#define BY_QUEUES(t)  cmocka_unit_test_setup(t, start_by_queues)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TWO_LEVELS(test_two_levels_until_asked),
        TWO_LEVELS(test_what_a_control_block_must_be),
        TWO_LEVELS(test_pages_of_words),
        TWO_LEVELS(test_what_was_pending_comes_along),
        BY_QUEUES(test_in_the_order_in_which_they_came),
        BY_QUEUES(test_masked_ones_wait),
        BY_QUEUES(test_priorities),
        BY_QUEUES(test_pollers_are_woken_by_masked_ones_too),
        BY_QUEUES(test_a_port_that_is_used_anew),
        BY_QUEUES(test_reset),
        BY_QUEUES(test_pages_that_are_no_longer_its_own),
        BY_QUEUES(test_words_full_of_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
