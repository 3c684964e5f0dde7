/* SPDX-License-Identifier: MIT */
/*
 * An image of 64 GB takes at most 64 MB and 16 bytes a frame: opened, gone through from end to end,
 * and read at places everywhere. Its pages are a hole of the file; its table has 256 MB. Not built
 * with sanitizers, which take memory of their own.
 */
#include "made.h"
#include "make_dump.h"

#include <elf.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "dumpcore.h"

#define FRAMES (16ull << 20)
#define CHUNK  4096u
#define LIMIT  ((64ull << 20) + 16 * FRAMES)

/* Any odd factor makes an order of all frames. */
static uint64_t frame_of(uint64_t p)
{
    return (p * 0x9e3779b1u & (FRAMES - 1)) + 0x100000;
}

static uint64_t peak_bytes(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) && sscanf(line, "VmHWM: %llu", &kib) != 1)
        ;
    fclose(f);
    assert_true(kib > 0);
    return kib << 10;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct make_dump make_image(void)
{
    struct make_dump d = {.fd = scratch_file(),
                          .machine = EM_X86_64,
                          .vcpus = 1,
                          .context_bytes = PV_CONTEXT_BYTES,
                          .pages = FRAMES};
    static struct dump_p2m chunk[CHUNK];
    assert_true(make_dump(&d));
    for (uint64_t p = 0; p < FRAMES; p += CHUNK) {
        for (unsigned i = 0; i < CHUNK; i++)
            chunk[i] = (struct dump_p2m){p + i, frame_of(p + i)};
        assert_int_equal(
            pwrite(d.fd, chunk, sizeof(chunk), (off_t)(d.at[MAKE_P2M] + p * sizeof(*chunk))),
            sizeof(chunk));
    }
    return d;
}

static void go_through(const struct pv_view *v)
{
    uint64_t pfns = 0, mfns = 0;
    for (pfn_t p = pfn(0); (p = v->backend->next_pfn(v, p)).n != NO_PFN.n; p.n++, pfns++)
        if (v->backend->mfn_of(v, p).n != frame_of(p.n))
            fail_msg("pfn %llx", (unsigned long long)p.n);
    for (mfn_t m = mfn(0); (m = v->backend->next_owned(v, m)).n != NO_MFN.n; m.n++, mfns++)
        if (frame_of(v->backend->pfn_of(v, m).n) != m.n)
            fail_msg("mfn %llx", (unsigned long long)m.n);
    assert_int_equal(pfns, FRAMES);
    assert_int_equal(mfns, FRAMES);
}

static void read_everywhere(const struct pv_view *v)
{
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t page[512];
        assert_true(v->backend->read(v, mfn(frame_of(i * 835 % FRAMES)), 0, page, sizeof(page)));
        assert_int_equal(page[i % 512], 0);
    }
}

static void an_image_of_64_gb_stays_below_the_bound(void **state)
{
    (void)state;
    struct make_dump d = make_image();
    uint64_t before = peak_bytes();
    assert_true(before < 64ull << 20);
    struct pv_view *v = NULL;
    struct pv_error e;
    struct pv_publication p;
    double begun = seconds();
    if (pv_open(&v, scratch_path(d.fd), &(struct pv_open_options){.domain = -1}, &e))
        fail_msg("%s", e.text);
    double opened = seconds();
    assert_int_equal(v->nr_pages, FRAMES);
    go_through(v);
    read_everywhere(v);
    pv_publication(v, &p, &e);
    uint64_t peak = peak_bytes();
    print_message("64 GB: opened in %.2f s, gone through in %.2f s; peak %llu MB of %llu\n",
                  opened - begun, seconds() - opened, (unsigned long long)peak >> 20,
                  (unsigned long long)LIMIT >> 20);
    assert_true(peak > 12 * FRAMES);
    assert_true(peak < LIMIT);
    pv_close(v);
    close(d.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_image_of_64_gb_stays_below_the_bound)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
