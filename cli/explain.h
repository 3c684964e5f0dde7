/* SPDX-License-Identifier: MIT */
/*
 * An explanation: a report of the hypervisor (abi/pvmm/report.h) together with what the machine's
 * memory, the kernel's symbols and the flight recorder add to it. Facts and sentences are decided
 * here, once; explain_text.c and explain_json.c only print them.
 */
#ifndef PVMM_CLI_EXPLAIN_H
#define PVMM_CLI_EXPLAIN_H

#include <stdbool.h>
#include <stdio.h>

#include <pvmm/channel.h>

#include "image.h"
#include "pvmachine.h"
#include "symbols.h"
#include "witness.h"

#define EXPLAIN_LINE  320
#define EXPLAIN_HINTS 4
#define EXPLAIN_ARGS  5

enum explain_weight {
    EXPLAIN_BREACH,  /* the guest broke the contract */
    EXPLAIN_FAULT,   /* it stored to a mapping that it has read-only for reasons of its own */
    EXPLAIN_CRASH,   /* the domain is over */
    EXPLAIN_FINDING, /* the guest's memory is not as tools need it */
    EXPLAIN_NOTE,    /* worth knowing, and nobody's fault */
};

/* What an explanation is made from, besides the report. */
struct explain_sources {
    const struct pv_view *view;       /* NULL: not there */
    const struct pv_symbols *symbols; /* NULL: none */
    const struct witness *witness;    /* NULL: none */
    struct pvmm_machine machine;      /* version 0: not known */
};

/* An address of the guest's, with its name. */
struct explain_symbol {
    uint64_t address;
    bool known;
    struct pv_symbol symbol; /* if known */
    char text[220];          /* "name+0x12 [module]", or the bare number */
};

/* A page-table entry in words. */
struct explain_entry {
    uint64_t value;
    bool present;
    uint64_t mfn, pfn; /* pfn by m2p; PVMM_NONE: nothing */
    char flags[96];    /* names with blanks between them */
    char text[200];
};

/* Who did it, and when. */
struct explain_witness {
    bool asked;
    struct witnessed w;
    bool timed;
    double seconds; /* since the guest's first instruction */
    struct explain_symbol rip;
    char text[EXPLAIN_LINE];
};

struct explain_argument {
    char name[16];
    uint64_t value;
    char meaning[120]; /* "": none */
};

struct explain_request {
    const char *how;     /* "hypercall", "store", "cr3", "ldt" or "none" */
    const char *name;    /* of the hypercall; NULL: none */
    const char *command; /* of hypercalls that have commands; NULL: none */
    char position[120];  /* "element 3 of 16, in element 1 of a multicall"; "": by itself */
    char text[EXPLAIN_LINE];
    unsigned args;
    struct explain_argument arg[EXPLAIN_ARGS];
};

struct explain_frame {
    bool there; /* the report is about a frame */
    char owner[40];
    char type[16];
    char flags[96];    /* names with blanks between them */
    bool p2m_known;    /* the guest's own list could be read there */
    uint64_t p2m;      /* what it has at the frame's pfn */
    uint64_t m2p_back; /* the mfn that m2p has for a pfn of this number; PVMM_NONE: none */
    char text[EXPLAIN_LINE];
    struct explain_witness maker; /* who gave it its type */
};

struct explain_step {
    char table[8]; /* "L4" */
    struct explain_entry entry;
    char text[EXPLAIN_LINE];
};

struct explain_holder {
    bool conflicts;
    char kind[16];
    char text[EXPLAIN_LINE];
    char tree[160]; /* what it hangs from; "": says nothing */
    struct explain_entry entry;
    struct explain_witness maker;
};

struct explain_call {
    struct explain_symbol at;
    uint64_t sp;
    bool certain;
};

struct explain_hint {
    const char *code;
    char text[2 * EXPLAIN_LINE];
};

/* A run of pfns whose publication is not right. */
struct explain_gap {
    uint64_t first, last;
    uint64_t is, listed;
    char text[200];
};

struct explanation {
    const char *code; /* stable; docs/explain.md has them all */
    char id[48];      /* "CODE#N": the Nth of that code in its run, from 1 */
    const char *kind; /* "refusal", "write-fault", "crash", "publication" */
    enum explain_weight weight;
    char headline[EXPLAIN_LINE];
    unsigned rule; /* 0: none */
    const char *rule_text;
    int error; /* 0: none */
    const char *error_name;
    uint64_t count;
    bool timed;
    double seconds;

    bool has_report; /* what follows up to the hints is of a report */
    struct pvmm_report report;
    struct explain_request request;
    struct explain_frame frame;
    unsigned steps;
    struct explain_step step[PVMM_REPORT_PATH];
    bool frame_told;              /* by the breach before it: a text need not say it again */
    char place[EXPLAIN_LINE];     /* where the entry at fault maps; "": not known */
    struct explain_symbol target; /* the address accessed, if the report has one */
    unsigned walked;
    struct explain_step walk[4]; /* the way to it, from the top */
    char unseen[40];             /* "0xMFN:SLOT" of the entry at fault, if the guest stored it where
                                    the recorder did not look; "": not so */
    unsigned holders;            /* kept */
    unsigned holders_found;
    struct explain_holder holder[PVMM_REPORT_HOLDERS];
    unsigned calls;
    struct explain_call call[PV_FRAMES];
    struct explain_symbol origin;
    char instruction[96];

    unsigned gaps;
    uint64_t gaps_found;
    struct explain_gap gap[PV_GAPS];

    unsigned hints;
    struct explain_hint hint[EXPLAIN_HINTS];

    const char *recording; /* folder in which it can be looked at again; NULL: none */
};

/* From a checked report. NULL: out of memory. */
struct explanation *explain(const struct explain_sources *s, const struct pvmm_report *r);

/* From the publication check: appends at most PUBLICATION_MAX explanations to `list`; how many. */
#define PUBLICATION_MAX 5
unsigned explain_publication(const struct pv_publication *p, struct explanation **list);

/* The parts (explain_words.c). */
void explain_name(const struct explain_sources *s, uint64_t address, struct explain_symbol *to);
/* The same of an address that a call returns to. */
void explain_return_name(const struct explain_sources *s, uint64_t address,
                         struct explain_symbol *to);
void explain_entry(const struct explain_sources *s, unsigned level, uint64_t value,
                   struct explain_entry *to);
void explain_witness(const struct explain_sources *s, const struct witnessed *w,
                     struct explain_witness *to);
/* "mfn 0x12 (pfn 0x34)". */
void explain_frame_name(const struct explain_sources *s, uint64_t mfn, char *text, size_t size);
bool explain_seconds(const struct explain_sources *s, uint64_t time, double *seconds);
const char *explain_error_name(int error);
const char *explain_reason_code(unsigned reason);

/* explain.c: the stack's calls, as seen from `root`; how many. */
unsigned explain_calls(const struct explain_sources *s, uint64_t root, const struct pv_stack *stack,
                       struct explain_call call[PV_FRAMES]);

/* explain_request.c */
void explain_request(const struct explain_sources *s, const struct pvmm_report *r,
                     struct explain_request *to);
/* explain_holders.c */
void explain_holders(const struct explain_sources *s, struct explanation *x);

/* hints.c: fills in x->hint. */
void explain_hints(const struct explain_sources *s, struct explanation *x);

#endif
