/* SPDX-License-Identifier: MIT */
/* The asking side of the protocol in control.h. */
#ifndef PVMM_CLI_ASK_H
#define PVMM_CLI_ASK_H

#include <json-c/json.h>
#include <stdbool.h>

#include "error.h"
#include "registry.h"

/*
 * Put one request to a guest's supervisor. Returns the connection, blocking, with nothing read from
 * it behind the reply; -1 if there is no such guest (EXIT_NO_GUEST), no sensible reply, or a
 * refusal. The reply goes to `*reply`, unless that is NULL.
 */
int ask(const struct registry *r, const char *name, const char *word, bool follow,
        struct json_object **reply, struct error *e);

/* The same for a guest whose name was given by the user, and the registry nobody has opened yet. */
int ask_guest(const char *name, const char *word, bool follow, struct error *e);

#endif
