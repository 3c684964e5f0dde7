/* SPDX-License-Identifier: MIT */
/*
 * Random requests by several vCPUs against a small world. The core's oracle runs after every step,
 * an independent scan every so often; in the end every frame must be free.
 *
 * A step is one call into the core. A request that asks to be restarted takes several steps, with
 * other vCPUs' requests in between, and may also be abandoned half-way.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"
#include "internal.h"

#define SCAN_EVERY     256   /* steps between independent scans */
#define PHASE_STEPS    4096  /* steps between changes of mood: how often the core must pause */
#define LIKES_STEPS    16384 /* steps between changes of what frames are meant for */
#define REBUILD_ONE_IN 8     /* phases between the death of a domain, on average */

static struct world the_world;
static struct run the_run = {.w = &the_world};

struct options {
    uint64_t seed, operations, world, replay;
    bool quiet;
};
static struct options options = {.seed = 1, .operations = 100000, .world = 40};

static void print_history(FILE *f)
{
    const struct run *r = &the_run;
    fprintf(f, "seed %" PRIu64 ", step %" PRIu64 ", operation %" PRIu64 "; the last of them:\n",
            r->seed, r->steps, r->operations);
    for (unsigned i = 0; i < HISTORY; i++) {
        const struct past *p = &r->past[(r->steps + 1 + i) % HISTORY];
        if (p->phase)
            print_request(f, p);
    }
    fprintf(f,
            "replay: random-core --seed %" PRIu64 " --ops %" PRIu64 " --world %" PRIu64
            " --replay %" PRIu64 "\n",
            r->seed, options.operations, options.world, r->steps);
}

_Noreturn static void fail(const char *what)
{
    world_print_audit(&the_world.audit);
    if (options.replay)
        world_print_frames(&the_world);
    fprintf(stderr, "FAILED: %s\n", what);
    print_history(stderr);
    _exit(1);
}

/* An assertion or the watchdog: nothing may be trusted, but the history is worth a try. */
static void on_signal(int sig)
{
    fprintf(stderr, "FAILED: %s\n", sig == SIGALRM ? "the core does not return" : "aborted");
    print_history(stderr);
    _exit(1);
}

/* So that what the sanitizers find comes with the history, too. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *__asan_default_options(void)
{
    return "abort_on_error=1";
}

const char *__ubsan_default_options(void)
{
    return "abort_on_error=1:print_stacktrace=1";
}

/* ---- overflow: a frame's counters are raised for the time of one step */

struct raised {
    mfn_t m;
    uint64_t holds, uses;
    struct core_vcpu vcpu; /* someone without a place in the world holds them */
};

static void raise_counters(struct run *r, struct raised *x, unsigned domain)
{
    struct core *c = &r->w->core;
    x->m = NO_MFN;
    if (world_below(r->w, 50))
        return;
    mfn_t m = choose_owned(r, domain);
    x->vcpu = (struct core_vcpu){.domain = &r->w->domain[domain]};
    if (!ref_get(c, &x->vcpu, x->vcpu.domain, m))
        return;
    x->m = m;
    uint64_t use = load_use(c, m);
    x->uses = 0;
    if (use_count(use) > 0 && (use & USE_VALIDATED) && world_below(r->w, 2)) {
        frame_at(c, m)->use += 1;
        x->uses = USE_COUNT - use_count(use) - 1 - world_below(r->w, 3);
        frame_at(c, m)->use += x->uses;
    }
    x->holds = HOLD_COUNT_MAX - hold_count(load_hold(c, m)) - world_below(r->w, 3);
    frame_at(c, m)->hold += x->holds;
}

static void lower_counters(struct run *r, struct raised *x)
{
    struct core *c = &r->w->core;
    if (mfn_eq(x->m, NO_MFN))
        return;
    enum pause_mode mode = r->w->pause;
    r->w->pause = PAUSE_NEVER;
    frame_at(c, x->m)->hold -= x->holds;
    frame_at(c, x->m)->use -= x->uses;
    if (x->uses)
        type_put(c, &x->vcpu, x->m);
    ref_put(c, x->m);
    r->w->pause = mode;
    r->overflows++;
}

/* ---- steps */

static void remember(struct run *r, unsigned worker, int result, const char *phase)
{
    r->past[r->steps % HISTORY] =
        (struct past){r->steps, worker, result, phase, r->worker[worker].request};
    if (options.replay && r->steps + HISTORY > options.replay)
        print_request(stderr, &r->past[r->steps % HISTORY]);
}

static void count_result(struct run *r, const struct worker *who, int rc)
{
    r->done[who->request.kind] += rc == 0;
    if (rc)
        r->refused_by[who->vcpu->refusal.reason]++;
}

static void start_request(struct run *r, unsigned worker)
{
    struct worker *who = &r->worker[worker];
    choose_request(r, worker, &who->request);
    r->w->take_from = world_below(r->w, r->w->core.nr_frames);
    r->w->take_fail_at = world_below(r->w, 8) ? 0 : 1 + world_below(r->w, 4);
    r->tried[who->request.kind]++;
    r->operations++;
}

static void run_request(struct run *r, unsigned worker)
{
    struct worker *who = &r->worker[worker];
    if (!who->pending)
        start_request(r, worker);
    int rc;
    const char *wrong = perform(r, worker, &rc);
    remember(r, worker, rc, who->pending ? "again" : "new");
    if (wrong)
        fail(wrong);
    who->pending = rc == CORE_RESTART;
    r->restarts += rc == CORE_RESTART;
    if (!who->pending)
        count_result(r, who, rc);
}

static void step_vcpu(struct run *r, unsigned worker)
{
    struct worker *who = &r->worker[worker];
    struct core *c = &r->w->core;
    if (who->pending && world_below(r->w, 16) == 0) {
        who->pending = false;
        r->abandoned++;
    }
    if (core_begin(c, who->vcpu) == CORE_RESTART)
        remember(r, worker, CORE_RESTART, "begin");
    else if (who->finishing)
        remember(r, worker, 0, "finish");
    else
        run_request(r, worker);
    who->finishing = core_end(c, who->vcpu) == CORE_RESTART;
}

/* What the guest does without asking anybody. */
static void guest_accesses(struct run *r)
{
    struct world *w = r->w;
    unsigned worker = (unsigned)world_below(w, WORLD_CPUS);
    struct core_vcpu *v = r->worker[worker].vcpu;
    r->accesses++;
    world_touch(w, v);
    mfn_t m = world_below(w, 4) ? NO_MFN : world_writable(w, v);
    if (!mfn_eq(m, NO_MFN)) {
        unsigned slot = (unsigned)world_below(w, WORLD_TABLE_ENTRIES);
        w->memory[m.n][slot] = choose_word(r, r->worker[worker].domain, m, slot);
    }
    if (world_below(w, 64) == 0)
        world_flush_cpu(w, world_cpu_of(w, v));
}

static void check(struct run *r)
{
    const char *wrong = NULL;
    if (!core_audit(&r->w->core, r->w->scratch, &r->w->audit))
        wrong = "the audit";
    if (!wrong)
        wrong = world_check_tlb(r->w);
    if (!wrong && r->steps % SCAN_EVERY == 0)
        wrong = world_check_tables(r->w);
    if (!wrong && r->steps % SCAN_EVERY == 0)
        wrong = world_check_free(r->w);
    if (!wrong && r->steps % SCAN_EVERY == 0)
        wrong = world_check_acts(r->w);
    if (!wrong && r->steps % SCAN_EVERY == 0)
        wrong = world_check_holders(r->w, world_below(r->w, r->w->core.nr_frames));
    if (wrong)
        fail(wrong);
}

static void step(struct run *r, unsigned worker)
{
    struct raised raised;
    raise_counters(r, &raised, r->worker[worker].domain);
    step_vcpu(r, worker);
    lower_counters(r, &raised);
    check(r);
    r->steps++;
    if (world_below(r->w, 2))
        guest_accesses(r);
}

/* ---- domains */

static void make_worker(struct run *r, unsigned i)
{
    r->worker[i] = (struct worker){
        .vcpu = world_vcpu(r->w, i / WORLD_VCPUS, i % WORLD_VCPUS),
        .domain = (uint8_t)(i / WORLD_VCPUS),
    };
}

static void furnish(struct run *r, unsigned domain)
{
    struct core_domain *d = &r->w->domain[domain];
    d->controls_all = domain == 0;
    d->has_devices = domain == 0 && world_below(r->w, 2);
    d->max_frames = r->w->core.nr_frames * 2 / 5;
    for (uint64_t n = r->w->core.nr_frames / 3; n > 0; n--) {
        mfn_t m;
        r->w->take_fail_at = 0;
        if (glue_take(&r->w->core, 0, CORE_NO_LIMIT, &m))
            core_assign(&r->w->core, d, m);
    }
}

static bool owns_none(const struct run *r, unsigned domain)
{
    for (uint64_t n = 0; n < r->w->core.nr_frames; n++)
        if (core_frame_owner(&r->w->core, mfn(n)) == (int)domain + 1)
            return false;
    return true;
}

/* The other domain goes on meanwhile, unless it could map frames of the dying one. */
static void end_domain(struct run *r, unsigned domain)
{
    while (core_relinquish(&r->w->core, &r->w->domain[domain]) == CORE_RESTART) {
        check(r);
        if (domain == 0)
            step(r, WORLD_VCPUS + (unsigned)world_below(r->w, WORLD_VCPUS));
        r->steps++;
    }
    check(r);
    if (!owns_none(r, domain))
        fail("R1: a domain without requests or mappings still owns frames");
}

static void rebuild(struct run *r)
{
    unsigned domains = 1 + (unsigned)world_below(r->w, WORLD_DOMAINS);
    for (unsigned i = 0; i < domains; i++)
        end_domain(r, i);
    for (unsigned i = 0; i < domains; i++) {
        world_domain_again(r->w, i);
        furnish(r, i);
        for (unsigned k = 0; k < WORLD_VCPUS; k++)
            make_worker(r, i * WORLD_VCPUS + k);
    }
    r->rebuilt++;
}

static void change_mood(struct run *r)
{
    static const struct {
        enum pause_mode mode;
        unsigned one_in;
    } moods[] = {{PAUSE_NEVER, 0},  {PAUSE_NEVER, 0},  {PAUSE_RANDOM, 40},
                 {PAUSE_RANDOM, 4}, {PAUSE_RANDOM, 8}, {PAUSE_ALWAYS, 0}};
    uint64_t i = world_below(r->w, sizeof(moods) / sizeof(moods[0]));
    world_pause(r->w, moods[i].mode, moods[i].one_in);
    if (world_below(r->w, REBUILD_ONE_IN) == 0)
        rebuild(r);
    alarm(60);
}

/* ---- the whole */

static void start(struct run *r)
{
    world_init(r->w, options.world, options.seed);
    r->w->clock_last = 0xff; /* wraps often */
    r->seed = options.seed;
    for (unsigned i = 0; i < WORLD_DOMAINS; i++)
        furnish(r, i);
    for (unsigned i = 0; i < WORLD_CPUS; i++)
        make_worker(r, i);
}

static void finish(struct run *r)
{
    for (unsigned i = 0; i < WORLD_DOMAINS; i++)
        end_domain(r, i);
    for (uint64_t n = WORLD_FIRST_FREE; n < options.world - WORLD_DEVICE_FRAMES; n++)
        if (!r->w->free[n])
            fail("R1: a frame is not free in the end");
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0.0;
}

static void report(const struct run *r)
{
    uint64_t done = 0;
    for (unsigned k = 0; k < KIND_COUNT; k++)
        done += r->done[k];
    printf("seed %" PRIu64 ", world of %" PRIu64 " frames with tables of %d entries: %" PRIu64
           " operations, %.1f%% of them granted\n",
           r->seed, options.world, WORLD_TABLE_ENTRIES, r->operations,
           percent(done, r->operations));
    printf("  %" PRIu64 " steps, each audited; %" PRIu64 " restarts, %" PRIu64
           " abandoned; %" PRIu64 " guest accesses; %" PRIu64 " counters near overflow\n",
           r->steps, r->restarts, r->abandoned, r->accesses, r->overflows);
    printf("  %" PRIu64 " rebuilds of domains; %" PRIu64 " flushes, %" PRIu64
           " avoided by stamps\n",
           r->rebuilt, r->w->flushes, r->w->filtered_flushes);
    if (options.quiet)
        return;
    for (unsigned k = 0; k < KIND_COUNT; k++)
        printf("  %-22s %10" PRIu64 "  %5.1f%% granted\n", kind_name(k), r->tried[k],
               percent(r->done[k], r->tried[k]));
    for (unsigned i = 1; i <= REASON_ENTRY_CHANGED; i++)
        printf("  %10" PRIu64 " refusals: %s\n", r->refused_by[i],
               core_reason_text((enum core_reason)i));
}

static void usage(FILE *f)
{
    fputs("usage: random-core [--seed N] [--ops N] [--world FRAMES] [--replay STEP] [--quiet]\n"
          "  --replay STEP  print the requests up to STEP and the frames there, then stop\n",
          f);
}

static void parse(int argc, char **argv)
{
    static const struct option longopts[] = {{"seed", required_argument, NULL, 's'},
                                             {"ops", required_argument, NULL, 'o'},
                                             {"world", required_argument, NULL, 'w'},
                                             {"replay", required_argument, NULL, 'r'},
                                             {"quiet", no_argument, NULL, 'q'},
                                             {"help", no_argument, NULL, 'h'},
                                             {NULL, 0, NULL, 0}};
    for (int o; (o = getopt_long(argc, argv, "", longopts, NULL)) != -1;) {
        uint64_t n = optarg ? strtoull(optarg, NULL, 0) : 0;
        if (o == 's')
            options.seed = n;
        else if (o == 'o')
            options.operations = n;
        else if (o == 'w')
            options.world = n;
        else if (o == 'r')
            options.replay = n;
        else if (o == 'q')
            options.quiet = true;
        else
            usage(o == 'h' ? stdout : stderr), exit(o == 'h' ? 0 : 2);
    }
    if (options.world < 16 || options.world > WORLD_FRAMES_MAX)
        usage(stderr), exit(2);
}

int main(int argc, char **argv)
{
    struct run *r = &the_run;
    parse(argc, argv);
    signal(SIGABRT, on_signal);
    signal(SIGALRM, on_signal);
    start(r);
    for (uint64_t next = 0, likes = 0; r->operations < options.operations;) {
        if (r->steps >= likes) {
            guest_likes(r);
            likes = r->steps + LIKES_STEPS;
        }
        if (r->steps >= next) {
            change_mood(r);
            next = r->steps + PHASE_STEPS;
        }
        step(r, (unsigned)world_below(r->w, WORLD_CPUS));
        if (options.replay && r->steps > options.replay) {
            world_print_frames(r->w);
            return 0;
        }
    }
    finish(r);
    report(r);
    return 0;
}
