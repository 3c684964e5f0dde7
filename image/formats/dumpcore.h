/* SPDX-License-Identifier: MIT */
/*
 * Xen's dump-core format: docs/misc/dump-core-format.txt of Xen has the sections, <xen/elfnote.h>
 * the notes' types; where no document says it (order, alignment), files of `xl dump-core` do.
 */
#ifndef PVMM_IMAGE_DUMPCORE_H
#define PVMM_IMAGE_DUMPCORE_H

#include <stdint.h>

#include <xen/xen.h>
#include <xen/elfnote.h>
#include <xen/version.h>

#include "types.h"

#define DUMP_MAGIC_PV       0xf00febedull
#define DUMP_MAGIC_HVM      0xf00febeeull
#define DUMP_FORMAT_MAJOR   0u
#define DUMP_FORMAT_VERSION 1ull /* major in the upper half */
#define DUMP_NOTE_NAME      "Xen"

#define DUMP_NOTES       ".note.Xen"
#define DUMP_PRSTATUS    ".xen_prstatus"
#define DUMP_SHARED_INFO ".xen_shared_info"
#define DUMP_PAGES       ".xen_pages"
#define DUMP_P2M         ".xen_p2m"
#define DUMP_PFN         ".xen_pfn" /* in place of the former: no PV guest */

struct dump_note {
    uint32_t name_bytes, bytes, type;
    char name[4];
};

struct dump_header {
    uint64_t magic;
    uint64_t vcpus;
    uint64_t pages;
    uint64_t page_bytes;
};

struct dump_xen_version {
    uint64_t major, minor;
    xen_extraversion_t extra_version;
    xen_compile_info_t compile_info;
    xen_capabilities_info_t capabilities;
    xen_changeset_info_t changeset;
    xen_platform_parameters_t platform_parameters;
    uint64_t page_bytes;
};

/* All notes, in the order of `xl dump-core`. */
struct dump_notes {
    struct dump_note none;
    struct dump_note header_note;
    struct dump_header header;
    struct dump_note version_note;
    struct dump_xen_version version;
    struct dump_note format_note;
    uint64_t format;
};

/* An element of .xen_p2m: the page of the same index in .xen_pages is this one. */
struct dump_p2m {
    uint64_t pfn, gmfn; /* both ~0: no page */
};

_Static_assert(sizeof(struct dump_notes) == 0x568, "as xl dump-core has it");

#endif
