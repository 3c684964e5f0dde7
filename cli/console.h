/* SPDX-License-Identifier: MIT */
/*
 * The guest's console: COM1 to standard output, standard input to COM1. A terminal on standard
 * input is put in raw mode. Ctrl-] is ours and quits; Ctrl-C quits too, unless the guest was given
 * the whole keyboard.
 */
#ifndef PVMM_CLI_CONSOLE_H
#define PVMM_CLI_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lines.h"
#include "pace.h"

/* Writing this much to a pipe that poll() calls writable never blocks. */
#define CONSOLE_CHUNK 4096

/* A file that gets all output, and from which it goes on: a slow reader of ours does not hold up
 * the machine. */
struct spool {
    int fd;
    uint64_t written, read;
    bool failed; /* it could not be written: errno is in `why` */
    int why;
};

struct console {
    struct lines *lines; /* sees the output as well; NULL: nobody */
    void (*tap)(void *ctx, const char *data, size_t size); /* and so does this; NULL: nobody */
    void *tap_ctx;
    char in[CONSOLE_CHUNK];
    size_t in_at, in_size;
    char out[CONSOLE_CHUNK];
    size_t out_at, out_size;
    struct pace pace;    /* of the input */
    struct spool *spool; /* NULL: none */
    bool in_ended;       /* end of standard input: the guest runs on */
    bool all_keys;       /* Ctrl-C is the guest's */
    char quit_key;       /* 0: Ctrl-] */
    bool quit;           /* a key that quits was typed */
    bool broken;         /* standard output cannot be written */
    bool seen;           /* the guest has printed something */
    bool hung_up;        /* the other end of the channel was closed */
    bool mid_line;       /* what was printed last has no end of line yet */
};

/* Raw mode on and off; both may be called at any time, and at exit it is off. */
void terminal_raw(void);
void terminal_restore(void);

bool console_wants_input(const struct console *c);  /* poll standard input */
bool console_has_input(const struct console *c);    /* poll COM1 for writing */
bool console_wants_output(const struct console *c); /* poll COM1 for reading */
bool console_has_output(const struct console *c);   /* poll standard output */

/* Input waits for the machine to have taken what was sent. */
bool console_is_held(const struct console *c);

void console_read_stdin(struct console *c);
void console_write_guest(struct console *c, int com1);
/* false: nothing was there. */
bool console_read_guest(struct console *c, int com1);
void console_write_stdout(struct console *c);

/* Input from elsewhere than standard input. Returns how much of it there was room for. */
size_t console_put_input(struct console *c, const char *data, size_t size);

/* The machine is gone: pass on what is still in the channel. */
void console_drain(struct console *c, int com1);

#endif
