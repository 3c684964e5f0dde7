/* SPDX-License-Identifier: MIT */
/*
 * Arguments go through two hands: GRUB's script language reads them, and its multiboot loader
 * writes them down again with quoting of its own (backslashes before backslashes and quotes). Our
 * hypervisor takes that off, and knows \xHH, which both hands leave alone (<pvmm/boot.h>): so every
 * byte that could mean something to anyone is written that way. A real Xen takes nothing off.
 */
#include "grubcfg.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exitcodes.h"

static bool is_plain(unsigned char c)
{
    return (c < 128 && isalnum(c)) || (c != '\0' && strchr("=._,/:+-@%", c) != NULL);
}

/* As one word. */
static void put_encoded(FILE *out, const char *text)
{
    if (text[0] == '\0')
        return;
    fputs(" '", out);
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;

        fprintf(out, is_plain(c) ? "%c" : "\\x%02x", c);
    }
    fputc('\'', out);
}

/* Word by word, so that GRUB finds no blank in any. An empty word stands for a second blank. */
static void put_words(FILE *out, const char *text)
{
    if (text[0] == '\0')
        return;
    fputs(" '", out);
    for (; *text != '\0'; text++)
        fputs(*text == ' ' ? "' '" : (char[]){*text, '\0'}, out);
    fputc('\'', out);
}

/* What reaches a real Xen other than it was given. */
static int check_words(const char *option, const char *text, struct error *e)
{
    for (; *text != '\0'; text++) {
        if (strchr("\\'\"", *text) != NULL)
            return error_set(e, EXIT_USAGE,
                             "%s: GRUB puts a backslash before %c, which a real Xen does not take "
                             "off; use --loader qemu",
                             option, *text);
        if (iscntrl((unsigned char)*text))
            return error_set(e, EXIT_USAGE,
                             "%s: GRUB cannot pass byte 0x%02x to a real Xen; use --loader qemu",
                             option, (unsigned char)*text);
    }
    return 0;
}

static void put_script(FILE *out, const struct grubcfg *g)
{
    fputs("if multiboot2 " GRUBCFG_HYPERVISOR, out);
    put_words(out, g->hypervisor_arguments);
    fputs("; then\nif module2 --nounzip " GRUBCFG_KERNEL, out);
    if (g->real_xen)
        put_words(out, g->guest_arguments);
    else
        put_encoded(out, g->guest_arguments);
    if (g->ramdisk)
        fputs("; then\nif module2 --nounzip " GRUBCFG_RAMDISK, out);
    if (g->e820)
        fputs("; then\nif module2 --nounzip " GRUBCFG_E820, out);
    fprintf(out, "; then\nboot\n%s%sfi\nfi\n", g->ramdisk ? "fi\n" : "", g->e820 ? "fi\n" : "");
    fputs("halt\n", out); /* it did not work: nobody is there to press a key */
}

char *grubcfg_make(const struct grubcfg *g, struct error *e)
{
    char *text = NULL;
    size_t size;
    FILE *out;

    if (g->real_xen && (check_words("-a", g->guest_arguments, e) != 0 ||
                        check_words("--xen-args", g->hypervisor_arguments, e) != 0))
        return NULL;
    out = open_memstream(&text, &size);
    if (out != NULL)
        put_script(out, g);
    if (out == NULL || fclose(out) != 0) {
        free(text);
        error_set(e, EXIT_ENVIRONMENT, "out of memory");
        return NULL;
    }
    return text;
}
