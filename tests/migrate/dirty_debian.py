#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Debian's kernel, watched: dirty_debian.py TRANSFER-FOLDER HYPERVISOR OFFSETS BUILD [CASE].

Its processes (tests/save/guest.c) check what they compute; what they write to is judged by the memory,
as in dirty.py."""
import os
import re
import sys
import tempfile
import time

from watch import Layout, Machine, Flunk, Watch, check, run, seeded, unpacked

MIB = 1 << 20
SEED = 11
COMPLAINT = re.compile(rb"SAVE-ERROR|Oops|BUG:|WARNING:|Kernel panic")


class Debian(Machine):
    def __init__(self, memory, sums):
        super().__init__(LAYOUT, HYPERVISOR, f"mem={memory * MIB} seed={SEED}",
                         [f"{KERNEL} console=hvc0 quiet loglevel=4 save.mib={sums}", RAMDISK], memory + 192)
        try:
            self.says(b"SAVE-READY", 300)
        except Flunk:
            self.__exit__()
            raise

    def poll(self, seconds):
        if COMPLAINT.search(self.console):
            raise Flunk(f"the guest complains: {self.console[-1500:].decode(errors='replace')}")
        return super().poll(seconds)

    def status(self):
        """What its processes tell of themselves."""
        self.console = b""
        self.type(b"status\n")
        self.until("its status", lambda: re.search(rb"STATUS .*\n", self.console))
        line = re.search(rb"STATUS (.*)\n", self.console)[1].decode()
        status = dict(word.split("=", 1) for word in line.split())
        check("the errors its processes saw", status["errors"], "0")
        check("its processes alive", status["alive"], status["of"])
        return status

    def leaves(self):
        self.status()
        self.type(b"off\n")
        self.until("its end", Watch(self).over)
        self.ends("poweroff")


def all_is_told():
    with Debian(128, 24) as m:
        w, rng = Watch(m), seeded(SEED)
        figures = w.judge(25, lambda: rng.uniform(0.02, 0.3))
        print("   frames changed and told, by round:", figures)
        if sum(c for c, _ in figures) < 5000:
            raise Flunk(f"it wrote too little for a test: {figures}")
        m.leaves()


def rounds_are_not_seen():
    """Rounds without a pause between them, the watch on and off."""
    with Debian(128, 24) as m:
        w, rng, rounds, end = Watch(m), seeded(SEED), 0, time.monotonic() + 15
        while time.monotonic() < end:
            w.bell(b"r" if rng.random() < 0.95 else b"n")
            rounds += 1
            m.quiet(rng.choice([0, 0, 0.005, 0.02]))
        print(f"   {rounds} bells, the slowest heeded after {w.slowest * 1000:.0f} ms")
        m.leaves()


def pages_per_second(m, seconds, each=lambda: None):
    before, begun = m.status(), time.monotonic()
    while time.monotonic() < begun + seconds:
        m.quiet(min(1, seconds))
        each()
    after, took = m.status(), time.monotonic() - begun
    return (int(after["summer"]) - int(before["summer"])) / took


def the_pace_is_kept():
    """A guest that rewrites what it has, checksummed, as fast as the machine lets it: and watched hardly slower."""
    with Debian(SUMS + max(104, SUMS // 4), SUMS) as m:
        w, told = Watch(m), []
        free = pages_per_second(m, SECONDS)
        w.round()
        watched = pages_per_second(m, SECONDS, lambda: told.append(w.round().bit_count()))
        w.bell(b"n")
        after = pages_per_second(m, SECONDS)
        print(f"   of {SUMS} MiB it rewrites {free * 4096 / 1e6:.1f} MB/s, {watched * 4096 / 1e6:.1f} MB/s "
              f"watched with a round each second, {after * 4096 / 1e6:.1f} MB/s behind it; "
              f"told of {sum(told) / SECONDS:.0f} frames/s; the slowest bell heeded after {w.slowest * 1000:.0f} ms")
        if watched < min(free, after) / 4:  # other work of the host counts, too
            raise Flunk("watched, it does not keep its pace")
        m.leaves()


SECONDS = 8
SUMS = int(os.environ.get("PVMM_TEST_SUMS_MIB", "96"))
CASES = [all_is_told, rounds_are_not_seen, the_pace_is_kept]
HYPERVISOR, BUILD = sys.argv[2], sys.argv[4]
LAYOUT = Layout(sys.argv[3])
RAMDISK = f"{BUILD}/tests/save/guest.cpio.gz"
if not os.path.exists(f"{BUILD}/kernel/vmlinuz"):
    print(f"no {BUILD}/kernel/vmlinuz: run make kernel")
    sys.exit(77)
with tempfile.TemporaryDirectory() as folder:
    KERNEL = unpacked(f"{BUILD}/kernel/vmlinuz", f"{folder}/vmlinux")
    FAILED = run(CASES, sys.argv[5:])
sys.exit(1 if FAILED else 0)
