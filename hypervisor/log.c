/* SPDX-License-Identifier: MIT */
/*
 * The log: a ring in the mailbox, and QEMU's debug port when there is one (bring-up). Panic.
 */
#include "log.h"

#include "asm.h"
#include "machine.h"
#include "string.h"

#define LINE_CHARS     512u
#define DEBUG_PORT     0xe9
#define DEBUG_PRESENT  0xe9 /* what the port reads as */
#define WORTHWHILE_ALL 20u

static bool has_debug_port;

void log_init(void)
{
    has_debug_port = inb(DEBUG_PORT) == DEBUG_PRESENT;
}

static void log_char(char c)
{
    mailbox.log[mailbox.log_written % PVMM_LOG_SIZE] = c;
    mailbox.log_written++;
    if (has_debug_port)
        outb(DEBUG_PORT, (uint8_t)c);
}

static void log_text(const char *s)
{
    for (; *s; s++)
        log_char(*s);
    log_char('\n');
    channel_bell();
}

void log_line(const char *fmt, ...)
{
    char line[LINE_CHARS];
    va_list args;

    va_start(args, fmt);
    format_list(line, sizeof(line), fmt, &args);
    va_end(args);
    log_text(line);
}

bool log_worthwhile(unsigned *seen)
{
    unsigned n = ++*seen;

    return n <= WORTHWHILE_ALL || (n & (n - 1)) == 0;
}

void panic(const char *fmt, ...)
{
    static bool again;
    struct pvmm_verdict *verdict = &mailbox.verdict;
    va_list args;

    if (again)
        machine_poweroff();
    again = true;
    va_start(args, fmt);
    format_list(verdict->message, sizeof(verdict->message), fmt, &args);
    va_end(args);
    log_line("PANIC: %s", verdict->message);
    verdict->outcome = PVMM_OUTCOME_PANIC;
    verdict->shutdown_reason = ~0u;
    verdict->seed = boot_info.seed; /* to see it again */
    channel_state(PVMM_STATE_ENDED);
    channel_bell();
    machine_poweroff();
}
