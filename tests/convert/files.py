# SPDX-License-Identifier: MIT
"""Readers of the three formats, without pvmm's: pages by pfn."""
import mmap
import struct

PAGE = 4096
FRAME = 0x000ffffffffff000
XENS = range(256, 272)  # the hypervisor's own slots of a root


def mapped(path):
    with open(path, "rb") as f:
        return mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)


class Core:
    """A dump-core."""

    def __init__(self, path):
        self.map = m = mapped(path)
        at, = struct.unpack_from("<Q", m, 40)
        n, names = struct.unpack_from("<HH", m, 60)
        headers = [struct.unpack_from("<IIQQQQIIQQ", m, at + 64 * i) for i in range(n)]
        text = headers[names][4]
        self.section = {m[text + h[0]:m.find(b"\0", text + h[0])].decode(): (h[4], h[5]) for h in headers}
        at, size = self.section[".xen_p2m"]
        self.mfn, self.at = {}, {}
        for i in range(size // 16):
            pfn, mfn = struct.unpack_from("<QQ", m, at + 16 * i)
            if pfn != 2**64 - 1:
                self.mfn[pfn], self.at[pfn] = mfn, self.section[".xen_pages"][0] + PAGE * i
        self.pfn = {mfn: pfn for pfn, mfn in self.mfn.items()}

    def bytes(self, name):
        at, size = self.section[name]
        return self.map[at:at + size]

    def page(self, pfn):
        return self.map[self.at[pfn]:self.at[pfn] + PAGE]

    def portable(self, pfn, level):
        """The page as a stream has it: frames of the guest's by pfn, what names others is nothing."""
        words = list(struct.unpack("<512Q", self.page(pfn)))
        for i, word in enumerate(words):
            own = (word & FRAME) >> 12 in self.pfn
            if (level == 4 and i in XENS) or (word & 1 and not own):
                words[i] = 0
            elif word & 1:
                words[i] = word & ~FRAME | self.pfn[(word & FRAME) >> 12] << 12
        return struct.pack("<512Q", *words)


class Stream:
    """A stream of libxc's, without xl's headers."""

    def __init__(self, path):
        self.map = m = mapped(path)
        self.type, self.at, self.other, at = {}, {}, [], 40
        while at < len(m):
            kind, size = struct.unpack_from("<II", m, at)
            body, at = at + 8, at + 8 + (size + 7) // 8 * 8
            if kind != 1:
                self.other.append((kind, m[body:body + size]))
                continue
            n, = struct.unpack_from("<I", m, body)
            data = body + 8 + 8 * n
            for word in struct.unpack_from(f"<{n}Q", m, body + 8):
                pfn, kind = word & (1 << 52) - 1, word >> 60
                self.type[pfn] = kind
                if kind < 0xd:
                    self.at[pfn], data = data, data + PAGE

    def level(self, pfn):
        return self.type[pfn] & 7

    def page(self, pfn):
        return self.map[self.at[pfn]:self.at[pfn] + PAGE]


class Elf:
    """An ELF core, as a debugger has it: by p_paddr and by p_vaddr."""

    def __init__(self, path):
        self.map = m = mapped(path)
        at, = struct.unpack_from("<Q", m, 32)
        n, = struct.unpack_from("<H", m, 56)
        self.load, self.at = [], {}
        for i in range(n):
            kind, _, offset, va, pa, size = struct.unpack_from("<IIQQQQ", m, at + 56 * i)
            if kind == 1:
                self.load.append((va, pa, offset, size))
                for page in range(0, size, PAGE):
                    was = self.at.setdefault((pa + page) >> 12, offset + page)
                    assert was == offset + page, f"pfn {(pa + page) >> 12:x} lies at two places"

    def page(self, pfn):
        return self.map[self.at[pfn]:self.at[pfn] + PAGE]

    def read(self, va, n):
        for begin, _, offset, size in self.load:
            if begin <= va and va + n <= begin + size:
                return self.map[offset + va - begin:offset + va - begin + n]
        return None
