#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""target.py PVMM BUILD [CASE...]: `pvmm restore -` as the other end of a migration, before all kinds of sources.
Without "go" no guest runs (no_go_no_run), and nothing is left; with it the guest runs, whatever becomes of the
source."""
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/../save")
from guests import TestKernel, nothing_left  # noqa: E402
from setting import DIR, PVMM, TMP, main, need, no_trace, pvmm, spawn, until  # noqa: E402

FILE = f"{TMP}/guest.save"
MEMORY = 16 << 20
OFFER = f"pvmm migration 1 {MEMORY} guest\n".encode()
GAVE_UP = 'gave up before it said "go"'


class Source:
    """The source's end of the two pipes."""

    def __init__(self, *words):
        self.p = spawn("restore", "--no-core", "--accel", "tcg", *words, "-", stdin=subprocess.PIPE,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def say(self, data):
        try:
            self.p.stdin.write(data)
            self.p.stdin.flush()
        except BrokenPipeError:
            pass
        return self

    def hears(self, word):
        line = self.p.stdout.readline().decode()
        need(f"it says {line!r}, not {word!r}", line == word + "\n")
        return self

    def hang_up(self):
        try:
            self.p.stdin.close()
        except BrokenPipeError:
            pass
        return self

    def is_over(self, code, says):
        """It ends so; the last that it says is why."""
        self.hang_up()
        said = self.p.stdout.read().decode()
        need(f"exit code {self.p.wait(60)}, not {code}", self.p.returncode == code, self.p.stderr.read().decode())
        need(f"it says {said!r}, and not failed, {says}", said.startswith("failed ") and says in said)
        self.p.stdout.close()
        self.p.stderr.close()
        no_trace("of it")

    def runs(self):
        need("the command ends with the guest's start", self.p.wait(60) == 0)
        need("it says more", self.p.stdout.read() == b"")
        self.p.stdout.close()
        self.p.stderr.close()
        self.hang_up()
        beats()


def stream():
    with open(FILE, "rb") as f:
        return f.read()


def info(name="guest"):
    return json.loads(pvmm("list", "--json", name))["guests"][0]


def beats(name="guest"):
    """It says that it is well, twice."""
    p = spawn("console", name, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    seen = 0
    end = time.time() + 30
    while seen < 2 and time.time() < end:
        seen += b"LIVE alive" in (line := p.stdout.readline()) and b"sum=ok lists=ok spaces=ok" in line
    p.kill()
    p.wait()
    p.stdout.close()
    need("its beats", seen == 2)


def destroy(name="guest"):
    pvmm("destroy", name)
    no_trace("of the guest")


def comes(*words):
    return Source(*words).say(OFFER).hears("pvmm migration 1 ready").say(stream()).hears("arrived")


def well():
    s = comes()
    need("it stands", (info()["hold"], info()["state"]) == ("arriving", "--p---"), str(info()))
    need("list", b"  arriving" in pvmm("list"))
    for word in (["unpause"], ["pause"], ["shutdown"], ["save", f"{TMP}/x"], ["migrate", "--to", "false"]):
        pvmm(word[0], "guest", *word[1:], code=128, says="arriving from elsewhere")
    s.say(b"go\n").hears("running").runs()
    destroy()
    comes("--name", "other").say(b"go\n").hears("running")
    beats("other")
    destroy("other")


def look():
    """What `list` would say, at once: it takes longer than some states last."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(f"{DIR}/guest")
        s.send(b'{"pvmm": 1, "do": "info"}\n')
        return json.loads(s.makefile().readline())


def answers():
    try:
        return look() is not None
    except OSError:  # no name yet, or nobody behind it
        return False


def never_seen_running():
    """Nobody who looks, at whatever moment, takes a guest for running that has not run."""
    for _ in range(5):
        s = Source().say(OFFER).hears("pvmm migration 1 ready")
        speaks = threading.Thread(target=s.say, args=(stream(),))
        speaks.start()
        until("it has its name", answers, 30)
        looks = 0
        while not select.select([s.p.stdout], [], [], 0)[0]:
            i = look()
            need("it runs before it has arrived", "r" not in i["state"], str(i))
            looks += 1
        speaks.join()
        need(f"nobody looked more often than {looks} times", looks > 20)
        s.hears("arrived").is_over(128, GAVE_UP)


def paused_when_it_is_there():
    """The command is over when the guest stands."""
    for _ in range(5):
        pvmm("restore", "--detach", "--paused", "--name", "guest", "--no-core", "--accel", "tcg", FILE)
        i = look()
        need("it stands", (i["hold"], i["state"]) == ("paused", "--p---"), str(i))
        destroy()


def ends_at_every_step():
    Source().say(OFFER[:9]).hang_up().is_over(2, "neither a stream nor a migration")
    Source().say(OFFER).hears("pvmm migration 1 ready").is_over(2, "cut short")
    data = stream()
    for n in (1, 100, len(data) // 2, len(data) - 1):
        Source().say(OFFER).hears("pvmm migration 1 ready").say(data[:n]).is_over(2, "")
    comes().is_over(128, GAVE_UP)
    comes().say(b"g").is_over(128, GAVE_UP)


def memory_of_the_host():
    with open("/proc/meminfo", encoding="ascii") as f:
        return int(f.readline().split()[1]) << 10  # MemTotal


def nonsense():
    Source().say(b"pvmm migration 9 1 guest\n").is_over(2, "version 1")
    Source().say(b"pvmm migration 1 x guest\n").is_over(2, "pvmm migration 1 x guest")
    Source().say(b"p" * 2000).is_over(2, "neither a stream nor a migration")
    Source().say(f"pvmm migration 1 {MEMORY} a/b\n".encode()).is_over(129, "character 2 is another")
    Source().say(f"pvmm migration 1 {MEMORY} -\n".encode()).is_over(129, "--name")
    Source().say(f"pvmm migration 1 {1 << 60} guest\n".encode()).is_over(128, "there is room for")
    Source().say(f"pvmm migration 1 {memory_of_the_host()} guest\n".encode()).is_over(128, "there is room for")
    for word in (b"no\n", b"go \n", b"\n", b"\xff\x00\n", b"gogo\n", b"running\n", b"x" * 5000 + b"\n", b"x" * 5000):
        comes().say(word).is_over(128, 'where "go" is due')


def damaged():
    data = bytearray(stream())
    data[-8:] = b"\xff\x00\x00\x00\x00\x00\x00\x00"
    Source().say(OFFER).hears("pvmm migration 1 ready").say(bytes(data)).is_over(2, "offset")
    Source("--max-memory", "8M").say(OFFER).is_over(128, "there is room for 8")
    Source("--qemu", "/nowhere").say(OFFER).hears("pvmm migration 1 ready").say(stream()).is_over(128, "/nowhere")


def name_taken():
    comes().say(b"go\n").hears("running").runs()
    s = Source().say(OFFER)
    said = s.p.stdout.readline().decode()
    need(f"it says {said!r}", said == 'failed a guest named "guest" is running here\n')
    need("its exit code", s.p.wait(30) == 128)
    for f in (s.p.stdin, s.p.stdout, s.p.stderr):
        f.close()
    beats()
    destroy()


def source_goes_after_go():
    """The answer reaches nobody: the guest runs all the same."""
    s = comes()
    s.say(b"go\n")
    s.p.stdout.close()
    s.hang_up()
    need("the command", s.p.wait(60) == 0, s.p.stderr.read().decode())
    s.p.stderr.close()
    beats()
    destroy()


def killed():
    """The command, before and after "go"."""
    s = comes()
    s.p.kill()
    s.p.wait()
    until("no guest", lambda: subprocess.run([PVMM, "list", "guest"], capture_output=True,
                                             check=False).returncode == 1, 30)
    for f in (s.p.stdin, s.p.stdout, s.p.stderr):
        f.close()
    no_trace("of what was killed")
    s = comes()
    s.p.send_signal(signal.SIGTERM)
    s.is_over(s.p.wait(30), "")
    s = comes("--paused").say(b"go\n").hears("running")
    need("the command", s.p.wait(30) == 0)
    need("it is paused by its user's wish", info()["hold"] == "paused")
    pvmm("unpause", "guest")
    s.runs()
    destroy()


CASES = [well, never_seen_running, paused_when_it_is_there, ends_at_every_step, nonsense, damaged, name_taken,
         source_goes_after_go, killed]


def run():
    g = TestKernel.boot("guest")
    pvmm("save", "guest", FILE)
    g.end()
    for case in CASES:
        if not sys.argv[3:] or case.__name__ in sys.argv[3:]:
            begun = time.time()
            case()
            print(f"ok {case.__name__} ({time.time() - begun:.1f} s)", flush=True)
    os.unlink(FILE)
    nothing_left()


main(run)
