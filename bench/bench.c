/* SPDX-License-Identifier: MIT */
/*
 * What a kernel's memory work costs, seen from a process, which is the ramdisk's init and all there
 * is on it. One line `BENCH ROW NANOSECONDS` a row, for each part of its work; `BENCH-TSC` is the
 * time stamp counter at the start of init. Each row is measured several times and the median
 * printed, since a timer tick may fall into any. Under QEMU's -icount shift=0 a nanosecond, and a
 * tick of the counter, is one instruction of the whole machine since its power-on.
 *
 * A row's name as the only argument runs that row alone, and `none` none at all. `BENCH-PARTS` then
 * says in how many parts the work was done, warm-up included: what the whole machine counted, less
 * what it counts in a run of `none`, is to be divided by them.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE        4096ul
#define MIB         (1024ul * 1024ul)
#define TOUCHED     (32 * MIB)
#define PROTECTED   (4 * MIB)
#define COPIED      (4 * MIB)
#define ROUNDS      9
#define SYSCALLS    20000
#define FORKS       20
#define EXECS       10
#define ROUND_TRIPS 500

#define SELF "/init"

static _Noreturn void fail(const char *what)
{
    printf("BENCH-FAILED %s\n", what);
    fflush(stdout);
    reboot(RB_POWER_OFF);
    _exit(1);
}

static void *new_memory(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        fail("mmap");
    return p;
}

static void touch(char *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += PAGE)
        ((volatile char *)p)[i] = 1;
}

static void await(pid_t child)
{
    int status;

    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        fail("child");
}

/* ---- the rows: each does its work once and returns in how many parts */

static unsigned null_syscall(void)
{
    for (unsigned i = 0; i < SYSCALLS; i++)
        syscall(SYS_getppid);
    return SYSCALLS;
}

static unsigned fork_exit(void)
{
    for (unsigned i = 0; i < FORKS; i++) {
        const pid_t child = fork();

        if (child == 0)
            _exit(0);
        await(child);
    }
    return FORKS;
}

static unsigned fork_exec(void)
{
    char *const argv[] = {SELF, "exit", NULL};
    char *const envp[] = {NULL};

    for (unsigned i = 0; i < EXECS; i++) {
        const pid_t child = fork();

        if (child == 0) {
            execve(SELF, argv, envp);
            _exit(1);
        }
        await(child);
    }
    return EXECS;
}

static unsigned mmap_touch(void)
{
    char *p = new_memory(TOUCHED);

    touch(p, TOUCHED);
    if (munmap(p, TOUCHED) != 0)
        fail("munmap");
    return TOUCHED / PAGE;
}

static char *protected;

/* There and back: two changes a page. */
static unsigned protect(void)
{
    if (mprotect(protected, PROTECTED, PROT_READ) != 0 ||
        mprotect(protected, PROTECTED, PROT_READ | PROT_WRITE) != 0)
        fail("mprotect");
    return 2 * PROTECTED / PAGE;
}

static char *copied;

static unsigned fork_copy(void)
{
    const pid_t child = fork();

    if (child == 0) {
        touch(copied, COPIED);
        _exit(0);
    }
    await(child);
    return 1;
}

static int ping[2], pong[2];

static void echo_pings(void)
{
    char c;

    while (read(ping[0], &c, 1) == 1 && c == 'p')
        if (write(pong[1], &c, 1) != 1)
            _exit(1);
    _exit(0);
}

static unsigned pipe_ping_pong(void)
{
    char c = 'p';

    for (unsigned i = 0; i < ROUND_TRIPS; i++)
        if (write(ping[1], &c, 1) != 1 || read(pong[0], &c, 1) != 1)
            fail("pipe");
    return ROUND_TRIPS;
}

/* ---- measuring */

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The row to be measured alone; NULL: all. */
static const char *only;

static bool wanted(const char *name)
{
    return only == NULL || strcmp(only, name) == 0;
}

static void row(const char *name, unsigned (*work)(void))
{
    double each[ROUNDS];
    unsigned all;

    if (!wanted(name))
        return;
    all = work(); /* what is done once only: not timed */
    for (unsigned i = 0; i < ROUNDS; i++) {
        const uint64_t start = now();
        const unsigned parts = work();

        each[i] = (double)(now() - start) / parts;
        all += parts;
    }
    qsort(each, ROUNDS, sizeof(each[0]), by_value);
    if (only != NULL)
        printf("BENCH-PARTS %u\n", all);
    printf("BENCH %s %.1f\n", name, each[ROUNDS / 2]);
    fflush(stdout);
}

static void pipe_row(void)
{
    pid_t child;

    if (!wanted("pipe-ping-pong"))
        return;
    if (pipe(ping) != 0 || pipe(pong) != 0)
        fail("pipe");
    child = fork();
    if (child == 0) {
        close(ping[1]);
        echo_pings();
    }
    row("pipe-ping-pong", pipe_ping_pong);
    if (write(ping[1], "q", 1) != 1)
        fail("pipe");
    await(child);
}

int main(int argc, char **argv)
{
    const uint64_t start = __builtin_ia32_rdtsc();

    if (argc == 2 && strcmp(argv[1], "exit") == 0)
        return 0;
    if (argc == 2) /* the kernel passes on what it does not know itself */
        only = argv[1];
    printf("BENCH-TSC %llu\n", (unsigned long long)start);
    fflush(stdout);
    row("null-syscall", null_syscall);
    row("fork-exit", fork_exit);
    row("fork-exec", fork_exec);
    row("mmap-touch-munmap", mmap_touch);
    protected = new_memory(PROTECTED);
    touch(protected, PROTECTED);
    row("mprotect", protect);
    munmap(protected, PROTECTED);
    copied = new_memory(COPIED);
    touch(copied, COPIED);
    row("fork-copy-on-write", fork_copy);
    munmap(copied, COPIED);
    pipe_row();
    printf("BENCH-DONE\n");
    fflush(stdout);
    reboot(RB_POWER_OFF);
    return 1;
}
