/* SPDX-License-Identifier: MIT */
#include "made.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define FRAMES_AT (2 * MIB)
#define HIGH_BASE (1ull << 32)
#define FLAGS     (PTE_PRESENT | PTE_ACCESSED | PTE_USER)

static uint64_t *direct_words(const struct pv_view *v, mfn_t frame)
{
    return made_words(v->image, frame);
}

static const struct pv_backend direct_backend = {.words = direct_words};

uint64_t *made_words(struct made *m, mfn_t frame)
{
    uint64_t a = frame.n << PAGE_SHIFT_4K;
    if (a >= HIGH_BASE)
        a = m->low_bytes + (a - HIGH_BASE);
    assert_true(a < m->bytes);
    return (uint64_t *)(m->map + a);
}

shared_info_t *made_shared(struct made *m)
{
    return (shared_info_t *)made_words(m, mfn(m->is.shared_mfn));
}

vcpu_guest_context_t *made_context(struct made *m)
{
    return (vcpu_guest_context_t *)m->is.context;
}

static uint64_t take_frame(struct made *m)
{
    bool high = m->is.high_end && m->given % 2;
    m->given++;
    return high ? --m->next_high : --m->next_low;
}

mfn_t made_give(struct made *m, pfn_t p)
{
    mfn_t frame = mfn(take_frame(m));
    core_frame_is_ram(&m->core, frame);
    assert_int_equal(core_assign(&m->core, &m->domain, frame), 0);
    m->core.m2p[frame.n] = p.n;
    return frame;
}

mfn_t made_mfn(struct made *m, pfn_t p)
{
    for (uint64_t n = 0; n < m->core.nr_frames; n++)
        if (m->core.m2p[n] == p.n)
            return mfn(n);
    fail_msg("no pfn %llx", (unsigned long long)p.n);
    return NO_MFN;
}

mfn_t made_page(struct made *m)
{
    return made_give(m, pfn(m->next_table.n++));
}

void made_map(struct made *m, mfn_t root, uint64_t va, mfn_t to, uint64_t flags)
{
    mfn_t table = root;
    for (unsigned level = 4; level > 1; level--) {
        uint64_t *entry = &made_words(m, table)[va >> (12 + 9 * (level - 1)) & 511];
        if (!pte_present(*entry))
            *entry = pte_make(made_page(m), FLAGS | PTE_RW);
        table = pte_frame(*entry);
    }
    made_words(m, table)[va >> 12 & 511] = pte_make(to, flags);
}

mfn_t made_root(struct made *m)
{
    mfn_t root = made_page(m);
    for (unsigned i = 0; i < PAGES; i++)
        made_map(m, root, KERNEL_VA + i * 4096ull, made_mfn(m, pfn(i)), FLAGS | PTE_RW);
    assert_int_equal(core_pin(&m->core, &m->vcpu, &m->domain, root, 4), 0);
    return root;
}

static void make_domain(struct made *m)
{
    core_domain_init(&m->core, &m->domain, 7, 1000);
    core_vcpu_init(&m->domain, &m->vcpu, 0);
    m->is.shared_mfn = take_frame(m);
    core_frame_is_ram(&m->core, mfn(m->is.shared_mfn));
    assert_int_equal(core_share(&m->core, &m->domain, mfn(m->is.shared_mfn)), 0);
}

/* Every word of a page is its own, and pages 5 to 9 are zero. */
static void make_pages(struct made *m)
{
    m->next_table = pfn(PAGES);
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t *words = made_words(m, made_give(m, pfn(i)));
        for (unsigned w = 0; w < 512 && !(i >= 5 && i < 10); w++)
            words[w] = 0x1234567800000000ull + i * 4096 + w;
    }
    memcpy((uint8_t *)made_words(m, made_mfn(m, pfn(3))) + BANNER_AT, BANNER, 4096 - BANNER_AT);
    memcpy(made_words(m, made_mfn(m, pfn(4))), &BANNER[4096 - BANNER_AT],
           sizeof(BANNER) - (4096 - BANNER_AT));
}

static void make_vcpu(struct made *m)
{
    m->root = made_root(m);
    m->is.initial_root = m->root.n;
    assert_int_equal(core_load_kernel_root(&m->core, &m->vcpu, m->root), 0);
    m->is.vcpus = m->is.context_valid = 1;
    for (unsigned i = 0; i < sizeof(m->is.context); i++)
        m->is.context[i] = (uint8_t)(i * 7);
    made_context(m)->ctrlreg[3] = xen_pfn_to_cr3(m->root.n);
    made_context(m)->ctrlreg[1] = 0;
}

struct made *made_new(unsigned low_mib, unsigned high_mib)
{
    struct made *m = calloc(1, sizeof(*m));
    m->fd = scratch_file();
    m->low_bytes = low_mib * MIB;
    m->bytes = m->low_bytes + high_mib * MIB;
    assert_int_equal(ftruncate(m->fd, (off_t)m->bytes), 0);
    m->map = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
    assert_ptr_not_equal(m->map, MAP_FAILED);
    uint64_t end = high_mib ? HIGH_BASE + high_mib * MIB : m->low_bytes;
    uint64_t frames = end / 4096;
    m->is = (struct pvmm_machine){
        .version = PVMM_MACHINE_VERSION,
        .frame_bytes = sizeof(struct frame),
        .nr_frames = frames,
        .frames_at = FRAMES_AT,
        .m2p_at = FRAMES_AT + frames * sizeof(struct frame),
        .high_end = high_mib ? end : 0,
    };
    m->next_low = m->low_bytes / 4096;
    m->next_high = frames;
    m->direct = (struct pv_view){.backend = &direct_backend, .image = m};
    m->glue.view = &m->direct;
    core_init(&m->core, (struct frame *)(m->map + m->is.frames_at),
              (uint64_t *)(m->map + m->is.m2p_at), frames, &m->glue);
    make_domain(m);
    make_pages(m);
    make_vcpu(m);
    return m;
}

void made_free(struct made *m)
{
    munmap(m->map, m->bytes);
    close(m->fd);
    free(m);
}

/* ---- publishing */

static void fill_list(struct made *m)
{
    uint64_t *list = made_words(m, m->list_leaf);
    for (unsigned i = 0; i < 512; i++)
        list[i] = ~0ull;
    for (uint64_t n = 0; n < m->core.nr_frames; n++)
        if (m->core.m2p[n] < 512)
            list[m->core.m2p[n]] = n;
    made_shared(m)->arch.max_pfn = m->next_table.n;
}

void made_publish_tree(struct made *m)
{
    m->list_top = made_page(m);
    m->list_middle = made_page(m);
    m->list_leaf = made_page(m);
    made_words(m, m->list_top)[0] = m->list_middle.n;
    made_words(m, m->list_middle)[0] = m->list_leaf.n;
    made_shared(m)->arch.pfn_to_mfn_frame_list_list = m->list_top.n;
    fill_list(m);
}

void made_publish_linear(struct made *m)
{
    mfn_t root = made_page(m);
    m->list_leaf = made_page(m);
    made_map(m, root, LIST_VA, m->list_leaf, FLAGS | PTE_RW);
    made_shared(m)->arch.p2m_cr3 = xen_pfn_to_cr3(root.n);
    made_shared(m)->arch.p2m_vaddr = LIST_VA;
    fill_list(m);
}

/* ---- looking */

struct pv_view *made_open(struct made *m)
{
    struct pv_view *v = NULL;
    struct pv_error e;
    if (pv_machine_open(&v, m->fd, &m->is, &e))
        fail_msg("%s", e.text);
    return v;
}

int scratch_file(void)
{
    int fd = memfd_create("pvmm-test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

const char *scratch_path(int fd)
{
    static char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return path;
}
