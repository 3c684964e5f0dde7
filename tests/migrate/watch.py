# SPDX-License-Identifier: MIT
"""A machine whose guest is watched: rings for rounds, and looks into its memory. A script's first argument is the
folder of machine.py."""
import lzma
import random
import struct
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from machine import ENDED, NO_HOLD, PAUSED, RUNNING, Flunk, Layout, Machine  # noqa: E402,F401

TABLES = range(1, 5)  # L1..L4
TABLE = 0x7ff << 32  # USE_VALIDATED, or USE_HELD: of a part of it
ALLOCATED = 1  # and not HOLD_SHARED
OFF, ON = 0, 1  # enum pvmm_dirty_state


def check(what, got, expected):
    if got != expected:
        raise Flunk(f"{what} is {got!r}, not {expected!r}")


def unpacked(bzimage, to):
    """The kernel in Debian's vmlinuz, which the host tool unpacks otherwise."""
    with open(bzimage, "rb") as f:
        b = f.read()
    at = (b[0x1f1] + 1) * 512 + struct.unpack_from("<I", b, 0x248)[0]
    size = struct.unpack_from("<I", b, 0x24c)[0]
    with open(to, "wb") as f:
        f.write(lzma.LZMADecompressor().decompress(b[at:at + size]))
    return to


class Watch:
    def __init__(self, machine):
        self.m, self.bells, self.slowest = machine, machine.get("dirty.heeded"), 0

    def over(self):
        """Has it ended? A guest that breaks the memory contract waits until its report is read."""
        if self.m.get("reports.waiting"):
            self.m.ring(b"g")
        return self.m.state() == ENDED

    def ring(self, what):
        try:
            self.m.ring(what)
        except OSError:
            self.m.until("its end", self.over)

    def bell(self, which):
        begun = time.monotonic()
        self.bells += 1
        self.ring(which)
        self.m.until("the bell is heeded", lambda: self.over() or self.m.get("dirty.heeded") >= self.bells)
        self.slowest = max(self.slowest, time.monotonic() - begun)

    def round(self):
        """The frames of the round that ended, as the bits of a number."""
        before = self.m.get("dirty.rounds")
        self.bell(b"r")
        check("the round", self.m.get("dirty.rounds"), before + 1)
        at, size = self.m.get("dirty.at"), self.m.get("dirty.bytes")
        bits = int.from_bytes(self.m.memory[at + size * ((before + 1) & 1):][:size], "little")
        check("the count of frames told", bits.bit_count(), self.m.get("dirty.told"))
        return bits

    def snapshot(self):
        """Of each frame of the guest's that is not lent to it: is it a page table, its pfn, its content."""
        m, owner, found = self.m, self.m.get("domid") + 1, {}
        count = m.get("machine.nr_frames")
        words = struct.unpack_from(f"<{2 * count}Q", m.memory, m.get("machine.frames_at"))
        m2p = struct.unpack_from(f"<{count}Q", m.memory, m.get("machine.m2p_at"))
        for n in range(count):
            use, hold = words[2 * n], words[2 * n + 1]
            if hold >> 48 == owner << 2 | ALLOCATED:
                found[n] = (bool(use >> 60 in TABLES and use & TABLE), m2p[n], hash(m.page(n)))
        return found

    def stand(self):
        """False: the guest is over instead."""
        self.ring(b"p")
        self.m.until("it stands", lambda: self.over() or self.m.get("hold") == PAUSED)
        return not self.over()

    def go_on(self):
        self.m.ring(b"u")
        self.m.until("it goes on", lambda: self.m.get("hold") == NO_HOLD)

    def judge(self, rounds, rest):
        """So many rounds, from one moment at which it stands to the next. All that changed must be told. Of each round:
        what changed, and what was told."""
        figures, before = [], None
        for n in range(rounds):
            if not self.stand():
                break
            told, now = self.round(), self.snapshot()
            if before is not None:
                missing, changed = untold(before, now, told)
                figures.append((changed, told.bit_count()))
                if missing:
                    raise Flunk(f"round {n}: of {changed} frames that changed {len(missing)} were not told: "
                                f"{missing[:5]}")
            before = now
            self.go_on()
            self.m.quiet(rest())
        return figures


def untold(before, after, told):
    """Frames that changed and are not told; how many changed."""
    missing, changed = [], 0
    for n, (table, pfn, content) in after.items():
        was = before.get(n)
        if not table and (was is None or was[0] or was[1:] != (pfn, content)):
            changed += 1
            if not told >> n & 1:
                missing.append((hex(n), was, after[n]))
    return missing, changed


def run(cases, wanted):
    """The number of those that fail."""
    bad = 0
    for case in cases:
        if wanted and case.__name__ not in wanted:
            continue
        begun = time.monotonic()
        try:
            case()
            print(f"ok {case.__name__}: {time.monotonic() - begun:.1f} s", flush=True)
        except (Flunk, OSError) as e:
            bad += 1
            print(f"FAILED {case.__name__}: {e}", flush=True)
    return bad


def seeded(seed):
    return random.Random(seed)
