/* SPDX-License-Identifier: MIT */
/* A guest's end of a store: requests in, replies and events out. */
#ifndef PVMM_TEST_STORE_H
#define PVMM_TEST_STORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <xen/io/xs_wire.h>

#include "pvstore.h"

#define DOMID 7
#define HOME  "/local/domain/7"

/* A string literal with its NUL, and with NULs inside, as a payload. */
#define TEXT(t) (t), sizeof(t)

struct message {
    struct xsd_sockmsg header;
    char payload[XENSTORE_PAYLOAD_MAX + 1];
};

struct guest {
    struct store *s;
    uint32_t next_id;
    uint32_t tx;      /* of the requests to come */
    struct message m; /* the last one received */
};

int make_guest(void **state); /* with the home of a domain, and /local/domain/7/data its own */
int drop_guest(void **state);

/* Send a request without waiting. */
void send_request(struct guest *g, uint32_t type, const void *payload, size_t size);

/* The next message; false: none. */
bool receive(struct guest *g);

/* Send, and receive the reply, which must be of that type with these bytes. */
void expect_reply(struct guest *g, uint32_t type, const void *payload, size_t size,
                  const void *wanted, size_t wanted_size);
void expect_ok(struct guest *g, uint32_t type, const void *payload, size_t size);
void expect_error(struct guest *g, uint32_t type, const void *payload, size_t size,
                  const char *name);
void expect_event(struct guest *g, const char *path, const char *token);
void expect_silence(struct guest *g);

/* A started transaction becomes that of the requests to come. */
void begin(struct guest *g);
void commit(struct guest *g, const char *error); /* NULL: it works */

void tool_write(struct guest *g, const char *path, const char *value);
void set_perms(struct guest *g, const char *path, const char *letters_and_ids);

#endif
