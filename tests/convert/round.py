#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Images converted to and fro: every byte that both formats hold is the same, page by page of the same pfn.

Usage: round.py PVMM BUILD [ARTIFACTS]
"""
import hashlib
import json
import os
import subprocess

from images import Debian, banner, every, name_of
from setting import PVMM, TMP, main, need, pvmm
from files import Core, Elf, Stream

SECTIONS = (".xen_prstatus", ".xen_shared_info", ".xen_pages", ".xen_p2m")
START_INFO = 8  # bytes that an ELF core hides from crash


def convert(path, to, *words):
    """The new file, and what was lost."""
    out = f"{TMP}/{name_of(path)}.{to}"
    options = ("--format", "libxc") if to == "stream" else ()
    told = json.loads(pvmm("convert", "--json", "--to", to, *options, *words, path, out))
    need(f"{out}: {told}", told["to"] == to and told["pages"] > 0)
    return out, told["lost"]


def checked(path, codes=(0, 1)):
    p = subprocess.run([PVMM, "check", "--json", path], capture_output=True, check=False)
    need(f"pvmm check {path}: {p.returncode}", p.returncode in codes, p.stderr.decode())
    c = json.loads(p.stdout)
    return {k: v for k, v in c.items() if k not in ("file", "kind")}


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def differing(a, b):
    """How many bytes from the first to the last at which two pages differ."""
    at = [i for i in range(0, 4096, 8) if a[i:i + 8] != b[i:i + 8]]
    return at[-1] - at[0] + 8 if at else 0


def same_memory(elf, page, pfns, what):
    """All pages but for one word."""
    hidden = [(pfn, n) for pfn in pfns if (n := differing(elf.page(pfn), page(pfn)))]
    need(f"{what}: pages differ: {hidden[:5]}", not hidden or [n for _, n in hidden] == [START_INFO])
    need(f"{what}: other pfns", set(pfns) <= set(elf.at))


def from_core(path):
    core = Core(path)
    elf, _ = convert(path, "elf")
    back, _ = convert(elf, "core")
    for name in SECTIONS:
        need(f"{path}, {name}: not the same after elf and back", core.bytes(name) == Core(back).bytes(name))
    need(f"{path}: check says something else of its ELF core", checked(path) == checked(elf))
    stream, lost = convert(path, "stream")
    s, view = Stream(stream), Elf(elf)
    need(f"{path}: other pfns in the stream", set(s.at) == set(core.at))
    tables = [pfn for pfn in s.at if s.level(pfn)]
    need(f"{path}: no tables", len(tables) > 20)
    for pfn in s.at:
        want = core.portable(pfn, s.level(pfn)) if s.level(pfn) else core.page(pfn)
        need(f"{path}: pfn {pfn:x}, level {s.level(pfn)}, is another in the stream", s.page(pfn) == want)
    same_memory(view, core.page, [pfn for pfn in s.at if not s.level(pfn)], f"{path} as ELF")
    rest = [t for t in tables if differing(view.page(t), s.page(t))]
    need(f"{path}: tables of the ELF core: {rest[:5]}", len(rest) <= 1)  # the one that maps shared_info
    need(f"{path}: the stream breaks the contract", checked(stream)["findings_in_all"] == 0)
    suspended = not any("did not suspend itself" in text for text in lost)
    again, _ = convert(elf, "stream")
    need(f"{path}: another stream by way of elf", digest(stream) == digest(again))
    print(f"{name_of(path)}: {len(core.at)} pages, {len(tables)} tables; core, elf and stream agree"
          + ("" if suspended else "; not suspended"))


def from_stream(path):
    stream, _ = convert(path, "stream")
    elf, _ = convert(path, "elf")
    core, lost = convert(path, "core")
    s, c = Stream(stream), Core(core)
    need("types are not said to be lost", any("page types" in text for text in lost))
    for pfn in s.at:
        need(f"{path}: pfn {pfn:x} is another in the core", s.page(pfn) == c.page(pfn))
    need(f"{path}: other pfns in the core", set(c.at) == set(s.at))
    same_memory(Elf(elf), s.page, s.at, f"{path} as ELF")
    need(f"{path}: not the same after elf and back", digest(convert(elf, "stream")[0]) == digest(stream))
    need(f"{path}: not the same core by way of elf", digest(convert(elf, "core")[0]) == digest(core))
    b = Stream(convert(core, "stream")[0])
    for pfn in s.at:
        need(f"{path}: pfn {pfn:x} is another after core and back", b.page(pfn) == s.page(pfn))
        need(f"{path}: pfn {pfn:x} was a table of another level", b.level(pfn) in (0, s.level(pfn)))
    used = sum(b.level(pfn) != 0 for pfn in b.at)
    need("no tables after core and back", used > 20)
    need(f"{path}: check says something else of its ELF core", checked(path) == checked(elf))
    need("the stream breaks the contract", checked(stream)["findings_in_all"] == 0)
    print(f"{name_of(path)}: {len(s.at)} pages; stream, elf and core agree; {used} tables are found again")


def addresses(path):
    """By the kernel's addresses, without any table; and shared_info in the fixmap."""
    va, text = banner(path)
    elf = Elf(convert(path, "elf")[0])
    got = elf.read(va, 64)
    need(f"{path}: {got}", got is not None and text.encode().find(got[:32]) >= 0)
    need(f"{path}: the map of all memory has another",
         elf.read(0xffff888000000000 + (va & 0x7fffffff), 64) == got)


def cut(path):
    """What of an ELF core is not there is said, and the rest is."""
    elf, _ = convert(path, "elf")
    short = f"{TMP}/short.elf"
    with open(elf, "rb") as f, open(short, "wb") as to:
        to.write(f.read(os.path.getsize(elf) // 4096 // 2 * 4096))
    out, lost = convert(short, "core")
    need(f"nothing is said to be missing: {lost}", any("pages are missing" in text for text in lost))
    c, whole = Core(out), Core(convert(elf, "core")[0])
    need("nothing is left", 1000 < len(c.at) < len(whole.at))
    need("a page is another", all(c.page(p) == whole.page(p) for p in c.at))


def refusals(path):
    for words, code, says in (
            ((path, path), 129, "is the image itself"), ((path, f"{TMP}/x"), 129, "--to core, stream or elf"),
            (("--to", "elf", "--compress", path, f"{TMP}/x"), 129, "are for a stream"),
            (("--to", "vmcore", path, f"{TMP}/x"), 129, "one of core, stream, elf"),
            (("--to", "elf", path), 129, "are wanted"), (("--to", "elf", path, "/dev/null"), 129, "no file"),
            (("--to", "elf", f"{TMP}/none", f"{TMP}/x"), 2, "No such file")):
        pvmm("convert", *words, code=code, says=says)
    need("something was left", not os.path.exists(f"{TMP}/x"))


def restored(path):
    """A guest that was saved goes on after it was an ELF core. By a dump-core it has lost its list of frames, which is
    said, and it is refused."""
    elf, _ = convert(path, "elf")
    pvmm("convert", elf, f"{TMP}/elf.save")
    g = Debian("restore", "by-elf", f"{TMP}/elf.save")
    g.ask(b"status", rb"STATUS .*errors=0.*")
    g.p.stdin.write(b"off\n")
    g.p.stdin.flush()
    g.end()
    print(f"{name_of(path)}: restored by way of elf")
    stream, lost = convert(convert(path, "core")[0], "stream")
    need(f"the list is not said to be lost: {lost}", any("p2m list lies" in text for text in lost))
    pvmm("restore", "--no-core", stream, code=2, says="X86_PV_P2M_FRAMES")


def rounds():
    images = every()
    for path in images:
        (from_stream if path.endswith(".save") else from_core)(path)
        addresses(path)
    cut(images[0])
    print("an ELF core cut in half: what is left is the same")
    refusals(images[0])
    restored(images[1])


main(rounds)
