/* SPDX-License-Identifier: MIT */
/* The notes: the vCPUs' registers as those of processes, and VMCOREINFO as the kernel has it. */
#include "elfcore.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>

#include <xen/xen.h>

#define VMCOREINFO     "VMCOREINFO"
#define VMCOREINFO_MAX (64u << 10)
#define OSRELEASE      "OSRELEASE="
#define BANNER         "Linux version "
#define RELEASE_MAX    65u
#define LOOK_UNTIL     (1u << 20) /* pages that are looked at for one that begins so: 4 GiB */

/* Selectors as the kernel has them on bare hardware: debuggers know user mode by them. */
#define KERNEL_CS 0x10u
#define KERNEL_DS 0x18u

/* ---- building */

static bool grow(struct elfcore_notes *n, size_t by)
{
    if (n->room - n->n >= by)
        return true;
    const size_t room = 2 * n->room + by;
    uint8_t *grown = realloc(n->bytes, room);
    if (!grown)
        return false;
    n->bytes = grown;
    n->room = room;
    return true;
}

static size_t padded(size_t n)
{
    return (n + 3) & ~(size_t)3;
}

/* Where its content lies, all 0 if `content` is NULL; 0: out of memory. */
static size_t put(struct elfcore_notes *n, const char *name, uint32_t type, const void *content,
                  size_t bytes)
{
    const Elf64_Nhdr h = {(uint32_t)strlen(name) + 1, (uint32_t)bytes, type};
    const size_t at = n->n + sizeof(h) + padded(h.n_namesz), end = at + padded(bytes);
    if (!grow(n, end - n->n))
        return 0;
    memset(n->bytes + n->n, 0, end - n->n);
    memcpy(n->bytes + n->n, &h, sizeof(h));
    memcpy(n->bytes + n->n + sizeof(h), name, h.n_namesz);
    if (content)
        memcpy(n->bytes + at, content, bytes);
    n->n = end;
    return at;
}

/* ---- registers */

static void take_registers(elf_gregset_t out, const vcpu_guest_context_t *c, bool in_kernel)
{
    const struct cpu_user_regs *u = &c->user_regs;
    struct user_regs_struct r = {
        .r15 = u->r15,
        .r14 = u->r14,
        .r13 = u->r13,
        .r12 = u->r12,
        .rbp = u->rbp,
        .rbx = u->rbx,
        .r11 = u->r11,
        .r10 = u->r10,
        .r9 = u->r9,
        .r8 = u->r8,
        .rax = u->rax,
        .rcx = u->rcx,
        .rdx = u->rdx,
        .rsi = u->rsi,
        .rdi = u->rdi,
        .orig_rax = ~0ull,
        .rip = u->rip,
        .cs = in_kernel ? KERNEL_CS : u->cs,
        .eflags = u->rflags,
        .rsp = u->rsp,
        .ss = in_kernel ? KERNEL_DS : u->ss,
        .fs_base = c->fs_base,
        .gs_base = in_kernel ? c->gs_base_kernel : c->gs_base_user,
        .ds = u->ds,
        .es = u->es,
        .fs = u->fs,
        .gs = u->gs,
    };
    _Static_assert(sizeof(elf_gregset_t) == sizeof(r), "sys/procfs.h");
    memcpy(out, &r, sizeof(r));
}

static bool put_vcpus(struct elfcore_notes *n, const struct pv_view *v)
{
    for (unsigned i = 0; i < v->nr_vcpus; i++) {
        vcpu_guest_context_t c;
        struct elf_prstatus s = {.pr_pid = (int)i + 1};
        if (!v->vcpu[i].valid)
            continue;
        memcpy(&c, v->vcpu[i].context, sizeof(c));
        take_registers(s.pr_reg, &c, v->vcpu[i].in_kernel);
        if (!put(n, "CORE", NT_PRSTATUS, &s, sizeof(s)))
            return false;
    }
    return true;
}

/* ---- VMCOREINFO */

struct vmcoreinfo {
    const struct pv_view *v;
    const struct pv_symbols *s;
    char release[RELEASE_MAX]; /* the kernel's, by its banner; "": not known */
    char text[VMCOREINFO_MAX];
    size_t n;
};

static bool word_at(const struct vmcoreinfo *i, const char *symbol, uint64_t *to)
{
    uint64_t va;
    return i->s && pv_symbol_find(i->s, symbol, &va) &&
           pv_read_va(i->v, i->v->kernel_root, gva(va), to, sizeof(*to)) == sizeof(*to);
}

static void find_release(struct vmcoreinfo *i)
{
    char banner[sizeof(BANNER) - 1 + RELEASE_MAX] = "";
    uint64_t va;
    i->release[0] = 0;
    if (!i->s || !pv_symbol_find(i->s, "linux_banner", &va) ||
        pv_read_va(i->v, i->v->kernel_root, gva(va), banner, sizeof(banner) - 1) <
            sizeof(banner) - 1 ||
        memcmp(banner, BANNER, sizeof(BANNER) - 1))
        return;
    const char *from = banner + sizeof(BANNER) - 1;
    snprintf(i->release, sizeof(i->release), "%.*s", (int)strcspn(from, " "), from);
}

/* Of that kernel: a page of another's may be left over in memory. */
static bool is_right(struct vmcoreinfo *i)
{
    const size_t begin = sizeof(OSRELEASE) - 1;
    if (i->n < begin || memcmp(i->text, OSRELEASE, begin))
        return false;
    const char *line = memchr(i->text, '\n', i->n);
    if (!line)
        return false;
    const size_t length = (size_t)(line - i->text) - begin;
    return !i->release[0] ||
           (strlen(i->release) == length && memcmp(i->text + begin, i->release, length) == 0);
}

static bool by_symbol(struct vmcoreinfo *i)
{
    uint64_t va, bytes;
    if (!word_at(i, "vmcoreinfo_data", &va) || !word_at(i, "vmcoreinfo_size", &bytes) ||
        bytes == 0 || bytes > sizeof(i->text))
        return false;
    i->n = pv_read_va(i->v, i->v->kernel_root, gva(va), i->text, bytes);
    return i->n == bytes && is_right(i);
}

/* Linux puts it at the beginning of a page of its own. */
static bool by_content(struct vmcoreinfo *i)
{
    const struct pv_backend *b = i->v->backend;
    char begins[sizeof(OSRELEASE) - 1];
    unsigned seen = 0;
    for (pfn_t p = b->next_pfn(i->v, pfn(0)); p.n != NO_PFN.n && seen < LOOK_UNTIL;
         p = b->next_pfn(i->v, pfn(p.n + 1)), seen++) {
        const mfn_t m = b->mfn_of(i->v, p);
        if ((b->blank && b->blank(i->v, m)) || !b->read(i->v, m, 0, begins, sizeof(begins)) ||
            memcmp(begins, OSRELEASE, sizeof(begins)) || !b->read(i->v, m, 0, i->text, PAGE_BYTES))
            continue;
        i->n = strnlen(i->text, PAGE_BYTES);
        if (is_right(i))
            return true;
    }
    return false;
}

static void say(struct vmcoreinfo *i, const char *key, const char *fmt, unsigned long long value)
{
    const size_t room = sizeof(i->text) - i->n;
    const int n = snprintf(i->text + i->n, room, "%s", key);
    i->n += n > 0 && (size_t)n < room ? (size_t)n : 0;
    const int more = snprintf(i->text + i->n, sizeof(i->text) - i->n, fmt, value);
    i->n += more > 0 && (size_t)more < sizeof(i->text) - i->n ? (size_t)more : 0;
}

/* What tools cannot do without. A PV kernel is where it was linked to: nothing is shifted. */
static bool made_up(struct vmcoreinfo *i)
{
    static const char *const root[] = {"init_top_pgt", "init_level4_pgt", "swapper_pg_dir"};
    static const char *const symbols[] = {"init_uts_ns", "node_online_map", "_stext",
                                          "vmap_area_list", "mem_section"};
    uint64_t va;
    if (!i->release[0])
        return false;
    i->n = (size_t)snprintf(i->text, sizeof(i->text), OSRELEASE "%s\n", i->release);
    say(i, "PAGESIZE=", "%llu\n", PAGE_BYTES);
    for (unsigned k = 0; k < sizeof(symbols) / sizeof(*symbols); k++)
        if (pv_symbol_find(i->s, symbols[k], &va)) {
            char key[64];
            snprintf(key, sizeof(key), "SYMBOL(%s)=", symbols[k]);
            say(i, key, "%llx\n", va);
        }
    for (unsigned k = 0; k < sizeof(root) / sizeof(*root); k++)
        if (pv_symbol_find(i->s, root[k], &va)) {
            say(i, "SYMBOL(swapper_pg_dir)=", "%llx\n", va);
            break;
        }
    say(i, "NUMBER(phys_base)=", "%llu\n", 0);
    say(i, "NUMBER(pgtable_l5_enabled)=", "%llu\n", 0);
    say(i, "KERNELOFFSET=", "%llx\n", 0);
    return true;
}

static int put_vmcoreinfo(struct elfcore_notes *n, struct vmcoreinfo *i, struct pv_losses *lost,
                          struct pv_error *e)
{
    find_release(i);
    if (!by_symbol(i) && !by_content(i)) {
        const bool made = made_up(i);
        pv_lose(lost,
                made
                    ? "VMCOREINFO: the guest's memory has none of its kernel: one with little more "
                      "than the release %s is made up"
                    : "VMCOREINFO: the guest's memory has none%s: debuggers take the file for no "
                      "kernel's",
                i->release);
        if (!made)
            return 0;
    }
    return put(n, VMCOREINFO, 0, i->text, i->n) ? 0 : pv_no_memory(e);
}

int elfcore_notes_make(struct elfcore_notes *n, const struct pv_view *v, const struct pv_symbols *s,
                       struct pv_losses *lost, struct pv_error *e)
{
    n->own_at = put(n, ELFCORE_NOTE_NAME, ELFCORE_NOTE_TYPE, NULL, sizeof(struct elfcore_note));
    if (!n->own_at || !put_vcpus(n, v))
        return pv_no_memory(e);
    struct vmcoreinfo *i = calloc(1, sizeof(*i));
    if (!i)
        return pv_no_memory(e);
    i->v = v;
    i->s = s;
    const int rc = put_vmcoreinfo(n, i, lost, e);
    free(i);
    return rc;
}
