# SPDX-License-Identifier: MIT
"""A guest of a few pages, put into the frames of an empty domain by hand, as a restoring host does it."""
import struct

from machine import PAGE, Flunk

BASE = 0xffffffff80000000  # of pfn 0; slots 511, 510, 0 and the pfn
START_INFO, CONSOLE, STORE, CODE, STACK, DATA, L1, L2, L3, L4, GDT, USER_L4, ZERO, LDT = range(14)
PAGES = 14
VERSION = 3
SHARED_SLOT = 64
END_PFN = 0x2000
WALL_NS = 3_000_000_000_123_456_789  # of 2065: no clock chip says so
NO_PFN = 0xffffffff
P, RW, US, AD = 1, 2, 4, 0x60
TABLE = P | RW | US | AD
WORD, XMM, RBX = 0xdeadbeefcafe, 0x0123456789abcdef, 0x5a5a1111222233ff
FLAT_DATA = 0x00cff3000000ffff  # a data segment of DPL 3
FPU_VALID, IN_KERNEL, ONLINE = 1, 4, 32
LETTERS = b"rcxsgdmwte"


def address(pfn):
    return BASE + pfn * PAGE


class Domain:
    """What a host would hand over; fields may be spoilt before it does."""

    def __init__(self, machine, code, suspend=0, store=True):
        self.m, self.layout, self.store = machine, machine.layout, store
        machine.until("an empty domain", lambda: machine.mailbox and machine.get("transfer.version"))
        if machine.get("transfer.version") != VERSION or machine.get("transfer.page_bytes") != 16:
            raise Flunk("the version or the size of an element is another one")
        if machine.state() != 1:
            raise Flunk(f"the state is {machine.state()} while it waits")
        self.list_at, self.count = machine.get("transfer.list_at"), machine.get("transfer.pages")
        given = [struct.unpack_from("<QII", machine.memory, self.list_at + 16 * i) for i in range(self.count)]
        if any(e[1:] != (NO_PFN, 0) for e in given):
            raise Flunk("the list does not begin empty")
        # Not the first ones, and not in a row, so that nothing is right by chance.
        self.places = [7 + 5 * i for i in range(PAGES)]
        self.mfn = [given[at][0] for at in self.places]
        self.pages = {pfn: bytearray(PAGE) for pfn in range(PAGES)}
        self.list = {at: [self.mfn[pfn], pfn, 0] for pfn, at in enumerate(self.places)}
        self.transfer = bytearray(self.layout.size["transfer"])
        self.fill_pages(code)
        self.fill_context(suspend)
        self.fill_transfer()

    # ---- content

    def entry(self, table, slot, value):
        struct.pack_into("<Q", self.pages[table], 8 * slot, value)

    def map(self, table, slot, pfn, flags):
        self.entry(table, slot, self.mfn[pfn] << 12 | flags)

    def fill_pages(self, code):
        self.pages[CODE][:len(code)] = code
        self.pages[START_INFO][:14] = b"xen-3.0-x86_64"
        struct.pack_into("<8Q", self.pages[DATA], 0, WORD, XMM, RBX, self.mfn[CODE], self.m.get("console_port"), 8 | 3,
                         self.mfn[START_INFO], 0xa5)
        self.map(L4, 511, L3, TABLE)
        self.map(L3, 510, L2, TABLE)
        self.map(L2, 0, L1, TABLE)
        readonly = (L1, L2, L3, L4, GDT, USER_L4, LDT)
        for pfn in range(PAGES):
            self.map(L1, pfn, pfn, P | US | AD | (0 if pfn in readonly else RW))
        self.entry(L1, SHARED_SLOT, self.m.get("machine.shared_mfn") << 12 | P | RW | US | AD)
        struct.pack_into("<Q", self.pages[GDT], 8, FLAT_DATA)
        # What a guest leaves in the hypervisor's slots is nobody's concern.
        self.entry(L4, 256, 0x123456789000 | TABLE)
        for pfn, level in ((L4, 4), (USER_L4, 4)):
            self.list[self.places[pfn]][2] = level

    def put(self, name, value, index=0, size=8):
        """A field of the vCPU's context."""
        at = self.layout.at["transfer.context"] + self.layout.at["context." + name] + size * index
        struct.pack_into({1: "<B", 2: "<H", 4: "<I", 8: "<Q"}[size], self.transfer, at, value)

    def head(self, name, value):
        at, size = self.layout.at["transfer." + name], self.layout.size["transfer." + name]
        struct.pack_into({1: "<B", 2: "<H", 4: "<I", 8: "<Q"}[size], self.transfer, at, value)

    def shared(self, name, data, offset=0):
        at = self.layout.at["transfer.shared_info"] + self.layout.at["shared." + name] + offset
        self.transfer[at:at + len(data)] = data

    def trap(self, vector, handler):
        entry = self.layout.at["transfer.context"] + self.layout.at["context.trap_ctxt"]
        entry += self.layout.size["trap"] * vector
        struct.pack_into("<BBH", self.transfer, entry, vector, 0, 0xe030)
        struct.pack_into("<Q", self.transfer, entry + self.layout.at["trap"], handler)

    def fpu(self, offset, fmt, value):
        struct.pack_into(fmt, self.transfer,
                         self.layout.at["transfer.context"] + self.layout.at["context.fpu_ctxt"] + offset, value)

    def fill_context(self, suspend):
        self.put("flags", FPU_VALID | IN_KERNEL | ONLINE)
        self.fpu(0, "<H", 0x37f)
        self.fpu(24, "<I", 0x1f80)
        self.fpu(160 + 3 * 16, "<Q", XMM)
        for name, value in (("rip", address(CODE)), ("rsp", address(STACK) + PAGE), ("rbx", RBX), ("r13", suspend),
                            ("rflags", 0x203003)):
            self.put("user_regs." + name, value)
        self.put("user_regs.cs", 0xe030, size=2)
        self.put("user_regs.ss", 0xe028, size=2)
        self.put("gdt_frames", self.mfn[GDT])
        self.put("gdt_ents", 512)
        self.put("kernel_ss", 0xe028)
        self.put("kernel_sp", address(STACK) + PAGE)
        self.put("ctrlreg", 0x80050033, 0)
        self.put("ctrlreg", self.mfn[USER_L4] << 12, 1)
        self.put("ctrlreg", self.mfn[L4] << 12, 3)
        self.put("debugreg", 0xffff0ff0, 6)
        self.put("debugreg", 0x400, 7)
        self.put("event_callback_eip", address(CODE) + 32)
        self.trap(6, address(CODE) + 16)
        self.put("vm_assist", 1 << 2)
        for base in ("fs_base", "gs_base_kernel"):
            self.put(base, address(DATA))

    def fill_transfer(self):
        for name, value in (("version", VERSION), ("bytes", self.layout.size["transfer"]), ("pages", self.count),
                            ("used", PAGES), ("end_pfn", END_PFN), ("wall_ns", WALL_NS), ("start_info_pfn", START_INFO),
                            ("store_pfn", STORE if self.store else NO_PFN), ("console_pfn", CONSOLE), ("vcpus", 1)):
            self.head(name, value)
        # All of it stale: pending, unmasked, a clock of long ago.
        self.shared("vcpu_info", b"\1\1\0\0\0\0\0\0" + b"\xff" * 8)
        self.shared("evtchn_pending", b"\xff" * 512)
        self.shared("arch.max_pfn", struct.pack("<Q", END_PFN))
        self.shared("arch.pfn_to_mfn_frame_list_list", struct.pack("<Q", 0x777))

    # ---- handing over

    def write(self):
        for pfn, page in self.pages.items():
            self.m.memory[self.mfn[pfn] * PAGE:(self.mfn[pfn] + 1) * PAGE] = bytes(page)
        for at, element in self.list.items():
            struct.pack_into("<QII", self.m.memory, self.list_at + 16 * at, *element)
        at = self.m.get("transfer.at")
        self.m.memory[at:at + len(self.transfer)] = bytes(self.transfer)

    def build(self, bell=b"b"):
        self.write()
        self.m.ring(bell)
