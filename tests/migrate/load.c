/* SPDX-License-Identifier: MIT */
/*
 * A guest's write load, to be moved under: memory that is rewritten at a pace and read at the same
 * time, each page of which is known to the last bit at any moment.
 *
 *     load run MIB MBPS   start, say LOAD-READY, and stay
 *     load                one line: how far it has come; the longest gap is counted anew
 *
 * The pages are rewritten in an order that leaps over all of the memory, round after round, so
 * that one count of pages written tells which generation every page must be of: a page that is as
 * it was earlier is wrong, however good its sum. An error is a line LOAD-ERROR on the console, and
 * a count that never goes away.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../save/guestprog.h"

#define BOARD  "/tmp/load"
#define LEAP   0x9e3779b1ul /* odd: every page has its turn where their number is a power of two */
#define SLICE  32u          /* pages written between two looks at the clock */
#define BEAT   10000        /* us */
#define BEHIND 200000       /* us: what is lost beyond is not made up for */

enum { NUMBER, GENERATION, FIRST, SUM = WORDS - 1 }; /* words of a page */

struct board {
    uint64_t nonce;
    pid_t pid;
    uint64_t pages;
    _Atomic uint64_t written, passes; /* pages; of the reader over all of them */
    _Atomic uint64_t beats, gap_us;   /* the longest between two */
    _Atomic uint64_t errors;
};

static struct board *board;
static uint64_t *memory;
static uint64_t rate; /* bytes a second */

static void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void complain(const char *format, ...)
{
    va_list args;

    if (board->errors++ > 20) /* the console is for more than this */
        return;
    va_start(args, format);
    printf("LOAD-ERROR ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
    fflush(stdout);
}

/* This thread alone. */
static void nice_to(int n)
{
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), n);
}

static uint64_t seed_of(uint64_t number, uint64_t generation)
{
    return mix(board->nonce ^ mix(number * 0x100000001b3ull + generation));
}

static volatile uint64_t *page_at(uint64_t number)
{
    return memory + number * WORDS;
}

static uint64_t page_of_turn(uint64_t turn)
{
    return turn * LEAP & (board->pages - 1);
}

static void page_write(uint64_t number, uint64_t generation)
{
    volatile uint64_t *page = page_at(number);
    uint64_t x = seed_of(number, generation), sum = number + generation;

    page[NUMBER] = number;
    page[GENERATION] = generation;
    for (unsigned i = FIRST; i < SUM; i++) {
        page[i] = x += 0x632be59bd9b4e019ull;
        sum = sum * 3 + x;
    }
    page[SUM] = sum;
}

/* The word that is not as it has to be; WORDS: none. */
static unsigned page_wrong(uint64_t number, uint64_t generation)
{
    volatile const uint64_t *page = page_at(number);
    uint64_t x = seed_of(number, generation), sum = number + generation;

    if (page[NUMBER] != number || page[GENERATION] != generation)
        return page[NUMBER] != number ? NUMBER : GENERATION;
    for (unsigned i = FIRST; i < SUM; i++) {
        x += 0x632be59bd9b4e019ull;
        if (page[i] != x)
            return i;
        sum = sum * 3 + x;
    }
    return page[SUM] == sum ? WORDS : SUM;
}

/* At its pace by the clock. What is replaced is looked at first. */
static void writer(void)
{
    int64_t due = now_us(CLOCK_MONOTONIC);

    nice_to(-15);
    for (uint64_t n = board->written;; n++) {
        const uint64_t turn = n & (board->pages - 1), number = page_of_turn(turn);
        const uint64_t generation = n / board->pages;
        const unsigned wrong = page_wrong(number, generation);
        int64_t now;

        if (wrong != WORDS)
            complain("page %lu is to be replaced: word %u is not of generation %lu",
                     (unsigned long)number, wrong, (unsigned long)generation);
        page_write(number, generation + 1);
        board->written = n + 1;
        if (n % SLICE != 0)
            continue;
        due += (int64_t)(SLICE * PAGE * 1000000ull / rate);
        now = now_us(CLOCK_MONOTONIC);
        if (due < now - BEHIND)
            due = now;
        if (due > now)
            rest_us(due - now);
    }
}

/* Of which generation the page of a turn must be; -1: it is being written. */
static int64_t expected(uint64_t turn)
{
    const uint64_t written = board->written, now = written & (board->pages - 1);

    if (turn == now)
        return -1;
    return (int64_t)(written / board->pages + (turn < now));
}

static void look_at(uint64_t turn)
{
    const uint64_t number = page_of_turn(turn);
    const int64_t generation = expected(turn);
    unsigned wrong;

    if (generation < 0)
        return;
    wrong = page_wrong(number, (uint64_t)generation);
    if (wrong == WORDS || expected(turn) != generation) /* written meanwhile */
        return;
    complain("page %lu: word %u is not of generation %ld; it says it is page %lu, generation %lu",
             (unsigned long)number, wrong, (long)generation, (unsigned long)page_at(number)[NUMBER],
             (unsigned long)page_at(number)[GENERATION]);
}

static void reader(void)
{
    nice_to(10);
    for (;; board->passes++)
        for (uint64_t turn = 0; turn < board->pages; turn++)
            look_at(turn);
}

/* By the time of day: the monotonic clock stands while the guest is on its way. */
static void heart(void)
{
    nice_to(-20);
    for (int64_t last = now_us(CLOCK_REALTIME);;) {
        int64_t now;

        rest_us(BEAT);
        now = now_us(CLOCK_REALTIME);
        if (now < last)
            complain("the time of day went back by %ld us", (long)(last - now));
        else if ((uint64_t)(now - last) > board->gap_us)
            board->gap_us = (uint64_t)(now - last);
        last = now;
        board->beats++;
    }
}

static void *part(void *work)
{
    (*(void (**)(void))work)();
    return NULL;
}

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(2);
}

static void board_open(int flags)
{
    const int fd = open(BOARD, O_RDWR | flags, 0600);

    if (fd < 0 || (flags != 0 && ftruncate(fd, sizeof(*board)) != 0))
        die(BOARD);
    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (board == MAP_FAILED)
        die(BOARD);
    close(fd);
}

static int run(unsigned long mib, unsigned long mbps)
{
    static void (*const work[])(void) = {writer, reader, heart};
    pthread_t thread;

    if (mib == 0 || (mib & (mib - 1)) != 0 || mbps == 0)
        return 1;
    board_open(O_CREAT | O_EXCL);
    board->pid = getpid();
    board->pages = mib * MIB / PAGE;
    rate = mbps * 1000000;
    memory = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        die("mmap");
    if (getrandom(&board->nonce, sizeof(board->nonce), GRND_INSECURE) != sizeof(board->nonce))
        die("getrandom");
    for (uint64_t i = 0; i < board->pages; i++)
        page_write(i, 0);
    for (int i = 0; i < (int)(sizeof(work) / sizeof(work[0])); i++)
        if (pthread_create(&thread, NULL, part, (void *)&work[i]) != 0)
            die("pthread_create");
    while (board->passes == 0)
        rest_us(20000);
    printf("LOAD-READY pages=%llu\n", (unsigned long long)board->pages);
    fflush(stdout);
    pthread_join(thread, NULL);
    return 1;
}

static int tell(void)
{
    board_open(0);
    printf("LOAD nonce=%016llx pid=%d errors=%llu written=%llu passes=%llu beats=%llu "
           "gap_us=%llu now_us=%lld\n",
           (unsigned long long)board->nonce, board->pid, (unsigned long long)board->errors,
           (unsigned long long)board->written, (unsigned long long)board->passes,
           (unsigned long long)board->beats, (unsigned long long)atomic_exchange(&board->gap_us, 0),
           (long long)now_us(CLOCK_REALTIME));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "run") == 0)
        return run(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
    if (argc == 1)
        return tell();
    fprintf(stderr, "load run MIB MBPS | load\n");
    return 1;
}
