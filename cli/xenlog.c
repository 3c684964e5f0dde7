/* SPDX-License-Identifier: MIT */
#include "xenlog.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "(XEN) "

struct pattern {
    const char *text; /* start of what Xen says */
    enum pvmm_outcome outcome;
};

static const struct pattern endings[] = {
    {"Hardware Dom0 halted", PVMM_OUTCOME_POWEROFF},
    {"Entering ACPI S5 state", PVMM_OUTCOME_POWEROFF}, /* the initial domain drives the firmware */
    {"Hardware Dom0 shutdown: rebooting", PVMM_OUTCOME_REBOOT},
    {"Hardware Dom0 shutdown: watchdog", PVMM_OUTCOME_CRASH},
    {"Hardware Dom0 shutdown (unknown", PVMM_OUTCOME_CRASH},
    {"Hardware Dom0 crashed", PVMM_OUTCOME_CRASH},
    {"Hardware domain 0 did unsupported soft reset", PVMM_OUTCOME_CRASH},
};

/* Panics that are about the guest's image, not about Xen. */
static const struct pattern panics[] = {
    {"Could not construct domain 0", PVMM_OUTCOME_BAD_GUEST},
    {"Could not set up DOM0 guest OS", PVMM_OUTCOME_BAD_GUEST},
    {"dom0 kernel not specified", PVMM_OUTCOME_BAD_GUEST},
    {"Not enough memory to relocate the dom0", PVMM_OUTCOME_BAD_GUEST},
    {"Not enough RAM for DOM0", PVMM_OUTCOME_BAD_GUEST},
    {"Dom0 allocation too small", PVMM_OUTCOME_BAD_GUEST},
    {"DOM0 image overlaps", PVMM_OUTCOME_BAD_GUEST},
    {"DOM0 P->M table overlaps", PVMM_OUTCOME_BAD_GUEST},
    {"Kernel does not support Dom0", PVMM_OUTCOME_BAD_GUEST},
    {"Mismatch between Xen and DOM0", PVMM_OUTCOME_BAD_GUEST},
    {"Failed to load Dom0 kernel", PVMM_OUTCOME_BAD_GUEST},
};

static enum pvmm_outcome lookup(const struct pattern *p, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strncmp(text, p[i].text, strlen(p[i].text)) == 0)
            return p[i].outcome;
    return PVMM_OUTCOME_NONE;
}

static void keep(struct xen_log *x, const char *text)
{
    snprintf(x->message, sizeof(x->message), "Xen says: %.*s", (int)strcspn(text, "\r\n"), text);
}

static void panic_reason(struct xen_log *x, const char *text)
{
    if (text[strspn(text, "*")] == '\0') /* the frame of asterisks around it */
        return;
    x->outcome = lookup(panics, sizeof(panics) / sizeof(panics[0]), text);
    if (x->outcome == PVMM_OUTCOME_NONE)
        x->outcome = PVMM_OUTCOME_PANIC;
    keep(x, text);
}

void xen_log_line(struct xen_log *x, const char *line)
{
    const char *text = strstr(line, PREFIX); /* it may follow an unfinished line of the guest's */

    if (text == NULL || x->outcome != PVMM_OUTCOME_NONE)
        return;
    text += strlen(PREFIX);
    if (x->panicking) {
        panic_reason(x, text);
        return;
    }
    if (strncmp(text, "Panic on CPU", 12) == 0) {
        x->panicking = 1;
        return;
    }
    if (strncmp(text, "Domain 0 ", 9) == 0 && strstr(text, "crashed") != NULL)
        keep(x, text);
    x->outcome = lookup(endings, sizeof(endings) / sizeof(endings[0]), text);
    if (x->outcome != PVMM_OUTCOME_NONE && x->message[0] == '\0')
        keep(x, text);
}
