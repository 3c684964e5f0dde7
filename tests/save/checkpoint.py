#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""checkpoint.py PVMM BUILD: a guest under load that is saved again and again while it goes on; what was saved comes
back later, as it was then, beside the guest itself and beside each other."""
import os
import time

from guests import TMP, Debian, main, median, need, nothing_left, pvmm, same

CHECKPOINTS = 5


def checkpoint(g, i):
    """(status before, seconds); the guest goes on, on the same machine. What its shell knows is of this save alone."""
    g.ask(b"saved=%d; echo set" % i, rb"set")
    before = g.status()
    start = time.time()
    pvmm("save", "--checkpoint", "--format", ("xl", "libxc")[i % 2], g.name, f"{TMP}/{i}.save")
    seconds = time.time() - start
    need("the guest is gone after a checkpoint", g.p.poll() is None)
    after = g.moves_on(before)
    need("the clock is off", g.clock_off() <= 2)
    g.ask(b"saved=no; echo set", rb"set")
    same(before, after)
    return before, seconds


def come_back(i, before):
    g = Debian("restore", f"back{i}", f"{TMP}/{i}.save")
    knows = g.ask(b"echo saved=$saved", rb"saved=(.*)").group(1)
    need(f"checkpoint {i} is of another time: its shell says {knows}", knows == b"%d" % i)
    g.moves_on(before)
    need(f"the clock of checkpoint {i} is off", g.clock_off() <= 2)
    return g


def checkpoints():
    g = Debian.boot("guest")
    taken = [checkpoint(g, i) for i in range(CHECKPOINTS)]
    last = g.status()
    old, young = (come_back(i, taken[i][0]) for i in (0, CHECKPOINTS - 1))
    g.moves_on(last)
    for each in (g, old, young):
        each.leave()
    for i in range(CHECKPOINTS):
        os.unlink(f"{TMP}/{i}.save")
    nothing_left()
    seconds = [s for _, s in taken]
    print(f"{CHECKPOINTS} checkpoints: median {median(seconds):.2f} s, most {max(seconds):.2f} s; three lives at once")


main(checkpoints)
