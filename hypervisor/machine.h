/* SPDX-License-Identifier: MIT */
/*
 * What the machine offers to the rest of the hypervisor: memory, segments, roots, time, the two
 * serial lines, and the guest's memory seen from here.
 */
#ifndef PVMM_HV_MACHINE_H
#define PVMM_HV_MACHINE_H

#include "memory.h"
#include "vcpu.h"

/* ---- memory (frames.c). Boot: finds RAM from multiboot, reserves hypervisor, modules, frame table,
 * m2p and audit scratch; fills the core's frame table; shuffles the free list by the seed. */

struct module {
    const uint8_t *data; /* through the direct map */
    uint64_t size;
    const char *arguments;
};

struct boot_info {
    const char *command_line;
    unsigned nr_modules;
    struct module module[4];
    uint64_t seed;
    uint64_t blank_from; /* RAM from here on holds zeroes */
    uint64_t high_end;   /* end of the RAM from 4 GiB on; 0: there is none */
};

extern struct boot_info boot_info;
extern struct core_count *audit_scratch; /* nr_frames elements, reserved at boot */

/* Modules are read during the build, then their frames become free. */
void frames_release_modules(void);

/* ---- roots, segments (cpu.c) */

/* Loads the hardware root for the vCPU's present mode (kernel_root or user_root). A CR3 load is a
 * whole flush. */
void cpu_load_root(struct vcpu *v);
mfn_t cpu_guest_root(const struct vcpu *v); /* of its present mode */
/* Makes the hardware GDT/LDT of this CPU show the vCPU's (mem.gdt[], mem.ldt[]). */
void cpu_load_gdt(struct vcpu *v);
void cpu_load_ldt(struct vcpu *v);
void cpu_unmap_ldt(struct vcpu *v); /* LDT pages back to not-present; they fault in again */

/* Segment bases and selectors of the running guest. */
void cpu_set_fs_base(uint64_t base);
void cpu_set_gs_base_active(uint64_t base);   /* MSR_GS_BASE */
void cpu_set_gs_base_inactive(uint64_t base); /* MSR_KERNEL_GS_BASE */
uint64_t cpu_fs_base(void);
uint64_t cpu_gs_base_active(void);
/* Loads a selector into GS for user mode (set_segment_base 3); a bad one becomes 0. */
void cpu_load_user_gs(uint16_t selector);
/* fpu_taskswitch: the guest's next FPU instruction raises #NM (set), or not. */
void cpu_set_task_switched(struct vcpu *v, bool set);
/* Enables interrupts and halts until one came; handlers have run on return. */
void cpu_idle(void);
_Noreturn void machine_poweroff(void); /* ACPI/QEMU power-off, else halt */

/* ---- guest memory (uaccess.S, uaccess.c): through the current root, faults caught. The range must
 * lie outside the hypervisor's slots and be canonical. false: fault, destination undefined. */
bool guest_range_ok(gva_t va, uint64_t bytes);
bool copy_from_guest(void *to, gva_t from, uint64_t bytes);
bool copy_to_guest(gva_t to, const void *from, uint64_t bytes);

/* ---- time (clock.c): system time is nanoseconds since the hypervisor's boot */
#define NS_PER_SECOND 1000000000ull
uint64_t now_ns(void);
uint64_t tsc_khz(void);
void clock_vcpu_time(vcpu_time_info_t *t); /* fills everything but `version` */
uint64_t wallclock_at_boot(void); /* UNIX time in ns at system time 0: the RTC's whole seconds, */
void wallclock_set(uint64_t wall_ns, uint64_t at_ns); /* or what it was at system time at_ns */
void timer_arm(uint64_t due_ns);                      /* one-shot interrupt of this CPU; 0: off */
void timer_interrupt(void);                           /* sched.c: called when it fires */

/* ---- serial lines (serial.c): 0 = COM1 (console), 1 = COM2 (doorbell) */
void serial_write(unsigned line, const void *data, unsigned n);
void serial_interrupt(unsigned line);              /* called by traps.c; drains into rings below */
unsigned serial_read(unsigned line, void *to, unsigned n); /* what has arrived, up to n */
void serial_input_arrived(unsigned line);          /* console.c / channel.c: called after draining */

/* ---- log (log.c): the ring in the mailbox; every line ends with \n */
void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* snprintf's subset used here: %s %c %d %u %x %lx %lu %ld %p %% with width and 0; always terminates */
int format(char *to, unsigned size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define ASSERT(x)                                                                                  \
    do {                                                                                           \
        if (!(x))                                                                                  \
            panic("assertion failed at %s:%d: %s", __FILE__, __LINE__, #x);                        \
    } while (0)

/* ---- mailbox (channel.c) */
extern struct pvmm_mailbox mailbox;
void channel_init(void);  /* announces the mailbox on COM2 */
void channel_state(enum pvmm_state s);
void channel_bell(void);

/* ---- the end (domain.c, crash.c) */

/* The guest is over: audits, fills the verdict, powers the machine off. */
_Noreturn void domain_end(enum pvmm_outcome o, uint32_t reason, const char *message);
/* The hypervisor cannot let the guest go on: prints registers, guest stack and the page-table walk
 * of `va` to the log, then domain_end(PVMM_OUTCOME_KILLED). */
_Noreturn void domain_kill(struct vcpu *v, struct regs *r, gva_t va, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void crash_report(struct vcpu *v, const struct regs *r, gva_t va);
void dump_walk(struct vcpu *v, gva_t va);

/* builder.c: builds the_domain from the modules; on a bad image ends with PVMM_OUTCOME_BAD_GUEST. */
void domain_build(void);

#endif
