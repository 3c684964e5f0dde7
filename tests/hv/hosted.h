/* SPDX-License-Identifier: MIT */
/*
 * What stands around a part of the hypervisor when it runs in a host test: the log, the end of the
 * run and the guest's memory.
 */
#ifndef PVMM_TEST_HV_HOSTED_H
#define PVMM_TEST_HV_HOSTED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "machine.h"

/* domain_end(), domain_kill() and panic() leave their words here and jump back to ENDS(). */
extern struct hosted_end {
    jmp_buf back;
    bool armed;
    enum pvmm_outcome outcome;
    gva_t address; /* domain_kill(): whose walk is wanted */
    char message[PVMM_MESSAGE_CHARS];
} hosted_end;

/* True when `action` ended the run. A variable that `action` changes must be static or volatile. */
#define ENDS(action)                                                                               \
    (hosted_end.armed = true,                                                                      \
     setjmp(hosted_end.back) ? true : ((action), hosted_end.armed = false, false))

/* Asserts that `action` ends the run as `outcome` with a message that contains `text`. */
#define ASSERT_ENDS(action, expected, text)                                                        \
    do {                                                                                           \
        assert_true(ENDS(action));                                                                 \
        assert_int_equal(hosted_end.outcome, expected);                                            \
        assert_contains(hosted_end.message, text);                                                 \
    } while (0)

void assert_contains(const char *message, const char *text);

extern char hosted_log[512]; /* the last line logged */

/* A window of guest memory; everything else faults. */
extern struct hosted_memory {
    uint64_t base, bytes;
    uint8_t byte[8192];
} hosted_memory;

#endif
