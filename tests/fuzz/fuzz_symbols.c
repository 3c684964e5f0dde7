/* SPDX-License-Identifier: MIT */
/* Files of symbols: an ELF file or a System.map. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "symbols.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static int fd = -1;
    struct pv_symbols *s = pv_symbols_new();
    struct pv_symbol symbol;
    struct pv_build_id id;
    struct pv_error e;
    uint64_t va;
    size_t count;
    if (fd < 0)
        fd = memfd_create("symbols", MFD_CLOEXEC);
    if (!s || ftruncate(fd, 0) || pwrite(fd, data, n, 0) != (ssize_t)n ||
        lseek(fd, 0, SEEK_SET) != 0)
        abort();
    if (pv_symbols_fd(s, fd, "input", &count, &e) == 0) {
        pv_symbol_at(s, 0xffffffff81000001ull, &symbol);
        pv_symbol_at(s, ~0ull, &symbol);
        pv_symbol_find(s, "linux_banner", &va);
    }
    pv_build_id_fd(&id, fd, &e);
    pv_symbols_free(s);
    return 0;
}
