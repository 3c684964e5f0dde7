# SPDX-License-Identifier: MIT
"""QEMU's debugger stub, as tests of `--gdb` speak to it: packets "$TEXT#SUM"."""
import socket


class Flunk(Exception):
    pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Stub:
    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port), 10)
        self.s.settimeout(10)

    def byte(self):
        b = self.s.recv(1)
        if not b:
            raise Flunk("the stub closed the connection")
        return b

    def get(self):
        while self.byte() != b"$":
            pass
        text = b""
        while (b := self.byte()) != b"#":
            text += b
        self.byte(), self.byte()
        self.s.sendall(b"+")
        return text.decode()

    def ask(self, text):
        self.s.sendall(b"$%s#%02x" % (text.encode(), sum(text.encode()) & 255))
        while (answer := self.get())[:1] in ("T", "S"):
            pass
        return answer

    def rip(self):
        return int.from_bytes(bytes.fromhex(self.ask("g")[256:272]), "little")

    def read(self, at, n):
        return bytes.fromhex(self.ask(f"m{at:x},{n:x}"))
