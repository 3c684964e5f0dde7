/* SPDX-License-Identifier: MIT */
/*
 * Times what libpvimage does with a large image (bench/images.py has what for), and prints it as
 * JSON. Usage: imagebench open FILE | check FILE | translate FILE COUNT SECONDS
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <libkdumpfile/addrxlat.h>
#include <libkdumpfile/kdumpfile.h>

#include "check.h"
#include "image.h"

#define DIRECT_VA 0xffff880000000000ull /* bench/makeimage.c */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t peak_bytes(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (uint64_t)r.ru_maxrss << 10;
}

static void die(const char *why)
{
    fprintf(stderr, "imagebench: %s\n", why);
    exit(1);
}

static struct pv_view *open_image(const char *path)
{
    struct pv_view *v;
    struct pv_error e;
    if (pv_open(&v, path, &(struct pv_open_options){.domain = -1}, &e))
        die(e.text);
    return v;
}

static void time_open(const char *path)
{
    double begun = seconds();
    struct pv_view *v = open_image(path);
    printf("{\"seconds\": %.4f, \"pages\": %" PRIu64 ", \"peak\": %" PRIu64 "}\n",
           seconds() - begun, v->nr_pages, peak_bytes());
    pv_close(v);
}

static void time_check(const char *path)
{
    struct pv_check c;
    struct pv_error e;
    struct pv_p2m *p;
    double begun = seconds();
    struct pv_view *v = open_image(path);
    if (pv_p2m_open(&p, v, NULL, &e) ||
        pv_check(v, p, &(struct pv_check_options){.keep = 0}, &c, &e))
        die(e.text);
    printf("{\"seconds\": %.4f, \"tables\": %" PRIu64 ", \"findings\": %" PRIu64
           ", \"peak\": %" PRIu64 "}\n",
           seconds() - begun, c.tables, c.findings, peak_bytes());
    pv_p2m_close(p);
    pv_close(v);
}

/* ---- translations */

static uint64_t next_random(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static double translate_here(const struct pv_view *v, const uint64_t *va, uint64_t *to, size_t n)
{
    double begun = seconds();
    for (size_t i = 0; i < n; i++) {
        struct pv_walk w;
        to[i] = pv_walk(v, v->kernel_root, gva(va[i]), &w) ? w.to.a : ~0ull;
    }
    return seconds() - begun;
}

struct other {
    kdump_ctx_t *dump;
    addrxlat_ctx_t *context;
    addrxlat_sys_t *system;
};

static struct other open_other(const char *path)
{
    struct other o = {.dump = kdump_new()};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || kdump_open_fd(o.dump, fd) != KDUMP_OK)
        die(kdump_get_err(o.dump));
    if (kdump_get_addrxlat(o.dump, &o.context, &o.system) != KDUMP_OK)
        die(kdump_get_err(o.dump));
    return o;
}

/* The same walk: from the machine address of the root that is in vCPU 0, through four levels. How
 * many of them it did before the time was over. */
static size_t translate_there(const struct other *o, mfn_t root, const uint64_t *va, uint64_t *to,
                              size_t n, double most)
{
    addrxlat_meth_t method = {
        .kind = ADDRXLAT_PGT,
        .target_as = ADDRXLAT_MACHPHYSADDR,
        .param.pgt = {.root = {.addr = root.n << 12, .as = ADDRXLAT_MACHPHYSADDR},
                      .pf = {.pte_format = ADDRXLAT_PTE_X86_64,
                             .nfields = 5,
                             .fieldsz = {12, 9, 9, 9, 9}}},
    };
    double begun = seconds();
    size_t i = 0;
    for (; i < n && (i % 64 || seconds() - begun < most); i++) {
        addrxlat_step_t step = {.ctx = o->context, .sys = o->system, .meth = &method};
        step.base.addr = va[i];
        step.base.as = ADDRXLAT_KVADDR;
        to[i] = addrxlat_walk(&step) == ADDRXLAT_OK ? step.base.addr : ~0ull;
    }
    return i;
}

static void time_translate(const char *path, size_t n, double most)
{
    struct pv_view *v = open_image(path);
    struct other o = open_other(path);
    uint64_t *va = calloc(n, sizeof(*va)), *here = calloc(n, sizeof(*here)),
             *there = calloc(n, sizeof(*there)), seed = 1;
    size_t same = 0, found = 0;
    if (!va || !here || !there)
        die("out of memory");
    for (size_t i = 0; i < n; i++)
        va[i] = DIRECT_VA + next_random(&seed) % (v->nr_pages << 12);
    double ours = translate_here(v, va, here, n);
    double begun = seconds();
    size_t done = translate_there(&o, v->kernel_root, va, there, n, most);
    double theirs = seconds() - begun;
    for (size_t i = 0; i < n; i++) {
        same += i < done && here[i] == there[i];
        found += here[i] != ~0ull;
    }
    printf("{\"count\": %zu, \"found\": %zu, \"ours\": %.4f, \"compared\": %zu, \"same\": %zu, "
           "\"theirs\": %.4f}\n",
           n, found, ours, done, same, theirs);
    if (same != done)
        fprintf(stderr, "imagebench: libkdumpfile: %s\n", addrxlat_ctx_get_err(o.context));
    addrxlat_ctx_decref(o.context);
    addrxlat_sys_decref(o.system);
    kdump_free(o.dump);
    pv_close(v);
    free(va);
    free(here);
    free(there);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "open") == 0)
        time_open(argv[2]);
    else if (argc == 3 && strcmp(argv[1], "check") == 0)
        time_check(argv[2]);
    else if (argc == 5 && strcmp(argv[1], "translate") == 0)
        time_translate(argv[2], strtoull(argv[3], NULL, 0), strtod(argv[4], NULL));
    else
        return 2;
    return 0;
}
