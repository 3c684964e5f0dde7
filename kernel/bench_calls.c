/* SPDX-License-Identifier: MIT */
/* The benchmark's hypercalls, single entries of a live table, and a fault. */
#include "bench.h"

#include <xen/version.h>

#define ROUNDS     51u
#define CALLS      64u /* in a round */
#define NULLS      32u /* in a multicall */
#define UPDATES    128u
#define VECTOR_PF  14u
#define LOAD_BYTES 2u /* of the instruction in fault() */

/* ---- calls that do next to nothing */

static int64_t null(struct bench *b)
{
    return pvg_hypercall(b->g, __HYPERVISOR_xen_version, XENVER_version, 0, 0, 0, 0);
}

static int64_t nulls(struct bench *b)
{
    for (unsigned i = 0; i < CALLS; i++) {
        int64_t rc = null(b);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static struct multicall_entry call[NULLS];

static int64_t multicall_fill(struct bench *b)
{
    (void)b;
    for (unsigned i = 0; i < NULLS; i++)
        call[i] = (struct multicall_entry){
            .op = __HYPERVISOR_xen_version, .result = (uint64_t)-1, .args = {XENVER_version}};
    return 0;
}

static int64_t multicall(struct bench *b)
{
    return pvg_hypercall(b->g, __HYPERVISOR_multicall, (uintptr_t)call, NULLS, 0, 0, 0);
}

static int64_t multicall_look(struct bench *b)
{
    int64_t wanted = null(b);
    for (unsigned i = 0; i < NULLS; i++)
        if ((int64_t)call[i].result != wanted)
            return -XEN_EINVAL;
    return 0;
}

/* ---- entries: each is set where none was, and cleared */

static struct mmu_update set[UPDATES], clear[UPDATES];

static int64_t fill(struct bench *b)
{
    for (unsigned i = 0; i < UPDATES; i++) {
        uint64_t at = (b->l1_at.a + i * sizeof(uint64_t)) | MMU_NORMAL_PT_UPDATE;
        set[i] = (struct mmu_update){at, bench_entry(b, i)};
        clear[i] = (struct mmu_update){at, 0};
    }
    return 0;
}

static int64_t update(struct bench *b, const struct mmu_update *u, unsigned n)
{
    return pvg_hypercall(b->g, __HYPERVISOR_mmu_update, (uintptr_t)u, n, 0, DOMID_SELF, 0);
}

static int64_t update_each(struct bench *b)
{
    for (unsigned i = 0; i < CALLS / 2; i++) {
        int64_t rc = update(b, &set[i], 1);
        if (rc == 0)
            rc = update(b, &clear[i], 1);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int64_t update_many(struct bench *b)
{
    int64_t rc = update(b, set, UPDATES);
    return rc ? rc : update(b, clear, UPDATES);
}

static int64_t update_va(struct bench *b, unsigned i, uint64_t entry)
{
    return pvg_hypercall(b->g, __HYPERVISOR_update_va_mapping, BENCH_VA + i * PVG_PAGE_BYTES, entry,
                         UVMF_INVLPG | UVMF_LOCAL, 0, 0);
}

static int64_t update_vas(struct bench *b)
{
    for (unsigned i = 0; i < CALLS / 2; i++) {
        int64_t rc = update_va(b, i, set[i].val);
        if (rc == 0)
            rc = update_va(b, i, 0);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int64_t stores(struct bench *b)
{
    for (unsigned i = 0; i < CALLS / 2; i++)
        b->l1[i] = set[i].val;
    for (unsigned i = 0; i < CALLS / 2; i++)
        b->l1[i] = 0;
    return 0;
}

/* What was set is read back, so that an entry that was not made is not praised for its speed. */
static int64_t entries_empty(struct bench *b)
{
    for (unsigned i = 0; i < UPDATES; i++)
        if (b->l1[i])
            return -XEN_EINVAL;
    return 0;
}

static int64_t one_stays(struct bench *b)
{
    b->l1[0] = set[0].val;
    bool there = plain(b->l1[0]) == plain(set[0].val);
    b->l1[0] = 0;
    return there ? entries_empty(b) : -XEN_EINVAL;
}

/* ---- a page fault, and back behind the instruction */

static unsigned faults;

static bool skip_load(struct pvguest *g, struct pvg_trap *t)
{
    (void)g;
    faults++;
    t->rip += LOAD_BYTES;
    return true;
}

static int64_t faults_taken(struct bench *b)
{
    (void)b;
    faults = 0;
    for (unsigned i = 0; i < CALLS; i++) {
        uint64_t at = BENCH_VA + i * PVG_PAGE_BYTES;
        __asm__ volatile("movb (%%rax), %%al" : "+a"(at) : : "memory");
    }
    return faults == CALLS ? 0 : -XEN_EINVAL;
}

/* ---- all of it */

static int64_t begin(struct bench *b)
{
    pvg_trap_set(b->g, VECTOR_PF, skip_load);
    fill(b);
    return pvg_hypercall(b->g, __HYPERVISOR_vm_assist, VMASST_CMD_enable,
                         VMASST_TYPE_writable_pagetables, 0, 0, 0);
}

static int64_t end(struct bench *b)
{
    pvg_trap_set(b->g, VECTOR_PF, NULL);
    return 0;
}

static const struct bench_row rows[] = {
    {"null-hypercall", CALLS, ROUNDS, nulls, NULL, NULL},
    {"multicall-of-32", NULLS, ROUNDS, multicall, multicall_fill, multicall_look},
    {"mmu-update-1", CALLS, ROUNDS, update_each, NULL, entries_empty},
    {"mmu-update-128", 2 * UPDATES, ROUNDS, update_many, NULL, entries_empty},
    {"update-va-mapping", CALLS, ROUNDS, update_vas, NULL, entries_empty},
    {"direct-write", CALLS, ROUNDS, stores, one_stays, entries_empty},
    {"page-fault", CALLS, ROUNDS, faults_taken, NULL, NULL},
};

const struct bench_part bench_calls = BENCH_PART(begin, end, rows);
