#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""With --gdb the guest stands at the instruction that broke the contract: debugger.py PVMM PVKERNEL.

One stands at a store to a read-only page, another at a hypercall that is refused; both then go on, and
what they go on with is the answer that they would have got without a debugger.
"""
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from stub import Flunk, Stub, free_port  # noqa: E402

PATIENCE = 60
CASES = {
    # the kernel's words: bytes at rip, and what it says of the end
    "fault=high-tail-ro": (b"\xf3\xaa", r"page fault, write of ffff888003fff000"),
    "fault=high-tables-rw": (b"\x0f\x05", r"refused, EBUSY"),
    "test=console.*": (None, r"PVKERNEL-DONE"),
}


def stands_at(run, deadline):
    """The line that says where the guest stands; None: it ended without."""
    while time.monotonic() < deadline:
        line = run.stderr.readline().decode()
        if not line:
            return None
        if m := re.search(r"the guest stands at ([0-9a-f]+)", line):
            return int(m[1], 16)
    raise Flunk("it does not stand, and does not end")


def check_standing(port, said, code):
    stub = Stub(port)
    rip = stub.rip()
    if rip != said:
        raise Flunk(f"rip is {rip:x}, and was said to be {said:x}")
    if stub.read(rip, len(code)) != code:
        raise Flunk(f"at {rip:x} there is {stub.read(rip, len(code)).hex()}, not {code.hex()}")
    stub.ask("D")


def one(pvmm, kernel, words, code, end):
    port = free_port()
    run = subprocess.Popen([pvmm, "run", "--no-core", "--accel", "tcg", "-m", "64M", f"--gdb={port}", "--timeout",
                            str(PATIENCE), "-a", words, kernel], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        said = stands_at(run, time.monotonic() + PATIENCE)
        if (said is None) != (code is None):
            raise Flunk("it stands" if code is None else "it does not stand")
        if code is not None:
            check_standing(port, said, code)
        console = run.communicate(timeout=PATIENCE)[0].decode(errors="replace")
        if not re.search(end, console):
            raise Flunk(f"the console does not show {end}:\n{console}")
    finally:
        run.kill()
        run.wait()


def main():
    for words, (code, end) in CASES.items():
        try:
            one(*sys.argv[1:3], words, code, end)
        except (Flunk, OSError, subprocess.TimeoutExpired) as e:
            sys.exit(f"{words}: {e}")
        print(f"{words}: ok")


main()
