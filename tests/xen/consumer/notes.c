/* SPDX-License-Identifier: MIT */
/* Notes of the kernel's own, in C: no INIT_P2M, so that the builder's list lies in the boot region.
 */
#include <pvguest/link.h>
#include <xen/elfnote.h>
#include <xen/features.h>

#define NAME  4, sizeof(uint64_t)
#define WORDS 5

struct text {
    uint32_t name, bytes, type;
    char owner[4], text[12];
};

struct word {
    uint32_t name, bytes, type;
    char owner[4];
    uint64_t value;
} __attribute__((packed));

const struct pvg_notes {
    struct text os, version, loader, pae;
    struct word word[WORDS];
} pvg_notes __attribute__((section(".note.Xen"), aligned(4), used)) = {
    .os = {4, 12, XEN_ELFNOTE_GUEST_OS, "Xen", "consumer"},
    .version = {4, 12, XEN_ELFNOTE_XEN_VERSION, "Xen", "xen-3.0"},
    .loader = {4, 12, XEN_ELFNOTE_LOADER, "Xen", "generic"},
    .pae = {4, 12, XEN_ELFNOTE_PAE_MODE, "Xen", "yes"},
    .word = {{NAME, XEN_ELFNOTE_ENTRY, "Xen", (uint64_t)pvg_entry},
             {NAME, XEN_ELFNOTE_VIRT_BASE, "Xen", 0xffffffff80000000},
             {NAME, XEN_ELFNOTE_PADDR_OFFSET, "Xen", 0},
             {NAME, XEN_ELFNOTE_HYPERCALL_PAGE, "Xen", (uint64_t)pvg_hypercall_page},
             {NAME, XEN_ELFNOTE_SUPPORTED_FEATURES, "Xen", 1 << XENFEAT_dom0}},
};
