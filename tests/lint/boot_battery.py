# SPDX-License-Identifier: MIT
"""Does what lint foretells come true? Broken kernels (boot_kernels.py) are booted on pvmm, those
whose end is not plain under Xen too, and who started them is compared with lint's answers:
boot_battery.py [--liar LIAR] ASK PVMM KERNEL XEN [CASE...]. With a liar, who turns lint's answers round,
all must come out wrong."""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

import boot_kernels

PATIENCE = float(os.environ.get("PVMM_TEST_PATIENCE", "60"))
AT_ONCE = 2

# Started, and then dead of what is amiss in the kernel itself: no builder can know.
DIES = {
    "hypercall-page-unaligned": "what it calls is not where it looks",
    "p2m-unaligned": "its list is in no place for a list",
}

# Where "undecidable" is an answer.
OPEN = {"cut-in-segment-no-sections", "segments-overlap-much", "segment-wraps"}

# As good as another case on both: boot_codes.py and boot_toolstack.py have them all the same.
NOT_BOOTED = {"no-pae", "pae-bimodal", "features-required-unnamed", "features-unknown",
              "l1-mfn-valid-short", "supported-in-words", "legacy-hypercall-page-far"}

# The same check as another case's, or no start at all in pvmm and none in Xen for the same reason.
NOT_ON_XEN = {
    "pae-no", "no-mod-start-pfn", "note-unknown", "l1-mfn-valid-odd",
    "no-supported-features", "entry-below", "entry-not-canonical",
    "entry-hypervisor", "entry-twice-bad-last", "no-version", "linux-no-loader",
    "no-paddr-offset", "segment-beyond-memory",
    "segments-none", "cut-in-header", "cut-in-segment", "notes-foreign",
    "entry-16-bytes", "features-required-known", "big-endian", "ramdisk-40M-mapped", "memory-5M",
    "legacy-loader-foreign", "legacy-no-offset", "p2m-top", "hypercall-page-before", "memory-4M",
}

READY = re.compile(rb"^TAP version", re.M)
XEN_END = re.compile(rb"^TAP version|Panic on CPU|Domain 0 crashed|Dom0 crashed|rebooting machine",
                     re.M)


# ---- what happens

def on_pvmm(pvmm, path, memory, ramdisk):
    """(started, ready, what was said)"""
    log = path + ".log"
    run = subprocess.run(
        ["timeout", str(PATIENCE + 10), pvmm, "run", "--no-core", "--accel", "tcg", "-m",
         f"{memory >> 20}M", "-a", "test=checks.*", "--timeout", str(int(PATIENCE)), "--expect",
         "^TAP version", "--log", log, *(["-i", ramdisk] if ramdisk else []), path],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    said = open(log, "rb").read() if os.path.exists(log) else b""
    return b"start_info pfn" in said, run.returncode == 0, said + run.stderr


def on_xen(xen, path, memory, ramdisk):
    """Without `pvmm run`, which does not give Xen what pvmm would not start."""
    words = (f"console=com1 com1=115200 bootscrub=0 noreboot dom0_max_vcpus=1 "
             f"dom0_mem={memory >> 10}K,max:{memory >> 10}K")
    qemu = subprocess.Popen(
        ["qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "qemu64", "-m", "256M",
         "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
         "-kernel", xen, "-append", words, "-initrd",
         f"{path} console=hvc0 test=checks.*" + (f",{ramdisk}" if ramdisk else "")],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    bound = threading.Timer(PATIENCE / 2, qemu.kill)
    bound.start()
    out = b""
    try:
        while (chunk := os.read(qemu.stdout.fileno(), 65536)):
            out += chunk
            if XEN_END.search(out):
                time.sleep(0.2)  # the rest of the sentence
                os.set_blocking(qemu.stdout.fileno(), False)
                out += qemu.stdout.read() or b""
                break
    finally:
        bound.cancel()
        qemu.kill()
        qemu.wait()
    return b"Scrubbing Free RAM" in out or b"Xen is relinquishing VGA" in out or \
        b"Serial input to DOM0" in out or bool(READY.search(out)), bool(READY.search(out)), out


# ---- what was foretold

def judge(name, foretold, started, ready):
    """What the table says, and whether it is as it was foretold."""
    what = "ready" if ready else "started, died" if started else "refused"
    if foretold == "undecidable":
        return what, name in OPEN and started
    if foretold == "no":
        return what, not ready
    return what, started and (not ready if name in DIES else ready)


def dom0_answer(answer):
    """Of dom0 alone; what is open is open."""
    if answer["xen"] == "undecidable":
        return "undecidable"
    return "yes" if "as dom0: yes" in answer["xen_why"] else "no"


def reasons(answer, xen):
    return [f for f in answer["findings"] if f["code"].startswith("xen-") == xen and
            f["weight"] != "note" or xen and f["code"] in ("xen-not-dom0", "xen-not-domu")]


def words_kept(answer, said, xen):
    """What a builder will say it does say."""
    for f in reasons(answer, xen):
        if f["weight"] == "open":
            continue
        words = boot_kernels.said(f, False) if xen else f["text"]
        if words.encode() not in said:
            return False
    return True


def make_ramdisk(name, path):
    """(memory, file or None): an archive with nothing in it, and zeroes behind."""
    memory, size = boot_kernels.room(name)
    if size == 0:
        return memory, None
    with open(path + ".ramdisk", "wb") as f:
        trailer = b"TRAILER!!!\0"
        fields = [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, len(trailer), 0]
        f.write(b"070701" + b"".join(b"%08x" % n for n in fields) + trailer)
        f.truncate(size)
    return memory, f.name


def run_one(name, answer, path, pvmm, xen):
    memory, ramdisk = make_ramdisk(name, path)
    rows = [("pvmm", answer["pvmm"], on_pvmm(pvmm, path, memory, ramdisk), False)]
    if name not in NOT_ON_XEN:
        rows.append(("xen", dom0_answer(answer), on_xen(xen, path, memory, ramdisk), True))
    out = []
    for where, foretold, (started, ready, said), is_xen in rows:
        what, right = judge(name, foretold, started, ready)
        spoken = what != "refused" or words_kept(answer, said, is_xen)
        codes = " ".join(f["code"] for f in reasons(answer, is_xen))
        out.append((where, name, foretold, codes, what, right, spoken, said))
    return out


def unpack_xen(path, directory):
    elf = os.path.join(directory, "xen")
    with open(elf, "wb") as f:
        subprocess.run(["gzip", "-dc", path], stdout=f, check=True)
    return elf


def main():
    arguments, tool = sys.argv[1:], []
    lies = arguments[0] == "--liar"
    if lies:
        tool, arguments = [sys.executable, "-B", arguments[1]], arguments[2:]
    tool, (pvmm, kernel, xen), only = tool + arguments[:1], arguments[1:4], arguments[4:]
    if not os.path.exists(xen):
        print(f"no {xen}: run scripts/fetch-xen.sh")
        return 77
    wrong, count = [], {"pvmm": 0, "xen": 0}
    with tempfile.TemporaryDirectory() as d:
        image = unpack_xen(xen, d)
        base = open(kernel, "rb").read()
        names = [n for n in boot_kernels.CASES if n in only or not only and n not in NOT_BOOTED]
        for name in names:
            with open(os.path.join(d, name), "wb") as f:
                f.write(boot_kernels.make(name, base))
        answers = boot_kernels.ask(tool, d, names)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            jobs = [pool.submit(run_one, n, answers[n], os.path.join(d, n), pvmm, image)
                    for n in names]
            for job in jobs:
                for where, name, foretold, codes, what, right, spoken, said in job.result():
                    count[where] += 1
                    mark = "WRONG" if not right else "" if spoken else "WORDS"
                    print(f"{name:34} {where:5} {foretold:12} {codes:20} {what:14} {mark}",
                          flush=True)
                    if mark:
                        wrong.append(f"{name} on {where}")
                        tail = said.decode(errors="replace").splitlines()[-12:]
                        print("".join(f"    | {line}\n" for line in tail), end="")
    print(f"{count['pvmm']} kernels on pvmm, {count['xen']} of them under Xen; "
          f"{len(wrong)} not as foretold")
    return 0 if len(wrong) == (sum(count.values()) if lies else 0) else 1


if __name__ == "__main__":
    sys.exit(main())
