#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reports of guests that never were (docs/report-format.md), for the tests of the page.

madeup.py OUT [--frames N] [--chunk N] [--findings] [--timeline] [--hostile] [--tables] [--live] [--data] [--turn N]

A Linux-like guest of N frames: a map of all memory, kernel text, two roots that share the kernel's L3s, a list of
frames in three levels. With --chunk its memory lies in the machine in shuffled chunks of so many frames. --data: the
JSON object of a live page instead of a page; --turn N: the N-th of them, a bit changed.
Prints what a test can ask for."""

import argparse
import base64
import hashlib
import json
import os
import random
import re
import sys
import zlib

NONE = 0xffffffff
PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "report", "page")
KINDS = [("l4", "L4 table"), ("l3", "L3 table"), ("l2", "L2 table"), ("l1", "L1 table"),
         ("segdesc", "descriptor page"), ("shared_info", "shared_info"), ("start_info", "start_info"),
         ("list", "the guest's list of frames"), ("text", "kernel text"), ("kernel_ro", "kernel, read-only"),
         ("user_text", "user text"), ("user", "user"), ("user_ro", "user, read-only"),
         ("kernel", "kernel, mapped twice"),
         ("plain", "plain"), ("blank", "plain, all zeroes"), ("foreign", "not the guest's")]
KIND = {key: i for i, (key, _) in enumerate(KINDS)}
RW, US, A, D, NX = 1, 2, 4, 8, 64
PINNED, USER, EXEC, ZERO, FOUND, OWN, LISTED = 1, 2, 4, 8, 16, 32, 64
MAP, TEXT_VA, USER_VA = 0xffff888000000000, 0xffffffff81000000, 0x7f0000000000


class Column:
    """Elements appended in runs of a constant step; delta coded ones are so much shorter to make."""

    def __init__(self, kind, coding="plain"):
        self.kind, self.coding, self.count, self.last, self.parts = kind, coding, 0, 0, []
        self.size = {"u8": 1, "u16": 2, "u32": 4}[kind]
        self.mask = (1 << 8 * self.size) - 1

    def run(self, first, n, step=0):
        if n <= 0:
            return
        word = lambda v: (v & self.mask).to_bytes(self.size, "little")
        if self.coding == "delta":
            self.parts.append(word(first - self.last) + word(step) * (n - 1))
        elif step == 0:
            self.parts.append(word(first) * n)
        else:
            self.parts.append(b"".join(word(first + i * step) for i in range(n)))
        self.last = first + (n - 1) * step
        self.count += n

    def text(self):
        return base64.b64encode(zlib.compress(b"".join(self.parts), 6)).decode()


class Guest:
    def __init__(self, frames, chunk, rng):
        self.n, self.rng = frames, rng
        self.chunk = chunk or frames
        nr = -(-frames // self.chunk)
        order = list(range(nr))
        if chunk:
            rng.shuffle(order)
        self.chunks = []                            # in order of mfn: (first pfn, frames, first mfn)
        self.where = {}
        cell, mfn = 1, 0x10000                      # cell 0: shared_info
        for k in order:
            count = min(self.chunk, frames - k * self.chunk)
            self.where[k] = (cell, mfn)
            self.chunks.append((k * self.chunk, count, mfn))
            cell, mfn = cell + count, mfn + count + (rng.randrange(64) * 16 if chunk else 0)
        self.shared_info = 0x7a9                    # below all the others
        self.cells = cell
        self.tables = {}                            # pfn: (level, [(slot, pfn or None, n, flags)])
        self.kind = [(0, frames, "plain")]
        self.pages = {}                             # pfn: (kind, flags), of single frames
        self.spans = []                             # (first pfn, end, kind, flags)
        self.next_table = 0
        self.lay_out()

    def cell(self, pfn):
        cell, _ = self.where[pfn // self.chunk]
        return cell + pfn % self.chunk

    def mfn(self, pfn):
        _, mfn = self.where[pfn // self.chunk]
        return mfn + pfn % self.chunk

    def table(self, level, pinned=False):
        pfn = self.next_table
        self.next_table += 1
        self.tables[pfn] = (level, [])
        self.pages[pfn] = ("l%d" % level, OWN | LISTED | (PINNED if pinned else 0))
        return pfn

    def put(self, table, slot, pfn, n=1, flags=RW | A | D | NX):
        self.tables[table][1].append((slot, pfn, n, flags))

    def map_range(self, root, va, pfn, n, flags, made):
        """Map n frames at va; tables already made are looked up in `made`."""
        while n:
            at = root
            for level in (4, 3, 2):
                slot = va >> (12 + 9 * (level - 1)) & 511
                key = (root if level == 4 and slot < 256 else 0, level, va >> (12 + 9 * (level - 1)))
                if key not in made:
                    made[key] = self.table(level - 1)
                    self.put(at, slot, made[key], 1, RW | US | A)
                at = made[key]
            slot = va >> 12 & 511
            count = min(n, 512 - slot)
            self.put(at, slot, pfn, count, flags)
            va, pfn, n = va + count * 4096, pfn + count, n - count

    def lay_out(self):
        n = self.n
        text, nr_text = n // 16, max(16, min(n // 16, 4096))
        self.next_table = n // 4
        self.root = self.table(4, True)
        made = {}
        self.map_range(self.root, MAP, 0, n, RW | A | D | NX, made)
        self.map_range(self.root, TEXT_VA, text, nr_text, A, made)
        self.user_root = self.table(4, True)
        for slot, pfn, count, flags in list(self.tables[self.root][1]):
            self.put(self.user_root, slot, pfn, count, flags)
        user, nr_user = n // 2, max(16, n // 16)
        self.map_range(self.user_root, USER_VA, user, nr_user, RW | US | A | D | NX, made)
        end = self.next_table
        assert end < n // 2, "too few frames for their tables"
        self.text_pfn, self.user_pfn = text, user
        self.start_info = n // 8
        self.lists = range(n // 8 + 1, n // 8 + 1 + max(1, n // 512))
        self.spans = [(text, text + nr_text * 2 // 3, "text", OWN | LISTED | EXEC),
                      (text + nr_text * 2 // 3, text + nr_text, "kernel_ro", OWN | LISTED),
                      (self.lists[0], self.lists[-1] + 1, "list", OWN | LISTED),
                      (user, user + nr_user // 3, "user", OWN | LISTED | USER),
                      (user + nr_user // 3, user + nr_user // 2, "user_text", OWN | LISTED | USER | EXEC),
                      (user + nr_user // 2, user + nr_user, "user_ro", OWN | LISTED | USER),
                      (n * 5 // 8, n * 5 // 8 + n // 32, "kernel", OWN | LISTED),
                      (n * 3 // 4, n, "blank", OWN | LISTED | ZERO)]
        self.pages[self.start_info] = ("start_info", OWN | LISTED)
        self.pages[n // 8 - 1] = ("segdesc", OWN | LISTED)
        self.entries_of_user = nr_user

    def touch(self, turn):
        """A few frames of other kinds, as a guest that runs has them."""
        rng = random.Random(turn)
        for _ in range(min(64, self.n // 64)):
            self.pages[self.n * 3 // 4 + rng.randrange(self.n // 8)] = (
                rng.choice(["user", "kernel", "l1", "user_ro"]), OWN | LISTED)

    def columns(self, found=(), tables_only=False):
        n = self.n
        kind = bytearray([KIND["plain"]]) * n
        flags = bytearray([OWN | LISTED]) * n
        for first, end, key, flag in self.spans:
            kind[first:end] = bytes([KIND[key]]) * (end - first)
            flags[first:end] = bytes([flag]) * (end - first)
        for pfn, (key, flag) in self.pages.items():
            kind[pfn], flags[pfn] = KIND[key], flag
        uses = bytearray(b"\1\0") * n
        for first, end, key, _ in self.spans:
            if key in ("text", "kernel_ro") or key.startswith("user"):
                uses[2 * first:2 * end] = b"\2\0" * (end - first)
        for pfn in found:
            flags[pfn] |= FOUND
        writable = bytearray(b"\1\0") * n
        for pfn, (key, _) in self.pages.items():
            if key[0] == "l" and key[1:].isdigit():
                writable[2 * pfn:2 * pfn + 2] = b"\0\0"
        c = {"mfn": Column("u32", "delta"), "pfn": Column("u32", "delta"), "kind": Column("u8"), "flags": Column("u8"),
             "uses": Column("u16"), "writable": Column("u16")}
        c["mfn"].run(self.shared_info, 1)
        c["pfn"].run(NONE, 1)
        counts = [0] * len(KINDS)
        for name, value in (("kind", KIND["shared_info"]), ("flags", 0), ("uses", 1), ("writable", 1)):
            c[name].run(value, 1)
        counts[KIND["shared_info"]] = 1
        for pfn, count, mfn in self.chunks:
            c["mfn"].run(mfn, count, 1)
            c["pfn"].run(pfn, count, 1)
            for name, data, size in (("kind", kind, 1), ("flags", flags, 1), ("uses", uses, 2),
                                     ("writable", writable, 2)):
                c[name].parts.append(bytes(data[pfn * size:(pfn + count) * size]))
                c[name].count += count
        for i in range(len(KINDS)):
            counts[i] += kind.count(i)
        self.counts = counts
        c.update(self.table_columns(tables_only))
        return c

    def table_columns(self, tables_only):
        c = {"table": Column("u32", "delta"), "first": Column("u32", "delta"), "slot": Column("u16", "delta"),
             "target": Column("u32", "delta"), "entry": Column("u8")}
        for pfn in sorted(self.tables, key=self.cell):
            level, entries = self.tables[pfn]
            c["table"].run(self.cell(pfn), 1)
            c["first"].run(c["slot"].count, 1)
            if tables_only and level == 1:
                continue
            for slot, target, count, flag in sorted(entries):
                while count:
                    part = min(count, self.chunk - target % self.chunk)
                    c["slot"].run(slot, part, 1)
                    c["target"].run(self.cell(target), part, 1)
                    c["entry"].run(flag, part)
                    slot, target, count = slot + part, target + part, count - part
        c["first"].run(c["slot"].count, 1)
        return c

    def tree(self):
        leaves = self.lists
        nodes = [{"level": 3, "mfn": self.mfn(leaves[0]), "index": 0, "parent": None, "first_pfn": 0,
                  "last_pfn": self.n - 1, "present": len(leaves), "state": "ok", "text": ""}]
        mids = max(1, -(-len(leaves) // 512))
        for i in range(mids):
            nodes.append({"level": 2, "mfn": self.mfn(leaves[min(i, len(leaves) - 1)]), "index": i, "parent": 0,
                          "first_pfn": i * 512 * 512, "last_pfn": min(self.n, (i + 1) * 512 * 512) - 1,
                          "present": min(512, len(leaves) - i * 512), "state": "ok", "text": ""})
        for i, pfn in enumerate(leaves[:512]):
            nodes.append({"level": 1, "mfn": self.mfn(pfn), "index": i % 512, "parent": 1 + i // 512,
                          "first_pfn": i * 512, "last_pfn": min(self.n, (i + 1) * 512) - 1, "present": 512,
                          "state": "ok", "text": ""})
        return {"kind": "mfn_list_list", "max_pfn": self.n - 1, "covered": self.n, "populated": self.n, "nodes": nodes,
                "gaps": []}


def the_meta(g, o, columns):
    entries = columns["slot"].count
    sharing = [s for s, _, _, _ in g.tables[g.root][1] if s >= 256]
    l3_of = {s: p for s, p, _, _ in g.tables[g.root][1]}
    meta = {
        "format": 1, "pvmm": "0.1.0 (build id made up)", "made": "2026-11-23T07:00:00Z", "live": o.live or o.data,
        "file": "madeup.core", "bytes": g.n * 4096, "kind": "xl dump-core", "xen": "4.17.7", "lost": "",
        "detail": "tables" if o.tables else "entries", "left_out": "entries of L1 tables" if o.tables else "",
        "kernel": "Linux version 6.1.0-made-up", "domain": {"id": 5, "name": "madeup", "uuid": None}, "width": 8,
        "portable": False, "pages": g.n, "end_pfn": g.n, "nr_frames": g.n, "cells": g.cells,
        "shared_info": g.shared_info, "start_info": g.mfn(g.start_info),
        "kinds": [{"key": k, "name": name, "frames": g.counts[i]} for i, (k, name) in enumerate(KINDS)],
        "columns": {name: {"type": c.kind, "count": c.count, "coding": c.coding} for name, c in columns.items()},
        "vcpus": [{"n": 0, "kernel_root": g.mfn(g.root), "user_root": g.mfn(g.user_root), "rip": hex(TEXT_VA + 0x10),
                   "symbol": "xen_hypercall_sched_op+0xa", "in_kernel": True}],
        "regions": [{"name": "user", "from": "0x0", "to": "0x7fffffffffff"},
                    {"name": "map of all memory", "from": hex(MAP), "to": hex(MAP + g.n * 4096 - 1)},
                    {"name": "kernel text", "from": hex(TEXT_VA), "to": "0xffffffff9fffffff"}],
        "roots": [{"mfn": g.mfn(g.root), "pfn": g.root, "of": "vCPU 0", "pinned": True,
                   "tables": len(g.tables) - 5, "own": 1, "frames": g.n},
                  {"mfn": g.mfn(g.user_root), "pfn": g.user_root, "of": "pinned", "pinned": True,
                   "tables": len(g.tables) - 1, "own": 5, "frames": g.n}],
        "shares": [{"mfn": g.mfn(l3_of[s]), "level": 3, "slots": [s], "roots": [0, 1]} for s in sharing],
        "p2m": [{"name": "container", "there": True, "stale": False, "end": g.n, "has": g.n, "how": ".xen_p2m"},
                {"name": "linear", "there": True, "stale": False, "end": g.n, "has": g.n, "how": "p2m_vaddr"},
                {"name": "tree", "there": False, "stale": False, "end": 0, "has": 0, "how": "no frame list"}],
        "p2m_summary": {"pfns": g.n, "agreed": g.n, "disagreed": 0, "recovered": 0, "ranges": 0},
        "p2m_runs": len(g.chunks), "differences": [], "tree": g.tree(),
        "rules": [{"rule": i, "answer": "undecidable" if i in (7, 9) else "holds",
                   "why": "nothing in an image says it" if i in (7, 9) else "every entry was looked at", "findings": 0}
                  for i in range(1, 11)],
        "findings": [], "findings_in_all": 0,
        "symbols": [{"name": "linux_banner", "va": hex(TEXT_VA + 0x1900), "mfn": g.mfn(g.text_pfn + 1)},
                    {"name": "init_task", "va": hex(TEXT_VA + 0x3a40), "mfn": g.mfn(g.text_pfn + 3)}],
        "timeline": None}
    assert entries == columns["target"].count == columns["entry"].count
    return meta


def add_findings(meta, g, found):
    for i, pfn in enumerate(found):
        table = max(p for p in g.tables if g.tables[p][0] == 1)
        meta["findings"].append({
            "code": "writable-table" if i % 2 == 0 else "list-short", "rule": 3 if i % 2 == 0 else 8,
            "text": "L1 table mfn %x is mapped writable by mfn %x slot %d" % (g.mfn(pfn), g.mfn(table), i),
            "mfn": g.mfn(pfn), "pfn": pfn, "cell": g.cell(pfn), "at": "0x%x" % (g.mfn(table) * 4096 + 8 * i),
            "entry": "0x%x" % (g.mfn(pfn) * 4096 | 0x67), "va": hex(MAP + pfn * 4096), "symbol": None, "count": 1 + i})
    for n, answer in ((3, "broken"), (8, "broken")):
        meta["rules"][n - 1].update(answer=answer, why="entries say otherwise", findings=(len(found) + 1) // 2)
    meta["findings_in_all"] = len(found)
    tree = meta["tree"]
    tree["covered"] = g.n * 3 // 4
    tree["gaps"] = [{"first": g.n * 3 // 4, "last": g.n - 1, "what": "beyond", "text": "the list ends before max_pfn"}]
    for node in tree["nodes"]:
        if node["level"] == 1 and node["first_pfn"] >= g.n * 3 // 4:
            node["state"] = "missing"


def add_timeline(meta, columns, g, rng):
    acts = ["pin", "unpin", "update", "emulated write", "fault", "load root"]
    time, n = 0, 4000
    for name, kind, coding in (("act_time", "u32", "delta"), ("act_kind", "u8", "plain"), ("act_cell", "u32", "plain")):
        columns[name] = Column(kind, coding)
    for i in range(n):
        time += int(rng.expovariate(1 / 500)) if i % 700 else 60000
        columns["act_time"].run(time, 1)
        columns["act_kind"].run(min(5, int(rng.expovariate(0.6))), 1)
        columns["act_cell"].run(rng.choice([NONE, g.cell(rng.randrange(g.n))]), 1)
    for name in ("act_time", "act_kind", "act_cell"):
        c = columns[name]
        meta["columns"][name] = {"type": c.kind, "count": c.count, "coding": c.coding}
    meta["timeline"] = {"tick": 1000, "span": time * 1000, "records": n, "lost": 12, "acts": acts}


def hostile(meta):
    name = '</script><img src=x onerror="document.title=\'broken\'"><b>&amp;'
    meta["domain"]["name"] = meta["file"] = meta["kernel"] = name
    meta["vcpus"][0]["symbol"] = meta["regions"][2]["name"] = name
    meta["symbols"].append({"name": name, "va": "0xzz", "mfn": 1 << 40})
    meta["findings"].append({"code": name, "rule": 99, "text": name, "mfn": 1, "pfn": None, "cell": 0xfffffff0,
                             "at": name, "entry": name, "va": name, "symbol": name, "count": -1})
    meta["roots"].append({"mfn": 0, "pfn": None, "of": name, "pinned": False, "tables": 0, "own": 0, "frames": 0})
    meta["shares"].append({"mfn": 5, "level": 3, "slots": [9999], "roots": [77, -1]})
    meta["tree"]["nodes"].append({"level": 9, "mfn": None, "index": -4, "parent": 12345, "first_pfn": 5, "last_pfn": 1,
                                  "present": 0, "state": name, "text": name})


def inlined(text):
    """As report/pack.py and report_page() do it, policy by hashes and all."""
    hashes = {"script": [], "style": []}

    def one(kind):
        def replace(m):
            with open(os.path.join(PAGE, m.group(1)), encoding="utf-8") as f:
                part = f.read()
            hashes[kind].append("'sha256-%s'" % base64.b64encode(hashlib.sha256(part.encode()).digest()).decode())
            return "<%s>%s</%s>" % (kind, part, kind)
        return replace
    text = re.sub(r'<link rel="stylesheet" href="([^"]+)">', one("style"), text)
    text = re.sub(r'<script src="([^"]+)"></script>', one("script"), text)
    policy = ("default-src 'none'; script-src %s; style-src %s; img-src data: blob:; "
              "connect-src 'self'; base-uri 'none'"
              % (" ".join(hashes["script"]), " ".join(hashes["style"])))
    return text.replace("<!-- pvmm:policy -->", '<meta http-equiv="Content-Security-Policy" content="%s">' % policy)


def page(meta, columns):
    data = ['<script type="application/json" id="pvmm-report">%s</script>' % json.dumps(meta).replace("<", "\\u003c")]
    for name, text in columns.items():
        data.append('<script type="application/octet-stream" id="pvmm-column-%s">%s</script>' % (name, text))
    with open(os.path.join(PAGE, "page.html"), encoding="utf-8") as f:
        whole = inlined(f.read())
    return whole.replace("<!-- pvmm:title -->", "made up").replace("<!-- pvmm:data -->", "\n".join(data))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("out")
    p.add_argument("--frames", type=int, default=32768)
    p.add_argument("--chunk", type=int, default=0)
    for name in ("findings", "timeline", "hostile", "tables", "live", "data", "damaged"):
        p.add_argument("--" + name, action="store_true")
    p.add_argument("--turn", type=int, default=0)
    o = p.parse_args()
    rng = random.Random(7)
    if o.live:
        with open(o.out, "w", encoding="utf-8") as f:
            f.write(page({"format": 1, "live": True, "columns": {}}, {}))
        return 0
    g = Guest(o.frames, o.chunk, rng)
    if o.turn:
        g.touch(o.turn)
    found = sorted(p for p in g.tables if g.tables[p][0] == 1)[3:60:7] if o.findings else []
    columns = g.columns(found, o.tables)
    meta = the_meta(g, o, columns)
    if found:
        add_findings(meta, g, found)
    if o.timeline:
        add_timeline(meta, columns, g, rng)
    if o.hostile:
        hostile(meta)
    texts = {name: c.text() for name, c in columns.items()}
    if o.damaged:
        texts["pfn"] = texts["pfn"][:len(texts["pfn"]) // 8 * 4]
    with open(o.out, "w", encoding="utf-8") as f:
        f.write(json.dumps({"meta": meta, "columns": texts}) if o.data else page(meta, texts))
    print(json.dumps({
        "cells": g.cells, "root": g.mfn(g.root), "user_root": g.mfn(g.user_root), "text_pfn": g.text_pfn,
        "text_mfn": g.mfn(g.text_pfn), "banner_pfn": g.text_pfn + 1, "banner_mfn": g.mfn(g.text_pfn + 1),
        "banner_va": hex(TEXT_VA + 0x1900), "start_info": g.mfn(g.start_info), "user_mfn": g.mfn(g.user_pfn),
        "user_pfn": g.user_pfn, "user_va": hex(USER_VA), "found": [g.mfn(p) for p in found], "counts": g.counts}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
