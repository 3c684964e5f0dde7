/* SPDX-License-Identifier: MIT */
/*
 * System time: the TSC, scaled exactly as the ABI's vcpu_time_info has it, so that the guest and
 * the hypervisor never disagree. The one-shot timer is the local APIC's.
 */
#include "clock.h"

#include "asm.h"
#include "interrupts.h"
#include "machine.h"

/* Channel 2 of the PIT: its gate and output are bits of port 0x61. */
#define PIT_HZ        1193182u
#define PIT_CHANNEL2  0x42
#define PIT_COMMAND   0x43
#define PIT_ONE_SHOT  0xb0 /* channel 2, both bytes, mode 0 */
#define PIT_GATE_PORT 0x61
#define PIT_GATE      0x01
#define PIT_SPEAKER   0x02
#define PIT_OUTPUT    0x20

#define PIT_LATCH 0x80 /* channel 2 */
#define PIT_FULL  0xffffu

#define CALIBRATION_TICKS   (PIT_HZ / 70u) /* 14 ms; the count reaches 0 after 55 */
#define CALIBRATION_TRIES   3
#define CALIBRATION_SAMPLES 8
#define TIMER_TICKS_MAX     0x7fffffffu

__extension__ typedef unsigned __int128 wide;

static struct {
    uint64_t start; /* TSC at system time 0 */
    uint64_t hz;
    uint32_t multiply; /* ns = (ticks << shift) * multiply >> 32; shift may be negative */
    int8_t shift;
    uint64_t timer_hz;
    uint64_t wall_start; /* UNIX time in ns at system time 0 */
} clock;

uint64_t now_ns(void)
{
    uint64_t ticks = rdtsc() - clock.start;

    ticks = clock.shift < 0 ? ticks >> -clock.shift : ticks << clock.shift;
    return (uint64_t)((wide)ticks * clock.multiply >> 32);
}

uint64_t tsc_khz(void)
{
    return clock.hz / 1000;
}

void clock_vcpu_time(vcpu_time_info_t *t)
{
    t->tsc_timestamp = clock.start;
    t->system_time = 0;
    t->tsc_to_system_mul = clock.multiply;
    t->tsc_shift = clock.shift;
    t->flags = 0;
}

uint64_t wallclock_at_boot(void)
{
    return clock.wall_start;
}

void wallclock_set(uint64_t wall_ns, uint64_t at_ns)
{
    ASSERT(wall_ns >= at_ns);
    clock.wall_start = wall_ns - at_ns;
}

/* ---- calibration */

/* The clocks at one moment, and how sure that is: the width is what passed while they were read. */
struct moment {
    uint64_t tsc, width;
    uint32_t pit, timer; /* both count down */
};

static struct moment read_clocks(void)
{
    struct moment m = {.tsc = rdtsc()};

    outb(PIT_COMMAND, PIT_LATCH);
    m.timer = lapic_timer_left();
    m.width = rdtsc() - m.tsc;
    m.tsc += m.width / 2;
    m.pit = inb(PIT_CHANNEL2);
    m.pit |= (uint32_t)inb(PIT_CHANNEL2) << 8;
    return m;
}

/* A machine that is itself interrupted, by others on its host, reads some of them too late. */
static struct moment surest_moment(void)
{
    struct moment best = read_clocks();

    for (unsigned i = 1; i < CALIBRATION_SAMPLES; i++) {
        struct moment m = read_clocks();

        if (m.width < best.width)
            best = m;
    }
    return best;
}

/* From one moment to a later one; false: the count was over before that was read. */
static bool try_calibration(struct moment *from, struct moment *to)
{
    outb(PIT_GATE_PORT, (inb(PIT_GATE_PORT) & ~PIT_SPEAKER) | PIT_GATE);
    outb(PIT_COMMAND, PIT_ONE_SHOT);
    outb(PIT_CHANNEL2, PIT_FULL & 0xff);
    lapic_timer_start(TIMER_TICKS_MAX);
    outb(PIT_CHANNEL2, PIT_FULL >> 8);
    *from = surest_moment();
    do
        *to = surest_moment();
    while (from->pit - to->pit < CALIBRATION_TICKS && !(inb(PIT_GATE_PORT) & PIT_OUTPUT));
    lapic_timer_start(0);
    return !(inb(PIT_GATE_PORT) & PIT_OUTPUT);
}

static void calibrate(void)
{
    uint64_t width = ~0ull;

    for (unsigned done = 0; done < CALIBRATION_TRIES;) {
        struct moment from, to;

        if (!try_calibration(&from, &to))
            continue;
        done++;
        if (from.width + to.width >= width)
            continue;
        width = from.width + to.width;
        clock.hz = (to.tsc - from.tsc) * PIT_HZ / (from.pit - to.pit);
        clock.timer_hz = (uint64_t)(from.timer - to.timer) * PIT_HZ / (from.pit - to.pit);
    }
}

/* The largest multiplier that fits in 32 bits. */
static void set_scale(void)
{
    uint64_t hz = clock.hz;

    clock.shift = 0;
    for (; hz > 2 * NS_PER_SECOND; hz >>= 1)
        clock.shift--;
    for (; hz <= NS_PER_SECOND; hz <<= 1)
        clock.shift++;
    clock.multiply = (uint32_t)((NS_PER_SECOND << 32) / hz);
}

void clock_init(void)
{
    calibrate();
    set_scale();
    clock.start = rdtsc();
    clock.wall_start = rtc_read() * NS_PER_SECOND;
    log_line("TSC %lu kHz, timer %lu kHz", tsc_khz(), clock.timer_hz / 1000);
}

/* ---- the timer */

static void start_timer(uint64_t ns)
{
    uint64_t seconds = ns / NS_PER_SECOND;
    uint64_t ticks = TIMER_TICKS_MAX;

    /* Round up: an interrupt before its time would only be armed again. */
    if (seconds < TIMER_TICKS_MAX / clock.timer_hz)
        ticks = ns * clock.timer_hz / NS_PER_SECOND + 1;
    lapic_timer_start((uint32_t)ticks);
}

void timer_arm(uint64_t due_ns)
{
    uint64_t now = now_ns();

    this_cpu()->timer_due_ns = due_ns;
    if (!due_ns)
        lapic_timer_start(0);
    else
        start_timer(due_ns > now ? due_ns - now : 0);
}

/* The hardware's timer has a shorter reach than 64 bits of nanoseconds: it may be early. */
void clock_interrupt(void)
{
    uint64_t due = this_cpu()->timer_due_ns;

    if (!due)
        return;
    if (now_ns() < due) {
        timer_arm(due);
        return;
    }
    this_cpu()->timer_due_ns = 0;
    timer_interrupt();
}
