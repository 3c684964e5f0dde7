/* SPDX-License-Identifier: MIT */
#include "fake.h"

hypercall_fake *fake_answers;
uint64_t fake_ring_mfn, fake_ring_va;
unsigned fake_traps;
int fake_traps_rc;

int64_t fake_hypercall(unsigned number, uint64_t a, uint64_t b, uint64_t c)
{
    return fake_answers ? fake_answers(number, a, b, c) : -XEN_ENOSYS;
}

_Noreturn void fake_stop(void)
{
    print_error("the guest stopped\n");
    abort();
}

_Noreturn void pvg_fatal(struct pvguest *g, const char *what)
{
    print_error("fatal: %s: %s\n", what, g->reason);
    abort();
}

int traps_init(struct pvguest *g)
{
    fake_traps++;
    return fake_traps_rc ? fail(g, fake_traps_rc, "traps") : 0;
}

int p2m_init(struct pvguest *g)
{
    (void)g;
    return 0;
}

void batch_init(struct pvguest *g)
{
    (void)g;
}

pvg_pfn_t pvg_m2p(struct pvguest *g, pvg_mfn_t mfn)
{
    (void)g;
    return mfn.n == fake_ring_mfn ? pvg_pfn(7) : PVG_NO_PFN;
}

uint64_t page_va(struct pvguest *g, pvg_pfn_t pfn)
{
    (void)g;
    return pfn.n == 7 ? fake_ring_va : 0;
}
