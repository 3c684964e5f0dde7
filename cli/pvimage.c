/* SPDX-License-Identifier: MIT */
#include "pvimage.h"

#include "exitcodes.h"
#include "guest_layout.h"

static int refuse(const struct builder_error *why, struct error *e)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return error_set(e, EXIT_UNTESTABLE, why->text, why->value[0], why->value[1], why->value[2],
                     why->value[3]);
#pragma GCC diagnostic pop
}

int pv_image_check(struct view elf, struct guest_image *image, struct error *e)
{
    struct builder_error why;

    return guest_image_read(elf.data, elf.size, image, &why) ? 0 : refuse(&why, e);
}

int pv_image_fits(const struct guest_image *image, uint64_t memory, uint64_t initrd,
                  struct error *e)
{
    struct guest_layout layout;
    struct builder_error why;

    return guest_layout_make(&layout, image, memory / GUEST_PAGE_BYTES, initrd, &why)
               ? 0
               : refuse(&why, e);
}
