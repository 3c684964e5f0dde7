#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Real Xen, a Linux dom0 and xl, in QEMU: lab.py BUILD JOB OUT [--disk IMAGE]... [FILE...].

Runs the shell script JOB in dom0, with FILEs beside it in /job, and IMAGEs, which may be large, as disks that it
may read: /dev/vdb, /dev/vdc and so on. What it leaves in /job/out comes back in OUT, each domain's console in
OUT/console, dom0's own in OUT/dom0-console.log. Exit code: the job's; 77: the lab has not been fetched (make dom0
xen), or there is no QEMU; 125: it did not come to an end; 130: it was stopped.
"""
import argparse
import gzip
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../scripts"))
import children  # noqa: E402

LIMIT = 720  # seconds of the whole, by the wall
GRACE = 60  # of it for the boot and the way back
MACHINE, DOM0 = 2048, 1024  # MiB
DISK = 2 << 30  # sparse: what comes back
QEMU = "qemu-system-x86_64"
MISSING, LOST, STOPPED = 77, 125, 130


class NoLab(Exception):
    """Something that has to be fetched or installed is not there."""


def fetched(build):
    for program in (QEMU, "cpio"):
        if shutil.which(program) is None:
            raise NoLab(f"no {program}: run make deps")
    paths = [os.path.join(build, name) for name in
             ("xen/xen-4.17-amd64.gz", "dom0/vmlinuz", "dom0/root.cpio")]
    for path in paths:
        if not os.path.exists(path):
            raise NoLab(f"no {path}: run make xen dom0")
    return paths


def make_initrd(root, work, job, files, limit):
    """The root, and behind it an archive with what this run adds: Linux unpacks one after the other."""
    stage = os.path.join(work, "stage")
    os.makedirs(os.path.join(stage, "job"))
    shutil.copy(os.path.join(HERE, "dom0-init"), os.path.join(stage, "init"))
    for path in files:
        shutil.copy(path, os.path.join(stage, "job"))
    shutil.copy(job, os.path.join(stage, "job/job.sh"))
    with open(os.path.join(stage, "job/limit"), "w") as f:
        f.write(f"{max(limit - GRACE, 10)}\n")
    names = "".join(os.path.relpath(os.path.join(folder, name), stage) + "\n"
                    for folder, below, leaves in os.walk(stage) for name in below + leaves)
    path = os.path.join(work, "initrd")
    with open(path, "wb") as f:
        with open(root, "rb") as r:
            shutil.copyfileobj(r, f)
        f.flush()
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], input=names.encode(), stdout=f,
                       cwd=stage, check=True)
    shutil.rmtree(stage)
    return path


def unpack_file(path, to):
    with gzip.open(path) as packed, open(to, "wb") as plain:
        shutil.copyfileobj(packed, plain)
    return to


def drives(disk, images):
    words = ["-drive", f"file={disk},if=virtio,format=raw,cache=unsafe"]
    for image in images:
        words += ["-drive", f"file={image},if=virtio,format=raw,readonly=on"]
    return words


def machine(xen, linux, initrd, disk, console, dom0_words="", images=()):
    xen_words = f"console=com1 com1=115200 conring_size=1M dom0_mem={DOM0}M,max:{DOM0}M loglvl=all guest_loglvl=all"
    return [QEMU, "-machine", "q35,accel=tcg", "-cpu", "qemu64", "-m", str(MACHINE),
            "-display", "none", "-monitor", "none", "-nodefaults", "-no-reboot", "-serial", f"file:{console}",
            "-kernel", xen, "-append", xen_words,
            "-initrd", f"{linux} console=hvc0 quiet loglevel=4 {dom0_words},{initrd}"] + drives(disk, images)


def wait_for(words, limit):
    """Whether the machine has switched itself off in time."""
    p = children.start(words)
    try:
        _, err = p.communicate(timeout=limit)
        if p.returncode:
            sys.stderr.write(err.decode(errors="replace"))
        return p.returncode == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        children.end(p)


def bring_back(disk, out):
    """What came to the disk; cut short where the machine did not end by itself."""
    try:
        with tarfile.open(disk, "r:") as tar:
            tar.extractall(out, filter="data") if hasattr(tarfile, "data_filter") else tar.extractall(out)
        with open(os.path.join(out, "rc")) as f:
            return int(f.read())
    except (tarfile.TarError, OSError, ValueError):
        return LOST


def forget(out):
    """How an earlier run ended there is not how this one does."""
    os.makedirs(out, exist_ok=True)
    if os.path.exists(os.path.join(out, "rc")):
        os.unlink(os.path.join(out, "rc"))


def run(build, job, out, files=(), limit=LIMIT, images=()):
    """The job's exit code, or LOST."""
    xen, linux, root = fetched(build)
    forget(out)
    with tempfile.TemporaryDirectory(prefix="lab.", dir=out) as work:
        disk = os.path.join(work, "disk")
        with open(disk, "wb") as f:
            f.truncate(DISK)
        initrd = make_initrd(root, work, job, files, limit)
        words = machine(unpack_file(xen, os.path.join(work, "xen")), linux, initrd, disk,
                        os.path.join(out, "dom0-console.log"), images=images)
        wait_for(words, limit)
        return bring_back(disk, out)


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop(_number, _frame):
    """Once: what comes later must not keep the machine from being ended and the folder from being removed."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def stop_by_signals():
    for number in SIGNALS:
        signal.signal(number, stop)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--limit", type=int, default=LIMIT, help="seconds")
    parser.add_argument("--disk", action="append", default=[], help="to be read, by dom0")
    parser.add_argument("build")
    parser.add_argument("job")
    parser.add_argument("out")
    parser.add_argument("file", nargs="*")
    args = parser.parse_args()
    stop_by_signals()
    try:
        return run(args.build, args.job, args.out, args.file, args.limit, args.disk)
    except NoLab as e:
        print(e, file=sys.stderr)
        return MISSING
    except KeyboardInterrupt:
        return STOPPED
    finally:
        children.end_all()


if __name__ == "__main__":
    sys.exit(main())
