/* SPDX-License-Identifier: MIT */
/* Threads that ask the same view at the same time, from its opening on. Built with the thread
 * sanitizer, which tells of what they do in each other's way. */
#include "made.h"

#include <pthread.h>
#include <unistd.h>

#define THREADS 4
#define ROUNDS  200

struct job {
    const struct pv_view *v;
    pthread_barrier_t *start;
    unsigned number;
    uint64_t banners, mappings, walks;
};

static bool count(void *context, const struct pv_mapping *m)
{
    (void)m;
    ((struct job *)context)->mappings++;
    return true;
}

static void look_once(struct job *j, unsigned round)
{
    const struct pv_view *v = j->v;
    mfn_t root = v->vcpu[0].kernel_root;
    char text[sizeof(BANNER)];
    struct pv_walk w;
    struct pv_error e;
    unsigned page = (round * 7 + j->number) % PAGES;
    mfn_t m = v->backend->mfn_of(v, pfn(page));
    j->walks += pv_walk(v, root, gva(KERNEL_VA + page * 4096ull), &w) && maddr_frame(w.to).n == m.n;
    j->banners +=
        pv_read_va(v, root, gva(BANNER_VA + BANNER_AT), text, sizeof(text)) == sizeof(text) &&
        strcmp(text, BANNER) == 0;
    pv_find_maps(v, &root, 1, m, count, j, &e);
}

static void *run(void *context)
{
    struct job *j = context;
    pthread_barrier_wait(j->start);
    for (unsigned i = 0; i < ROUNDS; i++)
        look_once(j, i);
    return NULL;
}

static void look_from_all_sides(const struct pv_view *v)
{
    pthread_t thread[THREADS];
    struct job job[THREADS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        job[i] = (struct job){.v = v, .start = &start, .number = i};
        assert_int_equal(pthread_create(&thread[i], NULL, run, &job[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(job[i].walks, ROUNDS);
        assert_int_equal(job[i].banners, ROUNDS);
        assert_int_equal(job[i].mappings, ROUNDS);
    }
    pthread_barrier_destroy(&start);
}

static void a_dump(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_view *live = made_open(m), *v;
    struct pv_error e;
    int fd = scratch_file();
    assert_int_equal(pv_dumpcore_write(live, fd, NULL, &e), 0);
    assert_int_equal(pv_open(&v, scratch_path(fd), &(struct pv_open_options){.domain = -1}, &e), 0);
    look_from_all_sides(v);
    pv_close(v);
    pv_close(live);
    close(fd);
    made_free(m);
}

static void a_machine(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_view *v = made_open(m);
    look_from_all_sides(v);
    pv_close(v);
    made_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dump),
        cmocka_unit_test(a_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
