/* SPDX-License-Identifier: MIT */
#include "incoming.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "exitcodes.h"

#include <pvmm/transfer.h>

#define PAGE      UINT64_C(4096)
#define MFN_LIMIT (UINT64_C(1) << 32) /* as struct pv_taken_page has it */

_Static_assert(PV_CONTEXT_BYTES == PVMM_CONTEXT_BYTES, "one context");

/* ---- pages of the file */

static bool bit(const uint64_t *bits, uint64_t i)
{
    return bits[i / 64] >> i % 64 & 1;
}

static void keep_back(struct incoming *in, uint64_t at, uint64_t bytes)
{
    for (uint64_t page = at / PAGE; page <= (at + bytes - 1) / PAGE; page++)
        in->taken[page / 64] |= 1ull << page % 64;
}

static bool overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    return a < b + b_bytes && b < a + a_bytes;
}

/* ---- what the hypervisor tells */

bool incoming_is_there(const struct mailbox *m)
{
    return m->box != NULL && __atomic_load_n(&m->box->transfer.version, __ATOMIC_ACQUIRE) != 0;
}

/* A range below 4 GiB that is RAM; without wrapping. */
static bool is_low(const struct incoming *in, uint64_t at, uint64_t bytes, unsigned align)
{
    return at % align == 0 && at < in->ram.low_bytes && bytes <= in->ram.low_bytes - at;
}

static int check_place(struct incoming *in, const struct pvmm_transfer_place *p, uint64_t end_pfn,
                       struct error *e)
{
    if (p->version != PVMM_TRANSFER_VERSION || p->page_bytes != sizeof(struct pvmm_transfer_page))
        return error_set(e, EXIT_ENVIRONMENT,
                         "it is version %u of the transfer, with elements of %u bytes", p->version,
                         p->page_bytes);
    if (p->pages < end_pfn || p->pages > in->ram.file_bytes / PAGE)
        return error_set(e, EXIT_ENVIRONMENT,
                         "it has %" PRIu64 " frames for %" PRIu64
                         " pages, of a machine of %" PRIu64,
                         p->pages, end_pfn, in->ram.file_bytes / PAGE);
    const uint64_t list = p->pages * sizeof(struct pvmm_transfer_page);
    if (!is_low(in, p->list_at, list, 8) || !is_low(in, p->at, sizeof(struct pvmm_transfer), 16) ||
        overlap(p->list_at, list, p->at, sizeof(struct pvmm_transfer)))
        return error_set(e, EXIT_ENVIRONMENT,
                         "its list cannot be at 0x%" PRIx64 " with the transfer at 0x%" PRIx64,
                         p->list_at, p->at);
    return 0;
}

static int measure(struct incoming *in, const volatile struct pvmm_mailbox *box, int ram_fd,
                   struct error *e)
{
    struct stat st;

    if (fstat(ram_fd, &st) != 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot stat the machine's memory");
    in->ram.file_bytes = (uint64_t)st.st_size;
    in->ram.high_end = box->machine.high_end;
    if (in->ram.high_end != 0 &&
        (in->ram.high_end <= PV_RAM_HIGH || in->ram.high_end - PV_RAM_HIGH >= in->ram.file_bytes ||
         in->ram.high_end % PAGE != 0))
        return error_set(e, EXIT_ENVIRONMENT, "its memory cannot end at 0x%" PRIx64,
                         in->ram.high_end);
    in->ram.low_bytes =
        in->ram.file_bytes - (in->ram.high_end != 0 ? in->ram.high_end - PV_RAM_HIGH : 0);
    if (in->ram.low_bytes > PV_RAM_HIGH)
        return error_set(e, EXIT_ENVIRONMENT, "it has %" PRIu64 " bytes of memory below 4 GiB",
                         in->ram.low_bytes);
    return 0;
}

static int map_all(struct incoming *in, int ram_fd, struct error *e)
{
    const uint64_t words = in->ram.file_bytes / PAGE / 64 + 1;
    void *map = mmap(NULL, in->ram.file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd, 0);

    if (map == MAP_FAILED)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot map the machine's memory");
    in->map = map;
    in->taken = calloc(words, sizeof(*in->taken));
    if (in->taken == NULL)
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    return 0;
}

/* The mailbox's own frames are found by where it is mapped: the hello's address is not kept. */
static void take_ports(struct incoming *in, const volatile struct pvmm_mailbox *box)
{
    in->shared_mfn = box->machine.shared_mfn;
    in->store_port = box->store_port;
    in->console_port = box->console_port;
}

static int check_ports(const struct incoming *in, struct error *e)
{
    uint64_t at;

    if (in->shared_mfn >= MFN_LIMIT || !pv_ram_place(&in->ram, in->shared_mfn * PAGE, &at))
        return error_set(e, EXIT_ENVIRONMENT, "its shared_info cannot be frame 0x%" PRIx64,
                         in->shared_mfn);
    return 0;
}

int incoming_open(struct incoming *in, const struct mailbox *m, int ram_fd, uint64_t end_pfn,
                  struct error *e)
{
    struct pvmm_transfer_place p;

    *in = (struct incoming){.map = NULL};
    for (size_t i = 0; i < sizeof(p); i++)
        ((uint8_t *)&p)[i] = ((const volatile uint8_t *)&m->box->transfer)[i];
    take_ports(in, m->box);
    if (measure(in, m->box, ram_fd, e) != 0 || check_place(in, &p, end_pfn, e) != 0 ||
        check_ports(in, e) != 0 || map_all(in, ram_fd, e) != 0) {
        incoming_close(in);
        return error_context(e, "the hypervisor's empty domain");
    }
    in->list_at = p.list_at;
    in->pages = p.pages;
    in->list = (volatile struct pvmm_transfer_page *)(in->map + p.list_at);
    in->to = (volatile struct pvmm_transfer *)(in->map + p.at);
    keep_back(in, p.list_at, p.pages * sizeof(*in->list));
    keep_back(in, p.at, sizeof(*in->to));
    return 0;
}

/* ---- frames */

static int pv_refuse(struct pv_error *e, const char *what, uint64_t a, uint64_t b)
{
    snprintf(e->text, sizeof(e->text),
             "the hypervisor's empty domain: %s (element %" PRIu64 ", frame 0x%" PRIx64 ")", what,
             a, b);
    return -1;
}

int incoming_frame(struct incoming *in, void **at, mfn_t *m, struct pv_error *e)
{
    uint64_t offset;

    if (in->given >= in->pages)
        return pv_refuse(e, "it has no more frames", in->given, 0);
    m->n = in->list[in->given].mfn;
    if (m->n >= MFN_LIMIT || !pv_ram_place(&in->ram, m->n * PAGE, &offset))
        return pv_refuse(e, "no RAM is there", in->given, m->n);
    if (bit(in->taken, offset / PAGE))
        return pv_refuse(e, "a frame that is not its to give", in->given, m->n);
    keep_back(in, offset, PAGE);
    in->given++;
    *at = in->map + offset;
    return 0;
}

void *incoming_at(const struct incoming *in, mfn_t m)
{
    uint64_t offset;

    if (m.n >= MFN_LIMIT || !pv_ram_place(&in->ram, m.n * PAGE, &offset) ||
        !bit(in->taken, offset / PAGE))
        return NULL;
    return in->map + offset;
}

/* ---- the end */

/* By page of the file, for the list has the hypervisor's order. */
static int sort_pfns(struct incoming *in, const struct pv_taken *t, struct pv_error *e)
{
    const uint64_t pages = in->ram.file_bytes / PAGE;
    uint64_t offset;

    in->pfn = malloc(pages * sizeof(*in->pfn));
    if (in->pfn == NULL) {
        snprintf(e->text, sizeof(e->text), "out of memory");
        return -1;
    }
    memset(in->pfn, 0xff, pages * sizeof(*in->pfn)); /* PVMM_NO_PFN */
    for (uint64_t p = 0; p < t->end_pfn; p++)
        if (t->page[p].mfn != ~0u && pv_ram_place(&in->ram, t->page[p].mfn * PAGE, &offset))
            in->pfn[offset / PAGE] = (uint32_t)p;
    return 0;
}

static uint64_t fill_list(struct incoming *in, const struct pv_taken *t)
{
    uint64_t used = 0, offset;

    for (uint64_t i = 0; i < in->given; i++) {
        uint32_t p = PVMM_NO_PFN;

        if (pv_ram_place(&in->ram, in->list[i].mfn * PAGE, &offset))
            p = in->pfn[offset / PAGE];
        in->list[i].pfn = p;
        in->list[i].pin = p != PVMM_NO_PFN && t->page[p].pinned ? t->page[p].level : 0;
        used += p != PVMM_NO_PFN;
    }
    return used;
}

static void fill_extended(volatile struct pvmm_extended *to, const struct pv_extended *from)
{
    to->syscall32_eip = from->syscall32_eip;
    to->sysenter_eip = from->sysenter_eip;
    to->syscall32_cs = from->syscall32_cs;
    to->sysenter_cs = from->sysenter_cs;
    to->syscall32_disables_events = from->syscall32_disables_events;
    to->sysenter_disables_events = from->sysenter_disables_events;
}

static void copy_out(volatile uint8_t *to, const uint8_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i];
}

int incoming_finish(struct incoming *in, const struct pv_taken *t,
                    const struct pv_take_start *start, struct pv_error *e)
{
    volatile struct pvmm_transfer *to = in->to;

    if (sort_pfns(in, t, e) != 0)
        return -1;
    to->version = PVMM_TRANSFER_VERSION;
    to->bytes = sizeof(*to);
    to->pages = in->pages;
    to->used = fill_list(in, t);
    to->end_pfn = t->end_pfn;
    to->start_info_pfn = (uint32_t)start->start_info.n;
    to->store_pfn = start->store.n == NO_PFN.n ? PVMM_NO_PFN : (uint32_t)start->store.n;
    to->console_pfn = (uint32_t)start->console.n;
    to->vcpus = 1;
    fill_extended(&to->extended, &t->vcpu[0].extended);
    copy_out(to->context, t->vcpu[0].context, PVMM_CONTEXT_BYTES);
    copy_out(to->shared_info, t->shared_info, PVMM_SHARED_BYTES);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return 0;
}

void incoming_date(struct incoming *in, int64_t wall_ns)
{
    in->to->wall_ns = (uint64_t)wall_ns;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void incoming_close(struct incoming *in)
{
    if (in->map != NULL)
        munmap(in->map, in->ram.file_bytes);
    free(in->taken);
    free(in->pfn);
    *in = (struct incoming){.map = NULL};
}
