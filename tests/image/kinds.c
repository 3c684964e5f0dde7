/* SPDX-License-Identifier: MIT */
#include "kinds.h"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <xen/foreign/x86_32.h>

#include "dumpcore.h"
#include "made.h"
#include "make_dump.h"

/* ---- dump-cores */

static int dump_of(struct made *m)
{
    struct pv_view *v = made_open(m);
    struct pv_error e;
    int fd = scratch_file();
    assert_int_equal(pv_dumpcore_write(v, fd, NULL, &e), 0);
    pv_close(v);
    made_free(m);
    return fd;
}

static int dumpcore_linear(void)
{
    struct made *m = made_new(8, 0);
    made_publish_linear(m);
    return dump_of(m);
}

static int dumpcore_tree(void)
{
    struct made *m = made_new(8, 0);
    made_publish_tree(m);
    return dump_of(m);
}

/* Tables of every level, at pfns that are not in order. */
static int dumpcore_pae(void)
{
    struct make_dump d = {
        .fd = scratch_file(), .machine = EM_386, .vcpus = 2, .context_bytes = 2800, .pages = 32};
    uint64_t page[512];
    assert_true(make_dump(&d));
    for (uint64_t i = 0; i < d.pages; i++) {
        uint64_t p = 5 * i % d.pages;
        for (unsigned slot = 0; slot < 512; slot++) /* any entry maps any frame */
            page[slot] = (0x1000 + (p * 7 + slot) % 32) << 12 | (p < 4 ? 1 : 0x67);
        assert_true(make_dump_element(&d, i, p, 0x1000 + p));
        assert_true(make_dump_page(&d, i, page));
    }
    for (unsigned i = 0; i < d.vcpus; i++) {
        vcpu_guest_context_x86_32_t c = {.flags = VGCF_in_kernel};
        c.ctrlreg[3] = xen_pfn_to_cr3_x86_32(0x1001 + i);
        assert_int_equal(pwrite(d.fd, &c, sizeof(c), (off_t)(d.at[MAKE_PRSTATUS] + i * sizeof(c))),
                         sizeof(c));
    }
    return d.fd;
}

/* ---- machines */

static struct pvmm_machine described;

static int machine(void)
{
    struct made *m = made_new(8, 0);
    made_publish_tree(m);
    described = m->is;
    int fd = fcntl(m->fd, F_DUPFD_CLOEXEC, 0);
    made_free(m);
    return fd;
}

static int machine_open(struct pv_view **out, const char *path, struct pv_error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = pv_machine_open(out, fd, &described, e);
    close(fd);
    return rc;
}

/* ---- all of them */

const struct kind kinds[] = {
    {.name = "dump-core, linear list", .make = dumpcore_linear},
    {.name = "dump-core, tree", .make = dumpcore_tree},
    {.name = "dump-core of 32 bits, unordered", .make = dumpcore_pae},
    {.name = "machine", .make = machine, .open = machine_open},
};
const unsigned nr_kinds = sizeof(kinds) / sizeof(*kinds);

int kind_open(const struct kind *k, struct pv_view **out, const char *path, struct pv_error *e)
{
    return k && k->open ? k->open(out, path, e)
                        : pv_open(out, path, &(struct pv_open_options){.domain = -1}, e);
}
