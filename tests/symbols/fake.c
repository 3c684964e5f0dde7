/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake.h"

#define MAPPINGS 32u

static struct mapping {
    uint64_t va;
    size_t bytes;
    uint8_t *byte;
    bool executable;
} mapping[MAPPINGS];
static unsigned mappings;

void fake_clear(void)
{
    for (unsigned i = 0; i < mappings; i++)
        free(mapping[i].byte);
    mappings = 0;
}

static struct mapping *find(uint64_t va)
{
    for (unsigned i = 0; i < mappings; i++)
        if (va >= mapping[i].va && va - mapping[i].va < mapping[i].bytes)
            return &mapping[i];
    return NULL;
}

uint8_t *fake_map(uint64_t va, size_t bytes, bool executable)
{
    struct mapping *m = &mapping[mappings];

    assert_in_range(mappings, 0, MAPPINGS - 1);
    mappings++;
    *m = (struct mapping){.va = va, .bytes = bytes, .executable = executable};
    m->byte = calloc(1, bytes);
    assert_non_null(m->byte);
    return m->byte;
}

uint8_t *fake_at(uint64_t va)
{
    struct mapping *m = find(va);

    assert_non_null(m);
    return m->byte + (va - m->va);
}

void fake_put(uint64_t va, const void *from, size_t n)
{
    struct mapping *m = find(va);

    assert_non_null(m);
    assert_in_range(n, 0, m->bytes - (va - m->va));
    memcpy(m->byte + (va - m->va), from, n);
}

void fake_put64(uint64_t va, uint64_t value)
{
    fake_put(va, &value, sizeof(value));
}

size_t pv_read_va(const struct pv_view *v, mfn_t root, gva_t va, void *to, size_t n)
{
    size_t done = 0;

    (void)v;
    (void)root;
    while (done < n) {
        struct mapping *m = find(va.a + done);
        size_t here;

        if (m == NULL)
            break;
        here = m->bytes - (va.a + done - m->va);
        if (here > n - done)
            here = n - done;
        memcpy((uint8_t *)to + done, m->byte + (va.a + done - m->va), here);
        done += here;
    }
    return done;
}

/* The highest level of which a whole entry has nothing mapped. */
static unsigned hole_level(uint64_t va)
{
    for (unsigned level = 4; level > 1; level--) {
        uint64_t bytes = 1ull << (3 + 9 * level), start = va & ~(bytes - 1);
        bool any = false;

        for (unsigned i = 0; i < mappings; i++)
            any |= mapping[i].va - start < bytes || start - mapping[i].va < mapping[i].bytes;
        if (!any)
            return level;
    }
    return 1;
}

bool pv_walk(const struct pv_view *v, mfn_t root, gva_t va, struct pv_walk *w)
{
    struct mapping *m = find(va.a);

    (void)v;
    (void)root;
    memset(w, 0, sizeof(*w));
    w->present = m != NULL;
    w->level = m != NULL ? 1 : hole_level(va.a);
    if (m != NULL)
        for (unsigned level = 1; level <= 4; level++)
            w->entry[level] = 1 | (level == 1 && !m->executable ? 1ull << 63 : 0);
    return w->present;
}
