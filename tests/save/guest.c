/* SPDX-License-Identifier: MIT */
/*
 * What runs in a guest that is saved and restored: work that never ends, each part of which would
 * notice a lost page, a lost process, a lost wakeup, or time that went back. An error is a line
 * SAVE-ERROR on the console at once, and a count that never goes away.
 *
 *     workload run [MIB]  start everything, say SAVE-READY, and stay
 *     workload status     one line: who lives, and how far each part has come
 *
 * Everything is told by way of one shared page, the file BOARD.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guestprog.h"

#define BOARD "/tmp/board"
#define SLICE 64u /* pages between two short sleeps of the summer */

enum part { SUMMER, TREE, FORKER, PING, PONG, TIMERS, ALARMS, PARTS };
enum { TREE_DEPTH = 3, TREE_LEAVES = 1 << TREE_DEPTH, TREE_NODES = 2 * TREE_LEAVES - 1 };

static const char *const part_name[PARTS] = {"summer", "tree",   "forker", "ping",
                                             "pong",   "timers", "alarms"};

struct board {
    uint64_t nonce; /* made once, at boot */
    pid_t pid[PARTS];
    pid_t node[TREE_NODES];
    _Atomic uint64_t count[PARTS];
    _Atomic uint64_t passes; /* of the summer over all its memory */
    _Atomic uint64_t errors;
    _Atomic uint64_t late_us; /* the latest that a timer was */
    _Atomic uint32_t ball;    /* futex of ping and pong */
};

static struct board *board;

static void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void complain(const char *format, ...)
{
    char line[256];
    va_list args;
    int n = snprintf(line, sizeof(line), "SAVE-ERROR pid %d: ", getpid());

    board->errors++;
    va_start(args, format);
    n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, args);
    va_end(args);
    if (n > (int)sizeof(line) - 2)
        n = sizeof(line) - 2;
    line[n++] = '\n';
    if (write(STDOUT_FILENO, line, (size_t)n) != n)
        _exit(3);
}

static _Noreturn void die(const char *what)
{
    complain("%s: %s", what, strerror(errno));
    _exit(2);
}

/* For a process whose children are not to end. */
static _Noreturn void stay(const char *who)
{
    for (;;) {
        int status;
        const pid_t gone = waitpid(-1, &status, 0);

        if (gone < 0)
            die("nobody is left");
        complain("%s: process %d ended with status %#x", who, gone, (unsigned)status);
    }
}

/* the summer: every page is always of one round or, one of them, half way into the next */

static uint64_t page_seed(uint64_t number, uint64_t round)
{
    return mix(board->nonce ^ mix(number * 0x100000001b3ull + round));
}

/* Checks each word of the old round as it is replaced by the new one's. */
static void page_turn(volatile uint64_t *page, uint64_t number, uint64_t round)
{
    uint64_t old = page_seed(number, round), new = page_seed(number, round + 1);
    unsigned wrong = 0, first = 0;

    for (unsigned i = 0; i < WORDS; i++) {
        old += 0x632be59bd9b4e019ull;
        new += 0x632be59bd9b4e019ull;
        if (page[i] != old && wrong++ == 0)
            first = i;
        page[i] = new;
    }
    if (wrong != 0)
        complain("page %lu of round %lu: %u words are wrong, the first is %u",
                 (unsigned long)number, (unsigned long)round, wrong, first);
}

static void page_start(volatile uint64_t *page, uint64_t number)
{
    uint64_t x = page_seed(number, 0);

    for (unsigned i = 0; i < WORDS; i++)
        page[i] = x += 0x632be59bd9b4e019ull;
}

static void summer(unsigned long mib)
{
    const unsigned long pages = mib * MIB / PAGE;
    uint64_t *memory =
        mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        die("mmap of the sums");
    for (unsigned long i = 0; i < pages; i++)
        page_start(memory + i * WORDS, i);
    for (uint64_t round = 0;; round++, board->passes++)
        for (unsigned long i = 0; i < pages; i++) {
            page_turn(memory + i * WORDS, i, round);
            if (++board->count[SUMMER] % SLICE == 0)
                rest_us(4000);
        }
}

/* the tree: a token goes round the leaves, in a pipe from each to the next; everybody above
 *     waits for a child that must not end */

static int ring[TREE_LEAVES][2];

static _Noreturn void leaf(unsigned number)
{
    const int in = ring[number][0], out = ring[(number + 1) % TREE_LEAVES][1];
    uint64_t token, expect = number;

    if (number == 0 && (token = 0, write(out, &(uint64_t){1}, 8)) == 8)
        expect = TREE_LEAVES;
    for (;; expect += TREE_LEAVES) {
        if (read(in, &token, 8) != 8)
            die("the token is lost");
        if (token != expect)
            complain("leaf %u got token %lu, not %lu", number, (unsigned long)token,
                     (unsigned long)expect);
        board->count[TREE]++;
        rest_us(5000);
        if (write(out, &(uint64_t){token + 1}, 8) != 8)
            die("the token cannot go on");
    }
}

static pid_t tree_child(void)
{
    const pid_t pid = fork();

    if (pid < 0)
        die("fork of the tree");
    return pid;
}

/* Nodes are numbered as in a heap: the children of n are 2n + 1 and 2n + 2. */
static void tree(unsigned long unused)
{
    unsigned node = 0;

    (void)unused;
    for (unsigned i = 0; i < TREE_LEAVES; i++)
        if (pipe(ring[i]) != 0)
            die("pipe");
    for (;;) {
        board->node[node] = getpid();
        if (node >= TREE_LEAVES - 1)
            leaf(node - (TREE_LEAVES - 1));
        if (tree_child() == 0)
            node = 2 * node + 1;
        else if (tree_child() == 0)
            node = 2 * node + 2;
        else
            stay("the tree");
    }
}

/* the forker: children that end with what they were told */

static void forker(unsigned long unused)
{
    (void)unused;
    for (uint64_t n = 0;; n++) {
        uint64_t *own =
            mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        const int code = (int)(n % 200);
        int status;
        pid_t pid;

        if (own == MAP_FAILED)
            die("mmap of the forker");
        page_start(own, n);
        pid = fork();
        if (pid == 0) {
            page_turn(own, n, 0);
            rest_us(3000);
            page_turn(own, n, 1);
            _exit(code);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
            die("fork of the forker");
        if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
            complain("child %lu ended with status %#x", (unsigned long)n, (unsigned)status);
        page_turn(own, n, 0); /* the child wrote to its own */
        munmap(own, 16 * PAGE);
        board->count[FORKER]++;
        rest_us(30000);
    }
}

/* ping and pong: a futex that says whose turn it is */

static void play(enum part who)
{
    const uint32_t mine = who == PONG;

    for (uint32_t last = mine;; last += 2) {
        uint32_t ball;

        while ((ball = board->ball) != last)
            if (ball % 2 == mine || (int32_t)(ball - last) > 0) {
                complain("%s: the ball is at %u, not %u", part_name[who], ball, last);
                rest_us(1000000);
            } else {
                syscall(SYS_futex, &board->ball, FUTEX_WAIT, ball, NULL, NULL, 0);
            }
        board->count[who]++;
        rest_us(5000);
        board->ball = last + 1;
        syscall(SYS_futex, &board->ball, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
}

static void ping(unsigned long unused)
{
    (void)unused;
    play(PING);
}

static void pong(unsigned long unused)
{
    (void)unused;
    play(PONG);
}

/* timers: never early, and no clock goes back */

static void lateness(const char *what, int64_t us)
{
    uint64_t most = board->late_us;

    if (us < 0)
        complain("%s was %ld us early", what, (long)-us);
    while (us > 0 && (uint64_t)us > most &&
           !atomic_compare_exchange_weak(&board->late_us, &most, us))
        ;
}

static void timers(unsigned long unused)
{
    const int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    int64_t last = now_us(CLOCK_MONOTONIC);

    (void)unused;
    if (fd < 0)
        die("timerfd");
    for (;;) {
        const struct itimerspec in = {.it_value.tv_nsec = 20000000};
        int64_t start = now_us(CLOCK_MONOTONIC), end;
        uint64_t times;

        if (start < last)
            complain("the monotonic clock went back by %ld us", (long)(last - start));
        rest_us(20000);
        end = now_us(CLOCK_MONOTONIC);
        lateness("nanosleep", end - start - 20000);
        start = now_us(CLOCK_MONOTONIC);
        timerfd_settime(fd, 0, &in, NULL);
        if (read(fd, &times, 8) != 8 || times != 1)
            die("read of a timerfd");
        last = now_us(CLOCK_MONOTONIC);
        lateness("timerfd", last - start - 20000);
        board->count[TIMERS]++;
    }
}

/* An interval timer's signals: each in its time, the sum never ahead of the clock. */
static void alarms(unsigned long unused)
{
    const struct itimerval every = {{0, 50000}, {0, 50000}};
    const int64_t start = now_us(CLOCK_MONOTONIC);
    sigset_t set;

    (void)unused;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
    for (int64_t n = 1;; n++) {
        int signal;

        sigwait(&set, &signal);
        if (now_us(CLOCK_MONOTONIC) - start < n * 50000)
            complain("alarm %ld came early", (long)n);
        board->count[ALARMS]++;
    }
}

static void board_open(int flags)
{
    const int fd = open(BOARD, O_RDWR | flags, 0600);

    if (fd < 0 || (flags != 0 && ftruncate(fd, sizeof(*board)) != 0)) {
        perror(BOARD);
        exit(1);
    }
    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (board == MAP_FAILED) {
        perror(BOARD);
        exit(1);
    }
    close(fd);
}

static int run(unsigned long mib)
{
    static void (*const work[PARTS])(unsigned long) = {summer, tree,   forker, ping,
                                                       pong,   timers, alarms};

    board_open(O_CREAT | O_EXCL);
    if (getrandom(&board->nonce, sizeof(board->nonce), GRND_INSECURE) != sizeof(board->nonce))
        die("getrandom");
    for (int i = 0; i < PARTS; i++) {
        const pid_t pid = fork();

        if (pid == 0) {
            work[i](mib);
            _exit(0);
        }
        if (pid < 0)
            die("fork");
        board->pid[i] = pid;
    }
    while (board->passes == 0)
        rest_us(20000);
    printf("SAVE-READY nonce=%016llx\n", (unsigned long long)board->nonce);
    fflush(stdout);
    stay("all");
}

static int status_line(void)
{
    unsigned alive = 0;

    board_open(0);
    for (int i = 0; i < PARTS; i++)
        alive += kill(board->pid[i], 0) == 0;
    for (int i = 0; i < TREE_NODES; i++)
        alive += kill(board->node[i], 0) == 0;
    printf("STATUS nonce=%016llx shell=%d alive=%u of=%d errors=%llu passes=%llu late_us=%llu",
           (unsigned long long)board->nonce, getppid(), alive, PARTS + TREE_NODES,
           (unsigned long long)board->errors, (unsigned long long)board->passes,
           (unsigned long long)board->late_us);
    printf(" uptime_ms=%lld pids=", (long long)now_us(CLOCK_MONOTONIC) / 1000);
    for (int i = 0; i < PARTS; i++)
        printf("%d,", board->pid[i]);
    for (int i = 0; i < TREE_NODES; i++)
        printf("%d%s", board->node[i], i + 1 < TREE_NODES ? "," : "");
    for (int i = 0; i < PARTS; i++)
        printf(" %s=%llu", part_name[i], (unsigned long long)board->count[i]);
    printf("\n");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "run") == 0)
        return run(argc > 2 ? strtoul(argv[2], NULL, 10) : 64);
    if (argc > 1 && strcmp(argv[1], "status") == 0)
        return status_line();
    fprintf(stderr, "workload run [MIB] | workload status\n");
    return 1;
}
