/* SPDX-License-Identifier: MIT */
#include "hosted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

struct hosted_end hosted_end;
struct hosted_memory hosted_memory;
char hosted_log[512];
struct pvmm_mailbox mailbox;

void assert_contains(const char *message, const char *text)
{
    if (strstr(message, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", message, text);
}

/* ---- the log and the end */

void log_line(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(hosted_log, sizeof(hosted_log), fmt, args);
    va_end(args);
}

bool log_worthwhile(unsigned *seen)
{
    ++*seen;
    return true;
}

static _Noreturn void end(enum pvmm_outcome outcome)
{
    if (!hosted_end.armed) {
        fprintf(stderr, "ended unexpectedly: %s\n", hosted_end.message);
        abort();
    }
    hosted_end.armed = false;
    hosted_end.outcome = outcome;
    longjmp(hosted_end.back, 1);
}

void domain_end(enum pvmm_outcome o, uint32_t reason, const char *message)
{
    (void)reason;
    snprintf(hosted_end.message, sizeof(hosted_end.message), "%s", message);
    end(o);
}

void domain_kill(struct vcpu *v, struct regs *r, gva_t va, const char *fmt, ...)
{
    va_list args;

    (void)v;
    (void)r;
    hosted_end.address = va;
    va_start(args, fmt);
    vsnprintf(hosted_end.message, sizeof(hosted_end.message), fmt, args);
    va_end(args);
    end(PVMM_OUTCOME_KILLED);
}

void panic(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(hosted_end.message, sizeof(hosted_end.message), fmt, args);
    va_end(args);
    end(PVMM_OUTCOME_PANIC);
}

/* ---- the guest's memory */

static uint8_t *window(uint64_t address, uint64_t bytes)
{
    uint64_t offset = address - hosted_memory.base;

    if (offset > hosted_memory.bytes || bytes > hosted_memory.bytes - offset)
        return NULL;
    return hosted_memory.byte + offset;
}

/* uaccess.S: one of the two addresses is the guest's. */
bool fallible_copy(void *to, const void *from, uint64_t bytes);

bool fallible_copy(void *to, const void *from, uint64_t bytes)
{
    bool up = (uint64_t)to >= HV_SLOTS_END, down = (uint64_t)from >= HV_SLOTS_END;

    if (up)
        to = window((uint64_t)to, bytes);
    if (down)
        from = window((uint64_t)from, bytes);
    if (up == down || to == NULL || from == NULL)
        return false;
    memcpy(to, from, bytes);
    return true;
}

bool guest_word_get(uint64_t *to, uint64_t from)
{
    return fallible_copy(to, (const void *)from, sizeof(*to));
}

bool guest_word_put(uint64_t to, uint64_t word)
{
    return fallible_copy((void *)to, &word, sizeof(word));
}
