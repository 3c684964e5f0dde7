/* SPDX-License-Identifier: MIT */
/*
 * A machine in this process: the core over an array of frames, a domain as Xen's builder makes it,
 * and one vCPU with a translation cache that forgets only when it is told to. Plain numbers only,
 * so that the core's types and the library's never meet. There is one machine at a time.
 */
#ifndef PVGUEST_TEST_MACHINE_H
#define PVGUEST_TEST_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MACHINE_IMAGE_TABLES 5u
#define MACHINE_PAGE         4096u
#define MACHINE_NONE         (~0ull)

struct machine;

struct machine_e820 {
    uint64_t address, bytes;
    uint32_t type;
};

/* What is 0 is as usual. */
struct machine_params {
    uint64_t seed;
    uint64_t nr_pages;
    uint64_t max_pages; /* 0: nr_pages */
    bool initial_domain;
    const struct machine_e820 *e820; /* NULL: one entry of RAM, of max_pages */
    unsigned nr_e820;
    bool no_memory_map;    /* the hypervisor does not know that call */
    bool features_minimal; /* get_features has only what a guest cannot do without */
    bool no_virt_p2m;      /* the tools do not understand a linear p2m: no SIF_VIRT_P2M_4TOOLS */
    const char *command_line;
    uint64_t image_pages; /* 0: 64 */
    uint64_t module_pages;
    bool module_by_pfn;    /* else mapped */
    uint64_t init_p2m;     /* where the kernel's note wants the list; 0: in the boot region */
    unsigned pause_one_in; /* 0: requests never pause */
    bool no_grants;        /* the hypervisor has no grant tables */
    unsigned grant_frames; /* that it allows a table; 0: 64 */
};

struct machine *machine_make(const struct machine_params *p);
/* Takes the domain down; every frame must be free then. */
void machine_end(struct machine *m);

/* ---- port.h */

void *machine_at(uint64_t va, bool write);
uint64_t machine_image_table(unsigned t);
uint64_t machine_image_start(void);
uint64_t machine_image_end(void);
uint64_t machine_m2p_word(uint64_t base, uint64_t mfn);
uint64_t machine_cr3(void);
/* A hypercall. Arguments that are addresses are those of C objects. */
int64_t machine_hypercall(unsigned number, const uint64_t arg[5]);

uint64_t machine_start_info(struct machine *m); /* its virtual address, at first */

/* ---- how it ends */

#define MACHINE_RETURNED (-1) /* f came back */
#define MACHINE_STOPPED  (-2) /* port_stop() */

/* Runs f(arg): MACHINE_RETURNED, or the reason with which the domain shut down. Not nested. */
int machine_run(void (*f)(void *), void *arg);
_Noreturn void machine_stop(int how);
/* The test fails: the text, then the last hypercalls, then machine_on_failure. */
_Noreturn void machine_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern void (*machine_on_failure)(const char *text); /* must not return; NULL: abort() */

/* ---- events and time */

uint64_t machine_tsc(void);
uint64_t machine_time(struct machine *m); /* system time, ns */
void machine_pass(struct machine *m, uint64_t ns);
/* As whoever is at the port's other end does. */
void machine_raise(struct machine *m, uint32_t port);
unsigned machine_ports(struct machine *m); /* in use */
/* Called when the guest rings the store's port, and when it waits. NULL: nobody is there. */
typedef void machine_peer(struct machine *m);
void machine_set_peer(struct machine *m, machine_peer *peer);
/* The n-th event or poll from now fails so; the console's events are not counted. 0: none. */
void machine_fail_event(struct machine *m, uint64_t n, int error);
bool machine_event_fails(struct machine *m); /* it has not come to that yet */

/* ---- the store (store/pvstore.h), with a guest's tree; paths here are relative to it */

/* As after the domain is built: nothing is in the ring, and the store knows of no watch. */
void machine_store_open(struct machine *m);
void machine_store_close(struct machine *m);
machine_peer machine_store_serve;
void *machine_store_ring(struct machine *m);
/* The frame where the ring is from now on; 0: where the builder put it. */
void machine_store_at(struct machine *m, uint64_t mfn);
/* So many bytes each way whenever the store is called; 0: all there are. */
void machine_store_pace(struct machine *m, unsigned bytes);
void machine_store_write(struct machine *m, const char *path, const char *text);
void machine_store_remove(struct machine *m, const char *path);
const char *machine_store_read(struct machine *m, const char *path); /* NULL: there is none */

/* ---- what goes wrong */

/* The n-th hypercall from now, counted through multicalls, fails so and has no effect. Console
 * output, events and the end of the domain are not counted. 0: none. */
void machine_fail_call(struct machine *m, uint64_t n, int error);
/* The n-th element of mmu_update, mmuext_op, or extent of memory_op from now. */
void machine_fail_element(struct machine *m, uint64_t n, int error);
uint64_t machine_calls(struct machine *m); /* made since machine_make(), of those that count */
uint64_t machine_elements(struct machine *m);
/* Told of each hypercall that was made, what it took or gave done; NULL: nobody is. */
extern void (*machine_after_call)(struct machine *m, unsigned number);
/* The hypercall that was made to fail: its number, -1: none yet. */
int machine_failed_at(struct machine *m);
void machine_pause(struct machine *m, unsigned one_in);

/* ---- SCHEDOP_shutdown to suspend: hc_suspend.c */

enum { MACHINE_SUSPEND_ENDS = 0, MACHINE_RELOCATES = 1, MACHINE_CANCELS = 2 };
/* One of these, or the error with which it is refused. A guest that cannot be saved ends the test,
 * whichever it is. */
void machine_on_suspend(struct machine *m, int what);
extern bool machine_moves_all; /* with a blank grant table and another store */
uint64_t machine_suspends(struct machine *m); /* so far, but for those that end */

/* ---- looking: changes nothing, not even what is cached */

/* NULL, or what is wrong: the core's oracle, the tables by themselves, the cached translations, the
 * free list, and the count of frames against what hypercalls gave and took. */
const char *machine_audit(struct machine *m);

enum machine_owner { MACHINE_GUEST, MACHINE_OTHER, MACHINE_NOBODY, MACHINE_DEVICE };
enum machine_type { MACHINE_NO_TYPE = 0, /* 1..4: a table of that level */ MACHINE_WRITABLE = 6 };

uint64_t machine_frames(struct machine *m);
enum machine_owner machine_owner(struct machine *m, uint64_t mfn);
unsigned machine_type(struct machine *m, uint64_t mfn); /* 0 when it is not in use as any */
bool machine_pinned(struct machine *m, uint64_t mfn);
uint64_t machine_m2p(struct machine *m, uint64_t mfn);
/* As the hypervisor could. */
void machine_set_m2p(struct machine *m, uint64_t mfn, uint64_t page);
uint64_t *machine_frame(struct machine *m, uint64_t mfn);   /* its content: 512 words */
uint64_t machine_owned(struct machine *m);                  /* frames of the guest */
uint64_t machine_released(struct machine *m);               /* that it gave back, by hypercall */
uint64_t machine_populated(struct machine *m);              /* that it got */
uint64_t machine_tables(struct machine *m, unsigned level); /* frames typed so */
uint64_t machine_pins(struct machine *m);
uint64_t machine_built_p2m(struct machine *m, uint64_t pfn); /* as the builder gave them */
uint64_t machine_device_frame(struct machine *m);            /* an mfn that is not RAM */
uint64_t machine_other_frame(struct machine *m);             /* an mfn of another domain's */
uint64_t machine_shared_frame(struct machine *m);
uint64_t machine_user_root(struct machine *m); /* an mfn; MACHINE_NONE: none */
/* Walks the loaded tables; the level where it ended (1: the entry is there), 5: not canonical. */
unsigned machine_walk(struct machine *m, uint64_t va, uint64_t *entry, uint64_t *at);
const char *machine_console(struct machine *m); /* all that was printed */
void machine_console_clear(struct machine *m);

/* ---- grants, and what the other domain does with them (hc_grant.c) */

#define MACHINE_SELF 1u /* the guest's id, and the other's */
#define MACHINE_PEER 2u

unsigned machine_grant_frames(struct machine *m);                 /* of the guest's table */
const void *machine_grant_entry(struct machine *m, uint32_t ref); /* grant_entry_v1_t */
unsigned machine_grant_handles(struct machine *m);                /* mappings of the guest's */
/* The other domain lends its i-th page, and returns the ref; or ends it, false: it is mapped. */
uint32_t machine_peer_ref(unsigned i);
uint32_t machine_peer_lend(struct machine *m, unsigned i, bool read_only);
bool machine_peer_end(struct machine *m, uint32_t ref);
uint64_t machine_peer_frame(struct machine *m, unsigned i);
/* The other domain maps what the guest lends: GNTST_*. Once at a time for each of the first 512. */
int machine_peer_map(struct machine *m, uint32_t ref, bool write);
void machine_peer_unmap(struct machine *m, uint32_t ref);
/* As for a domain that goes on elsewhere: all is gone but for a blank table of one frame. No frame
 * of the old table may be mapped. */
void machine_grants_anew(struct machine *m);

/* Where the builder put things; pfns, and virtual addresses. */
struct machine_layout {
    uint64_t virt_base, region_pages; /* mapped linearly */
    uint64_t image_pages, module, module_pages, p2m, p2m_pages, p2m_va;
    uint64_t start_info, xenstore, console, tables, nr_tables, stack;
    uint64_t p2m_tables, nr_p2m_tables;
};
const struct machine_layout *machine_layout(struct machine *m);

#endif
