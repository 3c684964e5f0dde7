/* SPDX-License-Identifier: MIT */
#include "witness.h"

#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "exitcodes.h"

#define PAGE          4096ull
#define PRESENT       1ull
#define FRAME_OF(e)   (((e)&0x000ffffffffff000ull) >> 12)
#define ADDRESS_LIMIT (UINT64_C(4) << 30)

uint64_t record_address(const struct pvmm_record *r)
{
    return r->at & PVMM_RECORD_ADDRESS;
}

unsigned record_act(const struct pvmm_record *r)
{
    return (unsigned)(r->at >> PVMM_RECORD_ACT_SHIFT) & 63;
}

unsigned record_vcpu(const struct pvmm_record *r)
{
    return (unsigned)(r->at >> PVMM_RECORD_VCPU_SHIFT) & 63;
}

static int check(const struct pvmm_recorder *r, uint64_t memory, struct error *e)
{
    if (r->version != PVMM_RECORDER_VERSION || r->record_bytes != sizeof(struct pvmm_record))
        return error_set(e, EXIT_ENVIRONMENT, "version %u, records of %u bytes", r->version,
                         r->record_bytes);
    if (r->records > PVMM_RECORDS_MAX || (r->records & (r->records - 1)) != 0 || r->at % 8 != 0 ||
        r->at >= ADDRESS_LIMIT || r->at + r->records * sizeof(struct pvmm_record) > memory)
        return error_set(e, EXIT_ENVIRONMENT, "%" PRIu64 " records at 0x%" PRIx64 " cannot be",
                         r->records, r->at);
    return 0;
}

int witness_open(struct witness *w, int ram_fd, const volatile struct pvmm_recorder *live,
                 struct error *e)
{
    const struct pvmm_recorder r = *live;
    struct stat st;
    uint8_t *map;

    *w = (struct witness){0};
    if (r.version == 0 && r.records == 0)
        return 0;
    if (fstat(ram_fd, &st) != 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot stat the machine's memory");
    if (check(&r, (uint64_t)st.st_size, e) != 0)
        return error_context(e, "flight recorder");
    if (r.records == 0)
        return 0;
    w->map_bytes = (size_t)(r.at % PAGE + r.records * sizeof(struct pvmm_record));
    map = mmap(NULL, w->map_bytes, PROT_READ, MAP_SHARED, ram_fd, (off_t)(r.at - r.at % PAGE));
    if (map == MAP_FAILED)
        return error_errno(e, EXIT_ENVIRONMENT, "flight recorder: cannot map it");
    w->map = map;
    w->ring = (const volatile struct pvmm_record *)(map + r.at % PAGE);
    w->live = live;
    w->records = r.records;
    return 0;
}

void witness_close(struct witness *w)
{
    if (w->map != NULL)
        munmap(w->map, w->map_bytes);
    *w = (struct witness){0};
}

uint64_t witness_written(const struct witness *w)
{
    return w->ring != NULL ? w->live->written : 0;
}

/* The place of the oldest is written to before `written` says so. */
uint64_t witness_oldest(const struct witness *w)
{
    const uint64_t written = witness_written(w), kept = w->still ? w->records : w->records - 1;

    return w->ring != NULL && written > kept ? written - kept : 0;
}

bool witness_read(const struct witness *w, uint64_t index, struct pvmm_record *r)
{
    if (w->ring == NULL || index >= w->live->written)
        return false;
    *r = w->ring[index & (w->records - 1)];
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return index >= witness_oldest(w);
}

/* Is this record an answer? */
typedef enum witness_answer ask_fn(const void *question, const struct pvmm_record *r);

/* From the newest record on; WITNESS_OFF of an ask_fn: not this one. */
static struct witnessed look_back(const struct witness *w, uint64_t before, ask_fn *ask,
                                  const void *question)
{
    struct witnessed found = {.answer = WITNESS_OFF};
    uint64_t i = witness_written(w);

    if (w->ring == NULL)
        return found;
    i = before < i ? before : i;
    while (i > 0 && witness_read(w, i - 1, &found.record)) {
        found.index = --i;
        found.answer = ask(question, &found.record);
        if (found.answer != WITNESS_OFF)
            return found;
    }
    return (struct witnessed){.answer = i == 0 ? WITNESS_BEFORE : WITNESS_OLDER};
}

struct entry_question {
    uint64_t at, mfn;
    unsigned level;
};

static enum witness_answer ask_entry(const void *question, const struct pvmm_record *r)
{
    const struct entry_question *q = question;
    const unsigned act = record_act(r);

    if ((act == PVMM_ACT_ENTRY || act == PVMM_ACT_STORE) && record_address(r) == q->at)
        return (r->now & PRESENT) && FRAME_OF(r->now) == q->mfn ? WITNESS_SEEN : WITNESS_OFF;
    if (act == PVMM_ACT_TYPE && record_address(r) / PAGE == q->at / PAGE && r->now == q->level)
        return WITNESS_VALIDATED;
    /* What stood there then may have been left, or stored since. */
    if (act == PVMM_ACT_RELEASE && record_address(r) / PAGE == q->at / PAGE)
        return WITNESS_UNSEEN;
    return WITNESS_OFF;
}

struct witnessed witness_entry(const struct witness *w, uint64_t before, uint64_t at, uint64_t mfn,
                               unsigned level)
{
    const struct entry_question q = {at, mfn, level};

    return look_back(w, before, ask_entry, &q);
}

struct frame_question {
    enum pvmm_act act;
    uint64_t mfn, now;
    bool any;
};

static enum witness_answer ask_frame(const void *question, const struct pvmm_record *r)
{
    const struct frame_question *q = question;

    if (record_act(r) != q->act || record_address(r) / PAGE != q->mfn)
        return WITNESS_OFF;
    return q->any || r->now == q->now ? WITNESS_SEEN : WITNESS_OFF;
}

struct witnessed witness_frame(const struct witness *w, uint64_t before, enum pvmm_act act,
                               uint64_t mfn, uint64_t now)
{
    const struct frame_question q = {act, mfn, now, act != PVMM_ACT_TYPE && act != PVMM_ACT_ROOT};

    return look_back(w, before, ask_frame, &q);
}

static enum witness_answer ask_root(const void *question, const struct pvmm_record *r)
{
    (void)question;
    return record_act(r) == PVMM_ACT_ROOT && r->now == 0 && record_address(r) != 0 ? WITNESS_SEEN
                                                                                   : WITNESS_OFF;
}

uint64_t witness_kernel_root(const struct witness *w)
{
    const struct witnessed found = look_back(w, ~0ull, ask_root, NULL);

    return found.answer == WITNESS_SEEN ? record_address(&found.record) / PAGE : PVMM_NONE;
}
