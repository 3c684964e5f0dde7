# SPDX-License-Identifier: MIT
"""Runs of `pvmm run`: a child that is followed line by line, with the time, and ended in any case."""
import os
import selectors
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scripts"))
import children  # pylint: disable=wrong-import-position


class RunError(Exception):
    """A run that could not be made; its text is for people."""


class Run:
    """What a child wrote, each line with the seconds from its start, and how it ended."""

    def __init__(self):
        self.code, self.in_time, self.seconds = None, True, 0.0
        self.out, self.err = [], []

    def words(self):
        return [line for _, line in self.out]

    def said_at(self, text):
        """When stderr had a line with this in it; None: never."""
        return next((at for at, line in self.err if text in line), None)


def lines_of(rest, data, at, lines):
    """Whole lines go to `lines`; what is left over comes back."""
    *whole, rest = (rest + data).split(b"\n")
    lines += [(at, line.decode(errors="replace").rstrip("\r")) for line in whole]
    return rest


def follow(p, run, begun, timeout):
    to, rest = {p.stdout: run.out, p.stderr: run.err}, {p.stdout: b"", p.stderr: b""}
    with selectors.DefaultSelector() as wait:
        for stream in to:
            wait.register(stream, selectors.EVENT_READ)
        while wait.get_map():
            left = begun + timeout - time.monotonic()
            if left <= 0:
                run.in_time = False
                return
            for key, _ in wait.select(left):
                stream, at = key.fileobj, time.monotonic() - begun
                data = os.read(stream.fileno(), 65536)
                rest[stream] = lines_of(rest[stream], data or b"\n" * bool(rest[stream]), at, to[stream])
                if not data:
                    wait.unregister(stream)


def run(words, timeout):
    """Runs it to its end, or to the end of the time."""
    found, begun = Run(), time.monotonic()
    try:
        p = children.start(words)
    except children.Stopped:
        raise RunError("stopped") from None
    except OSError as e:
        raise RunError(f"cannot start {words[0]}: {e.strerror}") from e
    try:
        follow(p, found, begun, timeout)
        if found.in_time:
            found.code = p.wait(10)
    except subprocess.TimeoutExpired:
        found.in_time = False
    finally:
        children.end(p)
        p.stdout.close()
        p.stderr.close()
    found.seconds = time.monotonic() - begun
    return found
