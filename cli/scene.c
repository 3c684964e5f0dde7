/* SPDX-License-Identifier: MIT */
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core.h"
#include "exitcodes.h"
#include "hvimage.h"
#include "reports.h"
#include "symbolfile.h"

#define KERNEL_HALF 0xffff800000000000ull
#define HIGH_BASE   (UINT64_C(1) << 32)
#define STACK_WORDS PVMM_REPORT_STACK

/* ---- a view of any machine's memory, for reading at virtual addresses */

static bool bare_read(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    const struct pass *p = v->image;
    uint64_t at;

    return offset <= PAGE_BYTES && n <= PAGE_BYTES - offset && m.n < v->nr_frames &&
           pass_place(p, m.n * PAGE_BYTES, &at) &&
           pread(p->player.machine.ram_fd, to, n, (off_t)(at + offset)) == (ssize_t)n;
}

static bool bare_owned(const struct pv_view *v, mfn_t m)
{
    return m.n < v->nr_frames;
}

static pfn_t bare_pfn_of(const struct pv_view *v, mfn_t m)
{
    (void)v;
    (void)m;
    return NO_PFN;
}

static mfn_t bare_mfn_of(const struct pv_view *v, pfn_t p)
{
    (void)v;
    (void)p;
    return NO_MFN;
}

static mfn_t bare_next(const struct pv_view *v, mfn_t from)
{
    (void)v;
    (void)from;
    return NO_MFN;
}

static pfn_t bare_next_pfn(const struct pv_view *v, pfn_t from)
{
    (void)v;
    (void)from;
    return NO_PFN;
}

static const struct pv_backend bare_backend = {
    .read = bare_read,
    .owned = bare_owned,
    .pfn_of = bare_pfn_of,
    .mfn_of = bare_mfn_of,
    .next_pinned_root = bare_next,
    .next_owned = bare_next,
    .next_pfn = bare_next_pfn,
};

static struct pv_view bare_view(struct pass *p)
{
    return (struct pv_view){
        .backend = &bare_backend,
        .image = p,
        .kind = "machine memory",
        .width = 8,
        .nr_frames = ((p->player.machine.megabytes << 20) + HIGH_BASE) / PAGE_BYTES,
        .shared_info = NO_MFN,
        .start_info = NO_MFN,
        .initial_root = NO_MFN,
        .kernel_root = NO_MFN,
    };
}

static mfn_t root_of(const struct pass_registers *r)
{
    return maddr_frame((maddr_t){r->cr3 & PTE_FRAME_MASK});
}

/* ---- names */

static void complain(const char *what, const char *why)
{
    fprintf(stderr, "pvmm: %s: %s\n", what, why);
}

static void name_file(struct scene *s, int fd, const char *name)
{
    struct pv_error why;
    size_t count;

    if (fd >= 0 && pv_symbols_fd(s->symbols, fd, name, &count, &why) != 0)
        complain(name, why.text);
}

/* What was booted. A real Xen's kernel is as it was given, perhaps compressed. */
static void name_images(struct scene *s)
{
    const struct machine *m = &s->pass->player.machine;
    int hypervisor;

    if (s->named_kernel || s->recording->real_xen)
        return;
    s->named_kernel = true;
    name_file(s, m->kernel_fd, s->recording->kernel);
    hypervisor = hv_image_symbols(m->hypervisor_fd);
    name_file(s, hypervisor, "the hypervisor's symbols");
    if (hypervisor >= 0)
        close(hypervisor);
}

/* Of a guest that keeps no names there is nothing to be said. */
void scene_learn(struct scene *s, uint64_t address, const struct pass_registers *r)
{
    struct pv_symbol unused;
    struct pv_error why;
    size_t count;

    if (s->named_guest || address < KERNEL_HALF || pv_symbol_at(s->symbols, address, &unused))
        return;
    s->named_guest = pv_symbols_guest(s->symbols, s->sources.view, root_of(r), &count, &why) == 0;
}

/* Those of then may be gone, or of a kernel that was built since. */
static void take_recorded(struct scene *s, const struct symbol_owner *kernel)
{
    const struct recording *r = s->recording;
    struct pv_error why;
    struct error e;

    for (unsigned i = 0; i < r->nr_symbols; i++)
        if (symbol_file_check(r->symbols[i], kernel, &e) != 0)
            complain("left out, of the recording", e.text);
        else if (pv_symbols_file(s->symbols, r->symbols[i], &why) != 0)
            complain("left out, of the recording", why.text);
}

static int take_own(struct scene *s, char *const *files, unsigned n,
                    const struct symbol_owner *kernel, struct error *e)
{
    for (unsigned i = 0; i < n; i++)
        if (symbol_file_take(s->symbols, files[i], kernel, e) != 0)
            return -1;
    return 0;
}

int scene_open(struct scene *s, const struct recording *r, char *const *files, unsigned n,
               bool anyway, struct error *e)
{
    struct symbol_owner kernel = {.name = r->kernel,
                                  .anyway = anyway || (n == 0 && r->symbols_anyway)};
    int rc;

    *s = (struct scene){.recording = r, .symbols = pv_symbols_new()};
    if (s->symbols == NULL)
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    if (recording_kernel(r, &kernel.kernel_fd, e) != 0)
        return -1;
    rc = take_own(s, files, n, &kernel, e);
    if (n == 0)
        take_recorded(s, &kernel);
    if (kernel.kernel_fd >= 0)
        close(kernel.kernel_fd);
    return rc;
}

void scene_close(struct scene *s)
{
    scene_leave(s);
    pv_symbols_free(s->symbols);
    s->symbols = NULL;
}

/* ---- the machine of now */

static void enter_machine(struct scene *s)
{
    const struct mailbox *m = &s->pass->player.mailbox;
    struct error e;
    struct pv_error why;

    s->running = mailbox_state(m) >= PVMM_STATE_RUNNING;
    if (!s->running || !reports_machine(m, &s->sources.machine))
        return;
    if (pv_machine_open(&s->machine, s->pass->player.machine.ram_fd, &s->sources.machine, &why) !=
        0) {
        complain("the machine's memory", why.text);
        s->machine = NULL;
    }
    if (witness_open(&s->witness, s->pass->player.machine.ram_fd, &m->box->recorder, &e) != 0)
        complain("no witnesses", e.text);
}

void scene_enter(struct scene *s, struct pass *p)
{
    s->pass = p;
    s->bare = bare_view(p);
    s->sources = (struct explain_sources){.symbols = s->symbols};
    enter_machine(s);
    s->sources.view = s->machine != NULL ? s->machine : &s->bare;
    s->sources.witness = &s->witness;
    name_images(s);
}

void scene_leave(struct scene *s)
{
    witness_close(&s->witness);
    if (s->machine != NULL)
        pv_close(s->machine);
    s->machine = NULL;
    s->pass = NULL;
    s->sources = (struct explain_sources){.symbols = s->symbols};
}

/* ---- a moment */

static enum scene_mode mode_of(const struct pass_registers *r)
{
    if (r->level == 0)
        return r->r.rip >= KERNEL_HALF ? MODE_HYPERVISOR : MODE_FIRMWARE;
    return r->level < 3 || r->r.rip >= KERNEL_HALF ? MODE_KERNEL : MODE_USER;
}

static void take_code(const struct scene *s, struct moment *m)
{
    m->code_bytes = pv_read_va(&s->bare, root_of(&m->registers), gva(m->registers.r.rip), m->code,
                               sizeof(m->code));
    if (m->code_bytes == 0 || !pv_disassemble(m->code, m->code_bytes, m->registers.r.rip,
                                              m->instruction, sizeof(m->instruction)))
        m->instruction[0] = '\0';
}

static void take_calls(const struct scene *s, struct moment *m)
{
    const struct pvmm_regs *r = &m->registers.r;
    uint64_t word[STACK_WORDS];
    const size_t bytes =
        pv_read_va(&s->bare, root_of(&m->registers), gva(r->rsp), word, sizeof(word));
    const struct pv_stack stack = {r->rip, r->rsp, r->rbp, word, bytes / sizeof(word[0])};
    struct explain_sources bare = s->sources;

    bare.view = &s->bare; /* the hypervisor's code is none of the guest's memory */
    m->calls = explain_calls(&bare, root_of(&m->registers).n, &stack, m->call);
}

static void take_time(const struct scene *s, struct moment *m)
{
    const uint64_t written = witness_written(&s->witness);
    struct pvmm_record last;

    m->timed = written > 0 && witness_read(&s->witness, written - 1, &last) &&
               explain_seconds(&s->sources, last.time, &m->seconds);
}

int scene_moment(struct scene *s, struct moment *m, struct error *e)
{
    *m = (struct moment){.icount = s->pass->player.icount};
    if (pass_registers(s->pass, &m->registers, e) != 0)
        return -1;
    m->mode = mode_of(&m->registers);
    if (m->mode == MODE_KERNEL)
        scene_learn(s, m->registers.r.rip, &m->registers);
    explain_name(&s->sources, m->registers.r.rip, &m->at);
    if (m->mode == MODE_FIRMWARE)
        return 0; /* its segments and stacks are another world */
    take_code(s, m);
    take_calls(s, m);
    take_time(s, m);
    return 0;
}

const char *scene_mode_code(enum scene_mode mode)
{
    static const char *const codes[] = {"firmware", "hypervisor", "guest-kernel", "guest-user"};

    return codes[mode];
}

const char *scene_mode_words(enum scene_mode mode)
{
    static const char *const words[] = {"the firmware or the boot loader", "the hypervisor",
                                        "the guest's kernel", "a process of the guest"};

    return words[mode];
}

/* ---- addresses */

bool scene_store(const struct scene *s, const struct moment *m, uint64_t *va, uint64_t *address)
{
    const struct pvmm_regs *r = &m->registers.r;
    const uint64_t gpr[16] = {r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
                              r->r8,  r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15};
    struct pv_walk w;

    if (m->code_bytes == 0 || !pv_stores_to(m->code, m->code_bytes, r->rip, gpr, va) ||
        !pv_walk(&s->bare, root_of(&m->registers), gva(*va), &w))
        return false;
    *address = w.to.a;
    return true;
}

struct mappings {
    uint64_t *va;
    unsigned n, most;
};

static bool take_mapping(void *context, const struct pv_mapping *m)
{
    struct mappings *to = context;

    if (m->level == 1)
        to->va[to->n++] = m->va.a;
    return to->n < to->most;
}

unsigned scene_mappings(const struct scene *s, const struct moment *m, uint64_t mfn, uint64_t *va,
                        unsigned most)
{
    struct mappings found = {.va = va, .most = most};
    const mfn_t root = root_of(&m->registers);
    struct pv_error unused;

    if (s->machine == NULL || most == 0 ||
        pv_find_maps(s->machine, &root, 1, (mfn_t){mfn}, take_mapping, &found, &unused) != 0)
        return 0;
    return found.n;
}
