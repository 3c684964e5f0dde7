/* SPDX-License-Identifier: MIT */
#include "bulk.h"

#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "pte.h"

#define SLOTS 512u

#define PART 64u /* frames that are looked up at once */

/* One by one: the file may end among them. */
static void read_each(const struct pv_view *v, const mfn_t *m, size_t n, uint8_t *to, bool *there)
{
    for (size_t i = 0; i < n; i++)
        there[i] =
            !mfn_eq(m[i], NO_MFN) && v->backend->read(v, m[i], 0, to + i * PAGE_BYTES, PAGE_BYTES);
}

static size_t in_a_row(const uint64_t *at, size_t n)
{
    size_t i = 1;
    while (i < n && at[0] != NO_MFN.n && at[i] == at[0] + i * PAGE_BYTES)
        i++;
    return i;
}

static void read_part(const struct pv_view *v, const mfn_t *m, size_t n, uint8_t *to, bool *there)
{
    struct pv_error ignored;
    uint64_t at[PART];
    const int fd = v->backend->lies ? v->backend->lies(v, m, n, at) : -1;
    for (size_t i = 0, row; fd >= 0 && i < n; i += row) {
        row = in_a_row(&at[i], n - i);
        bool all = at[i] != NO_MFN.n && pv_read_at(fd, at[i], to + i * PAGE_BYTES, row * PAGE_BYTES,
                                                   "pages", &ignored) == 0;
        if (all)
            memset(&there[i], true, row);
        else
            read_each(v, m + i, row, to + i * PAGE_BYTES, there + i);
    }
    if (fd < 0)
        read_each(v, m, n, to, there);
}

void pv_read_frames(const struct pv_view *v, const mfn_t *m, size_t n, void *to, bool *there)
{
    for (size_t i = 0; i < n; i += PART)
        read_part(v, m + i, n - i < PART ? n - i : PART, (uint8_t *)to + i * PAGE_BYTES, there + i);
}

void pv_read_beginnings(const struct pv_view *v, const mfn_t *m, size_t n, void *to, unsigned bytes)
{
    uint64_t at[PART];
    const int fd = v->backend->lies ? v->backend->lies(v, m, n < PART ? n : PART, at) : -1;
    for (size_t i = 0; i < n; i++) {
        uint8_t *here = (uint8_t *)to + i * bytes;
        if (fd >= 0 && i % PART == 0 && i)
            v->backend->lies(v, m + i, n - i < PART ? n - i : PART, at);
        bool is = fd >= 0 ? at[i % PART] != NO_MFN.n &&
                                pread(fd, here, bytes, (off_t)at[i % PART]) == (ssize_t)bytes
                          : v->backend->read(v, m[i], 0, here, bytes);
        if (!is)
            memset(here, 0, bytes);
    }
}

void pv_frames_of_pfn(const struct pv_view *v, pfn_t at, size_t n, mfn_t *m)
{
    for (size_t i = 0; i < n; i++)
        m[i] = v->backend->mfn_of(v, pfn(at.n + i));
}

static const uint64_t *table_words(const struct pv_view *v, mfn_t table, uint64_t *copy)
{
    const uint64_t *words = v->backend->words ? v->backend->words(v, table) : NULL;
    if (words)
        return words;
    return v->backend->read(v, table, 0, copy, PAGE_BYTES) ? copy : NULL;
}

/* One walk for all that share its lowest table. Returns how many these are, at most n. */
static size_t frames_of_table(const struct pv_view *v, mfn_t root, uint64_t va, size_t n, mfn_t *m)
{
    uint64_t copy[SLOTS];
    const uint64_t *entry;
    struct pv_walk w;
    const unsigned first = va >> PAGE_SHIFT_4K & (SLOTS - 1);
    const bool there = pv_walk(v, root, gva(va), &w);
    m[0] = there ? maddr_frame(w.to) : NO_MFN;
    entry = w.level == 1 && !w.absent ? table_words(v, maddr_frame(w.at[1]), copy) : NULL;
    if (!entry)
        return 1;
    n = n < SLOTS - first ? n : SLOTS - first;
    for (size_t i = 0; i < n; i++)
        m[i] = pte_present(entry[first + i]) ? pte_frame(entry[first + i]) : NO_MFN;
    return n;
}

void pv_frames_of_va(const struct pv_view *v, mfn_t root, gva_t va, size_t n, mfn_t *m)
{
    for (size_t done = 0; done < n;)
        done += frames_of_table(v, root, va.a + done * PAGE_BYTES, n - done, m + done);
}
