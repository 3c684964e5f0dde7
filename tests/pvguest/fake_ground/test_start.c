/* SPDX-License-Identifier: MIT */
/* start_info, wrong in each way that is looked for; what the hypervisor may say, and may not. */
#include "fake.h"

#include <xen/memory.h>
#include <xen/version.h>

#define BASE 0xffffffff80000000ull

static struct pvguest guest;
static start_info_t si;

static struct {
    uint32_t features;
    int features_rc, mapping_rc;
    int64_t last_frame;
    struct xen_machphys_mapping mapping;
} world;

static int64_t answers(unsigned number, uint64_t a, uint64_t b, uint64_t c)
{
    (void)c;
    if (number == __HYPERVISOR_xen_version && a == XENVER_get_features) {
        ((xen_feature_info_t *)b)->submap = world.features;
        return world.features_rc;
    }
    if (number == __HYPERVISOR_memory_op && a == XENMEM_maximum_ram_page)
        return world.last_frame;
    if (number == __HYPERVISOR_memory_op && a == XENMEM_machphys_mapping) {
        *(struct xen_machphys_mapping *)b = world.mapping;
        return world.mapping_rc;
    }
    return -XEN_ENOSYS;
}

/* As real Xen 4.17 has it for an initial domain of 64 MiB. */
static int setup(void **state)
{
    (void)state;
    memset(&guest, 0, sizeof(guest));
    si = (start_info_t){
        .magic = "xen-3.0-x86_64p",
        .nr_pages = 16384,
        .flags = SIF_INITDOMAIN | SIF_PRIVILEGED,
        .pt_base = BASE + 0x141000,
        .nr_pt_frames = 5,
        .mfn_list = 0xffffc98000000000ull,
        .cmd_line = "a b",
    };
    world.features = 1u << XENFEAT_mmu_pt_update_preserve_ad | 1u << XENFEAT_dom0;
    world.features_rc = world.mapping_rc = 0;
    world.last_frame = 0x3ffff;
    world.mapping =
        (struct xen_machphys_mapping){0xffff800000000000ull, 0xffff804000000000ull, 0x7ffffffff};
    fake_answers = answers;
    fake_traps = 0;
    fake_traps_rc = 0;
    guest.si_va = (uintptr_t)&si;
    return 0;
}

static void refused(const char *reason)
{
    assert_int_equal(start_check(&guest, &si), -XEN_EINVAL);
    assert_string_equal(pvg_reason(&guest), reason);
    assert_int_equal(guest.info.nr_pages, 0);
    assert_int_equal(guest.boot.to, 0);
    setup(NULL);
}

static void good(void **state)
{
    (void)state;
    assert_int_equal(start_init(&guest), 0);
    assert_string_equal(pvg_command_line(&guest), "a b");
    assert_int_equal(guest.info.nr_pages, 16384);
    assert_int_equal(guest.image.from, 0x100);
    assert_int_equal(guest.image.to, 0x140);
    assert_int_equal(guest.initial_tables.from, 0x141);
    assert_int_equal(guest.initial_tables.to, 0x146);
    assert_int_equal(guest.boot.from, 0);
    assert_int_equal(guest.boot.to, 0x400);
    assert_true(pvg_is_initial_domain(&guest));
    assert_true(pvg_feature(&guest, XENFEAT_dom0));
    assert_false(pvg_feature(&guest, XENFEAT_mmu_pt_update_preserve_ad + 1));
    assert_int_equal(guest.m2p_base, 0xffff800000000000ull);
    assert_int_equal(guest.m2p_entries, 0x40000);
    assert_int_equal(fake_traps, 1);
    assert_null(pvg_shared_info(&guest));
}

static void wrong_magic(void **state)
{
    static const char *const magic[] = {"", "xen-2.0-x86_64", "xen-3.0-x86_32p", "Xen-3.0-x86_64"};
    char reason[128];
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        memset(si.magic, 0, sizeof(si.magic));
        strcpy(si.magic, magic[i]);
        pvg_format(reason, sizeof(reason), "start_info: its magic is \"%s\", not xen-3.*-x86_64",
                   magic[i]);
        refused(reason);
    }
    memset(si.magic, 'x', sizeof(si.magic)); /* without an end */
    refused("start_info: its magic is \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\", not xen-3.*-x86_64");
}

static void wrong_pages(void **state)
{
    (void)state;
    si.nr_pages = 0;
    refused("start_info: nr_pages is 0");
    si.nr_pages = PVG_P2M_PFNS + 1;
    refused("start_info: nr_pages is 68719476737");
    si.nr_pages = PVG_P2M_PFNS;
    si.mfn_list = 0xffffc90000000000ull;
    assert_int_equal(start_check(&guest, &si), 0);
}

static void wrong_tables(void **state)
{
    (void)state;
    si.pt_base = BASE - 4096;
    refused("start_info: pt_base is ffffffff7ffff000");
    si.pt_base = BASE + 0x141008;
    refused("start_info: pt_base is ffffffff80141008");
    si.pt_base = BASE + 16384 * 4096ull;
    refused("start_info: pt_base is ffffffff84000000");
    si.pt_base = BASE + 0x13f000;
    refused("start_info: pt_base is ffffffff8013f000, inside the image");
    si.nr_pt_frames = 3;
    refused("start_info: nr_pt_frames is 3, from page 321 on of 16384");
    si.nr_pt_frames = 16384 - 321 + 1;
    refused("start_info: nr_pt_frames is 16064, from page 321 on of 16384");
    si.nr_pt_frames = ~0ul;
    refused("start_info: nr_pt_frames is 18446744073709551615, from page 321 on of 16384");
}

static void wrong_list(void **state)
{
    (void)state;
    si.mfn_list = 0;
    refused("start_info: mfn_list is 0");
    si.mfn_list = 0xffffc98000000004ull;
    refused("start_info: mfn_list is ffffc98000000004");
    si.mfn_list = 0xffff800000000000ull; /* the hypervisor's */
    refused("start_info: mfn_list is ffff800000000000");
    si.mfn_list = 0x0000900000000000ull; /* no address */
    refused("start_info: mfn_list is 900000000000");
    si.mfn_list = ~7ull;
    refused("start_info: mfn_list is fffffffffffffff8, which leaves no room for 16384 pages");
    si.mfn_list = 0x00007ffffffff000ull;
    refused("start_info: mfn_list is 7ffffffff000, which leaves no room for 16384 pages");
}

/* The end of the region: points 2 and 7 of the layout, and never beyond the domain. */
static void regions(void **state)
{
    static const struct {
        uint64_t page, frames, end;
    } at[] = {
        {0x200, 5, 0x400}, /* slack enough */
        {0x37a, 5, 0x400}, /* 0x380 used: just enough */
        {0x37b, 5, 0x800}, /* one page less */
        {0x3fa, 5, 0x800}, /* the stack ends on the step */
        {0x1000, 40, 0x1400},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        si.pt_base = BASE + at[i].page * 4096;
        si.nr_pt_frames = at[i].frames;
        assert_int_equal(start_check(&guest, &si), 0);
        assert_int_equal(guest.boot.to, at[i].end);
        setup(NULL);
    }
    si.nr_pages = 0x180;
    assert_int_equal(start_check(&guest, &si), 0);
    assert_int_equal(guest.boot.to, 0x180);
}

static void long_command_line(void **state)
{
    (void)state;
    memset(si.cmd_line, 'x', sizeof(si.cmd_line)); /* without an end */
    assert_int_equal(start_check(&guest, &si), 0);
    assert_int_equal(strlen(pvg_command_line(&guest)), MAX_GUEST_CMDLINE - 1);
}

static void wrong_features(void **state)
{
    (void)state;
    world.features |= 1u << XENFEAT_writable_page_tables;
    assert_int_equal(start_features(&guest), -XEN_EOPNOTSUPP);
    assert_non_null(strstr(pvg_reason(&guest), "writable_page_tables"));
    setup(NULL);
    world.features |= 1u << XENFEAT_auto_translated_physmap;
    assert_int_equal(start_init(&guest), -XEN_EOPNOTSUPP);
    assert_non_null(strstr(pvg_reason(&guest), "auto_translated_physmap"));
    setup(NULL);
    world.features_rc = -XEN_EPERM;
    assert_int_equal(start_features(&guest), -XEN_EPERM);
    assert_string_equal(pvg_reason(&guest), "features: XENVER_get_features: EPERM");
}

static void m2p_unsaid(void **state)
{
    (void)state;
    world.mapping = (struct xen_machphys_mapping){0};
    world.mapping_rc = -XEN_ENOSYS;
    world.last_frame = -XEN_ENOSYS;
    assert_int_equal(start_m2p(&guest), 0);
    assert_int_equal(guest.m2p_base, MACH2PHYS_VIRT_START);
    assert_int_equal(guest.m2p_entries, (MACH2PHYS_VIRT_END - MACH2PHYS_VIRT_START) / 8);
    world.mapping_rc = -XEN_EFAULT;
    assert_int_equal(start_m2p(&guest), -XEN_EFAULT);
    assert_string_equal(pvg_reason(&guest), "m2p: XENMEM_machphys_mapping: EFAULT");
}

static void m2p_wrong(void **state)
{
    static const struct xen_machphys_mapping wrong[] = {
        {0xffff800000000004, 0xffff800000001000, 1},   /* not on a word */
        {0xffff800000001000, 0xffff800000001000, 0},   /* empty */
        {0xffff800000001000, 0xffff800000000000, 0},   /* backwards */
        {0xffff800000000000, 0xffff800000001000, 512}, /* one frame too many */
        {0x1000, 0x2000, 1},                           /* ours */
        {0xffff800000000000, 0xffff800000001000, ~0ul},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        world.mapping = wrong[i];
        assert_int_equal(start_m2p(&guest), -XEN_EINVAL);
        assert_int_equal(guest.m2p_base, 0);
    }
    world.mapping = (struct xen_machphys_mapping){0xffff800000000000, 0xffff800000001000, 511};
    assert_int_equal(start_m2p(&guest), 0);
    assert_int_equal(guest.m2p_entries, 512);
}

static void traps_first(void **state)
{
    (void)state;
    fake_traps_rc = -XEN_EFAULT;
    assert_int_equal(start_init(&guest), -XEN_EFAULT);
    assert_int_equal(guest.m2p_base, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(good, setup),
        cmocka_unit_test_setup(wrong_magic, setup),
        cmocka_unit_test_setup(wrong_pages, setup),
        cmocka_unit_test_setup(wrong_tables, setup),
        cmocka_unit_test_setup(wrong_list, setup),
        cmocka_unit_test_setup(regions, setup),
        cmocka_unit_test_setup(long_command_line, setup),
        cmocka_unit_test_setup(wrong_features, setup),
        cmocka_unit_test_setup(m2p_unsaid, setup),
        cmocka_unit_test_setup(m2p_wrong, setup),
        cmocka_unit_test_setup(traps_first, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
