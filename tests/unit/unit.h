/* SPDX-License-Identifier: MIT */
/*
 * What the unit tests of the core share: a world with two domains, requests that begin and end as
 * core.h asks, and checks that run after each of them. Every test ends with both domains taken
 * down and every frame free.
 */
#ifndef PVMM_UNIT_H
#define PVMM_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "internal.h"
#include "world.h"

#define UNIT_FRAMES 48

extern struct world the_world;
static struct world *const w = &the_world;
static struct core *const c = &the_world.core;

/* Two vCPUs of the domain under test, and one of another domain. */
static struct core_domain *const d = &the_world.domain[0];
static struct core_domain *const other = &the_world.domain[1];
static struct core_vcpu *const v = &the_world.cpu[0].vcpu;
static struct core_vcpu *const v2 = &the_world.cpu[1].vcpu;
static struct core_vcpu *const alien = &the_world.cpu[WORLD_VCPUS].vcpu;

int setup(void **state);
int teardown(void **state);
/* For tests that end with domains taken down already. */
int teardown_dead(void **state);

#define TEST(f)      cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST_DEAD(f) cmocka_unit_test_setup_teardown(f, setup, teardown_dead)
#define RUN(tests)   cmocka_run_group_tests(tests, NULL, NULL)

/* ---- frames and entries */

mfn_t frame(void);          /* a new frame of the domain under test */
mfn_t frame_of_other(void); /* and of the other one */
mfn_t device_frame(void);
mfn_t free_frame(void); /* one that nobody owns */

#define RW(m)    pte_make(m, PTE_PRESENT | PTE_RW | PTE_USER)
#define RO(m)    pte_make(m, PTE_PRESENT | PTE_USER)
#define TABLE(m) pte_make(m, PTE_PRESENT | PTE_RW | PTE_USER)

/* The guest's store to a frame that it can write, and a look at any frame. */
void put(mfn_t m, unsigned slot, uint64_t e);
uint64_t get(mfn_t m, unsigned slot);
uint64_t place(mfn_t m, unsigned slot); /* machine address */

/* One table of each level, one below the other, and a frame mapped writable at the bottom. Filled
 * in, but nothing validated. */
struct tree {
    mfn_t l4, l3, l2, l1, data;
};
enum { L4_SLOT = 1, L3_SLOT = 2, L2_SLOT = 3, L1_SLOT = 4 };
struct tree tree(void);
gva_t tree_va(void); /* where the tree maps `data` */
gva_t va_of(unsigned s4, unsigned s3, unsigned s2, unsigned s1);

/* ---- requests of vCPU v: begun, ended to the end, audited */

int pin(mfn_t m, unsigned level);
int unpin(mfn_t m);
int load(mfn_t root);
int load_user(mfn_t root);
int update(mfn_t table, unsigned slot, uint64_t e);
int update_as(unsigned command, mfn_t m, unsigned slot, uint64_t val);
int update_va(gva_t va, uint64_t e);
int write_l1(mfn_t table, unsigned slot, uint64_t e);
int decrease(mfn_t m);
/* The same with other domains named: whose table, and whose frames. */
int update_for(struct core_domain *table_of, struct core_domain *frames_of, mfn_t m, unsigned slot,
               uint64_t e);

void begin(struct core_vcpu *vcpu);
void end(struct core_vcpu *vcpu); /* as often as it takes, then audits */

/* ---- checks */

void assert_audit_clean(void);
void assert_frame(mfn_t m, enum frame_type type, uint32_t uses, uint32_t holds);
void assert_free(mfn_t m);
/* The last request of v was refused so. */
void assert_refused(int rc, int error, enum core_reason reason, unsigned rule);

#endif
