/* SPDX-License-Identifier: MIT */
#include "migrate.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "exitcodes.h"
#include "held.h"
#include "jsonput.h"
#include "outfile.h"
#include "peer.h"
#include "signals.h"

#define PATIENCE        10u /* seconds for a machine that has much else to do */
#define READY_PATIENCE  30u /* for the other end to be there, */
#define STAND_PATIENCE  60u /* to take the last round, and to say that it has, */
#define ANSWER_PATIENCE 60u /* and to say that the guest runs */
#define LEAVE_PATIENCE  5u  /* for the command to end */
#define END_PATIENCE    30u /* for the guest here to be counted up and gone, */
#define END_OF_GIB      10u /* and more of its memory */

struct migration {
    const struct migrate_options *o;
    struct held guest;
    struct rounds rounds;
    struct peer peer;
    struct pv_saved saved;
    int64_t begun;
    bool gone;      /* "go" was said: the guest does not go on by itself any more */
    double seconds; /* until it ran there, or was not to */
    double stopped; /* seconds from the guest's standing here to its running there */
};

/* --- before "go": whatever fails, the guest goes on */

static int out_of_turn(enum handover_word said, enum handover_word due, struct error *e)
{
    static const char *const words[] = {
        [HANDOVER_OFFER] = "an offer",    [HANDOVER_READY] = "ready",
        [HANDOVER_ARRIVED] = "arrived",   [HANDOVER_GO] = "go",
        [HANDOVER_RUNNING] = "running",   [HANDOVER_FAILED] = "failed",
        [HANDOVER_UNKNOWN] = "something",
    };

    return error_set(e, EXIT_ENVIRONMENT,
                     "the other end says \"%s\" where \"%s\" is due (is it \"pvmm restore -\"?)",
                     words[said], words[due]);
}

/* The word that is to come, or why it does not. */
static int await_word(struct migration *m, enum handover_word word, unsigned seconds,
                      struct error *e)
{
    struct handover_line l;

    if (peer_await(&m->peer, &l, seconds, m->o->wish.signals, e) != 0)
        return -1;
    if (l.word == word)
        return 0;
    if (l.word == HANDOVER_FAILED)
        return error_set(e, EXIT_ENVIRONMENT, "the other end: %s", l.text);
    return out_of_turn(l.word, word, e);
}

static int offer(struct migration *m, struct error *e)
{
    struct handover_line l = {.word = HANDOVER_OFFER, .memory = m->guest.bytes};

    snprintf(l.text, sizeof(l.text), "%s", m->o->name);
    if (peer_start(&m->peer, m->o->command, e) != 0)
        return -1;
    rounds_say(&m->rounds, "the command is started");
    if (peer_say(&m->peer, &l, e) != 0) {
        peer_blame(&m->peer, e);
        return -1;
    }
    if (await_word(m, HANDOVER_READY, READY_PATIENCE, e) != 0)
        return -1;
    rounds_say(&m->rounds, "the other end is ready");
    return 0;
}

static int stream(struct migration *m, struct peer_guard *g, struct error *e)
{
    const struct pv_save_options how = {.of_xl = true, .name = m->o->name};

    if (rounds_begin(&m->rounds, &m->o->wish, &m->guest, m->peer.in, &how, e) != 0 ||
        rounds_copy(&m->rounds, e) != 0)
        return -1;
    peer_guard_limit(g, m->o->wish.timeout + STAND_PATIENCE);
    return rounds_finish(&m->rounds, &m->saved, e);
}

/* A write that broke off may have been broken off by the guard, or by the other end. */
static void explain(struct migration *m, const struct peer_guard *g, struct error *e)
{
    struct pollfd news = {.fd = m->o->wish.signals, .events = POLLIN};

    if (e->code == EXIT_INTERRUPTED || e->code == EXIT_TERMINATED || e->code == EXIT_TOO_FAST)
        return;
    if (poll(&news, 1, 0) > 0)
        error_set(e, signals_code(m->o->wish.signals), "interrupted");
    else if (g->late)
        error_set(e, EXIT_ENVIRONMENT, "the other end does not take what is left");
    else
        peer_blame(&m->peer, e);
}

static int send_all(struct migration *m, struct error *e)
{
    struct peer_guard g;
    int rc;

    if (peer_guard(&g, &m->peer, m->o->wish.signals, e) != 0)
        return -1;
    rc = stream(m, &g, e);
    peer_guard_end(&g);
    if (rc != 0)
        explain(m, &g, e);
    return rc;
}

static int say_to_pvmm(struct migration *m, const char *word, struct error *e)
{
    const struct question q = {.word = word, .patience = PATIENCE, .signals = -1};

    return held_ask(&m->guest, &q, NULL, e);
}

/* No "go" was said, but its pvmm may have heard "handover" all the same. */
static int handed_to_nobody(const struct migration *m, struct error *e)
{
    return error_consequence(
        e, EXIT_UNRESOLVED,
        "it never runs there; if it stands here (pvmm list): \"pvmm resume %s\"", m->o->name);
}

/* It has all of it. From the answer to "handover" on a signal changes nothing any more. */
static int hand_over(struct migration *m, struct error *e)
{
    if (await_word(m, HANDOVER_ARRIVED, STAND_PATIENCE, e) != 0)
        return -1;
    rounds_say(&m->rounds, "it has arrived");
    if (say_to_pvmm(m, "handover", e) == 0)
        return 0;
    return held_check(&m->guest, &(struct error){0}) != 0 ? -1 : handed_to_nobody(m, e);
}

static int to_the_brink(struct migration *m, struct error *e)
{
    return offer(m, e) != 0 || send_all(m, e) != 0 || hand_over(m, e) != 0 ? -1 : 0;
}

/* --- from "go" on */

static int unresolved(const struct migration *m, struct error *e)
{
    return error_consequence(
        e, EXIT_UNRESOLVED,
        "whether guest \"%s\" runs there is not known; here it stands, whole: "
        "\"pvmm resume %s\" once it is gone there, \"pvmm destroy %s\" if it runs there",
        m->o->name, m->o->name, m->o->name);
}

/* It will never run there. */
static int take_back(struct migration *m, struct error *e)
{
    struct error again;

    m->gone = false;
    if (say_to_pvmm(m, "resume", &again) == 0)
        return -1;
    m->gone = true;
    error_consequence(e, EXIT_UNRESOLVED, "%s", again.text);
    return handed_to_nobody(m, e);
}

/* A signal is heard once, and then obeyed. */
static int await_answer(struct migration *m, struct handover_line *l, struct error *e)
{
    int rc = peer_await(&m->peer, l, ANSWER_PATIENCE, m->o->wish.signals, e);

    if (rc == 0 || (e->code != EXIT_INTERRUPTED && e->code != EXIT_TERMINATED))
        return rc;
    fprintf(stderr, "pvmm migrate: the guest was handed over already, its answer is waited for "
                    "(once more, and it is not)\n");
    return peer_await(&m->peer, l, ANSWER_PATIENCE, m->o->wish.signals, e);
}

static int go(struct migration *m, struct error *e)
{
    const struct handover_line l = {.word = HANDOVER_GO};
    struct handover_line answer;
    const int said = peer_say(&m->peer, &l, e);

    m->gone = true;
    if (said > 0) { /* not a byte of it went */
        peer_blame(&m->peer, e);
        return take_back(m, e);
    }
    if (said < 0 || await_answer(m, &answer, e) != 0)
        return unresolved(m, e);
    if (answer.word == HANDOVER_FAILED) {
        error_set(e, EXIT_ENVIRONMENT, "the other end: %s", answer.text);
        return take_back(m, e);
    }
    if (answer.word != HANDOVER_RUNNING) {
        out_of_turn(answer.word, HANDOVER_RUNNING, e);
        return unresolved(m, e);
    }
    m->stopped = clock_seconds_since(m->rounds.stood);
    rounds_say(&m->rounds, "it runs there");
    return 0;
}

/* It runs there; what is here has to go, but cannot be a failure any more. */
static void end_here(struct migration *m)
{
    const unsigned gibs = (unsigned)(m->guest.bytes >> 30) + 1;
    struct error e;

    if (held_tell(&m->guest, "end", &e) != 0 ||
        ask_await_end(m->guest.connection, m->guest.name, END_PATIENCE + gibs * END_OF_GIB, &e) !=
            0)
        fprintf(stderr, "pvmm migrate: it runs there, but is not gone here: %s (pvmm destroy %s)\n",
                e.text, m->o->name);
}

static int move(struct migration *m, struct error *e)
{
    int rc = to_the_brink(m, e);

    if (rc == 0)
        rc = go(m, e);
    m->seconds = clock_seconds_since(m->begun);
    if (rc == 0)
        end_here(m);
    else if (e->code != EXIT_UNRESOLVED && held_check(&m->guest, &(struct error){0}) == 0)
        error_consequence(e, e->code, "guest \"%s\" goes on here", m->o->name);
    held_let_go(&m->guest); /* first of all, as it may stand */
    rounds_close(&m->rounds);
    peer_end(&m->peer, LEAVE_PATIENCE, m->gone);
    return rc;
}

/* --- the result */

static void tell(const struct migration *m)
{
    if (m->o->wish.voice != ROUNDS_QUIET)
        fprintf(stderr,
                "pvmm migrate: guest \"%s\" was moved in %.2f s: %u rounds, %" PRIu64
                " pages, %.1f MiB; it stood still for %.2f s\n",
                m->o->name, m->seconds, m->rounds.last.round, m->rounds.sent_pages,
                (double)m->rounds.sent / (1 << 20), m->stopped);
}

static struct json_object *result(const struct migration *m, int rc, const struct error *e)
{
    struct json_object *o = json_object_new_object();

    put_int(o, "format", 1);
    put_text(o, "name", m->o->name);
    put_text(o, "outcome",
             rc == 0 ? "moved" : (e->code == EXIT_UNRESOLVED ? "unresolved" : "not moved"));
    put_int(o, "exit_code", rc == 0 ? 0 : (uint64_t)e->code);
    put_text(o, "error", rc == 0 ? NULL : e->text);
    put_int(o, "memory", m->guest.bytes);
    rounds_put_seconds(o, "seconds", m->seconds);
    put_bool(o, "too_fast", m->rounds.too_fast);
    put_int(o, "pages", m->rounds.sent_pages);
    put_int(o, "bytes", m->rounds.sent);
    if (rc == 0)
        rounds_put_seconds(o, "stop_seconds", m->stopped);
    put(o, "rounds", json_object_get(m->rounds.list));
    return o;
}

static int write_result(const struct migration *m, int rc, const struct error *outcome,
                        struct outfile *f, struct error *e)
{
    struct json_object *o = result(m, rc, outcome);
    const int n = dprintf(f->fd, "%s\n",
                          json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
                                                                JSON_C_TO_STRING_SPACED |
                                                                JSON_C_TO_STRING_NOSLASHESCAPE));

    json_object_put(o);
    if (n < 0)
        return error_errno(e, EXIT_ENVIRONMENT, "%s", f->path);
    return outfile_finish(f, e);
}

/* What became of the guest counts for more than what could be written of it. */
static int finish(const struct migration *m, int rc, struct outfile *f, struct error *e)
{
    struct error wrong;

    if (rc == 0)
        tell(m);
    if (m->o->json == NULL || write_result(m, rc, e, f, &wrong) == 0)
        return rc;
    fprintf(stderr, "pvmm migrate: %s%s\n", rc == 0 ? "the guest was moved, but: " : "",
            wrong.text);
    return rc;
}

int migrate(const struct migrate_options *o, struct error *e)
{
    const struct question q = {.word = "live",
                               .timeout = o->wish.timeout,
                               .patience = PATIENCE,
                               .signals = o->wish.signals};
    struct migration m = {.o = o,
                          .guest = HELD_NONE,
                          .rounds = {.wish = &o->wish, .begun = clock_now()},
                          .peer = PEER_NONE,
                          .begun = clock_now()};
    struct outfile f = OUTFILE_NONE;
    int rc;

    if (o->json != NULL && outfile_begin(&f, o->json, e) != 0)
        return -1;
    rc = held_take(&m.guest, o->name, &q, e);
    if (rc == 0)
        rc = move(&m, e);
    rc = finish(&m, rc, &f, e);
    outfile_abandon(&f);
    rounds_end(&m.rounds);
    return rc;
}
