/* SPDX-License-Identifier: MIT */
/*
 * A guest that is made to stand still, by whom, and why (enum pvmm_hold of abi/pvmm/channel.h). The
 * hypervisor knows one reason at a time; who asked for it is counted here, as xl users expect:
 *
 *   pause, unpause    by the user: it stands until he says otherwise
 *   hold              for as long as a connection lives (`dump`), on top of the user's pause
 *   suspend           the guest is asked by control/shutdown to suspend itself (`save`), within a
 *                     bound; held like this for as long as the connection lives. When that goes
 *                     without a word the suspend is cancelled and the guest goes on; with "end" the
 *                     guest is over (PVMM_OUTCOME_SUSPEND)
 *
 * Words of the protocol (control.h) for it, and their replies, which may be late:
 *
 *   {"do": "pause"}, {"do": "unpause"}
 *       when it stands, or runs; of a guest that suspends itself, or ended: refused
 *
 *   {"do": "shutdown", "how": "poweroff" | "reboot", "timeout": SECONDS, "follow": BOOL}
 *       when the guest has taken the request; with "follow" the connection's end then says that it
 *       is gone
 *
 *   {"do": "hold"}
 *       {"memory": BYTES, "domid": N, "name": ...} and, with the reply's first byte, the machine's
 *       memory file, to be read only (SCM_RIGHTS)
 *
 *   {"do": "memory"}
 *       {"memory": BYTES} and the file likewise; the guest goes on running, and the connection ends
 *       with its machine
 *
 *   {"do": "suspend", "timeout": SECONDS}
 *       as "hold". Then a line may follow from the client: "end", and the connection's end says
 *       that the guest is gone; or "pause", after which it will stand when it goes on. One suspend
 *       at a time, and none of a guest that the user has paused: it could not answer
 *
 *   {"do": "live", "timeout": SECONDS}
 *       as "hold", but the guest goes on running, and what is written to is watched
 *       (abi/pvmm/dirty.h) from the first "round" on, as long as the connection lives. One at a
 *       time. Then lines may follow from the client, each after the answer to the one before, which
 *       is a line {"ok": true, ...} or {"ok": false, "code": ...}, when it has come true:
 *         - "round": {"round": R, "at": OFFSET, "bytes": N, "frames": N, "told": N}: the bitmap of
 *           round R is there, in the memory file; the first answers R = 1
 *         - "suspend": it stands, as with the word above; not within the bound: refused, it goes on
 *         - "handover": when this connection goes, the guest stands on, until somebody says
 *           "resume", or it is destroyed
 *         - "resume": it goes on, also after "handover"
 *         - "pause": of a guest that stands: it will, too, when it goes on
 *         - "end": not answered: the connection's end says that the guest is gone
 *
 *   {"do": "resume"}
 *       a guest that stands since a handover goes on; refused where none does, or while its
 *       connection lives
 *
 * A guest that was asked, and then not waited for any longer, because the time is up or the
 * connection gone, finds its control/shutdown empty again. If it suspends itself nevertheless, that
 * is cancelled.
 */
#ifndef PVMM_CLI_HOLD_H
#define PVMM_CLI_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "bell.h"
#include "error.h"
#include "guest_store.h"
#include "hold_live.h"
#include "mailbox.h"

#define HOLD_TIMEOUT     60u    /* seconds for a guest to do as it was asked, as xl has it */
#define HOLD_TIMEOUT_MAX 86400u /* the most that may be asked for */

/* How far a suspend that somebody asked for has come. */
enum suspending {
    SUSPEND_NOT,
    SUSPEND_ASKED,  /* control/shutdown was written */
    SUSPEND_STANDS, /* the guest did it */
    SUSPEND_ENDS,   /* and is not to go on */
};

struct hold {
    /* set by the caller */
    bool cancels; /* what becomes of a suspend that nobody asked for; else it ends */
    struct guest_store *store;
    const struct mailbox *mailbox;
    struct bell *bell;
    int ram_fd;
    bool arrives; /* it comes from elsewhere, and is not to run until it is let (target.h): nothing
                     can be asked of it */

    /* its own */
    bool paused;       /* by the user */
    unsigned holders;  /* connections that hold it */
    const char *asked; /* what control/shutdown was written for; NULL: nothing is asked */
    enum suspending suspending;
    bool taken_back;     /* it was asked to suspend itself, and nobody waits for that any more */
    bool saved;          /* it ended because "end" was said */
    char rung;           /* the bell that was not heeded yet; 0: all were */
    uint32_t rung_in;    /* in this hold, */
    uint64_t rung_after; /* after so many suspends that were cancelled */
    struct hold_live live;
};

enum hold_wish {
    WISH_PAUSE,
    WISH_UNPAUSE,
    WISH_SHUTDOWN,
    WISH_HOLD,
    WISH_SUSPEND,
    WISH_LIVE,
    WISH_RESUME,
};

/* What one connection asked for, from hold_ask() to hold_leave(). */
struct hold_ticket {
    struct hold *hold; /* NULL: nothing */
    enum hold_wish wish;
    unsigned timeout; /* seconds */
    int64_t deadline; /* for its being granted */
    bool was_paused;  /* by the user, when this was asked for */
    bool granted;
};

enum hold_reply { HOLD_WAIT, HOLD_GRANTED, HOLD_REFUSED };

/*
 * Begin. `how` is for WISH_SHUTDOWN, "poweroff" or "reboot"; `timeout` for it, WISH_SUSPEND and
 * what WISH_LIVE may ask for later. -1: it cannot be, and nothing was done.
 */
int hold_ask(struct hold *h, struct hold_ticket *t, enum hold_wish wish, const char *how,
             unsigned timeout, struct error *e);

/* How it stands with it; HOLD_REFUSED, with the reason, when it will not come any more. */
enum hold_reply hold_look(struct hold_ticket *t, struct error *e);

/* The connection is gone, or wants nothing more: what it held goes on, and a pause or its end that
 * was not granted is taken back. */
void hold_leave(struct hold_ticket *t);

/* A line from a connection that holds the guest. false: it has no business to say that. */
bool hold_told(struct hold_ticket *t, const char *line);

/*
 * Does what there is to do: to be called whenever something may have changed, before
 * guest_store_serve(). -1: what the hypervisor says makes no sense.
 */
int hold_serve(struct hold *h, struct error *e);

/* A guest that is copied while it runs (hold_live.c): it is asked to suspend itself; whoever waited
 * for that, or has it stand, does not want it any more; it does go on; and what is to be said if it
 * did not suspend itself within so many seconds. */
int hold_suspend(struct hold *h, struct error *e);
void hold_go_on(struct hold *h);
bool hold_goes_on(const struct hold *h);
void hold_say_late(const struct hold *h, unsigned seconds, struct error *e);

/* It was handed over, and nobody has said what became of that. */
bool hold_handed(const struct hold *h);

/* Does a guest that its user has paused stand yet? */
bool hold_as_wished(const struct hold *h);

/* Why the guest stands, checked; PVMM_HOLD_NONE before it runs and after its end. */
enum pvmm_hold hold_state(const struct mailbox *m);

/*
 * The same for people and programs, with what the hypervisor does not know: a guest that is
 * STANDING_ARRIVING has not run here, whatever the hypervisor is at; one that is
 * STANDING_HANDED_OVER may run elsewhere; one that is saved, and over, is STANDING_SUSPENDED until
 * it is gone. NULL: no guest of ours.
 */
enum standing {
    STANDING_NOT,
    STANDING_ARRIVING,
    STANDING_PAUSED,
    STANDING_SUSPENDED,
    STANDING_HANDED_OVER,
};

enum standing hold_standing(const struct hold *h);

#endif
