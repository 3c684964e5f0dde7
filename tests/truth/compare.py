# SPDX-License-Identifier: MIT
"""What pvmm says of an image against what others say (truth.py). Each function is one comparison."""
import re
import struct

from image import NOT_YET, PAGE, number

ANON = b"XLLAB-ANON-P%04x-9b1f27ce5d3a048"
TMPFS = b"XLLAB-TMPFS-MARKER-6f3a91c2d4e8\n"
XEN_SLOTS = range(256, 272)  # of an L4


def everything(image):
    if not image.oracle and not image.label:
        return partial(image)
    if not image.inspect():
        return None  # why is told already
    for compare in (packed, inspect_numbers, inspect_vcpus, inspect_published, sources_agree, p2m_table,
                    p2m_types, p2m_reverse, registers, code_at_rip, stack, banner, walk_levels, uts_name, magic,
                    tables_by_mfndump, maps_by_mfndump, anonymous_marker, tmpfs_marker, contract):
        compare(image)
    return None


def hexes(value):
    return number(value) if isinstance(value, str) else value


# ---- inspect

def partial(image):
    """A file that ends early is opened for what it has, and says what it has not."""
    seen = image.inspect()
    image.report.same("what is lost is named", bool(seen.get("lost")), True)
    image.report.same("pages of a stream that ends before them", seen.get("pages"), 0)
    code, out, err = image.run("read", "0xffffffff82161900", 16)
    image.report.same("nothing is read of it", (code, out), (1, b""))
    image.report.same("and why", bool(err.strip()), True)


def packed(image):
    if not image.packed:
        return
    _, seen = image.ask("inspect", path=image.packed)
    drop = ("file", "bytes", "spooled_from")
    clean = lambda j: {k: v for k, v in (j or {}).items() if k not in drop}
    image.report.same("inspect of the compressed file", clean(seen) == clean(image.inspect()), True)


def inspect_numbers(image):
    seen, o, same = image.inspect(), image.oracle, image.report.same
    for what, ours, theirs in (("pages", "pages", "nr_pages"), ("holes", "holes", "pfn_holes")):
        if theirs in o:
            same(what, seen.get(ours), o[theirs])
    if "pages_with_data" in o:
        same("pages", seen.get("pages"), o["pages_with_data"])
        same("page tables hold pfns", seen.get("portable"), True)
    if "max_pfn" in o:
        same("highest pfn", seen.get("highest_pfn"), o["max_pfn"])
    if "linux_banner" in o:
        same("kernel", seen.get("kernel"), o["linux_banner"].strip())
    dump = image.mfndump()
    if dump:
        same("pages by xen-mfndump", seen.get("pages"), len(dump))
        same("highest pfn by xen-mfndump", hexes(seen.get("highest_pfn")), max(dump))
        same("holes by xen-mfndump", seen.get("holes"), max(dump) + 1 - len(dump))
    same("width", seen.get("width"), 8)
    same("nothing is lost", seen.get("lost"), None)


def inspect_vcpus(image):
    seen, o, same = image.inspect().get("vcpus", []), image.oracle, image.report.same
    if "nvcpu" in o:
        same("vCPUs", len(seen), o["nvcpu"])
    if "cr3_pfn" in o:
        same("root of vCPU 0", seen[0]["root"]["pfn"], o["cr3_pfn"])
    for i, vcpu in enumerate(seen):
        theirs = o.get(f"vcpu{i}")
        if not theirs:
            continue
        user = number(theirs["cr1_user_pt"]) >> 12
        ours = vcpu.get("user_root")
        same(f"vCPU {i}", (vcpu["root"]["mfn"], vcpu["root"]["pfn"], vcpu["rip"], vcpu["rsp"]),
             (theirs["cr3_mfn"], theirs["cr3_pfn"], theirs["rip"], theirs["rsp"]))
        same(f"user root of vCPU {i}", number(ours["mfn"]) if ours else 0, user)


def inspect_published(image):
    seen, o, same = image.inspect(), image.oracle, image.report.same
    theirs = o.get("shared_info.arch")
    if theirs:
        ours = seen.get("shared_info") or {}
        for name, other in (("max_pfn", "max_pfn"), ("pfn_to_mfn_frame_list_list", "p2m_fll_mfn"),
                            ("p2m_cr3", "p2m_cr3"), ("p2m_vaddr", "p2m_vaddr"),
                            ("p2m_generation", "p2m_generation")):
            same(f"shared_info: {name}", ours.get(name), theirs[other])
    theirs = o.get("xen_start_info")
    if theirs:
        ours = seen.get("start_info") or {}
        same("start_info", [hexes(ours.get(n)) for n in ("nr_pages", "shared_info", "store_frame", "console_frame")],
             [number(theirs[n]) for n in ("nr_pages", "shared_info_ma", "store_mfn", "console_mfn")])
        same("pfn of start_info", (ours.get("frame") or {}).get("pfn"), theirs["pfn"])


def sources_agree(image):
    theirs = image.oracle.get("guest_p2m_list")
    if not theirs:
        return
    ours = image.inspect()
    there = {s["name"]: s for s in ours["p2m_sources"] if s["there"]}
    published = image.oracle.get("shared_info.arch", {})
    for name, field in (("linear", "p2m_cr3"), ("mfn_list_list", "p2m_fll_mfn"), ("symbols", "")):
        if field and number(published.get(field, "0x0")) == 0:
            image.report.same(f"no list by {name}", name in there, False)
            continue
        image.report.same(f"frames in the list by {name}", there.get(name, {}).get("frames"), theirs["agree"])
    image.report.same("pfns at which sources disagree", ours["p2m_compared"]["disagreed"], theirs["disagree"])


# ---- p2m

def p2m_table(image):
    dump, frames = image.mfndump(), image.frames()
    if dump and not image.is_save:
        image.report.same(f"p2m all by xen-mfndump, {len(dump)} entries",
                          first_difference(frames, {p: m for p, (m, _) in dump.items()}), None)
    elif dump:
        image.report.same(f"pfns by xen-mfndump, {len(dump)} entries",
                          first_difference(frames, {p: p for p in dump}), None)
        was = {p: number(line["sources"]["linear"].get("was", "0x0")) for p, line in image.p2m().items()
               if line["sources"].get("linear", {}).get("state") == "frame"}
        image.report.same("frames of before the suspend by xen-mfndump",
                          first_difference(was, {p: m for p, (m, _) in dump.items()}), None)
    elif "nr_pages" in image.oracle:
        image.report.same("entries of p2m all", len(frames), image.oracle["nr_pages"])
    runs = image.oracle.get("p2m_runs")
    if runs is not None:
        at = sorted(frames)
        image.report.same("runs of the p2m", 1 + sum(
            b != a + 1 or frames[b] != frames[a] + 1 for a, b in zip(at, at[1:])), runs)


def first_difference(ours, theirs):
    for pfn in sorted(set(ours) | set(theirs)):
        if ours.get(pfn) != theirs.get(pfn):
            return f"pfn {pfn:x}: {ours.get(pfn)}, expected {theirs.get(pfn)}"
    return None


def p2m_types(image):
    """xen-mfndump's type: the level, and 8 for a pin."""
    dump = image.mfndump()
    told = {p: line["type"] for p, line in image.p2m().items() if "type" in line}
    if not dump or not told:
        return
    words = {p: "page" if t == 0 else f"L{t & 7}" + (" pinned" if t & 8 else "") for p, (_, t) in dump.items()}
    image.report.same(f"types by xen-mfndump, {sum(t != 'page' for t in words.values())} tables",
                      first_difference(told, words), None)


def p2m_reverse(image):
    """Of a stream, machine frames are those that the guest's own list has from before."""
    if image.is_save:
        frames = {p: number(line["sources"].get("linear", {}).get("was", "0x0")) for p, line in image.p2m().items()}
        frames = {p: m for p, m in frames.items() if m}
    else:
        frames = image.frames()
    for pfn in sorted(frames)[::max(1, len(frames) // 5)]:
        code, out, _ = image.run("p2m", "--reverse", hex(frames[pfn]), "--json")
        if code != 0 or f'"pfn":"{hex(pfn)}"'.encode() not in out:
            return image.report.flunk(f"p2m --reverse {frames[pfn]:x}: {out[:200]}, expected pfn {pfn:x}")
    return image.report.ok("p2m --reverse")


# ---- by Xen's own tools

def registers(image):
    ours = image.inspect().get("vcpus", [])
    theirs = image.xenctx()
    if not theirs:
        return
    if not ours and image.domain:
        image.report.leave_out("registers: a machine's memory does not tell this domain's vCPUs")
        return
    image.report.same("vCPUs by xenctx", len(ours), len(theirs))
    for i, (vcpu, seen) in enumerate(zip(ours, theirs)):
        image.report.same(f"rip and rsp of vCPU {i} by xenctx", (number(vcpu["rip"]), number(vcpu["rsp"])),
                          (seen["rip"], seen["rsp"]))
        if not image.is_save:
            image.report.same(f"cr3 of vCPU {i} by xenctx", number(vcpu["root"]["mfn"]) << 12, seen["cr3"])


def read_hex(image, where, length, *options):
    """The bytes that are there, and the JSON."""
    _, seen = image.ask("read", where, length, *options)
    return bytes.fromhex("".join(p.get("hex", "") for p in (seen or {"pieces": []})["pieces"])), seen


def root_options(image, vcpu):
    """Where no vCPU is known the kernel's root will do, for what lies in the kernel."""
    return ["--vcpu", vcpu] if image.inspect().get("vcpus") else []


def code_at_rip(image):
    for i, vcpu in enumerate(image.xenctx()):
        line = re.search(r"^Code .*\n(.*<..>.*)$", vcpu["text"], re.M)
        if line:
            words = line.group(1).split()
            before = next(n for n, w in enumerate(words) if w.startswith("<"))
            code = bytes(number(w.strip("<>")) for w in words)
            seen, _ = read_hex(image, hex(vcpu["rip"] - before), len(code), *root_options(image, i))
            image.report.same(f"code at rip of vCPU {i} by xenctx", seen.hex(), code.hex())


def stack(image):
    for i, vcpu in enumerate(image.xenctx()):
        block = re.search(r"^Stack:\n((?: [0-9a-f ]+\n)+)", vcpu["text"], re.M)
        if block:
            words = [number(w) for w in block.group(1).split()]
            seen, _ = read_hex(image, hex(vcpu["rsp"]), 8 * len(words), *root_options(image, i))
            image.report.same(f"stack of vCPU {i} by xenctx", seen, struct.pack(f"<{len(words)}Q", *words))


def tables_by_mfndump(image):
    text = image.text("mfndump-ptes-cr3.txt")
    if not text or not image.is_core:
        return
    mfn = number(re.search(r"mfn: 0x([0-9a-f]+)", text).group(1))
    theirs = [number(v) for v in re.findall(r"pte\[\d+\]: 0x([0-9a-f]+)", text)]
    seen, _ = read_hex(image, f"mfn:{mfn:#x}", 8 * len(theirs))
    image.report.same(f"{len(theirs)} entries of the root by xen-mfndump", seen,
                      struct.pack(f"<{len(theirs)}Q", *theirs))


def maps_by_mfndump(image):
    text = image.text("mfndump-lookup-cr3.txt")
    if not text or not image.is_core:
        return
    entries = re.findall(r"0x([0-9a-f]+) <-- \[0x([0-9a-f]+)\]\[(\d+)\]: 0x([0-9a-f]+)", text)
    mfn = number(entries[0][0])
    expected = {(number(table) * PAGE + 8 * int(slot), number(value)) for _, table, slot, value in entries
                if number(table) != mfn}  # the root's entry for itself is the hypervisor's
    _, seen = image.ask("find-maps", f"mfn:{mfn:#x}")
    image.report.same("entries that map the root by xen-mfndump",
                      {(number(m["at"]), number(m["entry"])) for m in (seen or {"mappings": []})["mappings"]},
                      expected)


# ---- symbols, walks, texts

def symbol_options(image):
    """By the kernel's own tables in memory, and by System.map."""
    return [("kallsyms in memory", [])] + ([("System.map", ["--symbols", image.map])] if image.map else [])


def banner(image):
    expected = image.oracle.get("linux_banner") or image.labval("linux_banner")
    for how, options in symbol_options(image) if expected else []:
        _, seen = image.ask("read", "linux_banner", "--as", "string", *options)
        text = "".join(p.get("text", "") for p in (seen or {"pieces": []})["pieces"])
        image.report.same(f"linux_banner by {how}", text.strip(), expected.strip())


def walk_levels(image):
    """Each level's entry is what the file holds there, and leads to the next."""
    o, same = image.oracle, image.report.same
    if "linux_banner_pfn" not in o and not image.labval("linux_banner"):
        return
    for how, options in symbol_options(image):
        code, seen = image.ask("walk", "linux_banner", *options)
        if code != 0 or not seen or not seen["mapped"]:
            image.report.flunk(f"walk of linux_banner by {how}: exit code {code}")
            continue
        if "linux_banner_pfn" in o:
            same(f"pfn of linux_banner by {how}", seen["to"]["pfn"], o["linux_banner_pfn"])
        if "linux_banner_mfn" in o:
            same(f"mfn of linux_banner by {how}", seen["to"]["mfn"], o["linux_banner_mfn"])
        same("its levels", [level["level"] for level in seen["levels"]], [4, 3, 2, 1])
        same("each entry is in the file", [entry_in_file(image, level) for level in seen["levels"]],
             [number(level["entry"]) for level in seen["levels"]])
        follow_levels(image, seen)


def entry_in_file(image, level):
    with open(image.path, "rb") as f:
        f.seek(level["file_offset"])
        return struct.unpack("<Q", f.read(8))[0]


def follow_levels(image, seen):
    """What an entry names is the next table, of a pfn that the truth has there, of the right level."""
    dump = image.mfndump()
    table, wrong = seen["root"], []
    for level in seen["levels"]:
        number_of = "pfn" if image.is_save else "mfn"
        if number(level["at"]) // PAGE != number(table[number_of]):
            wrong.append(f"L{level['level']} at {level['at']}")
        if dump and dump[number(table["pfn"])][1] & 7 != level["level"]:
            wrong.append(f"pfn {table['pfn']} is no L{level['level']}")
        if dump and not image.is_save and dump[number(table["pfn"])][0] != number(table["mfn"]):
            wrong.append(f"pfn {table['pfn']} is not mfn {table['mfn']}")
        table = level["names"]
    image.report.same("each table is the one named above it", wrong, [])


def uts_name(image):
    expected = image.labval("init_uts_ns.name at +0") or ""
    found = re.search(r"LABVAL init_uts_ns\.name at \+0: (.*)", image.text("console-so-far.txt"))
    if not found:
        return
    expected = [w.strip() for w in found.group(1).split(" | ")]
    for how, options in symbol_options(image):
        seen = []
        for i in range(len(expected)):
            _, j = image.ask("read", f"init_uts_ns+{65 * i}", "--as", "string", *options)
            seen.append("".join(p.get("text", "") for p in (j or {"pieces": []})["pieces"]))
        image.report.same(f"init_uts_ns by {how}", seen, expected)


def magic(image):
    """Of a kernel without names: where start_info lies, and what it begins with."""
    o = image.oracle
    if "magic_at" not in o:
        return
    _, seen = image.ask("read", o["magic_at"], "--as", "string")
    image.report.same("start_info begins", "".join(p.get("text", "") for p in seen["pieces"]), o["magic"])
    image.report.same("frame of pfn 0", hex(image.frames()[0]), o["first_mfn"])


# ---- markers

def anonymous_marker(image):
    mark = image.markers("anon")
    if not mark:
        return
    pages = image.pages()
    expected = [ANON % i * (PAGE // 32) for i in range(int(mark["pages"]))]
    good = sum(bytes(pages.get(p, b"")) == e for p, e in zip(mark["pfns"], expected))
    image.report.same("pages of anonymous memory", good, image.oracle.get("anon_pages_ok", int(mark["pages"])))
    by_address(image, mark, b"".join(expected))


def by_address(image, mark, expected):
    """The same through the process's page tables, where a vCPU has them loaded."""
    for i, vcpu in enumerate(image.inspect()["vcpus"]):
        for options in ([], ["--user"] if vcpu.get("user_root") else None):
            if options is None:
                continue
            code, seen = image.ask("walk", mark["va"], "--vcpu", i, *options)
            if code != 0 or not seen["mapped"]:
                continue
            image.report.same("pfn of the first, by walking", number(seen["to"]["pfn"]), mark["pfns"][0])
            _, raw, _ = image.run("read", mark["va"], len(expected), "--as", "raw", "--vcpu", i, *options)
            image.report.same("anonymous memory by its address", raw == expected, True)
            maps = image.ask("find-maps", f"pfn:{mark['pfns'][0]:#x}")[1]["mappings"]
            image.report.same("and find-maps has that address", mark["va"] in [m["va"] for m in maps], True)
            return


def tmpfs_marker(image):
    mark = image.markers("tmpfs")
    if not mark:
        return
    page = TMPFS * (PAGE // len(TMPFS))
    pages = image.pages()
    # Counted in what the guest told of, and in all of its memory.
    image.report.same("the first pages of tmpfs", [bytes(pages.get(p, b"")) == page for p in mark["pfns"]],
                      [True] * len(mark["pfns"]))
    image.report.same("pages of tmpfs", sum(p == page for p in pages.values()),
                      image.oracle.get("tmpfs_marker_pages_total", int(mark["bytes"]) // PAGE))


# ---- the contract

def contract(image):
    code, out, err = image.run("check", "--json")
    if code == NOT_YET:
        image.report.leave_out("check: not there yet")
        return
    if code != 0:
        image.report.flunk(f"check: exit code {code}: {(out.decode() + err)[-1500:]}")
        return
    image.report.ok("check")


# ---- a stream and a core of the same moment

def same_state(save, core):
    """Page by page: equal, or equal once the frames in page tables are pages, as in the stream."""
    expected = save.oracle.get("vs_core")
    if not expected:
        return
    pfn_of = {m: p for p, m in core.frames().items()}
    ours, theirs, counts = save.pages(), core.pages(), {"same": 0, "same_after_mfn_to_pfn": 0, "different": 0}
    for pfn, page in theirs.items():
        if ours.get(pfn) == page:
            counts["same"] += 1
        elif pfn in ours and ours[pfn] == translated(page, save.p2m()[pfn].get("type", ""), pfn_of):
            counts["same_after_mfn_to_pfn"] += 1
        else:
            counts["different"] += 1
    save.report.same("pages", counts, {name: expected[name] for name in counts})
    save.report.same("pages of the core alone", len(set(theirs) - set(ours)), expected["pages_only_in_core"])
    for one, other in ((save, core), (core, save)):
        diff_says(one, other, expected)


def diff_says(one, other, expected):
    """The same of `pvmm diff`."""
    code, said = one.ask("diff", other.path)
    if not said:
        return
    said = said["summary"]
    counts = {"same": said["same"] - said["same_translated"], "same_after_mfn_to_pfn": said["same_translated"],
              "different": said["contents"]}
    one.report.same(f"diff {one.file} {other.file}", counts, {name: expected[name] for name in counts})
    one.report.same("diff's exit code", code, 1 if expected["different"] or expected["pages_only_in_core"] else 0)


def translated(page, kind, pfn_of):
    entries = list(struct.unpack("<512Q", page))
    for i, entry in enumerate(entries):
        if kind.startswith("L4") and i in XEN_SLOTS:
            entries[i] = 0
        elif entry & 1:
            mfn = entry >> 12 & (1 << 40) - 1
            entries[i] = entry & ~(((1 << 40) - 1) << 12) | pfn_of.get(mfn, 0) << 12
    return struct.pack("<512Q", *entries)
