# SPDX-License-Identifier: MIT
"""The test kernel, broken in one way each: notes, headers and segments patched."""
import json
import os
import re
import struct
import subprocess

ENTRY, HYPERCALL_PAGE, VIRT_BASE, PADDR_OFFSET = 1, 2, 3, 4
XEN_VERSION, GUEST_OS, LOADER, PAE_MODE, FEATURES = 5, 6, 8, 9, 10
HV_START_LOW, L1_MFN_VALID, INIT_P2M, MOD_START_PFN, SUPPORTED_FEATURES = 12, 13, 15, 16, 17
PHYS32_ENTRY = 18

PT_LOAD, PT_NOTE, SHT_NOTE = 1, 4, 7
EHDR = {"type": (16, "H"), "machine": (18, "H"), "entry": (24, "Q"), "phoff": (32, "Q"),
        "shoff": (40, "Q"), "phentsize": (54, "H"), "phnum": (56, "H"), "shnum": (60, "H")}
PHDR = struct.Struct("<IIQQQQQQ")  # type flags offset vaddr paddr filesz memsz align
TYPE, FLAGS, OFFSET, VADDR, PADDR, FILESZ, MEMSZ, ALIGN = range(8)


def u64(n):
    return struct.pack("<Q", n & (1 << 64) - 1)


def text(s):
    return s.encode() + b"\0"


class Kernel:
    def __init__(self, data):
        self.data = bytearray(data)
        at, n = self.get("phoff"), self.get("phnum")
        self.segments = [list(PHDR.unpack_from(self.data, at + i * PHDR.size)) for i in range(n)]
        self.stride = PHDR.size
        notes, = [s for s in self.segments if s[TYPE] == PT_NOTE]
        self.notes = self.read_notes(notes[OFFSET], notes[FILESZ])
        self.owner = b"Xen\0"
        self.end = None  # cut there

    def get(self, field):
        at, kind = EHDR[field]
        return struct.unpack_from("<" + kind, self.data, at)[0]

    def put(self, field, value):
        at, kind = EHDR[field]
        struct.pack_into("<" + kind, self.data, at, value)

    def read_notes(self, at, size):
        notes, end = [], at + size
        while at < end:
            name, desc, kind = struct.unpack_from("<III", self.data, at)
            at += 12 + (name + 3 & ~3)
            notes.append([kind, bytes(self.data[at:at + desc])])
            at += desc + 3 & ~3
        return notes

    def note(self, kind):
        return next(struct.unpack("<Q", d)[0] for k, d in self.notes if k == kind)

    def drop(self, *kinds):
        self.notes = [n for n in self.notes if n[0] not in kinds]
        return self

    def set(self, kind, desc):
        self.drop(kind)
        self.notes.append([kind, desc if isinstance(desc, bytes) else
                           text(desc) if isinstance(desc, str) else u64(desc)])
        return self

    def add(self, kind, desc):
        self.notes.append([kind, u64(desc) if isinstance(desc, int) else desc])
        return self

    @property
    def load(self):
        return next(s for s in self.segments if s[TYPE] == PT_LOAD)

    @property
    def image_end(self):
        return self.load[VADDR] + self.load[MEMSZ]

    def rebase(self, base):
        """As if linked for `base`; it will not run there, but no builder can know."""
        old = self.note(VIRT_BASE)
        for kind in (ENTRY, HYPERCALL_PAGE):
            self.set(kind, self.note(kind) - old + base)
        return self.set(VIRT_BASE, base)

    def bytes(self):
        blob = b"".join(struct.pack("<III", 4, len(d), k) + self.owner + d + bytes(-len(d) % 4)
                        for k, d in self.notes)
        out = self.data
        out += bytes(-len(out) % 4)
        for s in self.segments:
            if s[TYPE] == PT_NOTE:
                s[OFFSET], s[FILESZ] = len(out), len(blob)
        out += blob
        at = self.get("phoff")
        for i, s in enumerate(self.segments):
            PHDR.pack_into(out, at + i * self.stride, *s)
        self.put("phnum", len(self.segments))
        self.put("phentsize", self.stride)
        return bytes(out[:self.end])


# ---- the cases: what they do to a kernel. What becomes of it, boot_battery.py finds out.

CASES = {}


def case(how):
    CASES[how.__name__.replace("_", "-")] = how
    return how


@case
def plain(k):
    pass


def no_note(name, kind):
    CASES["no-" + name] = lambda k: k.drop(kind)


for name, kind in (("entry", ENTRY), ("hypercall-page", HYPERCALL_PAGE), ("virt-base", VIRT_BASE),
                   ("paddr-offset", PADDR_OFFSET), ("version", XEN_VERSION), ("loader", LOADER),
                   ("pae", PAE_MODE), ("init-p2m", INIT_P2M), ("mod-start-pfn", MOD_START_PFN),
                   ("supported-features", SUPPORTED_FEATURES)):
    no_note(name, kind)


def changed(name, kind, value):
    CASES[name] = lambda k: k.set(kind, value)


def behind(name, kind, pages):
    """An address so many pages behind the image's end."""
    CASES[name] = lambda k: k.set(kind, k.image_end + pages * 4096)


for name, kind, value in (
        ("entry-below", ENTRY, 0xffffffff80000000),
        ("entry-above", ENTRY, 0xffffffff80400000),
        ("entry-not-canonical", ENTRY, 0x0000900000000000),
        ("entry-hypervisor", ENTRY, 0xffff800000100000),
        ("entry-16-bytes", ENTRY, bytes(16)),
        ("version-2", XEN_VERSION, "xen-2.0"),
        ("version-longer", XEN_VERSION, "xen-3.0-mine"),
        ("version-unpadded", XEN_VERSION, b"xen-3.0\xff"),
        ("loader-foreign", LOADER, "mine"),
        ("pae-no", PAE_MODE, "no"),
        ("pae-bimodal", PAE_MODE, "yes,bimodal"),
        ("p2m-unaligned", INIT_P2M, 0xffffc98000000010),
        ("p2m-not-canonical", INIT_P2M, 0x0000900000000000),
        ("p2m-hypervisor", INIT_P2M, 0xffff808000000000),
        ("p2m-image", INIT_P2M, 0xffffffff80110000),
        ("p2m-mapped", INIT_P2M, 0xffffffff80300000),
        ("p2m-below-kernel", INIT_P2M, 0xffffffff7fff0000),
        ("p2m-top", INIT_P2M, 0xfffffffffffff000),
        ("hypercall-page-far", HYPERCALL_PAGE, 0xffffffff90000000),
        ("hypercall-page-before", HYPERCALL_PAGE, 0xffffffff80008000),
        ("hv-start-low-high", HV_START_LOW, 0xffff810000000000),
        ("paddr-offset-high", PADDR_OFFSET, 0x200000),
        ("paddr-offset-shifts", PADDR_OFFSET, 0x100000),
        ("features-required-unknown", FEATURES, "!of_my_own"),
        ("features-required-unnamed", FEATURES, "!mmu_pt_update_preserve_ad"),
        ("features-required-known", FEATURES, "!writable_page_tables|pae_pgdir_above_4gb"),
        ("features-supervisor", FEATURES, "!supervisor_mode_kernel"),
        ("features-unknown", FEATURES, "of_my_own|another"),
        ("features-dom0", FEATURES, "!dom0"),
        ("supported-without-dom0", SUPPORTED_FEATURES, 1),
        ("l1-mfn-valid-odd", L1_MFN_VALID, u64(1) + u64(2)),
        ("l1-mfn-valid-short", L1_MFN_VALID, u64(1)),
        ("note-unknown", 99, u64(1))):
    changed(name, kind, value)

CASES["hypercall-page-unaligned"] = lambda k: k.set(HYPERCALL_PAGE, k.note(HYPERCALL_PAGE) + 16)
# The tables that a builder makes follow soon, and end.
behind("hypercall-page-in-tables", HYPERCALL_PAGE, 1)
behind("hypercall-page-behind", HYPERCALL_PAGE, 9)


@case
def linux_any_loader(k):
    k.set(LOADER, "mine").set(GUEST_OS, "linux")


@case
def linux_no_loader(k):
    k.drop(LOADER).set(GUEST_OS, "linux")


@case
def supported_in_words(k):
    k.set(SUPPORTED_FEATURES, 1).set(FEATURES, "dom0")


@case
def pvh_only(k):
    k.drop(ENTRY).set(PHYS32_ENTRY, struct.pack("<I", 0x11a000))


@case
def entry_twice_good_last(k):
    good = k.note(ENTRY)
    k.drop(ENTRY).add(ENTRY, 0).add(ENTRY, good)


@case
def entry_twice_bad_last(k):
    k.add(ENTRY, 0)


@case
def no_notes(k):
    k.notes = []
    at, n = k.get("shoff"), k.get("shnum")
    k.segments = [s for s in k.segments if s[TYPE] != PT_NOTE]
    for i in range(n):
        if struct.unpack_from("<I", k.data, at + i * 64 + 4)[0] == SHT_NOTE:
            struct.pack_into("<I", k.data, at + i * 64 + 4, 1)


@case
def notes_in_sections_alone(k):
    k.segments = [s for s in k.segments if s[TYPE] != PT_NOTE]


@case
def notes_foreign(k):
    no_notes(k)
    k.segments.append([PT_NOTE, 4, 0, 0, 0, 0, 0, 4])
    k.notes, k.owner = [[1, u64(0)]], b"GNU\0"


@case
def note_damaged(k):
    k.notes.append([99, b""])
    build = k.bytes

    def damaged():
        out = bytearray(build())
        struct.pack_into("<I", out, len(out) - 16 + 4, 0x7fffffff)
        return bytes(out)
    k.bytes = damaged


@case
def virt_base_unaligned(k):
    k.set(VIRT_BASE, 0xffffffff80000010).set(PADDR_OFFSET, 0x10)


@case
def image_unaligned(k):
    """It starts 16 bytes before a page."""
    for field in (OFFSET, VADDR, PADDR):
        k.load[field] -= 16
    for field in (FILESZ, MEMSZ):
        k.load[field] += 16


@case
def virt_base_not_canonical(k):
    k.rebase(0x0001000000000000)


@case
def virt_base_hypervisor(k):
    k.rebase(0xffff800000000000)


@case
def low_half_p2m_overlaps(k):
    """Linked for nowhere near, but there the toolstack sees what overlaps."""
    k.rebase(0x40000000).set(INIT_P2M, 0x3fff0000)


@case
def virt_base_top(k):
    k.rebase(0xffffffffffc00000)


@case
def class_32(k):
    k.data[4] = 1


@case
def big_endian(k):
    k.data[5] = 2


@case
def machine_386(k):
    k.put("machine", 3)


@case
def type_relocatable(k):
    k.put("type", 1)


def more_segments(k, *segments):
    at = k.segments.index(k.load) + 1
    k.segments[at:at] = [list(s) for s in segments]


@case
def segments_overlap(k):
    more_segments(k, k.load)


@case
def segments_overlap_much(k):
    more_segments(k, k.load, k.load)


@case
def segments_many(k):
    top = k.load[PADDR] + k.load[MEMSZ]
    more_segments(k, *([PT_LOAD, 6, 0, 0, top + i * 4096, 0, 4096, 4096] for i in range(16)))


@case
def segment_wraps(k):
    more_segments(k, [PT_LOAD, 6, 0, 0, 0x200000, 0, (1 << 64) - 1, 4096])


@case
def segment_beyond_memory(k):
    more_segments(k, [PT_LOAD, 6, 0, 0, 1 << 38, 0, 4096, 4096])


@case
def segment_beyond_memory_by_little(k):
    more_segments(k, [PT_LOAD, 6, 0, 0, 65 << 20, 0, 4096, 4096])


@case
def segment_most_of_memory(k):
    more_segments(k, [PT_LOAD, 6, 0, 0, 40 << 20, 0, 4096, 4096])


@case
def segment_empty(k):
    more_segments(k, [PT_LOAD, 6, 0, 0, 0x200000, 0, 0, 4096])


@case
def segment_no_rights(k):
    k.load[FLAGS] = 0


@case
def segment_more_in_file(k):
    k.load[MEMSZ] = k.load[FILESZ] - 0x1000


@case
def segment_all_in_one_page_less(k):
    """The entry's page lies in a gap between two segments."""
    entry = k.note(ENTRY) - k.note(VIRT_BASE) & ~4095
    s = k.load
    skip = entry + 4096 - s[PADDR]
    more_segments(k, [PT_LOAD, 7, s[OFFSET] + skip, s[VADDR] + skip, entry + 4096,
                      s[FILESZ] - skip, s[MEMSZ] - skip, 4096])
    s[FILESZ] = s[MEMSZ] = entry - s[PADDR]


@case
def segments_none(k):
    k.segments = [s for s in k.segments if s[TYPE] != PT_LOAD]


@case
def headers_of_64_bytes(k):
    k.stride = 64


@case
def headers_of_0_bytes(k):
    build = k.bytes

    def zero():
        out = bytearray(build())
        struct.pack_into("<H", out, EHDR["phentsize"][0], 0)
        return bytes(out)
    k.bytes = zero


@case
def cut_before_sections(k):
    """What a kernel needs is there, what a debugger needs is not."""
    k.put("shoff", 1 << 24)


@case
def cut_in_segment(k):
    k.end = k.load[OFFSET] + k.load[FILESZ] // 2


@case
def cut_in_segment_no_sections(k):
    """The notes are moved to the front, the file ends before its segment does."""
    k.put("shoff", 0)
    k.put("shnum", 0)
    k.load[FILESZ] = len(k.data)
    k.load[MEMSZ] = max(k.load[MEMSZ], k.load[FILESZ])


@case
def cut_in_header(k):
    k.end = 60


@case
def kernel_32(k):
    """A 32-bit kernel with all its notes."""
    base, size = 0x100000, 0x1000
    notes = b"".join(struct.pack("<III", 4, len(d), kind) + b"Xen\0" + d + bytes(-len(d) % 4)
                     for kind, d in ((XEN_VERSION, text("xen-3.0")), (LOADER, text("generic")),
                                     (GUEST_OS, text("mine")), (PAE_MODE, text("yes")),
                                     (VIRT_BASE, bytes(4)), (ENTRY, struct.pack("<I", base))))
    ident = b"\x7fELF\1\1\1" + bytes(9)
    header = ident + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, base, 52, 0, 0, 52, 32, 2, 40, 0, 0)
    load = struct.pack("<8I", PT_LOAD, 0x1000, base, base, size, size, 7, 0x1000)
    note = struct.pack("<8I", PT_NOTE, 52 + 64, 0, 0, len(notes), len(notes), 4, 4)
    file = header + load + note + notes
    k.bytes = lambda: file + bytes(0x1000 - len(file)) + b"\xeb\xfe" + bytes(size - 2)


# ---- as before there were notes

SHDR = struct.Struct("<IIQQQQIIQQ")  # name type flags addr offset size link info align entsize


def add_section(k, name, content):
    """At the end of the file, with a new table of headers and of names."""
    at, n = k.get("shoff"), k.get("shnum")
    headers = [list(SHDR.unpack_from(k.data, at + i * SHDR.size)) for i in range(n)]
    names = headers[struct.unpack_from("<H", k.data, 62)[0]]
    old = bytes(k.data[names[4]:names[4] + names[5]])
    k.data += bytes(-len(k.data) % 8)
    names[4], names[5] = len(k.data), len(old) + len(name) + 1
    k.data += old + text(name)
    headers.append([len(old), 1, 0, 0, len(k.data), len(content), 0, 0, 1, 0])
    k.data += content + bytes(-len(content) % 8)
    k.put("shoff", len(k.data))
    k.put("shnum", len(headers))
    for h in headers:
        k.data += SHDR.pack(*h)


def legacy(k, **changes):
    base = k.note(VIRT_BASE)
    words = {"GUEST_OS": "mine", "XEN_VER": "xen-3.0", "LOADER": "generic",
             "VIRT_BASE": hex(base), "ELF_PADDR_OFFSET": "0", "VIRT_ENTRY": hex(k.note(ENTRY)),
             "HYPERCALL_PAGE": hex(k.note(HYPERCALL_PAGE) - base >> 12)}
    words.update(changes)
    no_notes(k)
    add_section(k, "__xen_guest",
                text(",".join(f"{key}={value}" for key, value in words.items() if value)))


@case
def legacy_plain(k):
    legacy(k)


@case
def legacy_no_offset(k):
    legacy(k, ELF_PADDR_OFFSET=None)


@case
def legacy_offset_of_base(k):
    """What the default is for: physical addresses that are virtual ones."""
    k.load[PADDR] += k.note(VIRT_BASE)
    legacy(k, ELF_PADDR_OFFSET=None)


@case
def legacy_hypercall_page_far(k):
    legacy(k, HYPERCALL_PAGE="0x4000")


@case
def legacy_loader_foreign(k):
    legacy(k, LOADER="mine")


@case
def legacy_feature_unknown(k):
    """Xen drops what it has against it, and reads no further."""
    legacy(k, FEATURES="!of_my_own")


@case
def legacy_feature_unknown_first(k):
    legacy(k, GUEST_OS="mine,FEATURES=!of_my_own")


# The same kernel in little memory, and with a ramdisk of its own: (memory, ramdisk), in MiB.
ROOM = {"memory-3M": (3, 0), "memory-4M": (4, 0), "memory-5M": (5, 0),
        "ramdisk-59M": (64, 59), "ramdisk-60M": (64, 60)}
for name in ROOM:
    CASES[name] = plain
for size in (40, 59):
    CASES[f"ramdisk-{size}M-mapped"] = CASES["no-mod-start-pfn"]
    ROOM[f"ramdisk-{size}M-mapped"] = (64, size)


def room(name):
    memory, ramdisk = ROOM.get(name, (64, 0))
    return memory << 20, ramdisk << 20


def make(name, data):
    k = Kernel(data)
    CASES[name](k)
    return k.bytes()


def ask(tool, directory, names):
    """Lint's answers about the kernels there, by name."""
    answers = {}
    for memory, ramdisk in sorted({room(n) for n in names}):
        paths = [os.path.join(directory, n) for n in names if room(n) == (memory, ramdisk)]
        out = subprocess.run([*tool, "--memory", str(memory), "--initrd", str(ramdisk), *paths],
                             stdout=subprocess.PIPE, check=True).stdout
        answers.update({os.path.basename(a["file"]): a for a in map(json.loads, out.splitlines())})
    return {n: answers[n] for n in names}


# ---- what lint says that Xen will say

AS_DOMU = re.compile(r"(.*?) ?\(as a domU: (.*)\)$")


def said(finding, domu):
    """The words to look for; "": none."""
    if finding["text"].startswith("as a domU" if not domu else "as dom0:"):
        return ""
    both = AS_DOMU.match(finding["also"])
    if not both:
        return finding["also"]
    return "" if domu and both[2] == "nothing" else both[2] if domu else both[1]
