/* SPDX-License-Identifier: MIT */
/* A kernel that boots by libpvguest, tests what has become of it or measures it, and reboots; or
 * lives on. */
#include "bench.h"
#include "live.h"
#include "tap.h"

#include <xen/sched.h>

#define GLOB_MAX 80u

void kernel_main(const start_info_t *si);

#define NOWHERE  0x123456789000ull /* the lower half is empty */
#define DEFLATED 5000u             /* pages */

enum life { TESTS, BENCH, LIVE, LEND, BORROW };

struct words {
    enum life life;
    char glob[GLOB_MAX]; /* of tests, or of rows */
    domid_t peer;        /* of a loan */
    bool die;            /* after the boot, at a store that nobody expects */
    bool spoil;          /* of a life: a word over a suspend */
    bool deflate; /* at the end: a part of the memory is given back, and nothing comes after that */
};

/* What is the library's or another's: pvmm puts the last two before the rest. */
static const char *const others[] = {"p2m=", "mem=", "fault=", "console=", "earlyprintk="};

/* The text behind `key` where the word starts so; NULL: it does not. */
static const char *value_of(const char *word, const char *key)
{
    for (; *key; key++, word++)
        if (*key != *word)
            return NULL;
    return word;
}

static bool is_word(const char *word, const char *wanted)
{
    const char *rest = value_of(word, wanted);
    return rest && *rest == 0;
}

static bool others_word(const char *word)
{
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (value_of(word, others[i]))
            return true;
    return false;
}

static domid_t number(const char *text)
{
    domid_t n = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        n = (domid_t)(n * 10 + (*text - '0'));
    return n;
}

static void chosen(struct words *w, enum life life, const char *glob)
{
    w->life = life;
    pvg_format(w->glob, sizeof(w->glob), "%s", glob);
}

static void with_peer(struct words *w, enum life life, const char *peer)
{
    w->life = life;
    w->peer = number(peer);
}

/* What the kernel is for. false: none of these. */
static bool take_life(struct words *w, const char *word)
{
    const char *value;
    if ((value = value_of(word, "test=")))
        chosen(w, TESTS, value);
    else if ((value = value_of(word, "bench=")))
        chosen(w, BENCH, value);
    else if (is_word(word, "bench"))
        chosen(w, BENCH, "*");
    else if (is_word(word, "live"))
        w->life = LIVE;
    else if ((value = value_of(word, "lend=")))
        with_peer(w, LEND, value);
    else if ((value = value_of(word, "borrow=")))
        with_peer(w, BORROW, value);
    else
        return false;
    return true;
}

static void take_word(struct pvguest *g, struct words *w, const char *word)
{
    if (take_life(w, word))
        return;
    if (is_word(word, "die"))
        w->die = true;
    else if (is_word(word, "spoil"))
        w->spoil = true;
    else if (is_word(word, "deflate"))
        w->deflate = true;
    else if (!is_word(word, "suspend") && !others_word(word)) /* suspend.c's own */
        say(g, "error: unknown word \"%s\"\n", word);
}

static void take_words(struct pvguest *g, struct words *w)
{
    static char word[MAX_GUEST_CMDLINE];
    const char *at = pvg_command_line(g);
    size_t n = 0;
    do {
        if (*at && *at != ' ') {
            word[n++] = *at;
            continue;
        }
        word[n] = 0;
        if (n > 0)
            take_word(g, w, word);
        n = 0;
    } while (*at++);
}

static _Noreturn void bail_out(struct pvguest *g, const char *what, const char *why)
{
    say_trouble(g, "Bail out! ");
    say(g, "%s: %s\n", what, why);
    pvg_fatal(g, what);
}

static void deflate(struct pvguest *g)
{
    uint64_t done;
    if (pvg_balloon_down(g, DEFLATED, &done))
        bail_out(g, "deflating", pvg_reason(g));
    say(g, "# deflated by %lu pages\n", done);
}

static void test(struct pvguest *g, const struct words *w)
{
    struct tap_result r = tap_run(g, w->glob);
    if (r.planned == 0)
        bail_out(g, "no test fits", w->glob);
    if (w->deflate)
        deflate(g);
    say(g, "PVKERNEL-DONE passed=%u failed=%u skipped=%u\n", r.passed, r.failed, r.skipped);
}

static void live_by(struct pvguest *g, const struct words *w)
{
    switch (w->life) {
    case TESTS:
        test(g, w);
        break;
    case BENCH:
        bench_run(g, w->glob);
        break;
    case LIVE:
        live(g, w->spoil);
        break;
    case LEND:
        lend(g, w->peer);
        break;
    case BORROW:
        borrow(g, w->peer);
        break;
    }
}

void kernel_main(const start_info_t *si)
{
    struct pvg_options options;
    struct words words = {.glob = "*"};
    struct pvguest *g = pvg_start(si);
    say(g, "TAP version 13\n");
    if (pvg_options_parse(g, &options))
        bail_out(g, "options", pvg_reason(g));
    take_words(g, &words);
    if (pvg_boot(g, &options))
        bail_out(g, "boot", pvg_reason(g));
    if (words.die)
        *(volatile uint64_t *)NOWHERE = 1;
    live_by(g, &words);
    pvg_shutdown(g, SHUTDOWN_reboot);
}
