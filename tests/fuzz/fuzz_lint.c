/* SPDX-License-Identifier: MIT */
/*
 * Objects, archives and images that nobody vouches for. The first byte chooses: 'm' and two bytes
 * more say how long a map is that follows, and the file behind it; else all the rest is the file.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* All that is said can be read. */
static void read_all(const struct lint_report *r)
{
    size_t chars = strlen(r->kind) + strlen(r->build_id);

    for (unsigned q = 0; q < LINT_QUESTIONS; q++)
        chars += strlen(r->why[q]);
    for (size_t i = 0; i < r->nr_findings; i++) {
        const struct lint_finding *f = &r->finding[i];

        chars += strlen(f->code) + strlen(f->text) + strlen(f->also);
        chars += f->member != NULL ? strlen(f->member) : 0;
        chars += f->section != NULL ? strlen(f->section) : 0;
        chars += f->symbol != NULL ? strlen(f->symbol) : 0;
    }
    if (chars == 0)
        abort();
}

static void lint(const uint8_t *file, size_t n, const uint8_t *map, size_t map_size)
{
    static const char *const sections[] = {".data"};
    struct lint_options o = {.sections = sections, .nr_sections = 1, .map_size = map_size};
    /* On the heap, each as long as it is: what reads further is seen. */
    uint8_t *bytes = malloc(n + (n == 0));
    char *text = malloc(map_size + 1);
    struct lint_input in = {"input", bytes, n};
    struct lint_report r;
    struct lint_error e;

    if (bytes == NULL || text == NULL)
        abort();
    if (n != 0)
        memcpy(bytes, file, n);
    if (map != NULL) {
        memcpy(text, map, map_size);
        text[map_size] = '\0';
        o.map = text;
    }
    if (lint_file(&in, &o, &r, &e) == 0) {
        read_all(&r);
        lint_free(&r);
    } else if (e.text[0] == '\0') {
        abort();
    }
    free(text);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t map;

    if (n == 0)
        return 0;
    if (data[0] != 'm' || n < 3) {
        lint(data + 1, n - 1, NULL, 0);
        return 0;
    }
    map = (size_t)data[1] << 8 | data[2];
    if (map > n - 3)
        map = n - 3;
    lint(data + 3 + map, n - 3 - map, data + 3, map);
    return 0;
}
