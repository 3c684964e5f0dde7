# SPDX-License-Identifier: MIT
"""A report's page, taken apart as docs/report-format.md has it, and how pvmm is asked for the same by other commands."""
import array
import base64
import html.parser
import json
import subprocess
import zlib

NONE = 0xffffffff
PINNED, USER, EXECUTABLE, ZEROES, FINDING, OWNED, LISTED = 1, 2, 4, 8, 16, 32, 64
RW, US, ACCESSED, DIRTY, SUPERPAGE, GLOBAL, NX = 1, 2, 4, 8, 16, 32, 64
CODES = {"u8": ("B", 0xff), "u16": ("H", 0xffff), "u32": ("I", 0xffffffff)}


class Elements(html.parser.HTMLParser):
    """What a browser makes of it: elements, and the text of scripts, styles and the title."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.styles, self.title, self.metas, self.others = [], [], "", [], []
        self.inside = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.inside = tag
        if tag == "script":
            self.scripts.append([dict(attrs), ""])
        elif tag == "style":
            self.styles.append("")
        elif tag == "meta":
            self.metas.append(dict(attrs))
        self.others.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts[-1][1] += data
        elif self.inside == "style":
            self.styles[-1] += data
        elif self.inside == "title":
            self.title += data


class Data:
    def __init__(self, meta, columns):
        self.meta = meta
        for name, about in meta["columns"].items():
            setattr(self, name, column(about, columns[name]))
        self.kinds = [k["key"] for k in meta["kinds"]]
        self.by_mfn = {m: i for i, m in enumerate(self.mfn)}
        self.by_pfn = {p: i for i, p in enumerate(self.pfn) if p != NONE}
        self.holders = None

    def entries(self, table):
        """(slot, target, flags) of the table of that place."""
        return [(self.slot[i], self.target[i], self.entry[i])
                for i in range(self.first[table], self.first[table + 1])]

    def level(self, cell):
        kind = self.kinds[self.kind[cell]]
        return int(kind[1]) if kind in ("l1", "l2", "l3", "l4") else 0

    def who_holds(self, cell):
        """(table's cell, slot, flags), through `target` alone."""
        if self.holders is None:
            self.holders = {}
            for t, table in enumerate(self.table):
                for slot, target, flags in self.entries(t):
                    self.holders.setdefault(target, []).append((table, slot, flags))
        return self.holders.get(cell, [])

    def ways(self, cell, level=0, known=None):
        """How many ways lead to it: a page that stands for all that is missing can have millions."""
        known = {} if known is None else known
        if cell not in known:
            known[cell] = sum(1 if self.level(t) == 4 else self.ways(t, level + 1, known)
                              for t, _, _ in self.who_holds(cell) if self.level(t) == level + 1)
        return known[cell]

    def maps(self, cell, roots):
        """Every (root's mfn, va) that maps the frame."""
        found = set()

        def up(table, va):
            level = self.level(table)
            if level == 4:
                if self.mfn[table] in roots:
                    found.add((self.mfn[table], va | 0xffff << 48 if va >> 47 else va))
                return
            for above, slot, _ in self.who_holds(table):
                if self.level(above) == level + 1:
                    up(above, va | slot << 12 + 9 * level)

        for table, slot, _ in self.who_holds(cell):
            if self.level(table) == 1:
                up(table, slot << 12)
        return found


def column(about, text):
    code, mask = CODES[about["type"]]
    values = array.array(code)
    values.frombytes(zlib.decompress(base64.b64decode(text, validate=True)))
    assert len(values) == about["count"], "a column has %d elements, not %d" % (len(values), about["count"])
    last = 0
    for i in range(len(values) if about["coding"] == "delta" else 0):
        values[i] = last = last + values[i] & mask
    return values


def parse(text):
    """The page's elements and data."""
    page = Elements(text)
    data = {a["id"]: t for a, t in page.scripts if "id" in a}
    meta = json.loads(data.pop("pvmm-report"))
    return page, Data(meta, {n[len("pvmm-column-"):]: t for n, t in data.items()})


def answer(text):
    o = json.loads(text)
    return Data(o["meta"], o["columns"])


class Pvmm:
    def __init__(self, program):
        self.program = program

    def run(self, *words, ok=(0,), **how):
        done = subprocess.run([self.program, *words], capture_output=True, timeout=300, check=False,
                              stdin=subprocess.DEVNULL, **how)
        if done.returncode not in ok:
            raise AssertionError("pvmm %s: exit code %d: %s" % (" ".join(words), done.returncode,
                                                               done.stderr.decode(errors="replace")))
        return done

    def json(self, *words, ok=(0,)):
        return json.loads(self.run(*words, ok=ok).stdout)

    def page(self, image, *options):
        return parse(self.run("report", *options, "-o", "-", image).stdout.decode())
