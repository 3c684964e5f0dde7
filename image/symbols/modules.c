/* SPDX-License-Identifier: MIT */
/*
 * Linux's list of modules. While a module's init function runs its symbols are the whole table of
 * the file, in memory that is freed behind it; later they are a shorter copy. The kernel's pointer
 * (struct module, kallsyms) always has the right one.
 */
#include <ctype.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "btf.h"
#include "modules.h"

#define MAX_BTF      (32u << 20)
#define MAX_MODULES  4096u
#define MAX_SYMBOLS  (256u << 10) /* of a module */
#define MAX_STRINGS  (16u << 20)
#define MAX_REGION   (256u << 20)
#define NAME_CHARS   512u
#define ALL_BYTES    (256u << 20) /* copied in all: a bound for lists that lie */
#define KERNEL_SPACE 0xffff800000000000ull

struct region {
    uint64_t start, end, text_end;
};

struct module {
    uint64_t at;
    char name[64];
    unsigned nr_regions;
    struct region region[MAX_REGIONS];
    uint64_t symtab, strtab;
    uint32_t num_symtab;
};

struct walk {
    struct source *to;
    const struct pv_view *v;
    mfn_t root;
    struct pv_error *e;
    struct module_fields f;
    uint8_t *raw; /* a struct module */
    uint64_t budget;
    unsigned unreadable;
    char first_unreadable[64];
};

static bool read_all(const struct walk *w, uint64_t va, void *to, size_t n)
{
    return va >= KERNEL_SPACE && pv_read_va(w->v, w->root, gva(va), to, n) == n;
}

static uint64_t get(const uint8_t *raw, const struct field *f)
{
    uint64_t value = 0;

    memcpy(&value, raw + f->offset, f->bytes < 8 ? f->bytes : 8);
    return value;
}

/* ---- one module */

static bool get_name(const struct walk *w, struct module *m)
{
    const char *name = (const char *)w->raw + w->f.name.offset;
    size_t n = strnlen(name, w->f.name.bytes);

    if (n == 0 || n == w->f.name.bytes || n >= sizeof(m->name))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isgraph((unsigned char)name[i]))
            return false;
    memcpy(m->name, name, n);
    m->name[n] = '\0';
    return true;
}

static void get_region(const struct walk *w, const struct region_fields *f, struct module *m)
{
    uint64_t base = get(w->raw, &f->base), size = get(w->raw, &f->size);
    uint64_t text = f->is_code ? size : get(w->raw, &f->text_size);

    if (base < KERNEL_SPACE || size == 0 || size > MAX_REGION || base + size < base)
        return;
    m->region[m->nr_regions++] =
        (struct region){base, base + size, base + (text < size ? text : size)};
}

static bool get_module(struct walk *w, uint64_t at, struct module *m)
{
    uint8_t raw[64];

    memset(m, 0, sizeof(*m));
    m->at = at;
    if (!get_name(w, m))
        return false;
    for (unsigned i = 0; i < w->f.nr_regions; i++)
        get_region(w, &w->f.region[i], m);
    if (w->f.kallsyms_bytes > sizeof(raw) ||
        !read_all(w, get(w->raw, &w->f.kallsyms), raw, w->f.kallsyms_bytes))
        return false;
    m->symtab = get(raw, &w->f.symtab);
    m->strtab = get(raw, &w->f.strtab);
    m->num_symtab = (uint32_t)get(raw, &w->f.num_symtab);
    return m->nr_regions != 0 && m->num_symtab <= MAX_SYMBOLS;
}

static const struct region *region_of(const struct module *m, uint64_t va)
{
    for (unsigned i = 0; i < m->nr_regions; i++)
        if (va >= m->region[i].start && va < m->region[i].end)
            return &m->region[i];
    return NULL;
}

static bool add_symbol(struct walk *w, const struct module *m, unsigned number, const Elf64_Sym *s,
                       const char *name, size_t bytes)
{
    const struct region *r = region_of(m, s->st_value);
    unsigned type = ELF64_ST_TYPE(s->st_info), bind = ELF64_ST_BIND(s->st_info);
    struct new_entry n = {.name = name, .name_bytes = bytes, .address = s->st_value};

    if (s->st_shndx == SHN_UNDEF || r == NULL ||
        (type != STT_FUNC && type != STT_OBJECT && type != STT_NOTYPE))
        return true;
    n.module = number;
    n.size = s->st_size <= r->end - s->st_value ? s->st_size : 0;
    n.limit = s->st_value < r->text_end ? r->text_end : r->end;
    if (s->st_value < r->text_end && type != STT_OBJECT)
        n.flags |= ENTRY_CODE;
    if (bind == STB_GLOBAL)
        n.flags |= ENTRY_GLOBAL;
    if (bind == STB_WEAK)
        n.flags |= ENTRY_WEAK;
    return source_add(w->to, &n);
}

static bool printable(const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isgraph((unsigned char)name[i]))
            return false;
    return true;
}

static bool add_symbols(struct walk *w, const struct module *m, const Elf64_Sym *symbol,
                        const char *strings, size_t bytes)
{
    unsigned number = source_module(w->to, m->name);

    for (uint32_t i = 0; i < m->num_symtab; i++) {
        size_t room, n;

        if (symbol[i].st_name >= bytes)
            continue;
        room = bytes - symbol[i].st_name;
        n = strnlen(strings + symbol[i].st_name, room < NAME_CHARS ? room : NAME_CHARS);
        if (n == room || !printable(strings + symbol[i].st_name, n))
            continue;
        if (number == 0 || !add_symbol(w, m, number, &symbol[i], strings + symbol[i].st_name, n))
            return false;
    }
    return true;
}

/* How long the strings are is nowhere: up to the last name that is used. */
static size_t strings_bytes(const Elf64_Sym *symbol, uint32_t nr)
{
    size_t most = 0;

    for (uint32_t i = 0; i < nr; i++)
        if (symbol[i].st_name > most)
            most = symbol[i].st_name;
    return most + NAME_CHARS;
}

/* 1: added; 0: cannot be read; -1: out of memory. */
static int add_strings(struct walk *w, const struct module *m, const Elf64_Sym *symbol)
{
    size_t bytes = strings_bytes(symbol, m->num_symtab), got;
    char *strings;
    int result;

    if (bytes > MAX_STRINGS || bytes > w->budget || m->strtab < KERNEL_SPACE)
        return 0;
    strings = malloc(bytes);
    if (strings == NULL)
        return -1;
    w->budget -= bytes;
    got = pv_read_va(w->v, w->root, gva(m->strtab), strings, bytes);
    result = got == 0 ? 0 : add_symbols(w, m, symbol, strings, got) ? 1 : -1;
    free(strings);
    return result;
}

static int add_module(struct walk *w, const struct module *m)
{
    size_t bytes = m->num_symtab * sizeof(Elf64_Sym);
    Elf64_Sym *symbol;
    int result = 0;

    if (bytes == 0 || bytes > w->budget)
        return 0;
    symbol = malloc(bytes);
    if (symbol == NULL)
        return -1;
    w->budget -= bytes;
    if (read_all(w, m->symtab, symbol, bytes))
        result = add_strings(w, m, symbol);
    free(symbol);
    return result;
}

/* ---- the list */

#define MAX_ORC (1u << 20)

static bool add_orc(struct walk *w, const struct module *m)
{
    struct orc_table t = {
        .ips = get(w->raw, &w->f.orc_unwind_ip),
        .entries = get(w->raw, &w->f.orc_unwind),
        .nr = (uint32_t)get(w->raw, &w->f.num_orcs),
    };

    if (t.nr == 0 || t.nr > MAX_ORC || t.ips < KERNEL_SPACE || t.entries < KERNEL_SPACE)
        return true;
    for (unsigned i = 0; i < m->nr_regions; i++)
        if (m->region[i].text_end != m->region[i].start &&
            !source_orc(w->to, m->region[i].start, m->region[i].text_end, &t))
            return false;
    return true;
}

static void note_unreadable(struct walk *w, const struct module *m)
{
    if (w->unreadable++ == 0)
        memcpy(w->first_unreadable, m->name, sizeof(m->name));
}

/* 1: on with the list, 0: its end or nonsense, -1: no memory */
static int visit(struct walk *w, uint64_t node, uint64_t *next)
{
    uint64_t at = node - w->f.list.offset;
    struct field pointer = {w->f.list.offset, 8};
    struct module m;
    int result;

    if (w->budget < w->f.bytes || !read_all(w, at, w->raw, w->f.bytes))
        return 0;
    w->budget -= w->f.bytes;
    *next = get(w->raw, &pointer);
    if (w->f.has_unformed && get(w->raw, &w->f.state) == w->f.unformed)
        return 1; /* its tables are not there yet */
    result = get_module(w, at, &m) ? add_module(w, &m) : 0;
    if (result == 0)
        note_unreadable(w, &m);
    if (result == 1 && !add_orc(w, &m))
        return -1;
    return result < 0 ? -1 : 1;
}

static int walk_list(struct walk *w, uint64_t head)
{
    uint64_t node;

    if (!read_all(w, head, &node, sizeof(node)))
        return symbols_fail(w->e, "the list of modules cannot be read");
    for (unsigned i = 0; node != head; i++) {
        int result = i < MAX_MODULES ? visit(w, node, &node) : 0;

        if (result == 0)
            return symbols_fail(w->e, "the list of modules is broken after %u", i);
        if (result < 0)
            return symbols_fail(w->e, "out of memory for the symbols of modules");
    }
    if (w->unreadable != 0)
        return symbols_fail(w->e, "the symbols of %u modules cannot be read, of %s first",
                            w->unreadable, w->first_unreadable);
    return 0;
}

static int read_btf(struct walk *w)
{
    uint64_t start, stop;
    void *btf;
    int failed;

    if (!source_find(w->to, "__start_BTF", &start) || !source_find(w->to, "__stop_BTF", &stop))
        return symbols_fail(w->e, "the kernel has no description of its types (BTF)");
    if (stop <= start || stop - start > MAX_BTF)
        return symbols_fail(w->e, "the kernel's BTF has no sensible size");
    btf = malloc(stop - start);
    if (btf == NULL)
        return symbols_fail(w->e, "out of memory for the kernel's BTF");
    if (read_all(w, start, btf, stop - start))
        failed = btf_module_fields(btf, stop - start, &w->f, w->e);
    else
        failed = symbols_fail(w->e, "the kernel's BTF cannot be read");
    free(btf);
    return failed;
}

int modules_load(struct source *s, const struct pv_view *v, mfn_t root, struct pv_error *e)
{
    struct walk w = {.to = s, .v = v, .root = root, .e = e, .budget = ALL_BYTES};
    uint64_t head;
    int failed;

    if (!source_find(s, "modules", &head))
        return symbols_fail(e, "the kernel names no list of modules");
    if (read_btf(&w) != 0)
        return -1;
    w.raw = malloc(w.f.bytes);
    if (w.raw == NULL)
        return symbols_fail(e, "out of memory for the list of modules");
    failed = walk_list(&w, head);
    free(w.raw);
    return failed;
}
