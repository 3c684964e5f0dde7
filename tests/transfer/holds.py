#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A guest that stands still, and goes on: holds.py HYPERVISOR OFFSETS PVKERNEL TESTGUEST [CASE]."""
import struct
import sys
import time

sys.dont_write_bytecode = True
from machine import ENDED, NO_HOLD, PAUSED, RUNNING, SUSPENDED, Flunk, Layout, Machine  # noqa: E402

MEMORY = 32 << 20
STILL = 1.5  # seconds over which nothing may move


def boot(words, kernel, arguments):
    return Machine(LAYOUT, HYPERVISOR, f"mem={MEMORY} seed=7 {words}", [f"{kernel} {arguments}"])


def check(what, got, expected):
    if got != expected:
        raise Flunk(f"{what} is {got!r}, not {expected!r}")


def register(m, name):
    at = LAYOUT.at["context.user_regs." + name]
    return struct.unpack_from("<Q", m.bytes_of("machine.context"), at)[0]


def guest_frames(m):
    """Every frame that the guest owns, shared_info among them, with its content."""
    owner = m.get("domid") + 1
    at, found = m.get("machine.frames_at"), {}
    for mfn in range(m.get("machine.nr_frames")):
        hold = struct.unpack_from("<Q", m.memory, at + 16 * mfn + 8)[0]
        if hold >> 50 == owner:
            found[mfn] = hash(m.page(mfn))
    return found


def check_nothing_moves(m, state):
    check("context_valid", m.get("machine.context_valid"), 1)
    check("hold", m.get("hold"), state)
    before, context = guest_frames(m), m.bytes_of("machine.context")
    said, received = len(m.console), m.get("received")
    m.type(b"typed while it stands\n")
    m.quiet(STILL)
    check("the console", len(m.console), said)
    check("what COM1 gave", m.get("received"), received)
    check("the frames that changed", [n for n, h in guest_frames(m).items() if before.get(n) != h], [])
    check("the context", m.bytes_of("machine.context") == context, True)


def go_on(m):
    m.ring(b"u")
    m.holds(NO_HOLD)
    m.until("the context is nobody's", lambda: m.get("machine.context_valid") == 0 or m.state() == ENDED)


def pause_of_running():
    """It computes, is stopped in the middle, and its tests all pass afterwards."""
    with boot("", PVKERNEL, "test=p*") as m:
        for _ in range(3):
            m.says(b"ok ")
            m.ring(b"p")
            m.holds(PAUSED)
            check_nothing_moves(m, PAUSED)
            go_on(m)
            m.console = b""
        m.says(b"PVKERNEL-DONE")
        m.ends("reboot")


def pause_of_blocked():
    """It waits for its console: what is typed meanwhile comes when it goes on."""
    with boot("", TESTGUEST, "echo") as m:
        m.says(b"echo-ready")
        m.quiet(0.5)
        m.ring(b"p")
        m.holds(PAUSED)
        check_nothing_moves(m, PAUSED)
        go_on(m)
        m.says(b"echo: typed while it stands")
        m.ring(b"q")
        m.ends("stopped")


def pause_before_the_first_instruction():
    with boot("", PVKERNEL, "test=console.*") as m:
        m.until("the mailbox", lambda: m.mailbox)
        m.ring(b"p")
        m.holds(PAUSED)
        check("the state", m.state(), RUNNING)
        check("its hypercalls", sum(struct.unpack("<64Q", m.bytes_of("verdict.hypercalls"))), 0)
        check_nothing_moves(m, PAUSED)
        go_on(m)
        m.says(b"PVKERNEL-DONE")
        m.ends("reboot")


def stands_for_good(m):
    """It is paused, and has been for so long that no letter sent before can be on its way any more."""
    since = None

    def long_enough():
        nonlocal since
        if m.get("hold") != PAUSED:
            since = None
        elif since is None:
            since = time.monotonic()
        return since is not None and time.monotonic() - since > STILL

    m.until("it is paused, and stays so", long_enough)


def pause_and_unpause_at_once():
    """Neither is lost, nor taken for the next one."""
    with boot("", TESTGUEST, "echo") as m:
        m.says(b"echo-ready")
        for _ in range(20):
            m.ring(b"pupu")
        m.type(b"hello\n")
        m.says(b"echo: hello")
        m.ring(b"uup")
        stands_for_good(m)
        m.ring(b"pp")
        check_nothing_moves(m, PAUSED)
        go_on(m)
        m.type(b"off\n")
        m.ends("poweroff")


def pause_with_unknown_messages():
    """What is no message of this state changes nothing: 'b' of a guest that was built, 'x' of nobody."""
    with boot("", TESTGUEST, "echo") as m:
        m.says(b"echo-ready")
        m.ring(b"bxp")
        m.holds(PAUSED)
        m.ring(b"bgx")
        check_nothing_moves(m, PAUSED)
        go_on(m)
        m.type(b"off\n")
        m.ends("poweroff")


def stop_while_paused():
    with boot("", TESTGUEST, "echo") as m:
        m.says(b"echo-ready")
        m.ring(b"p")
        m.holds(PAUSED)
        m.ring(b"q")
        m.ends("stopped")


def check_context_of_suspend(m):
    check("rax", register(m, "rax"), 0)
    mfn = register(m, "rdx")
    pfn = struct.unpack_from("<Q", m.memory, m.get("machine.m2p_at") + 8 * mfn)[0]
    check("the pfn of what rdx names", pfn, m.get("machine.start_info_pfn"))
    check("what is there", m.page(mfn)[:14], b"xen-3.0-x86_64")
    check("rcx, which SYSCALL leaves", register(m, "rcx"), register(m, "rip"))


def suspend_and_go_on():
    """Each suspend of the kernel's tests stands until it is called off, as the tests see."""
    with boot("suspend=2", PVKERNEL, "suspend test=suspend.*") as m:
        for n in range(4):
            m.holds(SUSPENDED)
            check_context_of_suspend(m)
            if n == 0:
                check_nothing_moves(m, SUSPENDED)
            check("suspends before", m.get("verdict.suspends"), n)
            go_on(m)
        m.says(b"PVKERNEL-DONE")
        m.ends("reboot")
        check("suspends", m.get("verdict.suspends"), 4)
        check("failed tests", m.console.count(b"not ok"), 0)
        check("skipped tests", m.console.count(b"# SKIP"), 0)


def suspend_and_pause():
    """One 'u' is for both."""
    with boot("suspend=2", PVKERNEL, "suspend test=suspend.with_identity") as m:
        m.holds(SUSPENDED)
        m.ring(b"ppp")
        check_nothing_moves(m, SUSPENDED)
        go_on(m)
        m.says(b"PVKERNEL-DONE")
        m.ends("reboot")


def suspend_is_the_end():
    with boot("suspend=2", PVKERNEL, "suspend test=suspend.with_identity") as m:
        m.holds(SUSPENDED)
        m.ring(b"q")
        m.ends("suspend")
        check("the reason", m.get("verdict.shutdown_reason"), 2)
        check("suspends", m.get("verdict.suspends"), 0)
        check_context_of_suspend(m)
    with boot("suspend=0", PVKERNEL, "suspend test=suspend.with_identity") as m:
        m.ends("suspend")
        check("the reason", m.get("verdict.shutdown_reason"), 2)


def suspend_is_cancelled():
    """Without standing: an 'u' from before is for nothing."""
    with boot("suspend=1", PVKERNEL, "suspend test=suspend.with_identity") as m:
        m.until("the mailbox", lambda: m.mailbox)
        m.ring(b"u")
        m.says(b"PVKERNEL-DONE")
        m.ends("reboot")
        check("suspends", m.get("verdict.suspends"), 1)


def suspend_word_out_of_range():
    for words, said in (("suspend=3", "the option suspend=3 is none of 0 to 2"), ("suspend=", "bad option: suspend="),
                        ("cancel=1", "bad option: cancel=1"), ("store=2", "the option store=2 is none of 0 to 1")):
        with boot(words, PVKERNEL, "") as m:
            m.ends("bad guest", said)


CASES = {name: case for name, case in globals().items() if callable(case) and name.startswith(("pause_", "suspend_",
                                                                                              "stop_"))}


def main():
    chosen = sys.argv[5:] or list(CASES)
    failed = 0
    for name in chosen:
        try:
            CASES[name]()
            print(f"ok {name}", flush=True)
        except Flunk as why:
            failed += 1
            print(f"FAILED {name}: {why}", flush=True)
    return failed > 0


HYPERVISOR, PVKERNEL, TESTGUEST = sys.argv[1], sys.argv[3], sys.argv[4]
LAYOUT = Layout(sys.argv[2])
if __name__ == "__main__":
    sys.exit(main())
