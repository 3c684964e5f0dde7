/* SPDX-License-Identifier: MIT */
/*
 * Images cut short and damaged at random, each opened and asked everything (ask.c). A case that
 * ends the process, takes more than ten seconds of a CPU, or memory beyond the bound is a failure,
 * named by its number: the same seed and number make the same case again. Usage: see usage().
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "damage.h"
#include "kinds.h"

#define FIRST_MIB    (1ull << 20)
#define STEP         4096u
#define CUTS_RANDOM  1000u
#define MARGIN       (64ull << 20)
#define FAILURES_MAX 20u
#define SPARSE       15u
#define WAIT_SECONDS 120u

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED false
#endif

/* Of a CPU's time: what else the machine has to do does not count. */
#define CPU_SECONDS (SANITIZED ? 20 : 10)

struct options {
    uint64_t seed, cases, only; /* only: that case alone; ~0: all */
    double seconds;             /* of each image's mutations; 0: no limit */
    const char *kind;           /* only the kind of that name; NULL: all */
};

/* What the processes that try the cases leave behind. */
struct tally {
    uint64_t next; /* the case that is tried after the one that is tried now */
    uint64_t cut, opened, refused, partial, cut_silently;
    uint64_t peak, slowest_case;
    double slowest;
    char reason[512]; /* of a failure that the case itself noticed */
};

struct run {
    const struct options *o;
    const struct kind *kind; /* NULL: a file */
    const char *name;
    int fd;
    char path[64];
    uint8_t *map, *pristine;
    uint64_t bytes, frames;
    struct targets targets;
    uint64_t *cut; /* descending */
    uint64_t cuts, failures;
    double begun;
    struct tally *tally;
};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "mutate: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* ---- one case */

static uint64_t status_bytes(const char *field)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, field, strlen(field)) == 0)
            sscanf(line + strlen(field), ": %llu", &kib);
    if (f)
        fclose(f);
    return kib << 10;
}

static uint64_t peak_bytes(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (uint64_t)r.ru_maxrss << 10;
}

static bool failed(struct tally *t, const char *reason)
{
    snprintf(t->reason, sizeof(t->reason), "%s", reason);
    return false;
}

/* false: it fails; why is in the tally. */
static bool try(const struct run *r, uint64_t number)
{
    struct pv_view *v = NULL;
    struct pv_error e = {""};
    struct tally *t = r->tally;
    if (kind_open(r->kind, &v, r->path, &e)) {
        t->refused++;
        if (strstr(e.text, "out of memory"))
            return failed(t, e.text);
        return e.text[0] ? true : failed(t, "refused without a reason");
    }
    t->opened++;
    t->partial += v->lost[0] != 0;
    t->cut_silently += number < r->cuts && !v->lost[0];
    ask_at_turn(v, number);
    pv_close(v);
    return true;
}

static void prepare(const struct run *r, uint64_t number, struct undo *u)
{
    if (number < r->cuts) {
        r->tally->cut++;
        if (ftruncate(r->fd, (off_t)r->cut[number]))
            die("ftruncate");
        return;
    }
    uint64_t seed = r->o->seed * 0x100000001b3ull + number;
    damage(&r->targets, damage_random(&seed), u);
}

static void restore(const struct run *r)
{
    if (ftruncate(r->fd, (off_t)r->bytes))
        die("ftruncate");
    memcpy(r->map, r->pristine, r->bytes);
}

static bool time_is_up(const struct run *r, uint64_t number)
{
    return r->o->seconds > 0 && number >= r->cuts && seconds() - r->begun > r->o->seconds;
}

/* When time is short most cuts are left out, and all when half of it is gone. */
static bool is_left_out(const struct run *r, uint64_t number)
{
    return r->o->seconds > 0 && number < r->cuts &&
           (number % SPARSE != 0 || seconds() - r->begun > r->o->seconds / 2);
}

/* What all the guest's frames, the file's pages (mapped twice) and the library itself may take. */
static uint64_t bound(const struct run *r)
{
    return MARGIN + 16 * r->frames + 3 * r->bytes + (SANITIZED ? 8 * MARGIN : 0);
}

static void limit_memory(const struct run *r)
{
    uint64_t most = status_bytes("VmSize") + 4 * bound(r);
    struct rlimit l = {most, most};
    if (!SANITIZED && setrlimit(RLIMIT_AS, &l))
        die("setrlimit");
}

static void measure(struct tally *t, uint64_t number, double begun)
{
    double took = cpu_seconds() - begun;
    if (took > t->slowest) {
        t->slowest = took;
        t->slowest_case = number;
    }
    if (peak_bytes() > t->peak)
        t->peak = peak_bytes();
}

/* 0 seconds: no limit any more. */
static void limit_time(unsigned cpu, unsigned wait)
{
    struct itimerval t = {.it_value.tv_sec = cpu};
    if (setitimer(ITIMER_PROF, &t, NULL))
        die("setitimer");
    alarm(wait);
}

/* A process of its own: tries cases until one fails. */
static void try_cases(const struct run *r)
{
    static struct undo undo;
    struct tally *t = r->tally;
    uint64_t most = status_bytes("VmRSS") + bound(r), last = r->cuts + r->o->cases;
    limit_memory(r);
    for (uint64_t number = t->next; number < last && !time_is_up(r, number); number++) {
        t->next = number + 1;
        if (is_left_out(r, number))
            continue;
        if (number == r->cuts)
            restore(r);
        undo.n = 0;
        prepare(r, number, &undo);
        limit_time(CPU_SECONDS, WAIT_SECONDS);
        double begun = cpu_seconds();
        bool good = try(r, number);
        limit_time(0, 0);
        measure(t, number, begun);
        damage_undo(&r->targets, &undo);
        if (good && peak_bytes() > most)
            good = failed(t, "memory beyond the bound");
        if (!good)
            _exit(3);
    }
    _exit(0);
}

/* ---- all of them */

static void tell_failure(struct run *r, int status)
{
    uint64_t number = r->tally->next - 1;
    char how[64] = "";
    const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (signal)
        snprintf(how, sizeof(how), "%s",
                 signal == SIGPROF || signal == SIGALRM ? "hangs" : strsignal(signal));
    else
        snprintf(how, sizeof(how), "exit code %d", WEXITSTATUS(status));
    if (number < r->cuts)
        printf("FAILED: %s, cut to %llu bytes: %s %s\n", r->name,
               (unsigned long long)r->cut[number], how, r->tally->reason);
    else
        printf("FAILED: %s, seed %llu, case %llu: %s %s\n", r->name, (unsigned long long)r->o->seed,
               (unsigned long long)number, how, r->tally->reason);
    r->tally->reason[0] = 0;
    r->failures++;
}

static bool run_process(struct run *r)
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0)
        try_cases(r);
    if (waitpid(child, &status, 0) != child)
        die("waitpid");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return false;
    tell_failure(r, status);
    restore(r);
    return r->failures < FAILURES_MAX;
}

static int descending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Every step of the first MiB, and anywhere. */
static void choose_cuts(struct run *r)
{
    uint64_t seed = r->o->seed;
    r->cut = calloc(FIRST_MIB / STEP + CUTS_RANDOM, sizeof(*r->cut));
    if (!r->cut)
        die("calloc");
    for (uint64_t at = 0; at < FIRST_MIB && at < r->bytes; at += STEP)
        r->cut[r->cuts++] = at;
    for (unsigned i = 0; i < CUTS_RANDOM; i++)
        r->cut[r->cuts++] = damage_random(&seed) % r->bytes;
    qsort(r->cut, r->cuts, sizeof(*r->cut), descending);
}

static void map_image(struct run *r)
{
    struct stat st;
    if (fstat(r->fd, &st) || st.st_size == 0)
        die(r->name);
    r->bytes = (uint64_t)st.st_size;
    snprintf(r->path, sizeof(r->path), "/proc/self/fd/%d", r->fd);
    r->map = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
    r->pristine = malloc(r->bytes);
    r->tally =
        mmap(NULL, sizeof(*r->tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (r->map == MAP_FAILED || !r->pristine || r->tally == MAP_FAILED)
        die("no memory for the image");
    memcpy(r->pristine, r->map, r->bytes);
}

/* false: not even the undamaged image opens. */
static bool look_at_it(struct run *r)
{
    struct pv_view *v = NULL;
    struct pv_error e;
    if (kind_open(r->kind, &v, r->path, &e)) {
        printf("FAILED: %s does not open undamaged: %s\n", r->name, e.text);
        return false;
    }
    r->frames = v->nr_pages;
    damage_find_targets(&r->targets, r->kind && r->kind->packed ? NULL : v, r->map, r->bytes);
    pv_close(v);
    return true;
}

static void report(const struct run *r)
{
    const struct tally *t = r->tally;
    uint64_t mutated = t->next > r->cuts ? t->next - r->cuts : 0;
    printf("%s (%llu KB, seed %llu): %llu cut short, %llu mutated in %.1f s; %llu opened, of them "
           "%llu partial and %llu cut without a word, %llu refused; slowest %.0f ms (case %llu), "
           "peak %llu MB; %llu failed\n",
           r->name, (unsigned long long)r->bytes >> 10, (unsigned long long)r->o->seed,
           (unsigned long long)t->cut, (unsigned long long)mutated, seconds() - r->begun,
           (unsigned long long)t->opened, (unsigned long long)t->partial,
           (unsigned long long)t->cut_silently, (unsigned long long)t->refused, t->slowest * 1000,
           (unsigned long long)t->slowest_case, (unsigned long long)t->peak >> 20,
           (unsigned long long)r->failures);
    fflush(stdout);
}

static void let_go(struct run *r)
{
    damage_free_targets(&r->targets);
    free(r->cut);
    free(r->pristine);
    munmap(r->map, r->bytes);
    munmap(r->tally, sizeof(*r->tally));
    close(r->fd);
}

/* Takes `fd` over, a file in memory. Returns the number of failures. */
static uint64_t run(const struct options *o, const struct kind *k, const char *name, int fd)
{
    struct run r = {.o = o, .kind = k, .name = name, .fd = fd};
    map_image(&r);
    if (!look_at_it(&r))
        return 1;
    choose_cuts(&r);
    r.begun = seconds();
    r.tally->next = o->only != ~0ull ? o->only : 0;
    struct options one = *o;
    if (o->only != ~0ull) {
        one.cases = o->only >= r.cuts ? o->only - r.cuts + 1 : 0;
        r.o = &one;
    }
    while (run_process(&r))
        ;
    report(&r);
    let_go(&r);
    return r.failures;
}

/* ---- the command */

static int copy_into_memory(const char *path)
{
    struct stat st;
    int from = open(path, O_RDONLY | O_CLOEXEC), to = memfd_create("image", MFD_CLOEXEC);
    if (from < 0 || to < 0 || fstat(from, &st))
        die(path);
    static uint8_t part[1 << 20];
    for (ssize_t n; (n = read(from, part, sizeof(part))) != 0;)
        if (n < 0 || write(to, part, (size_t)n) != n)
            die(path);
    close(from);
    return to;
}

static int usage(void)
{
    fprintf(
        stderr,
        "usage: mutate [--seed N] [--cases N] [--seconds N] [--case N] [--kind NAME] [FILE...]\n"
        "Without files: images that are made up, one of each kind. --seconds: after\n"
        "so long, in equal parts for all images, no more cases are tried; --case: that\n"
        "one alone; --kind: of these images that one.\n");
    return 2;
}

static bool take_option(struct options *o, const char *name, const char *value)
{
    if (strcmp(name, "--seed") == 0)
        o->seed = strtoull(value, NULL, 0);
    else if (strcmp(name, "--cases") == 0)
        o->cases = strtoull(value, NULL, 0);
    else if (strcmp(name, "--case") == 0)
        o->only = strtoull(value, NULL, 0);
    else if (strcmp(name, "--kind") == 0)
        o->kind = value;
    else if (strcmp(name, "--seconds") == 0)
        o->seconds = strtod(value, NULL);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    struct options o = {.seed = 1, .cases = 100000, .only = ~0ull};
    uint64_t failures = 0;
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i += 2)
        if (i + 1 >= argc || !take_option(&o, argv[i], argv[i + 1]))
            return usage();
    o.seconds /= i < argc ? argc - i : o.kind ? 1 : (int)nr_kinds;
    if (i == argc)
        for (unsigned k = 0; k < nr_kinds; k++)
            if (!o.kind || strcmp(o.kind, kinds[k].name) == 0)
                failures += run(&o, &kinds[k], kinds[k].name, kinds[k].make());
    for (; i < argc; i++)
        failures += run(&o, NULL, argv[i], copy_into_memory(argv[i]));
    return failures ? 1 : 0;
}
