/* SPDX-License-Identifier: MIT */
/* The hypervisor's side of the control channel: see <pvmm/channel.h>. */
#include "domain.h"
#include "layout.h"

#define DOORBELL 1u /* COM2 */

struct pvmm_mailbox mailbox __attribute__((aligned(4096)));

static volatile bool stop_requested, go_requested, pause_wanted, unpaused, build_requested;
static volatile struct {
    uint64_t rung;
    bool round; /* the last of them */
} dirty;

void channel_init(void)
{
    char line[40];
    mailbox.version = PVMM_MAILBOX_VERSION;
    mailbox.size = sizeof(mailbox);
    mailbox.log_size = PVMM_LOG_SIZE;
    mailbox.store_ring_size = PVMM_STORE_RING;
    mailbox.state = PVMM_STATE_BOOTING;
    mailbox.reports.version = PVMM_REPORTS_VERSION;
    mailbox.reports.report_bytes = sizeof(struct pvmm_report);
    __atomic_store_n(&mailbox.magic, PVMM_MAILBOX_MAGIC, __ATOMIC_RELEASE);
    int n =
        format(line, sizeof(line), "@%lx %lx\n", (uint64_t)&mailbox - IMAGE_BASE, sizeof(mailbox));
    serial_write(DOORBELL, line, (unsigned)n);
}

void channel_domain(const struct domain *d)
{
    mailbox.domid = d->mem.id;
    mailbox.store_port = d->store_port;
    mailbox.store_mfn = d->xenstore_mfn.n;
    mailbox.console_mfn = d->console_mfn.n;
    mailbox.console_port = d->console_port;
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

void channel_poll(void)
{
    serial_interrupt(DOORBELL);
}

bool channel_go(void)
{
    bool go = go_requested;
    go_requested = false;
    return go;
}

bool channel_pause_wanted(void)
{
    return pause_wanted;
}

bool channel_unpaused(void)
{
    bool was = unpaused;
    unpaused = false;
    return was;
}

bool channel_build_requested(void)
{
    return build_requested;
}

uint64_t channel_dirty_bells(bool *round)
{
    *round = dirty.round;
    return dirty.rung;
}

bool channel_stop_requested(void)
{
    return stop_requested;
}

void channel_received(unsigned line, uint64_t bytes)
{
    mailbox.received[line] = bytes;
}

/* ---- messages of the host */

/* The first byte of the message under way, 0 between messages, and what is to come of it. */
static struct {
    uint8_t message;
    bool counted; /* N arrived: `left` bytes follow */
    uint8_t left;
} under_way;

static void first_byte(uint8_t byte)
{
    static bool said;
    switch (byte) {
    case PVMM_BELL_STOP:
        stop_requested = true;
        break;
    case PVMM_BELL_GO:
        go_requested = true;
        break;
    case PVMM_BELL_PAUSE:
        pause_wanted = true;
        break;
    case PVMM_BELL_UNPAUSE:
        pause_wanted = false;
        unpaused = true;
        break;
    case PVMM_BELL_BUILD:
        build_requested = true;
        break;
    case PVMM_BELL_ROUND:
    case PVMM_BELL_UNWATCH:
        dirty.round = byte == PVMM_BELL_ROUND;
        dirty.rung++;
        break;
    case PVMM_BELL_STORE_DATA:
    case PVMM_BELL_STORE_TAKEN:
        under_way.message = byte;
        under_way.counted = false;
        break;
    default:
        if (!said)
            log_line("channel: the host sent a message of unknown kind %x; this is said once",
                     byte);
        said = true;
        break;
    }
}

static void count_byte(uint8_t n)
{
    under_way.counted = true;
    under_way.left = under_way.message == PVMM_BELL_STORE_DATA ? n : 0;
    if (under_way.message == PVMM_BELL_STORE_TAKEN)
        xenstore_taken(n);
}

static void take_byte(uint8_t byte)
{
    if (under_way.message == 0) {
        first_byte(byte);
        return;
    }
    if (!under_way.counted) {
        count_byte(byte);
    } else {
        under_way.left--;
        xenstore_receive(byte);
    }
    if (under_way.left == 0)
        under_way.message = 0;
}

/* Interrupt context: only notes what came; before_guest() acts at a safe point. */
void channel_input(void)
{
    uint8_t byte;
    while (serial_read(DOORBELL, &byte, 1) == 1)
        take_byte(byte);
}
