/* SPDX-License-Identifier: MIT */
/* libFuzzer's way into the reader of kernel images; built where clang brings the runtime. */
#include <stddef.h>

#include "elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct guest_image image;
    struct elf_error error;

    elf_parse(data, n, &image, &error);
    return 0;
}
