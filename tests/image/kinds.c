/* SPDX-License-Identifier: MIT */
#include <pvmm/channel.h> /* before <xen/xen.h>, which has a macro of the name of a field */

#include "kinds.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xen/foreign/x86_32.h>
#include <zstd.h>

#include "convert.h"
#include "dumpcore.h"
#include "made.h"
#include "made_xen.h"
#include "make_dump.h"
#include "make_stream.h"
#include "make_vmcore.h"

#define BOX_AT (1 * MIB + 0x7000) /* a mailbox's place in memory */

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

static int elf_core(void)
{
    const struct pv_convert_options o = {.to = PV_TO_ELF};
    struct made *m = made_new(8, 0);
    made_publish_linear(m);
    struct pv_view *v = made_open(m);
    struct pv_converted out;
    struct pv_error e;
    int fd = scratch_file();
    if (pv_convert(v, fd, &o, &out, &e))
        fail_msg("%s", e.text);
    pv_close(v);
    made_free(m);
    return fd;
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

static int dumpcore_packed(void)
{
    int from = dumpcore_linear(), to = scratch_file();
    struct stat st;
    assert_int_equal(fstat(from, &st), 0);
    size_t n = (size_t)st.st_size, room = ZSTD_compressBound(n);
    void *plain = mmap(NULL, n, PROT_READ, MAP_SHARED, from, 0), *packed = malloc(room);
    assert_ptr_not_equal(plain, MAP_FAILED);
    size_t bytes = ZSTD_compress(packed, room, plain, n, 1);
    assert_false(ZSTD_isError(bytes));
    assert_int_equal(write(to, packed, bytes), bytes);
    munmap(plain, n);
    free(packed);
    close(from);
    return to;
}

/* ---- save streams */

static int stream_of(const struct stream_options *o)
{
    struct made *m = made_new(8, 0);
    made_publish_linear(m);
    struct pv_view *v = made_open(m);
    struct stream_made made;
    int fd = scratch_file();
    make_stream(fd, v, o, &made);
    pv_close(v);
    made_free(m);
    return fd;
}

static int stream_libxc(void)
{
    return stream_of(&(struct stream_options){.holes = true});
}

static int stream_xl(void)
{
    return stream_of(&(struct stream_options){.xl = true, .version = 2, .optional = true});
}

static int stream_live(void)
{
    return stream_of(
        &(struct stream_options){.xl = true, .live = true, .shuffled = true, .verify = true});
}

static int stream_checkpoint(void)
{
    return stream_of(&(struct stream_options){.checkpoint = true});
}

/* ---- machines with Xen */

/* A descriptor of its own: what made it goes. */
static int keep(int fd)
{
    int kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    assert_true(kept >= 0);
    return kept;
}

static int xen_of(bool split, bool table)
{
    struct made_xen *x = made_xen_new(split, table);
    int fd = keep(x->fd);
    made_xen_free(x);
    return fd;
}

static int xen_known(void)
{
    return xen_of(true, true);
}

static int xen_unknown(void)
{
    return xen_of(false, false);
}

static int vmcore_of(struct vmcore *c)
{
    int fd = keep(c->fd);
    vmcore_free(c);
    return fd;
}

static int vmcore_elf(void)
{
    return vmcore_of(vmcore_new(true));
}

static int vmcore_compressed(void)
{
    return vmcore_of(compressed_new(false));
}

/* ---- machines with pvmm */

static struct pvmm_machine described;

static int machine(void)
{
    struct made *m = made_new(8, 0);
    made_publish_tree(m);
    described = m->is;
    int fd = keep(m->fd);
    made_free(m);
    return fd;
}

static int machine_file(void)
{
    struct made *m = made_new(8, 0);
    made_publish_linear(m);
    struct pvmm_mailbox *box = (struct pvmm_mailbox *)(m->map + BOX_AT);
    box->magic = PVMM_MAILBOX_MAGIC;
    box->version = PVMM_MAILBOX_VERSION;
    box->size = sizeof(*box);
    box->log_size = PVMM_LOG_SIZE;
    box->state = PVMM_STATE_ENDED;
    box->machine = m->is;
    int fd = keep(m->fd);
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
    {.name = "dump-core, zstd", .make = dumpcore_packed, .packed = true},
    {.name = "ELF core", .make = elf_core},
    {.name = "libxc stream", .make = stream_libxc},
    {.name = "xl save", .make = stream_xl},
    {.name = "live stream", .make = stream_live, .large = true},
    {.name = "stream with a checkpoint", .make = stream_checkpoint, .large = true},
    {.name = "machine", .make = machine, .open = machine_open, .large = true},
    {.name = "machine, by its mailbox", .make = machine_file, .large = true},
    {.name = "machine with Xen", .make = xen_known, .large = true},
    {.name = "machine with Xen, frame table unknown", .make = xen_unknown, .large = true},
    {.name = "vmcore", .make = vmcore_elf, .large = true},
    {.name = "vmcore, makedumpfile's", .make = vmcore_compressed, .large = true},
};
const unsigned nr_kinds = sizeof(kinds) / sizeof(*kinds);

int kind_open(const struct kind *k, struct pv_view **out, const char *path, struct pv_error *e)
{
    return k && k->open ? k->open(out, path, e)
                        : pv_open(out, path, &(struct pv_open_options){.domain = -1}, e);
}
