/* SPDX-License-Identifier: MIT */
/*
 * Direct stores to L1 tables: which table a store reaches. The way that the last store went is
 * kept, and must be forgotten when the guest changes an entry above L1 or its root: a store that
 * went the old way would change a table that the address does not show any more.
 */
#include "hosted.h"

#include "emulate.h"
#include "hosted_machine.h"
#include "request.h"
#include "traps.h"

#include <string.h>

#define VA       0xffff888000123000ull
#define MAPPINGS 0x1000000ull /* machine address of the L1 table that maps VA */
#define TABLE    0x2345ull    /* mfn of the L1 table stored to */

static struct core core;
static struct vcpu vcpu;
static struct regs regs;
static unsigned walks;
static maddr_t walk_leads_to, written_at;
static uint64_t written;

bool shadow_on, shadow_out_of_date;

struct core *the_core(void)
{
    return &core;
}

bool core_find_l1(const struct core *c, mfn_t root, gva_t va, maddr_t *at)
{
    (void)c;
    (void)root;
    assert_int_equal(va.a / PAGE_BYTES, VA / PAGE_BYTES);
    walks++;
    *at = walk_leads_to;
    return walk_leads_to.a != 0;
}

enum frame_type core_frame_type(const struct core *c, mfn_t m)
{
    (void)c;
    return m.n == TABLE || m.n == TABLE + 1 ? TYPE_L1 : TYPE_WRITABLE;
}

int core_write_l1(struct core *c, struct core_vcpu *v, maddr_t at, uint64_t val, uint64_t *expected)
{
    (void)c;
    (void)v;
    (void)expected;
    written_at = at;
    written = val;
    return 0;
}

bool request_open(struct vcpu *v)
{
    (void)v;
    return true;
}

void request_close(struct vcpu *v)
{
    (void)v;
}

void request_refused(struct vcpu *v, const struct request *q, bool log)
{
    (void)v;
    (void)q;
    (void)log;
    fail();
}

void fetch_instruction(const struct regs *r, struct insn_text *t)
{
    static const uint8_t store[] = {0x48, 0x89, 0x07}; /* mov %rax, (%rdi) */
    (void)r;
    t->n = sizeof(store);
    memcpy(t->byte, store, sizeof(store));
}

static uint64_t *mapping(unsigned which)
{
    return (uint64_t *)direct((maddr_t){MAPPINGS + which * PAGE_BYTES});
}

static int setup(void **state)
{
    (void)state;
    hosted_machine_init();
    core = (struct core){.nr_frames = 0x10000};
    vcpu = (struct vcpu){.store_target.page = ~0ull};
    walks = 0;
    walk_leads_to = (maddr_t){MAPPINGS};
    *mapping(0) = pte_make(mfn(TABLE), PTE_PRESENT);
    *mapping(1) = pte_make(mfn(TABLE + 1), PTE_PRESENT);
    return 0;
}

static void assert_store(unsigned slot, uint64_t frame)
{
    regs = (struct regs){.rip = 0x1000, .rax = 42 + slot, .rdi = VA + slot * 8ull};
    assert_int_equal(emulate_table_write(&vcpu, &regs, gva(regs.rdi)), TABLE_WRITE_DONE);
    assert_int_equal(written_at.a, (frame << PAGE_SHIFT_4K) + slot * 8ull);
    assert_int_equal(written, 42 + slot);
    assert_int_equal(regs.rip, 0x1003);
}

static void test_the_next_entry_needs_no_walk(void **state)
{
    (void)state;
    assert_store(5, TABLE);
    assert_store(6, TABLE);
    assert_int_equal(walks, 1);
}

static void test_a_change_above_is_followed(void **state)
{
    (void)state;
    assert_store(5, TABLE);
    core.upper_changes++;
    walk_leads_to.a += PAGE_BYTES;
    assert_store(6, TABLE + 1);
    assert_int_equal(walks, 2);
}

/* What load_kernel_root() does. */
static void test_another_root_is_followed(void **state)
{
    (void)state;
    assert_store(5, TABLE);
    vcpu.store_target.page = ~0ull;
    walk_leads_to.a += PAGE_BYTES;
    assert_store(5, TABLE + 1);
}

/* The mapping itself is read each time. */
static void test_a_change_of_the_mapping_is_followed(void **state)
{
    (void)state;
    assert_store(5, TABLE);
    *mapping(0) = pte_make(mfn(TABLE + 1), PTE_PRESENT);
    assert_store(5, TABLE + 1);
    *mapping(0) = 0;
    assert_int_equal(emulate_table_write(&vcpu, &regs, gva(VA)), TABLE_WRITE_NONE);
    *mapping(0) = pte_make(mfn(TABLE + 2), PTE_PRESENT);
    assert_int_equal(emulate_table_write(&vcpu, &regs, gva(VA)), TABLE_WRITE_NONE);
    *mapping(0) = pte_make(mfn(core.nr_frames), PTE_PRESENT);
    assert_int_equal(emulate_table_write(&vcpu, &regs, gva(VA)), TABLE_WRITE_NONE);
    assert_int_equal(walks, 1);
}

static void test_no_table_is_not_remembered(void **state)
{
    (void)state;
    walk_leads_to.a = 0;
    assert_int_equal(emulate_table_write(&vcpu, &regs, gva(VA)), TABLE_WRITE_NONE);
    walk_leads_to.a = MAPPINGS;
    assert_store(5, TABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_next_entry_needs_no_walk, setup),
        cmocka_unit_test_setup(test_a_change_above_is_followed, setup),
        cmocka_unit_test_setup(test_another_root_is_followed, setup),
        cmocka_unit_test_setup(test_a_change_of_the_mapping_is_followed, setup),
        cmocka_unit_test_setup(test_no_table_is_not_remembered, setup),
    };
    return cmocka_run_group_tests_name("ptwrite", tests, NULL, NULL);
}
