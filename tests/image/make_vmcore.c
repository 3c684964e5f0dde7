/* SPDX-License-Identifier: MIT */
#include "make_vmcore.h"

#include <unistd.h>

#define FIRST_AT 0x2000

/* XEN_ELFNOTE_CRASH_INFO: numbers and pointers of Xen's, the last one of dom0's list. */
#define XEN_CRASH_INFO 0x1000001u

void put(const struct vmcore *c, uint64_t at, const void *from, size_t n)
{
    assert_int_equal(pwrite(c->fd, from, n, (off_t)at), n);
}

void put_notes(struct vmcore *c)
{
    struct {
        Elf64_Nhdr head;
        char name[4];
        uint64_t info[10];
    } note = {{4, sizeof(note.info), XEN_CRASH_INFO}, "Xen", {4, 99}};
    note.info[9] = c->x->domain[0].mfn[100];
    put(c, NOTES_AT, &note, sizeof(note));
    c->load[0] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = NOTES_AT, .p_filesz = sizeof(note)};
}

/* The frames from..to of the machine, which are `kept`, or said to be there and left out. */
static void put_load(struct vmcore *c, unsigned i, uint64_t from, uint64_t to)
{
    uint64_t first = made_xen_mfn(c->x, from), bytes = (to - from) * 4096;
    c->load[i] = (Elf64_Phdr){.p_type = PT_LOAD,
                              .p_offset = c->bytes,
                              .p_paddr = first * 4096,
                              .p_vaddr = XEN_DIRECT_VA + first * 4096,
                              .p_filesz = bytes,
                              .p_memsz = bytes};
    put(c, c->bytes, c->x->map + from * 4096, bytes);
    c->bytes += bytes;
}

void put_header(struct vmcore *c)
{
    Elf64_Ehdr h = {.e_ident = ELFMAG,
                    .e_type = ET_CORE,
                    .e_machine = EM_X86_64,
                    .e_version = EV_CURRENT,
                    .e_phoff = sizeof(h),
                    .e_ehsize = sizeof(h),
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = 1 + LOADS};
    h.e_ident[EI_CLASS] = ELFCLASS64;
    h.e_ident[EI_DATA] = ELFDATA2LSB;
    h.e_ident[EI_VERSION] = EV_CURRENT;
    put(c, 0, &h, sizeof(h));
    put(c, sizeof(h), c->load, sizeof(c->load));
}

struct vmcore *vmcore_new(bool split)
{
    struct vmcore *c = calloc(1, sizeof(*c));
    *c = (struct vmcore){.x = made_xen_new(split, true), .fd = scratch_file(), .bytes = FIRST_AT};
    put_notes(c);
    put_load(c, 1, 0, XEN_LOW);
    put_load(c, 2, XEN_LOW, GAP);
    put_load(c, 3, GAP_END, XEN_FRAMES);
    put_header(c);
    return c;
}

/* ---- as makedumpfile has it, with pages that are not compressed */

#define BITMAPS_AT (2 * 4096u)

struct page_desc {
    uint64_t offset;
    uint32_t bytes, flags;
    uint64_t page_flags;
};

static void put_word(const struct vmcore *c, uint64_t at, uint64_t value, size_t n)
{
    put(c, at, &value, n);
}

/* Of one of the two: enough for all frames, beyond 4 GiB as well. */
static uint64_t bitmap_bytes(const struct vmcore *c)
{
    return c->x->split ? 34 * 4096 : 4096;
}

static void put_disk_headers(const struct vmcore *c)
{
    uint64_t frames = made_xen_mfn(c->x, XEN_FRAMES - 1) + 1;
    put(c, 0, "KDUMP   ", 8);
    put_word(c, 8, 6, 4);
    put_word(c, 428, 4096, 4);                       /* bytes of a block */
    put_word(c, 432, 1, 4);                          /* blocks of the second header */
    put_word(c, 436, 2 * bitmap_bytes(c) / 4096, 4); /* blocks of both bitmaps */
    put_word(c, 440, frames, 4);
    put_word(c, 460, 1, 4);                 /* CPUs */
    put_word(c, BLOCKS_AT + 96, frames, 8); /* the same, 64-bit */
}

struct vmcore *compressed_new(bool split)
{
    struct vmcore *c = calloc(1, sizeof(*c));
    *c = (struct vmcore){.x = made_xen_new(split, true), .fd = scratch_file()};
    const uint64_t bitmap = bitmap_bytes(c);
    uint8_t *bits = calloc(1, bitmap);
    uint64_t desc = BITMAPS_AT + 2 * bitmap, n = 0;
    uint64_t page = desc + (XEN_FRAMES - (GAP_END - GAP)) * sizeof(struct page_desc);
    put_disk_headers(c);
    for (uint64_t place = 0; place < XEN_FRAMES; place++) {
        uint64_t m = made_xen_mfn(c->x, place);
        struct page_desc d = {.offset = page + n * 4096, .bytes = 4096};
        if (place >= GAP && place < GAP_END)
            continue;
        bits[m / 8] |= (uint8_t)(1 << m % 8);
        put(c, desc + n++ * sizeof(d), &d, sizeof(d));
        put(c, d.offset, c->x->map + place * 4096, 4096);
    }
    put(c, BITMAPS_AT, bits, bitmap);
    put(c, BITMAPS_AT + bitmap, bits, bitmap);
    c->bytes = page + n * 4096;
    free(bits);
    return c;
}

void vmcore_free(struct vmcore *c)
{
    close(c->fd);
    made_xen_free(c->x);
    free(c);
}
