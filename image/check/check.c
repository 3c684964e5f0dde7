/* SPDX-License-Identifier: MIT */
/* The whole contract, offline: the core's recount over an image, and each rule's answer. */
#include "run.h"

#include <stdlib.h>

#include "pvmachine.h"

/* Without the numbers that keep arrays as large as the guest, or of another width: no tables. */
static int check_memory(struct run *r)
{
    const struct core *of_machine = pv_machine_core(r->v);
    if (r->v->width != 8)
        return 0;
    if (of_machine)
        return check_machine(r, of_machine);
    return r->v->backend->index_of && r->v->backend->frame_at ? check_counted(r) : 0;
}

static mfn_t view_frame(const struct run *r, uint64_t i)
{
    return r->counted ? check_real(r, mfn(i)) : mfn(i);
}

/* L4s in use that are pinned: in a frame table that was made up, found ones too. */
static int tell_roots(struct run *r)
{
    struct pv_check *out = r->out;
    size_t room = 0;
    for (uint64_t i = 0; r->count && i < r->core.nr_frames; i++) {
        if (r->count[i].walked != TYPE_L4 || !core_frame_pinned(&r->core, mfn(i)))
            continue;
        if (out->roots == room) {
            room = room ? 2 * room : 64;
            mfn_t *grown = reallocarray(out->root, room, sizeof(*grown));
            if (!grown)
                return pv_no_memory(r->e);
            out->root = grown;
        }
        out->root[out->roots++] = view_frame(r, i);
    }
    return 0;
}

static void end(struct run *r)
{
    check_drop_copies(r);
    free(r->number);
    free(r->made);
    free(r->count);
    free(r->vcpu);
    free(r->place);
}

int pv_check(const struct pv_view *v, const struct pv_p2m *p, const struct pv_check_options *o,
             struct pv_check *out, struct pv_error *e)
{
    static const struct pv_check_options plain = {0};
    struct run r = {.v = v, .p = p, .options = o ? o : &plain, .out = out, .e = e};
    *out = (struct pv_check){0};
    int rc = check_memory(&r);
    if (rc == 0)
        rc = check_lists(&r);
    if (rc == 0) {
        check_find_places(&r);
        check_answer(&r);
        rc = check_may_go_on(&r) || tell_roots(&r) ? -1 : 0;
    }
    end(&r);
    if (rc) {
        pv_check_free(out);
        return pv_context(e, "the image was not checked to its end");
    }
    return 0;
}

void pv_check_free(struct pv_check *c)
{
    free(c->finding);
    free(c->root);
    *c = (struct pv_check){0};
}
