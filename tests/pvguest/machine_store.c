/* SPDX-License-Identifier: MIT */
/* The project's own xenstore behind the guest's ring, and a tree as a toolstack makes it. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <pvstore.h>
#include <xen/io/xs_wire.h>

#include "inside.h"

#define STORE_PORT 1u
#define PATH_BYTES 3200u

static struct {
    struct store *s;
    uint64_t mfn;
    unsigned pace; /* bytes each way at a time; 0: all */
} is;

void *machine_store_ring(struct machine *m)
{
    return m->w->memory[is.mfn ? is.mfn : m->p2m[m->layout.xenstore]];
}

/* ---- bytes */

static unsigned limit(unsigned n)
{
    return is.pace && n > is.pace ? is.pace : n;
}

static unsigned take_requests(struct xenstore_domain_interface *r)
{
    char bytes[XENSTORE_RING_SIZE];
    unsigned there = r->req_prod - r->req_cons;
    if (there > XENSTORE_RING_SIZE)
        machine_failed("the store's ring is broken: requests %u..%u", r->req_cons, r->req_prod);
    there = limit(there);
    for (unsigned i = 0; i < there; i++)
        bytes[i] = r->req[MASK_XENSTORE_IDX(r->req_cons + i)];
    unsigned taken = (unsigned)store_feed(is.s, bytes, there);
    r->req_cons += taken;
    if (store_error(is.s))
        machine_failed("the store does not listen to the guest any more: %s", store_error(is.s));
    return taken;
}

static unsigned send_replies(struct xenstore_domain_interface *r)
{
    const void *data;
    unsigned used = r->rsp_prod - r->rsp_cons;
    if (used > XENSTORE_RING_SIZE)
        machine_failed("the store's ring is broken: replies %u..%u", r->rsp_cons, r->rsp_prod);
    size_t n = store_output(is.s, &data);
    if (n > XENSTORE_RING_SIZE - used)
        n = XENSTORE_RING_SIZE - used;
    n = limit((unsigned)n);
    for (size_t i = 0; i < n; i++)
        r->rsp[MASK_XENSTORE_IDX(r->rsp_prod + i)] = ((const char *)data)[i];
    r->rsp_prod += (unsigned)n;
    store_output_taken(is.s, n);
    return (unsigned)n;
}

void machine_store_serve(struct machine *m)
{
    struct xenstore_domain_interface *r = machine_store_ring(m);
    unsigned moved, all = 0;
    do {
        moved = take_requests(r);
        moved += send_replies(r);
        all += moved;
    } while (moved && !is.pace);
    if (all)
        machine_raise(m, STORE_PORT);
}

/* ---- the tree: what a guest may write, and what it may not */

static void must(int rc, const char *path)
{
    if (rc)
        machine_failed("the store refuses the tool %s: %s", path, strerror(rc));
}

static void add(struct machine *m, const char *below, const char *value, bool guests)
{
    char path[PATH_BYTES];
    struct store_perm guest[] = {{m->d->id, STORE_NONE}};
    struct store_perm tool[] = {{0, STORE_NONE}, {m->d->id, STORE_READ}};
    snprintf(path, sizeof(path), "/local/domain/%u%s", m->d->id, below);
    must(store_write(is.s, path, value, strlen(value)), path);
    must(store_set_perms(is.s, path, guests ? guest : tool, guests ? 1 : 2), path);
}

static void add_tree(struct machine *m)
{
    char number[16];
    static const char *const own[] = {
        "/data",
        "/control/shutdown",
        "/control/feature-poweroff",
        "/control/feature-reboot",
        "/control/feature-suspend",
    };
    add(m, "", "", false);
    snprintf(number, sizeof(number), "%u", m->d->id);
    add(m, "/domid", number, false);
    add(m, "/memory", "", false);
    snprintf(number, sizeof(number), "%u", (unsigned)m->params.nr_pages * 4);
    add(m, "/memory/target", number, false);
    add(m, "/control", "", false);
    for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        add(m, own[i], "", true);
}

void machine_store_open(struct machine *m)
{
    machine_store_close(m);
    memset(machine_store_ring(m), 0, MACHINE_PAGE);
    is.s = store_new(m->d->id);
    if (!is.s)
        machine_failed("no memory for a store");
    add_tree(m);
    machine_set_peer(m, machine_store_serve);
}

void machine_store_close(struct machine *m)
{
    machine_set_peer(m, NULL);
    store_free(is.s);
    is.s = NULL;
    is.pace = 0;
}

void store_moved(struct machine *m)
{
    if (is.s)
        machine_store_open(m);
}

void machine_store_at(struct machine *m, uint64_t mfn)
{
    (void)m;
    is.mfn = mfn;
}

void machine_store_pace(struct machine *m, unsigned bytes)
{
    (void)m;
    is.pace = bytes;
}

/* ---- the tool's hand */

static void whole(struct machine *m, const char *path, char to[PATH_BYTES])
{
    snprintf(to, PATH_BYTES, "%s/local/domain/%u/%s", "", m->d->id, path);
}

void machine_store_write(struct machine *m, const char *path, const char *text)
{
    char at[PATH_BYTES];
    whole(m, path, at);
    must(store_write(is.s, at, text, strlen(text)), at);
    machine_store_serve(m);
}

void machine_store_remove(struct machine *m, const char *path)
{
    char at[PATH_BYTES];
    whole(m, path, at);
    must(store_remove(is.s, at), at);
    machine_store_serve(m);
}

const char *machine_store_read(struct machine *m, const char *path)
{
    static char text[STORE_NODE_SIZE + 1];
    char at[PATH_BYTES];
    const void *data;
    size_t size;
    whole(m, path, at);
    if (store_read(is.s, at, &data, &size))
        return NULL;
    memcpy(text, data, size);
    text[size] = 0;
    return text;
}
