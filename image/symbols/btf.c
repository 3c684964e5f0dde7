/* SPDX-License-Identifier: MIT */
/*
 * Three layouts of a module's memory: core_layout and init_layout (4.5 to 6.3), and mem[] with one
 * element for each enum mod_mem_type (from 6.4).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "btf.h"

#define DEEPEST         8u          /* anonymous structures within structures */
#define MOST_MEMBERS    (64u << 10) /* looked at for one name: structures repeat in one another */
#define MAX_OF_A_STRUCT 8192u
#define LIST_HEAD_BYTES 16u

static const struct btf_type *plain_type(const struct btf *btf, uint32_t *id)
{
    int plain = btf__resolve_type(btf, *id);

    if (plain <= 0)
        return NULL;
    *id = (uint32_t)plain;
    return btf__type_by_id(btf, *id);
}

struct member {
    struct field at;
    uint32_t type;
};

struct search {
    const struct btf *btf;
    const char *name;
    unsigned members; /* that may still be looked at */
};

static bool search_members(struct search *s, uint32_t type, unsigned depth, struct member *out)
{
    const struct btf *btf = s->btf;
    const struct btf_type *t = plain_type(btf, &type);

    if (t == NULL || !btf_is_composite(t) || depth > DEEPEST)
        return false;
    for (unsigned i = 0; i < btf_vlen(t) && s->members > 0; i++) {
        const struct btf_member *m = &btf_members(t)[i];
        const char *has = btf__name_by_offset(btf, m->name_off);
        uint32_t offset = btf_member_bit_offset(t, i) / 8;
        int64_t bytes;

        s->members--;
        if (has == NULL)
            return false;
        if (has[0] == '\0' && search_members(s, m->type, depth + 1, out)) {
            out->at.offset += offset;
            return true;
        }
        if (strcmp(has, s->name) != 0)
            continue;
        bytes = btf__resolve_size(btf, m->type);
        if (bytes <= 0 || bytes > MAX_OF_A_STRUCT || offset > MAX_OF_A_STRUCT)
            return false;
        *out = (struct member){.at = {offset, (uint32_t)bytes}, .type = m->type};
        return true;
    }
    return false;
}

static bool find_member(const struct btf *btf, uint32_t type, const char *name, struct member *out)
{
    struct search s = {.btf = btf, .name = name, .members = MOST_MEMBERS};

    return search_members(&s, type, 0, out);
}

/* A number or a pointer of at most `most` bytes. */
static bool find_field(const struct btf *btf, uint32_t type, const char *name, uint32_t most,
                       struct field *out)
{
    struct member m;

    if (!find_member(btf, type, name, &m) || m.at.bytes > most)
        return false;
    *out = m.at;
    return true;
}

static bool find_region(const struct btf *btf, const struct member *of, uint32_t type,
                        uint32_t offset, struct region_fields *out)
{
    if (!find_field(btf, type, "base", 8, &out->base) ||
        !find_field(btf, type, "size", 4, &out->size))
        return false;
    if (find_field(btf, type, "text_size", 4, &out->text_size))
        out->text_size.offset += of->at.offset + offset;
    out->base.offset += of->at.offset + offset;
    out->size.offset += of->at.offset + offset;
    return true;
}

static bool find_layout(const struct btf *btf, uint32_t module, const char *name,
                        struct module_fields *f)
{
    struct member m;

    if (!find_member(btf, module, name, &m) ||
        !find_region(btf, &m, m.type, 0, &f->region[f->nr_regions]))
        return false;
    f->nr_regions++;
    return true;
}

/* The kinds of a module's memory that hold code. */
static uint32_t code_kinds(const struct btf *btf)
{
    int id = btf__find_by_name_kind(btf, "mod_mem_type", BTF_KIND_ENUM);
    const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
    uint32_t kinds = 0;

    for (unsigned i = 0; t != NULL && i < btf_vlen(t); i++) {
        const char *name = btf__name_by_offset(btf, btf_enum(t)[i].name_off);
        uint32_t value = (uint32_t)btf_enum(t)[i].val;

        if (name != NULL && value < MAX_REGIONS &&
            (strcmp(name, "MOD_TEXT") == 0 || strcmp(name, "MOD_INIT_TEXT") == 0))
            kinds |= 1u << value;
    }
    return kinds;
}

static bool find_kinds(const struct btf *btf, uint32_t module, struct module_fields *f)
{
    uint32_t code = code_kinds(btf), element;
    const struct btf_type *t;
    struct member m;
    int64_t bytes;

    if (!find_member(btf, module, "mem", &m))
        return false;
    t = plain_type(btf, &m.type);
    if (t == NULL || !btf_is_array(t) || btf_array(t)->nelems > MAX_REGIONS)
        return false;
    element = btf_array(t)->type;
    bytes = btf__resolve_size(btf, element);
    if (bytes <= 0 || bytes > MAX_OF_A_STRUCT)
        return false;
    for (uint32_t i = 0; i < btf_array(t)->nelems; i++) {
        struct region_fields *r = &f->region[f->nr_regions++];

        if (!find_region(btf, &m, element, i * (uint32_t)bytes, r))
            return false;
        r->is_code = (code >> i & 1) != 0;
    }
    return true;
}

static bool find_regions(const struct btf *btf, uint32_t module, struct module_fields *f)
{
    if (find_kinds(btf, module, f))
        return true;
    f->nr_regions = 0;
    if (!find_layout(btf, module, "core_layout", f))
        return false;
    find_layout(btf, module, "init_layout", f);
    return true;
}

static void find_unformed(const struct btf *btf, struct module_fields *f)
{
    int id = btf__find_by_name_kind(btf, "module_state", BTF_KIND_ENUM);
    const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;

    for (unsigned i = 0; t != NULL && i < btf_vlen(t); i++) {
        const char *name = btf__name_by_offset(btf, btf_enum(t)[i].name_off);

        if (name == NULL || strcmp(name, "MODULE_STATE_UNFORMED") != 0)
            continue;
        f->has_unformed = true;
        f->unformed = (uint32_t)btf_enum(t)[i].val;
    }
}

/* Only kernels that unwind by ORC have these. */
static void find_orc(const struct btf *btf, uint32_t module, struct module_fields *f)
{
    struct field *const field[] = {&f->num_orcs, &f->orc_unwind_ip, &f->orc_unwind};
    static const char *const name[] = {"num_orcs", "orc_unwind_ip", "orc_unwind"};
    struct member m;

    for (unsigned i = 0; i < 3; i++) {
        if (find_member(btf, module, "arch", &m) &&
            find_field(btf, m.type, name[i], i == 0 ? 4 : 8, field[i]))
            field[i]->offset += m.at.offset;
    }
}

/* Every member lies within its structure. */
static bool fits(const struct field *f, uint32_t bytes)
{
    return f->offset <= bytes && f->bytes <= bytes - f->offset;
}

static bool all_fit(const struct module_fields *f)
{
    bool ok = fits(&f->state, f->bytes) && fits(&f->list, f->bytes) && fits(&f->name, f->bytes) &&
              fits(&f->kallsyms, f->bytes) && fits(&f->symtab, f->kallsyms_bytes) &&
              fits(&f->num_symtab, f->kallsyms_bytes) && fits(&f->strtab, f->kallsyms_bytes);

    ok = ok && fits(&f->num_orcs, f->bytes) && fits(&f->orc_unwind_ip, f->bytes) &&
         fits(&f->orc_unwind, f->bytes);
    for (unsigned i = 0; i < f->nr_regions; i++)
        ok = ok && fits(&f->region[i].base, f->bytes) && fits(&f->region[i].size, f->bytes) &&
             fits(&f->region[i].text_size, f->bytes);
    return ok;
}

/* 0: the kernel has no such structure, or not one of a kernel. */
static uint32_t find_struct(const struct btf *btf, const char *name, uint32_t *bytes)
{
    int id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);
    int64_t size = id > 0 ? btf__resolve_size(btf, (uint32_t)id) : 0;

    if (size <= 0 || size > MAX_OF_A_STRUCT)
        return 0;
    *bytes = (uint32_t)size;
    return (uint32_t)id;
}

static int read_fields(const struct btf *btf, struct module_fields *f, struct pv_error *e)
{
    uint32_t module = find_struct(btf, "module", &f->bytes);
    uint32_t kallsyms = find_struct(btf, "mod_kallsyms", &f->kallsyms_bytes);

    if (module == 0 || kallsyms == 0)
        return symbols_fail(e, "the kernel's BTF has no struct %s",
                            module == 0 ? "module" : "mod_kallsyms");
    if (!find_field(btf, module, "list", LIST_HEAD_BYTES, &f->list) ||
        f->list.bytes != LIST_HEAD_BYTES || !find_field(btf, module, "name", 256, &f->name) ||
        !find_field(btf, module, "kallsyms", 8, &f->kallsyms) || !find_regions(btf, module, f))
        return symbols_fail(e, "the kernel's struct module is none that is known here");
    if (!find_field(btf, kallsyms, "symtab", 8, &f->symtab) ||
        !find_field(btf, kallsyms, "num_symtab", 4, &f->num_symtab) ||
        !find_field(btf, kallsyms, "strtab", 8, &f->strtab))
        return symbols_fail(e, "the kernel's struct mod_kallsyms is none that is known here");
    if (find_field(btf, module, "state", 4, &f->state))
        find_unformed(btf, f);
    find_orc(btf, module, f);
    if (!all_fit(f))
        return symbols_fail(e, "the kernel's BTF contradicts itself");
    return 0;
}

static int say_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
    (void)level;
    (void)format;
    (void)args;
    return 0;
}

int btf_module_fields(const void *data, size_t bytes, struct module_fields *out, struct pv_error *e)
{
    libbpf_print_fn_t was = libbpf_set_print(say_nothing);
    struct btf *btf = btf__new(data, (uint32_t)bytes);
    int failed;

    memset(out, 0, sizeof(*out));
    if (btf == NULL)
        failed = symbols_fail(e, "the kernel's BTF cannot be read: %s", strerror(errno));
    else
        failed = read_fields(btf, out, e);
    btf__free(btf);
    libbpf_set_print(was);
    return failed;
}
