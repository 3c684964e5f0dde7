/* SPDX-License-Identifier: MIT */
/* Xen's ELF notes: what a PV kernel says about itself. Pure functions on a byte buffer. */
#ifndef PVMM_CLI_ELFNOTES_H
#define PVMM_CLI_ELFNOTES_H

#include <stdbool.h>

#include <xen/elfnote.h>

#include "memfd.h"

struct xen_notes {
    unsigned count; /* notes with owner "Xen" */
    bool seen[XEN_ELFNOTE_MAX + 1];
    uint64_t value[XEN_ELFNOTE_MAX + 1]; /* of numeric notes; 0 if absent */
    char guest_os[32];
};

/* Add the notes of one note segment. Damage is EXIT_UNTESTABLE. */
int xen_notes_read(struct view elf, uint64_t offset, uint64_t size, struct xen_notes *notes,
                   struct error *e);

/* The way before ELF notes: a section __xen_guest with one string "KEY=value,KEY=value". What it
 * says is taken as notes; without one nothing is. */
int legacy_notes_read(struct view elf, struct xen_notes *notes, struct error *e);

#endif
