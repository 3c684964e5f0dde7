#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Moments of recorded runs: seek.py PVMM BUILD CASE.

Who stored an entry must be the function that the kernel's source, or the flight recorder of the recorded run,
says it is; and the guest must stand at the instruction of the report.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PATIENCE = 300
TABLES = ["-m", "64M", "-a", "fault=high-tables-rw test=memory.*"]
TAIL = ["-m", "64M", "-a", "fault=high-tail-ro test=memory.*"]
FINE = ["-m", "64M", "-a", "test=memory.*"]
TRACE = re.compile(r"\s*\d+\s+([\d.]+)\s+entry\s+mfn (0x[0-9a-f]+)\[(\d+)\] (0x[0-9a-f]+) -> (0x[0-9a-f]+)  by (\S+)")
EMULATED = re.compile(r"\s*\d+\s+[\d.]+\s+store\s+mfn (0x[0-9a-f]+)\[(\d+)\] (0x[0-9a-f]+) -> (0x[0-9a-f]+)  by (\S+)")
HANGS = "QEMU's monitor does not answer"  # on a busy host QEMU 7.2 now and then hangs in "cont": docs/replay.md
USER_AND_MARK = 0x10000000000064  # and ACCESSED, DIRTY: not the guest's stores alone


class Flunk(Exception):
    pass


def check(what, good, more=""):
    if not good:
        raise Flunk(f"{what}\n{more}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Stub:
    """As much of gdb's protocol as asks where the machine stands, and lets it go."""

    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.rest = b""

    def packet(self):
        while not re.search(rb"\$[^#]*#..", self.rest):
            data = self.s.recv(4096)
            check("the debugger stub hangs up", data)
            self.rest += data
        found = re.search(rb"\$([^#]*)#..", self.rest)
        self.rest = self.rest[found.end():]
        self.s.sendall(b"+")
        return found.group(1).decode()

    def ask(self, text):
        self.s.sendall(b"$%s#%02x" % (text.encode(), sum(text.encode()) & 0xff))
        return self.packet()

    def rip(self):
        return int.from_bytes(bytes.fromhex(self.ask("g")[16 * 16:17 * 16]), "little")


class Bench:
    def __init__(self, pvmm, build, work):
        self.pvmm, self.build, self.work = pvmm, build, work

    def path(self, name):
        return os.path.join(self.work, name)

    def needs(self, name):
        path = os.path.join(self.build, name)
        if not os.path.exists(path):
            print(f"no {path}")
            sys.exit(77)
        return path

    def call(self, *args, code=0):
        done = subprocess.run([self.pvmm, *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
        err = done.stderr.decode(errors="replace")
        check(f"{' '.join(args)}: exit code {done.returncode} instead of {code}", done.returncode == code,
              err[-3000:])
        return done.stdout.decode(errors="replace"), err

    def record(self, *options, kernel="kernel/pvkernel", code=1):
        shutil.rmtree(self.path("rec"), ignore_errors=True)
        _, err = self.call("run", "--no-core", "--timeout", str(PATIENCE), "--record", self.path("rec"), *options,
                           os.path.join(self.build, kernel), code=code)
        check("the recording is not complete", os.path.exists(self.path("rec/recording.json")), err[-3000:])
        with open(self.path("rec/verdict.json"), encoding="utf-8") as f:
            return {r["id"]: r for r in json.load(f).get("reports", [])}

    def who_stored(self, entry, *options, code=0):
        """The answer in JSON, and in words."""
        out, _ = self.call("replay", self.path("rec"), "--who-stored", entry, "--json", self.path("answer"), *options,
                           code=code)
        with open(self.path("answer"), encoding="utf-8") as f:
            return json.load(f), out

    def stands(self, *words):
        """Where it stands once it does; the debugger then lets go."""
        port = free_port()
        p = subprocess.Popen([self.pvmm, "replay", self.path("rec"), *words, f"--gdb={port}"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            said = ""
            for line in p.stdout:
                said += line
                if f"target remote localhost:{port}" in line:
                    break
            stands = f"target remote localhost:{port}" in said
            check("it does not stand", stands, said if stands else said + p.communicate(timeout=30)[1])
            check("the kernel is not the one recorded", f"localhost:{port}' {self.path('rec')}/kernel" in said, said)
            stub = Stub(port)
            rip = stub.rip()
            check("the debugger is not let go", stub.ask("D") == "OK")
            check("it does not end behind the debugger", p.wait(PATIENCE) == 0, said)
            return rip, said
        finally:
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
                p.wait(30)
            p.stdout.close()
            p.stderr.close()


def rip_of(report):
    return int(report["guest"]["registers"]["rip"], 16)


def same_entry(a, b):
    return (int(a, 16) ^ int(b, 16)) & ~USER_AND_MARK == 0


# ---- who stored

def plain(b):
    """Tables that are filled before they are validated: the store that no recorder sees."""
    reports = b.record(*TABLES)
    last = reports["type-in-use#1"]["path"][-1]
    entry = f"{last['table']}:{last['slot']}"
    for asked in ["type-in-use#1", "type-in-use", entry, hex(int(last["table"], 16) * 4096 + last["slot"] * 8)]:
        answer, out = b.who_stored(asked)
        store = answer["store"]
        check(f"{asked}: not by a plain store", store["by"] == "plain-store", out)
        check(f"{asked}: not by fill_new", store["function"] == "fill_new" and "fill_new" in out, out)
        check(f"{asked}: the caller is missing", "mapper_build" in [c["symbol"] for c in store["at"]["stack"]], out)
        check(f"{asked}: another time", answer["before"] == "type-in-use#1", out)
        check(f"{asked}: another value", same_entry(answer["value"], last["entry"]["value"]), out)
        check(f"{asked}: not as the report has it", store["is"]["value"] == last["entry"]["value"], out)
        check(f"{asked}: it was that before", store["was"]["value"] == "0x0", out)
        check(f"{asked}: no store", store["at"]["instruction"].startswith("mov") and store["va"], out)
        check(f"{asked}: not watched", answer["watched"]["whole"] and len(answer["watched"]["addresses"]) >= 2, out)
    at = store["instruction_number"]
    rip, said = b.stands("--who-stored", entry)
    check("it does not stand at the store", rip == int(store["at"]["rip"]["address"], 16), said)
    check("it is not the same store each time", f"before instruction {at} of" in said, said)


def tail(b):
    """The hypervisor's own marks in a table that it takes over are not the store that is sought."""
    reports = b.record(*TAIL)
    last = reports["write-fault#1"]["walk"][-1]
    answer, out = b.who_stored("write-fault")
    check("not by fill_new", answer["store"]["function"] == "fill_new", out)
    check("the report's entry", answer["address"] == hex(int(last["table"], 16) * 4096 + last["slot"] * 8), out)
    check("it is what it was", answer["entry"]["value"] == last["entry"]["value"] != answer["store"]["is"]["value"], out)


def traced(b):
    """Every entry that was stored by requests, one after the other: the last of them, by the recorder."""
    b.record(*FINE, "--trace", b.path("trace"), code=0)
    with open(b.path("trace"), encoding="utf-8") as f:
        found = [m.groups() for m in map(TRACE.match, f) if m]
    records = {}
    for seconds, mfn, slot, old, now, by in found:
        records.setdefault((mfn, slot), []).append((float(seconds), old, now, by))
    return records


def newest_store(records):
    """The last that changed the value to what it is at the end, by more than the hypervisor's marks."""
    return [r for r in records if not same_entry(r[1], records[-1][2])][-1]


def same_as_record(answer, out, record):
    seconds, old, now, by = record
    store = answer["store"]
    check("not by a request", store["by"] == "request" and "by a request of" in out, out)
    check("by another", store["request"]["rip"]["address"] == by, f"{out}{record}")
    check("at another time", abs(store["request"]["seconds"] - seconds) < 2e-6, f"{out}{record}")
    check("other values", (store["was"]["value"], store["is"]["value"]) == (old, now), f"{out}{record}")
    calls = [c["address"] for c in store["request"]["behind"]["stack"]]
    check("the guest's stack begins elsewhere", calls[0] == by and len(calls) > 3, out)


def request(b):
    records = traced(b)
    # The last of them: the tables of the first ones may be plain memory by the end.
    once = [key for key, all_of_it in records.items() if len(all_of_it) == 1][-1]
    answer, out = b.who_stored(":".join(once))
    same_as_record(answer, out, newest_store(records[once]))


def again(b):
    """A value that went away and came back, and went: the last store counts, not the first of that value."""
    records = traced(b)
    often = max(records, key=lambda key: len(records[key]))
    back = [key for key, all_of_it in records.items()
            if len(all_of_it) == 2 and same_entry(all_of_it[0][1], all_of_it[1][2])]
    check("no entry came back to its value", len(records[often]) > 5 and back)
    for key in [often, back[-1]]:
        answer, out = b.who_stored(":".join(key))
        same_as_record(answer, out, newest_store(records[key]))


def emulated(b):
    """Stores of the guest's to a table in use, one at once behind the other: where each was, and what was next."""
    b.record("-m", "64M", "-a", "test=pagetable.store_to_lowest", "--trace", b.path("trace"), code=0)
    with open(b.path("trace"), encoding="utf-8") as f:
        found = [m.groups() for m in map(EMULATED.match, f) if m]
    check("four stores", len(found) == 4 and found[0][0:2] == found[2][0:2] and found[1][0:2] == found[3][0:2], found)
    for (mfn, slot, old, now, by), following in zip(found[2:], [int(found[3][4], 16), None]):
        answer, out = b.who_stored(f"{mfn}:{slot}")
        store = answer["store"]
        check("not by an emulated store", store["by"] == "emulated-store" and store["function"] == "store_to_lowest", out)
        check("by another", store["request"]["rip"]["address"] == by, f"{out}{by}")
        check("other values", (store["was"]["value"], store["is"]["value"]) == (old, now), f"{out}{old} {now}")
        behind = int(store["request"]["behind"]["rip"]["address"], 16)
        check(f"the guest is overtaken: at {behind:x}", int(by, 16) < behind <= (following or int(by, 16) + 15), out)


def builder(b):
    """The first root's kernel entry, written before the guest ran; and what nobody ever wrote."""
    reports = b.record(*TABLES)
    root = reports["type-in-use#1"]["path"][0]["table"]
    answer, out = b.who_stored(f"{root}:511")
    check("not by the builder", answer["store"]["by"] == "builder" and "by the domain builder" in out, out)
    check("not in its function", "domain_build" in [c["symbol"] for c in answer["store"]["at"]["stack"]], out)
    answer, out = b.who_stored("0x1:0", code=1)
    check("it was stored", not answer["found"] and answer["store"] is None and "never stored" in out, out)


def absurd(b):
    b.record(*TABLES)
    for entry, code, why in [("0x1001", 129, "multiples of 8"), ("0x1:512", 129, "0 to 511"),
                             ("0x1:", 129, "neither MFN:SLOT"), (":1", 129, "neither MFN:SLOT"), ("12x", 129, "neither"),
                             ("", 1, "no finding"), ("0xffffffffffffffff:1", 129, "no machine"),
                             ("0xfffffffff:1", 1, "no memory"), ("0xfffffffffffffff8", 1, "no memory"),
                             ("nothing", 1, "there are: type-in-use#1"), ("type-in-use#2", 1, "no finding"),
                             ("type-in-use#x", 1, "no finding"), ("crash", 1, "no page-table entry"),
                             ("not-published", 1, "no page-table entry")]:
        begun = time.monotonic()
        _, err = b.call("replay", b.path("rec"), "--who-stored", entry, code=code)
        check(f"{entry}: not because of \"{why}\"", why in err, err)
        check(f"{entry}: it takes {time.monotonic() - begun:.0f} s", time.monotonic() - begun < 20)
    for finding, code, why in [("nothing", 1, "no finding"), ("not-published", 1, "at no single instruction")]:
        _, err = b.call("replay", b.path("rec"), "--until", finding, code=code)
        check(f"{finding}: not because of \"{why}\"", why in err, err)
    for words in [["--gdb"], ["--gdb=0", "--until", "crash"], ["--gdb=70000", "--until", "crash"]]:
        b.call("replay", b.path("rec"), *words, code=129)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        _, err = b.call("replay", b.path("rec"), "--until", "crash", f"--gdb={taken.getsockname()[1]}", code=128)
        check("a port that is taken", "in use" in err, err)


# ---- until

def until(b):
    """A refusal, a store that faults, and a crash."""
    for options, ids in [(TABLES, ["type-in-use", "crash#1"]), (TAIL, ["write-fault#1"])]:
        reports = b.record(*options)
        for one in ids:
            report = reports[one if "#" in one else f"{one}#1"]
            rip, said = b.stands("--until", one)
            check(f"{one}: it stands at {rip:x}", rip == rip_of(report), said)
            calls = [c["symbol"] for c in report["guest"]["stack"] if c["certain"]]
            check(f"{one}: another stack", all(c in said for c in calls if c), said)


# QEMU whose main loop, which stops the machine, gives way to its vCPU, which runs on until it is stopped.
LATE = """#!/bin/sh
(sleep 0.2; renice -n 19 -p $$) >/dev/null 2>&1 &
exec taskset -c %d qemu-system-x86_64 "$@"
"""


def late(b):
    """A store that faults is not counted: behind its trap the count is what it was before it."""
    reports = b.record(*TAIL)
    with open(b.path("late"), "w", encoding="utf-8") as f:
        f.write(LATE % min(os.sched_getaffinity(0)))
    os.chmod(b.path("late"), 0o755)
    for _ in range(4):
        rip, said = b.stands("--until", "write-fault", "--qemu", b.path("late"))
        check(f"it stands at {rip:x}", rip == rip_of(reports["write-fault#1"]), said)


def fault(b):
    """A kernel that dies of a fault, not of its own will."""
    reports = b.record("-m", "64M", "-a", "test=memory.*", kernel="kernel/pvkernel-bss-misaligned")
    crash = [one for one, r in reports.items() if r["kind"] == "crash"][-1]
    rip, said = b.stands("--until", crash)
    check(f"it stands at {rip:x}", rip == rip_of(reports[crash]), said)


def interrupt(b):
    """While it seeks, and while it stands."""
    b.record(*TABLES)
    for wait_for in [None, "target remote"]:
        for number, code in [(signal.SIGINT, 130), (signal.SIGTERM, 143)]:
            p = subprocess.Popen([b.pvmm, "replay", b.path("rec"), "--until", "crash", f"--gdb={free_port()}"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            if wait_for:
                for line in p.stdout:
                    if wait_for in line:
                        break
            else:
                time.sleep(1.5)
            p.send_signal(number)
            _, err = p.communicate(timeout=30)
            check(f"exit code {p.returncode} instead of {code}", p.returncode == code, err)
    _, err = b.call("replay", b.path("rec"), "--who-stored", "type-in-use", "--timeout", "0.5", code=124)
    check("not because of the time", "--timeout" in err, err)


def xen(b):
    """A real Xen reports nothing; who stored a word can be asked all the same."""
    b.record("--hypervisor", b.needs("xen/xen-4.17-amd64.gz"), "-m", "64M", "-a", "test=checks.*", code=0)
    _, err = b.call("replay", b.path("rec"), "--until", "crash", code=129)
    check("not because of Xen", "real Xen" in err, err)
    with open(b.path("rec/recording.json"), encoding="utf-8") as f:
        check("nothing was recorded", json.load(f)["real_xen"])
    answer, out = b.who_stored("0xffff0")  # the copy that SeaBIOS makes of itself
    check("nobody stored it", answer["found"] and answer["store"]["by"] == "firmware", out)


def attempt(pvmm, build, case):
    with tempfile.TemporaryDirectory(prefix="pvmm-seek-") as work:
        try:
            globals()[case](Bench(pvmm, build, work))
        except Flunk as e:
            return str(e)
    return None


def main():
    pvmm, build, case = sys.argv[1:]
    why = attempt(pvmm, build, case)
    for _ in range(2):
        if why is None or HANGS not in why:
            break
        print(f"{case}: once more, for {why}", flush=True)
        why = attempt(pvmm, build, case)
    if why is not None:
        sys.exit(f"{case}: {why}")
    print(f"{case}: good")


if __name__ == "__main__":
    main()
