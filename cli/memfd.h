/* SPDX-License-Identifier: MIT */
/*
 * Anonymous files. All that QEMU is given (its RAM, hypervisor, kernel and initrd, or a disc) lies
 * in one, reached as /proc/self/fd/N: nothing to clean up, and no path that needs escaping.
 */
#ifndef PVMM_CLI_MEMFD_H
#define PVMM_CLI_MEMFD_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* A read-only view of a file's content. */
struct view {
    const uint8_t *data;
    size_t size;
};

/* A new anonymous file of `size` bytes (sparse), or -1. */
int memfd_new(const char *name, uint64_t size, struct error *e);

/* The file at `path` to keep a machine's memory in: made if it is not there, else as it is. */
int memory_file_open(const char *path, struct error *e);
/* `size` bytes of zeroes (sparse), whatever it had. */
int memory_file_clear(int fd, uint64_t size, struct error *e);

/* Copy `size` bytes into a new anonymous file, or -1. */
int memfd_copy(const char *name, const void *data, size_t size, struct error *e);

/* Append to an anonymous file. */
int memfd_append(int fd, const void *data, size_t size, struct error *e);

/* Map all of `fd` for reading. */
int view_of_fd(int fd, struct view *v, struct error *e);

/*
 * Map a regular file for reading. `code` is the exit code if it is missing, unreadable or empty.
 * The content is copied first: a file that shrinks while it is mapped would end the tool by SIGBUS.
 */
int view_of_path(const char *path, int code, struct view *v, struct error *e);

void view_drop(struct view *v);

#endif
