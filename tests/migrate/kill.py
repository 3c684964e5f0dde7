#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kill.py PVMM BUILD COUNT [SEED]: COUNT kills, by SIGKILL, at random moments: of saves, restores and migrations; of
the tool, of a pipe's process, of the other end, of QEMU and its pvmm on either side. What must hold then are the
properties of docs/migration.md:

  never_both      the guest runs at one end at most
  never_none      it runs somewhere, or stands handed over with its memory whole, unless its own machine was killed
  no_go_no_run    what the source still has was never told to run elsewhere
  stands_is_whole a guest that stood handed over goes on, sums right, or is over by `destroy`
and, of files: the one that was there before is whole, or the new one is."""
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/../save")
from guests import TEST_KERNEL, TestKernel  # noqa: E402
from setting import PVMM, TMP, main, need, processes, pvmm, spawn, until  # noqa: E402

COUNT = int(sys.argv[3])
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else 200
EAST, WEST = f"{TMP}/guests", f"{TMP}/west"
FOLDER = f"{TMP}/saves"
FILE = f"{FOLDER}/guest.save"
RELAY = f"{TMP}/relay.sh"  # a way back that takes its time, as networks do: what is said arrives late
LATE = 0.3
NAME = "guest"
SHARES = (("migrate", 0.6), ("save", 0.25), ("restore", 0.15))
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
dice = random.Random(SEED)
TRIES = 20  # for a kill that meets something
tally = collections.Counter()
took = {}  # seconds of one that nobody kills, by kind: as far as is known


def at(host):
    return {"env": os.environ | {"PVMM_RUNTIME_DIR": host}}


def info(host):
    """What `pvmm list` says of the guest on that host; None: it is not there."""
    p = subprocess.run([PVMM, "list", "--json", NAME], capture_output=True, timeout=60, **at(host))
    guests = json.loads(p.stdout)["guests"] if p.returncode == 0 else []
    return guests[0] if guests else None


def runs(host):
    i = info(host)
    return i is not None and i["hold"] is None and "r" in i["state"]


class Seen(TestKernel):
    """The guest's life on a host, seen through `pvmm console`."""

    def __init__(self, host):
        self.host, self.name = host, NAME
        self.talk("console", NAME, **at(host))

    def errors(self):
        return ""

    def close(self):
        self.p.kill()
        self.p.wait()
        self.thread.join(10)
        self.p.stdin.close()
        self.p.stdout.close()


def beats(host):
    """It goes on there, and all that it looks at at every beat is right."""
    g = Seen(host)
    first = g.status()
    need("stands_is_whole: it goes on", g.status() > first)
    need("stands_is_whole: it began again", host == EAST or b"LIVE up" not in g.text)
    g.close()


def boot():
    p = spawn("run", "--detach", "--name", NAME, "--no-core", "--accel", "tcg", "-m", "16M", "-a", "live", TEST_KERNEL,
              **at(EAST), **QUIET)
    need("a guest starts", p.wait(60) == 0)
    beats(EAST)


def destroy(host):
    subprocess.run([PVMM, "destroy", NAME], timeout=60, check=False, **at(host), **QUIET)
    until(f"{host} is empty", lambda: info(host) is None, 30)


# ---- whom to kill

def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return [int(c) for c in f.read().split()]
    except OSError:
        return []


def words(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().split(b"\0")
    except OSError:
        return []


def tree(pid):
    found = [pid]
    for child in children(pid):
        found += tree(child)
    return found


def is_qemu(pid):
    return b"qemu-system" in (words(pid) or [b""])[0]


def owner(host):
    """The processes of the guest that has the name there: its pvmm and its QEMU."""
    i = info(host)
    return (i["id"], i["qemu_pid"]) if i else (None, None)


def commands(tool, what):
    """Processes below the tool with that word in their command line."""
    return [p for p in tree(tool) if p != tool and what in words(p)]


VICTIMS = {
    "tool": lambda tool, source: [tool],
    "pipe there": lambda tool, source: commands(tool, b"cat")[:1],
    "pipe back": lambda tool, source: commands(tool, b"cat")[1:2] or commands(tool, RELAY.encode())[:1],
    "other end": lambda tool, source: commands(tool, b"restore")[:1],
    "other pvmm": lambda tool, source: commands(tool, b"restore")[1:2],
    "other QEMU": lambda tool, source: [p for p in tree(tool) if is_qemu(p)][:1],
    "QEMU": lambda tool, source: [source[1]],
    "pvmm": lambda tool, source: [source[0]],
}


def kill_at(when, kind, tool, victim, source, late=0.0):
    """At that part of its time, of which `late` seconds are waits: whether something was killed, and while it was at
    it."""
    start = time.time()
    while time.time() < start + when * (took[kind] + late) and tool.poll() is None:
        time.sleep(0.001)
    at_it = tool.poll() is None
    if not at_it:  # the machine has less to do than it had before
        took[kind] = (took[kind] + max(time.time() - start - late, 0)) / 2
    for pid in VICTIMS[victim](tool.pid, source) if at_it or victim != "tool" else []:
        try:
            os.kill(pid, signal.SIGKILL)
            return True, at_it
        except (ProcessLookupError, TypeError):
            pass
    return False, False


# ---- migrations

def migrate(back="cat"):
    """The shell itself keeps no end of a pipe open, or nobody would see that a process is gone."""
    return spawn("migrate", "-q", NAME, "--to",
                 f"exec 3<&0; cat <&3 3<&- | PVMM_RUNTIME_DIR={WEST} {PVMM} restore --no-core --accel tcg - "
                 f"2>/dev/null 3<&- | {back} 3<&- & exec >&- 3<&-; wait", **at(EAST),
                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def settled():
    """At the other end: nothing, or a guest that was let go."""
    west = info(WEST)
    return west is None or (west["hold"] is None and "r" in west["state"])


def never_both():
    need("never_both: it runs at both ends", not (runs(EAST) and runs(WEST)))


def resolve(said):
    """What a person would do who reads the message."""
    need("the message says how", f"pvmm resume {NAME}" in said or not said, said)
    if info(WEST) is not None:
        need("no_go_no_run: it stands at the other end", runs(WEST))
        beats(WEST)
        destroy(EAST)
        return "stood, destroyed"
    pvmm("resume", NAME, **at(EAST))
    beats(EAST)
    return "stood, resumed"


def look(victim, hit, code, said):
    """The outcome; afterwards one guest runs, at one end, or none, and that was its machine's end: here, or there, when
    it had been moved."""
    east, west = info(EAST), info(WEST)
    never_both()
    if east is not None and east["hold"] == "handed over":
        return resolve(said)
    if east is not None:
        need("no_go_no_run: the source goes on, and the other end has a guest", west is None, str(west))
        beats(EAST)
        return "goes on"
    if west is not None:
        beats(WEST)
        return "moved"
    here, there = victim in ("QEMU", "pvmm"), victim in ("other QEMU", "other pvmm") and code == 0
    need("never_none: no guest at either end", hit and (here or there), f"{victim} {hit} {code} {said}")
    return "lost"


def one_migration():
    victim = dice.choice(list(VICTIMS))
    if info(EAST) is None:
        boot()
    source = owner(EAST)
    late = dice.random() < 0.5
    p = migrate(f"sh {RELAY}" if late else "cat")
    hit, met = kill_at(1.1 * dice.random() ** 0.7, "migrate", p, victim, source, 3 * LATE * late)  # more near its end
    said = p.communicate(timeout=90)[1].decode(errors="replace")
    until("the other end has come to rest", settled, 30)
    outcome = look(victim, hit, p.returncode, said)
    if info(WEST) is not None:
        destroy(WEST)
    until("the other end leaves nothing", lambda: not processes(WEST), 20, lambda: str(processes(WEST)))
    tally["migrate", victim if met else "too late", outcome] += 1
    return met


def measure_migration():
    if info(EAST) is not None:
        destroy(EAST)
    boot()
    start = time.time()
    p = migrate()
    said = p.communicate(timeout=90)[1].decode(errors="replace")
    need("a migration that nobody kills", p.returncode == 0, said)
    took["migrate"] = time.time() - start
    need("it waits for a command that has nothing more to do", took["migrate"] < 4)
    need("ends_well: it is where it was", info(EAST) is None)
    beats(WEST)
    destroy(WEST)


# ---- saves

def read():
    with open(FILE, "rb") as f:
        return f.read()


def whole(before):
    """Which file is there; it is a complete image without a finding, whichever it is."""
    pvmm("check", FILE)
    return "new" if read() != before else "old"


def one_save():
    victim = dice.choice(["tool", "QEMU", "pvmm", "reader"])
    if info(EAST) is None:
        boot()
    source, before = owner(EAST), read()
    how = [*dice.choice(([], ["--live"])), *dice.choice(([], ["--compress=1"])), "--checkpoint"]
    if victim == "reader":
        p = subprocess.Popen(["sh", "-c", f"{PVMM} save {' '.join(how)} {NAME} - | cat > /dev/null"],
                             **at(EAST), **QUIET)
    else:
        p = spawn("save", *how, NAME, FILE, **at(EAST), **QUIET)
    pick = "pipe there" if victim == "reader" else victim
    hit, met = kill_at(1.1 * dice.random(), "save", p, pick, source)
    p.wait(60)
    until("the save is gone", lambda: not [x for x in processes(EAST) if b"save" in words(x)], 30)
    what = whole(before)
    left = [n for n in os.listdir(FOLDER) if n != "guest.save"]
    need(f"left beside it: {left}", all(n.startswith(".guest.save.pvmm-") for n in left) and len(left) <= 2)
    if hit and victim in ("QEMU", "pvmm"):
        until("its end", lambda: info(EAST) is None, 30)
    else:
        beats(EAST)
    guest = "lost" if info(EAST) is None else "goes on"
    tally["save", victim if met else "too late", f"file {what}, guest {guest}"] += 1
    return met


def measure_save():
    if info(EAST) is None:
        boot()
    start = time.time()
    pvmm("save", "--checkpoint", NAME, FILE, **at(EAST))
    took["save"] = time.time() - start


# ---- restores

def one_restore():
    victim = dice.choice(["tool", "other QEMU", "pipe there", "other end"])
    before = read()
    command = f"cat {FILE} | {PVMM} restore --detach --name {NAME} --no-core --accel tcg - "
    p = subprocess.Popen(["sh", "-c", command], **at(WEST), **QUIET)
    _, met = kill_at(1.1 * dice.random(), "restore", p, victim, (None, None))
    p.wait(60)
    until("it has come to rest", lambda: settled() and not [x for x in processes(WEST) if b"--detach" in words(x)]
          or runs(WEST), 30)
    outcome = "none"
    if info(WEST) is not None:
        beats(WEST)
        destroy(WEST)
        outcome = "runs"
    until("nothing is left", lambda: not processes(WEST), 20, lambda: str(processes(WEST)))
    need("the file is another", read() == before)
    tally["restore", victim if met else "too late", outcome] += 1
    return met


def measure_restore():
    start = time.time()
    pvmm("restore", "--detach", "--name", NAME, "--no-core", "--accel", "tcg", FILE, **at(WEST))
    took["restore"] = time.time() - start
    beats(WEST)
    destroy(WEST)


# ---- the whole

def measure():
    measure_migration()
    measure_save()
    measure_restore()


def one_kill(kind):
    """Those that come too late are looked at like the others, but not counted."""
    one = {"migrate": one_migration, "save": one_save, "restore": one_restore}[kind]
    need(f"{TRIES} kills in a row meet nothing", any(one() for _ in range(TRIES)))


def run():
    os.mkdir(FOLDER)
    with open(RELAY, "w", encoding="ascii") as f:
        f.write(f"while read -r line; do sleep {LATE}; echo \"$line\"; done\n")
    kinds = [kind for kind, share in SHARES for _ in range(round(COUNT * share))]
    dice.shuffle(kinds)
    for i, kind in enumerate(kinds):
        try:
            if i % 20 == 0:  # what else the host does comes and goes
                measure()
            one_kill(kind)
        except BaseException:
            print(f"kill {i}, a {kind}, seed {SEED}")
            raise
        if i % 20 == 19:
            print(f"{i + 1} kills", flush=True)
    if info(EAST) is not None:
        destroy(EAST)
    for host in (EAST, WEST):  # the socket of a pvmm that was killed stays until the name is taken again
        until(f"nothing runs in {host}", lambda: not processes(host), 20, lambda: str(processes(host)))
    shutil.rmtree(FOLDER)
    os.unlink(RELAY)
    report()


def report():
    late = sum(n for (_, victim, _), n in tally.items() if victim == "too late")
    print(f"{sum(tally.values()) - late} kills, seed {SEED}, {late} more were too late; a migration takes "
          f"{took['migrate']:.2f} s, a save {took['save']:.2f} s, a restore {took['restore']:.2f} s")
    for (kind, victim, outcome), n in sorted(tally.items()):
        print(f"  {kind:8} {victim:11} {outcome:24} {n:4}")
    met = {outcome for (kind, victim, outcome) in tally if kind == "migrate" and victim != "too late"}
    need(f"of all that may become of a move only {met} was met", COUNT < 100 or met >= {"goes on", "moved", "lost"})


main(run)
