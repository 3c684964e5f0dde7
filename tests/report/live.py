#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the server of `pvmm report --live` answers whom, and how it ends: live.py PVMM TESTGUEST."""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

PVMM, GUEST = sys.argv[1], sys.argv[2]
PATIENCE = 60


class Flunk(Exception):
    """What was expected did not come."""


def check(what, got, wanted):
    if got != wanted:
        raise Flunk(f"{what}: {got!r}, not {wanted!r}")


class Guest:
    """One that waits at its console until it is destroyed."""

    def __init__(self, name):
        self.name = name
        self.run = subprocess.Popen([PVMM, "run", "--accel", "tcg", "--timeout", "300", "--no-core", "-m", "32M",
                                     "--name", name, "-a", "echo", GUEST], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.run.poll() is None:
            self.destroy()
        self.run.stdin.close()
        self.run.stdout.close()

    def destroy(self):
        subprocess.run([PVMM, "destroy", self.name], check=True, stdout=subprocess.DEVNULL)
        self.run.wait(PATIENCE)


class Server:
    def __init__(self, name, *words):
        self.process = subprocess.Popen([PVMM, "report", "--live", name, "--wait", str(PATIENCE), *words],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.url = urllib.parse.urlparse(self.process.stdout.readline().strip())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def connect(self):
        return socket.create_connection((self.url.hostname, self.url.port), timeout=PATIENCE)

    def ask(self, method="GET", path="/", host=None, more=""):
        """Status, headers, body of a raw request; status 0: hung up without an answer."""
        host = f"{self.url.hostname}:{self.url.port}" if host is None else host
        line = f"Host: {host}\r\n" if host else ""
        with self.connect() as s:
            s.sendall(f"{method} {path} HTTP/1.1\r\n{line}Connection: close\r\n{more}\r\n".encode())
            answer = b""
            try:
                while piece := s.recv(1 << 20):
                    answer += piece
            except ConnectionResetError:
                pass
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else 0, head.decode(), body

    def ends(self, code, within=10):
        """Its exit code, and what it said on stderr."""
        _, said = self.process.communicate(timeout=within)
        check("exit code", self.process.returncode, code)
        return said


def page_and_data(server, _):
    status, head, body = server.ask()
    check("/", (status, b"<!DOCTYPE html>" in body or b"<!doctype html>" in body), (200, True))
    for wanted in ("no-store", "nosniff", "frame-ancestors 'none'"):
        check(f"headers have {wanted}", wanted in head, True)
    check("other sites may read", "access-control" in head.lower(), False)
    deadline = time.monotonic() + PATIENCE
    while (status := server.ask(path="/data")[0]) == 503 and time.monotonic() < deadline:
        time.sleep(0.1)  # the guest is not built yet
    status, _, body = server.ask(path="/data")
    check("/data", status, 200)
    data = json.loads(body)
    check("pages", data["meta"]["pages"], 32 << 8)
    check("live", data["meta"]["live"], True)


def foreign_names(server, _):
    """A name that somebody else's DNS leads here with is none of ours."""
    port = server.url.port
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", "localhost:1", "[::1", "",
                 f"localhost.:{port}", "x" * 3000, f"127.0.0.1:{port}@evil.example"):
        status, _, body = server.ask(host=host, path="/data")
        check(f"Host: {host[:40]}", (status in (400, 403, 413, 431), b'"meta"' in body), (True, False))
    for host in (f"localhost:{port}", f"LocalHost:{port}", f"127.0.0.1:{port}"):
        check(f"Host: {host}", server.ask(host=host)[0], 200)


def other_requests(server, _):
    for path in ("/x", "/data/", "//data", "/../data", "/%2e%2e/etc/passwd", "/" + "a" * 5000):
        check(f"GET {path[:20]}", server.ask(path=path)[0], 404)
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "HEAD", "BREW"):
        check(method, server.ask(method=method, path="/data")[0], 405)
    status = server.ask(more="".join(f"X-{i}: {'y' * 1000}\r\n" for i in range(200)))[0]
    check("200 KB of headers", status in (0, 400, 413, 431), True)
    check("it serves on", server.ask()[0], 200)


def nonsense(server, _):
    for line in (b"\0" * 1000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", bytes(range(256)) * 40):
        with server.connect() as s:
            s.sendall(line)
            s.shutdown(socket.SHUT_WR)
            s.settimeout(PATIENCE)
            try:
                s.recv(4096)
            except ConnectionResetError:
                pass
    check("it serves on", server.ask()[0], 200)


def crowd(server, _):
    """Those who say nothing keep nobody from it for long, and do not make it grow."""
    silent = []
    for _ in range(60):
        silent.append(server.connect())
    time.sleep(0.5)
    for s in silent:
        s.close()
    deadline = time.monotonic() + PATIENCE
    while server.ask()[0] != 200:
        if time.monotonic() > deadline:
            raise Flunk("it does not serve any more")
        time.sleep(0.2)


def leaves(server, _):
    """Readers who go in the middle of an answer."""
    for _ in range(20):
        with server.connect() as s:
            s.sendall(f"GET /data HTTP/1.1\r\nHost: localhost:{server.url.port}\r\n\r\n".encode())
            s.recv(100)
    check("it serves on", server.ask(path="/data")[0], 200)


def taken_port(server, guest):
    second = subprocess.run([PVMM, "report", "--live", guest.name, "--listen", f"127.0.0.1:{server.url.port}"],
                            capture_output=True, text=True, timeout=PATIENCE)
    check("a port that is taken", (second.returncode, "Address already in use" in second.stderr), (128, True))


def signals(_, guest):
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with Server(guest.name) as other:
            check("it serves", other.ask()[0], 200)
            other.process.send_signal(number)
            other.ends(code, 5)


def guest_goes(server, guest):
    """Comes last. Whoever asks is told, and then it ends by itself."""
    guest.destroy()
    deadline = time.monotonic() + PATIENCE
    while (status := server.ask(path="/data")[0]) == 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    check("/data of a guest that is gone", status, 410)
    check("it says so", "is gone" in server.ends(0), True)


CASES = [page_and_data, foreign_names, other_requests, nonsense, crowd, leaves, taken_port, signals, guest_goes]


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        with Guest(f"live-{os.getpid()}") as guest, Server(guest.name) as server:
            for case in CASES:
                begun = time.monotonic()
                try:
                    case(server, guest)
                    print(f"ok {case.__name__}, {time.monotonic() - begun:.1f} s", flush=True)
                except (Flunk, OSError, ValueError, subprocess.SubprocessError) as e:
                    failed += 1
                    print(f"FAILED {case.__name__}: {e}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
