/* SPDX-License-Identifier: MIT */
/* The guest's memory requests, from wherever they come: hypercalls, emulated instructions, faults.
 */
#ifndef PVMM_HV_REQUEST_H
#define PVMM_HV_REQUEST_H

#include "vcpu.h"

#define NO_INDEX (~0ull)

/* What the guest asked for, in the words of <pvmm/report.h>. */
struct request {
    enum pvmm_request kind;
    const char *name;   /* of the request, for the log */
    uint64_t hypercall; /* NO_INDEX: none */
    uint64_t args[5];
    uint64_t multicall_index;          /* NO_INDEX: none */
    uint64_t batch_index, batch_count; /* NO_INDEX, 0: it has no list */
    uint64_t element[3];
    uint64_t address; /* NO_INDEX: none */
};

/* One that is no hypercall. */
#define REQUEST(...)                                                                               \
    (&(const struct request){                                                                      \
        .hypercall = NO_INDEX, .multicall_index = NO_INDEX, .batch_index = NO_INDEX, __VA_ARGS__})

/* Brackets of a request to the core (core_begin, core_end). request_open false: nothing may be done
 * yet and nothing is to be closed; the guest comes again, after its interrupts. */
bool request_open(struct vcpu *v);
void request_close(struct vcpu *v);

/* The core refused it: counts that, reports why (R10), and writes it down if `log`. To be called
 * before request_close(), as what is half done then is part of the answer. */
void request_refused(struct vcpu *v, const struct request *q, bool log);

/* Repeats a request to the core until it is done: before the guest runs there is nothing to return
 * to meanwhile. The result is the core's, and so is v->mem.refusal. */
int request_to_the_end(struct vcpu *v,
                       int (*request)(struct core *, struct core_vcpu *, const void *),
                       const void *what);

/* Loads the guest's kernel root, in the core and in the CPU. Result: the core's. */
int load_kernel_root(struct vcpu *v, mfn_t m);

#endif
