/* SPDX-License-Identifier: MIT */
/* A start_info that does not fit together: refused, with the reason, before anything is changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "guest.h"

#include <cmocka.h>

#define NR_PAGES 8192u

static struct machine *m;
static const struct machine_layout *l;

static uint64_t region_va(uint64_t page)
{
    return l->virt_base + page * PVG_PAGE_BYTES;
}

#define LIE(name, ...)                                                                             \
    static void name(start_info_t *si)                                                             \
    {                                                                                              \
        __VA_ARGS__;                                                                               \
    }

LIE(no_pages, si->nr_pages = 0)
LIE(too_many_pages, si->nr_pages = PVG_P2M_PFNS + 1)
LIE(tables_not_aligned, si->pt_base += 8)
LIE(tables_in_the_image, si->pt_base = region_va(0x100))
LIE(tables_below, si->pt_base = 0x1000)
LIE(tables_beyond, si->pt_base = region_va(NR_PAGES))
LIE(no_tables, si->nr_pt_frames = 0)
LIE(very_many_tables, si->nr_pt_frames = ~0ull)
LIE(list_nowhere, si->mfn_list = 0)
LIE(list_between_pages, si->mfn_list += 8)
LIE(list_at_the_hypervisors, si->mfn_list = 0xffff820000000000)
LIE(list_at_the_end, si->mfn_list = 0xfffffffffffff000)
LIE(few_list_frames, si->nr_p2m_frames = 3)
LIE(list_frames_beyond, si->first_p2m_pfn = NR_PAGES - 3)
LIE(list_frames_wrap, si->first_p2m_pfn = ~0ull - 3)
LIE(list_frames_in_the_image, si->first_p2m_pfn = 0x100)
LIE(list_frames_over_the_tables, si->first_p2m_pfn = l->tables)
LIE(list_frames_over_start_info, si->first_p2m_pfn = l->start_info)
LIE(console_of_nobody, si->console.domU.mfn = ~0ull)
LIE(store_in_the_tables, si->store_mfn = machine_built_p2m(m, l->tables))
LIE(console_in_the_image, si->console.domU.mfn = machine_built_p2m(m, 0x110))
LIE(rings_are_one, si->store_mfn = si->console.domU.mfn)
LIE(module_wraps, si->mod_len = ~0ull)
LIE(module_wraps_a_page, si->mod_len = -(si->mod_start - l->virt_base))
LIE(module_in_the_image, si->mod_start = region_va(0x110))
LIE(module_over_the_list, si->mod_start = region_va(l->p2m))
LIE(module_beyond, si->mod_start = region_va(NR_PAGES - 1))

static const struct lie {
    const char *name;
    void (*tell)(start_info_t *si);
    bool apart; /* in a machine whose list is apart */
} lies[] = {
#define HERE(name)                                                                                 \
    {                                                                                              \
#name, name, false                                                                         \
    }
#define APART(name)                                                                                \
    {                                                                                              \
#name, name, true                                                                          \
    }
    HERE(no_pages),
    HERE(too_many_pages),
    HERE(tables_not_aligned),
    HERE(tables_in_the_image),
    HERE(tables_below),
    HERE(tables_beyond),
    HERE(no_tables),
    HERE(very_many_tables),
    HERE(list_nowhere),
    HERE(list_between_pages),
    HERE(list_at_the_hypervisors),
    HERE(list_at_the_end),
    APART(few_list_frames),
    APART(list_frames_beyond),
    APART(list_frames_wrap),
    APART(list_frames_in_the_image),
    APART(list_frames_over_the_tables),
    APART(list_frames_over_start_info),
    HERE(console_of_nobody),
    HERE(console_in_the_image),
    HERE(store_in_the_tables),
    HERE(rings_are_one),
    HERE(module_wraps),
    HERE(module_wraps_a_page),
    HERE(module_in_the_image),
    HERE(module_over_the_list),
    HERE(module_beyond),
};

static struct pvguest *g;
static int rc;
static char accessed[256];
static jmp_buf on_access;

static void keep_access(const char *text)
{
    snprintf(accessed, sizeof(accessed), "%s", text);
    longjmp(on_access, 1);
}

static void start_and_boot(void *arg)
{
    struct pvg_options o;
    (void)arg;
    pvg_options_default(&o);
    g = guest_start(m);
    rc = g ? pvg_boot(g, &o) : -XEN_EINVAL;
}

static void check_refused(const char *name)
{
    uint64_t elements = machine_elements(m);
    accessed[0] = 0;
    machine_on_failure = keep_access;
    int how = setjmp(on_access) ? MACHINE_STOPPED : machine_run(start_and_boot, NULL);
    machine_on_failure = NULL;
    if (accessed[0])
        fail_msg("%s: believed, until %s", name, accessed);
    if (how != MACHINE_RETURNED || rc == 0)
        fail_msg("%s: %s", name, rc ? machine_console(m) : "believed");
    if (machine_elements(m) != elements)
        fail_msg("%s: refused late: %s", name, guest_reason());
    print_message("  %-28s %s\n", name, guest_reason());
}

static void test_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        m = machine_make(
            &(struct machine_params){.seed = i,
                                     .nr_pages = NR_PAGES,
                                     .module_pages = 20,
                                     .init_p2m = lies[i].apart ? 0xffffc98000000000ull : 0});
        l = machine_layout(m);
        lies[i].tell(machine_at(machine_start_info(m), true));
        check_refused(lies[i].name);
        machine_end(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
