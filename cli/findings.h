/* SPDX-License-Identifier: MIT */
/* The findings of a recorded run, out of its verdict.json: which there are, and what they name. */
#ifndef PVMM_CLI_FINDINGS_H
#define PVMM_CLI_FINDINGS_H

#include <json-c/json.h>

#include "recording.h"

#define FINDING_CODE 64

struct finding {
    char code[FINDING_CODE];
    unsigned number;          /* "CODE#N": the Nth with that code, from 1 */
    bool has_report;          /* of the hypervisor's; else it is about what the guest published */
    unsigned index;           /* the report's in the mailbox */
    uint64_t rip;             /* of the report: the guest's instruction */
    bool has_entry;           /* it is about a page-table entry, ... */
    uint64_t entry;           /* ... which lies at that machine address */
    uint64_t value;           /* what the report has there */
    uint64_t icount;          /* no later than that many instructions into the run it was filed */
    bool exact;               /* the machine stood still then, with this report as its last */
    struct json_object *json; /* borrowed */
};

struct findings {
    struct json_object *verdict;
    struct finding *list;
    unsigned count;
};

/* Reads them; errors are EXIT_UNREADABLE. */
int findings_open(struct findings *f, const struct recording *r, struct error *e);
void findings_close(struct findings *f);

/* "CODE#N", or "CODE" for CODE#1. NULL: there is none, and *e says which there are. */
const struct finding *findings_get(const struct findings *f, const char *id, struct error *e);

/* The first whose report shows the entry at that machine address; NULL: none does. */
const struct finding *findings_showing(const struct findings *f, uint64_t address);

#endif
