/* SPDX-License-Identifier: MIT */
/*
 * Library calls at random in a booted guest, against a model: what was taken, mapped, set. Now and
 * then a hypercall, an element or a search for pages fails; then nothing may have changed. Every so
 * often the guest's view is compared with the core's in whole.
 *
 *     random-pvguest [--calls N] [--seed N] [--pages N] [--tree] [--initial]
 */
#include "random.h"

struct model r = {.seed = 1, .calls = 100000, .pages = 4096};

uint64_t below(uint64_t n)
{
    uint64_t x = r.random += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return (x ^ (x >> 31)) % n;
}

_Noreturn void wrong(const char *format, ...)
{
    va_list list;
    fprintf(stderr, "seed %" PRIu64 ", call %" PRIu64 ", %s%s: ", r.seed, r.call, r.doing,
            r.injected ? " with a failure" : "");
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fprintf(stderr, "; last reason: %s\n", r.g ? pvg_reason(r.g) : "");
    exit(1);
}

static void machine_is_wrong(const char *text)
{
    wrong("%s", text);
}

/* ---- failures */

void inject(void)
{
    static const int errors[] = {-XEN_ENOMEM, -XEN_EINVAL, -XEN_EBUSY, -XEN_EPERM};
    int error = errors[below(4)];
    r.injected = below(8) == 0;
    if (!r.injected)
        return;
    switch (below(3)) {
    case 0:
        machine_fail_call(r.m, 1 + below(below(2) ? 2 : 9), error);
        break;
    case 1:
        machine_fail_element(r.m, 1 + below(20), error);
        break;
    default:
        guest_fail_search(1 + below(3));
    }
}

void heal(void)
{
    machine_fail_call(r.m, 0, 0);
    machine_fail_element(r.m, 0, 0);
    guest_fail_search(0);
}

/* Whether the call did what was asked; if not, there must have been cause. */
bool succeeded(int rc)
{
    heal();
    if (rc == 0)
        return true;
    CHECK(r.injected, "refused, %d", rc);
    CHECK(pvg_reason(r.g)[0], "no reason");
    r.failures++;
    return false;
}

/* It must not succeed. */
void refused(int rc, int want)
{
    heal();
    CHECK(rc == want || (rc && r.injected), "%d instead of %d", rc, want);
    CHECK(pvg_reason(r.g)[0], "no reason");
    r.refusals++;
}

/* ---- the whole */

static void check_all(void)
{
    r.doing = "comparing all";
    r.injected = false;
    const char *text = guest_check(r.m, r.g);
    if (!text)
        text = guest_check_lists(r.m, r.g);
    CHECK(!text, "%s", text);
    check_slots(0, SLOTS);
    check_grants();
    check_spaces();
    for (unsigned a = 0; a < AREAS; a++)
        for (uint64_t i = 0; i < AREA_PAGES; i++)
            check_entry(r.area_base[a] + i, r.area[a][i]);
    for (unsigned i = 0; i < BLOCKS; i++)
        for (uint64_t p = r.block[i].first; p < r.block[i].first + r.block[i].count; p++)
            check_tags(machine_at(direct(p), false), p);
    check_store();
}

static const struct {
    const char *name;
    void (*run)(void);
    unsigned weight;
} op[] = {
    {"taking pages", do_take, 8},
    {"giving pages", do_give, 5},
    {"giving what is free", do_give_twice, 1},
    {"read-only and writable", do_protect, 6},
    {"mapping", do_map, 10},
    {"unmapping", do_unmap, 5},
    {"touching", do_touch, 10},
    {"a batch", do_batch, 6},
    {"a table", do_table, 3},
    {"setting the p2m", do_p2m_set, 12},
    {"setting the p2m wrongly", do_p2m_refused, 2},
    {"identity", do_p2m_identity, 2},
    {"looking at the p2m", do_p2m_get, 12},
    {"more memory", do_inflate, 5},
    {"less memory", do_deflate, 5},
    {"mapping what is not in the direct map", do_map_ballooned, 3},
    {"extending the direct map", do_extend, 4},
    {"early ioremap", do_remap, 4},
    {"early iounmap", do_unremap, 4},
    {"the balloon, down", do_balloon_down, 3},
    {"the balloon, up", do_balloon_up, 4},
    {"the balloon, to", do_balloon_to, 2},
    {"contiguous frames", do_contiguous, 4},
    {"scattered frames", do_scattered, 3},
    {"a grant table", do_grant_init, 1},
    {"lending a page", do_grant_access, 4},
    {"ending a grant", do_grant_end, 3},
    {"a page used by another", do_grant_used, 3},
    {"another's lending", do_peer_lend, 3},
    {"borrowing a page", do_grant_map, 6},
    {"giving it back", do_grant_unmap, 6},
    {"grants around a suspend", do_grant_suspend, 1},
    {"a suspend", do_suspend, 2},
    {"making a space", do_space_make, 3},
    {"ending a space", do_space_end, 2},
    {"loading a space", do_space_load, 5},
    {"pinning or unpinning a space", do_space_pin, 3},
    {"suspending spaces", do_space_suspend, 1},
    {"mapping in a space", do_space_map, 12},
    {"protecting in a space", do_space_protect, 8},
    {"unmapping in a space", do_space_unmap, 4},
    {"mapping in the kernel half", do_space_upper, 1},
    {"taking or giving a table", do_table_alloc, 2},
    {"attaching or detaching a table", do_table_attach, 3},
    {"changing the store", do_store_change, 2},
    {"looking at the store", do_store_look, 2},
    {"a transaction", do_store_transaction, 1},
    {"a watch", do_store_watch, 1},
};

static void run_one(void)
{
    unsigned total = 0;
    for (unsigned i = 0; i < sizeof(op) / sizeof(op[0]); i++)
        total += op[i].weight;
    unsigned k = (unsigned)below(total), i = 0;
    while (k >= op[i].weight)
        k -= op[i++].weight;
    r.doing = op[i].name;
    inject();
    op[i].run();
    heal();
}

static void start(void)
{
    static const struct machine_e820 map[] = {
        {0, 0x9f000, 1}, {0x100000, 0x700000, 1}, {0x800000, 0x40000, 2}, {0x840000, 1u << 30, 1}};
    struct pvg_options o = {.p2m = r.tree ? PVG_P2M_TREE : PVG_P2M_LINEAR};
    r.doing = "the start";
    r.m = machine_make(
        &(struct machine_params){.seed = r.seed,
                                 .nr_pages = r.pages,
                                 .max_pages = r.pages + BALLOON + 40 * EXTENSIONS + 100 + GROWN_MAX,
                                 .initial_domain = r.initial,
                                 .e820 = r.initial ? map : NULL,
                                 .nr_e820 = 4,
                                 .pause_one_in = 1 + r.seed % 4});
    r.g = guest_start(r.m);
    CHECK(r.g && pvg_boot(r.g, &o) == 0, "no boot: %s", guest_reason());
    const char *text = guest_check_booted(r.m, r.g);
    CHECK(!text, "%s", text);
    r.area_base[0] = r.pages + 20000;
    r.area_base[1] = (1ull << 22) - 700;
    r.area_base[2] = (1ull << 27) - 1024;
    r.area_base[3] = PVG_P2M_PFNS - AREA_PAGES;
    r.next_extension = r.pages + 10000;
    memset(r.area, 0xff, sizeof(r.area));
    pvg_pfn_t page;
    CHECK(pvg_pages_take(r.g, 1, 1, &page) == 0, "no page");
    for (unsigned s = 0; s < SLOTS; s += 512) /* the window's tables, which stay */
        CHECK(pvg_map(r.g, slot_va(s), page, 1, PVG_PTE_DATA) == 0 &&
                  pvg_unmap(r.g, slot_va(s), 1) == 0,
              "no window");
    CHECK(pvg_pages_give(r.g, page, 1) == 0, "the page stays");
}

static void read_arguments(char **argv)
{
    for (char **a = argv + 1; *a; a++) {
        bool number = !strcmp(*a, "--calls") || !strcmp(*a, "--seed") || !strcmp(*a, "--pages");
        if (!strcmp(*a, "--tree"))
            r.tree = true;
        else if (!strcmp(*a, "--initial"))
            r.initial = true;
        else if (number && a[1]) {
            uint64_t *to = a[0][2] == 'c' ? &r.calls : a[0][2] == 's' ? &r.seed : &r.pages;
            *to = strtoull(*++a, NULL, 0);
        } else {
            fprintf(stderr, "usage: %s [--calls N] [--seed N] [--pages N] [--tree] [--initial]\n",
                    argv[0]);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    machine_on_failure = machine_is_wrong;
    read_arguments(argv);
    r.random = r.seed;
    start();
    for (r.call = 1; r.call <= r.calls; r.call++) {
        run_one();
        if (r.call % CHECK_EVERY == 0 || r.call == r.calls)
            check_all();
    }
    struct pvg_p2m_info info;
    pvg_p2m_info(r.g, &info);
    printf("%" PRIu64 " calls, %" PRIu64 " failures, %" PRIu64 " refusals, %" PRIu64
           " extensions, %" PRIu64 " suspends, %" PRIu64 " hypercalls; p2m: %" PRIu64
           " leaves, %" PRIu64 " tables\n",
           r.calls, r.failures, r.refusals, r.extensions, machine_suspends(r.m), machine_calls(r.m),
           info.leaves, info.tables);
    machine_end(r.m);
    return 0;
}
