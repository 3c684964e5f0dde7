#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A guest that the host puts together, and every way to do it wrong: transfer.py HYPERVISOR OFFSETS GUEST [CASE]."""
import struct
import sys

sys.dont_write_bytecode = True
import domain as d  # noqa: E402
from machine import NO_HOLD, PAUSED, RUNNING, SUSPENDED, Flunk, Layout, Machine  # noqa: E402

MEMORY = 4 << 20


def incoming(words="", memory=MEMORY, modules=()):
    return Machine(LAYOUT, HYPERVISOR, f"mem={memory} seed=7 incoming=1 {words}", modules, megabytes=64)


def check(what, got, expected):
    if got != expected:
        raise Flunk(f"{what} is {got!r}, not {expected!r}")


def runs(words="store=1", suspend=0, bell=b"b", store=True, said=b""):
    """To its end, and the machine as it is then."""
    with incoming(words) as m:
        dom = d.Domain(m, GUEST, suspend=suspend, store=store)
        dom.build(bell)
        m.says(b"\n")
        check("what it said", m.console, d.LETTERS + said + b"\n")
        m.ends("poweroff")
        check_published(m, dom)


def check_published(m, dom):
    shared = m.page(m.get("machine.shared_mfn"))
    field = LAYOUT.at["shared.arch.pfn_to_mfn_frame_list_list"]
    check("the frame list list", struct.unpack_from("<Q", shared, field)[0], 0)
    check("max_pfn", struct.unpack_from("<Q", shared, LAYOUT.at["shared.arch.max_pfn"])[0], d.END_PFN)
    sec, nsec = (struct.unpack_from("<I", shared, LAYOUT.at[f"shared.wc_{unit}"])[0] for unit in ("sec", "nsec"))
    before = d.WALL_NS - (sec * 10**9 + nsec)  # it is that of the machine's start
    if nsec >= 10**9 or not 0 < before < 60 * 10**9:
        raise Flunk(f"the wall clock says {sec} s, {nsec} ns, {before / 1e9:.3f} s before it was told")
    check("start_info", m.get("machine.start_info_pfn"), d.START_INFO)
    check("the root", m.get("machine.initial_root"), dom.mfn[d.L4])
    check("guest_frames", m.get("verdict.guest_frames"), d.END_PFN)
    check("the console's frame", m.get("console_mfn"), dom.mfn[d.CONSOLE])
    m2p = m.get("machine.m2p_at")
    for pfn, mfn in enumerate(dom.mfn):
        check(f"m2p of frame {mfn:x}", struct.unpack_from("<Q", m.memory, m2p + 8 * mfn)[0], pfn)
    check("audit", m.get("verdict.audit.taken"), 1)


def comes_in():
    runs()


def comes_in_without_a_store():
    runs("store=0", store=False)


def two_bells():
    runs(bell=b"bb")


def pause_before_its_first_instruction():
    with incoming("store=1") as m:
        dom = d.Domain(m, GUEST)
        m.ring(b"p")
        dom.build()
        m.holds(PAUSED)
        check("the state", m.state(), RUNNING)
        check("the code's first bytes", m.page(dom.mfn[d.CODE])[:64], GUEST[:64])
        at = LAYOUT.at["context.user_regs.rip"]
        check("rip", struct.unpack_from("<Q", m.bytes_of("machine.context"), at)[0], d.address(d.CODE))
        at = LAYOUT.at["context.user_regs.rflags"]
        check("rflags", struct.unpack_from("<Q", m.bytes_of("machine.context"), at)[0], 0x203203)
        at = LAYOUT.at["context.fpu_ctxt"]
        check("xmm3", struct.unpack_from("<Q", m.bytes_of("machine.context"), at + 208)[0], d.XMM)
        m.ring(b"u")
        m.says(b"\n")
        m.ends("poweroff")


def suspends(how, held):
    """It suspends itself by sched_op, its older form, or in a multicall, and is told that it was called off."""
    with incoming("store=1 suspend=2") as m:
        dom = d.Domain(m, GUEST, suspend=how)
        dom.build()
        if held:
            m.holds(SUSPENDED)
            for name, value in (("rax", 0), ("rdx", dom.mfn[d.START_INFO])):
                got = struct.unpack_from("<Q", m.bytes_of("machine.context"), LAYOUT.at["context.user_regs." + name])[0]
                check(name, got, value)
            m.ring(b"u")
            m.holds(NO_HOLD)
        m.says(b"\n")
        check("what it said", m.console, d.LETTERS + b"1\n")
        m.ends("poweroff")
        check("suspends", m.get("verdict.suspends"), 1)


def suspend_by_sched_op():
    suspends(1, True)


def suspend_by_the_older_form():
    suspends(2, True)


def suspend_in_a_multicall():
    suspends(3, False)


def stop_while_it_waits():
    with incoming("store=1") as m:
        d.Domain(m, GUEST)
        m.ring(b"q")
        m.ends("stopped")


def bad_words():
    kernel = [f"{__file__} x"]
    for words, memory, modules, said in (
            ("", MEMORY, kernel, "has no kernel of its own: the boot loader passed 1 modules"),
            ("e820=1", MEMORY, (), "has no modules, and so no memory map"),
            ("", 1 << 40, (), "the machine has"), ("", MEMORY + 1, (), "no positive multiple"),
            ("incoming=2", MEMORY, (), "PASSED-OVER")):
        if said == "PASSED-OVER":
            with Machine(LAYOUT, HYPERVISOR, f"mem={memory} incoming=2", megabytes=64) as m:
                m.ends("bad guest", "the option incoming=2 is none of 0 to 1")
            continue
        with incoming(words, memory, modules) as m:
            m.ends("bad guest", said)


# ---- what cannot come in: (what is done to it, words of the refusal, the page it speaks of)

def head(**fields):
    return lambda dom: [dom.head(name.replace("__", "."), value) for name, value in fields.items()]


def put(name, value, index=0, size=8):
    return lambda dom: dom.put(name, value, index, size)


def element(pfn, which, value):
    def act(dom):
        dom.list[dom.places[pfn]][which] = value(dom) if callable(value) else value
    return act


def entry(table, slot, value):
    return lambda dom: dom.entry(table, slot, value(dom) if callable(value) else value)


def one_more(pfn):
    """Another element of the list, with this pfn."""
    def act(dom):
        frame = struct.unpack_from("<Q", dom.m.memory, dom.list_at)[0]
        dom.list[0] = [frame, pfn, 0]
        dom.head("used", d.PAGES + 1)
    return act


def all_of(*acts):
    return lambda dom: [act(dom) for act in acts]


FAR = 0x0000800000000000  # the first address that is not canonical
BITS = d.P | d.RW | d.US
HOSTILE = {
    "version": (head(version=4), "version 4", None),
    "bytes": (head(bytes=16), "16 bytes", None),
    "pages": (head(pages=5), "speaks of 5 pages", None),
    "used-too-large": (head(used=1 << 40), "pages cannot be used", None),
    "used-none": (head(used=0), "0 pages cannot be used", None),
    "used-other": (head(used=d.PAGES + 1), f"uses {d.PAGES} pages, the transfer says {d.PAGES + 1}", None),
    "end-too-small": (head(end_pfn=3), "the end of the pfns, 3, is out of range", None),
    "end-too-large": (head(end_pfn=1 << 62), "is out of range", None),
    "no-time-of-day": (head(wall_ns=0), "the time of day cannot be 0 ns", None),
    "time-of-day-too-late": (head(wall_ns=1 << 62), "the time of day cannot be 4611686018427387904 ns", None),
    "vcpus": (head(vcpus=2), "2 vCPUs", None),
    "pfn-twice": (one_more(d.DATA), "pfn 5 is there twice", d.DATA),
    "pfn-at-the-end": (one_more(d.END_PFN), "pfn 2000 is beyond the end of the pfns, 2000", d.END_PFN),
    "pfn-far": (one_more(0xfffffffe), "is beyond the end", 0xfffffffe),
    "pin-of-level-5": (element(d.L4, 2, 5), "as a table of level 5", d.L4),
    "pin-of-level-8": (element(d.L4, 2, 8), "as a table of level 8", d.L4),
    "pin-of-nothing": (all_of(element(d.ZERO, 1, d.NO_PFN), element(d.ZERO, 2, 1)), "pfn ffffffff is to be pinned",
                       None),
    "other-frame": (element(d.DATA, 0, lambda dom: dom.mfn[d.CODE]), "names frame", d.DATA),
    "frame-of-the-hypervisor": (element(d.DATA, 0, 0x200), "names frame 200", d.DATA),
    "start-info-missing": (head(start_info_pfn=0x99), "pfn 99, which is to be start_info, is not there", 0x99),
    "start-info-nowhere": (head(start_info_pfn=d.NO_PFN), "which is to be start_info, is not there", None),
    "console-missing": (head(console_pfn=0x98), "pfn 98, which is to be the console's ring", 0x98),
    "store-missing": (head(store_pfn=0x97), "pfn 97, which is to be the store's ring", 0x97),
    "store-none": (head(store_pfn=d.NO_PFN), "which is to be the store's ring", None),

    "pin-as-another-level": (element(d.L4, 2, 3), "pfn 9 cannot be pinned as L3: R", None),
    "pin-twice": (all_of(element(d.L3, 2, 3), element(d.L2, 2, 2), element(d.L1, 2, 1), element(d.DATA, 2, 1),
                         entry(d.DATA, 0, 0)), "pfn 5 cannot be pinned as L1", d.DATA),
    "writable-table": (entry(d.L1, d.L2, lambda dom: dom.mfn[d.L2] << 12 | BITS),
                       "in use as L2, is wanted as writable; in L4 pfn 9 [511], L3 pfn 8 [510], L2 pfn 7 [0], "
                       f"L1 pfn 6 [{d.L2}]", d.L1),
    "writable-gdt": (entry(d.L1, d.GDT, lambda dom: dom.mfn[d.GDT] << 12 | BITS), "the GDT cannot be loaded: R2",
                     d.GDT),
    "large-page": (entry(d.L2, 1, lambda dom: dom.mfn[d.DATA] << 12 | BITS | 0x80),
                   "R3, the entry carries bits that its level does not allow", d.L2),
    "foreign-frame": (entry(d.L1, 99, 0x200 << 12 | BITS), "R8, the frame does not belong to the domain", d.L1),
    "no-such-frame": (entry(d.L1, 99, 0xffffffff000 | BITS), "R3, ", d.L1),
    "frame-not-used": (all_of(element(d.ZERO, 1, d.NO_PFN), head(used=d.PAGES - 1)), "cannot be pinned as L4: R", d.L1),
    "own-frame-table": (entry(d.L1, 99, lambda dom: (dom.m.get("transfer.at") >> 12 << 12) | BITS),
                        "cannot be pinned as L4: R", d.L1),
    "linear-table": (entry(d.L4, 5, lambda dom: dom.mfn[d.L4] << 12 | BITS), "cannot be pinned as L4: R", d.L4),
    "shared-info-as-table": (entry(d.L4, 5, lambda dom: dom.m.get("machine.shared_mfn") << 12 | BITS),
                             "cannot be pinned as L4: R", d.L4),
    "cr3-no-table": (lambda dom: dom.put("ctrlreg", dom.mfn[d.DATA] << 12, 3), "cr3 cannot be loaded: R2", d.DATA),
    "cr3-an-l3": (lambda dom: dom.put("ctrlreg", dom.mfn[d.L3] << 12, 3), "cr3 cannot be loaded: R2", d.L3),
    "cr3-out-of-range": (put("ctrlreg", 0xffffffffff000, 3), "cr3 cannot be loaded: R", None),
    "cr3-of-the-hypervisor": (put("ctrlreg", 0x200000, 3), "cr3 cannot be loaded: R", None),
    "cr3-none": (put("ctrlreg", 0, 3), "cr3 is no frame's address: 0", None),
    "cr3-bits": (lambda dom: dom.put("ctrlreg", dom.mfn[d.L4] << 12 | 1, 3), "cr3 is no frame's address", None),
    "user-root-no-table": (lambda dom: dom.put("ctrlreg", dom.mfn[d.CODE] << 12, 1),
                           "the user root cannot be loaded: R2", d.CODE),
    "user-root-bits": (lambda dom: dom.put("ctrlreg", dom.mfn[d.USER_L4] << 12 | 1, 1), "the user root is no frame's",
                       None),
    "user-mode-without-root": (all_of(put("flags", d.ONLINE), put("ctrlreg", 0, 1)), "the user root is none", None),
    "gdt-is-a-table": (lambda dom: dom.put("gdt_frames", dom.mfn[d.L1]), "the GDT cannot be loaded: R2", d.L1),
    "gdt-of-nobody": (put("gdt_frames", 0x200), "the GDT cannot be loaded: R", None),
    "gdt-out-of-range": (put("gdt_frames", 1 << 60), "the GDT cannot be loaded: R", None),
    "gdt-too-long": (put("gdt_ents", 7169), "the GDT's length is out of range", None),
    "gdt-far-too-long": (put("gdt_ents", (1 << 64) - 1), "the GDT's length is out of range", None),
    "gdt-with-a-gate": (lambda dom: dom.entry(d.GDT, 3, 0x0000ee0000080000), "the GDT cannot be loaded: R2", d.GDT),
    "ldt-too-long": (put("ldt_ents", 8193), "the LDT's length is out of range", None),
    "ldt-misaligned": (all_of(put("ldt_ents", 1), put("ldt_base", 0x1001)), "the LDT's address", None),
    "ldt-in-the-hypervisor": (all_of(put("ldt_ents", 1), put("ldt_base", 0xffff830000000000)), "the LDT's address",
                              None),
    "mxcsr": (lambda dom: dom.fpu(24, "<I", 0xffff0000), "MXCSR has bits", None),
    "fsgsbase": (put("ctrlreg", 0x10660, 4), "cr4 has FSGSBASE or OSXSAVE", None),
    "vm-assist": (put("vm_assist", 1 << 40), "vm_assist has types", None),
    "breakpoint-on-the-hypervisor": (put("debugreg", 0xffff82d040200000, 1), "a debug register holds", None),
    "dr7-general-detect": (put("debugreg", 0x2400, 7), "a debug register holds", None),
    "dr7-ports": (put("debugreg", 0x20401, 7), "a debug register holds", None),
    "dr6-upper": (put("debugreg", 1 << 32, 6), "a debug register holds", None),
    "trap-not-canonical": (lambda dom: dom.trap(255, FAR), "the handler of a trap is not canonical", None),
    "syscall32-not-canonical": (head(extended__syscall32_eip=FAR), "the syscall32 callback is not canonical", None),
    "sysenter-not-canonical": (head(extended__sysenter_eip=FAR), "the sysenter callback is not canonical", None),
    "extended-flag": (head(extended__syscall32_disables_events=2), "is neither 0 nor 1", None),
    "extended-zero": (head(extended__zero=1), "is neither 0 nor 1", None),
}
for field, name in (("user_regs.rip", "rip"), ("user_regs.rsp", "rsp"), ("kernel_sp", "kernel_sp"),
                    ("event_callback_eip", "the event callback"), ("failsafe_callback_eip", "the failsafe callback"),
                    ("syscall_callback_eip", "the syscall callback"), ("fs_base", "fs_base"),
                    ("gs_base_kernel", "gs_base_kernel"), ("gs_base_user", "gs_base_user")):
    HOSTILE["not-canonical-" + name.split()[-1 if name[0] != "t" else 1]] = (put(field, FAR),
                                                                            f"{name} is not canonical", None)


def hostile(name):
    spoil, words, page = HOSTILE[name]
    with incoming("store=1") as m:
        dom = d.Domain(m, GUEST)
        spoil(dom)
        dom.build()
        m.ends("bad guest", words)
        if page is not None:
            check("the page it speaks of", m.get("transfer.refused_pfn"), page)
        check("what it said", m.console, b"")


# ---- what may come in, though it looks odd

ODD = {
    "debug registers of zero": all_of(put("debugreg", 0, 6), put("debugreg", 0, 7)),
    "FPU not valid": lambda dom: (dom.put("flags", d.IN_KERNEL | d.ONLINE), dom.fpu(24, "<I", 0xffffffff)),
    "no GDT": put("gdt_ents", 0),
    "unpinned": all_of(element(d.L4, 2, 0), element(d.USER_L4, 2, 0)),
    "all pinned": all_of(element(d.L1, 2, 1), element(d.L2, 2, 2), element(d.L3, 2, 3)),
}


def odd_ones():
    for name, act in ODD.items():
        with incoming("store=1") as m:
            dom = d.Domain(m, GUEST)
            act(dom)
            dom.build()
            if name == "no GDT":  # its selector is none then
                m.until("the end", lambda: m.state() == 3)
                continue
            m.says(b"\n")
            check(f"what it said, {name}", m.console.replace(b"!", b"x") if "FPU" in name else m.console,
                  d.LETTERS + b"\n")
            m.ends("poweroff")


CASES = [comes_in, comes_in_without_a_store, two_bells, pause_before_its_first_instruction, suspend_by_sched_op,
         suspend_by_the_older_form, suspend_in_a_multicall, stop_while_it_waits, bad_words, odd_ones]


def main():
    wanted, failed = sys.argv[4:], 0
    cases = [(c.__name__, c) for c in CASES] + [(n, lambda n=n: hostile(n)) for n in HOSTILE]
    for name, case in cases:
        if wanted and name not in wanted:
            continue
        try:
            case()
            print(f"ok {name}", flush=True)
        except Flunk as why:
            failed += 1
            print(f"FAILED {name}: {why}", flush=True)
    return failed > 0


HYPERVISOR, LAYOUT = sys.argv[1], Layout(sys.argv[2])
with open(sys.argv[3], "rb") as file:
    GUEST = file.read()
if __name__ == "__main__":
    sys.exit(main())
