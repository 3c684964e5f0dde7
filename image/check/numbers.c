/* SPDX-License-Identifier: MIT */
/*
 * The core's surroundings in a check. It numbers the guest's frames without gaps, as the view does,
 * so that what is kept for each frame stays as large as the guest, wherever its frames lie.
 */
#include "run.h"

#include <stdlib.h>

#define COPIES_MAX 16384u /* 64 MiB of tables */
#define TELL_EVERY 1024u

mfn_t check_real(const struct run *r, mfn_t m)
{
    if (!r->counted || mfn_eq(m, NO_MFN))
        return m;
    return r->v->backend->frame_at(r->v, m.n);
}

mfn_t check_number(const struct run *r, mfn_t m)
{
    if (mfn_eq(m, NO_MFN))
        return m;
    if (!r->counted)
        return m.n < r->core.nr_frames ? m : NO_MFN;
    if (r->number)
        return m.n < r->v->nr_frames && r->number[m.n] ? mfn(r->number[m.n] - 1) : NO_MFN;
    uint64_t index = r->v->backend->index_of(r->v, m);
    return index < r->core.nr_frames ? mfn(index) : NO_MFN;
}

/* Entry by entry a number is asked for: where the guest has a good part of the machine's frames, a
 * table has it at once. Of a frame at several pfns the lowest counts, as in the view. */
void check_number_all(struct run *r)
{
    uint64_t frames = r->v->nr_frames, pages = r->core.nr_frames;
    if (pages == 0 || pages >= UINT32_MAX || frames / 4 > pages)
        return;
    uint32_t *number = calloc(frames, sizeof(*number));
    for (uint64_t i = pages; number && i-- > 0;) {
        mfn_t m = check_real(r, mfn(i));
        if (m.n < frames)
            number[m.n] = (uint32_t)i + 1;
    }
    r->number = number;
}

/* What has no address in memory to be read at is copied, within bounds. */
static uint64_t *copy_words(struct run *r, mfn_t number, mfn_t real)
{
    if (!r->copy)
        r->copy = calloc(r->core.nr_frames, sizeof(*r->copy));
    if (!r->copy || r->copies == COPIES_MAX)
        return NULL;
    uint64_t *words = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
    if (!words || !r->v->backend->read(r->v, real, 0, words, PAGE_BYTES)) {
        free(words);
        return NULL;
    }
    r->copies++;
    return r->copy[number.n] = words;
}

void check_drop_copies(struct run *r)
{
    for (uint64_t n = 0; r->copy && r->copies && n < r->core.nr_frames; n++)
        free(r->copy[n]);
    free(r->copy);
}

int check_may_go_on(struct run *r)
{
    if (r->ending == STOPPED)
        return -1;
    return r->ending == NO_MEMORY ? pv_no_memory(r->e) : 0;
}

/* Once it is to end there are no tables any more: so the core comes to an end. */
static bool goes_on(struct run *r)
{
    if (r->ending == GOES_ON && r->looked++ % TELL_EVERY == 0 &&
        pv_tell(&r->options->progress, "checking the tables", r->looked, 0, r->e))
        r->ending = STOPPED;
    return r->ending == GOES_ON;
}

/* The core goes through a table entry by entry, and asks of each entry's frame its number, its
 * count and its words of the frame table: three places anywhere in memory, one after the other. So
 * that it does not wait for each they are asked for beforehand, for all entries at once. (Inline: a
 * call that does nothing else would be left out.) */
__attribute__((always_inline)) static inline void expect_entries(const struct run *r,
                                                                 const uint64_t *words)
{
    const uint64_t frames = r->v->nr_frames;
    for (unsigned i = 0; i < GLUE_TABLE_ENTRIES; i++)
        if (pte_present(words[i]) && pte_frame(words[i]).n < frames)
            __builtin_prefetch(&r->number[pte_frame(words[i]).n]);
    for (unsigned i = 0; i < GLUE_TABLE_ENTRIES; i++) {
        uint64_t m = pte_present(words[i]) ? pte_frame(words[i]).n : frames;
        if (m >= frames || !r->number[m])
            continue;
        __builtin_prefetch(&r->count[r->number[m] - 1], 1);
        __builtin_prefetch(&r->made[r->number[m] - 1]);
    }
}

static uint64_t *run_words(struct glue_image *i, mfn_t m)
{
    struct run *r = (struct run *)i;
    if (!goes_on(r))
        return NULL;
    if (r->copy && r->copy[m.n])
        return r->copy[m.n];
    mfn_t real = check_real(r, m);
    uint64_t *words = r->v->backend->words ? r->v->backend->words(r->v, real) : NULL;
    if (words && r->counted && r->number)
        expect_entries(r, words);
    return words ? words : copy_words(r, m, real);
}

/* A superpage holds no table: what it maps is not looked at as one. */
static mfn_t run_entry_frame(struct glue_image *i, unsigned level, uint64_t e)
{
    struct run *r = (struct run *)i;
    if (level > TYPE_L1 && (e & PTE_PSE))
        return NO_MFN;
    mfn_t m = check_number(r, pte_frame(e));
    r->outside += level == TYPE_L1 && mfn_eq(m, NO_MFN);
    return m;
}

static void run_finding(struct glue_image *i, const struct core_finding *f)
{
    check_entry_finding((struct run *)i, f);
}

void check_use_glue(struct run *r)
{
    r->glue = (struct glue_image){
        .view = r->v, .words = run_words, .entry_frame = run_entry_frame, .finding = run_finding};
    r->core.embedding = &r->glue;
}
