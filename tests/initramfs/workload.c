/* SPDX-License-Identifier: MIT */
/*
 * The memory workload of the test ramdisk: what makes a kernel build, change and drop page tables
 * by the thousand, with every byte checked. Prints one line a phase; exits 0 only if all of them
 * held.
 *
 *     workload FORKS DIRECTORY-ON-TMPFS MIB
 *
 * How much memory each phase works on depends on what is free; MIB mebibytes are the most.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096u
#define MIB  (1024ul * 1024ul)

static const char *self;
static const char *phase;
static unsigned long most = ~0ul; /* bytes a phase may work on */

static _Noreturn void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static _Noreturn void fail(const char *fmt, ...)
{
    va_list args;

    printf("PVMM-WORKLOAD-FAILED %s: ", phase);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
    _exit(1);
}

/* Mostly what is not in use, as far as the kernel dares to say. */
static unsigned long free_bytes(void)
{
    unsigned long kib;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "r");

    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        if (sscanf(line, "MemAvailable: %lu", &kib) == 1) {
            fclose(f);
            return kib * 1024;
        }
    fail("no MemAvailable in /proc/meminfo");
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x9e3779b97f4a7c15ull;
    return x ^ x >> 29;
}

/* Every word of a page depends on the page's number and on `salt`. */
static void page_fill(uint64_t *page, uint64_t number, uint64_t salt)
{
    uint64_t x = mix(number * 2654435761u + salt);

    for (unsigned i = 0; i < PAGE / 8; i++)
        page[i] = x += 0x632be59bd9b4e019ull;
}

static int page_is(const uint64_t *page, uint64_t number, uint64_t salt)
{
    uint64_t x = mix(number * 2654435761u + salt);

    for (unsigned i = 0; i < PAGE / 8; i++)
        if (page[i] != (x += 0x632be59bd9b4e019ull))
            return 0;
    return 1;
}

static void fill(uint8_t *base, unsigned long pages, uint64_t salt)
{
    for (unsigned long i = 0; i < pages; i++)
        page_fill((uint64_t *)(base + i * PAGE), i, salt);
}

static void verify(uint8_t *base, unsigned long pages, uint64_t salt, const char *who)
{
    for (unsigned long i = 0; i < pages; i++)
        if (!page_is((uint64_t *)(base + i * PAGE), i, salt))
            fail("%s: page %lu of %lu does not hold what was written", who, i, pages);
}

static uint8_t *map(unsigned long pages)
{
    void *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        fail("mmap of %lu pages: %s", pages, strerror(errno));
    return p;
}

static int wait_code(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) != pid)
        fail("waitpid: %s", strerror(errno));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Processes that replace themselves, eight at a time, each with an exit code of its own. */
static void fork_exec(int count)
{
    enum { BATCH = 8 };
    pid_t pid[BATCH];

    for (int done = 0; done < count; done += BATCH) {
        const int n = count - done < BATCH ? count - done : BATCH;

        for (int i = 0; i < n; i++) {
            char code[16];

            snprintf(code, sizeof(code), "%d", (done + i) % 251);
            pid[i] = fork();
            if (pid[i] == 0) {
                execl(self, "workload-child", code, (char *)NULL);
                _exit(255);
            }
            if (pid[i] < 0)
                fail("fork: %s", strerror(errno));
        }
        for (int i = 0; i < n; i++) {
            const int code = wait_code(pid[i]);

            if (code != (done + i) % 251)
                fail("child %d ended with %d", done + i, code);
        }
    }
    printf("workload: fork-exec %d ok\n", count);
}

static void *volatile trap_page; /* read by the handler */
static volatile sig_atomic_t trapped;

/* A write to a read-only page: count it, and make the page writable again. */
static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)context;
    if ((uintptr_t)info->si_addr / PAGE != (uintptr_t)trap_page / PAGE) {
        signal(sig, SIG_DFL);
        return;
    }
    trapped++;
    mprotect(trap_page, PAGE, PROT_READ | PROT_WRITE);
}

/* Every 16th page must fault once when it is written while read-only. */
static void check_protection(uint8_t *base, unsigned long pages)
{
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    int expected = 0;

    trapped = 0;
    sigaction(SIGSEGV, &sa, NULL);
    if (mprotect(base, pages * PAGE, PROT_READ) != 0)
        fail("mprotect: %s", strerror(errno));
    verify(base, pages, 1, "read-only");
    for (unsigned long i = 0; i < pages; i += 16) {
        volatile uint8_t *byte = base + i * PAGE;

        trap_page = base + i * PAGE;
        *byte = *byte;
        if (trapped != ++expected)
            fail("a write to read-only page %lu went through", i);
    }
    signal(SIGSEGV, SIG_DFL);
    if (mprotect(base, pages * PAGE, PROT_READ | PROT_WRITE) != 0)
        fail("mprotect back: %s", strerror(errno));
}

static void map_protect_unmap(unsigned long pages)
{
    uint8_t *base = map(pages);

    fill(base, pages, 1);
    check_protection(base, pages);
    verify(base, pages, 1, "after mprotect");
    for (unsigned long i = 0; i < pages; i += 2) /* every other page goes, and comes back empty */
        if (munmap(base + i * PAGE, PAGE) != 0)
            fail("munmap: %s", strerror(errno));
    for (unsigned long i = 0; i < pages; i += 2) {
        const uint64_t *p = mmap(base + i * PAGE, PAGE, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

        if (p == MAP_FAILED)
            fail("mmap of one page: %s", strerror(errno));
        if (p[0] != 0 || p[PAGE / 8 - 1] != 0)
            fail("new page %lu is not empty", i);
    }
    for (unsigned long i = 1; i < pages; i += 2)
        if (!page_is((uint64_t *)(base + i * PAGE), i, 1))
            fail("page %lu changed when its neighbours went", i);
    munmap(base, pages * PAGE);
    printf("workload: mmap-mprotect-munmap %lu pages ok\n", pages);
}

/* Both sides write after fork(), and neither may see the other's. */
static void copy_on_write(unsigned long pages)
{
    uint8_t *base = map(pages);
    pid_t pid;
    int code;

    fill(base, pages, 2);
    fflush(stdout);
    pid = fork();
    if (pid < 0)
        fail("fork: %s", strerror(errno));
    if (pid == 0) {
        verify(base, pages, 2, "child before writing");
        fill(base, pages, 3);
        verify(base, pages, 3, "child after writing");
        _exit(0);
    }
    for (unsigned long i = 0; i < pages; i += 3)
        page_fill((uint64_t *)(base + i * PAGE), i, 4);
    code = wait_code(pid);
    if (code != 0)
        fail("the child ended with %d", code);
    for (unsigned long i = 0; i < pages; i++)
        if (!page_is((uint64_t *)(base + i * PAGE), i, i % 3 == 0 ? 4 : 2))
            fail("parent: page %lu does not hold what was written", i);
    munmap(base, pages * PAGE);
    printf("workload: copy-on-write %lu pages ok\n", pages);
}

static uint64_t write_file(int fd, unsigned long bytes)
{
    static uint64_t block[PAGE * 16 / 8];
    uint64_t sum = 0;

    for (unsigned long at = 0; at < bytes; at += sizeof(block)) {
        for (unsigned i = 0; i < 16; i++)
            page_fill(block + i * PAGE / 8, at / PAGE + i, 5);
        if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
            fail("write at %lu: %s", at, strerror(errno));
        for (unsigned i = 0; i < sizeof(block) / 8; i++)
            sum = (sum << 1 | sum >> 63) ^ block[i];
    }
    return sum;
}

static uint64_t checksum(int fd)
{
    static uint64_t block[PAGE * 16 / 8];
    uint64_t sum = 0;
    ssize_t n;

    lseek(fd, 0, SEEK_SET);
    while ((n = read(fd, block, sizeof(block))) > 0)
        for (unsigned i = 0; i < (size_t)n / 8; i++)
            sum = (sum << 1 | sum >> 63) ^ block[i];
    if (n < 0)
        fail("read: %s", strerror(errno));
    return sum;
}

static void tmpfs_file(const char *directory)
{
    const unsigned long quarter = free_bytes() / 4 / (16 * PAGE) * (16 * PAGE);
    const unsigned long bytes = quarter < most ? quarter : most;
    uint64_t written, first, second;
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/workload", directory);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        fail("%s: %s", path, strerror(errno));
    written = write_file(fd, bytes);
    first = checksum(fd);
    second = checksum(fd);
    if (first != second || first != written)
        fail("checksums %016llx, %016llx, written %016llx", (unsigned long long)first,
             (unsigned long long)second, (unsigned long long)written);
    close(fd);
    unlink(path);
    printf("workload: tmpfs-file %lu KiB checksum %016llx ok\n", bytes / 1024,
           (unsigned long long)first);
}

/* A 32nd of what is free, between 1 and 32 MiB: enough for many tables, and no one goes hungry. */
static unsigned long some_pages(void)
{
    unsigned long bytes = free_bytes() / 32;

    if (bytes < 1 * MIB)
        bytes = 1 * MIB;
    if (bytes > 32 * MIB)
        bytes = 32 * MIB;
    if (bytes > most)
        bytes = most;
    return bytes / PAGE;
}

int main(int argc, char **argv)
{
    const int forks = argc > 1 ? atoi(argv[1]) : 200;

    if (strcmp(argv[0], "workload-child") == 0)
        return forks;
    if (argc > 3)
        most = strtoul(argv[3], NULL, 10) * MIB;
    setvbuf(stdout, NULL, _IOLBF, 0);
    self = "/proc/self/exe";
    phase = "fork-exec";
    fork_exec(forks);
    phase = "mmap-mprotect-munmap";
    map_protect_unmap(some_pages());
    phase = "copy-on-write";
    copy_on_write(some_pages());
    phase = "tmpfs-file";
    tmpfs_file(argc > 2 ? argv[2] : "/tmp");
    printf("PVMM-WORKLOAD-OK\n");
    return 0;
}
