# SPDX-License-Identifier: MIT
"""Children that are ended in any case: what bench/ and cases/ run their machines by."""
import os
import signal
import subprocess
import threading


class Stopped(Exception):
    """No more are to be started."""


running = []
lock = threading.Lock()
stopping = False


def start(words, **how):
    """A child in a process group of its own, so that Ctrl-C is ours to pass on. how: Popen()'s, where it is not as
    usual here."""
    how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
    with lock:
        if stopping:
            raise Stopped
        p = subprocess.Popen(words, start_new_session=True, **how)
        running.append(p)
        return p


def end(p):
    """pvmm ends its QEMU when it is asked to end; what does not listen is killed."""
    if p.poll() is None:
        p.terminate()
        try:
            p.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()
    with lock:
        if p in running:
            running.remove(p)


def end_all():
    """End every child that runs, and let no more be started."""
    global stopping
    with lock:
        stopping = True
        left = list(running)
    for p in left:
        end(p)
