#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs that are recorded and played again: replay.py PVMM BUILD CASE.

A replay must be the same as the run to the byte of the console and the key of the reports; and it must say
so when it is not, when the recording is not whole, and when it is nobody's recording at all.
"""
import fcntl
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE = 400
BROKEN = ["-m", "64M", "-a", "fault=high-tables-rw test=memory.*"]
SHORT = ["-m", "64M", "-a", "test=checks.*"]


class Flunk(Exception):
    pass


def check(what, good, more=""):
    if not good:
        raise Flunk(f"{what}\n{more}")


class Bench:
    def __init__(self, pvmm, build, work):
        self.pvmm, self.build, self.work = pvmm, build, work
        self.kernel = os.path.join(build, "kernel/pvkernel")

    def path(self, name):
        return os.path.join(self.work, name)

    def needs(self, name):
        path = os.path.join(self.build, name)
        if not os.path.exists(path):
            print(f"no {path}")
            sys.exit(77)
        return path

    def command(self, *args):
        return [self.pvmm, *args]

    def call(self, *args, code=0, input=b""):
        done = subprocess.run(self.command(*args), input=input, capture_output=True, timeout=PATIENCE)
        err = done.stderr.decode(errors="replace")
        check(f"{' '.join(args)}: exit code {done.returncode} instead of {code}", done.returncode == code, err[-3000:])
        return done.stdout, err

    def record(self, *options, kernel=None, code=0, name="rec", **kw):
        self.verdict = self.path(name + ".json")
        return self.call("run", "--no-core", "--timeout", str(PATIENCE), "--json", self.verdict, "--record",
                         self.path(name), *options, kernel or self.kernel, code=code, **kw)

    def replay(self, *options, code=0, name="rec"):
        self.result = self.path(name + ".replay.json")
        return self.call("replay", "--timeout", str(PATIENCE), "--json", self.result, *options, self.path(name),
                         code=code)

    def both(self, *options, **kw):
        """A run and its replay: console, reports, counts and their explanations are the same."""
        out, err = self.record(*options, **kw)
        then = json.load(open(self.verdict))
        out2, err2 = self.replay()
        result = json.load(open(self.result))
        check("the consoles differ", out == out2)
        check("the replay does not say that it is the same", result["same"] and "the same: " in err2, err2)
        check("the bytes are not counted", result["console_bytes"] == len(out))
        now = result["verdict"]
        for key in ["reports", "contract", "publication", "recorder", "hypercalls", "frames", "audit", "seed"]:
            check(f"{key} differs", then.get(key) == now.get(key))
        told = [line for line in err.splitlines() if line.startswith("pvmm: breach") or "#" in line]
        told2 = [line for line in err2.splitlines() if line.startswith("pvmm: breach") or "#" in line]
        check("other explanations", told == told2, err2)
        return out.decode(errors="replace"), err, then

    def recording(self, name="rec"):
        return json.load(open(os.path.join(self.path(name), "recording.json")))


def broken(b):
    """The case whose culprit is a plain store: the report is there again, and how to look closer."""
    _, err, then = b.both(*BROKEN, code=1)
    ids = [r["id"] for r in then["reports"]]
    check("identifiers", ids[:2] == ["type-in-use#1", "crash#1"], str(ids))
    step = then["reports"][0]["path"][-1]
    entry = f"{step['table']}:{step['slot']}"
    check("the entry that nobody saw", then["reports"][0]["unseen_entry"] == entry, str(then["reports"][0]))
    check("how to look closer", f"--until type-in-use#1" in err and f"--who-stored {entry}" in err, err)
    stops = b.recording()["stops"]
    check("a stop for each report", [s["filed"] for s in stops] == [1, 2], str(stops))


def many(b):
    """All of the test kernel: dozens of reports, several of a code."""
    _, _, then = b.both()
    ids = [r["id"] for r in then["reports"]]
    check("identifiers repeat", len(set(ids)) == len(ids) and any(i.endswith("#3") for i in ids), str(ids))


def ends(b):
    """However a run ends, its recording is whole."""
    b.both("--expect", "ok 1", "--strict", "-m", "64M", "--e820", e820(b), name="rec")
    slow = b.needs("kernel/vmlinuz")
    b.record("-m", "128M", "--timeout", "3", kernel=slow, code=124, name="rec2")
    b.replay(name="rec2")
    interrupt(b, slow, signal.SIGINT, 130, "rec3")
    interrupt(b, slow, signal.SIGTERM, 143, "rec4")


def e820(b):
    path = b.path("map")
    with open(path, "w") as f:
        f.write("0x0000000000000000-0x000000000009ffff usable\n0x0000000000100000-0x0000000003ffffff usable\n")
    return path


def interrupt(b, kernel, sig, code, name):
    run = subprocess.Popen(b.command("run", "--no-core", "--record", b.path(name), "-m", "128M", kernel),
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    check("the guest printed nothing", run.stdout.read(200))
    run.send_signal(sig)
    err = run.communicate(timeout=PATIENCE)[1].decode()
    check(f"signal {sig}: exit code {run.returncode}", run.returncode == code, err)
    b.replay(name=name)


def detached(b):
    """A guest with a name, in the background, ended by `pvmm destroy`."""
    os.environ["PVMM_RUNTIME_DIR"] = b.path("registry")
    name = f"replay-{os.getpid()}"
    b.call("run", "--no-core", "--name", name, "--detach", "--record", b.path("rec"), "-m", "128M", "--memory-file",
           b.path("memory"), b.needs("kernel/vmlinuz"))
    time.sleep(2)
    b.call("destroy", name)
    end = time.monotonic() + 60
    while not os.path.exists(b.path("rec/recording.json")) and time.monotonic() < end:
        time.sleep(0.2)
    b.replay()


def slow(b):
    """Nobody reads standard output for a while: the machine does not wait, and nothing is lost."""
    run = subprocess.Popen(b.command("run", "--no-core", "--record", b.path("rec"), "-a", "test=console.*", "-m", "64M",
                                     b.kernel), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL)
    fcntl.fcntl(run.stdout, fcntl.F_SETPIPE_SZ, 4096)
    console = b.path("rec/console")
    end = time.monotonic() + 60
    while not (os.path.exists(console) and b"PVKERNEL-DONE" in open(console, "rb").read()):
        check("the machine waits for whoever reads", time.monotonic() < end)
        time.sleep(0.1)
    out = run.stdout.read()
    check("exit code", run.wait(timeout=PATIENCE) == 0)
    check("no more than the pipe holds", len(out) > 3 * 4096)
    check("the file has another console", open(console, "rb").read() == out)
    b.replay()


def linux(b):
    """Linux with its store."""
    out, _, _ = b.both("-m", "256M", "-i", b.needs("initramfs.cpio.gz"), "-a", "pvmm.forks=5 pvmm.mib=64",
                       kernel=b.needs("kernel/vmlinuz"))
    check("the workload did not run", "PVMM-WORKLOAD-OK" in out)
    check("no store", b.recording()["store"])


def shell(b):
    """Linux, and input that is typed faster than a UART takes it: no byte is lost, and each comes again."""
    run = subprocess.Popen(b.command("run", "--no-core", "--record", b.path("rec"), "-m", "256M", "-i",
                                     b.needs("initramfs.cpio.gz"), "-a", "pvmm.do=shell", "--timeout", str(PATIENCE),
                                     b.needs("kernel/vmlinuz")), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL)
    out = b""
    while b"/ # " not in out:
        piece = os.read(run.stdout.fileno(), 4096)
        check("no shell", piece, out[-2000:].decode(errors="replace"))
        out += piece
    lines = [f"{i}-the-quick-brown-fox-jumps-over-the-lazy-dog\n" for i in range(30)]
    typed = "".join(f"echo {line[:-1]} >> /tmp/typed\n" for line in lines) + "md5sum /tmp/typed; exit\n"
    run.stdin.write(typed.encode())
    run.stdin.flush()
    out += run.stdout.read()
    check("exit code", run.wait(timeout=PATIENCE) == 0, out[-2000:].decode(errors="replace"))
    check("not all was heard", hashlib.md5("".join(lines).encode()).hexdigest().encode() in out,
          out[-6000:].decode(errors="replace"))
    out2, _ = b.replay("-v")
    check("the consoles differ", out == out2)


def xen(b):
    """A real Xen: no mailbox, and no reports; the console is the same."""
    out, err = b.record("--hypervisor", b.needs("xen/xen-4.17-amd64.gz"), "-m", "64M", "-a", "test=memory.*")
    out2, _ = b.replay()
    check("the consoles differ", out == out2)
    check("no Xen", "Xen version" in out.decode(errors="replace"))


def refused(b):
    """What cannot be recorded is refused with its reason, and makes nothing."""
    for options, why in [(["--accel", "kvm"], "KVM"), (["--icount"], "--icount"), (["--gdb"], "--gdb"),
                         (["--loader", "grub"], "--loader grub")]:
        _, err = b.call("run", "--record", b.path("rec"), *options, b.kernel, code=129)
        check(f"{options}: no reason", "--record" in err and why in err, err)
    check("a folder was made", not os.path.exists(b.path("rec")))
    os.mkdir(b.path("full"))
    open(b.path("full/precious"), "w").write("x")
    _, err = b.call("run", "--record", b.path("full"), b.kernel, code=129)
    check("why it is refused", "not empty" in err, err)
    check("it was touched", os.listdir(b.path("full")) == ["precious"])
    _, err = b.call("run", "--record", b.path("full/precious"), b.kernel, code=129)
    b.call("run", "--record", b.path("no/such"), b.kernel, code=128)
    b.call("run", "--record", b.path("gone"), "--qemu", "/no/such/qemu", b.kernel, code=128)
    check("the folder of a run that never was is left", not os.path.exists(b.path("gone")))
    for options, why in [([], "folder"), (["x", "y"], "follows"), (["--nonsense", "x"], "unknown"),
                         (["--json", "-", "x"], "standard output"), (["--timeout", "-1", "x"], "seconds")]:
        _, err = b.call("replay", *options, code=129)
        check(f"{options}: no reason", why in err, err)
    os.mkdir(b.path("empty"))
    b.record(*SHORT, name="empty")
    _, err = b.call("run", "--record", b.path("empty"), b.kernel, code=129)
    b.replay(name="empty")


def killed(b):
    """A recorder that is killed leaves what says that it is not complete."""
    run = subprocess.Popen(b.command("run", "--no-core", "--record", b.path("rec"), b.kernel), stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    run.stdout.read(20)
    run.kill()
    run.wait()
    run.stdout.read()
    _, err = b.call("replay", b.path("rec"), code=2)
    check("it does not say that it is not complete", "not complete" in err, err)


def stopped(b):
    """A replay that is not waited for."""
    b.record("-a", "test=memory.*")
    _, err = b.call("replay", "--timeout", "0.3", b.path("rec"), code=124)
    check("why it stopped", "no end after 0.3 s" in err, err)
    for sig, code in [(signal.SIGINT, 130), (signal.SIGTERM, 143)]:
        run = subprocess.Popen(b.command("replay", "-v", b.path("rec")), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
        qemu = int(re.search(rb"process (\d+)", run.stderr.readline())[1])
        run.send_signal(sig)
        run.communicate(timeout=PATIENCE)
        check(f"signal {sig}: exit code {run.returncode}", run.returncode == code)
        check("QEMU is left", not os.path.exists(f"/proc/{qemu}"))


def differences(b):
    """What was changed since is found, and where: nothing is the same by default."""
    b.record(*BROKEN, code=1)
    console = b.path("rec/console")
    was = open(console, "rb").read()
    open(console, "wb").write(was[:100] + bytes([was[100] ^ 1]) + was[101:])
    _, err = b.replay(code=1)
    check("the byte is not named", "differs from byte 100 on" in err, err)
    open(console, "wb").write(was + b"more")
    _, err = b.replay(code=1)
    check("the missing end is not named", f"differs from byte {len(was)} on" in err, err)
    open(console, "wb").write(was)
    path = b.path("rec/verdict.json")
    v = json.load(open(path))
    v["reports"][0]["frame"]["uses"] += 1
    json.dump(v, open(path, "w"))
    _, err = b.replay(code=1)
    check("the key is not named", "reports[0].frame.uses is " in err, err)


def full(b):
    """QEMU goes on when it cannot write its record, and says so; there is no room for the rest either."""
    qemu = b.path("qemu")
    with open(qemu, "w") as f:
        f.write('#!/bin/sh\nqemu-system-x86_64 "$@"\necho "qemu: replay write error" >&2\n')
    os.chmod(qemu, 0o755)
    _, err = b.record(*SHORT, "--qemu", qemu, code=128)
    check("it is not said", "is not complete: cannot write events: QEMU says: qemu: replay write error" in err, err)
    b.replay(code=2)


def another_qemu(b):
    b.record(*SHORT)
    path = b.path("rec/recording.json")
    r = json.load(open(path))
    this, r["qemu"] = r["qemu"], "6.6.6 (of another day)"
    json.dump(r, open(path, "w"))
    _, err = b.call("replay", b.path("rec"), code=128)
    check("both versions are not named", "6.6.6 (of another day)" in err and this in err, err)
    b.replay("--any-qemu")
    b.call("replay", "--qemu", "/no/such/qemu", b.path("rec"), code=128)
    b.call("replay", "--qemu", "/bin/true", b.path("rec"), code=128)


def damaged(b):
    """Recordings of other versions, with parts missing or cut, and with numbers that cannot be."""
    b.record(*BROKEN, code=1)
    whole = b.path("rec")
    text = open(os.path.join(whole, "recording.json")).read()
    good = json.loads(text)

    def copy():
        shutil.rmtree(b.path("bad"), ignore_errors=True)
        shutil.copytree(whole, b.path("bad"))

    def bad(why, says=""):
        _, err = b.call("replay", "--timeout", "60", b.path("bad"), code=2)
        check(f"{why}: it says {err}", says in err)

    for name in os.listdir(whole):
        copy()
        os.unlink(b.path("bad/" + name))
        bad(f"no {name}", "not complete" if name == "recording.json" else name)
        copy()
        if name != "console":
            open(b.path("bad/" + name), "w").close()
            bad(f"empty {name}", name)
        copy()
        os.unlink(b.path("bad/" + name))
        os.mkdir(b.path("bad/" + name))
        bad(f"{name} is a folder", name)
    wrong = [("recording", 2), ("recording", -1), ("recording", "1"), ("qemu", 7), ("machine", "q35,smm=on"),
             ("machine", "isapc"), ("cpu", "qemu64 -daemonize"), ("cpu", ""), ("megabytes", 0), ("megabytes", -5),
             ("megabytes", 1 << 40), ("megabytes", 1e9), ("megabytes", 1 << 80), ("memory", 5), ("memory", 1 << 62),
             ("instructions", 0), ("instructions", 1 << 70), ("exit_code", 256), ("guest_arguments", "x" * 5000),
             ("guest_arguments", "a\0b"), ("hypervisor_arguments", None), ("symbols", {}), ("symbols", ["relative"]),
             ("symbols", [1]), ("symbols", ["/x"] * 17), ("stops", 5), ("stops", [5]), ("stops", [{}]),
             ("stops", [{"icount": 5, "filed": 1}] * 2), ("stops", [{"icount": 5, "filed": 49}]),
             ("stops", [{"icount": good["instructions"] + 1, "filed": 1}]), ("stops", [{"icount": 1, "filed": 0}]),
             ("initrd", 1), ("initrd", True), ("e820", True), ("store", None), ("real_xen", "no"),
             ("symbols_anyway", "yes")]
    copy()
    for key, value in wrong:
        json.dump(good | {key: value}, open(b.path("bad/recording.json"), "w"))
        bad(f"{key} {str(value)[:40]}")
    for key in good:
        if key not in ("pvmm", "symbols_anyway"):
            json.dump({k: v for k, v in good.items() if k != key}, open(b.path("bad/recording.json"), "w"))
            bad(f"without {key}", key)
    for cut in [1, 20, len(text) // 2, len(text) - 3]:
        open(b.path("bad/recording.json"), "w").write(text[:cut])
        bad(f"cut to {cut}")
    json.dump(good | {"recording": 2}, open(b.path("bad/recording.json"), "w"))
    bad("of another version", "version 2; this tool plays version 1")


def astray(b):
    """A record that does not fit its machine: it ends, and nobody says that it is the same."""
    b.record(*BROKEN, code=1)
    events = open(b.path("rec/events"), "rb").read()
    choose = random.Random(7)
    tries = [events[:len(events) // 2], events[:20], events[:12]]
    for _ in range(6):
        mutant = bytearray(events)
        for _ in range(20):
            mutant[choose.randrange(12, len(mutant))] ^= 1 << choose.randrange(8)
        tries.append(bytes(mutant))
    for i, mutant in enumerate(tries):
        open(b.path("rec/events"), "wb").write(mutant)
        done = subprocess.run(b.command("replay", "--timeout", "10", b.path("rec")), stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60)
        err = done.stderr.decode(errors="replace")
        # a bit of a clock that nobody looks at may change nothing
        check(f"try {i}: exit code {done.returncode}", done.returncode in ([1, 2, 124, 128] if i < 3 else [0, 1, 2, 124, 128]), err)
        print(f"try {i}: {done.returncode}: {err.splitlines()[-1]}")


CASES = {f.__name__.replace("_", "-"): f for f in
         [broken, many, ends, detached, slow, linux, shell, xen, refused, killed, stopped, differences, another_qemu, damaged,
          astray, full]}


def main():
    pvmm, build, case = sys.argv[1:4]
    work = tempfile.mkdtemp()
    try:
        CASES[case](Bench(pvmm, build, work))
    except (Flunk, subprocess.TimeoutExpired) as e:
        print(f"FAILED: {e}")
        sys.exit(1)
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()
