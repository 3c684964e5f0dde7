# SPDX-License-Identifier: MIT
"""An image, what pvmm says of it, and what others say (truth.py)."""
import contextlib
import glob
import json
import os
import re
import subprocess
import sys
import traceback

NOT_YET = 132
PAGE = 4096

# Kernels that no reader but this one knows; what their maker's helper saw when it wrote them.
KNOWN = {
    "grub-lab.core": {"nr_pages": 16384, "nvcpu": 1, "first_mfn": "0x1fe00", "magic_at": "0x634000",
                      "cr3_pfn": "0x3fda", "magic": "xen-3.0-x86_64"},
    "gnumach-lab.core": {"nr_pages": 16379, "nvcpu": 1, "first_mfn": "0xfe00", "magic_at": "0x400c2000",
                         "cr3_pfn": "0xd6", "magic": "xen-3.0-x86_64"},
}


class Report:
    """What was compared, and what is wrong."""

    def __init__(self):
        self.name, self.held, self.wrong, self.left_out = "", 0, 0, 0

    @contextlib.contextmanager
    def about(self, name):
        self.name = name
        print(f"# {name}", flush=True)
        try:
            yield
        except Exception:  # one image that breaks the suite must not hide the others
            traceback.print_exc(file=sys.stdout)
            self.flunk("the suite itself ended there")

    def flunk(self, text):
        self.wrong += 1
        print(f"not ok {self.name}: {text}", flush=True)

    def ok(self, text):
        self.held += 1
        print(f"ok {self.name}: {text}", flush=True)

    def leave_out(self, text):
        self.left_out += 1
        print(f"skip {self.name}: {text}", flush=True)

    def same(self, what, seen, expected):
        if seen == expected:
            self.ok(what if len(str(seen)) > 60 else f"{what}: {seen}")
        else:
            self.flunk(f"{what}: {str(seen)[:300]}, expected {str(expected)[:300]}")

    def end(self):
        print(f"# {self.held} hold, {self.wrong} do not, {self.left_out} left out")
        if self.wrong or not self.held:
            sys.exit(1)


def number(text):
    return int(text, 16)


class Image:
    def __init__(self, pvmm, path, truth, report, label=None, domain=None):
        self.pvmm, self.path, self.truth, self.report, self.domain = pvmm, path, truth, report, domain
        self.file = os.path.basename(path)
        self.is_save, self.is_core = path.endswith((".save", ".migstream")), path.endswith(".core")
        self.label = label or self.find_label()
        self.map = self.packed = None
        self.oracle = self.json_of("oracle/" + self.file + ".json") or KNOWN.get(self.file, {})
        self.cache = {}

    @classmethod
    def all_of(cls, pvmm, path, truth, report):
        """One, or of a machine's memory one for each domain of which there is a truth."""
        if os.path.basename(path) != "ram":
            return [cls(pvmm, path, truth, report)]
        images = []
        for folder in sorted(glob.glob(os.path.join(truth, "truth-*"))):
            with open(os.path.join(folder, "mfndump-p2m.txt"), encoding="ascii") as f:
                domain = re.search(r"for domain (\d+)", f.read(200)).group(1)
            images.append(cls(pvmm, path, truth, report, os.path.basename(folder), domain))
        return images

    def find_label(self):
        name = os.path.splitext(self.file)[0]
        for label in (name, re.sub("-lab$", "", name)):
            if os.path.isdir(os.path.join(self.truth, "truth-" + label)):
                return "truth-" + label
        return None

    def text(self, name):
        """A file of the truth of this guest; "": there is none."""
        path = os.path.join(self.truth, self.label, name) if self.label else ""
        if not os.path.isfile(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def json_of(self, name):
        path = os.path.join(self.truth, name)
        if not os.path.isfile(path):
            return None
        with open(path, encoding="utf-8") as f:
            return json.load(f)

    def choose_map(self, maps):
        release = re.match(r"Linux version (\S+)", self.oracle.get("linux_banner") or self.labval("linux_banner"))
        for path in maps if release else []:
            if os.path.basename(path) == "System.map-" + release.group(1):
                self.map = path

    def labval(self, name):
        found = re.search(rf"LABVAL {re.escape(name)} = (.*)", self.text("console-so-far.txt"))
        return found.group(1).rstrip("\r") if found else ""

    # ---- asking pvmm

    def run(self, *words, path=None):
        """Exit code, standard output as bytes, standard error."""
        command, *rest = [str(w) for w in words]
        of = ["--domain", self.domain] if self.domain else []
        done = subprocess.run([self.pvmm, command, *of, path or self.path, *rest], timeout=600,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              check=False)
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")

    def ask(self, *words, path=None):
        """Exit code and the JSON."""
        code, out, err = self.run(*words, "--json", path=path)
        if code not in (0, 1) or not out:
            self.report.flunk(f"{' '.join(str(w) for w in words)}: exit code {code}: {err.strip()[:300]}")
            return code, None
        return code, json.loads(out)

    def inspect(self):
        if "inspect" not in self.cache:
            self.cache["inspect"] = self.ask("inspect")[1] or {}
        return self.cache["inspect"]

    def p2m(self):
        """By pfn, what `pvmm p2m all` says."""
        if "p2m" not in self.cache:
            code, out, err = self.run("p2m", "all", "--json")
            if code != 0:
                self.report.flunk(f"p2m all: exit code {code}: {err.strip()[:300]}")
            lines = [json.loads(line) for line in out.splitlines()]
            self.cache["p2m"] = {n: line for line in lines
                                 for n in range(number(line["pfn"]), number(line.get("last", line["pfn"])) + 1)}
        return self.cache["p2m"]

    def frames(self):
        """By pfn, the frame that is to be believed."""
        return {n: number(line["mfn"]) for n, line in self.p2m().items() if line["state"] == "frame"}

    def pages(self):
        """By pfn, the content of every page that is there, out of one reading."""
        if "pages" not in self.cache:
            last = number(self.inspect().get("highest_pfn") or "0x0")
            _, raw, _ = self.run("read", "pfn:0", (last + 1) * PAGE, "--as", "raw")
            there = [n for n in sorted(self.p2m()) if self.p2m()[n].get("in_image")]
            if len(raw) != len(there) * PAGE:
                self.report.flunk(f"{len(raw)} bytes read, of {len(there)} pages")
                there = []
            view = memoryview(raw)
            self.cache["pages"] = {n: view[i * PAGE:(i + 1) * PAGE] for i, n in enumerate(there)}
        return self.cache["pages"]

    # ---- the truth

    def mfndump(self):
        """By pfn, mfn and type, as xen-mfndump says; empty: it could not, or was not asked."""
        lines = re.findall(r"pfn=0x([0-9a-f]+) ==> mfn=0x([0-9a-f]+) \(type 0x([0-9a-f]+)\)",
                           self.text("mfndump-p2m.txt"))
        return {number(p): (number(m), number(t)) for p, m, t in lines if number(m) >> 40 == 0}

    def xenctx(self):
        """Of each vCPU, what xenctx says. It was asked when a core was made: a stream may be of another moment."""
        if self.is_save and self.oracle.get("vs_core", {}).get("different", 1):
            return []
        parts = re.split(r"^vcpu\d+:$", self.text("xenctx.txt"), flags=re.M)[1:]
        return [{name: number(value) for name, value in
                 re.findall(r"\b(rip|rsp|cr3|cr2): ([0-9a-f]{16})", part)} | {"text": part} for part in parts]

    def markers(self, kind):
        """Words behind LABMARK anon or tmpfs; None: the guest tells none."""
        lines = re.findall(rf"LABMARK {kind} (.*)", self.text("console-so-far.txt"))
        if not lines:
            return None
        words = lines[-1].split()
        values = dict(w.split("=", 1) for w in words if "=" in w)
        values["pfns"] = [number(w) for w in words if "=" not in w and re.fullmatch("[0-9a-f]+", w)]
        return values
