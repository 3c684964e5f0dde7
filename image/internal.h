/* SPDX-License-Identifier: MIT */
/* What the files of libpvimage share. */
#ifndef PVMM_IMAGE_INTERNAL_H
#define PVMM_IMAGE_INTERNAL_H

#include "image.h"

/* ---- error.c: all return -1 */
int pv_fail(struct pv_error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Adds errno's text. */
int pv_fail_errno(struct pv_error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Puts what was tried before what went wrong. */
int pv_context(struct pv_error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int pv_no_memory(struct pv_error *e);

/* ---- file.c: all n bytes at that place, or -1. `what` is for the message. */
int pv_read_at(int fd, uint64_t at, void *to, size_t n, const char *what, struct pv_error *e);
int pv_write_at(int fd, uint64_t at, const void *from, size_t n, const char *what,
                struct pv_error *e);

/* ---- pairs.c: a table that is found by key. It grows with what is in it, whatever a file says. */
struct pv_pair {
    uint64_t key, value;
};

struct pv_pairs {
    struct pv_pair *pair;
    size_t n, room;
};

bool pv_pairs_add(struct pv_pairs *p, uint64_t key, uint64_t value); /* false: out of memory */
/* By key; equals stay in the order in which they were added. false: out of memory. */
bool pv_pairs_sort(struct pv_pairs *p);
/* Of a sorted table. The first of that key, or of that key or above; NULL: none. */
const struct pv_pair *pv_pairs_find(const struct pv_pairs *p, uint64_t key);
const struct pv_pair *pv_pairs_from(const struct pv_pairs *p, uint64_t key);
void pv_pairs_free(struct pv_pairs *p);

/* ---- view.c */
/* A view of `vcpus` vCPUs, all empty; NULL: out of memory. */
struct pv_view *pv_view_new(const struct pv_backend *backend, const char *kind, unsigned vcpus);
/* Sets the context and what follows from it. */
void pv_vcpu_set(struct pv_vcpu *vcpu, const uint8_t context[PVMM_CONTEXT_BYTES]);

#endif
