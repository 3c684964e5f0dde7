/* SPDX-License-Identifier: MIT */
/*
 * The file behind a machine's memory, in which pvmm ran or runs: known by its mailbox, which lies
 * at the beginning of a frame below 2 GiB, where the file's offset is the machine address.
 */
#include "internal.h"
#include "pvmachine.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pvmm/channel.h>

#define MAILBOX_LIMIT (2ull << 30)
#define NOWHERE       (~0ull)

/* What all known versions have: the machine's description lies in it. */
#define SHARED_BYTES offsetof(struct pvmm_mailbox, received)

/* From this version on it says whether the guest is held, and has a vCPU's state that the context
 * has no room for. */
#define HOLD_VERSION 7u
#define HOLD_BYTES   offsetof(struct pvmm_mailbox, transfer)

/* How the mailbox begins. */
struct head {
    uint64_t magic;
    uint32_t version, size, state, log_size;
};
_Static_assert(offsetof(struct head, log_size) == offsetof(struct pvmm_mailbox, log_size) &&
                   offsetof(struct head, version) == offsetof(struct pvmm_mailbox, version) &&
                   offsetof(struct head, size) == offsetof(struct pvmm_mailbox, size) &&
                   offsetof(struct head, state) == offsetof(struct pvmm_mailbox, state),
               "pvmm/channel.h");

/* Of whatever version: which one it is is said when it is opened. */
static bool read_head(const struct pv_file *f, uint64_t at, struct head *h)
{
    struct pv_error ignored;
    return pv_file_read(f, at, h, sizeof(*h), "the mailbox", &ignored) == 0 &&
           h->magic == PVMM_MAILBOX_MAGIC;
}

/* The next page of data at or above; holes hold no mailbox. */
static uint64_t next_data(const struct pv_file *f, uint64_t at)
{
    off_t data = lseek(f->fd, (off_t)at, SEEK_DATA);
    if (data < 0)
        return errno == ENXIO ? NOWHERE : at;
    return (uint64_t)data & ~(PAGE_BYTES - 1ull);
}

static uint64_t find_mailbox(const struct pv_file *f, struct head *h)
{
    uint64_t end = f->bytes < MAILBOX_LIMIT ? f->bytes : MAILBOX_LIMIT;
    for (uint64_t at = next_data(f, 0); at < end; at = next_data(f, at + PAGE_BYTES))
        if (read_head(f, at, h))
            return at;
    return NOWHERE;
}

static bool is_memory(struct pv_file *f, const uint8_t *head, size_t n)
{
    struct head h;
    (void)head;
    (void)n;
    return f->bytes % PAGE_BYTES == 0 && find_mailbox(f, &h) != NOWHERE;
}

struct description {
    struct pvmm_machine machine;
    struct pv_extended extended;
};

static int check_head(const struct head *h, uint64_t at, struct pv_error *e)
{
    if (h->version < PVMM_MAILBOX_OLDEST || h->version > PVMM_MAILBOX_VERSION)
        return pv_fail(e, "the mailbox at %llx has version %u; known are %u to %u",
                       (unsigned long long)at, h->version, PVMM_MAILBOX_OLDEST,
                       PVMM_MAILBOX_VERSION);
    if (h->size < (h->version < HOLD_VERSION ? SHARED_BYTES : HOLD_BYTES) ||
        h->log_size != PVMM_LOG_SIZE)
        return pv_fail(e, "the mailbox at %llx has a size of %u, its log of %u",
                       (unsigned long long)at, h->size, h->log_size);
    if (h->state < PVMM_STATE_RUNNING)
        return pv_fail(e, "there is no guest in it: the hypervisor came as far as state %u",
                       h->state);
    return 0;
}

static struct pv_extended extended_of(const struct pvmm_extended *x)
{
    return (struct pv_extended){
        .there = true,
        .syscall32_eip = x->syscall32_eip,
        .sysenter_eip = x->sysenter_eip,
        .syscall32_cs = x->syscall32_cs,
        .sysenter_cs = x->sysenter_cs,
        .syscall32_disables_events = x->syscall32_disables_events != 0,
        .sysenter_disables_events = x->sysenter_disables_events != 0,
    };
}

/* Of a guest that runs, the context is of some time before. */
static int read_state(const struct pv_file *f, uint64_t at, const struct head *h,
                      struct description *d, struct pv_error *e)
{
    uint32_t hold, waiting;
    struct pvmm_extended extended;
    if (h->version < HOLD_VERSION)
        return 0;
    if (pv_file_read(f, at + offsetof(struct pvmm_mailbox, hold), &hold, sizeof(hold),
                     "whether the guest is held", e) ||
        pv_file_read(f, at + offsetof(struct pvmm_mailbox, reports.waiting), &waiting,
                     sizeof(waiting), "whether the hypervisor waits", e) ||
        pv_file_read(f, at + offsetof(struct pvmm_mailbox, extended), &extended, sizeof(extended),
                     "the vCPU's state", e))
        return -1;
    if (h->state == PVMM_STATE_RUNNING && hold == PVMM_HOLD_NONE && !waiting)
        d->machine.context_valid = 0;
    if (d->machine.context_valid)
        d->extended = extended_of(&extended);
    return 0;
}

static int read_description(const struct pv_file *f, struct description *d, struct pv_error *e)
{
    struct head h;
    uint64_t at = find_mailbox(f, &h);
    *d = (struct description){0};
    if (at == NOWHERE)
        return pv_fail(e, "the mailbox is gone");
    return check_head(&h, at, e) ||
                   pv_file_read(f, at + offsetof(struct pvmm_mailbox, machine), &d->machine,
                                sizeof(d->machine), "the machine's description", e) ||
                   read_state(f, at, &h, d, e)
               ? -1
               : 0;
}

/* The view has the file open on its own. */
static int open_memory(struct pv_view **out, struct pv_file *f, const struct pv_open_options *o,
                       struct pv_error *e)
{
    struct description d;
    (void)o;
    int rc = read_description(f, &d, e);
    if (rc == 0)
        rc = pv_machine_open_still(out, f->fd, &d.machine, e);
    if (rc == 0 && (*out)->nr_vcpus)
        (*out)->vcpu[0].extended = d.extended;
    pv_file_close(f);
    return rc;
}

static bool as_file(int fd, struct pv_file *f)
{
    struct stat st;
    const bool is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    *f = (struct pv_file){.fd = fd, .bytes = is_file ? (uint64_t)st.st_size : 0};
    return is_file;
}

int pv_memory_open_running(struct pv_view **out, int ram_fd, struct pv_error *e)
{
    struct pv_file f;
    struct description d;
    if (!as_file(ram_fd, &f))
        return pv_fail(e, "no file");
    if (read_description(&f, &d, e) || pv_machine_open(out, ram_fd, &d.machine, e))
        return -1;
    if ((*out)->nr_vcpus)
        (*out)->vcpu[0].extended = d.extended;
    return 0;
}

bool pv_memory_mailbox(int ram_fd, uint64_t *at)
{
    struct pv_file f;
    struct head h;
    if (!as_file(ram_fd, &f) || f.bytes % PAGE_BYTES)
        return false;
    *at = find_mailbox(&f, &h);
    return *at != NOWHERE && h.version >= PVMM_MAILBOX_OLDEST && h.version <= PVMM_MAILBOX_VERSION;
}

const struct pv_format pv_format_pvmachine = {
    .name = "the memory of a machine with pvmm", .is = is_memory, .open = open_memory};
