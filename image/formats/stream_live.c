/* SPDX-License-Identifier: MIT */
/*
 * A stream of a guest that runs. Its plain pages go in rounds, each by what the hypervisor's frame
 * table and m2p say then; page tables go when it stands, and then the guest's own list has the last
 * word of what is a page of its.
 */
#include "pvmachine.h"
#include "stream_write.h"

#include <stdlib.h>
#include <string.h>

struct pv_live {
    struct pv_view *running;
    struct pv_save_options o;
    struct save s; /* of the running guest; then, but for the sink, of the standing one */
    struct save_sent sent;
    unsigned rounds;
};

/* ---- the beginning */

static int prepare(struct pv_live *l, struct pv_error *e)
{
    if (save_check_view(&l->s, e) || pv_machine_look_again(l->running, e) ||
        save_list_open(&l->s.list, l->running, false, e))
        return -1;
    l->s.count.pages = l->running->nr_pages;
    l->sent.end = l->s.list.end;
    l->sent.mfn = reallocarray(NULL, l->sent.end, sizeof(*l->sent.mfn));
    if (!l->sent.mfn)
        return pv_no_memory(e);
    memset(l->sent.mfn, 0xff, l->sent.end * sizeof(*l->sent.mfn));
    return 0;
}

int pv_live_begin(struct pv_live **out, struct pv_view *running, int fd,
                  const struct pv_save_options *o, struct pv_error *e)
{
    struct pv_live *l = calloc(1, sizeof(*l));
    if (!l)
        return pv_no_memory(e);
    l->running = running;
    l->o = *o;
    l->s = (struct save){.v = running, .o = &l->o, .live = true, .sink.own = -1};
    if (prepare(l, e) || sink_open(&l->s.sink, fd, &l->o, e) || save_front(&l->s, e)) {
        pv_live_free(l);
        return pv_context(e, "cannot begin the save stream");
    }
    *out = l;
    return 0;
}

/* ---- rounds */

static uint64_t count_tables(const struct pv_view *v)
{
    uint64_t n = 0;
    unsigned type;
    mfn_t m = mfn(0);
    for (m = v->backend->next_owned(v, m); !mfn_eq(m, NO_MFN);
         m = v->backend->next_owned(v, mfn(m.n + 1)))
        n += save_type(v, m, &type) && PAGE_LEVEL(type) != 0;
    return n;
}

static uint64_t count_set(const struct pv_frame_set *s)
{
    uint64_t n = 0;
    for (uint64_t i = 0; s && i < (s->frames + 63) / 64; i++)
        n += (uint64_t)__builtin_popcountll(s->words[i]);
    return n;
}

static int put_round(struct pv_live *l, const struct save_choice *of, uint64_t expected,
                     struct pv_live_told *told, struct pv_error *e)
{
    const uint64_t before = l->s.sink.bytes;
    struct save_count put;
    l->s.sink.done = 0;
    l->s.sink.total = expected;
    if (save_pages(of, &l->s.sink, &put, e))
        return -1;
    *told = (struct pv_live_told){
        .round = ++l->rounds, .pages = put.pages, .bytes = l->s.sink.bytes - before};
    return 0;
}

int pv_live_round(struct pv_live *l, const struct pv_frame_set *what, struct pv_live_told *told,
                  struct pv_error *e)
{
    const struct save_choice of = {.v = l->running, .sent = &l->sent, .what = what};
    if (pv_machine_look_again(l->running, e) ||
        put_round(l, &of, what ? count_set(what) : l->running->nr_pages, told, e))
        return pv_context(e, "cannot write round %u of the save stream", l->rounds + 1);
    told->left = count_tables(l->running);
    return 0;
}

uint64_t pv_live_bytes(const struct pv_live *l)
{
    return l->s.sink.bytes;
}

/* ---- the end */

/* Readers know where it is from the stream's head. */
static int check_list(const struct save_list *was, const struct save_list *is, struct pv_error *e)
{
    if (was->start == is->start && was->end == is->end && was->pages == is->pages &&
        memcmp(was->pfn, is->pfn, is->pages * sizeof(*is->pfn)) == 0)
        return 0;
    return pv_fail(e,
                   "the guest has put its p2m list elsewhere since the stream began: then it had "
                   "%zu pages, up to pfn %llx, now it has %zu, up to %llx",
                   was->pages, (unsigned long long)was->end, is->pages,
                   (unsigned long long)is->end);
}

static int finish(struct pv_live *l, const struct pv_frame_set *what, struct pv_live_told *told,
                  struct pv_error *e)
{
    struct save *s = &l->s;
    struct save_list was = s->list;
    const struct save_choice of = {.v = s->v, .list = &s->list, .sent = &l->sent, .what = what};
    s->list = (struct save_list){.pages = 0};
    const int rc = save_prepare(s, e) || check_list(&was, &s->list, e) ? -1 : 0;
    save_list_free(&was);
    if (rc)
        return -1;
    return put_round(l, &of, count_set(what) + s->count.tables, told, e) || save_back(s, e) ||
                   sink_end(&s->sink, e)
               ? -1
               : 0;
}

int pv_live_finish(struct pv_live *l, const struct pv_view *standing,
                   const struct pv_frame_set *what, struct pv_live_told *told,
                   struct pv_saved *saved, struct pv_error *e)
{
    l->s.v = standing;
    if (finish(l, what, told, e))
        return pv_context(e, "cannot finish the save stream");
    *saved = (struct pv_saved){l->s.count.pages, l->s.count.tables, l->s.sink.bytes};
    return 0;
}

void pv_live_free(struct pv_live *l)
{
    if (!l)
        return;
    save_free(&l->s);
    free(l->sent.mfn);
    free(l);
}
