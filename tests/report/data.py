#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A report's data against what other commands, the hypervisor and the image itself say of the same guest.

Images: those that MADE-GUEST makes up; the memory of a machine in which the test kernel ran; a dump of it while it
runs; with ARTIFACTS real Xen's.
Usage: data.py PVMM MADE-GUEST KERNEL [ARTIFACTS]
"""
import json
import os
import random
import subprocess
import sys
import tempfile

from pages import FINDING, LISTED, NONE, OWNED, PINNED, RW, Pvmm

SAMPLE = 12
WAYS = 2000


class Judge:
    def __init__(self, pvmm, image, options=()):
        self.pvmm, self.image, self.bad = pvmm, image, 0
        self.page, self.d = pvmm.page(image, *options)
        self.m = self.d.meta

    def same(self, what, is_, wanted):
        if is_ != wanted:
            self.bad += 1
            print("FAIL: %s: %s: %s, not %s" % (os.path.basename(self.image), what, is_, wanted))

    def shape(self):
        d, m = self.d, self.m
        self.same("cells ascend", list(d.mfn), sorted(set(d.mfn)))
        self.same("frames by kind", [k["frames"] for k in m["kinds"]], [d.kind.count(i) for i in range(len(d.kinds))])
        self.same("tables ascend", list(d.table), sorted(set(d.table)))
        self.same("tables by kind", [bool(d.level(c)) for c in d.table], [True] * len(d.table))
        self.same("tables", len(d.table), sum(k["frames"] for k in m["kinds"] if k["key"] in ("l1", "l2", "l3", "l4")))
        self.same("first", (d.first[0], d.first[-1]), (0, len(d.slot)))
        self.same("entries", m["entries"], len(d.slot))
        self.same("the guest's frames", sum(f & OWNED != 0 for f in d.flags), m["pages"])
        uses, writable = [0] * len(d.mfn), [0] * len(d.mfn)
        for t, table in enumerate(d.table):
            for _, target, flags in d.entries(t):
                if target != NONE:
                    uses[target] += 1
                    writable[target] += d.level(table) == 1 and flags & RW != 0
        self.same("uses", list(d.uses), uses)
        self.same("writable", list(d.writable), writable)

    def lists(self):
        d = self.d
        for line in self.pvmm.run("p2m", "--json", self.image, "all", ok=(0, 1)).stdout.decode().splitlines():
            e = json.loads(line)
            if "pfn" not in e or e["state"] != "frame" or e.get("from") not in ("m2p", "container"):
                continue
            cell = d.by_pfn.get(int(e["pfn"], 0))
            self.same("frame of pfn " + e["pfn"], cell is not None and d.mfn[cell], int(e["mfn"], 0))
            published = [e["sources"].get(k) for k in ("linear", "mfn_list_list") if self.m["tree"]["kind"] == k]
            if published and published[0] and not self.m["portable"]:
                self.same("listed " + e["pfn"], d.flags[cell] & LISTED != 0, published[0].get("mfn") == e["mfn"])
            if self.bad > 20:
                return

    def inspected(self):
        o, m = self.pvmm.json("inspect", "--json", self.image), self.m
        for mine, theirs in ("kind", "kind"), ("width", "width"), ("portable", "portable"), ("pages", "pages"), \
                ("kernel", "kernel"), ("bytes", "bytes"), ("xen", "hypervisor"):
            self.same(mine, m[mine], o[theirs])
        self.same("sources", [(s["name"], s["there"]) for s in m["p2m"]],
                  [(s["name"], s["there"]) for s in o["p2m_sources"]])
        self.same("rip", [v["rip"] for v in m["vcpus"]], [v["rip"] for v in o["vcpus"] if v["valid"]])
        self.same("roots of vCPUs", [v["kernel_root"] for v in m["vcpus"]],
                  [int(v["root"]["mfn" if "mfn" in v["root"] else "pfn"], 0) for v in o["vcpus"] if v["valid"]])

    def checked(self):
        o, m = self.pvmm.json("check", "--json", self.image, ok=(0, 1)), self.m
        self.same("tables", m["tables"], o["tables"])
        self.same("findings", m["findings_in_all"], o["findings_in_all"])
        self.same("rules", [(r["rule"], r["answer"], r["findings"]) for r in m["rules"]],
                  [(r["rule"], r["answer"], r["findings"]) for r in o["rules"]])
        texts = {f["text"] for f in m["findings"]}
        for f in o["findings"]:
            self.same("finding", f["text"] in texts, True)
        for f in m["findings"]:
            for cell in (f["cell"], f["at_cell"]):
                self.same("a finding's cell is marked", cell is None or self.d.flags[cell] & FINDING != 0, True)
            if f["cell"] is not None:
                self.same("a finding's cell", self.d.mfn[f["cell"]], f["mfn"])

    def mapped(self):
        """Who maps a frame, by find-maps."""
        d = self.d
        pick = random.Random(1).sample(range(len(d.mfn)), min(SAMPLE, len(d.mfn)))
        pick += [c for k in range(len(d.kinds)) for c in [next((i for i, x in enumerate(d.kind) if x == k), None)]
                 if c is not None]
        for cell in pick:
            if not d.flags[cell] & OWNED or d.ways(cell) > WAYS:
                continue
            name = "pfn:%d" % d.pfn[cell] if self.m["portable"] else "mfn:%d" % d.mfn[cell]
            o = self.pvmm.json("find-maps", "--json", self.image, name, ok=(0, 1))
            number = "pfn" if self.m["portable"] else "mfn"
            roots = {int(r[number], 0) for r in o["roots"]}
            theirs = {(int(r["root"], 0), int(r["va"], 0)) for r in o["mappings"]}
            self.same("who maps " + name, sorted(d.maps(cell, roots)), sorted(theirs))

    def rooted(self):
        d = self.d
        place = {c: t for t, c in enumerate(d.table)}
        reach = {}
        for r in self.m["roots"]:
            todo, seen = [d.by_mfn.get(r["mfn"])], set()
            while todo:
                cell = todo.pop()
                if cell in seen or cell is None or not d.level(cell):
                    continue
                seen.add(cell)
                t = place[cell]
                if d.level(cell) > 1:
                    todo += [target for _, target, _ in d.entries(t)
                             if target != NONE and d.level(target) == d.level(cell) - 1]
            reach[r["mfn"]] = seen
            self.same("tables of root %x" % r["mfn"], r["tables"], len(seen))
        for r in self.m["roots"]:
            others = set().union(*[s for m, s in reach.items() if m != r["mfn"]])
            self.same("own tables of root %x" % r["mfn"], r["own"], len(reach[r["mfn"]] - others))
        for s in self.m["shares"]:
            for n in s["roots"]:
                root = d.by_mfn[self.m["roots"][n]["mfn"]]
                slots = {slot for slot, target, _ in d.entries(place[root]) if target == s["cell"]}
                self.same("shared slots", slots <= set(s["slots"]) and bool(slots), True)

    def tree(self):
        t = self.m["tree"]
        leaves = [n for n in t["nodes"] if n["level"] == 1]
        if t["kind"] is None or t["stale"]:
            return
        listed = sum(f & LISTED != 0 for f in self.d.flags)
        self.same("pfns that the guest lists right", t["covered"], listed)
        self.same("leaves that differ", any(n["state"] != "ok" for n in leaves),
                  any(g["first"] <= n["last_pfn"] and g["last"] >= n["first_pfn"] for n in leaves for g in t["gaps"]))

    def all(self):
        for part in self.shape, self.lists, self.inspected, self.checked, self.mapped, self.rooted, self.tree:
            part()
        print("%s: %d cells, %d tables, %d entries, %d roots, %d findings%s"
              % (os.path.basename(self.image), len(self.d.mfn), len(self.d.table), len(self.d.slot),
                 len(self.m["roots"]), self.m["findings_in_all"], ", WRONG" if self.bad else ""))
        return self.bad


def machine(pvmm, kernel, folder):
    """The hypervisor counted the frames by type itself; and has its recorder in the file."""
    memory, verdict = os.path.join(folder, "machine.mem"), os.path.join(folder, "verdict.json")
    pvmm.run("run", "-m", "48M", "--memory-file", memory, "--json", verdict, kernel, ok=range(0, 2))
    with open(verdict, encoding="utf-8") as f:
        v = json.load(f)
    j = Judge(pvmm, memory)
    counts = {k["key"]: k["frames"] for k in j.m["kinds"]}
    for level in "L1", "L2", "L3", "L4":
        j.same("the hypervisor's count of %ss" % level, counts[level.lower()], v["frames"][level])
    j.same("pinned", sum(f & PINNED != 0 for f in j.d.flags), v["frames"]["pinned"])
    t = j.m["timeline"]
    j.same("records", t["records"] > 1000 and t["records"] == len(j.d.act_time), True)
    j.same("time goes on", list(j.d.act_time), sorted(j.d.act_time))
    j.same("acts are known", max(j.d.act_kind) < len(t["acts"]), True)
    tables = {c for c, k in zip(j.d.act_cell, j.d.act_kind) if t["acts"][k] == "type" and c != NONE}
    j.same("tables that were validated in its time", bool(tables & set(j.d.table)), True)
    return j.all()


def without_entries(pvmm, image):
    """With less detail the counts are the same."""
    _, whole = pvmm.page(image)
    _, less = pvmm.page(image, "--detail", "tables", "--no-check")
    j = Judge(pvmm, image)
    j.same("detail", (whole.meta["detail"], less.meta["detail"]), ("entries", "tables"))
    j.same("uses without entries", list(less.uses), list(whole.uses))
    j.same("entries of upper tables", len(less.slot),
           sum(len(whole.entries(t)) for t, c in enumerate(whole.table) if whole.level(c) > 1))
    j.same("not checked", (less.meta["checked"], less.meta["rules"]), (False, []))
    return j.bad


def main():
    pvmm, made, kernel, artifacts = Pvmm(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in "whole", "broken":
            image = os.path.join(folder, name)
            subprocess.run([made, image] + (["broken"] if name == "broken" else []), check=True)
            bad += Judge(pvmm, image).all()
        bad += without_entries(pvmm, os.path.join(folder, "whole"))
        bad += machine(pvmm, kernel, folder)
        for name in ("pv1.core", "pvb96.core", "pv2-ckpt.save", "pvcrash.core") if artifacts else ():
            path = os.path.join(artifacts[0], name + ".zst")
            if os.path.exists(path):
                image = os.path.join(folder, name)
                subprocess.run(["zstd", "-qd", path, "-o", image], check=True)
                bad += Judge(pvmm, image).all()
    sys.exit(bad != 0)


main()
