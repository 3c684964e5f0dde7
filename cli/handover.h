/* SPDX-License-Identifier: MIT */
/*
 * What the two ends of a migration say to each other (docs/migration.md). The source has the
 * standard input and output of the command that leads to the other end; `pvmm restore -` is there.
 *
 *   source                                       target
 *   "pvmm migration 1 MEMORY NAME\n"      ->
 *                                         <-     "pvmm migration 1 ready\n"
 *   a save stream                         ->
 *                                         <-     "arrived\n"    it is whole, checked and stands
 *   "go\n"                                ->                    from here on the source's guest
 *                                                               does not go on by itself
 *                                         <-     "running\n"    the source's guest is over
 *
 * Until it has read "go", the target may say "failed TEXT\n" instead: the guest never runs there.
 * After that it says "running" or nothing. The end of the source's words before "go" tells the
 * target that the guest goes on where it was. MEMORY: bytes, decimal. NAME: a guest's name, or "-".
 * TEXT: printable, no newline. Lines are at most HANDOVER_CHARS long, their ends included.
 */
#ifndef PVMM_CLI_HANDOVER_H
#define PVMM_CLI_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HANDOVER_VERSION 1
#define HANDOVER_CHARS   512
#define HANDOVER_MAGIC   "pvmm migration "

enum handover_word {
    HANDOVER_OFFER, /* MEMORY and NAME follow */
    HANDOVER_READY,
    HANDOVER_ARRIVED,
    HANDOVER_GO,
    HANDOVER_RUNNING,
    HANDOVER_FAILED,  /* TEXT follows */
    HANDOVER_UNKNOWN, /* anything else, another version included; text: all of it */
};

struct handover_line {
    enum handover_word word;
    uint64_t memory;
    char text[HANDOVER_CHARS]; /* NAME or TEXT, made printable */
};

/* A line as it goes over the wire, with its end; its length. */
size_t handover_format(char *to, size_t size, const struct handover_line *l);
/* A line without its end. */
void handover_parse(struct handover_line *l, const char *text, size_t n);

#endif
