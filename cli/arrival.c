/* SPDX-License-Identifier: MIT */
#include "arrival.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "clock.h"
#include "exitcodes.h"
#include "incoming.h"

#define PAGE    UINT64_C(4096)
#define SILENCE (SECOND) /* then it is worth saying how far it is */

enum stage {
    STAGE_HEAD,   /* what stands before the pages is being read */
    STAGE_WAITS,  /* for the empty domain */
    STAGE_PAGES,  /* they are being written to it */
    STAGE_THERE,  /* all is written: the hypervisor is to be told */
    STAGE_TOLD,   /* it was */
    STAGE_FAILED, /* `why` says why */
};

struct arrival {
    struct arrival_options o;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    int news; /* an eventfd: the thread has come to another stage */

    /* under the lock */
    bool stop; /* the thread is to come to its end */
    enum stage stage;
    struct pv_error why;

    /* the thread's until STAGE_THERE, but for the waits */
    const struct pv_taken *head;
    struct pv_taken *taken;
    struct incoming in;
    int64_t next; /* when to say something */
    bool said;
};

/* ---- stages */

static enum stage stage_of(const struct arrival *is)
{
    struct arrival *a = (struct arrival *)(uintptr_t)is; /* for the lock */

    pthread_mutex_lock(&a->lock);
    const enum stage s = a->stage;
    pthread_mutex_unlock(&a->lock);
    return s;
}

static void enter(struct arrival *a, enum stage s)
{
    const uint64_t one = 1;

    pthread_mutex_lock(&a->lock);
    a->stage = s;
    pthread_cond_broadcast(&a->moved);
    pthread_mutex_unlock(&a->lock);
    if (write(a->news, &one, sizeof(one)) < 0)
        return; /* it cannot be full, and who waits looks again by himself */
}

static void forget_news(struct arrival *a)
{
    uint64_t n;

    if (read(a->news, &n, sizeof(n)) < 0)
        return; /* there was none */
}

/* ---- the thread */

static bool is_stopped(struct arrival *a)
{
    pthread_mutex_lock(&a->lock);
    const bool stop = a->stop;
    pthread_mutex_unlock(&a->lock);
    return stop;
}

static int begin(void *context, const struct pv_taken *t, struct pv_error *e)
{
    struct arrival *a = context;

    a->head = t;
    enter(a, STAGE_WAITS);
    pthread_mutex_lock(&a->lock);
    while (a->stage == STAGE_WAITS && !a->stop)
        pthread_cond_wait(&a->moved, &a->lock);
    const bool stop = a->stop;
    pthread_mutex_unlock(&a->lock);
    if (stop)
        snprintf(e->text, sizeof(e->text), "stopped");
    return stop ? -1 : 0;
}

static int frame(void *context, void **at, mfn_t *m, struct pv_error *e)
{
    return incoming_frame(&((struct arrival *)context)->in, at, m, e);
}

static void *at(void *context, mfn_t m)
{
    return incoming_at(&((struct arrival *)context)->in, m);
}

static bool tell(void *context, const char *doing, uint64_t done, uint64_t total)
{
    struct arrival *a = context;

    (void)doing;
    if (is_stopped(a))
        return false;
    if (!a->o.progress || clock_now() < a->next)
        return true;
    fprintf(stderr, "\rpvmm: restoring: %" PRIu64 " of up to %" PRIu64 " pages", done, total);
    fflush(stderr);
    a->said = true;
    a->next = clock_now() + SILENCE / 4;
    return true;
}

static int bring_in(struct arrival *a, struct pv_error *e)
{
    const struct pv_take_ops ops = {.begin = begin, .frame = frame};
    const struct pv_take_options o = {.max_pfns = a->o.max_pfns,
                                      .max_vcpus = 1,
                                      .live = a->o.live,
                                      .begun = &a->o.begun,
                                      .begun_bytes = a->o.has_begun,
                                      .progress = {tell, a}};
    struct pv_take_start start;

    if (pv_take(&a->taken, a->o.fd, &ops, a, &o, e) != 0)
        return -1;
    start = (struct pv_take_start){.shared_info = {a->in.shared_mfn},
                                   .store_port = a->in.store_port,
                                   .console_port = a->in.console_port};
    if (pv_take_localise(a->taken, at, a, &start, e) != 0)
        return -1;
    return incoming_finish(&a->in, a->taken, &start, e);
}

static void *run(void *context)
{
    struct arrival *a = context;
    struct pv_error e = {.text = ""};
    const int rc = bring_in(a, &e);

    if (a->said)
        fprintf(stderr, "\r%60s\r", "");
    a->why = e;
    enter(a, rc == 0 ? STAGE_THERE : STAGE_FAILED);
    return NULL;
}

/* ---- from outside */

static int failed(const struct arrival *a, struct error *e)
{
    return error_set(e, EXIT_UNREADABLE, "%s: %s", a->o.path, a->why.text);
}

static int timeout_ms(int64_t deadline)
{
    const int64_t left = deadline - clock_now();

    if (left <= 0)
        return 0;
    return left > SECOND ? 1000 : (int)(left / 1000000) + 1;
}

/* Until there is something to read from `fd`; nobody else looks after signals and time yet. */
static int await(int fd, const struct arrival_options *o, struct error *e)
{
    struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = o->signals, .events = POLLIN}};
    struct signalfd_siginfo info;
    int rc;

    do {
        rc = poll(p, 2, timeout_ms(o->deadline));
        if (rc < 0 && errno != EINTR)
            return error_errno(e, EXIT_ENVIRONMENT, "cannot wait for %s", o->path);
        if (rc > 0 && p[1].revents && read(o->signals, &info, sizeof(info)) == sizeof(info))
            return error_set(e, info.ssi_signo == SIGINT ? EXIT_INTERRUPTED : EXIT_TERMINATED,
                             "%s: interrupted before the guest was known", o->path);
        if (rc == 0 && clock_now() >= o->deadline)
            return error_set(e, EXIT_TIMEOUT, "%s: timeout: no guest has come yet", o->path);
    } while (rc <= 0 || !p[0].revents);
    return 0;
}

static int wait_for_head(struct arrival *a, struct error *e)
{
    while (stage_of(a) == STAGE_HEAD) {
        if (await(a->news, &a->o, e) != 0)
            return -1;
        forget_news(a);
    }
    return stage_of(a) == STAGE_FAILED ? failed(a, e) : 0;
}

static struct arrival *new_arrival(const struct arrival_options *o)
{
    struct arrival *a = calloc(1, sizeof(*a));

    if (a == NULL)
        return NULL;
    a->o = *o;
    a->next = clock_now() + SILENCE;
    a->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->moved, NULL);
    if (a->news >= 0 && pthread_create(&a->thread, NULL, run, a) == 0)
        return a;
    if (a->news >= 0)
        close(a->news);
    free(a);
    return NULL;
}

struct arrival *arrival_open(const struct arrival_options *o, struct error *e)
{
    struct arrival *a = new_arrival(o);

    if (a == NULL) {
        error_set(e, EXIT_ENVIRONMENT, "cannot start a thread for %s", o->path);
        return NULL;
    }
    if (wait_for_head(a, e) == 0)
        return a;
    arrival_close(a);
    return NULL;
}

const struct pv_taken *arrival_head(const struct arrival *a)
{
    return a->head;
}

int arrival_news(const struct arrival *a)
{
    return a != NULL ? a->news : -1;
}

static int let_in(struct arrival *a, const struct mailbox *m, int ram_fd, struct error *e)
{
    if (incoming_open(&a->in, m, ram_fd, a->head->end_pfn, e) != 0)
        return -1;
    enter(a, STAGE_PAGES);
    return 0;
}

/* Paused before it is built, it has not run one instruction. */
static void ring(struct arrival *a, struct bell *b)
{
    static const uint8_t both[] = {PVMM_BELL_PAUSE, PVMM_BELL_BUILD};
    const bool paused = a->o.paused;

    incoming_date(&a->in, clock_wall());
    if (bell_ring(b, paused ? both : both + 1, paused ? 2 : 1))
        enter(a, STAGE_TOLD);
}

int arrival_serve(struct arrival *a, const struct mailbox *m, int ram_fd, struct bell *b,
                  struct error *e)
{
    if (a == NULL)
        return 0;
    forget_news(a);
    switch (stage_of(a)) {
    case STAGE_WAITS:
        return incoming_is_there(m) ? let_in(a, m, ram_fd, e) : 0;
    case STAGE_THERE:
        ring(a, b);
        return 0;
    case STAGE_FAILED:
        return failed(a, e);
    default:
        return 0;
    }
}

uint64_t arrival_memory(const struct arrival *a)
{
    return a != NULL && stage_of(a) == STAGE_TOLD ? a->taken->pages * PAGE : 0;
}

void arrival_blame(const struct arrival *a, const struct mailbox *m, char *text, size_t size)
{
    const uint32_t p = m->box != NULL ? m->box->transfer.refused_pfn : PVMM_NO_PFN;
    struct pv_place from;

    text[0] = '\0';
    if (a == NULL || stage_of(a) != STAGE_TOLD || p == PVMM_NO_PFN ||
        !pv_taken_place(a->taken, pfn(p), &from))
        return;
    snprintf(text, size, "pfn 0x%" PRIx32 " is of %s", p, from.record);
}

void arrival_close(struct arrival *a)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    a->stop = true; /* pv_take() asks now and then, also where a pipe brings nothing */
    pthread_cond_broadcast(&a->moved);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    pv_taken_free(a->taken);
    incoming_close(&a->in);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->moved);
    close(a->news);
    free(a);
}
