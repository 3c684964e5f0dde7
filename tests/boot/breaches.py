#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every way to break the contract (tests/guest/breach.c): breaches.py PVMM TEST-GUEST [plain|strict|stand|CASE...].

Plain: there is one report, with its place in lists however often those paused. Strict: the first breach ends
the guest, with a clean audit. Stand: the guest stands at the instruction, ticks meanwhile, and then gets the
answer that it would have got; nothing is done twice. One that never comes there goes on as well.
"""
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
from stub import Flunk, Stub, free_port  # noqa: E402

PATIENCE = 60
SYSCALL = b"\x0f\x05"
# The guest's cases in its order: code of the report, multicall index, batch index, batch count.
CASES = {
    "update-alone": ("type-in-use", None, 0, 1),
    "update-batch": ("type-in-use", None, 35, 64),
    "update-unreadable": ("bad-argument", None, 2, 3),
    "update-va": ("type-in-use", None, None, 0),
    "multicall": ("type-in-use", 1, 0, 1),
    "long-batch": ("type-in-use", None, 8092, 8192),
    "long-multicall": ("type-in-use", 8092, 0, 1),
    "pin-half": ("type-in-use", None, 1, 3),
    "unknown-operation": ("bad-argument", None, 1, 2),
    "big-gdt": ("bad-argument", None, None, 0),
    "writable-gdt": ("type-in-use", None, None, 0),
    "descriptor": ("type-in-use", None, None, 0),
    "free-nothing": ("no-such-frame", None, 1, 2),
    "grant-beyond": ("not-a-table", None, 1, 2),
    "store": ("type-in-use", None, None, 0),
    "load-root": ("type-in-use", None, None, 0),
    "use-ldt": ("type-in-use", None, None, 0),
    "write-to-table": ("write-fault", None, None, 0),
    "write-to-user-page": ("write-fault", None, None, 0),
    "iret-in-multicall": ("type-in-use", 0, 0, 1),
    "shut-down": ("crash", None, None, 0),
    "many-ways": ("type-in-use", None, None, 0),
    "shut-down-in-multicall": ("crash", None, None, 0),
    "no-handler": ("crash", None, None, 0),
    "no-event-handler": ("crash", None, None, 0),
    "no-stack": ("crash", None, None, 0),
    "bad-iret": ("crash", None, None, 0),
    "no-stack-in-user-mode": ("crash", None, None, 0),
}
NO_BREACH = "write-to-user-page"  # a fault that the guest makes for itself
NO_STANDING = {"many-ways", "no-event-handler"}  # two ends; the guest that goes on masks events, and lives
NEVER_THERE = {"iret-in-multicall"}
NO_HYPERCALL = {"store", "load-root", "use-ldt", "write-to-table", "write-to-user-page", "no-handler",
                "no-event-handler", "no-stack"}
WAYS, KEPT = 60, 48  # of many-ways; of the last place only the end may take
# Whose number does not depend on how often the guest was interrupted.
ONCE = ("mmu_update", "update_va_mapping", "mmuext_op", "memory_op", "grant_table_op", "set_gdt",
        "update_descriptor")


class Run:
    """One run of one case: what the guest said of it, and the verdict."""

    def __init__(self, pvmm, guest, name, words="", *options):
        self.name = name
        self.directory = tempfile.TemporaryDirectory()
        self.json = Path(self.directory.name, "json")
        self.process = subprocess.Popen(
            [pvmm, "run", "--no-core", "--accel", "tcg", "-m", "64M", "--timeout", str(PATIENCE), "--json", self.json,
             *options, "-a", f"breach case={list(CASES).index(name)} {words}", guest],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.directory.cleanup()

    def end(self):
        console = self.process.communicate(timeout=PATIENCE)[0].decode(errors="replace")
        self.said = re.findall(r"^(?:breach|results|statuses) .*$", console, re.M)
        self.upcalls = "there were upcalls" in console
        self.verdict = json.loads(self.json.read_text())
        self.reports = [r for r in self.verdict["reports"] if r["code"] != "not-published"]
        if not self.verdict["audit"]["clean"]:
            raise Flunk(f"the audit: {self.verdict['audit']}")
        return self

    def once(self):
        return {n: self.verdict["hypercalls"].get(n) for n in ONCE}

    def check_report(self):
        if len(self.reports) != 1 or self.reports[0]["count"] != 1:
            raise Flunk(f"not one report: {[(r['code'], r['count']) for r in self.reports]}")
        request = self.reports[0].get("request") or {}
        got = (self.reports[0]["code"], *(request.get(k) for k in ("multicall_index", "batch_index")),
               request.get("batch_count") or 0)
        if got != CASES[self.name]:
            raise Flunk(f"the report is {got}, not {CASES[self.name]}")
        broken = self.verdict["contract"]["broken"]
        if broken != (got[0] != "crash" and self.name != NO_BREACH):
            raise Flunk(f"broken {broken} times")


def check_full(run):
    codes = [r["code"] for r in run.reports]
    if codes != ["type-in-use"] * (KEPT - 1) + ["crash"]:
        raise Flunk(f"the reports are {codes}")
    if run.verdict["contract"] != {"broken": WAYS, "not_kept": WAYS - KEPT + 1}:
        raise Flunk(f"counted: {run.verdict['contract']}")


def plain(pvmm, guest, name):
    if name == "many-ways":
        with Run(pvmm, guest, name) as run:
            check_full(run.end())
        return
    for words in ("", "ticking"):
        with Run(pvmm, guest, name, words) as run:
            run.end().check_report()
            if words and name.startswith("long") and not run.upcalls:
                raise Flunk("it did not tick")


def strict(pvmm, guest, name):
    with Run(pvmm, guest, name, "", "--strict") as run:
        run.end().check_report()
        crash = CASES[name][0] == "crash" or name == NO_BREACH
        if (run.verdict["outcome"] == "broken") == crash:
            raise Flunk(f"the outcome is {run.verdict['outcome']}")
        if run.said and not crash:
            raise Flunk(f"it went on: {run.said}")


def stand_at(run):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        line = run.process.stderr.readline().decode()
        if not line:
            break
        if m := re.search(r"the guest stands at ([0-9a-f]+)", line):
            return int(m[1], 16)
        if "does not stand" in line:
            return None
    raise Flunk("it says nothing of standing")


def look(port, said, name):
    stub = Stub(port)
    rip = stub.rip()
    if rip != said:
        raise Flunk(f"rip is {rip:x}, and was said to be {said:x}")
    if (stub.read(rip, 2) == SYSCALL) == (name in NO_HYPERCALL):
        raise Flunk(f"at {rip:x} there is {stub.read(rip, 2).hex()}")
    time.sleep(0.1)  # events come due
    stub.ask("D")


def stand(pvmm, guest, name):
    if name in NO_STANDING:
        return
    with Run(pvmm, guest, name) as run:
        wanted = run.end()
    port = free_port()
    words = "" if name in NEVER_THERE else "ticking"  # a tick would bring it there: before the second half
    with Run(pvmm, guest, name, words, f"--gdb={port}") as run:
        said = stand_at(run)
        if (said is None) != (name in NEVER_THERE):
            raise Flunk("it stands, or does not, as it should not")
        if said is not None:
            look(port, said, name)
        run.end().check_report()
    if run.said != wanted.said or run.verdict["outcome"] != wanted.verdict["outcome"]:
        raise Flunk(f"{run.said}, {run.verdict['outcome']}, not {wanted.said}, {wanted.verdict['outcome']}")
    if not name.startswith("long") and run.once() != wanted.once():
        raise Flunk(f"calls {run.once()}, not {wanted.once()}")


def main():
    pvmm, guest, *words = sys.argv[1:]
    ways = {"plain": plain, "strict": strict, "stand": stand}
    failed = 0
    for way in [w for w in ways if w in words] or ways:
        for name in [w for w in words if w in CASES] or CASES:
            try:
                ways[way](pvmm, guest, name)
            except (Flunk, OSError, KeyError, subprocess.TimeoutExpired) as e:
                print(f"{way} {name}: FAILED: {e!r}", flush=True)
                failed += 1
        print(f"{way}: done")
    sys.exit(failed > 0)


main()
