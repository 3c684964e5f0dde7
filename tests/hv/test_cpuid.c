/* SPDX-License-Identifier: MIT */
/*
 * What CPUID shows to a guest kernel. The processor is this host's: what is hidden must be hidden
 * whatever it has, and what is passed on must be its own.
 */
#include "hosted.h"

#include "emulate.h"

#define TSC_KHZ 1234567u

uint64_t tsc_khz(void)
{
    return TSC_KHZ;
}

void clock_vcpu_time(vcpu_time_info_t *t)
{
    *t = (vcpu_time_info_t){.tsc_to_system_mul = 0x89abcdef};
}

#define BIT(n) (1u << (n))

static bool same(struct cpuid a, struct cpuid b)
{
    return a.a == b.a && a.b == b.b && a.c == b.c && a.d == b.d;
}

static void test_features(void **state)
{
    /* MONITOR VMX FMA PCID x2APIC TSC-deadline XSAVE OSXSAVE AVX F16C */
    const uint32_t hidden_c = BIT(3) | BIT(5) | BIT(12) | BIT(17) | BIT(21) | BIT(24) | BIT(26) |
                              BIT(27) | BIT(28) | BIT(29);
    /* VME PSE MCE SEP MTRR PGE MCA PSE36 DS */
    const uint32_t hidden_d =
        BIT(1) | BIT(3) | BIT(7) | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(17) | BIT(21);
    struct cpuid real = cpuid(1, 0), c = guest_cpuid(1, 0);

    (void)state;
    assert_int_equal(c.a, real.a);
    assert_int_equal(c.c & hidden_c, 0);
    assert_int_equal(c.d & hidden_d, 0);
    assert_true(c.c & BIT(31)); /* there is a hypervisor */
    assert_true(c.d & BIT(9));  /* a local APIC, or Linux gives up on it early */
    assert_int_equal(c.c & ~BIT(31), real.c & ~hidden_c & ~BIT(31));
    assert_int_equal(c.d & ~BIT(9), real.d & ~hidden_d & ~BIT(9));
}

static void test_extended_features(void **state)
{
    /* SVM, 3DNow prefetch stays; 1 GiB pages and RDTSCP go; long mode, NX, SYSCALL stay */
    struct cpuid real = cpuid(0x80000001, 0), c = guest_cpuid(0x80000001, 0);
    const uint32_t kept = BIT(29) | BIT(20) | BIT(11);

    (void)state;
    assert_int_equal(c.c & (BIT(2) | BIT(3) | BIT(10) | BIT(11) | BIT(12) | BIT(22)), 0);
    assert_int_equal(c.d & (BIT(3) | BIT(13) | BIT(26) | BIT(27)), 0);
    assert_int_equal(c.d & kept, real.d & kept);
}

/* Of leaf 7 only what needs nothing of the hypervisor: no FSGSBASE SMEP INVPCID SMAP AVX2 PKU. */
static void test_structured_features(void **state)
{
    struct cpuid c = guest_cpuid(7, 0);

    (void)state;
    assert_int_equal(c.b & ~cpuid(7, 0).b, 0);
    assert_int_equal(c.b & (BIT(0) | BIT(5) | BIT(7) | BIT(10) | BIT(16) | BIT(20)), 0);
    assert_int_equal(c.a | c.c | c.d, 0);
    assert_true(same(guest_cpuid(7, 1), (struct cpuid){0}));
}

static void test_hidden_leaves(void **state)
{
    static const uint32_t leaves[] = {5, 6, 0xa, 0xd, 0x8000000a, 0x8000001f, 0x80000021};

    (void)state;
    for (unsigned i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
        assert_true(same(guest_cpuid(leaves[i], 0), (struct cpuid){0}));
    assert_int_equal(guest_cpuid(0x80000007, 0).d & ~BIT(8), 0);
    assert_int_equal(guest_cpuid(0x80000008, 0).b & ~BIT(0), 0);
    assert_int_equal(guest_cpuid(0x80000008, 0).a, cpuid(0x80000008, 0).a);
}

static void test_passed_on(void **state)
{
    (void)state;
    assert_true(same(guest_cpuid(0, 0), cpuid(0, 0)));
    for (uint32_t leaf = 0x80000002; leaf <= 0x80000004; leaf++)
        assert_true(same(guest_cpuid(leaf, 0), cpuid(leaf, 0)));
}

static void test_xen_leaves(void **state)
{
    struct cpuid c = guest_cpuid(0x40000000, 0);

    (void)state;
    assert_int_equal(c.a, 0x40000005);
    assert_memory_equal(&c.b, "XenVMMXenVMM", 12);
    assert_int_equal(guest_cpuid(0x40000001, 0).a, 4u << 16 | 17);
    c = guest_cpuid(0x40000002, 0);
    assert_int_equal(c.a, 1);
    assert_int_equal(c.c & 1, 1); /* MMU_PT_UPDATE_PRESERVE_AD */
    c = guest_cpuid(0x40000003, 0);
    assert_int_equal(c.b, 0x89abcdef);
    assert_int_equal(c.c, TSC_KHZ);
    assert_true(same(guest_cpuid(0x40000004, 0), (struct cpuid){0}));
    assert_int_equal(guest_cpuid(0x40000005, 0).b, cpuid(0x80000008, 0).a & 0xff);
    assert_true(same(guest_cpuid(0x40000006, 0), (struct cpuid){0}));
    assert_true(same(guest_cpuid(0x40000100, 0), (struct cpuid){0}));
    assert_true(same(guest_cpuid(0x4000ffff, 0), (struct cpuid){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_features),
        cmocka_unit_test(test_extended_features),
        cmocka_unit_test(test_structured_features),
        cmocka_unit_test(test_hidden_leaves),
        cmocka_unit_test(test_passed_on),
        cmocka_unit_test(test_xen_leaves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
