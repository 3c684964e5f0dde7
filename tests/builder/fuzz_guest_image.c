/* SPDX-License-Identifier: MIT */
/* libFuzzer's way into the judgement of kernels; built where clang brings the runtime. */
#include <stddef.h>

#include "guest_layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct guest_image image;
    struct guest_layout layout;
    struct builder_error error;

    if (guest_image_read(data, n, &image, &error))
        guest_layout_make(&layout, &image, 1 << 16, n, &error);
    return 0;
}
