/* SPDX-License-Identifier: MIT */
#include "guest_store.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "exitcodes.h"
#include "guest_tree.h"

#include <pvstore.h>

#define PIECE 255u /* bytes a message of COM2 carries at most */

/* Both counters as they are at this moment, checked against what can be. */
struct indices {
    uint64_t out_written, in_taken;
};

static int begin(struct guest_store *g, const volatile struct pvmm_mailbox *box, struct error *e)
{
    const struct guest_facts f = {
        .name = g->name,
        .domid = box->domid,
        .memory = g->memory,
        .target = g->target != 0 ? g->target : g->memory,
        .store_port = box->store_port,
        .store_mfn = box->store_mfn,
        .console_port = box->console_port,
        .console_mfn = box->console_mfn,
    };
    int rc;

    if (box->store_ring_size != PVMM_STORE_RING || f.store_port == 0 || f.domid == 0 ||
        f.domid > DOMAIN_MAX)
        return error_set(
            e, EXIT_ENVIRONMENT,
            "store: the hypervisor gives domain %u a store on port %u, by a ring of %u "
            "bytes",
            f.domid, f.store_port, box->store_ring_size);
    g->domid = f.domid;
    g->store = store_new((uint16_t)f.domid);
    rc = g->store != NULL ? guest_tree_make(g->store, &f) : ENOMEM;
    if (rc != 0)
        return error_set(e, EXIT_ENVIRONMENT, "store: cannot make the guest's tree: %s",
                         strerror(rc));
    return 0;
}

/* Bells ring after the bytes are there, so that the counters are read before the bytes. */
static int read_indices(const struct guest_store *g, const volatile struct pvmm_mailbox *box,
                        struct indices *i, struct error *e)
{
    i->out_written = __atomic_load_n(&box->store_out_written, __ATOMIC_ACQUIRE);
    i->in_taken = __atomic_load_n(&box->store_in_taken, __ATOMIC_ACQUIRE);
    if (i->out_written - g->out_read > PVMM_STORE_RING)
        return error_set(e, EXIT_ENVIRONMENT,
                         "store: %" PRIu64 " bytes are said to be there, and %" PRIu64
                         " were read: more than a ring's apart",
                         i->out_written, g->out_read);
    if (g->in_sent - i->in_taken > PVMM_STORE_RING)
        return error_set(e, EXIT_ENVIRONMENT,
                         "store: %" PRIu64 " bytes are said to be taken of %" PRIu64, i->in_taken,
                         g->in_sent);
    return 0;
}

/* What the store reads is acknowledged; what it leaves, as replies pile up, keeps its place. */
static bool take_requests(struct guest_store *g, const volatile struct pvmm_mailbox *box,
                          const struct indices *i, struct bell *b)
{
    const size_t there = (size_t)(i->out_written - g->out_read);
    uint8_t bytes[PVMM_STORE_RING], message[2] = {PVMM_BELL_STORE_TAKEN, 0};
    size_t taken;

    if (there == 0 || bell_room(b) < sizeof(message) * (PVMM_STORE_RING / PIECE + 1))
        return false;
    for (size_t n = 0; n < there; n++)
        bytes[n] = box->store_out[(g->out_read + n) % PVMM_STORE_RING];
    taken = store_feed(g->store, bytes, there);
    g->out_read += taken;
    for (size_t left = taken; left > 0; left -= message[1]) {
        message[1] = (uint8_t)(left < PIECE ? left : PIECE);
        bell_ring(b, message, sizeof(message));
    }
    return taken > 0;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool send_replies(struct guest_store *g, const struct indices *i, struct bell *b)
{
    uint8_t message[2 + PIECE] = {PVMM_BELL_STORE_DATA};
    const void *data;
    size_t n = store_output(g->store, &data);

    n = least(least(n, PIECE), PVMM_STORE_RING - (size_t)(g->in_sent - i->in_taken));
    if (n == 0 || bell_room(b) < 2 + n)
        return false;
    message[1] = (uint8_t)n;
    memcpy(message + 2, data, n);
    bell_ring(b, message, 2 + n);
    store_output_taken(g->store, n);
    g->in_sent += n;
    return true;
}

int guest_store_serve(struct guest_store *g, const struct mailbox *m, struct bell *b,
                      struct error *e)
{
    struct indices i;
    bool moved;

    if (!g->wanted || mailbox_state(m) < PVMM_STATE_RUNNING)
        return 0;
    if (g->store == NULL && begin(g, m->box, e) != 0)
        return -1;
    do {
        if (read_indices(g, m->box, &i, e) != 0)
            return -1;
        moved = take_requests(g, m->box, &i, b);
        while (send_replies(g, &i, b))
            moved = true;
    } while (moved);
    return 0;
}

const char *guest_store_trouble(struct guest_store *g)
{
    const char *why = g->store != NULL && !g->told ? store_error(g->store) : NULL;

    g->told |= why != NULL;
    return why;
}

static void shutdown_path(const struct guest_store *g, char path[64])
{
    snprintf(path, 64, "/local/domain/%u/control/shutdown", g->domid);
}

/* Why it cannot be asked anything; NULL: it can. */
static const char *deaf(const struct guest_store *g)
{
    if (!g->wanted)
        return "it has no store";
    if (g->store == NULL)
        return "it has not started yet";
    return store_error(g->store) != NULL ? "its store was cut off" : NULL;
}

int guest_store_shutdown(struct guest_store *g, const char *how, struct error *e)
{
    const char *why = deaf(g);
    char path[64];
    int rc;

    if (why != NULL)
        return error_set(e, EXIT_ENVIRONMENT, "cannot ask for \"%s\": %s", how, why);
    shutdown_path(g, path);
    rc = store_write(g->store, path, how, strlen(how));
    if (rc != 0)
        return error_set(e, EXIT_ENVIRONMENT, "cannot ask for \"%s\": %s", how, strerror(rc));
    return 0;
}

bool guest_store_took(const struct guest_store *g, const char *how)
{
    char path[64];
    const void *data;
    size_t size;

    if (g->store == NULL)
        return false;
    shutdown_path(g, path);
    return store_read(g->store, path, &data, &size) != 0 || size != strlen(how) ||
           memcmp(data, how, size) != 0;
}

void guest_store_forget(struct guest_store *g)
{
    char path[64];

    if (g->store == NULL)
        return;
    shutdown_path(g, path);
    store_write(g->store, path, "", 0); /* if there is no memory for that it stays */
}

void guest_store_close(struct guest_store *g)
{
    store_free(g->store);
    g->store = NULL;
}
