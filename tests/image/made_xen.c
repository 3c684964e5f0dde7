/* SPDX-License-Identifier: MIT */
#include "made_xen.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define HIGH_MFN   (1ull << 20)
#define M2P_VA     0xffff800000000000ull
#define FRAMES_VA  0xffff82e000000000ull
#define M2P_AT     512 /* frames: two superpages, for what is below and above 4 GiB */
#define M2P_HIGH   1024
#define FLAGS      (PTE_PRESENT | PTE_RW | PTE_ACCESSED | PTE_USER)
#define FLAT_VA    0x8000000000ull
#define BUILDER_VA 0xffffffff80000000ull
#define TREE_PFN   100
#define LIST_PFN   110 /* two pages */
#define TABLE_PFN  120 /* and on */
#define DOMU       1
#define FRESH      2

uint64_t made_xen_mfn(const struct made_xen *x, uint64_t place)
{
    return x->split && place >= XEN_LOW ? HIGH_MFN + place - XEN_LOW : place;
}

uint64_t *made_xen_words(struct made_xen *x, uint64_t m)
{
    uint64_t place = x->split && m >= HIGH_MFN ? m - HIGH_MFN + XEN_LOW : m;
    assert_true(place < XEN_FRAMES);
    return (uint64_t *)(x->map + place * 4096);
}

/* ---- Xen's own */

static uint64_t own_frame(struct made_xen *x)
{
    assert_true(x->next < M2P_AT);
    return x->next++;
}

static uint64_t own_entry(struct made_xen *x, uint64_t table, uint64_t va, unsigned level)
{
    uint64_t *entry = &made_xen_words(x, table)[va >> (12 + 9 * (level - 1)) & 511];
    if (!*entry)
        *entry = pte_make(mfn(own_frame(x)), FLAGS);
    return pte_frame(*entry).n;
}

static uint64_t *m2p_of(struct made_xen *x, uint64_t m)
{
    uint64_t at = m >= HIGH_MFN ? M2P_HIGH : M2P_AT;
    return made_xen_words(x, at) + m % HIGH_MFN;
}

static void map_m2p(struct made_xen *x)
{
    x->m2p_l3 = own_frame(x);
    uint64_t *l2 = made_xen_words(x, own_entry(x, x->m2p_l3, M2P_VA, 3));
    l2[0] = pte_make(mfn(M2P_AT), PTE_PRESENT | PTE_PSE);
    if (x->split)
        l2[HIGH_MFN * 8 >> 21] = pte_make(mfn(M2P_HIGH), PTE_PRESENT | PTE_PSE);
    memset(made_xen_words(x, M2P_AT), 0xff, (x->split ? 4 : 2) * MIB);
}

static uint64_t *info_of(struct made_xen *x, uint64_t m)
{
    uint64_t va = FRAMES_VA + m * 32;
    uint64_t l2 = own_entry(x, x->frames_l3, va, 3), l1 = own_entry(x, l2, va, 2);
    return made_xen_words(x, own_entry(x, l1, va, 1)) + va % 4096 / 8;
}

static void set_info(struct made_xen *x, uint64_t m, uint64_t flags, uint64_t type, uint64_t owner)
{
    uint64_t *info = info_of(x, m);
    info[1] = x->table ? 1ull << 63 | flags | 1 : 0x1234;
    info[2] = type;
    info[3] = owner;
}

/* ---- a domain */

static uint64_t give(struct made_xen *x, struct made_xen_domain *d, unsigned pfn)
{
    uint64_t m = made_xen_mfn(x, XEN_LOW + x->given++ * 997 % (XEN_FRAMES - XEN_LOW));
    *m2p_of(x, m) = pfn;
    set_info(x, m, 0, 7ull << 61 | 1ull << 58, d->owner);
    return m;
}

static uint64_t table_of(struct made_xen *x, struct made_xen_domain *d, uint64_t in, uint64_t va,
                         unsigned level)
{
    uint64_t *entry = &made_xen_words(x, in)[va >> (12 + 9 * (level - 1)) & 511];
    if (!*entry) {
        uint64_t m = d->mfn[d->next++];
        *entry = pte_make(mfn(m), FLAGS);
        set_info(x, m, 0, (level - 1ull) << 61 | 1ull << 58 | 1, d->owner);
    }
    return pte_frame(*entry).n;
}

void made_xen_map(struct made_xen *x, struct made_xen_domain *d, uint64_t va, uint64_t m)
{
    uint64_t table = d->mfn[XEN_ROOT_PFN];
    for (unsigned level = 4; level > 1; level--)
        table = table_of(x, d, table, va, level);
    made_xen_words(x, table)[va >> 12 & 511] = pte_make(mfn(m), FLAGS);
}

static void make_root(struct made_xen *x, struct made_xen_domain *d)
{
    uint64_t root = d->mfn[XEN_ROOT_PFN], *l4 = made_xen_words(x, root);
    l4[256] = pte_make(mfn(x->m2p_l3), FLAGS);
    l4[258] = pte_make(mfn(root), FLAGS);
    l4[261] = pte_make(mfn(x->frames_l3), FLAGS);
    set_info(x, root, 0, 4ull << 61 | 3ull << 58 | 1, d->owner);
}

static void make_start_info(struct made_xen *x, struct made_xen_domain *d)
{
    struct start_info *s = (void *)made_xen_words(x, d->mfn[XEN_START_PFN]);
    snprintf(s->magic, sizeof(s->magic), "xen-3.0-x86_64%s", d->id ? "" : "p");
    s->nr_pages = d->pages;
    s->shared_info = d->shared * 4096;
    s->flags = d->id ? 0 : SIF_INITDOMAIN | SIF_PRIVILEGED;
    s->pt_base = BUILDER_VA + XEN_ROOT_PFN * 4096;
    s->mfn_list = FLAT_VA;
}

static void make_list(struct made_xen *x, const struct made_xen_domain *d)
{
    for (unsigned p = 0; p < 1024; p++)
        made_xen_words(x, d->mfn[LIST_PFN + p / 512])[p % 512] = p < d->pages ? d->mfn[p] : ~0ull;
}

static arch_shared_info_t *shared_of(struct made_xen *x, const struct made_xen_domain *d)
{
    return &((shared_info_t *)made_xen_words(x, d->shared))->arch;
}

static void publish_tree(struct made_xen *x, struct made_xen_domain *d, unsigned pages)
{
    uint64_t *top = made_xen_words(x, d->mfn[TREE_PFN]);
    uint64_t *middle = made_xen_words(x, d->mfn[TREE_PFN + 1]);
    top[0] = d->mfn[TREE_PFN + 1];
    for (unsigned i = 0; i * 512 < pages; i++)
        middle[i] = d->mfn[LIST_PFN + i];
    shared_of(x, d)->pfn_to_mfn_frame_list_list = d->mfn[TREE_PFN];
    shared_of(x, d)->max_pfn = pages;
}

static void map_list(struct made_xen *x, struct made_xen_domain *d, uint64_t va)
{
    for (unsigned i = 0; i < 2; i++)
        made_xen_map(x, d, va + i * 4096ull, d->mfn[LIST_PFN + i]);
}

static void publish_linear(struct made_xen *x, struct made_xen_domain *d)
{
    map_list(x, d, LIST_VA);
    shared_of(x, d)->p2m_cr3 = xen_pfn_to_cr3(d->mfn[XEN_ROOT_PFN]);
    shared_of(x, d)->p2m_vaddr = LIST_VA;
}

/* struct domain of Xen's begins with the id. */
static void make_domain(struct made_xen *x, struct made_xen_domain *d, int id, unsigned pages)
{
    *d = (struct made_xen_domain){.id = id, .pages = pages, .next = TABLE_PFN};
    d->owner = own_frame(x);
    d->shared = own_frame(x);
    made_xen_words(x, d->owner)[0] = 0xabcd0000ull | (unsigned)id;
    set_info(x, d->shared, 1ull << 62, 7ull << 61, d->owner);
    for (unsigned p = 0; p < pages; p++)
        d->mfn[p] = give(x, d, p);
    make_root(x, d);
    make_start_info(x, d);
    make_list(x, d);
}

static void make_domains(struct made_xen *x)
{
    struct made_xen_domain *d = x->domain;
    make_domain(x, &d[FRESH], 8, 200);
    make_domain(x, &d[0], 0, XEN_PAGES);
    make_domain(x, &d[DOMU], 7, 300);
    publish_tree(x, &d[0], XEN_LISTED);
    publish_tree(x, &d[DOMU], 300);
    publish_linear(x, &d[DOMU]);
    map_list(x, &d[FRESH], FLAT_VA);
    for (unsigned i = 0; i < 3; i++)
        for (unsigned p = 0; p < d[i].pages; p++)
            made_xen_map(x, &d[i], (i == FRESH ? BUILDER_VA : XEN_DIRECT_VA) + p * 4096ull,
                         d[i].mfn[p]);
}

struct made_xen *made_xen_new(bool split, bool table)
{
    struct made_xen *x = calloc(1, sizeof(*x));
    *x = (struct made_xen){.fd = scratch_file(), .split = split, .table = table, .next = 16};
    assert_int_equal(ftruncate(x->fd, XEN_FRAMES * 4096), 0);
    x->map = mmap(NULL, XEN_FRAMES * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, x->fd, 0);
    assert_ptr_not_equal(x->map, MAP_FAILED);
    x->frames_l3 = own_frame(x);
    map_m2p(x);
    make_domains(x);
    snprintf((char *)made_xen_words(x, own_frame(x)) + 100, 200,
             "(XEN) Xen version " XEN_VERSION " (Made 4.99.1-1) (made@up) (gcc ...)\n");
    return x;
}

void made_xen_free(struct made_xen *x)
{
    munmap(x->map, XEN_FRAMES * 4096);
    close(x->fd);
    free(x);
}

uint64_t made_xen_vital(const struct made_xen *x, uint64_t chance)
{
    const struct made_xen_domain *d = &x->domain[chance % 3];
    const unsigned pfn[] = {XEN_START_PFN, XEN_ROOT_PFN,  TREE_PFN,      TREE_PFN + 1,
                            LIST_PFN,      TABLE_PFN,     TABLE_PFN + 1, TABLE_PFN + 2,
                            TABLE_PFN + 3, TABLE_PFN + 4, TABLE_PFN + 5, LIST_PFN + 1};
    chance /= 3;
    switch (chance % 3) {
    case 0:
        return d->mfn[pfn[chance / 3 % (sizeof(pfn) / sizeof(*pfn))]];
    case 1:
        return 16 + chance / 3 % (x->next - 16);
    default:
        return chance / 3 % 2 ? d->shared : M2P_AT + chance / 6 % 8;
    }
}
