#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""move.py PVMM BUILD COUNT [MIB [LIMIT]]: a guest that is moved COUNT times in a row between two hypervisors of this
machine, while MIB (1024) of its memory are rewritten at 10 MB/s and read all the time (load.c). After each move it
must be what it was: its processes, all its pages in the generation they must have, its pace, its timers, shell and
clock; where it came from it is over, and nothing is left. LIMIT: milliseconds that it may stand still, but for a
tenth of the moves (1000); "-": any."""
import json
import os
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/../save")
import guests  # noqa: E402
from guests import Debian, median, nothing_left, same, strays  # noqa: E402
from setting import BUILD, PATIENCE, PVMM, TMP, main, need, no_trace, spawn  # noqa: E402

COUNT = int(sys.argv[3])
MIB = int(sys.argv[4]) if len(sys.argv) > 4 else 1024
LIMIT = float("inf") if sys.argv[5:] == ["-"] else float(sys.argv[5]) / 1000 if len(sys.argv) > 5 else 1
MBPS = 10
NAME = "mover"
HOSTS = (f"{TMP}/east", f"{TMP}/west")
RAMDISK = f"{BUILD}/tests/migrate/load.cpio.gz"
LIFE = 2.5  # seconds from one move to the next
PACE = (0.75, 1.1)  # of what was asked for, between two moves
CLOCK = 0.25  # seconds that its clock may be off on arrival
COMPLAINT = rb"LOAD-ERROR|" + Debian.complaint


class Mover(Debian):
    """A life of the guest on one host, seen through `pvmm console`."""

    complaint = COMPLAINT

    def __init__(self, host):
        self.host, self.errors_at = host, f"{host}.err"
        self.verdict_at = f"{host}.json"
        self.words = ("--detach", "--no-core", "--accel", "tcg", "--json", self.verdict_at)
        self.name = NAME

    def attach(self):
        return self.talk("console", NAME, env=environment(self.host))

    def errors(self):
        try:
            with open(self.errors_at, encoding="utf-8", errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def over(self):
        """Its console has ended, its verdict is good, and nothing of it is left on this host."""
        self.p.wait(PATIENCE)
        self.thread.join(PATIENCE)
        self.p.stdin.close()
        self.p.stdout.close()
        self.is_content()
        no_trace(f"of its life in {self.host}", self.host)
        with open(self.verdict_at, encoding="utf-8") as f:
            verdict = json.load(f)
        need("its verdict", verdict["exit_code"] == 0 and verdict["audit"]["clean"], json.dumps(verdict, indent=1))
        for path in (self.verdict_at, self.errors_at):
            os.unlink(path)

    def load(self):
        line = self.ask(b"load", rb"LOAD .*").group().decode()
        return {word: int(value, 16 if word == "nonce" else 10)
                for word, value in (w.split("=", 1) for w in line.split()[1:])}

    def clock(self):
        """As Guest's, and finer."""
        before = time.time()
        theirs = self.load()["now_us"] / 1e6
        return theirs - time.time(), theirs - before


def environment(host):
    return os.environ | {"PVMM_RUNTIME_DIR": host}


def boot():
    g = Mover(HOSTS[0])
    words = f"console=hvc0 quiet loglevel=4 save.mib=1 load.mib={MIB} load.mbps={MBPS}"
    with open(g.errors_at, "wb") as err:
        p = spawn("run", "--name", NAME, *g.words, "-m", f"{MIB + 256}M", "-i", RAMDISK, "-a", words, guests.DEBIAN,
                  stderr=err, env=environment(g.host))
        need("it starts", p.wait(PATIENCE) == 0, g.errors())
    g.attach()
    g.says(rb"LOAD-READY .*")
    return g


def migrate(g, to):
    """The next life, and what the tool says of the way."""
    told = f"{TMP}/told.json"
    restore = f"exec {PVMM} restore {' '.join(to.words)} - 2>{to.errors_at}"
    start = time.time()
    p = spawn("migrate", "--json", told, "--to", f"PVMM_RUNTIME_DIR={to.host}; {restore}", NAME,
              env=environment(g.host), stderr=subprocess.PIPE)
    said = p.communicate(timeout=PATIENCE)[1].decode(errors="replace")
    need(f"migrate ends with {p.returncode}", p.returncode == 0, said + to.errors())
    seconds = time.time() - start
    to.attach()
    with open(told, encoding="utf-8") as f:
        result = json.load(f)
    os.unlink(told)
    return result | {"said": said, "seconds_felt": seconds}


def goes_on(before, now):
    need(f"it was {before['nonce']:x}, process {before['pid']}, and is another: {now}",
         (before["nonce"], before["pid"]) == (now["nonce"], now["pid"]))
    need("the load has seen errors", now["errors"] == 0, str(now))
    for count in ("written", "passes", "beats", "now_us"):
        need(f"{count} went back", now[count] >= before[count], f"{before}\n{now}")


def paced(g, first, patience=PATIENCE):
    """Lives for a while; its pace in that, and the load of its end: every page was read again."""
    time.sleep(LIFE)
    end = time.time() + patience
    while True:
        now = g.load()
        goes_on(first, now)
        if now["passes"] >= first["passes"] + 2:  # one from its beginning to its end, at least
            break
        need("the reader stands still", time.time() < end, f"{first}\n{now}")
        time.sleep(0.2)
    pace = (now["written"] - first["written"]) * 4096 / (now["now_us"] - first["now_us"])
    need(f"it writes {pace:.1f} MB/s, not {MBPS}", PACE[0] <= pace / MBPS <= PACE[1], f"{first}\n{now}")
    return pace, now


def one_move(g, to, status, before):
    """(status, load, figures)"""
    g.load()  # the gaps are counted from here
    r = migrate(g, to)
    g.over()
    arrived = to.load()
    goes_on(before, arrived)
    off = strays(to.clock())
    need(f"its clock is {off:.3f} s off", off <= CLOCK)
    status = to.moves_on(status)
    pace, after = paced(to, arrived)
    return status, after, r | {"gap": arrived["gap_us"] / 1e6, "pace": pace}


def tell(i, r):
    stood = r["stop_seconds"]
    print(f"{i:>3} {r['seconds']:8.2f} s {len(r['rounds']):3} rounds {r['pages']:8} pages {r['bytes'] / 2**20:8.1f} MiB"
          f"   stood {stood * 1000:5.0f} ms, felt {r['gap'] * 1000:5.0f} ms   then {r['pace']:.1f} MB/s", flush=True)
    if stood >= LIMIT:
        print(r["said"], flush=True)


def table(figures):
    print(f"\n{'':<24} {'least':>8} {'median':>8} {'most':>8}")
    for name, of in (("total, s", lambda r: r["seconds"]), ("rounds", lambda r: len(r["rounds"])),
                     ("sent, MiB", lambda r: r["bytes"] / 2**20), ("stood still, s", lambda r: r["stop_seconds"]),
                     ("the guest's gap, s", lambda r: r["gap"]), ("pace after it, MB/s", lambda r: r["pace"])):
        values = [of(r) for r in figures]
        print(f"{name:<24} {min(values):8.2f} {median(values):8.2f} {max(values):8.2f}")


def moves():
    if not os.path.exists(guests.DEBIAN):
        print(f"no {guests.DEBIAN}: run make kernel")
        guests.leave(77)
    for host in HOSTS:
        os.mkdir(host, 0o700)
    begun = time.time()
    g = boot()
    status = g.status()
    pace, load = paced(g, g.load())
    print(f"{MIB} MiB in a guest of {MIB + 256} MiB, after {time.time() - begun:.0f} s: {pace:.1f} MB/s, "
          f"the longest gap {load['gap_us'] / 1000:.0f} ms", flush=True)
    figures = []
    for i in range(1, COUNT + 1):
        to = Mover(HOSTS[i % 2])
        status, load, r = one_move(g, to, status, load)
        figures.append(r)
        tell(i, r)
        g = to
    g.p.stdin.write(b"off\n")
    g.p.stdin.flush()
    g.over()
    for host in HOSTS:
        shutil.rmtree(host)
    nothing_left()
    table(figures)
    print(f"in the end: {g.tells(status)}; {load['written'] * 4096 / 2**20:.0f} MiB written, "
          f"{load['passes']} times all of it read")
    slow = [i + 1 for i, r in enumerate(figures) if r["stop_seconds"] >= LIMIT]
    need(f"moves {slow} let it stand for {LIMIT} s or more", not slow)


main(moves)
