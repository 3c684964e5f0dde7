#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The test kernel as a domain of real xl: xl.py PVMM BUILD KERNEL CASE.

Each case is one boot of the lab and a job in it. What the domain said, what the toolstack said, and the images
that came back are judged here.
"""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import lab  # noqa: E402

PATIENCE = int(os.environ.get("PVMM_TEST_PATIENCE", "720"))
PAGES_OF_MIB = 256
UNKNOWN = (1 << 64) - 1
STEPS = re.compile(r"^STEP (\S+) (\d+) (\d+)$", re.M)
COUNTS = re.compile(r"^COUNT (\S+) (\d+)$", re.M)


class Flunk(Exception):
    pass


def check(what, good, more=""):
    if not good:
        raise Flunk(f"{what}\n{more}")


class Boot:
    """One boot of the lab, and what came of it."""

    def __init__(self, pvmm, build, kernel, work):
        self.pvmm, self.build, self.kernel, self.out = pvmm, build, kernel, work

    def run(self, job, words=""):
        self.words = os.path.join(self.out, "words")
        with open(self.words, "w") as f:
            f.write(words)
        kernel = os.path.join(self.out, "pvkernel")
        shutil.copy(self.kernel, kernel)
        jobs = os.path.join(HERE, "jobs")
        self.rc = lab.run(self.build, os.path.join(jobs, job + ".sh"), self.out,
                          [kernel, self.words, os.path.join(jobs, "lib.sh")], PATIENCE)
        self.log = self.read("job.log" if self.rc != lab.LOST else "dom0-console.log")

    def read(self, name):
        try:
            with open(os.path.join(self.out, name), errors="replace") as f:
                return f.read().replace("\r", "")
        except OSError:
            return ""

    def console(self, name):
        return self.read(f"console/guest-{name}.log")

    def ended_well(self, *names):
        """Every step of the toolstack's succeeded, and so did the job."""
        tail = "\n".join([self.log] + [self.console(n)[-3000:] for n in names])
        check(f"the job ended with {self.rc}", self.rc == 0, tail)
        failed = [s for s in STEPS.findall(self.log) if s[1] != "0"]
        check(f"steps failed: {failed}", not failed and "FAILED" not in self.log, tail)

    def counts(self):
        return {label: int(pages) for label, pages in COUNTS.findall(self.log)}


# ---- images

def sections(path):
    """Of a 64-bit ELF file: {name: (offset, size)}."""
    with open(path, "rb") as f:
        head = f.read(64)
        check(f"{path} is no core", head[:6] == b"\x7fELF\x02\x01")
        table, = struct.unpack_from("<Q", head, 40)
        size, count, names = struct.unpack_from("<HHH", head, 58)
        f.seek(table)
        rows = [struct.unpack_from("<IIQQQQ", f.read(size)) for _ in range(count)]
        f.seek(rows[names][4])
        text = f.read(rows[names][5])
    return {text[r[0]:text.index(b"\0", r[0])].decode(): (r[4], r[5]) for r in rows}


def core_pages(path):
    """How many pages a core has, by its own list: each once, with a frame of its own. What the guest's list
    does not tell the toolstack is in it without a number."""
    where = sections(path)
    offset, size = where[".xen_p2m"]
    with open(path, "rb") as f:
        f.seek(offset)
        rows = list(struct.iter_unpack("<QQ", f.read(size)))
    check(f"{path}: content of other pages", where[".xen_pages"][1] == len(rows) * 4096)
    known = [row for row in rows if row != (UNKNOWN, UNKNOWN)]
    check(f"{path}: pages twice", len({r[0] for r in known}) == len(known))
    check(f"{path}: frames twice", len({r[1] for r in known}) == len(known))
    return len(known)


def contract_holds(boot, name):
    done = subprocess.run([boot.pvmm, "check", "--json", os.path.join(boot.out, name)], capture_output=True,
                          timeout=PATIENCE)
    text = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    check(f"pvmm check {name}: exit code {done.returncode}", done.returncode == 0, text[-3000:])
    check(f"pvmm check {name}: {text[-1000:]}", json.loads(done.stdout).get("findings", None) in ([], 0))


def cores_are_whole(boot, pages):
    """pages: {label: how many the toolstack asked for}."""
    counts = boot.counts()
    for label, wanted in pages.items():
        listed = core_pages(os.path.join(boot.out, label + ".core"))
        told = f"{label}: {wanted} pages wanted, {counts.get(label)} by the hypervisor, {listed} in the core"
        print(told)
        check(f"not the same: {told}", listed == counts.get(label) == wanted)
        contract_holds(boot, label + ".core")


# ---- cases

def case_tests(boot, words=""):
    boot.run("tests", words)
    boot.ended_well("tests")
    console = boot.console("tests")
    path = os.path.join(boot.out, "tests.tap")
    with open(path, "w") as f:
        f.write(console)
    tap = subprocess.run(["awk", "-f", os.path.join(HERE, "../xen/tap.awk"), path], capture_output=True, text=True)
    print("\n".join(line for line in console.splitlines() if re.search("# SKIP|PVKERNEL-DONE|^not ok", line)))
    check("the tests", tap.returncode == 0, tap.stdout + console[-3000:])


def case_tests_tree(boot):
    case_tests(boot, "p2m=tree")


def said_well(console):
    lines = [line for line in console.splitlines() if line.startswith("LIVE")]
    print("\n".join(line for line in lines if " alive " not in line))
    bad = [line for line in lines if re.search("BAD|FATAL|refused|LIVE balloon", line)]
    check(f"{len(bad)} bad lines", not bad, "\n".join(bad))
    for line in lines:
        if re.match("LIVE (alive|target|resumed|cancelled)", line):
            check("not all is well", line.endswith(" sum=ok lists=ok spaces=ok"), line)
    return lines


def in_order(lines, patterns):
    rest = iter(lines)
    for pattern in patterns:
        check(f"no {pattern} where it should be", any(re.match(pattern, line) for line in rest), "\n".join(lines))


def target(mib):
    pages = mib * PAGES_OF_MIB
    return f"LIVE target={pages} now={pages} "


def case_life(boot, words=""):
    boot.run("life", words)
    print("\n".join(" ".join(s) for s in STEPS.findall(boot.log)))
    lines = said_well(boot.console("live"))
    boot.ended_well("live")
    in_order(lines, ["LIVE up ", target(12), target(24), "LIVE suspending", "LIVE resumed grant=ok ", "LIVE alive",
                     target(20), "LIVE suspending", "LIVE cancelled grant=ok ", "LIVE alive", target(14),
                     "LIVE suspending", "LIVE resumed grant=ok ", "LIVE alive", "LIVE reboots", "LIVE up ",
                     "LIVE alive n=1 ", "LIVE ends"])
    check("it is still there", not re.search(r"^live ", boot.log, re.M), boot.log)
    cores_are_whole(boot, {label: mib * PAGES_OF_MIB for label, mib in {"down": 12, "up": 24, "second": 14}.items()})
    for name in ("first.save", "checkpoint.save", "second.save"):
        contract_holds(boot, name)


def case_life_tree(boot):
    case_life(boot, "p2m=tree")


def case_lend(boot):
    boot.run("lend")
    lender, borrower = boot.console("lender"), boot.console("borrower")
    print("\n".join(line for line in (lender + borrower).splitlines() if re.match("LEND|BORROW|LIVE", line)))
    boot.ended_well("lender", "borrower")
    in_order(lender.splitlines(), [r"LEND page=[0-9a-f]+ ref=\d+ to=2$", "LEND answer=ok$",
                                   r"LEND ended busy=[1-9]\d* grants=0$"])
    in_order(borrower.splitlines(), ["BORROW waits -13$", r"BORROW another ref=\d+: -\d+ .*grant",
                                     r"BORROW ref=\d+ from=1 pattern=ok$", "BORROW done mappings=0 readable=no$"])


def finds(what, words, judge, *args):
    """The judge says no, and for this reason."""
    try:
        judge(*args)
    except Flunk as e:
        found = re.search(words, str(e))
        check(f"{what}: found for another reason", found, str(e))
        print(f"{what}: {found.group()}")
        return
    raise Flunk(f"{what}: not found")


def case_finds(boot):
    """The judges of a life can say no: a list that ends early in a domain that has grown, a page spoilt."""
    boot.run("finds")
    boot.ended_well("short", "spoilt")
    short, spoilt = boot.console("short"), boot.console("spoilt")
    finds("a short list, by the domain", r"LIVE target=6144 now=6144 sum=ok lists=BAD:listed-\d+,", said_well, short)
    finds("a short list, by its core", "not the same: short: 6144 .* 6144 .* 3072 in", cores_are_whole, boot,
          {"short": 24 * PAGES_OF_MIB})
    finds("a short list, by the contract", r"pvmm check short.core: exit code 1\n", contract_holds, boot, "short.core")
    finds("a spoilt page", r"LIVE cancelled grant=ok sum=BAD:1-of-\d+-from-", said_well, spoilt)
    check("nothing else", "lists=BAD" not in spoilt and "spaces=BAD" not in short + spoilt, spoilt)


CASES = {name[len("case_"):].replace("_", "-"): f for name, f in list(globals().items()) if name.startswith("case_")}


def main():
    pvmm, build, kernel, name = sys.argv[1:]
    lab.stop_by_signals()
    keep = os.environ.get("PVMM_KEEP")  # a folder for what comes back
    work = os.path.join(keep, name) if keep else tempfile.mkdtemp(prefix="xl.")
    os.makedirs(work, exist_ok=True)
    try:
        CASES[name](Boot(pvmm, build, kernel, work))
    except lab.NoLab as e:
        print(e)
        return lab.MISSING
    except KeyboardInterrupt:
        return lab.STOPPED
    except Flunk as e:
        print(f"{name}: {e}", file=sys.stderr)
        return 1
    finally:
        lab.children.end_all()
        if not keep:
            shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
