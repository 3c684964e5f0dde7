#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a guest writes to is told, page by page: dirty.py TRANSFER-FOLDER HYPERVISOR OFFSETS PVKERNEL TESTGUEST [CASE].

The judge is the memory itself: between two moments at which the guest stands, whatever of its frames is no page table
and is not as it was must be in the bitmap of that round."""
import sys

from watch import ENDED, OFF, ON, RUNNING, Flunk, Layout, Machine, Watch, check, run, seeded

MEMORY = 32 << 20
SEED = 7


def boot(arguments, kernel=None, memory=MEMORY):
    return Machine(LAYOUT, HYPERVISOR, f"mem={memory} seed={SEED}", [f"{kernel or PVKERNEL} {arguments}"])


def ends_well(m):
    m.until("its end", Watch(m).over)
    m.ends("reboot")
    said = m.console.decode(errors="replace")
    if "\nnot ok" in said or " failed=0 " not in said:
        raise Flunk("a test of the kernel failed: " + "\n".join(x for x in said.splitlines() if x.startswith("not ok")))


def all_is_told():
    """Whatever the test kernel's tests do."""
    with boot("") as m:
        m.says(b"ok ")
        w, rng = Watch(m), seeded(SEED)
        check("the version", m.get("dirty.version"), 1)
        figures = w.judge(10 ** 6, lambda: rng.uniform(0.002, 0.03))
        if len(figures) < 10 or sum(c for c, _ in figures) < 100:
            raise Flunk(f"it wrote too little for a test: {figures}")
        print(f"   {len(figures)} rounds; frames changed and told, by round:", figures)
        ends_well(m)


def every_request_is_told():
    """Each request that Xen answers; it is made to stand all the time, so that hardly anything else is written in a
    round."""
    with boot("conform", TEST_GUEST, 8 << 20) as m:
        m.until("it starts", lambda: m.state() >= RUNNING)
        figures = Watch(m).judge(10 ** 6, lambda: 0)
        print(f"   {len(figures)} rounds, {sum(c for c, _ in figures)} frames changed, "
              f"{sum(t for _, t in figures)} told")
        if len(figures) < 50:
            raise Flunk("too few rounds for a test")


def rounds_are_not_seen():
    """A round every few milliseconds, the watch on and off: the kernel's tests all pass, nothing is miscounted."""
    with boot("") as m:
        m.says(b"ok ")
        w, rng, rounds = Watch(m), seeded(SEED), 0
        while not w.over():
            w.bell(b"r" if rng.random() < 0.9 else b"n")
            rounds += 1
            m.quiet(rng.choice([0, 0, 0, 0.01]))
        ends_well(m)
        if rounds < 20:
            raise Flunk(f"only {rounds} bells")
        print(f"   {rounds} bells, the slowest heeded after {w.slowest * 1000:.0f} ms")


def a_guest_that_waits_writes_nothing():
    """It waits for its console: told are frames that may be written at any moment, its timers' and no more."""
    with boot("echo", kernel=TEST_GUEST) as m:
        m.says(b"echo-ready")
        m.quiet(1)
        w = Watch(m)
        w.round()
        w.round()
        figures = []
        for _ in range(5):
            m.quiet(0.2)
            figures.append(w.round().bit_count())
        print("   frames told of a guest that waits:", figures)
        if max(figures) > 24:
            raise Flunk(f"of a guest that waits too many frames are told: {figures}")


def off_again():
    """What is not watched is not told; the frames are given back."""
    with boot("test=p*") as m:
        m.says(b"ok ")
        w = Watch(m)
        check("the state before", m.get("dirty.state"), OFF)
        w.bell(b"n")
        check("the state of nothing", (m.get("dirty.state"), m.get("dirty.rounds")), (OFF, 0))
        for _ in range(3):
            w.bell(b"r")
            check("on", (m.get("dirty.state"), m.get("dirty.rounds"), m.get("dirty.told")), (ON, 1, 0))
            w.bell(b"n")
            check("off", (m.get("dirty.state"), m.get("dirty.rounds")), (OFF, 0))
        ends_well(m)


def the_end_comes_watched():
    """PVMM_BELL_STOP in the middle of a round: what the audit sees is the guest's alone."""
    with boot("") as m:
        m.says(b"ok ")
        w = Watch(m)
        for _ in range(3):
            w.round()
        m.ring(b"q")
        m.until("its end", lambda: m.state() == ENDED)
        m.ends("stopped")
        check("the watch", (m.get("dirty.state"), m.get("dirty.rounds")), (OFF, 0))


CASES = [all_is_told, every_request_is_told, rounds_are_not_seen, a_guest_that_waits_writes_nothing, off_again,
         the_end_comes_watched]
HYPERVISOR, PVKERNEL, TEST_GUEST = sys.argv[2], *sys.argv[4:6]
LAYOUT = Layout(sys.argv[3])
sys.exit(1 if run(CASES, sys.argv[6:]) else 0)
