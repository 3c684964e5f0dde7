/* SPDX-License-Identifier: MIT */
/* Nodes, paths, permissions, quotas: what a guest is answered. */
#include <stdio.h>

#include "store_test.h"

#define READS(g, path, value) expect_reply(g, XS_READ, TEXT(path), value, sizeof(value) - 1)

/* ---- reading and writing */

static void what_is_written_is_read(void **state)
{
    struct guest *g = *state;

    expect_ok(g, XS_WRITE, "data/a\0value", 12);
    READS(g, "data/a", "value");
    READS(g, HOME "/data/a", "value");
    expect_ok(g, XS_WRITE, "data/a\0\0\1\0", 10);
    expect_reply(g, XS_READ, TEXT("data/a"), "\0\1\0", 3);
    expect_ok(g, XS_WRITE, TEXT("data/a"));
    expect_reply(g, XS_READ, TEXT("data/a"), "", 0);
}

static void write_makes_the_parents_and_leaves_their_values_empty(void **state)
{
    struct guest *g = *state;

    expect_ok(g, XS_WRITE, "data/x/y/z\0v", 12);
    expect_reply(g, XS_READ, TEXT("data/x/y"), "", 0);
    READS(g, "data/x/y/z", "v");
    expect_reply(g, XS_GET_PERMS, TEXT("data/x/y"), TEXT("n7"));
}

static void write_keeps_children_and_permissions(void **state)
{
    struct guest *g = *state;

    expect_ok(g, XS_WRITE, "data/x/y\0v", 10);
    expect_ok(g, XS_SET_PERMS, TEXT("data/x\0n7\0r0"));
    expect_ok(g, XS_WRITE, "data/x\0w", 8);
    expect_reply(g, XS_DIRECTORY, TEXT("data/x"), TEXT("y"));
    expect_reply(g, XS_GET_PERMS, TEXT("data/x"), TEXT("n7\0r0"));
}

static void mkdir_leaves_what_exists_alone(void **state)
{
    struct guest *g = *state;

    expect_ok(g, XS_WRITE, "data/a\0v", 8);
    expect_ok(g, XS_MKDIR, TEXT("data/a"));
    READS(g, "data/a", "v");
    expect_ok(g, XS_MKDIR, TEXT("data/b/c"));
    expect_reply(g, XS_READ, TEXT("data/b/c"), "", 0);
    expect_error(g, XS_MKDIR, TEXT("device"), "EACCES");
}

static void directory_lists_children_oldest_first(void **state)
{
    struct guest *g = *state;

    expect_reply(g, XS_DIRECTORY, TEXT("data"), "", 0);
    expect_ok(g, XS_MKDIR, TEXT("data/z"));
    expect_ok(g, XS_MKDIR, TEXT("data/a"));
    expect_ok(g, XS_MKDIR, TEXT("data/m"));
    expect_reply(g, XS_DIRECTORY, TEXT("data"), TEXT("z\0a\0m"));
    expect_ok(g, XS_RM, TEXT("data/a"));
    expect_reply(g, XS_DIRECTORY, TEXT("data"), TEXT("z\0m"));
    expect_error(g, XS_DIRECTORY, TEXT("data/a"), "ENOENT");
}

/* One part from `offset` on, appended to `names`; returns its size, with the empty name at the end.
 */
static size_t next_part(struct guest *g, size_t offset, char *names, char *generation)
{
    char request[64];
    size_t head, size;

    send_request(g, XS_DIRECTORY_PART, request,
                 (size_t)sprintf(request, "many%c%zu", 0, offset) + 1);
    assert_true(receive(g));
    assert_int_equal(g->m.header.type, XS_DIRECTORY_PART);
    strcpy(generation, g->m.payload);
    head = strlen(generation) + 1;
    assert_true(g->m.header.len > head);
    size = g->m.header.len - head;
    memcpy(names + offset, g->m.payload + head, size);
    return size;
}

static void directory_too_long_for_a_message_is_read_in_parts(void **state)
{
    struct guest *g = *state;
    char path[64], names[16384], got[16384 + XENSTORE_PAYLOAD_MAX], first[32], generation[32];
    size_t size = 0, read = 0;

    for (int i = 0; i < 500; i++) {
        size += (size_t)sprintf(names + size, "child-number-%d", i) + 1;
        sprintf(path, HOME "/many/child-number-%d", i);
        tool_write(g, path, "");
    }
    expect_error(g, XS_DIRECTORY, TEXT("many"), "E2BIG");
    read = next_part(g, 0, got, first);
    while (read < size + 1) {
        read += next_part(g, read, got, generation);
        assert_string_equal(generation, first);
    }
    assert_int_equal(read, size + 1);
    assert_memory_equal(got, names, size);
    assert_int_equal(got[size], 0);
    assert_int_equal(next_part(g, 12000, got, generation), 1);
    tool_write(g, HOME "/many/another", "");
    next_part(g, 0, got, generation);
    assert_string_not_equal(generation, first);
}

static void rm_takes_all_below_and_forgives_what_is_not_there(void **state)
{
    struct guest *g = *state;

    expect_ok(g, XS_WRITE, "data/a/b/c\0v", 12);
    expect_ok(g, XS_WRITE, "data/ab\0v", 9);
    expect_ok(g, XS_RM, TEXT("data/a"));
    expect_error(g, XS_READ, TEXT("data/a/b/c"), "ENOENT");
    expect_error(g, XS_READ, TEXT("data/a"), "ENOENT");
    READS(g, "data/ab", "v");
    expect_ok(g, XS_RM, TEXT("data/a"));
    expect_error(g, XS_RM, TEXT("data/a/b"), "ENOENT");
    expect_error(g, XS_RM, TEXT("/"), "EACCES");
    assert_int_equal(store_remove(g->s, "/"), EINVAL);
}

/* ---- paths */

static void paths_have_a_form(void **state)
{
    static const char *const bad[] = {
        "",          "data/",    "data//a",        "/",       "//", "data/a b",
        "data/\xe4", "data/a.b", "@releaseDomain", "data/a:b"};
    struct guest *g = *state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect_error(g, XS_WRITE, bad[i], strlen(bad[i]) + 1,
                     strcmp(bad[i], "/") == 0 ? "EACCES" : "EINVAL");
    expect_ok(g, XS_WRITE, TEXT("data/A-z_0@9"));
}

static void paths_have_a_length(void **state)
{
    struct guest *g = *state;
    char path[XENSTORE_REL_PATH_MAX + 64];

    memset(path, 'x', sizeof(path));
    memcpy(path, "data/", 5);
    for (size_t i = 100; i < sizeof(path);
         i += 100) /* a name of all that would not fit its parent */
        path[i] = '/';
    path[XENSTORE_REL_PATH_MAX] = '\0';
    expect_ok(g, XS_WRITE, path, XENSTORE_REL_PATH_MAX + 1);
    expect_reply(g, XS_READ, path, XENSTORE_REL_PATH_MAX + 1, "", 0);
    path[XENSTORE_REL_PATH_MAX] = 'x';
    path[XENSTORE_REL_PATH_MAX + 1] = '\0';
    expect_error(g, XS_WRITE, path, XENSTORE_REL_PATH_MAX + 2, "EINVAL");
    path[XENSTORE_REL_PATH_MAX] = '\0';
    memcpy(path, "/no/home", 8);
    assert_int_equal(store_mkdir(g->s, path), 0);
    memcpy(path, "/local/domain/123456/", 21); /* no domain has that number */
    path[XENSTORE_REL_PATH_MAX] = 'x';
    assert_int_equal(store_mkdir(g->s, path), EINVAL);
    memcpy(path, "/local/domain/12345/x", 21);
    assert_int_equal(store_mkdir(g->s, path), 0);
}

static void payloads_have_a_form(void **state)
{
    static const uint32_t one_string[] = {XS_DIRECTORY,      XS_READ, XS_GET_PERMS,
                                          XS_MKDIR,          XS_RM,   XS_GET_DOMAIN_PATH,
                                          XS_TRANSACTION_END};
    static const uint32_t two_strings[] = {XS_WATCH, XS_UNWATCH, XS_DIRECTORY_PART, XS_SET_PERMS};
    struct guest *g = *state;

    for (size_t i = 0; i < sizeof(one_string) / sizeof(one_string[0]); i++) {
        expect_error(g, one_string[i], "", 0, "EINVAL");
        expect_error(g, one_string[i], "data", 4, "EINVAL");
        expect_error(g, one_string[i], TEXT("data\0data"), "EINVAL");
    }
    for (size_t i = 0; i < sizeof(two_strings) / sizeof(two_strings[0]); i++) {
        expect_error(g, two_strings[i], "", 0, "EINVAL");
        expect_error(g, two_strings[i], TEXT("data"), "EINVAL");
        expect_error(g, two_strings[i], "data\0x", 6, "EINVAL");
    }
    expect_error(g, XS_WRITE, "", 0, "EINVAL");
    expect_error(g, XS_WRITE, "data", 4, "EINVAL");
}

/* ---- permissions */

static void a_guest_reads_its_home_and_changes_only_what_is_its_own(void **state)
{
    struct guest *g = *state;

    tool_write(g, HOME "/name", "guest");
    READS(g, "name", "guest");
    expect_error(g, XS_WRITE, TEXT("name"), "EACCES");
    expect_error(g, XS_RM, TEXT("name"), "EACCES");
    expect_error(g, XS_WRITE, TEXT("new"), "EACCES");
    expect_error(g, XS_SET_PERMS, TEXT("name\0n7"), "EACCES");
    expect_reply(g, XS_GET_PERMS, TEXT("name"), TEXT("n0\0r7"));
}

static void whoever_may_not_read_the_parent_learns_nothing(void **state)
{
    struct guest *g = *state;

    tool_write(g, "/secret/there", "x");
    expect_error(g, XS_READ, TEXT("/secret/there"), "EACCES");
    expect_error(g, XS_READ, TEXT("/secret/not-there"), "EACCES");
    expect_error(g, XS_READ, TEXT("/nowhere/at/all"), "EACCES");
    expect_error(g, XS_DIRECTORY, TEXT("/"), "EACCES");
    expect_error(g, XS_READ, TEXT("not-there"), "ENOENT");
    set_perms(g, HOME "/data", "n0");
    expect_error(g, XS_READ, TEXT("data"), "EACCES");
}

static void a_node_may_be_open_below_a_closed_one(void **state)
{
    struct guest *g = *state;

    tool_write(g, "/secret/open", "x");
    set_perms(g, "/secret/open", "b0");
    READS(g, "/secret/open", "x");
    expect_ok(g, XS_WRITE, "/secret/open\0y", 14);
    expect_error(g, XS_SET_PERMS, TEXT("/secret/open\0b0"), "EACCES");
    set_perms(g, "/secret/open", "b0 w7");
    expect_error(g, XS_READ, TEXT("/secret/open"), "EACCES");
    expect_ok(g, XS_WRITE, "/secret/open\0z", 14);
    set_perms(g, "/secret/open", "w0 r7");
    READS(g, "/secret/open", "z");
    expect_error(g, XS_WRITE, "/secret/open\0z", 14, "EACCES");
}

static void a_guest_owns_what_it_creates_with_its_parent_s_permissions(void **state)
{
    struct guest *g = *state;

    tool_write(g, HOME "/shared", "");
    set_perms(g, HOME "/shared", "n0 b7");
    expect_ok(g, XS_WRITE, "shared/a/b\0v", 12);
    expect_reply(g, XS_GET_PERMS, TEXT("shared/a/b"), TEXT("n7\0b7"));
    expect_reply(g, XS_GET_PERMS, TEXT("shared"), TEXT("n0\0b7"));
    tool_write(g, HOME "/shared/tool", "");
    expect_reply(g, XS_GET_PERMS, TEXT("shared/tool"), TEXT("n0\0b7"));
}

static void permissions_have_a_form(void **state)
{
    struct guest *g = *state;

    expect_error(g, XS_SET_PERMS, TEXT("data\0x7"), "EINVAL");
    expect_error(g, XS_SET_PERMS, TEXT("data\0n"), "EINVAL");
    expect_error(g, XS_SET_PERMS, TEXT("data\0n7x"), "EINVAL");
    expect_error(g, XS_SET_PERMS, TEXT("data\0n7\0"), "EINVAL");
    expect_error(g, XS_SET_PERMS, TEXT("data\0n0"), "EPERM");
    expect_error(g, XS_SET_PERMS, TEXT("data\0n9"), "ENOENT");
    expect_error(g, XS_SET_PERMS, TEXT("data\0n7\0r1\0r2\0r3\0r4\0r5"), "ENOSPC");
    expect_error(g, XS_SET_PERMS, TEXT("data/gone\0n7"), "ENOENT");
    expect_error(g, XS_SET_PERMS, TEXT("gone\0n7"), "EACCES");
    expect_ok(g, XS_SET_PERMS, TEXT("data\0b7\0r0\0w9"));
    expect_reply(g, XS_GET_PERMS, TEXT("data"), TEXT("b7\0r0\0w9"));
}

static void special_events_have_permissions_of_their_own(void **state)
{
    struct guest *g = *state;

    expect_error(g, XS_SET_PERMS, TEXT("@releaseDomain\0n7"), "EACCES");
    expect_error(g, XS_SET_PERMS, TEXT("@other\0n7"), "EINVAL");
    set_perms(g, "@releaseDomain", "n7");
    expect_ok(g, XS_SET_PERMS, TEXT("@releaseDomain\0n7\0r0"));
    expect_error(g, XS_SET_PERMS, TEXT("@introduceDomain\0n7"), "EACCES");
}

/* ---- quotas */

static void an_entry_has_a_size(void **state)
{
    struct guest *g = *state;
    char payload[7 + STORE_NODE_SIZE] = "data/a";
    const size_t fits = STORE_NODE_SIZE - 24 - 8 - 1;

    expect_ok(g, XS_WRITE, payload, 7 + fits);
    expect_error(g, XS_WRITE, payload, 7 + fits + 1, "ENOSPC");
    expect_error(g, XS_MKDIR, TEXT("data/a/b"), "ENOSPC");
    expect_error(g, XS_SET_PERMS, TEXT("data/a\0n7\0r0"), "ENOSPC");
    expect_ok(g, XS_RM, TEXT("data/a"));
    expect_error(g, XS_WRITE, payload, 7 + fits + 1, "ENOSPC");
    expect_error(g, XS_READ, TEXT("data/a"), "ENOENT");
    expect_reply(g, XS_DIRECTORY, TEXT("data"), "", 0);
    assert_int_equal(store_write(g->s, HOME "/data/a", payload, sizeof(payload)), 0);
}

static void a_guest_has_no_more_nodes_than_its_quota(void **state)
{
    struct guest *g = *state;
    char path[32];
    unsigned made = 1;

    for (unsigned i = 0; made + 2 <= STORE_NODES; i++, made += 2)
        expect_ok(g, XS_MKDIR, path, (size_t)sprintf(path, "data/%u/x", i) + 1);
    if (made < STORE_NODES)
        expect_ok(g, XS_MKDIR, TEXT("data/last"));
    expect_error(g, XS_MKDIR, TEXT("data/more"), "ENOSPC");
    expect_error(g, XS_WRITE, TEXT("data/0/x/y/z"), "ENOSPC");
    expect_error(g, XS_READ, TEXT("data/0/x/y"), "ENOENT");
    expect_ok(g, XS_WRITE, "data/0/x\0v", 10);
    assert_int_equal(store_mkdir(g->s, HOME "/tool/may"), 0);
    expect_ok(g, XS_RM, TEXT("data/0"));
    expect_ok(g, XS_MKDIR, TEXT("data/more/of-it"));
    expect_error(g, XS_MKDIR, TEXT("data/too-many"), "ENOSPC");
}

/* ---- other requests */

static void what_is_the_tool_s_is_not_the_guest_s(void **state)
{
    static const uint32_t privileged[] = {XS_CONTROL, XS_INTRODUCE,  XS_RELEASE,
                                          XS_RESUME,  XS_SET_TARGET, XS_IS_DOMAIN_INTRODUCED};
    static const uint32_t unknown[] = {XS_WATCH_EVENT, XS_ERROR,   20,        XS_TYPE_COUNT,
                                       1000,           XS_INVALID, UINT32_MAX};
    struct guest *g = *state;

    for (size_t i = 0; i < sizeof(privileged) / sizeof(privileged[0]); i++)
        expect_error(g, privileged[i], TEXT("7"), "EACCES");
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        expect_error(g, unknown[i], TEXT("7"), "ENOSYS");
}

static void domains_have_paths(void **state)
{
    struct guest *g = *state;

    expect_reply(g, XS_GET_DOMAIN_PATH, TEXT("7"), TEXT(HOME));
    expect_reply(g, XS_GET_DOMAIN_PATH, TEXT("0012"), TEXT("/local/domain/12"));
}

static void bytes_may_come_one_by_one(void **state)
{
    const struct xsd_sockmsg header = {XS_WRITE, 5, 0, 9};
    static const char payload[9] = "data/a\0vv";
    struct guest *g = *state;

    for (size_t i = 0; i < sizeof(header); i++)
        assert_int_equal(store_feed(g->s, (const char *)&header + i, 1), 1);
    for (size_t i = 0; i < 9; i++) {
        expect_silence(g);
        assert_int_equal(store_feed(g->s, payload + i, 1), 1);
    }
    assert_true(receive(g));
    assert_int_equal(g->m.header.req_id, 5);
    READS(g, "data/a", "vv");
}

static void a_message_too_long_ends_the_conversation(void **state)
{
    const struct xsd_sockmsg bad = {XS_READ, 1, 0, XENSTORE_PAYLOAD_MAX + 1};
    struct guest *g = *state;
    char payload[XENSTORE_PAYLOAD_MAX] = "data/a";

    expect_error(g, XS_WRITE, payload, sizeof(payload), "ENOSPC");
    assert_null(store_error(g->s));
    expect_ok(g, XS_WATCH, TEXT("data\0t"));
    expect_event(g, "data", "t");
    assert_int_equal(store_feed(g->s, &bad, sizeof(bad)), sizeof(bad));
    assert_non_null(strstr(store_error(g->s), "4096"));
    assert_int_equal(store_feed(g->s, payload, 100), 0);
    tool_write(g, HOME "/data/a", "unheard");
    expect_silence(g);
}

static void replies_that_pile_up_stop_the_reading(void **state)
{
    const struct xsd_sockmsg header = {XS_READ, 1, 0, 5};
    struct guest *g = *state;
    char requests[25][21];

    for (int i = 0; i < 25; i++) {
        memcpy(requests[i], &header, sizeof(header));
        memcpy(requests[i] + sizeof(header), "data", 5);
    }
    assert_int_equal(store_feed(g->s, requests, sizeof(requests)), STORE_REPLIES * 21);
    assert_int_equal(store_feed(g->s, requests, sizeof(requests)), 0);
    assert_true(receive(g));
    assert_int_equal(store_feed(g->s, requests, sizeof(requests)), 21);
}

/* ---- the tool's side */

static void the_tool_sees_and_changes_all(void **state)
{
    const struct store_perm wrong = {0, 9};
    struct guest *g = *state;
    const struct store_perm *perms;
    const char *names;
    const void *data;
    unsigned count;
    size_t size;

    expect_ok(g, XS_WRITE, "data/a\0value", 12);
    assert_int_equal(store_read(g->s, HOME "/data/a", &data, &size), 0);
    assert_int_equal(size, 5);
    assert_memory_equal(data, "value", 5);
    assert_int_equal(store_list(g->s, "/", &names, &size), 0);
    assert_int_equal(size, 11);
    assert_memory_equal(names, "tool\0local", 11);
    assert_int_equal(store_get_perms(g->s, HOME "/data/a", &perms, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(perms[0].domid, DOMID);
    assert_int_equal(store_remove(g->s, HOME "/data/a"), 0);
    assert_int_equal(store_read(g->s, HOME "/data/a", &data, &size), ENOENT);
    assert_int_equal(store_write(g->s, "relative", "", 0), EINVAL);
    assert_int_equal(store_set_perms(g->s, HOME, &wrong, 1), EINVAL);
    assert_int_equal(store_set_perms(g->s, HOME, &wrong, 0), EINVAL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_guest, drop_guest)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_written_is_read),
        T(write_makes_the_parents_and_leaves_their_values_empty),
        T(write_keeps_children_and_permissions),
        T(mkdir_leaves_what_exists_alone),
        T(directory_lists_children_oldest_first),
        T(directory_too_long_for_a_message_is_read_in_parts),
        T(rm_takes_all_below_and_forgives_what_is_not_there),
        T(paths_have_a_form),
        T(paths_have_a_length),
        T(payloads_have_a_form),
        T(a_guest_reads_its_home_and_changes_only_what_is_its_own),
        T(whoever_may_not_read_the_parent_learns_nothing),
        T(a_node_may_be_open_below_a_closed_one),
        T(a_guest_owns_what_it_creates_with_its_parent_s_permissions),
        T(permissions_have_a_form),
        T(special_events_have_permissions_of_their_own),
        T(an_entry_has_a_size),
        T(a_guest_has_no_more_nodes_than_its_quota),
        T(what_is_the_tool_s_is_not_the_guest_s),
        T(domains_have_paths),
        T(bytes_may_come_one_by_one),
        T(a_message_too_long_ends_the_conversation),
        T(replies_that_pile_up_stop_the_reading),
        T(the_tool_sees_and_changes_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
