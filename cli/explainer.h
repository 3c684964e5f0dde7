/* SPDX-License-Identifier: MIT */
/*
 * The explanations of one run: reports are looked at as they arrive, and told at once; at the end
 * come what the guest publishes for tools, how often things were repeated, and the recorder's text.
 */
#ifndef PVMM_CLI_EXPLAINER_H
#define PVMM_CLI_EXPLAINER_H

#include "console.h"
#include "explain.h"
#include "mailbox.h"
#include "reports.h"

#define RECORD_CHARS 640 /* of a record as a line */

struct explainer {
    /* set by the caller */
    const char *kernel; /* for messages */
    int kernel_fd;      /* the kernel as an ELF file; -1: none */
    struct pv_symbols *symbols;
    const char *recording; /* folder of the run's recording; NULL: none */

    /* its own */
    int ram_fd; /* -1: no machine */
    bool named_kernel, named_guest, tried_view;
    bool no_recorder;
    bool no_linux;   /* the guest keeps no names in its memory */
    bool no_modules; /* why its modules have none was said */
    struct explain_sources sources;
    struct pv_view *view;
    struct witness witness;
    struct pvmm_recorder recorder; /* of the end */
    bool has_recorder;
    struct explanation *list[PVMM_REPORTS + PUBLICATION_MAX];
    unsigned index[PVMM_REPORTS]; /* in the mailbox, of those of the list that are reports */
    unsigned reports, count;      /* the first `reports` of `count` are the hypervisor's */
    unsigned looked;              /* of the mailbox's */
    unsigned answered;            /* of these: the hypervisor was let go on */
    struct reports_sum sum;
    bool checked; /* the publication was looked at */
    struct pv_publication publication;
};

/* Reads the files that people name; a file that cannot be read is EXIT_USAGE. */
int explainer_open(struct explainer *x, char *const *files, unsigned n, struct error *e);

/* A new machine, whose memory is `ram_fd` (not taken over); what was known of another is forgotten.
 */
int explainer_start(struct explainer *x, int ram_fd, struct error *e);

/* Explains what is new in the mailbox, on `out`. */
void explainer_look(struct explainer *x, const struct mailbox *m, const struct console *c,
                    FILE *out);

/* After a look: does the hypervisor wait for it, with a report for which it was not told yet? */
bool explainer_has_read(struct explainer *x, const struct mailbox *m);

/* The machine is over, and its mailbox about to go: takes what is still needed. */
void explainer_settle(struct explainer *x, const struct mailbox *m);

/* Checks what the guest publishes for tools; it has to have run, and not to run any more. */
void explainer_check(struct explainer *x, FILE *out);

/* Breaches and findings by code: is there one? */
bool explainer_has_findings(const struct explainer *x);

/* For `pvmm trace`: the records ever, and the first that is still there; 0: no recorder (yet). */
uint64_t explainer_written(struct explainer *x, const struct mailbox *m);
uint64_t explainer_oldest(const struct explainer *x);
/* Record `index` as a line with its end. 0: it is not there any more. */
size_t explainer_record(const struct explainer *x, uint64_t index, bool json, char *line,
                        size_t size);

/* The whole recorder as text. */
int explainer_trace(const struct explainer *x, FILE *out);

void explainer_close(struct explainer *x);

#endif
