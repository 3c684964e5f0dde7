/* SPDX-License-Identifier: MIT */
/*
 * A guest that means no good: random bytes, and messages that are nearly right, from a seed for a
 * number of rounds: fuzz_store ROUNDS SEED. Whatever it sends, each reply is one that a guest can
 * read, the quotas hold, and what is the tool's stays as it was. Each round is a store of its own;
 * the sanitizers see to the memory.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xen/io/xs_wire.h>

#include "pvstore.h"
#include "scarce.h"

#define DOMID 7
#define HOME  "/local/domain/7"

static uint64_t random_state;
static unsigned scarcity;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static unsigned below(unsigned n)
{
    return (unsigned)((next_random() >> 16) % n);
}

#define require(what)                                                                              \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "line %d: %s does not hold\n", __LINE__, #what);                       \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The guest's end: messages put together again. */
struct reader {
    size_t used;
    union {
        struct xsd_sockmsg header;
        char bytes[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX];
    } m;
    unsigned long messages, errors;
};

static void check_message(struct reader *r)
{
    const char *payload = r->m.bytes + sizeof(r->m.header);
    const size_t size = r->m.header.len;

    r->messages++;
    if (r->m.header.type == XS_ERROR) {
        r->errors++;
        require(size > 1 && payload[0] == 'E' && memchr(payload, 0, size) == payload + size - 1);
    } else if (r->m.header.type == XS_WATCH_EVENT) {
        const char *token = memchr(payload, 0, size);

        require(r->m.header.req_id == 0 && r->m.header.tx_id == 0 && token != NULL);
        require(memchr(token + 1, 0, (size_t)(payload + size - token - 1)) == payload + size - 1);
    } else {
        require(r->m.header.type < XS_TYPE_COUNT);
    }
}

static void read_bytes(struct reader *r, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        r->m.bytes[r->used++] = data[i];
        if (r->used < sizeof(r->m.header))
            continue;
        require(r->m.header.len <= XENSTORE_PAYLOAD_MAX);
        if (r->used == sizeof(r->m.header) + r->m.header.len) {
            check_message(r);
            r->used = 0;
        }
    }
}

/* Take some of what is there, in pieces of any size. */
static void take_output(struct store *s, struct reader *r, unsigned pieces)
{
    const void *data;
    size_t n;

    while (pieces-- > 0 && (n = store_output(s, &data)) > 0) {
        n = 1 + below((unsigned)n);
        read_bytes(r, data, n);
        store_output_taken(s, n);
    }
}

static void feed(struct store *s, struct reader *r, const char *data, size_t size)
{
    char *copy = malloc(size + (size == 0)); /* of its own, so that ASan sees its end */

    memcpy(copy, data, size);
    for (size_t at = 0; at < size && store_error(s) == NULL;) {
        size_t n = 1 + below((unsigned)(size - at));

        scarce_one_in = scarcity;
        n = store_feed(s, copy + at, n);
        scarce_one_in = 0;
        at += n;
        if (n == 0 || below(4) == 0)
            take_output(s, r, 1 + below(40));
    }
    free(copy);
}

static const char *some_path(void)
{
    static const char *const paths[] = {
        "data",    "data/a",     "data/a/b", "data/a/b/c", "data/b", "name",    "control/shutdown",
        HOME,      HOME "/data", "/",        "/tool",      "data/",  "@other",  "@releaseDomain",
        "data//a", "/secret/x",  "",         "data/ ",     "new/x",  "data/c/d"};

    return paths[below(sizeof(paths) / sizeof(paths[0]))];
}

static size_t some_payload(char *p, uint32_t type)
{
    static const char *const perms[] = {"n7", "r7", "b7", "n0", "w0", "r9", "x1", "b", "n7x", ""};
    size_t n = (size_t)sprintf(p, "%s", some_path()) + 1;

    switch (type) {
    case XS_WATCH:
    case XS_UNWATCH:
        return n + (size_t)sprintf(p + n, "%u", below(60)) + 1;
    case XS_WRITE:
        return n + below(below(8) == 0 ? 3000 : 20);
    case XS_SET_PERMS:
        for (unsigned i = below(7); i > 0; i--)
            n += (size_t)sprintf(p + n, "%s", perms[below(10)]) + 1;
        return n;
    case XS_DIRECTORY_PART:
        return n + (size_t)sprintf(p + n, "%d", (int)below(100) - 10) + 1;
    case XS_TRANSACTION_END:
        return (size_t)sprintf(p, "%s", below(8) == 0 ? "x" : below(3) == 0 ? "F" : "T") + 1;
    case XS_MKDIR:
        return (size_t)sprintf(p, "data/%u/%u", below(20), below(60)) + 1;
    default:
        return n;
    }
}

static void send_message(struct store *s, struct reader *r)
{
    char m[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX + 16] = {0};
    struct xsd_sockmsg header = {below(XS_TYPE_COUNT + 2), below(1000), 0, 0};
    size_t size;

    if (below(3) == 0)
        header.type = below(2) == 0 ? XS_WRITE : XS_MKDIR;
    if (below(3) == 0) /* they are numbered from 1 on */
        header.tx_id = below(12);
    size = some_payload(m + sizeof(header), header.type);

    if (below(16) == 0)
        size = below((unsigned)size + 1);
    if (below(16) == 0 && size > 0)
        m[sizeof(header) + below((unsigned)size)] = (char)next_random();
    header.len = (uint32_t)size;
    if (below(2000) == 0)
        header.len = (uint32_t)next_random();
    memcpy(m, &header, sizeof(header));
    feed(s, r, m, sizeof(header) + size);
}

static void send_noise(struct store *s, struct reader *r)
{
    char noise[64];

    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (char)(below(2) == 0 ? 0 : next_random());
    feed(s, r, noise, sizeof(noise));
}

/* The tool does something of its own now and then. */
static void tool_acts(struct store *s)
{
    char path[32];

    sprintf(path, HOME "/data/%u", below(5));
    if (below(2) == 0)
        require(store_write(s, path, "tool", 4) == 0);
    else
        store_remove(s, path);
    store_announce(s, "@releaseDomain");
}

static unsigned count_nodes(struct store *s, const char *path)
{
    const struct store_perm *perms;
    unsigned count, nodes = 0;
    const char *names;
    size_t size;

    require(store_get_perms(s, path, &perms, &count) == 0 && count >= 1);
    nodes += perms[0].domid == DOMID;
    require(store_list(s, path, &names, &size) == 0);
    for (size_t i = 0; i < size; i += strlen(names + i) + 1) {
        char *child;

        require(asprintf(&child, "%s/%s", path[1] == '\0' ? "" : path, names + i) > 0);
        nodes += count_nodes(s, child);
        free(child);
    }
    return nodes;
}

static void check_store(struct store *s)
{
    const void *data;
    size_t size;

    require(count_nodes(s, "/") <= STORE_NODES);
    require(store_read(s, "/secret/x", &data, &size) == 0);
    require(size == 6 && memcmp(data, "secret", 6) == 0);
    require(store_read(s, HOME "/name", &data, &size) == 0 && size == 5);
}

static void play(struct reader *r)
{
    static const struct store_perm home[] = {{0, STORE_NONE}, {DOMID, STORE_READ}};
    static const struct store_perm own = {DOMID, STORE_NONE};
    struct store *s = store_new(DOMID);

    require(s != NULL && store_mkdir(s, HOME) == 0 && store_set_perms(s, HOME, home, 2) == 0);
    require(store_mkdir(s, HOME "/data") == 0 && store_set_perms(s, HOME "/data", &own, 1) == 0);
    require(store_write(s, HOME "/name", "guest", 5) == 0);
    require(store_write(s, "/secret/x", "secret", 6) == 0);
    for (unsigned i = 0; i < 400 && store_error(s) == NULL; i++) {
        if (below(50) == 0 && store_mkdir(s, HOME "/data") == 0)
            store_set_perms(s, HOME "/data", &own, 1);
        if (below(20) == 0)
            tool_acts(s);
        if (below(1000) == 0)
            send_noise(s, r);
        else
            send_message(s, r);
    }
    if (store_error(s) == NULL)
        take_output(s, r, 1000000);
    r->used = 0;
    check_store(s);
    store_free(s);
}

int main(int argc, char **argv)
{
    const unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 100;
    static struct reader r;

    scarcity = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 0) : 0;
    random_state = (argc > 2 ? strtoull(argv[2], NULL, 0) : 1) * 2 + 1;
    for (unsigned long i = 0; i < rounds; i++)
        play(&r);
    printf("%lu rounds, %lu messages, %lu of them errors\n", rounds, r.messages, r.errors);
    require(r.errors > 0 && r.errors < r.messages);
    return 0;
}
