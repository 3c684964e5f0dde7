/* SPDX-License-Identifier: MIT */
#include "store_test.h"

static const struct store_perm own = {DOMID, STORE_NONE};

int make_guest(void **state)
{
    static const struct store_perm readable[] = {{0, STORE_NONE}, {DOMID, STORE_READ}};
    struct guest *g = calloc(1, sizeof(*g));

    g->s = store_new(DOMID);
    assert_non_null(g->s);
    assert_int_equal(store_mkdir(g->s, HOME), 0);
    assert_int_equal(store_set_perms(g->s, HOME, readable, 2), 0);
    assert_int_equal(store_mkdir(g->s, HOME "/data"), 0);
    assert_int_equal(store_set_perms(g->s, HOME "/data", &own, 1), 0);
    *state = g;
    return 0;
}

int drop_guest(void **state)
{
    struct guest *g = *state;

    store_free(g->s);
    free(g);
    return 0;
}

void send_request(struct guest *g, uint32_t type, const void *payload, size_t size)
{
    const struct xsd_sockmsg header = {type, ++g->next_id, g->tx, (uint32_t)size};

    assert_int_equal(store_feed(g->s, &header, sizeof(header)), sizeof(header));
    assert_int_equal(store_feed(g->s, payload, size), size);
}

static void take(struct guest *g, void *to, size_t size)
{
    const void *data;

    for (size_t at = 0; at < size;) {
        size_t n = store_output(g->s, &data);

        assert_true(n > 0);
        n = n < size - at ? n : size - at;
        memcpy((char *)to + at, data, n);
        store_output_taken(g->s, n);
        at += n;
    }
}

bool receive(struct guest *g)
{
    const void *data;

    if (store_output(g->s, &data) == 0)
        return false;
    take(g, &g->m.header, sizeof(g->m.header));
    assert_true(g->m.header.len <= XENSTORE_PAYLOAD_MAX);
    take(g, g->m.payload, g->m.header.len);
    g->m.payload[g->m.header.len] = '\0';
    return true;
}

void expect_reply(struct guest *g, uint32_t type, const void *payload, size_t size,
                  const void *wanted, size_t wanted_size)
{
    send_request(g, type, payload, size);
    assert_true(receive(g));
    assert_int_equal(g->m.header.req_id, g->next_id);
    assert_int_equal(g->m.header.tx_id, g->tx);
    if (g->m.header.type == XS_ERROR)
        assert_string_equal(g->m.payload, "no error");
    assert_int_equal(g->m.header.type, type);
    assert_int_equal(g->m.header.len, wanted_size);
    assert_memory_equal(g->m.payload, wanted, wanted_size);
}

void expect_ok(struct guest *g, uint32_t type, const void *payload, size_t size)
{
    expect_reply(g, type, payload, size, "OK", 3);
}

void expect_error(struct guest *g, uint32_t type, const void *payload, size_t size,
                  const char *name)
{
    send_request(g, type, payload, size);
    assert_true(receive(g));
    assert_int_equal(g->m.header.req_id, g->next_id);
    assert_int_equal(g->m.header.type, XS_ERROR);
    assert_string_equal(g->m.payload, name);
    assert_int_equal(g->m.header.len, strlen(name) + 1);
}

void expect_event(struct guest *g, const char *path, const char *token)
{
    const size_t path_size = strlen(path) + 1;

    assert_true(receive(g));
    assert_int_equal(g->m.header.type, XS_WATCH_EVENT);
    assert_int_equal(g->m.header.req_id, 0);
    assert_int_equal(g->m.header.tx_id, 0);
    assert_string_equal(g->m.payload, path);
    assert_int_equal(g->m.header.len, path_size + strlen(token) + 1);
    assert_string_equal(g->m.payload + path_size, token);
}

void expect_silence(struct guest *g)
{
    const void *data;

    assert_int_equal(store_output(g->s, &data), 0);
}

void begin(struct guest *g)
{
    g->tx = 0;
    send_request(g, XS_TRANSACTION_START, TEXT(""));
    assert_true(receive(g));
    assert_int_equal(g->m.header.type, XS_TRANSACTION_START);
    g->tx = (uint32_t)strtoul(g->m.payload, NULL, 10);
    assert_true(g->tx != 0);
}

void commit(struct guest *g, const char *error)
{
    if (error == NULL)
        expect_ok(g, XS_TRANSACTION_END, TEXT("T"));
    else
        expect_error(g, XS_TRANSACTION_END, TEXT("T"), error);
    g->tx = 0;
}

void tool_write(struct guest *g, const char *path, const char *value)
{
    assert_int_equal(store_write(g->s, path, value, strlen(value)), 0);
}

/* "n0 r7": the tool sets these. */
void set_perms(struct guest *g, const char *path, const char *text)
{
    struct store_perm perms[STORE_PERMS];
    unsigned count = 0;

    for (const char *at = text; at != NULL; at = strchr(at, ' ')) {
        at += *at == ' ';
        perms[count].rights = (uint32_t)(strchr("nrwb", *at) - "nrwb");
        perms[count++].domid = (uint32_t)atoi(at + 1);
    }
    assert_int_equal(store_set_perms(g->s, path, perms, count), 0);
}
