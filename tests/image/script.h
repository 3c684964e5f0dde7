/* SPDX-License-Identifier: MIT */
/* Save streams of a small guest that is complete, record by record in memory, to be spoilt at will;
 * and where such a guest is taken in to. */
#ifndef PVMM_TESTS_IMAGE_SCRIPT_H
#define PVMM_TESTS_IMAGE_SCRIPT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xen/xen.h>

#include "internal.h"
#include "pte.h"
#include "stream_layout.h"
#include "transfer.h"

/* ---- the guest: pfns, all in one record of pages */
enum {
    P_START,
    P_STORE,
    P_CONSOLE,
    P_L4,
    P_L3,
    P_L2,
    P_L1,
    P_USER_L4,
    P_LIST,
    P_GDT,
    P_ALLOCATED,
    P_NONE,
    P_PLAIN,
    P_END,
};
#define P_PAGES (P_END - 1u)

#define SCRIPT_BYTES (1u << 20)
struct script {
    uint8_t *bytes;
    size_t n;
    unsigned version;
    bool xl;
};

/* A stream of libxc's of that version, in xl's file or bare. */
struct script *script_new(unsigned version, bool xl);
void script_free(struct script *s);

/* The offset of the nth record (from 0 on) of that type, of its header; fails if it is not there.
 */
size_t script_record(const struct script *s, uint32_t type, unsigned nth);
/* Its number among libxc's. */
unsigned script_number(const struct script *s, size_t at);
/* Bytes of its header, body and padding. */
size_t script_size(const struct script *s, size_t at);
/* Where libxc's header is, and libxl's records. */
size_t script_libxc(const struct script *s);
size_t script_libxl_end(const struct script *s);

void script_put(struct script *s, size_t at, uint64_t value, size_t n);
uint64_t script_get(const struct script *s, size_t at, size_t n);
void script_cut(struct script *s, size_t at, size_t n);
void script_insert(struct script *s, size_t at, const void *from, size_t n);
/* A record with that body there; its padding is not of zeroes. */
void script_add(struct script *s, size_t at, uint32_t type, const void *body, uint32_t n);
/* The offset of a pfn's word in the list, and of its content. */
size_t script_word(const struct script *s, uint64_t pfn);
size_t script_content(const struct script *s, uint64_t pfn);
/* Of vCPU 0's context. */
size_t script_context(const struct script *s, size_t offset);

/* ---- the other side */
#define ROOM_FRAMES 64u
#define ROOM_MFN    0x1000u
struct room {
    uint8_t *map;  /* every other page of it cannot be touched */
    bool together; /* frames side by side instead */
    unsigned given, begun, most;
    uint64_t end_pfn; /* as told to begin() */
};

struct room *room_new(bool together);
void room_free(struct room *r);
void *room_at(void *room, mfn_t m);
extern const struct pv_take_ops room_ops;

enum script_way { BY_FILE, BY_PIPE, BY_ZSTD, BY_GZIP, BY_XZ, BY_ZSTD_PIPE, SCRIPT_WAYS };
/* A descriptor that has these bytes: to be closed. */
int script_fd(const void *from, size_t n, enum script_way way);

#define SCRIPT_OPTIONS (&(struct pv_take_options){.max_pfns = ROOM_FRAMES, .max_vcpus = 2})
int script_take(const struct script *s, enum script_way way, const struct pv_take_options *o,
                struct room *r, struct pv_taken **t, struct pv_error *e);
/* Taken in and localised, or the reason. */
int script_restore(const struct script *s, enum script_way way, struct room *r, struct pv_taken **t,
                   struct pv_take_start *now, struct pv_error *e);

#endif
