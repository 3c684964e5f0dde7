/* SPDX-License-Identifier: MIT */
/* A hold over a mailbox that is made up, for the tests of one. */
#ifndef PVMM_TESTS_TOOLSTACK_HOLD_SETTING_H
#define PVMM_TESTS_TOOLSTACK_HOLD_SETTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pvstore.h>

#include "hold.h"

#define NODE "/local/domain/1/control/shutdown"

static struct pvmm_mailbox box;
static struct mailbox mailbox;
static struct bell bell;
static struct guest_store store;
static struct hold hold;
static struct hold_ticket ticket;
static struct error error;

static int begin(void **state)
{
    (void)state;
    memset(&box, 0, sizeof(box));
    box.state = PVMM_STATE_RUNNING;
    box.domid = 1;
    box.store_port = 1;
    box.store_ring_size = PVMM_STORE_RING;
    mailbox = (struct mailbox){.box = &box};
    bell = (struct bell){.pace = {.by = PACE_NOT}};
    store = (struct guest_store){.wanted = true, .name = "g", .memory = 64u << 20};
    hold = (struct hold){.store = &store, .mailbox = &mailbox, .bell = &bell, .ram_fd = -1};
    ticket = (struct hold_ticket){.hold = NULL};
    memset(&error, 0, sizeof(error));
    assert_int_equal(guest_store_serve(&store, &mailbox, &bell, &error), 0);
    bell.used = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    guest_store_close(&store);
    return 0;
}

/* What was rung since this was asked last; of the store nothing. */
static const char *rung(void)
{
    static char text[sizeof(bell.bytes) + 1];

    assert_int_equal(hold_serve(&hold, &error), 0);
    memcpy(text, bell.bytes, bell.used);
    text[bell.used] = '\0';
    bell.used = 0;
    return text;
}

static int ask(enum hold_wish wish, struct hold_ticket *t)
{
    return hold_ask(&hold, t, wish, wish == WISH_SHUTDOWN ? "poweroff" : NULL, 1, &error);
}

static void refused_as(enum hold_wish wish, const char *why)
{
    struct hold_ticket t;

    assert_int_equal(ask(wish, &t), -1);
    if (strstr(error.text, why) == NULL)
        fail_msg("refused as \"%s\", not \"%s\"", error.text, why);
}

static const char *node(void)
{
    static char text[32];
    const void *data;
    size_t size;

    assert_int_equal(store_read(store.store, NODE, &data, &size), 0);
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

static void the_guest_takes_it(void)
{
    assert_int_equal(store_write(store.store, NODE, "", 0), 0);
}

static void goes_on_from_suspend(void)
{
    box.hold = PVMM_HOLD_NONE;
    box.verdict.suspends++;
}

#endif
