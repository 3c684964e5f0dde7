/* SPDX-License-Identifier: MIT */
/*
 * The memory contract of Xen paravirtual guests: what a hypervisor must keep true about every
 * frame of a machine while guests edit their own page tables.
 *
 *   R1  Every frame has one owner and a reference count; it is freed only at zero. A counter that
 *       would overflow refuses.                                            frame.c
 *   R2  A frame has one type at a time and a count of uses in that type; the type changes only
 *       when that count is zero.                                           type.c
 *   R3  A present L1 entry holds a reference on its frame, and a writable-type reference if RW is
 *       set, whatever the upper levels say; an Ln entry holds an L(n-1) type reference. No
 *       superpages, no linear tables. Foreign frames and device memory need a right. L1 entries
 *       gain USER and GLOBAL or the guest-kernel mark.                     entry.c
 *   R4  A table is validated entry by entry before its first use as that level, in bounded steps
 *       that can be preempted and resumed; it is released the same way.    table.c
 *   R5  A pin is one type reference, held once, at any level. A root that a vCPU has loaded, as
 *       kernel or as user root, holds one too.                             pin.c
 *   R6  The hypervisor's L4 slots: validation ignores what the guest left there and puts its own
 *       in; only an explicit update of such a slot is refused.             entry.c, table.c
 *   R7  m2p[mfn] is the pfn; the guest's p2m is its own and may lag.       update.c, reservation.c
 *   R8  Another domain's frame is reached only where a request names that domain; whether it may
 *       is for the embedding to decide before it asks.                     entry.c, update.c
 *   R9  No stale translation survives a type change: flush by timestamp.   type.c, frame.c
 *   R10 A refused element has no effect; earlier elements of its batch stand. A preempted or failed
 *       promotion may leave partial state at type count zero, never a leaked reference. Every
 *       refusal says why.                                                  refusal.c
 *
 * `core_audit` derives every count afresh from what holds it and compares.  audit.c
 * `core_holders` tells of one frame who holds it, `core_place_of` where the guest sees an entry.
 *                                                                           holders.c
 * The embedding is told of every act as it is done (enum core_act).
 *
 * The core is compiled once for each embedding against that embedding's "glue.h" (see
 * core/glue.md). It has no libc, no I/O and no globals, and does not know who calls.
 *
 * Results: 0, a negative errno of the ABI (<xen/errno.h> numbers), or CORE_RESTART: the operation
 * paused at a safe point because glue_pause() asked for it; issue it again, unchanged, to go on.
 */
#ifndef PVMM_CORE_H
#define PVMM_CORE_H

#include "types.h"
#include "pte.h"

/* The ABI's error numbers (source: <xen/errno.h>). */
#define CORE_EPERM      (-1)
#define CORE_ENOENT     (-2)
#define CORE_ESRCH      (-3)
#define CORE_ENXIO      (-6)
#define CORE_ENOMEM     (-12)
#define CORE_EACCES     (-13)
#define CORE_EFAULT     (-14)
#define CORE_EBUSY      (-16)
#define CORE_EINVAL     (-22)
#define CORE_ENOSYS     (-38)
#define CORE_RESTART    (-85)
#define CORE_EOPNOTSUPP (-95)

/* The type of a frame (R2). L1..L4 are numbered by their level. */
enum frame_type {
    TYPE_NONE = 0,
    TYPE_L1 = 1,
    TYPE_L2 = 2,
    TYPE_L3 = 3,
    TYPE_L4 = 4,
    TYPE_DESC = 5, /* descriptor page: part of a GDT or LDT, read-only for the guest */
    TYPE_WRITABLE = 6,
    TYPE_COUNT = 7,
};

/*
 * One frame of the machine: 16 bytes.
 *
 *   use   [31:0]  uses in the present type      [41:32] entries of a table that hold references,
 *         42 validated  43 pinned  44 locked    while it is not validated
 *         45 busy (someone validates or releases it)  [63:60] type
 *   hold  [31:0]  references                    [47:32] TLB stamp of the last change
 *         48 allocated (the domain's own reference)   49 shared: a loan of the hypervisor's, which
 *         48 then counts as a writable use
 *         [63:50] owner: domain id + 1; 0 nobody
 */
struct frame {
    _Atomic uint64_t use;
    _Atomic uint64_t hold;
};

/* Who owns a frame that no domain owns. */
#define OWNER_NOBODY  0u      /* free, or the hypervisor's own */
#define OWNER_DEVICE  0x3fffu /* not RAM: device memory, holes */
#define DOMAIN_ID_MAX 0x3ff0u /* domain ids are below this */

struct core_vcpu;

/* A domain, as far as its memory goes. */
struct core_domain {
    uint16_t id;
    bool has_devices;  /* may map device memory and set cache attributes (R3) */
    bool controls_all; /* may name other domains in its requests (R8) */
    bool dying;
    _Atomic uint64_t frames;  /* frames owned now */
    uint64_t max_frames;      /* populate and increase stop here */
    uint64_t relinquish_next; /* where core_relinquish() goes on */
    struct core_vcpu *vcpus;  /* list by `next` */
    struct core_domain *next;
};

/* One machine: everything the core knows. `frames` and `m2p` have `nr_frames` elements. */
struct core {
    struct frame *frames;
    uint64_t *m2p;
    uint64_t nr_frames;
    struct core_domain *domains;    /* list by `next` */
    _Atomic uint64_t upper_changes; /* of entries above L1, ever: a walk from a loaded root leads to
                                       the same L1 table while this does not move */
    void *embedding;                /* for the glue */
};

#define CORE_GDT_FRAMES 14 /* <xen/xen.h>: FIRST_RESERVED_GDT_PAGE */
#define CORE_LDT_FRAMES 16 /* 8192 entries */
#define CORE_LEFTOVERS  5  /* one per level of a failed promotion, and the table it was for */

/* Where in the request a refusal arose, from the outside in. */
struct core_step {
    mfn_t table;
    uint16_t slot;
    uint8_t level; /* 4..1 */
};

enum core_reason {
    REASON_NONE,
    REASON_FOREIGN_FRAME,  /* the frame is another's, or nobody's */
    REASON_NOT_RAM,        /* device memory without the right */
    REASON_NO_SUCH_FRAME,  /* beyond the machine's memory */
    REASON_TYPE_IN_USE,    /* R2: the frame is in use as another type */
    REASON_COUNT_OVERFLOW, /* R1 */
    REASON_BAD_FLAGS,      /* R3: bits that the level does not allow */
    REASON_RESERVED_SLOT,  /* R6 */
    REASON_ALREADY_PINNED, /* R5 */
    REASON_NOT_PINNED,     /* R5 */
    REASON_NOT_A_TABLE,    /* an entry update at a place that is no validated table */
    REASON_NO_L1,          /* no L1 table maps that virtual address */
    REASON_BAD_ADDRESS,    /* misaligned, out of range, or in the hypervisor's part */
    REASON_BAD_DESCRIPTOR, /* a descriptor that could raise privilege */
    REASON_NO_MEMORY,      /* no free frame, or the domain is at its maximum */
    REASON_NO_RIGHT,       /* R8 */
    REASON_BAD_COMMAND,
    REASON_FRAME_HELD,    /* the frame has other uses and cannot be given away */
    REASON_ENTRY_CHANGED, /* compare-and-swap lost */
};

/* Why the last request of a vCPU was refused. Valid after a negative result. */
struct core_refusal {
    int error;
    enum core_reason reason;
    uint8_t rule;   /* the R number; 0: none */
    uint8_t wanted; /* enum frame_type the frame was needed as */
    mfn_t frame;    /* the frame the request stumbled on; NO_MFN if none */
    uint64_t use;   /* its `use` word as seen */
    uint64_t hold;  /* its `hold` word as seen */
    uint64_t value; /* the entry, descriptor or argument at fault */
    unsigned steps; /* path[0..steps-1], outermost first */
    struct core_step path[4];
};

/* A table whose release is not finished: either its last type reference is still counted and
 * belongs to this record (`counted`), or it is a failed promotion at count zero. */
struct core_leftover {
    mfn_t table;
    bool counted;
};

/* A virtual CPU, as far as memory goes. */
struct core_vcpu {
    struct core_domain *domain;
    struct core_vcpu *next;
    unsigned id;
    mfn_t kernel_root;          /* L4 loaded in guest-kernel mode; NO_MFN before the first */
    mfn_t user_root;            /* L4 loaded in guest-user mode; NO_MFN: none */
    mfn_t gdt[CORE_GDT_FRAMES]; /* NO_MFN where empty */
    unsigned gdt_entries;
    gva_t ldt_base;
    unsigned ldt_entries;
    mfn_t ldt[CORE_LDT_FRAMES]; /* frames taken so far, NO_MFN where not yet */
    mfn_t locked;               /* the table whose entries it is changing; NO_MFN: none */
    mfn_t held; /* a frame the hypervisor itself writes for this vCPU (vcpu_info); NO_MFN: none */
    struct core_leftover leftover[CORE_LEFTOVERS];
    unsigned leftovers;
    unsigned steps;     /* work done since the last core_begin(): pausing needs at least one */
    bool flush_pending; /* an upper-level entry changed: flush before the request ends */
    struct core_refusal refusal;
};

/* ---- set-up ------------------------------------------------------------------------------ */

/* All frames start as OWNER_DEVICE; core_frame_is_ram() makes one the hypervisor's (or free). */
void core_init(struct core *c, struct frame *frames, uint64_t *m2p, uint64_t nr_frames,
               void *embedding);
void core_frame_is_ram(struct core *c, mfn_t m);
void core_domain_init(struct core *c, struct core_domain *d, uint16_t id, uint64_t max_frames);
void core_vcpu_init(struct core_domain *d, struct core_vcpu *v, unsigned id);

/* Gives free frame `m` to `d` with the allocation reference (R1). -EINVAL: not free. */
int core_assign(struct core *c, struct core_domain *d, mfn_t m);
/* Lends a hypervisor frame to `d` for writable mapping (shared_info): it can never become a table
 * nor be released by the guest. */
int core_share(struct core *c, struct core_domain *d, mfn_t m);

/* ---- requests of a guest ------------------------------------------------------------------- */

/*
 * Every request starts with core_begin() and ends with core_end(), whatever came between:
 *   core_begin  finishes releases that an earlier request left over. CORE_RESTART: not done yet;
 *               do not go on with the request, but do call core_end().
 *   core_end    does the TLB flush owed, then finishes what this request left over. CORE_RESTART:
 *               the request's own result stands, but core_begin() and core_end() must run again
 *               before the guest goes on, with the guest's result kept aside.
 * Each core_begin() and core_end() allows at least one step of work before glue_pause() is heeded,
 * so that restarting always ends.
 */
int core_begin(struct core *c, struct core_vcpu *v);
int core_end(struct core *c, struct core_vcpu *v);

/* One element of mmu_update. `ptr` and `val` as <xen/xen.h> has them (command in ptr[1:0]).
 * `pt_domain` owns the table, `frame_domain` the frames the entry may name. */
struct core_update {
    uint64_t ptr;
    uint64_t val;
};

/* Performs updates 0..n-1 in order; *done counts those performed (R10). */
int core_mmu_update(struct core *c, struct core_vcpu *v, struct core_domain *pt_domain,
                    struct core_domain *frame_domain, const struct core_update *u, unsigned n,
                    unsigned *done);

/* Changes the L1 entry that maps `va` in the vCPU's kernel root. Flushing is the caller's. */
int core_update_va(struct core *c, struct core_vcpu *v, struct core_domain *frame_domain, gva_t va,
                   uint64_t val);

/* A guest's direct store to the L1 table at `at` (8-byte aligned): replaces the whole entry by
 * `val`. With `expected`, only if the entry still is *expected; otherwise *expected receives what
 * is there and -EBUSY (REASON_ENTRY_CHANGED) is returned. -EINVAL, REASON_NOT_A_TABLE: the frame
 * is no validated L1 table of the domain: the fault is the guest's own. */
int core_write_l1(struct core *c, struct core_vcpu *v, maddr_t at, uint64_t val,
                  uint64_t *expected);

/* Pins (R5) at level 1..4, and unpins. `owner` is the domain named in the request. */
int core_pin(struct core *c, struct core_vcpu *v, struct core_domain *owner, mfn_t m,
             unsigned level);
int core_unpin(struct core *c, struct core_vcpu *v, struct core_domain *owner, mfn_t m);

/* Loads a root: takes the L4 reference, swaps it in, leaves the old one to core_end(). A user root
 * of mfn 0 means none. The caller then loads the hardware's CR3. */
int core_load_kernel_root(struct core *c, struct core_vcpu *v, mfn_t m);
int core_load_user_root(struct core *c, struct core_vcpu *v, mfn_t m);

int core_clear_page(struct core *c, struct core_vcpu *v, struct core_domain *owner, mfn_t m);
int core_copy_page(struct core *c, struct core_vcpu *v, struct core_domain *owner, mfn_t to,
                   mfn_t from);

/* Copies n bytes from `offset_from` of one frame of the owner's to `offset_to` of another. */
int core_copy_bytes(struct core *c, struct core_vcpu *v, struct core_domain *owner, mfn_t to,
                    unsigned offset_to, mfn_t from, unsigned offset_from, unsigned n);

/* Takes a reference and a writable-type reference for the hypervisor's own writes to a guest frame
 * (a registered vcpu_info); at most one per vCPU, a second call replaces the first. */
int core_hold_writable(struct core *c, struct core_vcpu *v, mfn_t m);
void core_drop_writable(struct core *c, struct core_vcpu *v);

/* ---- descriptors ----------------------------------------------------------------------------- */

/* Takes `n` frames (0..14) as the vCPU's GDT of `entries` entries; drops the old ones. On refusal
 * the old GDT stays. */
int core_set_gdt(struct core *c, struct core_vcpu *v, const mfn_t *frames, unsigned n,
                 unsigned entries);
/* Sets the LDT's place; frames already taken for the old one are dropped. *changed: the hardware
 * mapping must be dropped too. */
int core_set_ldt(struct core *c, struct core_vcpu *v, gva_t base, unsigned entries, bool *changed);
/* Takes page `index` (0..15) of the LDT: walks the kernel root, takes the descriptor type.
 * *out receives the frame. */
int core_ldt_page(struct core *c, struct core_vcpu *v, unsigned index, mfn_t *out);
/* Forgets the LDT frames taken, keeps base and entries. */
void core_drop_ldt(struct core *c, struct core_vcpu *v);
/* Checks a descriptor and raises its DPL to 3 as a guest kernel in ring 3 needs it. false: it could
 * raise privilege. */
bool core_descriptor_fix(uint64_t *descriptor);
int core_update_descriptor(struct core *c, struct core_vcpu *v, maddr_t at, uint64_t descriptor);

/* ---- reservation ------------------------------------------------------------------------------
 */

#define CORE_NO_LIMIT (~0ull)
/* Allocates 2^order contiguous frames, all with numbers below `limit`, to `d`, and enters pfn p..
 * in m2p. */
int core_populate(struct core *c, struct core_vcpu *v, struct core_domain *d, pfn_t p,
                  unsigned order, uint64_t limit, mfn_t *out);
/* Allocates without a pfn: m2p is left invalid. */
int core_increase(struct core *c, struct core_vcpu *v, struct core_domain *d, unsigned order,
                  uint64_t limit, mfn_t *out);
/* Gives one frame back: drops the allocation reference, once. It is freed when its last use goes
 * (R1); a pin is a use, and stays until it is undone. -ENXIO: not the domain's. */
int core_decrease(struct core *c, struct core_vcpu *v, struct core_domain *d, mfn_t m);
/* Swaps 2^in_order x nr_in frames for 2^out_order x nr_out ones of the same total, whose numbers
 * are below `limit`; every input must be held by its allocation reference alone. All or nothing. nr
 * <= CORE_EXCHANGE_MAX. */
#define CORE_EXCHANGE_MAX 512
int core_exchange(struct core *c, struct core_vcpu *v, struct core_domain *d, const mfn_t *in,
                  unsigned nr_in, unsigned in_order, const pfn_t *pfns, mfn_t *out, unsigned nr_out,
                  unsigned out_order, uint64_t limit);

/* Takes everything back from a domain that runs no more, in bounded steps: CORE_RESTART until it
 * is done and every frame is free. */
int core_relinquish(struct core *c, struct core_domain *d);

/* ---- acts: what the core tells its embedding (glue_note), the moment after it is done */

enum core_act {
    ACT_NONE = 0,
    ACT_ENTRY = 1,   /* at: an entry of a table in use; old, now: its value. Not if it differs in
                        bits only that hold no reference */
    ACT_STORE = 2,   /* for embeddings: an ACT_ENTRY that the guest asked for by a store */
    ACT_TYPE = 3,    /* at: a frame, fit for its first use as `now`; old: its type before, which is
                        the same when a table is validated anew, or at last after a pause. One of
                        the two is a table's or a descriptor page's */
    ACT_RELEASE = 4, /* at: a table whose last use ended, and holds nothing now; old: its type */
    ACT_PIN = 5,     /* at: a table; now: its level */
    ACT_UNPIN = 6,   /* at: a table; old: its level */
    ACT_ROOT = 7,    /* at: the root loaded (0: none); old: the one before (mfn, ~0 none); now: 0
                        kernel, 1 user */
    ACT_REFUSED = 8, /* for embeddings */
    ACT_GIVEN = 9,   /* at: a frame that a domain got; now: its pfn (~0: none) */
    ACT_FREED = 10,  /* at: a frame that nobody holds any more; old: its pfn until now */
    ACT_M2P = 11,    /* at: a frame; old, now: its pfn. By the guest's own request */
};

/* ---- looking ------------------------------------------------------------------------------------
 */

/* One step of a walk: the entry's place and value at `level`. */
struct core_walk {
    unsigned level; /* the lowest level reached: 4..1 */
    bool present;   /* the entry at that level is present (level 1: a mapping exists) */
    struct {
        maddr_t at;
        uint64_t entry;
    } at[5]; /* index by level 1..4 */
};
/* Walks from `root` towards the L1 entry of `va`; false when `va` is not canonical or a table is
 * missing. Only frames of validated tables are read. */
bool core_walk(struct core *c, mfn_t root, gva_t va, struct core_walk *w);
/* The same, only for the place of the L1 entry, present or not. false: no L1 table is there. */
bool core_find_l1(const struct core *c, mfn_t root, gva_t va, maddr_t *at);

enum frame_type core_frame_type(const struct core *c, mfn_t m);
uint32_t core_frame_uses(const struct core *c, mfn_t m);
uint32_t core_frame_holds(const struct core *c, mfn_t m);
bool core_frame_pinned(const struct core *c, mfn_t m);
bool core_frame_validated(const struct core *c, mfn_t m);
bool core_frame_shared(const struct core *c, mfn_t m); /* core_share() */
/* Owner's domain id, or -1: nobody, -2: device memory. */
int core_frame_owner(const struct core *c, mfn_t m);
/* The parts of the words of struct frame, for who has copies of them (struct core_refusal). The
 * owner as core_frame_owner() has it. */
enum frame_type core_use_type(uint64_t use);
uint32_t core_use_count(uint64_t use);
uint32_t core_hold_count(uint64_t hold);
int core_hold_owner(uint64_t hold);

/* ---- who holds a frame */

enum core_holder_kind {
    HOLDER_ENTRY = 1, /* a present entry of a table that holds references */
    HOLDER_PIN = 2,   /* R5 */
    HOLDER_KERNEL_ROOT = 3,
    HOLDER_USER_ROOT = 4,
    HOLDER_GDT = 5,
    HOLDER_LDT = 6,
    HOLDER_HELD = 7,     /* core_hold_writable() */
    HOLDER_LOAN = 8,     /* core_share() */
    HOLDER_LEFTOVER = 9, /* a release that is not finished; without a vCPU: the reference that an
                            unfinished promotion holds on itself */
};

struct core_holder {
    enum core_holder_kind kind;
    enum frame_type as;           /* the type it holds the frame in; TYPE_NONE: a plain reference */
    const struct core_vcpu *vcpu; /* of roots, GDT, LDT, held, leftovers; NULL */
    unsigned slot;                /* of an entry; or the page of the GDT or LDT */
    /* Of an entry: */
    mfn_t table; /* NO_MFN: it is none */
    unsigned level;
    maddr_t at;
    uint64_t entry;
};

/* false: enough */
typedef bool core_each_holder(void *context, const struct core_holder *h);

/* Tells every holder of m but the allocation itself, by going through every table of the machine
 * that holds references, validated, half validated or half released, whatever it hangs from. Takes
 * time in proportion to the tables; for reports. Changes nothing. */
void core_holders(struct core *c, mfn_t m, core_each_holder *each, void *context);

/* Where the guest sees an entry: the chain of tables above it, of which there may be many. */
struct core_place {
    gva_t va; /* what the entry maps; canonical if top_level is 4, else only the bits that index the
                 top table and those below it are known, and the rest is 0 */
    mfn_t top; /* the topmost table of the chain */
    unsigned top_level;
};

/* The place of entry `slot` of `table`, a table of `level`: by a chain from `prefer` if there is
 * one (NO_MFN: none preferred), else from a loaded root, else from any L4, else from the highest
 * table there is. The search gives up its preferences when it takes too long. */
struct core_place core_place_of(struct core *c, mfn_t table, unsigned level, unsigned slot,
                                mfn_t prefer);

/* The same for the innermost of the steps of a refusal, whose outer tables may not be tables any
 * more or not yet: only the outermost is looked up. steps >= 1. */
struct core_place core_place_of_path(struct core *c, const struct core_step *path, unsigned steps,
                                     mfn_t prefer);

/* When the frame's last use ended, on the glue's TLB clock (R9). */
uint16_t core_frame_stamp(const struct core *c, mfn_t m);
/* The domain's frames by type (uses above zero), and how many are pinned. */
void core_count_types(const struct core *c, const struct core_domain *d,
                      uint64_t by_type[TYPE_COUNT], uint64_t *pinned);

const char *core_reason_text(enum core_reason r); /* a clause, lower case, no full stop */
const char *core_rule_text(unsigned rule);        /* R1..R10 in one sentence; "" otherwise */
const char *core_type_name(enum frame_type t);    /* "L1", "writable", ... */

/* ---- the oracle
 * ----------------------------------------------------------------------------------- */

/* Scratch for core_audit: one per frame. */
struct core_count {
    uint32_t uses;
    uint32_t holds;
    uint8_t type;     /* enum frame_type the holders need */
    uint8_t walked;   /* the level as which its entries were counted; 0: they were not */
    uint8_t conflict; /* a second type that a holder needs; 0: none */
    uint8_t missing;  /* content not there */
};

enum core_finding_kind {
    FINDING_TYPE,     /* the type recorded is not the type its holders need */
    FINDING_USES,     /* type count differs */
    FINDING_HOLDS,    /* reference count differs */
    FINDING_CONFLICT, /* two holders need different types */
    FINDING_OWNER,    /* held, but its owner is not the holder's domain, or it is free */
    FINDING_ENTRY,    /* a validated table holds an entry that validation would refuse */
    FINDING_STATE,    /* flags that do not fit: busy, locked, pinned at count zero, ... */
    FINDING_DOMAIN,   /* a domain's frame counter differs from the frames it owns */
    FINDING_M2P,      /* a frame that nobody owns has a pfn (R7) */
};

struct core_finding {
    enum core_finding_kind kind;
    mfn_t frame;
    uint64_t recorded; /* what the frame table has */
    uint64_t derived;  /* what the holders say */
    maddr_t entry_at;  /* FINDING_ENTRY, FINDING_OWNER: where the entry lies */
};

#define CORE_FINDINGS_KEPT 16
struct core_audit {
    uint64_t frames, tables, entries, missing;
    uint64_t findings;
    struct core_finding first[CORE_FINDINGS_KEPT];
};

/* recount: fills scratch[0..nr_frames-1] from pins, roots, descriptor pages, shares, allocations,
 * leftovers and the tables reached from them. compare: sets it against the frame table. Both add
 * to *a. core_audit zeroes *a and does both; true: no findings. Nothing may run meanwhile. */
void core_recount(struct core *c, struct core_count *scratch, struct core_audit *a);
void core_compare(struct core *c, const struct core_count *scratch, struct core_audit *a);
bool core_audit(struct core *c, struct core_count *scratch, struct core_audit *a);
const char *core_finding_text(enum core_finding_kind k);

#endif
