/* SPDX-License-Identifier: MIT */
/*
 * Errors that carry a chain of reasons. The layer that meets a problem says what it saw; each layer
 * above puts its own context in front, so that the user reads one line: what, where, why.
 */
#ifndef PVMM_CLI_ERROR_H
#define PVMM_CLI_ERROR_H

#define ERROR_CHARS 768

struct error {
    int code;               /* enum exit_code */
    char text[ERROR_CHARS]; /* the chain, outermost context first */
};

/* Start a chain. Always returns -1, so that `return error_set(...)` reads well. */
int error_set(struct error *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As error_set(), with ": " and the text of the current errno at the end. */
int error_errno(struct error *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "context: " in front of the chain. Always returns -1. */
int error_context(struct error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Put ": consequence" behind the chain, for what it means to the user: a chain that is too long for
 * it is cut short. Always returns -1.
 */
int error_consequence(struct error *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
