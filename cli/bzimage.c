/* SPDX-License-Identifier: MIT */
#include "bzimage.h"

#include "exitcodes.h"
#include "format.h"

/* Offsets in the setup header (Linux: Documentation/arch/x86/boot.rst). */
#define SETUP_SECTS    0x1f1u
#define BOOT_FLAG      0x1feu
#define VERSION        0x206u
#define PAYLOAD_OFFSET 0x248u
#define PAYLOAD_LENGTH 0x24cu
#define HEADER_END     0x250u

#define SIZE_AT_END 4u

static uint32_t le16(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t le32(const uint8_t *p)
{
    return le16(p) | le16(p + 2) << 16;
}

static int check_header(struct view file, struct error *e)
{
    if (file.size < HEADER_END)
        return error_set(e, EXIT_UNTESTABLE, "truncated: the file ends inside the setup header");
    if (le16(file.data + BOOT_FLAG) != 0xaa55)
        return error_set(e, EXIT_UNTESTABLE, "damaged: no boot signature at 0x1fe");
    if (le16(file.data + VERSION) < 0x208)
        return error_set(e, EXIT_UNTESTABLE,
                         "boot protocol %u.%02u is too old: 2.08 is the first that says where the "
                         "kernel lies",
                         file.data[VERSION + 1], file.data[VERSION]);
    return 0;
}

int bzimage_parse(struct view file, struct bzimage *b, struct error *e)
{
    uint64_t start, length;
    uint32_t sectors;

    if (check_header(file, e) != 0)
        return -1;
    sectors = file.data[SETUP_SECTS] != 0 ? file.data[SETUP_SECTS] : 4;
    start = (sectors + 1) * UINT64_C(512) + le32(file.data + PAYLOAD_OFFSET);
    length = le32(file.data + PAYLOAD_LENGTH);
    if (length <= SIZE_AT_END)
        return error_set(e, EXIT_UNTESTABLE, "damaged: the payload is %llu bytes long",
                         (unsigned long long)length);
    if (start + length > file.size)
        return error_set(e, EXIT_UNTESTABLE,
                         "truncated: the payload ends at byte %llu, the file at byte %zu",
                         (unsigned long long)(start + length), file.size);
    b->payload = (struct view){file.data + start, length};
    b->unpacked_size = le32(file.data + start + length - SIZE_AT_END);
    /* gzip's own trailer holds the size; to the other formats it is appended. */
    if (format_of(b->payload) != FORMAT_GZIP)
        b->payload.size -= SIZE_AT_END;
    return 0;
}
