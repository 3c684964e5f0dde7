#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a guest writes to is told, page by page: dirty.py TRANSFER-FOLDER HYPERVISOR OFFSETS PVKERNEL [CASE].

The judge is the memory itself: between two moments at which the guest stands, whatever of its frames is no page table
and is not as it was must be in the bitmap of that round."""
import random
import struct
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from machine import ENDED, NO_HOLD, PAUSED, Flunk, Layout, Machine  # noqa: E402

MEMORY = 32 << 20
TABLES = range(1, 6)  # L1..L4, descriptor pages
ROUNDS = 25
OFF, ON = 0, 1


def boot(words, arguments, memory=MEMORY):
    return Machine(LAYOUT, HYPERVISOR, f"mem={memory} seed={SEED} {words}", [f"{KERNEL} {arguments}"])


def check(what, got, expected):
    if got != expected:
        raise Flunk(f"{what} is {got!r}, not {expected!r}")


class Watch:
    def __init__(self, machine):
        self.m, self.bells = machine, machine.get("dirty.heeded")

    def ring(self, what):
        try:
            self.m.ring(what)
        except OSError:
            self.m.until("its end", lambda: self.m.state() == ENDED)

    def bell(self, which):
        self.bells += 1
        self.ring(which)
        self.m.until("the bell is heeded", lambda: self.m.get("dirty.heeded") >= self.bells or self.m.state() == ENDED)

    def round(self):
        """The frames of the round that ended."""
        before = self.m.get("dirty.rounds")
        self.bell(b"r")
        check("the round", self.m.get("dirty.rounds"), before + 1)
        at, size = self.m.get("dirty.at"), self.m.get("dirty.bytes")
        bits = self.m.memory[at + size * ((before + 1) & 1):][:size]
        number = int.from_bytes(bits, "little")
        check("the count of frames told", number.bit_count(), self.m.get("dirty.told"))
        return number

    def snapshot(self):
        """Of each frame of the guest's: what it is, its pfn, its content."""
        m, owner, found = self.m, self.m.get("domid") + 1, {}
        frames, m2p = m.get("machine.frames_at"), m.get("machine.m2p_at")
        shared = m.get("machine.shared_mfn")
        for n in range(m.get("machine.nr_frames")):
            use, hold = struct.unpack_from("<QQ", m.memory, frames + 16 * n)
            if hold >> 50 == owner and n != shared and hold >> 48 & 1:
                found[n] = (use >> 60 in TABLES and use >> 42 & 1 or use >> 60 == 5,
                            struct.unpack_from("<Q", m.memory, m2p + 8 * n)[0], hash(m.page(n)))
        return found

    def stand(self):
        self.ring(b"p")
        self.m.until("it stands", lambda: self.m.get("hold") == PAUSED or self.m.state() == ENDED)
        return self.m.state() != ENDED

    def go_on(self):
        self.m.ring(b"u")
        self.m.until("it goes on", lambda: self.m.get("hold") == NO_HOLD)


def compare(before, after, told):
    """Frames that changed and were not told; how many did, and how many were told."""
    missing, changed = [], 0
    for n, (table, pfn, content) in after.items():
        was = before.get(n)
        if table:
            continue
        if was is None or was[0] or was[1:] != (pfn, content):
            changed += 1
            if not told >> n & 1:
                missing.append((hex(n), was, after[n]))
    return missing, changed


def all_is_told():
    """Whatever the test kernel's tests do."""
    with boot("", "") as m:
        m.says(b"ok ")
        w, rng, told_of = Watch(m), random.Random(SEED), []
        check("the version", m.get("dirty.version"), 1)
        for n in range(ROUNDS):
            if not w.stand():
                break
            told, now = w.round(), w.snapshot()
            if n:
                missing, changed = compare(before, now, told)
                told_of.append((changed, told.bit_count()))
                if missing:
                    raise Flunk(f"round {n}: {len(missing)} of {changed} frames changed and were not told: {missing[:5]}")
            before = now
            w.go_on()
            m.quiet(rng.uniform(0.002, 0.03))
        if sum(c for c, _ in told_of) < 100:
            raise Flunk(f"it wrote too little for a test: {told_of}")
        print("   frames changed and told, by round:", told_of)
        ends_well(m)


def ends_well(m):
    m.ends("reboot")
    said = m.console.decode(errors="replace")
    if "\nnot ok" in said or " failed=0 " not in said:
        raise Flunk("a test of the kernel failed: " + "\n".join(x for x in said.splitlines() if x.startswith("not ok")))


def rounds_are_not_seen():
    """A round every few milliseconds, the watch on and off: every test of the kernel passes, and nothing is miscounted."""
    with boot("", "") as m:
        m.says(b"ok ")
        w, rng, rounds = Watch(m), random.Random(SEED), 0
        while m.state() != ENDED:
            w.bell(b"r" if rng.random() < 0.9 else b"n")
            rounds += 1
            m.quiet(rng.choice([0, 0.001, 0.02]))
        ends_well(m)
        print(f"   {rounds} bells")


def off_again():
    """What is not watched is not told; the frames are given back."""
    with boot("", "test=p*") as m:
        m.says(b"ok ")
        w = Watch(m)
        check("the state before", m.get("dirty.state"), OFF)
        w.bell(b"n")
        check("the state of nothing", (m.get("dirty.state"), m.get("dirty.rounds")), (OFF, 0))
        for _ in range(3):
            w.bell(b"r")
            check("on", (m.get("dirty.state"), m.get("dirty.rounds")), (ON, 1))
            w.bell(b"n")
            check("off", (m.get("dirty.state"), m.get("dirty.rounds")), (OFF, 0))
        ends_well(m)


CASES = [all_is_told, rounds_are_not_seen, off_again]


def main():
    bad = 0
    for case in CASES:
        if len(sys.argv) > 5 and case.__name__ not in sys.argv[5:]:
            continue
        begun = time.monotonic()
        try:
            case()
            print(f"ok {case.__name__}: {time.monotonic() - begun:.1f} s", flush=True)
        except (Flunk, OSError) as e:
            bad += 1
            print(f"FAILED {case.__name__}: {e}", flush=True)
    return bad


SEED = 7
HYPERVISOR, KERNEL = sys.argv[2], sys.argv[4]
LAYOUT = Layout(sys.argv[3])
sys.exit(1 if main() else 0)
