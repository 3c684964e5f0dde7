/* SPDX-License-Identifier: MIT */
/* What tests of explanations have in common: a guest of 64 pages, pfn p at mfn 0x1000 + p, a
 * refused request, a ring of records. */
#ifndef PVMM_TEST_CLI_MADE_UP_H
#define PVMM_TEST_CLI_MADE_UP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <json-c/json.h>

#define __XEN_INTERFACE_VERSION__ 0x00040e00
#include <xen/xen.h>

#include "core.h"
#include "explain_print.h"
#include "witness.h"

#define FRAMES    0x2000u
#define PAGES     64u
#define FIRST_MFN 0x1000u

extern const struct pv_backend backend;
extern const struct pv_view view;
extern const struct explain_sources sources;

bool owned(const struct pv_view *v, mfn_t m);

/* A refused request that says nothing yet. */
struct pvmm_report refusal(enum core_reason reason);
struct pvmm_report write_fault(uint32_t type, uint32_t uses);
struct pvmm_holder entry_holder(unsigned level, uint64_t table, unsigned slot, uint64_t entry);

/* Both printings of it: lines that fit, and JSON that can be read again. */
struct json_object *print_both(const struct explanation *x, char **text);
const char *get_text(struct json_object *o, const char *key);
bool hinted(const struct explanation *x, const char *code);

/* A ring of its own. */
#define RECORDS 8u

struct recording {
    struct pvmm_recorder recorder;
    struct witness w;
    struct pvmm_record *record;
    int fd;
};

void make_ring(struct recording *g);
void drop_ring(struct recording *g);
void act(struct recording *g, enum pvmm_act a, uint64_t at, uint64_t now);

#endif
