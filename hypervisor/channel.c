/* SPDX-License-Identifier: MIT */
/* The hypervisor's side of the control channel: see <pvmm/channel.h>. */
#include "domain.h"
#include "layout.h"

#define DOORBELL 1u /* COM2 */

struct pvmm_mailbox mailbox __attribute__((aligned(4096)));

static volatile bool stop_requested;

void channel_init(void)
{
    char line[40];
    mailbox.version = PVMM_MAILBOX_VERSION;
    mailbox.size = sizeof(mailbox);
    mailbox.log_size = PVMM_LOG_SIZE;
    mailbox.state = PVMM_STATE_BOOTING;
    __atomic_store_n(&mailbox.magic, PVMM_MAILBOX_MAGIC, __ATOMIC_RELEASE);
    int n =
        format(line, sizeof(line), "@%lx %lx\n", (uint64_t)&mailbox - IMAGE_BASE, sizeof(mailbox));
    serial_write(DOORBELL, line, (unsigned)n);
}

void channel_state(enum pvmm_state s)
{
    /* Last: the host takes everything that the state announces as complete. */
    __atomic_store_n(&mailbox.state, s, __ATOMIC_RELEASE);
    channel_bell();
}

void channel_bell(void)
{
    serial_write(DOORBELL, "*\n", 2);
}

bool channel_stop_requested(void)
{
    return stop_requested;
}

/* Interrupt context: only notes what came; before_guest() acts at a safe point. */
void channel_input(void)
{
    char c;
    while (serial_read(DOORBELL, &c, 1) == 1)
        if (c == PVMM_BELL_STOP)
            stop_requested = true;
}
