/* SPDX-License-Identifier: MIT */
/*
 * The running guests that have a name: a directory of this user's with one Unix socket for each,
 * named like the guest and served by its supervisor (control.h), the `pvmm run` that started it.
 *
 * A socket that refuses connections is stale: its supervisor was killed. What tells stale from
 * living and then changes the directory does so under a lock of the whole directory, as a socket
 * refuses connections, too, between bind() and listen().
 */
#ifndef PVMM_CLI_REGISTRY_H
#define PVMM_CLI_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "error.h"

/* In sun_path behind "/proc/self/fd/N/", with a little to spare. */
#define GUEST_NAME_CHARS 64

struct registry {
    int dir; /* -1: there is no directory, and so no guest */
    char path[256];
};

/* A name that is ours. */
struct claim {
    struct registry registry;
    char name[GUEST_NAME_CHARS + 1];
    int listener; /* non-blocking */
    struct stat file;
};

/* Is this a name for a guest? If not, says why, as EXIT_USAGE. */
int guest_name_check(const char *name, struct error *e);

/* Open the directory, making it if wanted. A directory that others may touch is refused. */
int registry_open(struct registry *r, bool create, struct error *e);
void registry_close(struct registry *r);

/* Take a name and listen under it. A living guest of that name is an error, a dead one's is taken.
 */
int registry_claim(struct claim *c, const char *name, struct error *e);

/* Give the name back, unless somebody else has it by now. */
void registry_release(struct claim *c);

/* A connection to the supervisor, non-blocking; -1 with EXIT_NO_GUEST if there is no such guest. */
int registry_connect(const struct registry *r, const char *name, struct error *e);

/* Remove the socket of a dead supervisor; a living one's stays. */
void registry_clean(const struct registry *r, const char *name);

/* All names, sorted, living or not: a malloc'd list of `count` malloc'd strings. */
int registry_names(const struct registry *r, char ***names, size_t *count, struct error *e);
void registry_names_free(char **names, size_t count);

#endif
