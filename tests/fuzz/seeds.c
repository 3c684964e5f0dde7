/* SPDX-License-Identifier: MIT */
/* Writes what a fuzzer begins with: DIRECTORY/image has an image of each kind, DIRECTORY/memory a
 * guest's pages for fuzz_memory.c, DIRECTORY/symbols a list of symbols, DIRECTORY/take save streams
 * of a small guest that is complete. */
#include <elf.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xen/foreign/x86_32.h>

#include "kinds.h"
#include "made.h"
#include "make_dump.h"
#include "script.h"

#define FIRST 16u
#define TOP   0xffffffff80000000ull

static const char *directory;

static void write_seed(const char *fuzzer, const char *name, const void *from, size_t n)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", directory, fuzzer);
    mkdir(path, 0777);
    snprintf(path, sizeof(path), "%s/%s/%s", directory, fuzzer, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(from, 1, n, f) != n || fclose(f)) {
        perror(path);
        exit(1);
    }
}

static void write_file(const char *name, int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    uint8_t *bytes = malloc((size_t)st.st_size);
    assert_int_equal(pread(fd, bytes, (size_t)st.st_size, 0), st.st_size);
    write_seed("image", name, bytes, (size_t)st.st_size);
    free(bytes);
    close(fd);
}

/* The smallest that have everything. */
static void write_small_dump(const char *name, unsigned machine, size_t context_bytes)
{
    struct make_dump d = {.fd = scratch_file(),
                          .machine = machine,
                          .vcpus = 1,
                          .context_bytes = context_bytes,
                          .pages = 5};
    assert_true(make_dump(&d));
    for (uint64_t i = 0; i < d.pages; i++) {
        uint64_t page[512] = {(0x100 + i + 1) << 12 | 0x67};
        assert_true(make_dump_element(&d, i, i, 0x100 + i));
        assert_true(make_dump_page(&d, i, page));
    }
    uint64_t cr3 = 0x100000;
    off_t at = context_bytes == sizeof(vcpu_guest_context_x86_32_t)
                   ? (off_t)offsetof(vcpu_guest_context_x86_32_t, ctrlreg[3])
                   : (off_t)offsetof(vcpu_guest_context_t, ctrlreg[3]);
    assert_int_equal(pwrite(d.fd, &cr3, 4, (off_t)d.at[MAKE_PRSTATUS] + at), 4);
    write_file(name, d.fd);
}

/* shared_info, L4, L3, L2, L1 of a kernel that maps all its pages, and a list of them. */
static void write_memory(const char *name, bool linear)
{
    static uint64_t page[16][512];
    memset(page, 0, sizeof(page));
    shared_info_t *s = (shared_info_t *)page[0];
    for (unsigned i = 1; i <= 3; i++) /* page i is the table of level 5 - i */
        page[i][TOP >> (12 + 9 * (4 - i)) & 511] = (FIRST + i + 1ull) << 12 | 0x67;
    for (unsigned i = 1; i < 16; i++) {
        page[4][i] = (FIRST + i) << 12 | (i < 5 ? 0x65 : 0x67);
        page[7][i] = FIRST + i;
    }
    s->arch.max_pfn = 16;
    page[5][0] = FIRST + 6;
    page[6][0] = FIRST + 7;
    s->arch.pfn_to_mfn_frame_list_list = FIRST + 5;
    s->arch.p2m_cr3 = linear ? xen_pfn_to_cr3(FIRST + 1) : 0;
    s->arch.p2m_vaddr = linear ? TOP + 7 * 4096 : 0;
    memcpy(page[8], "Linux version 6.1.0", 20);
    write_seed("memory", name, page, sizeof(page));
}

static void write_stream(const char *name, unsigned version, bool xl)
{
    struct script *s = script_new(version, xl);
    write_seed("take", name, s->bytes, s->n);
    script_free(s);
}

int main(int argc, char **argv)
{
    static const char map[] = "ffffffff81000000 T _text\nffffffff81000100 t start\n"
                              "ffffffff82000000 D linux_banner\nffffffffc0000000 t f\t[module]\n";
    if (argc != 2)
        return 2;
    directory = argv[1];
    mkdir(directory, 0777);
    write_small_dump("dump-core-64", EM_X86_64, 5168);
    write_small_dump("dump-core-32", EM_386, 2800);
    for (unsigned i = 0; i < nr_kinds; i++)
        if (!kinds[i].open && !kinds[i].large)
            write_file(kinds[i].name, kinds[i].make());
    write_memory("tree", false);
    write_memory("linear", true);
    write_stream("libxc-2", 2, false);
    write_stream("libxc-3", 3, false);
    write_stream("xl-2", 2, true);
    write_stream("xl-3", 3, true);
    write_seed("symbols", "System.map", map, sizeof(map) - 1);
    return 0;
}
