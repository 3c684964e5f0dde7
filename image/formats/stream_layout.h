/* SPDX-License-Identifier: MIT */
/*
 * How save streams are laid out, as Xen's docs/specs/libxc-migration-stream and
 * libxl-migration-stream have it. An xl file: save_header, the domain's configuration,
 * libxl_header, libxl's records; behind that of type LIBXL_CONTEXT a libxc stream: libxc_header,
 * domain_header, libxc's records. Records start at multiples of 8 from the start of the stream.
 */
#ifndef PVMM_IMAGE_FORMATS_STREAM_LAYOUT_H
#define PVMM_IMAGE_FORMATS_STREAM_LAYOUT_H

#include <assert.h>
#include <stdint.h>

/* ---- xl's file, in the host's byte order */

#define SAVE_MAGIC      "Xen saved domain, xl format\n \0 \r" /* and a 0, which is not in the file */
#define SAVE_BYTE_ORDER 0x01020304u
#define SAVE_JSON       1u /* mandatory flags: the configuration is in JSON, */
#define SAVE_STREAM_V2  2u /* and what follows is a libxl stream */

struct save_header {
    char magic[32];
    uint32_t byte_order, mandatory, optional;
    uint32_t optional_bytes; /* behind the header: the configuration's length, 32 bits; itself */
};
static_assert(sizeof(SAVE_MAGIC) == sizeof(((struct save_header *)0)->magic) + 1, "its length");
static_assert(sizeof(struct save_header) == 48, "layout");

/* ---- libxl's stream; the header big-endian */

#define LIBXL_ID         "LibxlFmt"
#define LIBXL_VERSION    2u
#define LIBXL_BIG_ENDIAN 1u

struct libxl_header {
    char id[8];
    uint32_t version, options;
};

enum libxl_record {
    LIBXL_END,
    LIBXL_CONTEXT, /* libxc's stream follows it */
    LIBXL_EMULATOR_XENSTORE,
    LIBXL_EMULATOR_CONTEXT,
    LIBXL_CHECKPOINT_END, /* libxc's stream goes on */
    LIBXL_CHECKPOINT_STATE,
    LIBXL_RECORDS,
};

/* ---- libxc's stream; libxc_header big-endian, all else little-endian */

#define LIBXC_MARKER     (~0ull)
#define LIBXC_ID         0x58454e46u /* XENF */
#define LIBXC_VERSION    3u          /* that is written */
#define LIBXC_BIG_ENDIAN 1u

struct libxc_header {
    uint64_t marker;
    uint32_t id, version; /* 3 from Xen 4.14 on, 2 before */
    uint16_t options, reserved;
    uint32_t reserved_too;
};
static_assert(sizeof(struct libxc_header) == 24, "layout");

/* Of a domain header that is written: whose tools' records these are. */
#define LIBXC_XEN_MAJOR 4u
#define LIBXC_XEN_MINOR 17u

enum { LIBXC_PV = 1, LIBXC_HVM = 2 };

struct domain_header {
    uint32_t type;
    uint16_t page_shift, reserved;
    uint32_t xen_major, xen_minor;
};
static_assert(sizeof(struct domain_header) == 16, "layout");

/* Of libxl's records as well. The body is padded to a multiple of 8, which `bytes` does not count.
 */
struct record_header {
    uint32_t type, bytes;
};

#define RECORD_OPTIONAL 0x80000000u /* may be skipped by who does not know it */
/* Ours, without content, in front of the pages: the guest ran meanwhile, and pages may come again.
 */
#define RECORD_PVMM_LIVE (RECORD_OPTIONAL | 0x70766d6du) /* "pvmm" */

enum libxc_record {
    LIBXC_END,
    LIBXC_PAGE_DATA,
    LIBXC_PV_INFO,
    LIBXC_P2M_FRAMES,
    LIBXC_VCPU_BASIC,
    LIBXC_VCPU_EXTENDED,
    LIBXC_VCPU_XSAVE,
    LIBXC_SHARED_INFO,
    LIBXC_TSC_INFO,
    LIBXC_HVM_CONTEXT,
    LIBXC_HVM_PARAMS,
    LIBXC_TOOLSTACK,
    LIBXC_VCPU_MSRS,
    LIBXC_VERIFY, /* all pages come again, for comparison */
    LIBXC_CHECKPOINT,
    LIBXC_DIRTY_PFNS,
    LIBXC_STATIC_DATA_END,
    LIBXC_CPUID_POLICY,
    LIBXC_MSR_POLICY,
    LIBXC_RECORDS,
};

struct page_data {
    uint32_t count, reserved;
    /* uint64_t pfn[count], then the pages of those whose type has one */
};
#define PAGE_DATA_PFN(word)       ((word) & ((1ull << 52) - 1))
#define PAGE_DATA_TYPE(word)      ((unsigned)((word) >> 60))
#define PAGE_DATA_WORD(type, pfn) ((uint64_t)(type) << 60 | (pfn))
#define PAGE_DATA_MOST            1024u /* pfns in a record, as libxc writes them */

enum page_type {
    PAGE_PLAIN,
    PAGE_L4 = 4,      /* 1..4: tables */
    PAGE_PINNED = 8,  /* with 1..4 */
    PAGE_BROKEN = 13, /* these three come without content: the page had none that can be read, */
    PAGE_ALLOCATE,    /* is there, but nothing is said of what it has, */
    PAGE_NONE,        /* the pfn has no page (any more) */
};
#define PAGE_LEVEL(type) ((type) < PAGE_BROKEN ? (type) % 8u : 0) /* 0: no table */

struct pv_info {
    uint8_t width, levels;
    uint8_t reserved[6];
};

struct p2m_frames {
    uint32_t start, end; /* pfns, both included */
    /* uint64_t pfn[]: of the pages of the p2m list that have them */
};

struct vcpu_record {
    uint32_t vcpu, reserved;
    /* the context */
};

/* Of VCPU_EXTENDED: XEN_DOMCTL_get_ext_vcpucontext's. What follows it, of machine checks, may be
 * left out. */
struct extended_context {
    uint32_t vcpu;
    uint32_t bytes; /* of this and what follows it */
    uint64_t syscall32_eip, sysenter_eip;
    uint16_t syscall32_cs, sysenter_cs;
    uint8_t syscall32_disables_events, sysenter_disables_events;
    uint8_t zero[2];
};
static_assert(sizeof(struct extended_context) == 32, "layout");
#define EXTENDED_MOST 128u /* bytes */

struct tsc_info {
    uint32_t mode; /* 0: the host's TSC where it is of the same speed, else emulated */
    uint32_t khz;
    uint64_t nsec; /* that the guest has been there */
    uint32_t incarnation, reserved;
};
static_assert(sizeof(struct tsc_info) == 24, "layout");

#endif
