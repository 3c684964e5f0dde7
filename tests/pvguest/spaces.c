/* SPDX-License-Identifier: MIT */
/* Two spaces, the operations on them, and failing each in turn. */
#include "spaces.h"

struct machine *m;
struct pvguest *g;
struct pvg_space a, b;
pvg_pfn_t page; /* the first of MANY */
pvg_pfn_t tables[3];

int setup(void **state)
{
    struct pvg_options o;
    (void)state;
    pvg_options_default(&o);
    m = machine_make(&(struct machine_params){
        .seed = 7, .nr_pages = NR_PAGES, .max_pages = NR_PAGES, .pause_one_in = 3});
    g = guest_start(m);
    if (g == NULL || pvg_boot(g, &o) || pvg_pages_take(g, MANY, 1, &page))
        return -1;
    return pvg_space_make(g, &a) || pvg_space_make(g, &b);
}

void heal(void)
{
    machine_fail_call(m, 0, 0);
    machine_fail_element(m, 0, 0);
    guest_fail_search(0);
}

const char *anything_wrong(void)
{
    const char *text = guest_check(m, g);
    return text ? text : guest_check_lists(m, g);
}

void assert_sound(const char *what)
{
    const char *text = anything_wrong();
    if (text)
        fail_msg("%s: %s", what, text);
}

int teardown(void **state)
{
    (void)state;
    heal();
    pvg_space_load(g, NULL);
    int rc = 0;
    for (struct pvg_space *s; (s = g->spaces.first) && rc == 0;)
        rc = pvg_space_end(g, s);
    const char *text = anything_wrong();
    if (rc || text)
        print_error("%d, %s; %s\n", rc, text ? text : "", pvg_reason(g));
    machine_end(m);
    return rc || text ? -1 : 0;
}

/* ---- looking, without the library's help */

uint64_t entry_from(uint64_t root, uint64_t va, unsigned *level)
{
    uint64_t e = 0, table = root;
    for (*level = 4; *level > 0; --*level) {
        e = machine_frame(m, table)[slot_of(va, *level)];
        table = pte_mfn(e).n;
        if (!(e & PVG_PTE_PRESENT))
            return 0;
    }
    *level = 1;
    return e;
}

uint64_t mfn_of(pvg_pfn_t pfn)
{
    return pvg_p2m_mfn(g, pfn).n;
}

uint64_t root_of(const struct pvg_space *s)
{
    return s ? mfn_of(s->root) : image_table_mfn(g, OWN_L4).n;
}

uint64_t seen(const struct pvg_space *s, uint64_t va)
{
    unsigned level;
    return entry_from(root_of(s), va, &level) & (PVG_PTE_FRAME | PVG_PTE_PRESENT | PVG_PTE_RW);
}

uint64_t seen_by_user(const struct pvg_space *s, uint64_t va)
{
    unsigned level;
    return entry_from(mfn_of(s->user_root), va, &level) &
           (PVG_PTE_FRAME | PVG_PTE_PRESENT | PVG_PTE_RW);
}

uint64_t wanted(uint64_t i, bool writable)
{
    return pvg_pte(pvg_mfn(mfn_of(pvg_pfn(page.n + i))),
                   PVG_PTE_PRESENT | (writable ? PVG_PTE_RW : 0));
}

/* ---- what must be the same after a failure */

struct snapshot look(void)
{
    static const uint64_t at[4] = {LOW, LOW + (MANY - 1) * PVG_PAGE_BYTES, BORDER, UPPER};
    struct snapshot s = {.free = pvg_pages_free(g), .pins = machine_pins(m)};
    struct pvg_space *one[2] = {&a, &b};
    for (unsigned level = 1; level < 5; level++)
        s.typed[level] = machine_tables(m, level);
    for (struct pvg_space *k = g->spaces.first; k; k = k->next)
        s.spaces += 1 + (k->pinned << 8) + (k->tables << 16);
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < 4 && (g->spaces.first == one[i] ||
                                       (g->spaces.first && g->spaces.first->next == one[i]));
             k++) {
            s.entry[i * 4 + k] = seen(one[i], at[k]);
            if (k < 3 && one[i]->pinned)
                assert_int_equal(seen_by_user(one[i], at[k]), seen(one[i], at[k]));
        }
    for (unsigned k = 0; k < 4; k++)
        s.own[k] = seen(NULL, at[k]);
    s.tables = pvg_regions_pages(&g->tables);
    s.reserved = pvg_regions_pages(&g->memblock.reserved);
    s.loaded = machine_cr3() << 20 ^ machine_user_root(m);
    return s;
}

/* Fails the n-th of each kind; true: it was made all the same, as there is no n-th. */
bool made_with(int (*run)(void), unsigned kind, uint64_t n, const char *name)
{
    static const int errors[] = {-XEN_ENOMEM, -XEN_EINVAL, -XEN_EBUSY};
    struct snapshot before = look();
    if (kind == 0)
        machine_fail_call(m, n, errors[n % 3]);
    else if (kind == 1)
        machine_fail_element(m, n, errors[n % 3]);
    else
        guest_fail_search(n);
    int rc = run();
    heal();
    assert_sound(name);
    if (rc == 0)
        return true;
    struct snapshot after = look();
    if (memcmp(&before, &after, sizeof(before)))
        fail_msg("%s: with failure %u of kind %u something is not as it was: %s", name, (unsigned)n,
                 kind, pvg_reason(g));
    assert_true(pvg_reason(g)[0]);
    return false;
}

/* Each of all kinds in turn; between two rounds `back` undoes it. `run` is left made. Returns how
 * many failures there were. */
unsigned each_failure(int (*run)(void), int (*back)(void), const char *name)
{
    unsigned failures = 0;
    struct snapshot before = look();
    for (unsigned kind = 0; kind < 3; kind++) {
        for (uint64_t n = 1; !made_with(run, kind, n, name); n++)
            failures++;
        assert_made(back());
        struct snapshot after = look();
        if (memcmp(&before, &after, sizeof(before)))
            fail_msg("%s: something stays when it is undone", name);
    }
    assert_made(run());
    return failures;
}

/* Both ways, and back. */
void both_ways(int (*run)(void), int (*back)(void), const char *name)
{
    unsigned there = each_failure(run, back, name), again = each_failure(back, run, name);
    if (there == 0 && again == 0)
        fail_msg("%s: nothing ever failed", name);
}

/* ---- the operations, on `s` */

struct pvg_space *s = &a;
struct pvg_space third;

int make_third(void)
{
    return pvg_space_make(g, &third);
}

int end_third(void)
{
    return pvg_space_end(g, &third);
}

int load_a(void)
{
    return pvg_space_load(g, &a);
}

int load_b(void)
{
    return pvg_space_load(g, &b);
}

int load_own(void)
{
    return pvg_space_load(g, NULL);
}

int pin_a(void)
{
    return pvg_space_pin(g, &a);
}

int unpin_a(void)
{
    return pvg_space_unpin(g, &a);
}

int map_low(void)
{
    return pvg_space_map(g, s, LOW, page, 3, USER_RW);
}

int unmap_low(void)
{
    return pvg_space_unmap(g, s, LOW, 3);
}

int map_many(void)
{
    return pvg_space_map(g, s, LOW, page, MANY, USER_RW);
}

int unmap_many(void)
{
    return pvg_space_unmap(g, s, LOW, MANY);
}

int map_border(void)
{
    return pvg_space_map(g, s, BORDER, page, 2, USER_RW);
}

int unmap_border(void)
{
    return pvg_space_unmap(g, s, BORDER, 2);
}

int map_more(void)
{
    return pvg_space_map(g, s, LOW + 3 * PVG_PAGE_BYTES, page, 600, USER_RO);
}

int unmap_more(void)
{
    return pvg_space_unmap(g, s, LOW + 3 * PVG_PAGE_BYTES, 600);
}

int change_there(void)
{
    return pvg_space_change(g, s, LOW, pvg_pfn(page.n + 1), MANY - 1, USER_RO);
}

int change_back(void)
{
    return pvg_space_change(g, s, LOW, page, MANY - 1, USER_RW);
}

int protect_there(void)
{
    return pvg_space_protect(g, s, LOW, MANY, USER_RO);
}

int protect_back(void)
{
    return pvg_space_protect(g, s, LOW, MANY, USER_RW);
}

int map_upper(void)
{
    return pvg_map(g, UPPER, page, 2, PVG_PTE_DATA);
}

/* Tables of the kernel half stay: they are taken out by hand. */
int unmap_upper(void)
{
    struct pvg_walk w;
    pvg_walk(g, UPPER, &w);
    int rc = w.mapped ? root_set_slot(g, slot_of(UPPER, 4), 0) : 0;
    for (unsigned level = 4; rc == 0 && level > 1; level--) {
        pvg_pfn_t table = pvg_m2p(g, pte_mfn(w.at[level].entry));
        rc = page_protect(g, table, true);
        tables_put(g, table, 1);
    }
    return rc ? rc : pvg_space_load(g, pvg_space_loaded(g));
}

int alloc_table(void)
{
    return pvg_table_alloc(g, &tables[0]);
}

int free_table(void)
{
    return pvg_table_free(g, tables[0]);
}

unsigned attach_level;

int attach(void)
{
    return pvg_table_attach(g, s, BORDER, attach_level, tables[attach_level - 1]);
}

int detach(void)
{
    pvg_pfn_t table;
    int rc = pvg_table_detach(g, s, BORDER, attach_level, &table);
    if (rc == 0)
        assert_int_equal(table.n, tables[attach_level - 1].n);
    return rc;
}

int suspend(void)
{
    return spaces_suspend(g);
}

int resume(void)
{
    return spaces_resume(g, false);
}
