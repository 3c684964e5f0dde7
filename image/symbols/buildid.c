/* SPDX-License-Identifier: MIT */
/*
 * Build ids: notes of ELF files (elf(5), Nhdr), in sections or segments; the same bytes lie in the
 * memory of the kernel that runs, and Linux's kallsyms says from where to where.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gelf.h>

#include "file.h"
#include "kallsyms.h"

#define OWNER_BYTES 4u         /* "GNU" and its NUL */
#define NOTES_MOST  (1u << 20) /* of one program: they have some hundred bytes */

/* ---- notes in a row */

struct notes {
    const uint8_t *byte;
    size_t bytes;
    unsigned align; /* of each note, and of what is in it */
    uint64_t va;    /* of the first byte; 0: not known */
};

static uint64_t round_up(uint64_t n, unsigned align)
{
    return (n + align - 1) / align * align;
}

/* What is at `n->byte + at` ends at *end, if all of it is there. */
static bool note_at(const struct notes *n, size_t at, Elf64_Nhdr *note, uint64_t *desc,
                    uint64_t *end)
{
    memcpy(note, n->byte + at, sizeof(*note));
    *desc = round_up(at + sizeof(*note) + (uint64_t)note->n_namesz, n->align);
    *end = *desc + note->n_descsz;
    return *end <= n->bytes;
}

static bool is_build_id(const Elf64_Nhdr *note, const uint8_t *owner)
{
    return note->n_type == NT_GNU_BUILD_ID && note->n_namesz == OWNER_BYTES &&
           memcmp(owner, ELF_NOTE_GNU, OWNER_BYTES) == 0;
}

static bool keep(struct pv_build_id *id, const uint8_t *desc, uint32_t bytes, uint64_t va)
{
    if (bytes == 0 || bytes > sizeof(id->byte))
        return false;
    memcpy(id->byte, desc, bytes);
    id->bytes = bytes;
    id->va = va;
    return true;
}

/* The first build id among them, if there is one; -1: they are damaged. */
static int search(const struct notes *n, struct pv_build_id *id, struct pv_error *e)
{
    uint64_t at = 0, desc, end;
    Elf64_Nhdr note;

    while (at <= n->bytes && n->bytes - at >= sizeof(note)) {
        if (!note_at(n, at, &note, &desc, &end))
            return symbols_fail(
                e, "its notes are damaged: the one at byte %" PRIu64 " of %zu runs out of them", at,
                n->bytes);
        if (!is_build_id(&note, n->byte + at + sizeof(note))) {
            at = round_up(end, n->align);
            continue;
        }
        if (!keep(id, n->byte + desc, note.n_descsz, n->va != 0 ? n->va + at : 0))
            return symbols_fail(e, "its notes are damaged: a build id of %u bytes", note.n_descsz);
        return 0;
    }
    return 0;
}

/* ---- of a file */

struct looking {
    int fd;
    uint64_t bytes; /* of the file */
    uint64_t left;  /* of NOTES_MOST */
    struct pv_build_id *id;
    struct pv_error *e;
};

static int read_notes(struct looking *l, uint64_t offset, struct notes *n)
{
    uint8_t *byte;
    int failed;

    if (offset > l->bytes || n->bytes > l->bytes - offset)
        return symbols_fail(l->e, "is cut off: %zu bytes of notes at %" PRIu64 " end behind it",
                            n->bytes, offset);
    if (n->bytes > l->left)
        return symbols_fail(l->e, "its notes are damaged: they are more than %u bytes", NOTES_MOST);
    l->left -= n->bytes;
    byte = malloc(n->bytes + 1);
    if (byte == NULL)
        return symbols_fail(l->e, "out of memory");
    n->byte = byte;
    if (pread(l->fd, byte, n->bytes, (off_t)offset) != (ssize_t)n->bytes)
        failed = symbols_fail(l->e, "cannot be read: %s", strerror(errno));
    else
        failed = search(n, l->id, l->e);
    free(byte);
    return failed;
}

static unsigned alignment(uint64_t said)
{
    return said == 8 ? 8 : 4;
}

/* *any: there are such sections. */
static int look_at_sections(struct looking *l, Elf *elf, bool *any)
{
    Elf_Scn *section = NULL;
    GElf_Shdr h;

    while (l->id->bytes == 0 && (section = elf_nextscn(elf, section)) != NULL) {
        if (gelf_getshdr(section, &h) == NULL || h.sh_type != SHT_NOTE)
            continue;
        *any = true;
        struct notes n = {.bytes = h.sh_size,
                          .align = alignment(h.sh_addralign),
                          .va = h.sh_flags & SHF_ALLOC ? h.sh_addr : 0};
        if (read_notes(l, h.sh_offset, &n) != 0)
            return -1;
    }
    return 0;
}

static int look_at_segments(struct looking *l, Elf *elf)
{
    size_t count;
    GElf_Phdr h;

    if (elf_getphdrnum(elf, &count) != 0)
        return symbols_fail(l->e, "the ELF file is damaged: %s", elf_errmsg(-1));
    for (size_t i = 0; l->id->bytes == 0 && i < count && gelf_getphdr(elf, (int)i, &h) != NULL;
         i++) {
        struct notes n = {.bytes = h.p_filesz, .align = alignment(h.p_align), .va = h.p_vaddr};

        if (h.p_type == PT_NOTE && read_notes(l, h.p_offset, &n) != 0)
            return -1;
    }
    return 0;
}

static int look(struct looking *l)
{
    bool any = false;
    int failed;
    Elf *elf;

    if (elf_version(EV_CURRENT) == EV_NONE)
        return symbols_fail(l->e, "libelf: %s", elf_errmsg(-1));
    elf = elf_begin(l->fd, ELF_C_READ, NULL);
    if (elf == NULL)
        return symbols_fail(l->e, "the ELF file is damaged: %s", elf_errmsg(-1));
    failed = look_at_sections(l, elf, &any);
    if (failed == 0 && !any)
        failed = look_at_segments(l, elf);
    elf_end(elf);
    return failed;
}

int pv_build_id_fd(struct pv_build_id *id, int fd, struct pv_error *e)
{
    struct looking l = {.fd = fd, .left = NOTES_MOST, .id = id, .e = e};
    char magic[SELFMAG];
    struct stat st;

    *id = (struct pv_build_id){.bytes = 0};
    if (fstat(fd, &st) != 0 || pread(fd, magic, sizeof(magic), 0) < 0)
        return symbols_fail(e, "cannot be read: %s", strerror(errno));
    l.bytes = (uint64_t)st.st_size;
    return l.bytes < sizeof(magic) || memcmp(magic, ELFMAG, SELFMAG) != 0 ? 0 : look(&l);
}

/* ---- of a guest */

/* What the file has at an address the guest has too, if it is this kernel's or another's of the
 * same layout; anything else tells nothing. */
static void look_at_address(struct pv_build_id *id, const struct pv_view *v, mfn_t root,
                            uint64_t va)
{
    uint8_t byte[sizeof(Elf64_Nhdr) + OWNER_BYTES + PV_BUILD_ID_BYTES];
    struct notes n = {.byte = byte, .align = 4, .va = va};
    uint64_t desc, end;
    Elf64_Nhdr note;

    n.bytes = pv_read_va(v, root, gva(va), byte, sizeof(byte));
    if (n.bytes >= sizeof(note) && note_at(&n, 0, &note, &desc, &end) &&
        is_build_id(&note, byte + sizeof(note)))
        keep(id, byte + desc, note.n_descsz, va);
}

static int read_guest_notes(struct pv_build_id *id, const struct pv_view *v, mfn_t root,
                            uint64_t start, uint64_t stop, struct pv_error *e)
{
    struct notes n = {.align = 4, .va = start};
    uint8_t *byte;
    int failed;

    if (stop <= start || stop - start > NOTES_MOST)
        return symbols_fail(e, "its notes are said to lie at %" PRIx64 " to %" PRIx64, start, stop);
    byte = malloc(stop - start);
    if (byte == NULL)
        return symbols_fail(e, "out of memory");
    n.byte = byte;
    n.bytes = pv_read_va(v, root, gva(start), byte, stop - start);
    failed = n.bytes < stop - start ? symbols_fail(e, "its notes are not in its memory")
                                    : search(&n, id, e);
    free(byte);
    return failed;
}

static int look_at_linux(struct pv_build_id *id, const struct pv_view *v, mfn_t root,
                         struct pv_error *e)
{
    struct source *names = source_new();
    uint64_t start = 0, stop = 0;
    int failed;

    if (names == NULL)
        return symbols_fail(e, "out of memory");
    failed = kallsyms_load(names, v, root, e);
    if (failed == 0) {
        source_sort(names);
        if (source_find(names, "__start_notes", &start) &&
            source_find(names, "__stop_notes", &stop))
            failed = read_guest_notes(id, v, root, start, stop, e);
        else
            failed = symbols_fail(e, "its kallsyms do not say where its notes are");
    }
    source_free(names);
    return failed;
}

int pv_build_id_guest(struct pv_build_id *id, const struct pv_view *v, mfn_t root, uint64_t va,
                      struct pv_error *e)
{
    *id = (struct pv_build_id){.bytes = 0};
    if (va != 0)
        look_at_address(id, v, root, va);
    return id->bytes != 0 ? 0 : look_at_linux(id, v, root, e);
}

/* ---- both */

bool pv_build_id_same(const struct pv_build_id *a, const struct pv_build_id *b)
{
    return a->bytes == b->bytes && memcmp(a->byte, b->byte, a->bytes) == 0;
}

const char *pv_build_id_text(const struct pv_build_id *id, char text[PV_BUILD_ID_CHARS])
{
    text[0] = '\0';
    for (unsigned i = 0; i < id->bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", id->byte[i]);
    return text;
}
