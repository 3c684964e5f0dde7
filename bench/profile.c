/* SPDX-License-Identifier: MIT */
/*
 * A plugin for QEMU that counts where a machine's instructions go: `-plugin libprofile.so,out=FILE`
 * leaves a line `ADDRESS INSTRUCTIONS` for each block of code that ran, by virtual address.
 *
 * Debian ships QEMU with plugins but without their header, so what is used of its interface
 * (version 1) is declared here.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
typedef uint64_t plugin_id;
enum { INLINE_ADD = 0 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
                                           void (*cb)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, int op, void *ptr,
                                              uint64_t imm);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*cb)(plugin_id, void *), void *data);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

/* A block may be translated again: each translation has a counter of its own, and the reader of the
 * file adds them up. Memory is never freed, since running code refers to it. */
struct block {
    struct block *next;
    uint64_t address, instructions;
};

static struct block *blocks;
static const char *out;

static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
    struct block *b = calloc(1, sizeof(*b));

    (void)id;
    if (b == NULL)
        abort();
    b->address = qemu_plugin_tb_vaddr(tb);
    b->next = blocks;
    blocks = b;
    qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD, &b->instructions,
                                             qemu_plugin_tb_n_insns(tb));
}

static void write_down(plugin_id id, void *data)
{
    FILE *f = fopen(out, "w");

    (void)id;
    (void)data;
    if (f == NULL) {
        perror(out);
        return;
    }
    for (const struct block *b = blocks; b != NULL; b = b->next)
        if (b->instructions != 0)
            fprintf(f, "%" PRIx64 " %" PRIu64 "\n", b->address, b->instructions);
    if (fclose(f) != 0)
        perror(out);
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0) {
        fprintf(stderr, "profile: out=FILE is wanted\n");
        return -1;
    }
    out = strdup(argv[0] + 4);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, write_down, NULL);
    return 0;
}
