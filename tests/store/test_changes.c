/* SPDX-License-Identifier: MIT */
/* Watches and transactions: what a guest hears, and what it sees meanwhile. */
#include <stdio.h>

#include "store_test.h"

/* ---- watches */

static void a_watch_fires_once_when_it_is_set(void **state)
{
    struct guest *g = *state;

    expect_ok(g, XS_WATCH, TEXT("data\0token"));
    expect_event(g, "data", "token");
    expect_ok(g, XS_WATCH, TEXT("/not/readable/or/there\0"));
    expect_event(g, "/not/readable/or/there", "");
    expect_silence(g);
}

/* A change by the guest itself, of which it hears before the reply. */
static void change(struct guest *g, uint32_t type, const void *payload, size_t size,
                   const char *path, const char *token)
{
    send_request(g, type, payload, size);
    expect_event(g, path, token);
    assert_true(receive(g));
    assert_int_equal(g->m.header.type, type);
    expect_silence(g);
}

static void a_watch_hears_of_changes_below(void **state)
{
    struct guest *g = *state;

    expect_ok(g, XS_WATCH, TEXT("data/a\0t"));
    expect_event(g, "data/a", "t");
    change(g, XS_WRITE, TEXT("data/a/b"), "data/a/b", "t");
    change(g, XS_MKDIR, TEXT("data/a/c"), "data/a/c", "t");
    expect_ok(g, XS_MKDIR, TEXT("data/a/c"));
    change(g, XS_SET_PERMS, TEXT("data/a/c\0n7"), "data/a/c", "t");
    change(g, XS_RM, TEXT("data/a/c"), "data/a/c", "t");
    expect_ok(g, XS_WRITE, TEXT("data/ab"));
    expect_ok(g, XS_WRITE, TEXT("data"));
    expect_silence(g);
    tool_write(g, HOME "/data/a", "x");
    expect_event(g, "data/a", "t");
}

static void absolute_watches_hear_absolute_paths(void **state)
{
    struct guest *g = *state;

    expect_ok(g, XS_WATCH, TEXT(HOME "/data\0absolute"));
    expect_event(g, HOME "/data", "absolute");
    expect_ok(g, XS_WATCH, TEXT("data\0relative"));
    expect_event(g, "data", "relative");
    tool_write(g, HOME "/data/x", "");
    expect_event(g, HOME "/data/x", "absolute");
    expect_event(g, "data/x", "relative");
}

static void removal_tells_a_watch_inside_its_own_path(void **state)
{
    struct guest *g = *state;

    expect_ok(g, XS_WRITE, TEXT("data/a/b/c"));
    expect_ok(g, XS_WATCH, TEXT("data/a/b\0inside"));
    expect_event(g, "data/a/b", "inside");
    expect_ok(g, XS_WATCH, TEXT("data\0above"));
    expect_event(g, "data", "above");
    assert_int_equal(store_remove(g->s, HOME "/data/a"), 0);
    expect_event(g, "data/a/b", "inside");
    expect_event(g, "data/a", "above");
    expect_silence(g);
}

static void watches_are_told_apart_by_path_and_token(void **state)
{
    struct guest *g = *state;

    expect_ok(g, XS_WATCH, TEXT("data\0t"));
    expect_event(g, "data", "t");
    expect_error(g, XS_WATCH, TEXT("data\0t"), "EEXIST");
    expect_error(g, XS_WATCH, TEXT(HOME "/data\0t"), "EEXIST");
    expect_ok(g, XS_WATCH, TEXT("data\0u"));
    expect_event(g, "data", "u");
    expect_error(g, XS_UNWATCH, TEXT("data\0v"), "ENOENT");
    expect_ok(g, XS_UNWATCH, TEXT(HOME "/data\0t"));
    tool_write(g, HOME "/data", "");
    expect_event(g, "data", "u");
    expect_silence(g);
    expect_error(g, XS_WATCH, TEXT("data/\0t"), "EINVAL");
    expect_error(g, XS_WATCH, TEXT("data\0t\0001"), "EINVAL");
}

static void a_watch_is_deaf_to_what_may_not_be_read(void **state)
{
    struct guest *g = *state;

    expect_ok(g, XS_WATCH, TEXT("/\0t"));
    expect_event(g, "/", "t");
    tool_write(g, "/secret/a", "");
    tool_write(g, "/secret/a", "x");
    assert_int_equal(store_remove(g->s, "/secret"), 0);
    expect_silence(g);
    tool_write(g, HOME "/hidden", "");
    expect_event(g, HOME "/hidden", "t");
    set_perms(g, HOME "/hidden", "n0"); /* could be read before, and the parent still can */
    expect_event(g, HOME "/hidden", "t");
    tool_write(g, HOME "/hidden", "x");
    expect_event(g, HOME "/hidden", "t");
    tool_write(g, HOME "/hidden/deep", "");
    expect_silence(g);
}

static void an_event_that_waits_is_not_repeated(void **state)
{
    struct guest *g = *state;
    const void *data;

    expect_ok(g, XS_WATCH, TEXT("data\0t"));
    expect_event(g, "data", "t");
    for (int i = 0; i < 5; i++) {
        tool_write(g, HOME "/data/x", "");
        tool_write(g, HOME "/data/y", "");
    }
    expect_event(g, "data/x", "t");
    expect_event(g, "data/y", "t");
    expect_silence(g);
    tool_write(g, HOME "/data/x", "");
    assert_true(store_output(g->s, &data) > 1);
    store_output_taken(g->s, 1); /* its first byte is on its way: the guest may have seen it */
    tool_write(g, HOME "/data/x", "");
    store_output_taken(g->s, 16 + 9 - 1);
    expect_event(g, "data/x", "t");
    expect_silence(g);
}

static void watches_are_as_many_as_the_quota_says(void **state)
{
    struct guest *g = *state;
    char payload[32];

    for (unsigned i = 0; i < STORE_WATCHES; i++) {
        expect_ok(g, XS_WATCH, payload, (size_t)sprintf(payload, "data%c%u", 0, i) + 1);
        assert_true(receive(g));
    }
    expect_error(g, XS_WATCH, TEXT("data\0more"), "E2BIG");
    expect_ok(g, XS_UNWATCH,
              TEXT("data\0"
                   "5"));
    expect_ok(g, XS_WATCH, TEXT("data\0more"));
}

static void reset_takes_watches_and_transactions_away(void **state)
{
    struct guest *g = *state;

    expect_ok(g, XS_WATCH, TEXT("data\0t"));
    expect_event(g, "data", "t");
    begin(g);
    expect_ok(g, XS_WRITE, TEXT("data/x"));
    expect_ok(g, XS_RESET_WATCHES, TEXT(""));
    expect_error(g, XS_READ, TEXT("data"), "ENOENT");
    g->tx = 0;
    tool_write(g, HOME "/data/y", "");
    expect_silence(g);
    expect_error(g, XS_READ, TEXT("data/x"), "ENOENT");
    expect_ok(g, XS_WATCH, TEXT("data\0t"));
    expect_event(g, "data", "t");
    tool_write(g, HOME "/data/y", "");
    expect_event(g, "data/y", "t");
}

static void special_events_need_the_right_to_them(void **state)
{
    struct guest *g = *state;

    expect_ok(g, XS_WATCH, TEXT("@releaseDomain\0r"));
    expect_event(g, "@releaseDomain", "r");
    expect_ok(g, XS_WATCH, TEXT("@introduceDomain\0i"));
    expect_event(g, "@introduceDomain", "i");
    assert_int_equal(store_announce(g->s, "@releaseDomain"), 0);
    expect_silence(g);
    set_perms(g, "@releaseDomain", "n0 r7");
    assert_int_equal(store_announce(g->s, "@introduceDomain"), 0);
    assert_int_equal(store_announce(g->s, "@releaseDomain"), 0);
    assert_int_equal(store_announce(g->s, "@releaseDomain"), 0);
    expect_event(g, "@releaseDomain", "r");
    expect_event(g, "@releaseDomain", "r");
    expect_silence(g);
    assert_int_equal(store_announce(g->s, "@other"), EINVAL);
}

static void events_nobody_takes_are_dropped_in_the_end(void **state)
{
    struct guest *g = *state;
    char payload[1100], path[64];
    unsigned events = 0;

    memset(payload, 't', sizeof(payload));
    memcpy(payload, "data", 5);
    for (int i = 0; i < 100; i++) {
        payload[1000 + i] = '\0';
        expect_ok(g, XS_WATCH, payload, 1001 + (size_t)i);
        assert_true(receive(g));
        payload[1000 + i] = 't';
    }
    for (int i = 0; i < 100; i++) {
        sprintf(path, HOME "/data/%d", i);
        tool_write(g, path, "");
    }
    while (receive(g))
        events++;
    assert_true(events > 2000 && events < STORE_OUTPUT / 1000);
    tool_write(g, HOME "/data/again", "");
    assert_true(receive(g));
}

/* ---- transactions */

static void a_transaction_is_seen_only_after_its_commit(void **state)
{
    struct guest *g = *state;
    const void *data;
    size_t size;

    begin(g);
    expect_ok(g, XS_WRITE, "data/a/b\0v", 10);
    expect_reply(g, XS_READ, TEXT("data/a/b"), "v", 1);
    expect_reply(g, XS_DIRECTORY, TEXT("data"), TEXT("a"));
    assert_int_equal(store_read(g->s, HOME "/data/a/b", &data, &size), ENOENT);
    commit(g, NULL);
    assert_int_equal(store_read(g->s, HOME "/data/a/b", &data, &size), 0);
    expect_reply(g, XS_READ, TEXT("data/a/b"), "v", 1);
}

static void a_transaction_given_up_leaves_nothing(void **state)
{
    struct guest *g = *state;

    expect_ok(g, XS_WRITE, "data/a\0v", 8);
    begin(g);
    expect_ok(g, XS_RM, TEXT("data/a"));
    expect_ok(g, XS_WRITE, TEXT("data/b"));
    expect_error(g, XS_READ, TEXT("data/a"), "ENOENT");
    expect_ok(g, XS_TRANSACTION_END, TEXT("F"));
    expect_error(g, XS_TRANSACTION_END, TEXT("F"), "ENOENT");
    g->tx = 0;
    expect_reply(g, XS_READ, TEXT("data/a"), "v", 1);
    expect_reply(g, XS_DIRECTORY, TEXT("data"), TEXT("a"));
}

static void what_was_read_must_not_have_changed(void **state)
{
    struct guest *g = *state;

    tool_write(g, HOME "/data/a", "1");
    begin(g);
    expect_reply(g, XS_READ, TEXT("data/a"), "1", 1);
    expect_ok(g, XS_WRITE, "data/b\0v", 8);
    tool_write(g, HOME "/data/a", "1");
    commit(g, "EAGAIN");
    expect_error(g, XS_READ, TEXT("data/b"), "ENOENT");
}

static void what_was_missing_must_still_be(void **state)
{
    struct guest *g = *state;

    begin(g);
    expect_error(g, XS_READ, TEXT("data/a"), "ENOENT");
    tool_write(g, HOME "/data/a", "1");
    commit(g, "EAGAIN");
    tool_write(g, HOME "/data/a", "1");
    begin(g);
    expect_reply(g, XS_READ, TEXT("data/a"), "1", 1);
    assert_int_equal(store_remove(g->s, HOME "/data/a"), 0);
    commit(g, "EAGAIN");
}

static void changes_elsewhere_do_not_matter(void **state)
{
    struct guest *g = *state;

    tool_write(g, HOME "/data/a", "");
    tool_write(g, HOME "/data/b", "");
    begin(g);
    expect_ok(g, XS_WRITE, "data/a\0v", 8);
    tool_write(g, HOME "/data/b", "w");
    commit(g, NULL);
    expect_reply(g, XS_READ, TEXT("data/a"), "v", 1);
    expect_reply(g, XS_READ, TEXT("data/b"), "w", 1);
}

static void of_two_transactions_on_one_node_the_second_is_refused(void **state)
{
    struct guest *g = *state;
    uint32_t first, second;

    tool_write(g, HOME "/data/a", "0");
    begin(g);
    first = g->tx;
    begin(g);
    second = g->tx;
    assert_true(first != second);
    g->tx = first;
    expect_ok(g, XS_WRITE,
              "data/a\0"
              "1",
              8);
    g->tx = second;
    expect_reply(g, XS_READ, TEXT("data/a"), "0", 1);
    expect_ok(g, XS_WRITE,
              "data/a\0"
              "2",
              8);
    g->tx = first;
    commit(g, NULL);
    g->tx = second;
    commit(g, "EAGAIN");
    expect_reply(g, XS_READ, TEXT("data/a"), "1", 1);
}

static void a_removal_is_committed_whole(void **state)
{
    struct guest *g = *state;

    expect_ok(g, XS_WRITE, TEXT("data/a/b/c"));
    begin(g);
    expect_ok(g, XS_RM, TEXT("data/a"));
    expect_ok(g, XS_WRITE, "data/a\0new", 10);
    commit(g, NULL);
    expect_reply(g, XS_READ, TEXT("data/a"), "new", 3);
    expect_reply(g, XS_DIRECTORY, TEXT("data/a"), "", 0);
    expect_error(g, XS_READ, TEXT("data/a/b/c"), "ENOENT");
}

static void watches_hear_of_a_transaction_when_it_is_committed(void **state)
{
    struct guest *g = *state;

    expect_ok(g, XS_WRITE, TEXT("data/gone/deep"));
    expect_ok(g, XS_WATCH, TEXT("data\0t"));
    expect_event(g, "data", "t");
    begin(g);
    expect_ok(g, XS_WRITE, TEXT("data/b"));
    expect_ok(g, XS_WRITE, TEXT("data/a"));
    expect_ok(g, XS_RM, TEXT("data/gone"));
    expect_silence(g);
    send_request(g, XS_TRANSACTION_END, TEXT("T"));
    g->tx = 0;
    expect_event(g, "data/b", "t");
    expect_event(g, "data/a", "t");
    expect_event(g, "data/gone", "t");
    assert_true(receive(g));
    assert_int_equal(g->m.header.type, XS_TRANSACTION_END);
    expect_silence(g);
    begin(g);
    expect_ok(g, XS_WRITE, TEXT("data/c"));
    expect_ok(g, XS_TRANSACTION_END, TEXT("F"));
    g->tx = 0;
    expect_silence(g);
}

/* Removed with its parent, a node is told of to its own watches only; written before, to all. */
static void a_write_is_told_of_even_if_a_removal_follows(void **state)
{
    struct guest *g = *state;

    expect_ok(g, XS_WRITE, TEXT("data/a/b"));
    expect_ok(g, XS_WRITE, TEXT("data/a/c"));
    expect_ok(g, XS_WATCH, TEXT("data\0t"));
    expect_event(g, "data", "t");
    begin(g);
    expect_ok(g, XS_WRITE, "data/a/b\0v", 10);
    expect_ok(g, XS_RM, TEXT("data/a"));
    send_request(g, XS_TRANSACTION_END, TEXT("T"));
    g->tx = 0;
    expect_event(g, "data/a/b", "t");
    expect_event(g, "data/a", "t");
    assert_true(receive(g));
    assert_int_equal(g->m.header.type, XS_TRANSACTION_END);
}

static void transactions_have_ids(void **state)
{
    struct guest *g = *state;

    g->tx = 77;
    expect_error(g, XS_READ, TEXT("data"), "ENOENT");
    expect_error(g, XS_TRANSACTION_END, TEXT("T"), "ENOENT");
    expect_error(g, XS_TRANSACTION_START, TEXT(""), "ENOENT");
    expect_ok(g, XS_WATCH, TEXT("data\0t"));
    expect_event(g, "data", "t");
    expect_ok(g, XS_UNWATCH, TEXT("data\0t"));
    g->tx = 0;
    expect_error(g, XS_TRANSACTION_END, TEXT("T"), "ENOENT");
    begin(g);
    expect_error(g, XS_TRANSACTION_START, TEXT(""), "EBUSY");
    expect_error(g, XS_TRANSACTION_END, TEXT("X"), "EINVAL");
    commit(g, NULL);
}

static void transactions_are_as_many_as_the_quota_says(void **state)
{
    struct guest *g = *state;

    for (unsigned i = 0; i < STORE_TRANSACTIONS; i++)
        begin(g);
    g->tx = 0;
    expect_error(g, XS_TRANSACTION_START, TEXT(""), "ENOSPC");
}

static void a_transaction_touches_no_more_than_its_quota(void **state)
{
    struct guest *g = *state;
    char path[32];

    begin(g);
    for (unsigned i = 0; i < STORE_TRANSACTION_NODES - 1; i++) /* data is looked at as well */
        expect_error(g, XS_READ, path, (size_t)sprintf(path, "data/%u", i) + 1, "ENOENT");
    expect_error(g, XS_READ, TEXT("data/more"), "ENOSPC");
    commit(g, "ENOMEM");
}

static void make_nodes(struct guest *g, const char *below, unsigned count)
{
    char path[64];

    for (unsigned i = 0; i < count; i++)
        expect_ok(g, XS_MKDIR, path, (size_t)sprintf(path, "%s/%u", below, i) + 1);
}

static void the_node_quota_holds_in_transactions(void **state)
{
    struct guest *g = *state;
    uint32_t first;

    make_nodes(g, "data/0", 300);
    make_nodes(g, "data/1", 300);
    begin(g);
    first = g->tx;
    make_nodes(g, "data/2", 250);
    g->tx = 0;
    assert_int_equal(store_mkdir(g->s, HOME "/other"), 0);
    set_perms(g, HOME "/other", "n7");
    make_nodes(g, "other", 200);
    g->tx = first;
    commit(g, "ENOSPC");
    begin(g);
    make_nodes(g, "data/2", 195); /* that makes 1 + 2 + 600 + 1 + 200 + 1 + 195: all */
    expect_error(g, XS_MKDIR, TEXT("other/more"), "ENOSPC");
    commit(g, NULL);
}

/* ---- the tool's watches */

struct heard {
    char path[8][64];
    int count;
};

static void hear(void *ctx, const char *path)
{
    struct heard *h = ctx;

    assert_true(h->count < 8);
    strcpy(h->path[h->count++], path);
}

static void the_tool_hears_what_the_guest_does(void **state)
{
    struct guest *g = *state;
    struct heard h = {0};

    assert_int_equal(store_watch(g->s, HOME "/data", hear, &h), 0);
    assert_int_equal(store_watch(g->s, HOME "/data", hear, &h), EEXIST);
    assert_int_equal(store_watch(g->s, "bad//path", hear, &h), EINVAL);
    assert_int_equal(h.count, 0);
    expect_ok(g, XS_WRITE, TEXT("data/a"));
    begin(g);
    expect_ok(g, XS_WRITE, TEXT("data/b"));
    assert_int_equal(h.count, 1);
    commit(g, NULL);
    assert_int_equal(h.count, 2);
    assert_string_equal(h.path[0], HOME "/data/a");
    assert_string_equal(h.path[1], HOME "/data/b");
    expect_ok(g, XS_RESET_WATCHES, TEXT(""));
    expect_ok(g, XS_RM, TEXT("data/a"));
    assert_int_equal(h.count, 3);
    assert_int_equal(store_unwatch(g->s, HOME "/data", hear, &h), 0);
    assert_int_equal(store_unwatch(g->s, HOME "/data", hear, &h), ENOENT);
    expect_ok(g, XS_RM, TEXT("data/b"));
    assert_int_equal(h.count, 3);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_guest, drop_guest)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_watch_fires_once_when_it_is_set),
        T(a_watch_hears_of_changes_below),
        T(absolute_watches_hear_absolute_paths),
        T(removal_tells_a_watch_inside_its_own_path),
        T(watches_are_told_apart_by_path_and_token),
        T(a_watch_is_deaf_to_what_may_not_be_read),
        T(an_event_that_waits_is_not_repeated),
        T(watches_are_as_many_as_the_quota_says),
        T(reset_takes_watches_and_transactions_away),
        T(special_events_need_the_right_to_them),
        T(events_nobody_takes_are_dropped_in_the_end),
        T(a_transaction_is_seen_only_after_its_commit),
        T(a_transaction_given_up_leaves_nothing),
        T(what_was_read_must_not_have_changed),
        T(what_was_missing_must_still_be),
        T(changes_elsewhere_do_not_matter),
        T(of_two_transactions_on_one_node_the_second_is_refused),
        T(a_removal_is_committed_whole),
        T(watches_hear_of_a_transaction_when_it_is_committed),
        T(a_write_is_told_of_even_if_a_removal_follows),
        T(transactions_have_ids),
        T(transactions_are_as_many_as_the_quota_says),
        T(a_transaction_touches_no_more_than_its_quota),
        T(the_node_quota_holds_in_transactions),
        T(the_tool_hears_what_the_guest_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
