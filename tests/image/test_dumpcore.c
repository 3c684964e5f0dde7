/* SPDX-License-Identifier: MIT */
/* Dump-cores: what is written is read back, every page and register, in the layout of xl's. */
#include "made.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_dump(const struct pv_view *v, int fd)
{
    struct pv_error e;
    if (pv_dumpcore_write(v, fd, NULL, &e))
        fail_msg("%s", e.text);
}

static struct pv_view *read_dump(int fd)
{
    struct pv_view *v = NULL;
    struct pv_error e;
    if (pv_open(&v, scratch_path(fd), &(struct pv_open_options){.domain = -1}, &e))
        fail_msg("%s", e.text);
    return v;
}

static void assert_same_page(const struct pv_view *a, const struct pv_view *b, mfn_t in_a,
                             mfn_t in_b)
{
    uint8_t left[4096], right[4096];
    assert_true(a->backend->read(a, in_a, 0, left, 4096));
    assert_true(b->backend->read(b, in_b, 0, right, 4096));
    assert_memory_equal(left, right, 4096);
}

/* The same guest, page by page and register by register. */
static void assert_same(const struct pv_view *a, const struct pv_view *b)
{
    uint64_t pages = 0;
    pfn_t p = pfn(0);
    for (; (p = a->backend->next_pfn(a, p)).n != ~0ull; p.n++, pages++) {
        mfn_t m = a->backend->mfn_of(a, p);
        assert_int_equal(b->backend->next_pfn(b, p).n, p.n);
        assert_int_equal(b->backend->mfn_of(b, p).n, m.n);
        assert_int_equal(b->backend->pfn_of(b, m).n, p.n);
        assert_true(b->backend->owned(b, m));
        assert_same_page(a, b, m, m);
    }
    assert_true(pages >= PAGES);
    assert_int_equal(b->nr_pages, pages);
    assert_int_equal(b->end_pfn.n, a->end_pfn.n);
    assert_int_equal(b->nr_vcpus, a->nr_vcpus);
    for (unsigned i = 0; i < a->nr_vcpus; i++)
        assert_memory_equal(&a->vcpu[i], &b->vcpu[i], sizeof(a->vcpu[i]));
    assert_same_page(a, b, a->shared_info, b->shared_info);
}

static void a_dump_has_all_of_the_guest(void **state)
{
    (void)state;
    for (unsigned high = 0; high < 2; high++) {
        struct made *m = made_new(high ? 64 : 8, high ? 8 : 0);
        made_publish_linear(m);
        made_give(m, pfn(300));
        made_give(m, pfn(1ull << 31));
        struct pv_view *live = made_open(m);
        int fd = scratch_file(), copy = scratch_file();
        write_dump(live, fd);
        struct pv_view *dump = read_dump(fd);
        assert_same(live, dump);
        char text[sizeof(BANNER)];
        assert_int_equal(pv_read_va(dump, dump->vcpu[0].kernel_root, gva(BANNER_VA + BANNER_AT),
                                    text, sizeof(text)),
                         sizeof(text));
        assert_string_equal(text, BANNER);
        ask_everything(dump);
        /* A dump of the dump is the same again. */
        write_dump(dump, copy);
        struct pv_view *second = read_dump(copy);
        assert_same(dump, second);
        pv_close(second);
        pv_close(dump);
        pv_close(live);
        close(copy);
        close(fd);
        made_free(m);
    }
}

static void publication_is_the_same_in_a_dump(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    made_publish_tree(m);
    made_words(m, m->list_leaf)[9] = ~0ull;
    struct pv_view *live = made_open(m);
    int fd = scratch_file();
    write_dump(live, fd);
    struct pv_view *dump = read_dump(fd);
    struct pv_publication a, b;
    struct pv_error e;
    assert_int_equal(pv_publication(live, &a, &e), 0);
    assert_int_equal(pv_publication(dump, &b, &e), 0);
    assert_int_equal(a.gaps, 1);
    assert_int_equal(b.gaps, 1);
    assert_int_equal(b.covered, a.covered);
    assert_int_equal(b.gap[0].is.n, a.gap[0].is.n);
    pv_close(dump);
    pv_close(live);
    close(fd);
    made_free(m);
}

/* Sections, their order and what is told of them, as `xl dump-core` of Xen 4.17 has them. */
static void the_layout_is_that_of_xl(void **state)
{
    (void)state;
    const struct {
        const char *name;
        uint32_t type;
        uint64_t align, element;
    } expected[] = {
        {"", SHT_NULL, 0, 0},
        {".shstrtab", SHT_STRTAB, 0, 0},
        {".note.Xen", SHT_NOTE, 0, 0},
        {".xen_prstatus", SHT_PROGBITS, 8, 5168},
        {".xen_shared_info", SHT_PROGBITS, 8, 4096},
        {".xen_pages", SHT_PROGBITS, 4096, 4096},
        {".xen_p2m", SHT_PROGBITS, 8, 16},
    };
    struct made *m = made_new(8, 0);
    struct pv_view *v = made_open(m);
    int fd = scratch_file();
    write_dump(v, fd);
    Elf64_Ehdr h;
    Elf64_Shdr s[7];
    char names[0x48];
    assert_int_equal(pread(fd, &h, sizeof(h), 0), sizeof(h));
    assert_int_equal(h.e_shnum, 7);
    assert_int_equal(h.e_shstrndx, 1);
    assert_int_equal(h.e_shoff, 64);
    assert_int_equal(h.e_type, ET_CORE);
    assert_int_equal(pread(fd, s, sizeof(s), 64), sizeof(s));
    assert_int_equal(s[1].sh_size, sizeof(names));
    assert_int_equal(pread(fd, names, sizeof(names), (off_t)s[1].sh_offset), sizeof(names));
    for (unsigned i = 0; i < 7; i++) {
        assert_string_equal(names + s[i].sh_name, expected[i].name);
        assert_int_equal(s[i].sh_type, expected[i].type);
        assert_int_equal(s[i].sh_addralign, expected[i].align);
        assert_int_equal(s[i].sh_entsize, expected[i].element);
    }
    assert_int_equal(s[2].sh_offset, 0x200);
    assert_int_equal(s[2].sh_size, 0x568);
    assert_int_equal(s[3].sh_offset, 0x768);
    assert_int_equal(s[4].sh_offset, 0x1b98);
    assert_int_equal(s[5].sh_offset, 0x3000);
    pv_close(v);
    close(fd);
    made_free(m);
}

static void pages_of_zeroes_are_holes(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    for (unsigned i = 0; i < 400; i++)
        made_give(m, pfn(1000 + i));
    struct pv_view *v = made_open(m);
    int fd = scratch_file();
    assert_int_equal(pwrite(fd, "old", 3, 0x3000 + 300 * 4096), 3); /* what was there is gone */
    write_dump(v, fd);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_size > (off_t)(v->nr_pages * 4096));
    assert_true(st.st_blocks * 512 < st.st_size / 3);
    struct pv_view *dump = read_dump(fd);
    assert_same(v, dump);
    pv_close(dump);
    pv_close(v);
    close(fd);
    made_free(m);
}

/* ---- what can go wrong */

struct watch {
    uint64_t calls, last, pages, stop_after;
};

static bool watch(void *context, const char *doing, uint64_t done, uint64_t pages)
{
    struct watch *w = context;
    assert_string_equal(doing, "writing pages");
    assert_true(done > w->last && done <= pages);
    w->last = done;
    w->pages = pages;
    return ++w->calls != w->stop_after;
}

static void progress_is_told_and_can_stop_it(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    for (unsigned i = 0; i < 700; i++)
        made_give(m, pfn(1000 + i));
    struct pv_view *v = made_open(m);
    int fd = scratch_file();
    struct watch all = {0}, stop = {.stop_after = 2};
    struct pv_error e;
    assert_int_equal(pv_dumpcore_write(v, fd, &(struct pv_progress){watch, &all}, &e), 0);
    assert_true(all.calls >= 2);
    assert_int_equal(all.last, v->nr_pages);
    assert_int_equal(all.pages, v->nr_pages);
    assert_int_equal(pv_dumpcore_write(v, fd, &(struct pv_progress){watch, &stop}, &e), -1);
    assert_non_null(strstr(e.text, "stopped while writing pages"));
    assert_int_equal(stop.calls, 2);
    pv_close(v);
    close(fd);
    made_free(m);
}

static void a_failing_file_is_told(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_view *v = made_open(m);
    struct pv_error e;
    int sealed = memfd_create("sealed", MFD_ALLOW_SEALING), ends[2];
    assert_int_equal(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE), 0);
    assert_int_equal(pv_dumpcore_write(v, sealed, NULL, &e), -1);
    assert_string_equal(e.text, "cannot write the dump-core: cannot write the ELF header: "
                                "Operation not permitted");
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pv_dumpcore_write(v, ends[1], NULL, &e), -1);
    assert_non_null(strstr(e.text, "cannot give the file its size"));
    close(ends[0]);
    close(ends[1]);
    close(sealed);
    /* The machine's memory is not all there any more. */
    int fd = scratch_file();
    assert_int_equal(ftruncate(m->fd, (off_t)(4 * MIB)), 0);
    assert_int_equal(pv_dumpcore_write(v, fd, NULL, &e), -1);
    assert_non_null(strstr(e.text, "out of the image"));
    close(fd);
    pv_close(v);
    made_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dump_has_all_of_the_guest),
        cmocka_unit_test(publication_is_the_same_in_a_dump),
        cmocka_unit_test(the_layout_is_that_of_xl),
        cmocka_unit_test(pages_of_zeroes_are_holes),
        cmocka_unit_test(progress_is_told_and_can_stop_it),
        cmocka_unit_test(a_failing_file_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
