/* SPDX-License-Identifier: MIT */
/*
 * The hand-over of docs/migration.md. The processes take the steps of the code, whose function
 * stands behind each. Anything may die at any step, the command between the two ends may lose what
 * is under way or fall silent without an end, and every wait for somebody may end too early.
 *
 * The macros BUT_... are mistakes that the code does not make: each breaks a property (model.py).
 */
mtype = { OFFER, READY, PAGES, LAST, ARRIVED, GO, RUNNING, FAILED } /* handover.h, and a stream */
mtype = { SUSPEND, HANDOVER, RESUME, END, YES, NO }                 /* hold.h: "live" */
mtype = { ABSENT, RUNS, STANDS, OVER, LOST }                        /* a guest */

#define ROUNDS 1 /* before the last, at most */

mtype src = RUNS;
mtype tgt = ABSENT;

chan cmd = [1] of { mtype }; /* tool -> source's supervisor */
chan ans = [1] of { mtype };
chan up1 = [1] of { mtype }; /* tool -> command -> target */
chan up2 = [1] of { mtype };
chan down2 = [4] of { mtype }; /* target -> command -> tool */
chan down1 = [4] of { mtype };

/* What died, or was cut off */
bool trouble;  /* something did, or is slow: from here on a wait may end too early */
bool tool_dead, sup_dead /* or its QEMU */, command_dead, command_mute;
bool front_dead;   /* the foreground process of `pvmm restore -` */
bool machine_dead; /* the target's supervisor, or its QEMU */

/* What is closed */
bool tool_closed;    /* its connection and its pipes */
bool command_over;   /* nobody has the other end of the tool's pipes any more */
bool up_ended;       /* nothing more comes to the target */
bool target_closed;

/* Of the supervisor */
bool handed;
bool unresolved; /* handed over, and nobody is there who could tell: a person has to */

/* What was said and done, for the properties */
bool said_go, answered, person_said;
bool goes_on;      /* the tool told its user: "the guest goes on" */
bool stale = true; /* the source's guest ran since its last page was sent */
bool complete;     /* the target has all of the stream */
bool ran;          /* the guest has run at the target */
bool detached;     /* the target's background process outlives the foreground's */

#define TOOL_GONE (tool_dead || tool_closed)

/* never_twice: what ran at the target goes on at the source only if that machine was killed, and a
 * person wants the older image. An assertion, as it is about a moment. */
#ifdef NEVER_TWICE
#define CHECK_NEVER_TWICE assert(!ran || (machine_dead && person_said))
#else
#define CHECK_NEVER_TWICE skip
#endif

inline go_on()
{
    CHECK_NEVER_TWICE;
    src = RUNS;
    stale = true;
}

/* --- pvmm migrate: migrate.c, rounds.c, peer.c */

inline write(word)
{
    if
    :: atomic { !command_over && nfull(up1) -> up1!word }
    :: command_over -> goto not_moved /* EPIPE */
    :: trouble -> goto not_moved      /* peer_guard_limit(), a signal */
    fi
}

inline await(word)
{
    if
    :: atomic { down1?got -> if :: got == word :: else -> goto not_moved fi; got = 0 }
    :: empty(down1) && command_over -> goto not_moved
    :: trouble -> goto not_moved
    fi
}

active proctype Tool()
{
    mtype got;
    byte rounds;

    {
        write(OFFER);
        await(READY); /* offer() */
        do            /* rounds_copy() */
        :: rounds < ROUNDS -> write(PAGES); rounds++
        :: break
        od;
        rounds = 0;
#ifndef BUT_LAST_ROUND_FIRST
        cmd!SUSPEND; /* rounds_finish() */
        if
        :: atomic { ans?got -> if :: got == YES :: else -> goto not_moved fi; got = 0 }
        :: sup_dead || trouble -> goto not_moved
        fi;
        atomic { write(LAST); stale = (src == RUNS) };
#else
        atomic { write(LAST); stale = false };
        cmd!SUSPEND;
        if
        :: atomic { ans?got -> if :: got == YES :: else -> goto not_moved fi; got = 0 }
        :: sup_dead || trouble -> goto not_moved
        fi;
        stale = true;
#endif
        await(ARRIVED); /* hand_over() */
#ifndef BUT_NO_HANDOVER
        cmd!HANDOVER;
        if
        :: atomic { ans?got -> got = 0 }
#ifndef BUT_HANDOVER_DENIED
        :: sup_dead || trouble -> goto not_known /* it may have heard */
#else
        :: sup_dead || trouble -> goto not_moved
#endif
        fi;
#endif
        if /* go() */
        :: atomic { !command_over && nfull(up1) -> up1!GO; said_go = true }
        :: command_over -> goto take_back /* EPIPE: not a byte went */
        fi;
#ifndef BUT_END_UNHEARD
        if /* await_answer() */
        :: atomic { down1?got -> answered = true;
                    if
                    :: got == RUNNING
                    :: got == FAILED -> goto take_back
                    :: else -> goto not_known
                    fi; got = 0 }
#ifndef BUT_SILENCE_IS_NO
        :: empty(down1) && command_over -> goto not_known
        :: trouble -> goto not_known
#else
        :: empty(down1) && command_over -> goto take_back
        :: trouble -> goto take_back
#endif
        fi;
#endif
        cmd!END; /* end_here() */
        goto leave;
take_back:
        cmd!RESUME;
        if
        :: atomic { ans?got -> got = 0; goto not_moved }
        :: sup_dead || trouble -> goto not_known
        fi;
not_known: /* unresolved() */
        goto leave;
not_moved:
        goes_on = true;
leave:
        atomic { got = 0; rounds = 0; tool_closed = true } /* held_let_go(), peer_end() */
    } unless { tool_dead }
}

/* --- the source's pvmm: hold.c, hold_live.c, control_hold.c */

active proctype Supervisor()
{
    {
end_idle:
        do
        :: cmd?SUSPEND -> /* hold_suspend() */
            if
            :: atomic { src = STANDS; ans!YES }
            :: trouble -> ans!NO /* hold_say_late() */
            :: TOOL_GONE         /* hold_live_leave() */
            fi
        :: atomic { cmd?HANDOVER -> handed = true; ans!YES }
        :: atomic { cmd?RESUME -> handed = false; go_on(); ans!YES }
        :: atomic { cmd?END -> src = OVER }; goto over
        :: empty(cmd) && TOOL_GONE -> break
        od;
        atomic { /* hold_live_leave() */
            if
#ifndef BUT_LOSS_IS_NO
            :: src == STANDS && handed -> unresolved = true
            :: src == STANDS && !handed -> go_on()
#else
            :: src == STANDS -> go_on()
#endif
            :: else
            fi
        }
over:
        skip
    } unless { sup_dead }
}

/* --- the command: ssh, a shell, a pipe */

active proctype Command()
{
    mtype m;

    {
end_between:
        do
        :: atomic { nempty(up1) && (target_closed || nfull(up2)) ->
                    up1?m;
                    if :: target_closed :: else -> up2!m fi; m = 0 }
        :: atomic { !up_ended && empty(up1) && TOOL_GONE -> up_ended = true }
        :: atomic { down2?m -> down1!m; m = 0 }
        :: empty(down2) && target_closed -> break
        od
    } unless { command_dead || command_mute };
    if
    :: command_mute
    :: else -> command_over = true
    fi
}

/* --- pvmm restore -: target.c, arrival.c, detach.c, session.c */

#define TARGET_EOF (empty(up2) && (up_ended || (command_over && !command_mute)))

active proctype Target()
{
    bool goes;

    {
        if /* target_open() */
        :: up2?OFFER
        :: TARGET_EOF || trouble -> goto failed
        fi;
        down2!READY; /* target_ready() */
        do           /* arrival_open() */
        :: up2?PAGES
        :: atomic { up2?LAST -> complete = true }; break
        :: TARGET_EOF || trouble -> goto failed
        od;
        atomic { tgt = STANDS; down2!ARRIVED }; /* target_serve() */
        if                                      /* await_go() */
        :: up2?GO
#ifndef BUT_END_IS_GO
        :: TARGET_EOF || trouble -> goto failed
#else
        :: TARGET_EOF
#endif
        fi;
#ifndef BUT_DETACH_LAST
        atomic { goes = true; detached = true }; /* detach_alone() */
#else
        goes = true;
#endif
#ifndef BUT_RUNNING_FIRST
        atomic { tgt = RUNS; ran = true };
#ifndef BUT_SPEECHLESS
        down2!RUNNING; /* runs() */
#endif
#else
        down2!RUNNING;
        atomic { tgt = RUNS; ran = true };
#endif
#ifndef BUT_SPEECHLESS
        atomic { detached = true; target_closed = true };
#endif
end_runs:
        false;
failed: /* target_close() */
        atomic { tgt = OVER; down2!FAILED; target_closed = true };
    } unless {
        atomic {
            machine_dead || (front_dead && !detached) ->
            if
#ifndef BUT_FAILED_AFTER_GO
            :: !goes && !target_closed -> down2!FAILED
#else
            :: !target_closed && (!goes || ran) -> down2!FAILED
#endif
            :: machine_dead || goes || target_closed /* nobody is left to say so, or may */
            fi;
            if
            :: tgt != LOST -> tgt = OVER
            :: else
            fi;
            target_closed = true
        }
    }
}

/* --- whoever reads "unresolved": pvmm resume, pvmm destroy, at the source */

#ifndef BUT_NOBODY_LOOKS
active proctype Person()
{
end:
    atomic {
        if
#ifdef BUT_HASTY
        :: unresolved && !sup_dead && tgt == STANDS ->
#else
        :: unresolved && !sup_dead && (tgt == OVER || tgt == LOST) -> /* it is gone there */
#endif
            unresolved = false;
            person_said = true;
            handed = false;
            go_on() /* hold_ask(WISH_RESUME) */
#ifdef BUT_DESTROYS_BOTH
        :: unresolved && !sup_dead && tgt == OVER ->
#else
        :: unresolved && !sup_dead && tgt == RUNS ->
#endif
            unresolved = false;
            person_said = true;
            src = OVER
        fi
    }
}
#endif

/* --- what may befall them; each of it once, or never */

active proctype Fate()
{
end:
    do
    :: atomic { !tool_dead && !tool_closed -> tool_dead = true; trouble = true }
    :: atomic { !sup_dead && src != OVER -> sup_dead = true; src = LOST; trouble = true }
    :: atomic { !command_dead && !command_mute -> command_dead = true; trouble = true }
    :: atomic { !command_dead && !command_mute -> command_mute = true; trouble = true }
    :: atomic { !front_dead -> front_dead = true; trouble = true }
    :: atomic { !machine_dead && tgt != OVER -> machine_dead = true; tgt = LOST; trouble = true }
    :: atomic { !trouble -> trouble = true } /* all is well, but slow */
#ifdef SPARES /* of use where something has to come about: not all of it befalls them */
    :: break
#endif
    od
}

/* --- the properties, and never_twice above */

ltl never_both { [] !(src == RUNS && tgt == RUNS) }

/* Only what was killed is lost: the source is over when the guest runs at the target. */
ltl never_none { [] (src == OVER -> (tgt == RUNS || machine_dead)) }

ltl no_go_no_run { [] (tgt == RUNS -> said_go) }

/* From "go" until an answer or a person's word the source's guest stands as its pages were sent. */
ltl stands_is_whole {
    [] ((said_go && !answered && !person_said) -> ((src == STANDS || src == LOST) && !stale))
}

/* What runs at the target is all there, and what stood at the source. */
ltl arrives_whole { [] (tgt == RUNS -> (complete && !stale)) }

/* If the tool says that the guest goes on, no person is needed. */
ltl tells_truth { [] !(goes_on && unresolved) }

ltl ends_well { ([] !trouble) -> <> (src == OVER && tgt == RUNS && tool_closed) }

/* Whatever dies: it does not stay half-way. A source that stands waits for a person. */
ltl ends { <> [] ((tool_dead || tool_closed) && src != STANDS && tgt != STANDS) }
