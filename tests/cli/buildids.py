#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Symbols of another kernel, said by build id: refused with both ids, or taken where one insists.

Usage: buildids.py PVMM MKELF MADE-DUMP
"""
import gzip
import json
import os
import struct
import socket
import subprocess
import sys
import tempfile

KERNEL, OTHER = b"\x11" * 20, b"\x22" * 20
TEXT = 0xffffffff80000000
PLACE = 0xffffffff80003fa0  # in the made dump, with text that nothing here needs
# The made guest has findings: 1.
IMAGE_COMMANDS = [(0, ["inspect", "{}"]), (1, ["check", "{}"]), (0, ["walk", "{}", "start"]),
                  (0, ["read", "{}", "start", "16"]), (0, ["p2m", "{}", "3"]), (0, ["find-maps", "{}", "pfn:3"])]


def note(build_id, owner=b"GNU\0"):
    return struct.pack("<III", len(owner), len(build_id), 3) + owner + build_id


def symbols(notes, va=0):
    """An ELF file with one symbol, start, and these notes."""
    names, symbol = b"\0start\0", struct.pack("<IBBHQQ", 1, 0x12, 0, 1, TEXT, 0x1000)
    parts = [notes, bytes(24) + symbol, names]
    offsets = [64 + sum(map(len, parts[:i])) for i in range(4)]
    sections = [(0,) * 10, (0, 8, 6, TEXT, 0, 0x1000, 0, 0, 16, 0),
                (0, 7, 2 if va else 0, va, offsets[0], len(parts[0]), 0, 0, 4, 0),
                (0, 2, 0, 0, offsets[1], 48, 4, 1, 8, 24), (0, 3, 0, 0, offsets[2], len(names), 0, 0, 1, 0)]
    table = b"".join(struct.pack("<IIQQQQIIQQ", *s) for s in sections)
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, TEXT, 0, offsets[3], 0, 64, 0, 0, 64,
                                                     len(sections), 0)
    return head + b"".join(parts) + table


class Test:
    def __init__(self, pvmm, folder):
        self.pvmm, self.folder, self.failures = pvmm, folder, 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as f:
            f.write(content)
        return self.path(name)

    def run(self, *words):
        return subprocess.run([self.pvmm, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False, timeout=60)

    def expect(self, name, code, said, *words, unsaid=()):
        """Its exit code, and what is on stderr."""
        done = self.run(*words)
        missing = [text for text in said if text not in done.stderr]
        wrong = [text for text in unsaid if text in done.stderr]
        print(f"{name}: {done.returncode}: {done.stderr.splitlines()[:1]}")
        if done.returncode != code or missing or wrong:
            print(f"FAILED: {name}: {done.returncode} instead of {code}; not said: {missing}; said: {wrong}\n"
                  f"{done.stderr}")
            self.failures += 1


def of_a_run(t, mkelf):
    """Which symbols a run takes is known before QEMU is started, which is not there: 128."""
    subprocess.run([mkelf, t.path("hypervisor"), "class=32", "machine=3"], check=True)
    subprocess.run([mkelf, t.path("kernel"), "build_id=0x11"], check=True)
    subprocess.run([mkelf, t.path("nameless")], check=True)
    os.environ["PVMM_HYPERVISOR"] = t.path("hypervisor")
    with open(t.path("kernel"), "rb") as f:
        packed = t.write("kernel.gz", gzip.compress(f.read()))
    kernel = t.path("kernel")
    same, other = t.write("same", symbols(note(KERNEL))), t.write("other", symbols(note(OTHER)))
    without, empty = t.write("without", symbols(b"")), t.write("shorter", symbols(note(KERNEL[:19])))
    damaged = t.write("damaged", symbols(note(KERNEL)[:-1]))
    system_map = t.write("System.map", b"ffffffff80000000 T start\nffffffff80001000 T end\n")
    run = ["run", "--qemu", "/none"]
    refused = [f"--symbols {other}: is of another kernel: its build id is {OTHER.hex()}, that of {kernel} is "
               f"{KERNEL.hex()} (--symbols-anyway takes it)"]

    t.expect("run, of this kernel", 128, ["QEMU"], *run, "--symbols", same, kernel, unsaid=["--symbols"])
    t.expect("run, of another", 129, refused, *run, "--symbols", other, kernel)
    t.expect("run, of another besides", 129, refused, *run, "--symbols", same, "--symbols", other, kernel)
    t.expect("run, of another than a packed one", 129, ["is of another kernel", f"that of {packed} is"], *run,
             "--symbols", other, packed)
    t.expect("run, of this packed one", 128, ["QEMU"], *run, "--symbols", same, packed, unsaid=["--symbols"])
    t.expect("run, an id that is another's beginning", 129, ["is of another kernel"], *run, "--symbols", empty, kernel)
    t.expect("run, anyway", 128, [f"pvmm: warning: --symbols {other}: is of another kernel", "its names may be wrong"],
             *run, "--symbols-anyway", "--symbols", other, kernel, unsaid=["takes it"])
    t.expect("run, damaged notes", 129, [f"--symbols {damaged}: its notes are damaged: the one at byte 0 of 35 runs"],
             *run, "--symbols", damaged, kernel)
    t.expect("run, damaged notes, anyway", 128, ["warning: ", "its notes are damaged"], *run, "--symbols-anyway",
             "--symbols", damaged, kernel)
    t.expect("run, no id", 128, ["QEMU", f"pvmm: warning: --symbols {without}: it has no build id, that of {kernel} is "
                                 f"{KERNEL.hex()}; its names may be wrong"], *run, "--symbols", without, kernel)
    t.expect("run, a System.map", 128, ["QEMU"], *run, "--symbols", system_map, kernel, unsaid=["--symbols"])
    t.expect("run -v, a System.map", 128, [f"--symbols {system_map}: taken as it is: it has no build id"], *run, "-v",
             "--symbols", system_map, kernel)
    t.expect("run, none has one", 128, ["QEMU"], *run, "--symbols", without, t.path("nameless"), unsaid=["--symbols"])
    t.expect("run -v, none has one", 128, [f"--symbols {without}: taken as it is: it has no build id"], *run, "-v",
             "--symbols", without, t.path("nameless"))
    nameless = t.path("nameless")
    t.expect("run, a kernel without", 128, ["QEMU"], *run, "--symbols", other, nameless, unsaid=["--symbols"])
    t.expect("run -v, a kernel without", 128, ["nothing to compare its build id with", f"in {nameless}: no build id"],
             *run, "-v", "--symbols", other, nameless)


def of_a_replay(t, mkelf):
    """A recording keeps the kernel, and not the files with symbols, which may be those of a later one."""
    os.mkdir(t.path("rec"))
    subprocess.run([mkelf, t.path("rec/kernel"), "build_id=0x11"], check=True)
    for name, content in (("hypervisor", b"x"), ("events", bytes(range(1, 13))), ("console", b"x"),
                          ("verdict.json", b'{"reports": [{"code": "crash", "guest": {"registers": {"rip": "0x1"}}}]}')):
        t.write(f"rec/{name}", content)
    same, other = t.write("same", symbols(note(KERNEL))), t.write("other", symbols(note(OTHER)))
    whole = ["replay", "--qemu", "/none", t.path("rec")]
    moment = [*whole, "--until", "crash", f"--gdb={free_port()}"]
    recording = {"recording": 1, "pvmm": "x", "qemu": "7", "kernel": "/gone", "hypervisor": "pvmm", "real_xen": False,
                 "memory": 4096, "machine": "q35", "cpu": "max", "megabytes": 64, "hypervisor_arguments": "",
                 "guest_arguments": "", "initrd": False, "e820": False, "store": True, "instructions": 5, "exit_code": 0,
                 "stops": []}

    def recorded(path, **more):
        t.write("rec/recording.json", json.dumps({**recording, "symbols": [path], **more}).encode())

    another, both = f"--symbols {other}: is of another kernel", f"that of /gone is {KERNEL.hex()}"
    recorded(same)
    for words in (whole, moment):
        t.expect("replay, of this kernel", 128, ["QEMU"], *words, unsaid=["--symbols"])
        t.expect("replay, other files", 129, [another, both], *words, "--symbols", other)
        t.expect("replay, other files anyway", 128, [f"warning: {another}"], *words, "--symbols", other,
                 "--symbols-anyway")
    recorded(other)
    t.expect("replay, rebuilt since", 129, [another, "as it was recorded (name files of your own)"], *whole)
    t.expect("moment, rebuilt since", 128, ["left out, of the recording", another], *moment)
    t.expect("replay, rebuilt since, anyway", 128, [f"warning: {another}"], *whole, "--symbols-anyway")
    recorded(other, symbols_anyway=True)
    for words in (whole, moment):
        t.expect("replay, recorded anyway", 128, [f"warning: {another}"], *words, unsaid=["left out"])
        t.expect("replay, recorded anyway, other files", 129, [another], *words, "--symbols", other)
    recorded(other, real_xen=True)
    t.expect("replay, of a real Xen's run", 128, ["QEMU"], *whole, unsaid=["--symbols"])
    recorded(same, symbols_anyway=1)
    t.expect("replay, a lie", 2, ['"symbols_anyway" is of another type'], *whole)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def of_an_image(t, made_dump):
    """The kernel in the image has its note where the files have theirs."""
    guest = t.path("guest")
    subprocess.run([made_dump, guest], check=True)
    place = json.loads(t.run("walk", "--json", guest, hex(PLACE)).stdout)["to"]
    with open(guest, "r+b") as f:
        f.seek(place["file_offset"])
        f.write(note(KERNEL))
    same, other = t.write("same", symbols(note(KERNEL), PLACE)), t.write("other", symbols(note(OTHER), PLACE))
    elsewhere = t.write("elsewhere", symbols(note(OTHER), PLACE + 64))
    both = [f"--symbols {other}: is of another kernel: its build id is {OTHER.hex()}, that of the kernel in {guest} is "
            f"{KERNEL.hex()} (--symbols-anyway takes it)"]
    for code, command in IMAGE_COMMANDS:
        words, name = [word.format(guest) for word in command], command[0]
        t.expect(f"{name}, of this kernel", code, [], *words, "--symbols", same, unsaid=["--symbols"])
        t.expect(f"{name}, of another", 129, both, *words, "--symbols", other)
        t.expect(f"{name}, anyway", code, ["pvmm: warning: ", "is of another kernel"], *words, "--symbols", other,
                 "--symbols-anyway")
        t.expect(f"{name}, not known", code, [], *words, "--symbols", elsewhere, unsaid=["--symbols"])


def main():
    pvmm, mkelf, made_dump = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="pvmm-build-ids-") as folder:
        t = Test(pvmm, folder)
        of_a_run(t, mkelf)
        of_a_replay(t, mkelf)
        of_an_image(t, made_dump)
    sys.exit(1 if t.failures else 0)


main()
