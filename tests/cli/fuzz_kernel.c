/* SPDX-License-Identifier: MIT */
/*
 * Everything that reads a file someone else made, on arbitrary bytes. With clang's libFuzzer it is
 * a fuzz target; on its own it mutates the files it is given, from a seed, for a number of rounds:
 * fuzz_kernel ROUNDS SEED FILE...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bzimage.h"
#include "decompress.h"
#include "e820.h"
#include "initrd.h"
#include "pvimage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_payload(struct view v, struct error *e)
{
    struct sink out = {-1, 0, 1 << 22};
    size_t used;

    if (format_is_compressed(format_of(v)) && decompress(format_of(v), v, &out, &used, e) == 0 &&
        used > v.size)
        abort();
}

static void try_memory_map(struct view v, struct error *e)
{
    static struct memory_map map;

    if (memory_map_parse(v, &map, e) == 0 &&
        (map.head.count == 0 || map.head.count > PVMM_E820_MAX))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct view v = {data, size};
    struct guest_image img;
    struct bzimage b;
    struct error e;

    if (pv_image_check(v, &img, &e) == 0)
        pv_image_fits(&img, UINT64_C(1) << 28, size, &e);
    if (bzimage_parse(v, &b, &e) == 0)
        try_payload(b.payload, &e);
    try_payload(v, &e);
    initrd_check(v, &e);
    try_memory_map(v, &e);
    return 0;
}

#ifndef PVMM_LIBFUZZER
static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* A few bytes changed, mostly near the start where headers are; sometimes a shorter file. */
static size_t mutate(uint8_t *data, size_t size)
{
    const unsigned changes = next_random() % 8 + 1;

    for (unsigned i = 0; i < changes; i++) {
        const size_t reach = next_random() % 4 == 0 || size < 2048 ? size : 2048;
        const uint64_t r = next_random();

        data[next_random() % reach] =
            r % 3 == 0 ? (uint8_t)(r >> 8) : (uint8_t)(r % 3 == 1 ? 0xff : 0);
    }
    return next_random() % 4 == 0 ? next_random() % size + 1 : size;
}

static void fuzz(const uint8_t *data, size_t size, unsigned long rounds)
{
    for (unsigned long i = 0; i < rounds; i++) {
        uint8_t *copy = malloc(size); /* of its own, so that ASan sees its end */
        uint8_t *cut;
        size_t n;

        memcpy(copy, data, size);
        n = mutate(copy, size);
        cut = malloc(n);
        memcpy(cut, copy, n);
        LLVMFuzzerTestOneInput(cut, n);
        free(cut);
        free(copy);
    }
}

int main(int argc, char **argv)
{
    const unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000;

    random_state = argc > 2 ? strtoull(argv[2], NULL, 0) | 1 : 1;
    printf("seed %s, %lu rounds\n", argc > 2 ? argv[2] : "1", rounds);
    for (int i = 3; i < argc; i++) {
        struct error e;
        struct view v;

        if (view_of_path(argv[i], 1, &v, &e) != 0) {
            fprintf(stderr, "%s: %s\n", argv[i], e.text);
            return 1;
        }
        fuzz(v.data, v.size, rounds);
        view_drop(&v);
    }
    return 0;
}
#endif
