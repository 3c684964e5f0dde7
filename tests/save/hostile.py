#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""hostile.py PVMM BUILD KERNEL ROUNDS [KIND...]: streams that no guest comes from, each by way of the command; one
good stream is what they are made from. What is wrong is refused, with its place, and nothing stays behind."""
import concurrent.futures
import gzip
import itertools
import os
import random
import re
import signal
import struct
import subprocess
import sys
import threading
import time

from lives import boot
from setting import DIR, PVMM, TMP, main, need, no_trace, pvmm
from streams import (CONTEXT, CR3, END, EVENT_EIP, GDT_ENTRIES, GDT_FRAMES, HEADERS, NAMES, OPTIONAL, P2M_FRAMES, PAGE,
                     PAGE_DATA, PINNED, PV_INFO, RDX, SHARED_INFO, STATIC_DATA_END, TSC_INFO, VCPU_BASIC,
                     VCPU_EXTENDED, Record, Stream, page_data)

ROUNDS = int(sys.argv[4])
AT_A_TIME = 2
PATIENCE = 90  # seconds for a refusal on a machine with much else to do
SILLY_PFN = 0xfffff
RW = 0x67  # an entry's bits: present, writable, for the user, accessed, dirty
LIVES = "LIVE (resumed|alive)"
numbers = itertools.count()


class Place:
    """Directories of one restore's own, so that what it leaves is seen to be its."""

    def __init__(self):
        self.at = f"{DIR}.{next(numbers)}"
        os.makedirs(f"{self.at}/tmp")
        self.env = os.environ | {"PVMM_RUNTIME_DIR": f"{self.at}/run", "TMPDIR": f"{self.at}/tmp"}

    def file(self, data):
        with open(f"{self.at}/stream", "wb") as f:
            f.write(data)
        return f.name

    def leave(self, what):
        no_trace(what, f"{self.at}/run", f"{self.at}/tmp")
        beside = set(os.listdir(self.at)) - {"tmp", "run", "stream"}
        need(f"{what}: files are left: {beside}", not beside)
        if os.path.exists(f"{self.at}/stream"):
            os.unlink(f"{self.at}/stream")

    def restore(self, path, *words, **how):
        return subprocess.Popen([PVMM, "restore", "--name", "h", "--no-core", "--accel", "tcg", *words, path],
                                cwd=self.at, env=self.env, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                                **({"stdin": subprocess.DEVNULL} | how))


def outcome(what, data, *words):
    """(exit code, stderr, seconds) of a restore; nothing is left of it."""
    place = Place()
    start = time.time()
    p = place.restore(place.file(data), *words)
    try:
        err = p.communicate(timeout=PATIENCE)[1].decode(errors="replace")
    except subprocess.TimeoutExpired:
        p.kill()
        p.wait()
        need(f"{what}: no end in {PATIENCE} s", False)
    took = time.time() - start
    place.leave(what)
    return p.returncode, err, took


def refused(what, data, says, *words):
    code, err, took = outcome(what, data, "--timeout", str(PATIENCE - 10), *words)
    need(f"{what}: the exit code is {code}, not 2", code == 2, err)
    need(f"{what}: it does not say {says}", re.search(says, err), err)
    return took


# ---- what is wrong with it: (what, stream, how it is told)

def place_of(s, number, kind=None):
    """How a record is named in a message."""
    at = HEADERS + sum(len(r.bytes()) for r in s.records[:number])
    name = NAMES[s.records[number].kind if kind is None else kind]
    return rf"record {number} \({name}\) at offset {at}\b"


def page_place(s, pfn):
    number = s.pages()[pfn][0]
    record, at = s.content(pfn)
    at += HEADERS + sum(len(r.bytes()) for r in s.records[:number]) + 8
    return rf"record {number} \(PAGE_DATA\) at offset {at}\b"


def changed(good, change):
    """A copy of the stream; what change(copy) returns is how the fault is told."""
    s = Stream(good)
    says = change(s)
    return s.bytes(), says


def bad_headers(good):
    def poke(at, piece):
        return good[:at] + piece + good[at + len(piece):]

    yield "another marker", poke(0, b"\xfe"), "not a save stream"
    yield "another magic", poke(8, b"XENG"), "libxc"
    yield "version 4", poke(12, struct.pack(">I", 4)), "of version 4"
    yield "version 0", poke(12, bytes(4)), "of version 0"
    yield "big-endian", poke(16, b"\0\1"), "big|endian|options"
    yield "HVM", poke(24, struct.pack("<I", 2)), "of an HVM guest"
    yield "pages of another size", poke(28, struct.pack("<H", 13)), "offset 24|page"
    yield "nothing", b"", "cut short"
    yield "zeroes", bytes(1 << 20), "not a save stream"


def one_gone(good):
    """Without one of its records; what needs it tells."""
    for i, r in enumerate(Stream(good).records):
        if r.kind in (TSC_INFO, VCPU_EXTENDED):  # may be missing
            continue

        def drop(s, i=i):
            del s.records[i]
            return r"(?s)offset \d+|pfn"
        yield f"without record {i} ({NAMES[r.kind]})", *changed(good, drop)


def wrong_order(good):
    """Two that stand side by side, the other way around."""
    kinds = [r.kind for r in Stream(good).records]
    free = {PAGE_DATA, VCPU_BASIC, VCPU_EXTENDED, SHARED_INFO, TSC_INFO}
    for i in range(len(kinds) - 1):
        if kinds[i] in free and kinds[i + 1] in free and (kinds[i] == kinds[i + 1]) + (PAGE_DATA not in kinds[i:i + 2]):
            continue

        def swap(s, i=i):
            s.records[i:i + 2] = reversed(s.records[i:i + 2])
            return rf"record ({i}|{i + 1}) \(\w+\) at offset \d+|offset \d+"
        yield f"records {i} and {i + 1} change places", *changed(good, swap)


def doubled(good):
    for i, r in enumerate(Stream(good).records):
        def twice(s, i=i):
            s.records.insert(i, s.records[i])
            if s.records[i].kind == END:
                return "something follows the record END, at offset"
            return place_of(s, i + 1) + ".*(already|twice|order)"
        yield f"record {i} ({NAMES[r.kind]}) twice", *changed(good, twice)


def wrong_length(good):
    for i, r in enumerate(Stream(good).records):
        for by in (-8, 8):
            if len(r.body) + by < 0 or (by > 0 and r.kind == VCPU_EXTENDED):  # it may be longer
                continue

            def change(s, i=i, by=by):
                r = s.records[i]
                says = place_of(s, i)
                r.body = r.body[:by] if by < 0 else r.body + bytes(by)
                return says
            yield f"record {i} ({NAMES[r.kind]}) by {by} bytes longer", *changed(good, change)

    def vast(s):
        s.records[3].length = 0xfffffff8
        return place_of(s, 3) + ".*its length"
    yield "a record of 4 GiB", *changed(good, vast)


def unknown(good):
    for kind in 0x13, 0x77, OPTIONAL - 1:
        for i in 0, 3, len(Stream(good).records) - 1:
            def add(s, i=i, kind=kind):
                s.records.insert(i, Record(kind, b"what is it?"))
                at = HEADERS + sum(len(r.bytes()) for r in s.records[:i])
                return rf"record {i} \(.*\) at offset {at}\b.*not known"
            yield f"type {kind:x} as record {i}", *changed(good, add)


def bad_pages(good):
    s = Stream(good)
    first, last = s.place(PAGE_DATA), max(place[0] for place in s.pages().values())

    def again(s):
        s.records.insert(last + 1, page_data([s.records[first].pages()[5]]))
        return place_of(s, last + 1) + ".*came already"
    yield "a page twice", *changed(good, again)

    def at_once(s):
        pages = s.records[first].pages()
        pages[7][0] = pages[6][0]
        s.records[first] = page_data(pages)
        return place_of(s, first) + ".*twice"
    yield "a page twice in a record", *changed(good, at_once)

    def beyond(s):
        pages = s.records[last].pages()
        pages[-1][0] = s.end_pfn()
        s.records[last] = page_data(pages)
        return place_of(s, last) + ".*is not below"
    yield "a pfn beyond the limit", *changed(good, beyond)

    def no_type(s):
        s.set_type(s.records[first].pages()[3][0], 6)
        return place_of(s, first) + ".*type 6"
    yield "a type that is none", *changed(good, no_type)

    def of_none(s):
        s.records.insert(last + 1, Record(PAGE_DATA, struct.pack("<II", 0, 0)))
        return place_of(s, last + 1)
    yield "a record without pages", *changed(good, of_none)

    def too_many(s):
        body = s.records[first].body
        s.records[first].body = struct.pack("<I", 0xffffffff) + body[4:]
        return place_of(s, first)
    yield "more pfns than bytes", *changed(good, too_many)


def root(s):
    return s.word(VCPU_BASIC, CONTEXT + CR3) >> 12


def used(s, level):
    """Tables below the root, of which some entry is there."""
    kinds, found = s.pages(), [root(s)]
    for wanted in range(3, level - 1, -1):
        below = {e >> 12 & SILLY_PFN for pfn in found for e in s.entries(pfn) if e & 1}
        found = sorted(pfn for pfn in below if pfn in kinds and kinds[pfn][2] % PINNED == wanted)
    return [pfn for pfn in found if any(e & 1 for e in s.entries(pfn))]


def filled(s, pfn):
    """A slot of a table in which there is something."""
    return next(i for i, e in enumerate(s.entries(pfn)) if e & 1)


def some_data(s):
    """A page of no table, that the guest has mapped for writing."""
    kinds = s.pages()
    for l1 in used(s, 1):
        for e in s.entries(l1):
            if e & 3 == 3 and kinds.get(e >> 12 & SILLY_PFN, (0, 0, 1))[2] == 0:
                return e >> 12 & SILLY_PFN
    return need("the guest has no data", False)


def bad_entries(good):
    def put(level, slot, value, more="", inside=False):
        """inside: the fault may be in what the entry names, when it is looked at as another kind of table."""
        def change(s):
            table = used(s, level)[0]
            at = slot if slot is not None else filled(s, table)
            s.entry(table, at, value(s, table, s.entry(table, at)))
            if inside:
                return r"R\d, .* record \d+ \(PAGE_DATA\) at offset \d+"
            return f"(?s){page_place(s, table)}.*{more}|{more}.*{page_place(s, table)}"
        return changed(good, change)

    yield "a table mapped writable", *put(1, None, lambda s, t, e: used(s, 1)[-1] << 12 | RW, r"L1|pfn")
    yield "a root mapped writable", *put(1, None, lambda s, t, e: root(s) << 12 | RW, r"L1|pfn")
    yield "a table that maps itself", *put(1, None, lambda s, t, e: t << 12 | RW, r"L1|pfn")
    yield "a pfn beyond in an L1", *put(1, None, lambda s, t, e: SILLY_PFN << 12 | RW, "is not below")
    yield "a pfn beyond in an L3", *put(3, None, lambda s, t, e: SILLY_PFN << 12 | RW, "is not below")
    yield "a root that maps itself writable", *put(4, 200, lambda s, t, e: t << 12 | RW)
    yield "an L2 in the root", *put(4, 200, lambda s, t, e: used(s, 2)[0] << 12 | RW, inside=True)
    yield "an L1 in an L3", *put(3, None, lambda s, t, e: used(s, 1)[0] << 12 | RW, inside=True)
    yield "data as an L1", *put(2, None, lambda s, t, e: some_data(s) << 12 | RW, inside=True)
    yield "the hypervisor's first slot", *put(4, 256, lambda s, t, e: used(s, 3)[0] << 12 | RW, "slot 256")
    yield "the hypervisor's last slot", *put(4, 271, lambda s, t, e: 2, "slot 271")
    yield "a superpage", *put(2, None, lambda s, t, e: e | 0x80, "superpage")
    yield "a superpage of 1 GiB", *put(3, None, lambda s, t, e: e | 0x80, "superpage")
    yield "PSE in the root", *put(4, None, lambda s, t, e: e | 0x80)
    yield "reserved bits of a frame", *put(1, None, lambda s, t, e: e | 1 << 51)

    def hole(s):
        """What is mapped is not there: the first table that has it tells."""
        gone = some_data(s)
        number, index, _ = s.pages()[gone]
        pages = s.records[number].pages()
        pages[index][1:] = [15, None]
        s.records[number] = page_data(pages)
        return rf"record \d+ \(PAGE_DATA\) at offset \d+\).*pfn {gone:x} has no page|pfn {gone:x}, at which"
    yield "an entry to a pfn without page", *changed(good, hole)


def bad_types(good):
    def retype(pick, kind, says=None):
        def change(s):
            pfn = pick(s)
            s.set_type(pfn, kind)
            return says or rf"(?s)(pfn {pfn:x}\b|pfn 0x{pfn:x}\b).*record \d+ \(\w+\) at offset \d+|" \
                           rf"record \d+ \(PAGE_DATA\) at offset \d+.*pfn {pfn:x}\b|{page_place(s, pfn)}"
        return changed(good, change)

    # Where it is not pinned, a table's level in the stream says only that it is one: what it is, its user tells.
    yield "an L3 that says it is a pinned L4", *retype(lambda s: used(s, 3)[0], PINNED | 4,
                                                      r"record \d+ \(PAGE_DATA\) at offset \d+")
    yield "the root as data", *retype(root, 0)
    yield "data, pinned as an L1", *retype(some_data, PINNED | 1)
    yield "data, pinned as an L4", *retype(some_data, PINNED | 4)
    yield "data, pinned as nothing", *retype(some_data, PINNED, r"record \d+ \(PAGE_DATA\) at offset \d+.*type 8")


def bad_vcpu(good):
    def put(at, value, says):
        def change(s):
            s.word(VCPU_BASIC, CONTEXT + at, value(s))
            if at == GDT_FRAMES:
                s.word(VCPU_BASIC, CONTEXT + GDT_ENTRIES, 512)
            return says
        return changed(good, change)

    yield "cr3 is data", *put(CR3, lambda s: some_data(s) << 12, "(?i)cr3|L4|root|page tables")
    yield "cr3 is an L1", *put(CR3, lambda s: used(s, 1)[0] << 12, "(?i)cr3|L4|root|page tables")
    yield "cr3 beyond", *put(CR3, lambda s: SILLY_PFN << 12, "(?i)cr3|L4|root|page tables")
    yield "the GDT is a table", *put(GDT_FRAMES, lambda s: used(s, 1)[0], "GDT")
    yield "the GDT is beyond", *put(GDT_FRAMES, lambda s: SILLY_PFN, "GDT")
    yield "start_info is beyond", *put(RDX, lambda s: SILLY_PFN, "start_info")
    yield "start_info is a table", *put(RDX, lambda s: used(s, 1)[0], "start_info")
    yield "start_info is other data", *put(RDX, some_data, "start_info")
    yield "a callback that is no address", *put(EVENT_EIP, lambda s: 1 << 63, "vCPU|callback|address|canonical")

    def other(s):
        r = s.of(VCPU_BASIC)[0]
        r.body = struct.pack("<I", 1) + r.body[4:]
        return place_of(s, s.place(VCPU_BASIC))
    yield "a vCPU 1", *changed(good, other)

    def narrow(s):
        s.records[s.place(PV_INFO)].body = b"\x04\x03" + bytes(6)
        return place_of(s, s.place(PV_INFO)) + ".*32 bits"
    yield "a guest of 32 bits", *changed(good, narrow)


def bad_list(good):
    def put(index, value, says):
        def change(s):
            s.word(P2M_FRAMES, 8 + 8 * index, value(s))
            return says
        return changed(good, change)

    yield "a page of the p2m list beyond", *put(0, lambda s: SILLY_PFN, "p2m list|P2M_FRAMES")
    yield "a page of the p2m list that is a table", *put(1, lambda s: used(s, 1)[0], "p2m list")
    yield "a page of the p2m list twice", *put(1, lambda s: s.word(P2M_FRAMES, 8), "p2m list")

    def shorter(s):
        r = s.of(P2M_FRAMES)[0]
        r.body = r.body[:-8]
        return place_of(s, s.place(P2M_FRAMES))
    yield "a p2m list too short", *changed(good, shorter)

    def vast(s):
        r = s.of(P2M_FRAMES)[0]
        r.body = struct.pack("<II", 0, (1 << 28) - 1) + r.body[8:]
        return place_of(s, s.place(P2M_FRAMES))
    yield "1 TiB of pfns", *changed(good, vast)


def cut_off(good):
    dice = random.Random(3)
    points = {0, HEADERS}
    at = HEADERS
    for r in Stream(good).records:
        points |= {at - 1, at, at + 1}
        at += len(r.bytes())
    points |= {len(good) - 1} | {dice.randrange(len(good)) for _ in range(40)}
    for n in sorted(points):
        if n < len(good):
            yield f"the first {n} bytes", good[:n], r"cut short.*offset \d+"


def packed(good):
    dice = random.Random(4)
    whole = gzip.compress(good, 1)
    for at in (10, 50, *(dice.randrange(len(whole)) for _ in range(4))):
        yield (f"gzip, byte {at} damaged", whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1:],
               r"gzip|offset \d+")
    for n in (1000, len(whole) // 2, len(whole) - 1):
        yield f"gzip, the first {n} bytes", whole[:n], r"cut short|gzip"


KINDS = (bad_headers, one_gone, wrong_order, doubled, wrong_length, unknown, bad_pages, bad_entries, bad_types,
         bad_vcpu, bad_list, cut_off, packed)


def all_of(jobs):
    """Results of functions without parameters, some at a time; all failures are told."""
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        futures = [pool.submit(j) for j in jobs]
        failed = [str(f.exception()) for f in futures if f.exception() is not None]
    need(f"{len(failed)} of {len(futures)}", not failed, "\n".join(failed))
    return [f.result() for f in futures]


def kinds(good):
    for kind in (k for k in KINDS if k.__name__ in sys.argv[5:] or len(sys.argv) == 5):
        start = time.time()
        took = all_of([lambda case=case: refused(*case) for case in kind(good)])
        print(f"{kind.__name__}: {len(took)} refused; the longest took {max(took):.2f} s; "
              f"{time.time() - start:.1f} s in all", flush=True)


# ---- pipes

def pour(p, chunks, end):
    """What a command takes before it has had enough; it must have had enough."""
    n = 0
    try:
        for chunk in chunks:
            if time.time() > end:
                break
            p.stdin.write(chunk)
            n += len(chunk)
    except BrokenPipeError:
        pass
    return n


def piped(what, says, start, more, *words):
    place = Place()
    p = place.restore("-", "--timeout", str(PATIENCE - 10), *words, stdin=subprocess.PIPE)
    n = pour(p, itertools.chain(start, itertools.repeat(more)), time.time() + PATIENCE)
    err = p.communicate(timeout=PATIENCE)[1].decode(errors="replace")
    need(f"{what}: {n} bytes, then the exit code is {p.returncode}, not 2", p.returncode == 2, err)
    need(f"{what}: it does not say {says}", re.search(says, err), err)
    place.leave(what)
    print(f"{what}: {n >> 10} KiB of it were enough", flush=True)


def endless(good):
    s = Stream(good)
    first = s.place(PAGE_DATA)
    head = [good[:HEADERS], *(r.bytes() for r in s.records[:first])]
    page = s.records[first].bytes()
    optional = Record(OPTIONAL | 0x77, bytes(64)).bytes() * 64
    piped("zeroes", "not a save stream", [], bytes(1 << 16))
    piped("zeroes in the pages", r"record \d+ .*at offset \d+", [*head, page], bytes(1 << 16))
    piped("optional records", "optional records", [*head, page], optional)
    piped("the same pages", "came already", head, page)
    piped("the same pages, of a guest that runs", r"record \d+ .*no end of them", head, page, "--live")
    piped("one record that is endless", r"its length is", [*head, struct.pack("<II", PAGE_DATA, 0xfffffff0)],
          bytes(1 << 16))


def stalled(good):
    for n in 20, HEADERS + 100, len(good) // 3, len(good) - 5:
        place = Place()
        p = place.restore("-", stdin=subprocess.PIPE)
        feeder = threading.Thread(target=pour, args=(p, [good[:n]], time.time() + PATIENCE))
        feeder.start()
        feeder.join()
        try:
            p.stdin.flush()
        except BrokenPipeError:
            pass
        time.sleep(1)
        need(f"behind {n} bytes it waits no more", p.poll() is None)
        start = time.time()
        p.send_signal(signal.SIGINT)
        code = p.wait(PATIENCE)
        took = time.time() - start
        p.stdin.close()
        need(f"SIGINT behind {n} bytes: the exit code is {code}", code == 130, p.stderr.read().decode())
        need(f"SIGINT behind {n} bytes: {took:.1f} s", took < 20)
        place.leave(f"stalled behind {n} bytes")
    print("a pipe that stalls, and SIGINT: it ends", flush=True)


# ---- words that are another at random

def mutated(good, s, n):
    """(what, stream): one to three words of it are others; of tables and small records more often than of data."""
    dice = random.Random(n)
    data = bytearray(good)
    spots = []
    at = HEADERS
    for r in s.records:
        if r.kind != PAGE_DATA:
            spots.append((at, len(r.bytes())))
        at += len(r.bytes())
    for pfn in (p for level in (1, 2, 3, 4) for p in s.tables(level)):
        record, inside = s.content(pfn)
        spots.append((record.at + 8 + inside, PAGE))
    told = []
    for _ in range(dice.randint(1, 3)):
        start, length = dice.choice(spots) if dice.random() < 0.8 else (HEADERS, len(good) - HEADERS)
        at = start + dice.randrange(length // 8) * 8
        old, = struct.unpack_from("<Q", data, at)
        new = dice.choice((old ^ 1 << dice.randrange(64), dice.getrandbits(64), 0, old ^ 1 << dice.randrange(12, 24)))
        struct.pack_into("<Q", data, at, new)
        told.append(f"{at}: {old:x} -> {new:x}")
    return "; ".join(told), bytes(data)


def mutant(good, s, n):
    what, data = mutated(good, s, n)
    code, err, took = outcome(f"round {n}: {what}", data, "--timeout", "8", "--expect", LIVES)
    names = {0: "runs", 1: "crashes", 2: "is refused", 124: "runs, and says nothing"}
    need(f"round {n}: {what}: the exit code is {code}", code in names, err)
    need(f"round {n}: {what}: the audit", "breach" not in err and "panic" not in err.lower(), err)
    if code in (0, 1, 124):
        need(f"round {n}: {what}: no clean audit", "audit          clean" in err, err)
    return names[code]


def mutants(good):
    s = Stream(good)
    told = all_of([lambda n=n: mutant(good, s, n) for n in range(ROUNDS)])
    print(f"{ROUNDS} of which words are others: " +
          ", ".join(f"{told.count(w)} {w}" for w in sorted(set(told))), flush=True)


def hostile():
    g = boot("good", "16M")
    pvmm("save", "--format", "libxc", g.name, f"{TMP}/good")
    g.ends_well(0)
    with open(f"{TMP}/good", "rb") as f:
        good = f.read()
    need("taken apart and put together it is another one", Stream(good).bytes() == good)
    code, err, _ = outcome("the good one", good, "--timeout", "60", "--expect", LIVES)
    need(f"the good one ends with {code}", code == 0, err)
    kinds(good)
    endless(good)
    stalled(good)
    mutants(good)
    no_trace("in the end")


main(hostile)
