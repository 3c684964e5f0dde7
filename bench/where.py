#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where the instructions of a row go under pvmm: guest, hypervisor, function by function.

The row is run alone with QEMU's plugin that counts instructions by block of code, and once more with
no row at all; the difference, for each part of the row, is shown. A function that was inlined counts
as itself, and `in` says into what.
"""
import argparse
import collections
import os
import shlex
import subprocess
import sys
import tempfile

import machines
import micro
from bench import columns, guarded, say
from machines import BenchError, EMPTY, ROWS

ALL_ROWS = (*ROWS, *micro.ALL_ROWS)
USER_END = 0x0000800000000000
OURS = (0xffff800000000000, 0xffff880000000000)  # the hypervisor's slots: hypervisor/layout.h
SMALL = 0.05                                     # instructions for each part that are not shown


def read_counts(path):
    """{address of a block: instructions} from the plugin's file; an address may come again."""
    counts = collections.Counter()
    try:
        with open(path, encoding="ascii") as f:
            for line in f:
                address, n = line.split()
                counts[int(address, 16)] += int(n)
    except (OSError, ValueError) as e:
        raise BenchError(f"the plugin's counts: {e}") from None
    return counts


def difference(counted, empty, parts):
    """{address: instructions for each part}."""
    return {a: (counted[a] - empty[a]) / parts for a in counted.keys() | empty.keys()
            if counted[a] != empty[a]}


def region(address):
    if address < USER_END:
        return "guest user"
    return "hypervisor" if OURS[0] <= address < OURS[1] else "guest kernel"


def by_region(shares):
    sums = collections.Counter()
    for address, n in shares.items():
        sums[region(address)] += n
    return sums


def chains_of(text):
    """{address: [(function, place), ...] from the innermost inlined one outwards} of addr2line's text."""
    chains, lines = {}, iter(text.splitlines())
    for line in lines:
        if line.startswith("0x"):
            chain = chains.setdefault(int(line, 16), [])
        else:
            chain.append((line, next(lines, "?").rsplit("/", 1)[-1].split(" ")[0]))
    return chains


def resolve(elf, addresses):
    words = ["addr2line", "-e", elf, "-f", "-i", "-a"]
    text = "".join(f"{a:#x}\n" for a in addresses)
    try:
        r = subprocess.run(words, input=text, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as e:
        raise BenchError(f"addr2line {elf}: {e}") from None
    return chains_of(r.stdout)


def by_function(shares, chains):
    """[(instructions, function, file, function it was inlined into or "")], the dearest first."""
    sums = collections.Counter()
    for address, chain in chains.items():
        (inner, place), outer = chain[0], chain[-1][0]
        sums[inner, place.split(":")[0], "" if len(chain) == 1 else outer] += shares[address]
    return sorted(((n, *key) for key, n in sums.items()), key=lambda line: (-line[0], line[1:]))


def command(s, row, of, qemu):
    """The words that run `row` under pvmm, or EMPTY in the place of `of`."""
    if of in ROWS:
        return machines.command(s, "pvmm", True, row, qemu=qemu)
    return micro.command(s, "pvmm", micro.layout_of(of), row, qemu=qemu)


def profile(s, row, of, scratch, timeout):
    """(instructions by address, parts) of one run under pvmm."""
    out, wrapper = f"{scratch}/{row}.counts", f"{scratch}/{row}.qemu"
    plugin = f"file={os.path.abspath(s.plugin)},out={out}"
    with open(wrapper, "w", encoding="utf-8") as f:
        f.write(f"#!/bin/sh\nexec {shlex.quote(s.qemu)} -plugin {shlex.quote(plugin)} \"$@\"\n")
    os.chmod(wrapper, 0o700)
    say(f"{row} under the plugin")
    r = machines.run(command(s, row, of, wrapper), timeout)
    return read_counts(out), machines.figures(r.lines).get("parts")


def measure(s, row):
    s.check(s.plugin, s.hypervisor, *([s.pvkernel] if row not in ROWS else []))
    with tempfile.TemporaryDirectory() as scratch:
        counted, parts = profile(s, row, row, scratch, s.timeout)
        empty, _ = profile(s, EMPTY, row, scratch, s.timeout)
    if not parts:
        raise BenchError(f"the run of {row} did not say its parts")
    return difference(counted, empty, parts), parts


def block_lines(shares, chains, top):
    dearest = sorted(chains, key=lambda a: -shares[a])[:top]
    return [[f"{a:x}", f"{shares[a]:.1f}", " < ".join(f"{f} {p}" for f, p in chains[a])]
            for a in dearest]


def report(row, parts, shares, chains, a):
    regions = by_region(shares)
    total = sum(regions.values())
    print(f"{row}: {total:,.1f} instructions for each of {parts} parts\n")
    print(columns(["", "each", "%"],
                  [[name, f"{n:,.1f}", f"{100 * n / total:.1f}"] for name, n in regions.most_common()]))
    lines = by_function(shares, chains)
    kept = [line for line in lines if abs(line[0]) >= SMALL][:a.top]
    rest = sum(line[0] for line in lines) - sum(line[0] for line in kept)
    print("\nThe hypervisor's part, by function:\n")
    print(columns(["", "each", "file", "in"],
                  [*([f, f"{n:,.1f}", place, into] for n, f, place, into in kept),
                   ["all the rest", f"{rest:,.1f}", "", ""]], left=(0, 2, 3)))
    if a.blocks:
        print("\nThe dearest blocks:\n")
        print(columns(["", "each", "where"], block_lines(shares, chains, a.blocks), left=(0, 2)))


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0],
                                epilog="ROW is one of: " + ", ".join(ALL_ROWS))
    p.add_argument("row", metavar="ROW", choices=ALL_ROWS)
    p.add_argument("--build", default="build", help="the build directory (build)")
    p.add_argument("--memory", default="1G", help="the machine's memory (1G)")
    p.add_argument("--timeout", type=int, default=900, help="seconds for each run (900)")
    p.add_argument("--top", type=int, default=40, help="functions to show (40)")
    p.add_argument("--blocks", type=int, default=0, metavar="N", help="show the N dearest blocks, too")
    return p.parse_args()


def main():
    a = arguments()
    s = machines.Setting(a.build, a.memory, a.timeout)
    shares, parts = measure(s, a.row)
    ours = [address for address in shares if region(address) == "hypervisor"]
    report(a.row, parts, shares, resolve(s.hypervisor, ours) if ours else {}, a)
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
