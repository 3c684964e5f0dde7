/* SPDX-License-Identifier: MIT */
/* What a supervisor can be asked. To add a request: a function, and a line in the table. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "exitcodes.h"
#include "jsonput.h"

typedef void request_fn(struct supervised *g, struct json_object *request, struct answer *a,
                        struct json_object *reply);

static void finish_reply(struct answer *a, struct json_object *reply)
{
    const char *text = json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN |
                                                                 JSON_C_TO_STRING_NOSLASHESCAPE);
    const int n = snprintf(a->text, sizeof(a->text), "%s\n", text);

    a->size = (size_t)n;
    if (n >= (int)sizeof(a->text)) /* only absurd paths get here */
        request_refuse(a, EXIT_ENVIRONMENT, "the reply is too long");
    json_object_put(reply);
}

static struct json_object *new_reply(bool ok)
{
    struct json_object *reply = json_object_new_object();

    put_int(reply, "pvmm", CONTROL_VERSION);
    json_object_object_add(reply, "ok", json_object_new_boolean(ok));
    return reply;
}

void request_refuse(struct answer *a, int code, const char *why)
{
    struct json_object *reply = new_reply(false);

    a->stream = STREAM_NONE;
    put_int(reply, "code", (uint64_t)code);
    put_text(reply, "error", why);
    finish_reply(a, reply);
}

/* As the kernel counts: in hundredths. */
static void put_seconds(struct json_object *o, const char *key, double seconds)
{
    char digits[32];

    snprintf(digits, sizeof(digits), "%.2f", seconds);
    json_object_object_add(o, key, json_object_new_double_s(seconds, digits));
}

/* State letter and CPU time of a process; left as they are if they cannot be read. */
static void process_facts(pid_t pid, char *state, double *seconds)
{
    char path[64], line[1024], *fields;
    unsigned long long user, system;
    size_t n;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    f = fopen(path, "re");
    if (f == NULL)
        return;
    n = fread(line, 1, sizeof(line) - 1, f);
    fclose(f);
    line[n] = '\0';
    fields = strrchr(line, ')'); /* what stands before may be anything */
    if (fields != NULL && sscanf(fields, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
                                 state, &user, &system) == 3)
        *seconds = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/*
 * The letters of `xl list`, as far as they are known. "b" never is: the hypervisor does not say
 * whether the guest waits. Under a real Xen nothing is, until its console tells of the end.
 */
static void state_letters(const struct supervised *g, char process, char letters[7])
{
    const uint32_t state = g->mailbox != NULL ? mailbox_state(g->mailbox) : 0;
    const enum standing standing = hold_standing(g->hold);
    struct pvmm_verdict v;

    strcpy(letters, "------");
    if (process == 'T' || standing == STANDING_PAUSED || standing == STANDING_ARRIVING)
        letters[2] = 'p'; /* 'T': somebody stopped QEMU, and nothing runs */
    else if (state == PVMM_STATE_RUNNING && standing == STANDING_NOT)
        letters[0] = 'r';
    if (standing == STANDING_SUSPENDED || standing == STANDING_HANDED_OVER)
        letters[3] = 's';
    if (state == PVMM_STATE_ENDED && mailbox_verdict(g->mailbox, &v))
        letters[v.outcome == PVMM_OUTCOME_CRASH || v.outcome == PVMM_OUTCOME_KILLED ? 4 : 3] =
            v.outcome == PVMM_OUTCOME_CRASH || v.outcome == PVMM_OUTCOME_KILLED ? 'c' : 's';
    if (g->destroy)
        letters[5] = 'd';
}

static void do_info(struct supervised *g, struct json_object *request, struct answer *a,
                    struct json_object *reply)
{
    static const char *const words[] = {
        [STANDING_NOT] = NULL,
        [STANDING_ARRIVING] = "arriving",
        [STANDING_PAUSED] = "paused",
        [STANDING_SUSPENDED] = "suspended",
        [STANDING_HANDED_OVER] = "handed over",
    };
    char process = '?', letters[7];
    double seconds = 0;

    (void)request;
    (void)a;
    if (g->mailbox != NULL)
        process_facts(g->qemu, &process, &seconds);
    state_letters(g, process, letters);
    put_text(reply, "name", g->name);
    put_int(reply, "id", (uint64_t)getpid());
    put_int(reply, "memory", g->memory);
    put_int(reply, "vcpus", g->vcpus);
    put_text(reply, "state", letters);
    put_text(reply, "hold", words[hold_standing(g->hold)]);
    put_seconds(reply, "cpu_seconds", seconds);
    if (g->mailbox != NULL)
        put_int(reply, "qemu_pid", (uint64_t)g->qemu);
    if (g->mailbox != NULL && mailbox_state(g->mailbox) >= PVMM_STATE_RUNNING &&
        g->mailbox->box->domid != 0)
        put_int(reply, "domid", g->mailbox->box->domid);
    put_text(reply, "kernel", g->kernel);
    put_text(reply, "hypervisor", g->hypervisor);
}

static void do_console(struct supervised *g, struct json_object *request, struct answer *a,
                       struct json_object *reply)
{
    (void)g;
    (void)request;
    (void)reply;
    a->stream = STREAM_CONSOLE;
}

static bool follows(struct json_object *request)
{
    struct json_object *follow;

    return json_object_object_get_ex(request, "follow", &follow) && json_object_get_boolean(follow);
}

static void do_dmesg(struct supervised *g, struct json_object *request, struct answer *a,
                     struct json_object *reply)
{
    (void)reply;
    if (g->real_xen) {
        request_refuse(a, EXIT_ENVIRONMENT,
                       "it runs under a real Xen, which shows its log on the console");
        return;
    }
    a->stream = STREAM_LOG;
    a->follow = follows(request);
}

static void do_trace(struct supervised *g, struct json_object *request, struct answer *a,
                     struct json_object *reply)
{
    (void)reply;
    if (g->real_xen || g->explainer == NULL)
        request_refuse(a, EXIT_ENVIRONMENT, "it runs under a real Xen, which has no recorder");
    else if (g->mailbox == NULL || mailbox_state(g->mailbox) < PVMM_STATE_RUNNING)
        request_refuse(a, EXIT_ENVIRONMENT, "it has not started yet");
    else if (explainer_written(g->explainer, g->mailbox) == 0 && g->explainer->witness.ring == NULL)
        request_refuse(a, EXIT_ENVIRONMENT, "its recorder is off (run --records)");
    else {
        a->stream = STREAM_TRACE;
        a->follow = follows(request);
    }
}

static void do_trace_json(struct supervised *g, struct json_object *request, struct answer *a,
                          struct json_object *reply)
{
    do_trace(g, request, a, reply);
    a->json = true;
}

/* It goes on running; what is read of it may be torn. */
static void do_memory(struct supervised *g, struct json_object *request, struct answer *a,
                      struct json_object *reply)
{
    (void)request;
    if (g->real_xen) {
        request_refuse(a, EXIT_ENVIRONMENT,
                       "it runs under a real Xen, which nobody outside of it can read");
    } else if (g->hold == NULL) {
        request_refuse(a, EXIT_ENVIRONMENT, "it has not started yet");
    } else {
        put_int(reply, "memory", g->memory);
        a->stream = STREAM_HOLD;
        a->memory = true;
    }
}

static void do_destroy(struct supervised *g, struct json_object *request, struct answer *a,
                       struct json_object *reply)
{
    (void)request;
    (void)reply;
    g->destroy = true;
    a->stream = STREAM_END;
}

/* --- what takes its time: the reply comes when it is done --- */

static void wish(struct supervised *g, struct answer *a, enum hold_wish wish, const char *how,
                 unsigned timeout)
{
    struct error e;

    if (g->real_xen)
        request_refuse(a, EXIT_ENVIRONMENT,
                       "it is the initial domain of a real Xen, which nobody outside of it can "
                       "pause, ask or read");
    else if (g->hold == NULL)
        request_refuse(a, EXIT_ENVIRONMENT, "it has not started yet");
    else if (hold_ask(g->hold, &a->ticket, wish, how, timeout, &e) != 0)
        request_refuse(a, e.code, e.text);
}

static void do_pause(struct supervised *g, struct json_object *request, struct answer *a,
                     struct json_object *reply)
{
    (void)request;
    (void)reply;
    wish(g, a, WISH_PAUSE, NULL, 0);
}

static void do_unpause(struct supervised *g, struct json_object *request, struct answer *a,
                       struct json_object *reply)
{
    (void)request;
    (void)reply;
    wish(g, a, WISH_UNPAUSE, NULL, 0);
}

static void do_hold(struct supervised *g, struct json_object *request, struct answer *a,
                    struct json_object *reply)
{
    (void)request;
    (void)reply;
    wish(g, a, WISH_HOLD, NULL, 0);
}

/* 0: not a sensible number of seconds. */
static unsigned timeout_of(struct json_object *request)
{
    struct json_object *v;
    int64_t n;

    if (!json_object_object_get_ex(request, "timeout", &v))
        return HOLD_TIMEOUT;
    n = json_object_is_type(v, json_type_int) ? json_object_get_int64(v) : 0;
    return n >= 1 && n <= HOLD_TIMEOUT_MAX ? (unsigned)n : 0;
}

static void wish_in_time(struct supervised *g, struct json_object *request, struct answer *a,
                         enum hold_wish what, const char *how)
{
    const unsigned timeout = timeout_of(request);

    if (timeout == 0)
        request_refuse(a, EXIT_ENVIRONMENT, "the request's timeout is no number of seconds");
    else
        wish(g, a, what, how, timeout);
}

static void do_suspend(struct supervised *g, struct json_object *request, struct answer *a,
                       struct json_object *reply)
{
    (void)reply;
    wish_in_time(g, request, a, WISH_SUSPEND, NULL);
}

static void do_live(struct supervised *g, struct json_object *request, struct answer *a,
                    struct json_object *reply)
{
    (void)reply;
    wish_in_time(g, request, a, WISH_LIVE, NULL);
}

static void do_resume(struct supervised *g, struct json_object *request, struct answer *a,
                      struct json_object *reply)
{
    (void)request;
    (void)reply;
    wish(g, a, WISH_RESUME, NULL, 0);
}

static void do_shutdown(struct supervised *g, struct json_object *request, struct answer *a,
                        struct json_object *reply)
{
    static const char *const ways[] = {"poweroff", "reboot"};
    struct json_object *how;

    (void)reply;
    a->follow = follows(request);
    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        if (json_object_object_get_ex(request, "how", &how) &&
            json_object_is_type(how, json_type_string) &&
            strcmp(json_object_get_string(how), ways[i]) == 0) {
            wish_in_time(g, request, a, WISH_SHUTDOWN, ways[i]);
            return;
        }
    request_refuse(a, EXIT_ENVIRONMENT, "the request does not say how to shut down");
}

void request_grant(const struct supervised *g, enum hold_wish wish, struct answer *a)
{
    struct json_object *reply = new_reply(true);

    if (wish == WISH_HOLD || wish == WISH_SUSPEND || wish == WISH_LIVE) {
        put_text(reply, "name", g->name);
        put_int(reply, "memory", g->memory);
        put_int(reply, "domid", g->mailbox->box->domid);
    }
    finish_reply(a, reply);
}

void request_tell(const struct live_round *round, struct answer *a)
{
    struct json_object *reply = new_reply(true);

    a->stream = STREAM_NONE;
    if (round->round != 0) {
        put_int(reply, "round", round->round);
        put_int(reply, "at", round->at);
        put_int(reply, "bytes", round->bytes);
        put_int(reply, "frames", round->frames);
        put_int(reply, "told", round->told);
    }
    finish_reply(a, reply);
}

static const struct {
    const char *word;
    request_fn *answer;
} requests[] = {
    {"info", do_info},   {"console", do_console},       {"dmesg", do_dmesg},
    {"trace", do_trace}, {"trace-json", do_trace_json}, {"destroy", do_destroy},
    {"pause", do_pause}, {"unpause", do_unpause},       {"shutdown", do_shutdown},
    {"hold", do_hold},   {"suspend", do_suspend},       {"memory", do_memory},
    {"live", do_live},   {"resume", do_resume},
};

static void perform(struct supervised *g, struct json_object *request, struct answer *a)
{
    struct json_object *version, *word, *reply;

    if (!json_object_object_get_ex(request, "pvmm", &version) ||
        !json_object_is_type(version, json_type_int) ||
        !json_object_object_get_ex(request, "do", &word) ||
        !json_object_is_type(word, json_type_string)) {
        request_refuse(a, EXIT_ENVIRONMENT,
                       "a request needs \"pvmm\", a number, and \"do\", a word");
        return;
    }
    if (json_object_get_int64(version) != CONTROL_VERSION) {
        request_refuse(a, EXIT_ENVIRONMENT,
                       "its pvmm is of another version, and speaks another protocol");
        return;
    }
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        if (strcmp(json_object_get_string(word), requests[i].word) != 0)
            continue;
        reply = new_reply(true);
        requests[i].answer(g, request, a, reply);
        if (a->size == 0 && a->ticket.hold == NULL)
            finish_reply(a, reply);
        else /* refused, or late */
            json_object_put(reply);
        return;
    }
    request_refuse(a, EXIT_ENVIRONMENT, "its pvmm does not know this request");
}

void request_answer(struct supervised *g, const char *line, size_t size, struct answer *a)
{
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *request = NULL;

    a->size = 0;
    a->stream = STREAM_NONE;
    a->follow = a->json = a->memory = false;
    a->ticket = (struct hold_ticket){.hold = NULL};
    if (tokener != NULL) {
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        request = json_tokener_parse_ex(tokener, line, (int)size);
        if (json_tokener_get_parse_end(tokener) != size) {
            json_object_put(request);
            request = NULL;
        }
        json_tokener_free(tokener);
    }
    if (json_object_is_type(request, json_type_object))
        perform(g, request, a);
    else
        request_refuse(a, EXIT_ENVIRONMENT, "the request is not a JSON object");
    json_object_put(request);
}
