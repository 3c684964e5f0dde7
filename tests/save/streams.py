# SPDX-License-Identifier: MIT
"""Save streams, taken apart and put together again (docs/specs/libxc-migration-stream, libxl-migration-stream of Xen).

Stream(bytes) reads strictly: what is not complete, or of another order than pvmm writes it, is a Broken. At the end
are streams made by hand, as far as a test wants them."""
import json
import struct

SAVE_MAGIC = b"Xen saved domain, xl format\n \0 \r"
LIBXL_CONTEXT = 1
(END, PAGE_DATA, PV_INFO, P2M_FRAMES, VCPU_BASIC, VCPU_EXTENDED, VCPU_XSAVE, SHARED_INFO, TSC_INFO) = range(9)
STATIC_DATA_END = 0x10
OPTIONAL = 0x80000000
NAMES = {END: "END", PAGE_DATA: "PAGE_DATA", PV_INFO: "X86_PV_INFO", P2M_FRAMES: "X86_PV_P2M_FRAMES",
         VCPU_BASIC: "X86_PV_VCPU_BASIC", VCPU_EXTENDED: "X86_PV_VCPU_EXTENDED", SHARED_INFO: "SHARED_INFO",
         TSC_INFO: "X86_TSC_INFO", STATIC_DATA_END: "STATIC_DATA_END"}
HEADERS = 40  # bytes of libxc's two
PAGE = 4096
LISTED = 512  # pfns in a page of the p2m list
PINNED = 8
NO_CONTENT = (13, 14, 15)  # types of pfns that come without
PFN = (1 << 52) - 1
CONTEXT = 8  # where a vCPU's begins in its record

# In a context (struct vcpu_guest_context, public/arch-x86/xen.h): bytes from its begin.
RDX, GDT_FRAMES, GDT_ENTRIES, KERNEL_SS, CR3, EVENT_EIP, CONTEXT_BYTES = 616, 4832, 4960, 4968, 5008, 5112, 5168


class Broken(Exception):
    pass


def require(what, holds):
    if not holds:
        raise Broken(what)


class Record:
    """kind, body, and where it was found."""

    def __init__(self, kind, body=b"", at=None, length=None):
        self.kind, self.body, self.at, self.length = kind, bytes(body), at, length

    def bytes(self):
        length = len(self.body) if self.length is None else self.length
        return struct.pack("<II", self.kind, length) + self.body + bytes(-len(self.body) % 8)

    def words(self):
        """The pfns of PAGE_DATA, with their types in the high bits."""
        count = struct.unpack_from("<I", self.body)[0]
        return list(struct.unpack_from(f"<{count}Q", self.body, 8))

    def pages(self):
        """[pfn, type, content or None] of PAGE_DATA."""
        words, at, all_ = self.words(), 8 + 8 * len(self.words()), []
        for w in words:
            has = w >> 60 not in NO_CONTENT
            all_.append([w & PFN, w >> 60, self.body[at:at + PAGE] if has else None])
            at += PAGE if has else 0
        require(f"PAGE_DATA at {self.at} has {len(self.body)} bytes, not {at}", at == len(self.body))
        return all_


def page_data(pages):
    return Record(PAGE_DATA, struct.pack("<II", len(pages), 0)
                  + b"".join(struct.pack("<Q", kind << 60 | pfn) for pfn, kind, _ in pages)
                  + b"".join(content for _, _, content in pages if content is not None))


def record_at(data, at, where):
    require(f"{where}: cut short at {at}", at + 8 <= len(data))
    kind, length = struct.unpack_from("<II", data, at)
    end = at + 8 + (length + 7) // 8 * 8
    require(f"{where}: the record at {at} is cut short", end <= len(data))
    return Record(kind, data[at + 8:at + 8 + length], at), end


class Stream:
    """A libxc stream, with what xl has around it, if that is there."""

    def __init__(self, data):
        self.before, self.behind = b"", b""
        at = self.outer(data)
        self.headers = data[at:at + HEADERS]
        require("no libxc header", self.headers[:12] == b"\xff" * 8 + b"XENF" and len(self.headers) == HEADERS)
        self.records, at = [], at + HEADERS
        while not self.records or self.records[-1].kind != END:
            r, at = record_at(data, at, "libxc")
            self.records.append(r)
        self.behind = data[at:]
        if not self.before:
            require("something follows END", not self.behind)
            return
        last, end = record_at(data, at, "libxl")
        require("libxl's stream has no end", last.kind == 0 and end == len(data))

    def outer(self, data):
        if not data.startswith(SAVE_MAGIC):
            return 0
        at = 48 + struct.unpack_from("<I", data, 44)[0]
        require("no libxl header", data[at:at + 8] == b"LibxlFmt")
        context, at = record_at(data, at + 16, "libxl")
        require("no LIBXC_CONTEXT", context.kind == LIBXL_CONTEXT)
        self.before = data[:at]
        return at

    def bytes(self):
        return self.before + self.headers + b"".join(r.bytes() for r in self.records) + self.behind

    def of(self, kind):
        return [r for r in self.records if r.kind == kind]

    def place(self, kind):
        """Number of the first record of this kind."""
        return next(i for i, r in enumerate(self.records) if r.kind == kind)

    def pages(self):
        """{pfn: (number of the record, index in it, type)}"""
        found = {}
        for number, r in enumerate(self.records):
            if r.kind == PAGE_DATA:
                for i, w in enumerate(r.words()):
                    require(f"pfn {w & PFN:x} is there twice", w & PFN not in found)
                    found[w & PFN] = number, i, w >> 60
        return found

    def word(self, kind, at, value=None):
        """One of 64 bits in the first record of this kind; another one in its place."""
        r = self.of(kind)[0]
        if value is not None:
            r.body = r.body[:at] + struct.pack("<Q", value) + r.body[at + 8:]
        return struct.unpack_from("<Q", r.body, at)[0]

    def content(self, pfn):
        """Where a page lies: its record, and the byte of the body."""
        number, index, kind = self.pages()[pfn]
        words = self.records[number].words()
        before = sum(w >> 60 not in NO_CONTENT for w in words[:index])
        return self.records[number], 8 + 8 * len(words) + PAGE * before

    def entry(self, pfn, slot, value=None):
        """A word of a page; another one in its place."""
        r, at = self.content(pfn)
        at += 8 * slot
        if value is not None:
            r.body = r.body[:at] + struct.pack("<Q", value) + r.body[at + 8:]
        return struct.unpack_from("<Q", r.body, at)[0]

    def entries(self, pfn):
        r, at = self.content(pfn)
        return struct.unpack_from("<512Q", r.body, at)

    def set_type(self, pfn, kind):
        """Of a page that keeps what it has of content."""
        number, index, _ = self.pages()[pfn]
        r = self.records[number]
        r.body = r.body[:8 + 8 * index] + struct.pack("<Q", kind << 60 | pfn) + r.body[16 + 8 * index:]

    def tables(self, level):
        return [pfn for pfn, (_, _, kind) in self.pages().items() if kind < 13 and kind % 8 == level]

    def end_pfn(self):
        return struct.unpack_from("<II", self.of(P2M_FRAMES)[0].body)[1] + 1


def complete(data):
    """Whether it has all that a guest needs, page by page; else a Broken."""
    s = Stream(data)
    kinds = [r.kind for r in s.records]
    for kind in (PV_INFO, P2M_FRAMES, VCPU_BASIC, SHARED_INFO, END):
        require(f"{NAMES[kind]} is there {kinds.count(kind)} times", kinds.count(kind) == 1)
    for r in s.of(PAGE_DATA):
        r.pages()
    pages, end = s.pages(), s.end_pfn()
    require(f"{len(pages)} pages of {end} pfns", 0 < len(pages) <= end and max(pages) < end)
    return s


def stored_pages(data):
    """Record, pfn, type and offset of the content of each page that has one."""
    for number, r in enumerate(Stream(data).records):
        if r.kind != PAGE_DATA:
            continue
        at = r.at + 16 + 8 * len(r.words())
        for w in r.words():
            if w >> 60 not in NO_CONTENT:
                yield number, w & PFN, w >> 60, at
                at += PAGE


# ---- by hand


def record(kind, body=b""):
    return Record(kind, body).bytes()


def headers(kind=1, version=3):
    return (struct.pack(">Q4sIHHI", 2 ** 64 - 1, b"XENF", version, 0, 0, 0)
            + struct.pack("<IHHII", kind, 12, 0, 4, 17))


def p2m_frames(end_pfn):
    return record(P2M_FRAMES, struct.pack("<II", 0, end_pfn - 1)
                  + b"".join(struct.pack("<Q", i) for i in range((end_pfn + LISTED - 1) // LISTED)))


def head(end_pfn=4096, width=8):
    """All that stands before the first page."""
    return (headers() + record(PV_INFO, struct.pack("<BB6x", width, 4 if width == 8 else 3))
            + record(STATIC_DATA_END) + p2m_frames(end_pfn))


def pages(first, count):
    """A record of them, of zeroes."""
    return page_data([(first + i, 0, bytes(PAGE)) for i in range(count)]).bytes()


def of_xl(name, stream):
    """The same, as xl wraps it: with the guest's name."""
    told = json.dumps({"c_info": {"name": name}, "b_info": {"max_memkb": 16384}}).encode() + b"\0"
    told = struct.pack("<I", len(told)) + told
    return (SAVE_MAGIC + struct.pack("<IIII", 0x01020304, 3, 0, len(told)) + told
            + struct.pack(">8sII", b"LibxlFmt", 2, 0) + record(LIBXL_CONTEXT) + stream)
