# SPDX-License-Identifier: MIT
"""The images that the suite `convert` works on: made once by pvmm itself, for all tests of a build; and real ones,
where there are any. A script's first arguments: PVMM BUILD ARTIFACTS."""
import fcntl
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../save"))
from setting import BUILD, PVMM, TMP, leave, need, pvmm, spawn  # noqa: E402
from guests import DEBIAN, Debian  # noqa: E402

ARTIFACTS = sys.argv[3] if len(sys.argv) > 3 else ""
DIR = f"{BUILD}/tests/convert/images"
REAL = ("pv1.core", "pv2-ckpt.core", "pv2-ckpt.save", "pvb96.core", "pvcrash.core")


def stamp():
    return " ".join(str(os.stat(p).st_mtime_ns) for p in (PVMM, DEBIAN))


def make(directory):
    """A guest that runs, the same saved, and one that found no root to mount."""
    guest = Debian.boot("convert", memory="128M", mib=16)
    pvmm("dump", "convert", f"{directory}/running.core")
    pvmm("save", "convert", f"{directory}/saved.save")
    guest.p.wait(60)
    p = spawn("run", "--accel", "tcg", "-m", "128M", "--core", f"{directory}/crashed.core", "-a",
              "console=hvc0 panic=-1", DEBIAN, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    p.wait(300)
    need("the guest without a root leaves no core", os.path.exists(f"{directory}/crashed.core"))
    with open(f"{directory}/stamp", "w", encoding="ascii") as f:
        f.write(stamp())


def made():
    if not os.path.exists(DEBIAN):
        print(f"SKIP: no {DEBIAN}: run make kernel")
        leave(77)
    os.makedirs(os.path.dirname(DIR), exist_ok=True)
    with open(f"{DIR}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            with open(f"{DIR}/stamp", encoding="ascii") as f:
                current = f.read() == stamp()
        except FileNotFoundError:
            current = False
        if not current:
            shutil.rmtree(DIR, ignore_errors=True)
            os.makedirs(DIR)
            make(DIR)
    return [f"{DIR}/{name}" for name in ("running.core", "saved.save", "crashed.core")]


def real():
    """Unpacked into a place of the test's own."""
    paths = []
    for name in REAL:
        path, to = os.path.join(ARTIFACTS, name + ".zst"), f"{TMP}/{name}"
        if ARTIFACTS and os.path.exists(path):
            subprocess.run(["zstd", "-dqf", "--sparse", path, "-o", to], check=True)
            paths.append(to)
    if not paths:
        print("SKIP: the real images: no directory of them is configured (-Dartifacts)")
    return paths


def every():
    return made() + real()


def name_of(path):
    return os.path.basename(path)


def banner(path):
    """Where it is, and what the kernel itself says, as pvmm reads it."""
    walk = pvmm("walk", path, "linux_banner").decode()
    va = int(re.search(r"ffffffff[0-9a-f]{8}", walk).group(), 16)
    return va, pvmm("read", path, "linux_banner", "--as", "string").decode()
