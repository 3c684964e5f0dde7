# SPDX-License-Identifier: MIT
"""The hypervisor in a machine, without the host tool: QEMU, the mailbox in its memory, both serial lines."""
import mmap
import os
import select
import socket
import struct
import subprocess
import time

PAGE = 4096
PATIENCE = 30
BOOTING, RUNNING, ENDED = 1, 2, 3
OUTCOMES = {1: "poweroff", 2: "reboot", 3: "suspend", 4: "crash", 5: "killed", 6: "stopped", 7: "bad guest", 8: "panic",
            9: "broken"}
NO_HOLD, PAUSED, SUSPENDED = 0, 1, 2


class Flunk(Exception):
    """What was expected did not come."""


class Layout:
    """Offsets and sizes of fields, as the compiler has them."""

    def __init__(self, program):
        self.at, self.size = {}, {}
        for line in subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines():
            name, at, size = line.split()
            self.at[name], self.size[name] = int(at), int(size)


class Machine:
    """One machine, from its start to its end. With words for the hypervisor and modules ("FILE ARGUMENTS")."""

    def __init__(self, layout, hypervisor, words, modules=(), megabytes=96):
        self.layout, self.console, self.doorbell = layout, b"", b""
        self.file = os.memfd_create("machine")
        os.ftruncate(self.file, megabytes << 20)
        self.memory = mmap.mmap(self.file, megabytes << 20)
        self.lines, ends = zip(*(socket.socketpair() for _ in range(2)))
        command = ["qemu-system-x86_64", "-machine", "q35,accel=tcg,memory-backend=ram", "-cpu", "qemu64", "-m",
                   f"{megabytes}M", "-object",
                   f"memory-backend-file,id=ram,size={megabytes}M,share=on,mem-path=/proc/self/fd/{self.file}",
                   "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-kernel", hypervisor, "-append",
                   words]
        for i, end in enumerate(ends):
            command += ["-chardev", f"socket,id=com{i},fd={end.fileno()}", "-serial", f"chardev:com{i}"]
        if modules:
            command += ["-initrd", ",".join(m.replace(",", ",,") for m in modules)]
        self.qemu = subprocess.Popen(command, pass_fds=[self.file] + [e.fileno() for e in ends],
                                     stdin=subprocess.DEVNULL)
        for end in ends:
            end.close()
        self.mailbox = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.qemu.kill()
        self.qemu.wait()
        for line in self.lines:
            line.close()
        self.memory.close()
        os.close(self.file)

    # ---- serial lines

    def poll(self, seconds):
        """Takes what has come in. False: both lines are closed."""
        ready = select.select(self.lines, [], [], seconds)[0]
        for line in ready:
            try:
                data = line.recv(4096)
            except ConnectionResetError:
                data = b""
            if not data:
                return False
            if line is self.lines[0]:
                self.console += data
            else:
                self.doorbell += data
        if self.mailbox is None and b"\n" in self.doorbell:
            self.mailbox = int(self.doorbell.split(b"\n")[0][1:].split()[0], 16)
        return True

    def ring(self, what):
        self.lines[1].sendall(what)

    def type(self, text):
        self.lines[0].sendall(text)

    # ---- memory

    def get(self, name, index=0):
        """A number of the mailbox, or of an array in it."""
        at = self.mailbox + self.layout.at["mailbox." + name]
        size = self.layout.size["mailbox." + name]
        return struct.unpack_from({4: "<I"}.get(size, "<Q"), self.memory, at + 8 * index)[0]

    def bytes_of(self, name):
        at = self.mailbox + self.layout.at["mailbox." + name]
        return bytes(self.memory[at:at + self.layout.size["mailbox." + name]])

    def text(self, name):
        return self.bytes_of(name).split(b"\0")[0].decode(errors="replace")

    def log(self):
        written, whole = self.get("log_written"), self.bytes_of("log")
        return whole[:written].decode(errors="replace") if written <= len(whole) else whole.decode(errors="replace")

    def page(self, mfn):
        return bytes(self.memory[mfn * PAGE:(mfn + 1) * PAGE])

    def state(self):
        return self.get("state") if self.mailbox is not None else 0

    # ---- waiting

    def until(self, what, condition, seconds=PATIENCE):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise Flunk(f"{what}: not within {seconds} s{self.so_far()}")
            if not self.poll(0.02) and not condition():
                raise Flunk(f"{what}: the machine is gone; {self.end_words()}{self.so_far()}")

    def so_far(self):
        log = self.log() if self.mailbox is not None else ""
        return f"\nconsole:\n{self.console[-1500:].decode(errors='replace')}\nlog:\n{log}"

    def quiet(self, seconds):
        """Lets time pass."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.poll(0.02)

    def says(self, text, seconds=PATIENCE):
        start = len(self.console)
        self.until(f"the console says {text!r}", lambda: text in self.console, seconds)
        return self.console[start:]

    def holds(self, how):
        self.until(f"hold is {how}", lambda: self.mailbox and self.get("hold") == how)

    # ---- the end

    def end_words(self):
        if self.mailbox is None or self.state() != ENDED:
            return "it did not end by itself"
        return f"{OUTCOMES.get(self.get('verdict.outcome'))}: {self.text('verdict.message')}"

    def ends(self, outcome, words=""):
        """It ends so, with these words in the message; what was audited is clean."""
        self.until(f"the end, {outcome}", lambda: self.state() == ENDED)
        got = OUTCOMES.get(self.get("verdict.outcome"))
        if got != outcome or words not in self.text("verdict.message"):
            raise Flunk(f"it should end as {outcome} with \"{words}\" and not: {self.end_words()}\nlog:\n{self.log()}")
        if self.get("verdict.audit.findings"):
            raise Flunk(f"the audit found something: {self.bytes_of('verdict.audit.finding')}\n{self.log()}")
