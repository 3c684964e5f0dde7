# SPDX-License-Identifier: MIT
"""The project's test kernel leading a life (kernel/live.c): it suspends itself on the store's word, and tells after
each step whether its pages, lists and spaces are what they were. The script's arguments: PVMM BUILD KERNEL."""
import os
import re
import subprocess
import sys
import tempfile
import threading

from setting import PATIENCE, TMP, need, spawn, until

KERNEL = os.path.abspath(sys.argv[3])
WELL = re.compile(rb"LIVE (alive|resumed|cancelled)\b.* sum=ok lists=ok spaces=ok$")


class Life:
    """A `pvmm run` or `pvmm restore` with its console."""

    def __init__(self, verb, name, *words):
        self.name, self.text = name, b""
        self.err = tempfile.TemporaryFile(dir=TMP)
        self.p = spawn(verb, "--name", name, "--no-core", "--accel", "tcg", "--timeout", "600", *words,
                       stdout=subprocess.PIPE, stderr=self.err)
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()

    def collect(self):
        while data := os.read(self.p.stdout.fileno(), 65536):
            self.text += data

    def lines(self, start=0):
        whole, _, _ = self.text[start:].rpartition(b"\n")
        return [line for line in whole.replace(b"\r", b"").split(b"\n") if line.startswith(b"LIVE")]

    def errors(self):
        self.err.seek(0)
        return self.err.read().decode(errors="replace")

    def all_told(self):
        return self.text[-3000:].decode(errors="replace") + self.errors()

    def says(self, pattern, start=0):
        pattern = re.compile(pattern)
        until(f"guest {self.name} says {pattern.pattern}",
              lambda: any(map(pattern.search, self.lines(start))) or not self.thread.is_alive(), more=self.all_told)
        need(f"guest {self.name} ends, and did not say {pattern.pattern}",
             any(map(pattern.search, self.lines(start))), self.all_told())

    def is_well(self):
        """All that it said."""
        for line in self.lines():
            need("the guest complains", WELL.match(line) or re.match(rb"LIVE (banner|up|suspending|target=)", line),
                 line.decode())

    def goes_on(self):
        """It says something new, and it is good."""
        self.says(rb"LIVE alive", len(self.text))
        self.is_well()

    def end(self, code):
        """Waits for it; what it said on stderr."""
        self.p.wait(PATIENCE)
        self.thread.join(PATIENCE)
        err = self.errors()
        need(f"guest {self.name} ends with {self.p.returncode}, not {code}", self.p.returncode == code,
             self.all_told())
        return err

    def ends_well(self, code):
        err = self.end(code)
        self.is_well()
        need("the contract is not kept", "contract       kept" in err, err)
        need("the audit is not clean", "audit          clean" in err, err)
        return err


def boot(name, memory):
    g = Life("run", name, "-m", memory, "-a", "live", KERNEL)
    g.says(rb"LIVE alive")
    return g
