/* SPDX-License-Identifier: MIT */
/* A real kernel's tables, as they lie in its image: test_symbols_kernel VMLINUZ. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <gelf.h>

#include "error.h"
#include "fake.h"
#include "kernel.h"

static const char *path;

/* What the image has of memory, where it lies in memory. */
static void map_image(Elf *elf, const uint8_t *file, uint64_t bytes)
{
    size_t headers;

    assert_int_equal(elf_getphdrnum(elf, &headers), 0);
    for (size_t i = 0; i < headers; i++) {
        GElf_Phdr p;

        assert_non_null(gelf_getphdr(elf, (int)i, &p));
        if (p.p_type != PT_LOAD || p.p_vaddr < 1ull << 63)
            continue;
        assert_in_range(p.p_offset + p.p_filesz, 0, bytes);
        fake_map(p.p_vaddr, (p.p_memsz + 4095) & ~4095ull, (p.p_flags & PF_X) != 0);
        fake_put(p.p_vaddr, file + p.p_offset, p.p_filesz);
    }
}

static void map_kernel(struct pv_build_id *id)
{
    struct pv_error why;
    struct kernel k;
    struct error e;
    const void *file;
    Elf *elf;

    if (kernel_load(path, &k, &e) != 0)
        fail_msg("%s", e.text);
    file = mmap(NULL, k.elf_size, PROT_READ, MAP_PRIVATE, k.elf_fd, 0);
    assert_ptr_not_equal(file, MAP_FAILED);
    elf_version(EV_CURRENT);
    elf = elf_memory((char *)(uintptr_t)file, k.elf_size);
    assert_non_null(elf);
    map_image(elf, file, k.elf_size);
    elf_end(elf);
    assert_int_equal(pv_build_id_fd(id, k.elf_fd, &why), 0);
    munmap((void *)(uintptr_t)file, k.elf_size);
    close(k.elf_fd);
    close(k.original_fd);
}

static uint64_t address(const struct pv_symbols *s, const char *name)
{
    uint64_t va = 0;

    if (!pv_symbol_find(s, name, &va))
        fail_msg("the kernel's tables have no %s", name);
    return va;
}

static void is_code(const struct pv_symbols *s, const char *name, bool code)
{
    struct pv_symbol at;

    assert_true(pv_symbol_at(s, address(s, name) + 1, &at));
    assert_string_equal(at.name, name);
    assert_int_equal(at.offset, 1);
    assert_int_equal(at.is_code, code);
}

static void known_names_are_where_they_are_known_to_be(void **state)
{
    struct pv_symbols *s = pv_symbols_new();
    struct pv_build_id id;
    struct pv_error e;
    char banner[14];
    size_t count;

    (void)state;
    map_kernel(&id);
    if (pv_symbols_guest(s, NULL, mfn(1), &count, &e) != 0)
        fail_msg("%s", e.text);
    /* The image's own list of modules is empty, and its types say how it would be read. */
    assert_string_equal(e.text, "");
    assert_in_range(count, 50000, 500000);
    is_code(s, "start_kernel", true);
    is_code(s, "xen_mc_flush", true);
    is_code(s, "do_one_initcall", true);
    is_code(s, "linux_banner", false);
    assert_int_equal(pv_read_va(NULL, mfn(1), gva(address(s, "linux_banner")), banner, 14), 14);
    assert_memory_equal(banner, "Linux version ", 14);
    pv_symbols_free(s);
    fake_clear();
}

/* By kallsyms, and at the place where the file has it. */
static void its_build_id_is_in_its_memory(void **state)
{
    struct pv_build_id of_file, of_guest;
    struct pv_error e;

    (void)state;
    map_kernel(&of_file);
    assert_int_equal(of_file.bytes, 20);
    if (pv_build_id_guest(&of_guest, NULL, mfn(1), 0, &e) != 0)
        fail_msg("%s", e.text);
    assert_true(pv_build_id_same(&of_file, &of_guest));
    assert_int_equal(of_file.va, of_guest.va);
    memset(&of_guest, 0, sizeof(of_guest));
    assert_int_equal(pv_build_id_guest(&of_guest, NULL, mfn(1), of_file.va, &e), 0);
    assert_true(pv_build_id_same(&of_file, &of_guest));
    fake_clear();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_names_are_where_they_are_known_to_be),
        cmocka_unit_test(its_build_id_is_in_its_memory),
    };

    if (argc != 2) {
        fprintf(stderr, "usage: test_symbols_kernel VMLINUZ\n");
        return 2;
    }
    path = argv[1];
    if (access(path, R_OK) != 0) {
        printf("there is no %s: run make kernel\n", path);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
