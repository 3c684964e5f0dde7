#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`git bisect run pvmm run ...` finds the revision that broke the memory contract, by its exit codes.

Usage: bisections.py [--write FILE] SOURCE PVMM

The transcripts in docs/bisect.md are of these bisections; --write puts all that was said into a file.
"""
import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import history  # pylint: disable=wrong-import-position

DONE = "PVKERNEL-DONE"
GIT = "git version 2.39."  # whose words the document shows
STEPS = 900  # seconds for all of a bisection: its builds and boots, on a machine with other things to do
MASK = re.compile(r"\b[0-9a-f]{40}\b|0x[0-9a-f]+|(?<=fn )[0-9a-f]+|\d+(\.\d+)?")


class Failed(Exception):
    """The test's verdict; its text is for people."""


def expect(holds, what, text):
    if not holds:
        raise Failed(f"{what}\n--- what was said:\n{text}")


def script(timeout, options="", build="make -s -j2 || exit 125; ", kernel="build/vmlinux"):
    """What tests one revision. The kernel's own tests are not what is asked: two of them will do."""
    words = f"--timeout {timeout} --expect {DONE} -m 64M --no-core -a 'test=names.*' {kernel}"
    return f"{build}pvmm run --accel tcg {options}{' ' if options else ''}{words}"


@contextlib.contextmanager
def started(h, words):
    """A command in the repository. Whatever ends the test ends it and all that it has started."""
    with subprocess.Popen(words, cwd=h.tree, env=h.env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, start_new_session=True) as run:
        try:
            yield run
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGTERM)
                run.communicate()  # the last of them has the pipe's end


class Bisections:
    """Each is a person's session in the repository; what was typed and said is kept."""

    def __init__(self, h):
        self.h, self.said = h, []

    def type(self, *words):
        """A command and its exit code."""
        with started(self.h, words) as run:
            text = run.communicate(timeout=STEPS)[0]
        shown = " ".join(f'"{w}"' if re.search(r"[\s;]", w) else w for w in words)
        self.said.append(f"$ {shown}\n{text}")
        return run.returncode, text

    def start(self, branch):
        self.h.git("bisect", "reset")
        self.type("git", "bisect", "start", branch, "good")

    def run(self, *words):
        return self.type("git", "bisect", "run", *words)

    def finds(self, branch, *words):
        """It is to name the faulty revision and no other, and to have met the one that does not build."""
        begun = time.monotonic()
        self.start(branch)
        code, text = self.run(*words)
        bad, skipped = self.h.git("rev-parse", f"{branch}-bad"), self.h.git("rev-parse", f"{branch}-unbuildable")
        expect(code == 0, f"{branch}: git bisect run ended with {code}", text)
        expect(f"{bad} is the first bad commit" in text, f"{branch}: the bad commit is {bad}", text)
        expect(self.h.git("rev-parse", "refs/bisect/bad") == bad, f"{branch}: refs/bisect/bad is not {bad}", text)
        log = self.h.git("bisect", "log")
        expect(f"# skip: [{skipped}]" in log, f"{branch}: {skipped}, which does not build, was not met", log)
        expect(f"# skip: [{bad}]" not in log, f"{branch}: the bad commit was skipped", log)
        print(f"{branch}: found in {time.monotonic() - begun:.1f} s")
        return text

    def stops(self, branch, why, *words):
        """It is to end by itself and to blame nobody."""
        self.start(branch)
        code, text = self.run(*words)
        expect(code != 0, f"{branch}: git bisect run went well", text)
        expect(re.search(why, text), f"{branch}: it did not stop because of {why!r}", text)
        self.nobody_is_blamed(branch, text)
        print(f"{branch}: stopped: {why}")
        return text

    def nobody_is_blamed(self, branch, text):
        expect("is the first bad commit" not in text, f"{branch}: a commit is blamed", text)
        expect(self.h.git("rev-parse", "refs/bisect/bad") == self.h.git("rev-parse", branch),
               f"{branch}: a commit is marked bad", text)


# ---- what is tried

def breaks_the_boot(b):
    text = b.finds("pinned", "sh", "-c", script(60))
    expect("pvmm: breach[type-in-use]" in text, "the breach is not explained on the way", text)
    b.type("git", "bisect", "log")
    # The explanation of the commit that was found.
    b.type("git", "checkout", "-q", "pinned-bad")
    code, text = b.type("sh", "-c", script(60, "--seed 1 --json pinned.json"))
    expect(code == 1, f"the bad commit's own exit code is {code}", text)
    with open(os.path.join(b.h.tree, "pinned.json"), encoding="utf-8") as f:
        expect('"type-in-use"' in f.read(), "--json does not have the breach", text)
    os.unlink(os.path.join(b.h.tree, "pinned.json"))


def survives(b):
    """The kernel goes on after the refusal, and prints what is expected of it."""
    b.h.git("bisect", "reset")
    b.h.git("checkout", "-q", "survived")
    code, text = b.type("sh", "-c", script(60))
    expect(code == 0 and "pvmm: breach[type-in-use]" in text, f"without --strict: {code}", text)
    b.finds("survived", "sh", "-c", script(60, "--strict"))


def hangs(b):
    text = b.finds("hanging", "sh", "-c", script(45))
    expect("timeout" in text, "it hangs, and no timeout ran out", text)


def environments(b):
    """What is no revision's fault stops the bisection: QEMU missing, a wrong option, a build that is not asked for."""
    b.stops("pinned", "exit code 128 from", "sh", "-c", script(60, "--qemu /none"))
    b.stops("pinned", "exit code 129 from", "sh", "-c", script(60, "--no-such-option"))
    b.stops("pinned", "only 'skip'ped commits left", "sh", "-c", script(60, build="", kernel="build/vmlinus"))


def content(path):
    """What another process has written there until now."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="ascii") as f:
        return f.read()


def wait_for(what, path, seconds):
    """The number in a file that another process writes."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if content(path).endswith("\n"):
            return int(content(path))
        time.sleep(0.1)
    raise Failed(f"{what}: not within {seconds} s")


def interrupted(b):
    """Ctrl-C, or the key that quits, ends pvmm with 130 while the guest runs."""
    b.start("hanging-early")
    pid, seen = os.path.join(b.h.env["HOME"], "pid"), os.path.join(b.h.env["HOME"], "seen")
    test = script(100).replace("pvmm run", f"echo $$ > {shlex.quote(pid)}; exec pvmm run")
    test += f" > {shlex.quote(seen)}"
    with started(b.h, ["git", "bisect", "run", "sh", "-c", test]) as run:
        child, end = wait_for("a run", pid, STEPS), time.monotonic() + 60
        while "WAITING" not in content(seen) and time.monotonic() < end:
            time.sleep(0.1)
        os.kill(child, signal.SIGINT)
        text = run.communicate(timeout=60)[0]
    expect(run.returncode != 0 and "exit code 130 from" in text, f"interrupted: {run.returncode}", text)
    b.nobody_is_blamed("hanging-early", text)
    print("hanging-early: stopped by an interrupt")


# ---- the document

def shape(line):
    return MASK.sub("N", line.strip())


def documented(path, said):
    """Each line of a transcript that is shown was said, in that order; "..." stands for what is left out.
    Another git has other words."""
    git = subprocess.run(["git", "--version"], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    if not git.startswith(GIT):
        print(f"{path}: not compared, it shows {GIT}x: {git}")
        return
    lines = [shape(line) for text in said for line in text.splitlines()]
    with open(path, encoding="utf-8") as f:
        shown = re.findall(r"^```transcript\n(.*?)^```$", f.read(), re.M | re.S)
    expect(shown, f"{path} shows no transcript", "")
    for block in shown:
        at = 0
        for line in (shape(text) for text in block.splitlines()):
            if line in ("...", ""):
                continue
            if line not in lines[at:]:
                raise Failed(f"{path}: this was not said (bisections.py --write has what was): {line}")
            at = lines.index(line, at) + 1
    print(f"{path}: {len(shown)} transcripts hold")


def main():
    write = sys.argv[2] if sys.argv[1] == "--write" else None
    source, pvmm = sys.argv[3 if write else 1:]
    with tempfile.TemporaryDirectory(prefix="pvmm-bisect-") as top:
        h = history.History(source, top, pvmm)
        h.branch("pinned", 11, history.PINNED)
        h.branch("survived", 6, history.SURVIVED)
        h.branch("hanging", 15, history.HANGING)
        h.branch("hanging-early", 2, history.HANGING)
        b = Bisections(h)
        for part in (breaks_the_boot, survives, hangs, environments, interrupted):
            part(b)
    if write:
        with open(write, "w", encoding="utf-8") as f:
            f.write("\n".join(b.said))
    documented(os.path.join(source, "docs/bisect.md"), b.said)


# Whoever ends the test has its folder removed too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
try:
    main()
except Failed as failure:
    sys.exit(f"FAILED: {failure}")
