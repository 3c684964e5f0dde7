/* SPDX-License-Identifier: MIT */
/*
 * What bench/save.py saves: a process, which is the ramdisk's init and all there is on it, that has
 * filled the guest's memory with words that look like chance, and then tells every now and then
 * that it runs: with one sum of them, which must remain the same. The line that comes first,
 * BENCH-FULL, says how many bytes they are.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define MIB      (1024ul * 1024ul)
#define LEFT     (24 * MIB) /* for Linux to live in */
#define BEAT     50000      /* microseconds */
#define SUM_STEP 512        /* words: one of each page */

static _Noreturn void fail(const char *what)
{
    printf("BENCH-FAILED %s\n", what);
    fflush(stdout);
    reboot(RB_POWER_OFF);
    _exit(1);
}

/* xorshift64*: a page of it does not compress. */
static void fill(uint64_t *to, size_t words)
{
    uint64_t x = 0x9e3779b97f4a7c15ull;

    for (size_t i = 0; i < words; i++) {
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        to[i] = x * 0x2545f4914f6cdd1dull;
    }
}

static uint64_t sum(const volatile uint64_t *of, size_t words)
{
    uint64_t s = 0;

    for (size_t i = 0; i < words; i += SUM_STEP)
        s = (s << 1 | s >> 63) ^ of[i];
    return s;
}

int main(void)
{
    struct sysinfo is;
    uint64_t *all;
    size_t bytes;

    if (sysinfo(&is) != 0 || is.freeram * is.mem_unit <= LEFT)
        fail("sysinfo");
    bytes = (is.freeram * is.mem_unit - LEFT) / MIB * MIB;
    all = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        fail("mmap");
    fill(all, bytes / sizeof(*all));
    printf("BENCH-FULL %zu %016" PRIx64 "\n", bytes, sum(all, bytes / sizeof(*all)));
    fflush(stdout);
    for (unsigned n = 0;; n++) {
        usleep(BEAT);
        printf("BENCH-BEAT %u %016" PRIx64 "\n", n, n % 20 ? 0 : sum(all, bytes / sizeof(*all)));
        fflush(stdout);
    }
}
