/* SPDX-License-Identifier: MIT */
/* Hypercalls: the page that the builder fills, and what simple ones answer. */
#include "themes.h"

#include <xen/features.h>
#include <xen/version.h>

#define PAGE_SYMBOL pvg_hypercall_page
#define STUB_BYTES  32u
#define STUBS       128u

extern const volatile uint8_t PAGE_SYMBOL[PVG_PAGE_BYTES];

static int64_t version(struct pvguest *g)
{
    return pvg_hypercall(g, __HYPERVISOR_xen_version, XENVER_version, 0, 0, 0, 0);
}

static void page_filled(struct tap *t)
{
    for (unsigned i = 0; i < STUBS; i++)
        CHECK_SAY(t, PAGE_SYMBOL[i * STUB_BYTES] != 0, "stub %u is empty", i);
}

static void page_version(struct tap *t)
{
    int64_t v = version(t->g);
    CHECK_SAY(t, v >> 16 == 4 && (v & 0xffff) >= 14, "the version is %lx", (uint64_t)v);
}

/* By hand, without the page. */
static void bare_syscall(struct tap *t)
{
    int64_t rax = __HYPERVISOR_xen_version;
    uint64_t rdi = XENVER_version, rsi = 0;
    __asm__ volatile("syscall"
                     : "+a"(rax), "+D"(rdi), "+S"(rsi)
                     :
                     : "rcx", "rdx", "r8", "r10", "r11", "memory", "cc");
    CHECK_SAME(t, rax, version(t->g));
}

static void unknown_number(struct tap *t)
{
    CHECK_SAME(t, pvg_hypercall(t->g, 127, 0, 0, 0, 0, 0), -XEN_ENOSYS);
}

static void bad_buffer(struct tap *t)
{
    CHECK_SAME(t,
               pvg_hypercall(t->g, __HYPERVISOR_xen_version, XENVER_get_features, 0x1000, 0, 0, 0),
               -XEN_EFAULT);
}

/* Bits that the ABI wants of every PV hypervisor, and that none may have (<xen/features.h>). */
static void features(struct tap *t)
{
    CHECK(t, pvg_feature(t->g, XENFEAT_mmu_pt_update_preserve_ad));
    CHECK(t, !pvg_feature(t->g, XENFEAT_writable_page_tables));
    CHECK(t, !pvg_feature(t->g, XENFEAT_auto_translated_physmap));
    CHECK_SAME(t, pvg_feature(t->g, XENFEAT_dom0), pvg_is_initial_domain(t->g));
    CHECK(t, !pvg_feature(t->g, 1000));
}

static const struct test tests[] = {
    {"page_filled", page_filled},   {"page_version", page_version},
    {"bare_syscall", bare_syscall}, {"unknown_number", unknown_number},
    {"bad_buffer", bad_buffer},     {"features", features},
};

const struct theme hypercall_theme = THEME("hypercall", tests);
