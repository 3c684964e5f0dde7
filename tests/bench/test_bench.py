#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The benchmark without its machines. Usage: test_bench.py BENCH-FOLDER"""
import collections
import contextlib
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
BENCH = os.path.abspath(sys.argv.pop(1))
sys.path.insert(0, BENCH)

import bench
import machines
import micro
import where
from machines import BenchError

# What a console prints between firmware and power-off, with the figures of one machine.
SHOWN = """SeaBIOS (version 1.16.2-debian)\r
(XEN) Dom0 has maximum 1 VCPUs\r
[    1.934053] mce: BENCHmark of nothing\r
{}BENCH-DONE\r
[    4.447819] reboot: Power down\r
"""
COUNTED = {"tlb_flushes": 100, "tlb_page_flushes": 7, "root_switches": 1000, "own_frames": 3000,
           "boot_ticks": 123456789}


def console(scale, parts=None):
    lines = [f"BENCH-TSC {5000 * scale}"]
    lines += [f"BENCH {row} {scale * (i + 1):.1f}" for i, row in enumerate(machines.ROWS)]
    lines += [f"BENCH-PARTS {parts}"] if parts else []
    return SHOWN.format("".join(f"{line}\r\n" for line in lines))


def figures(scale):
    f = machines.figures(console(scale).replace("\r", "").splitlines())
    f[bench.TIME_TO_INIT] = f["tsc"]
    return f


def three(bare=1, xen=5, pvmm=4):
    return {"bare": figures(bare), "xen": figures(xen), "pvmm": figures(pvmm)}


class Lines(unittest.TestCase):
    def test_figures_are_found_among_other_output(self):
        found = machines.figures(console(2, parts=40).replace("\r", "").splitlines())
        self.assertEqual(found["tsc"], 10000)
        self.assertEqual(found["parts"], 40)
        self.assertEqual(found["fork-exit"], 4.0)
        self.assertEqual(len(found), 2 + len(machines.ROWS))

    def test_words_before_a_line_do_not_matter(self):
        self.assertEqual(machines.figures(["(XEN) BENCH mprotect 84.6"]), {"mprotect": 84.6})

    def test_a_damaged_line_is_refused(self):
        for line in ("BENCH mprotect", "BENCH mprotect 84.x", "BENCH-TSC", "BENCH mprotect 1 2",
                     "BENCH mprotect nan", "BENCH mprotect inf", "BENCH mprotect -1", "BENCH-TSC nan"):
            with self.assertRaisesRegex(BenchError, "makes no sense"):
                machines.figures([line])

    def test_only_a_whole_run_counts(self):
        self.assertIsNone(machines.trouble(["BENCH-TSC 1", "BENCH-DONE"], 0))
        self.assertRegex(machines.trouble(["BENCH-TSC 1", "BENCH-DONE"], 131), "exit code 131")
        self.assertRegex(machines.trouble(["BENCH-TSC 1"], 0), "without BENCH-DONE")
        self.assertRegex(machines.trouble(["BENCH-DONE"], 0), "without BENCH-TSC")
        self.assertRegex(machines.trouble(["BENCH-FAILED child", "BENCH-DONE"], 0), 'at "child"')


class Arithmetic(unittest.TestCase):
    def test_ratio_and_tax(self):
        row = bench.table_row("fork-exit", three())
        self.assertEqual((row["bare"], row["xen"], row["pvmm"]), (2.0, 10.0, 8.0))
        self.assertAlmostEqual(row["ratio_xen"], 0.8)
        self.assertAlmostEqual(row["pv_tax"], 0.75)

    def test_time_to_init_has_no_tax(self):
        row = bench.rows_of(three())[0]
        self.assertEqual(row["name"], bench.TIME_TO_INIT)
        self.assertAlmostEqual(row["ratio_xen"], 0.8)
        self.assertIsNone(row["pv_tax"])

    def test_where_xen_costs_nothing_there_is_no_tax(self):
        self.assertIsNone(bench.table_row("fork-exit", three(bare=5))["pv_tax"])

    def test_a_missing_figure_names_row_and_machine(self):
        f = three()
        del f["xen"]["mprotect"]
        with self.assertRaisesRegex(BenchError, "mprotect from xen"):
            bench.rows_of(f)

    def test_counts_are_those_above_an_empty_run_for_each_part(self):
        alone = {machines.EMPTY: (COUNTED, None),
                 "mprotect": ({**COUNTED, "tlb_flushes": 180, "root_switches": 1400}, 40)}
        self.assertEqual(bench.counts_of(alone, "mprotect"),
                         {"tlb_flushes": 2.0, "tlb_page_flushes": 0.0, "root_switches": 10.0})
        self.assertEqual(bench.counts_of(alone, bench.TIME_TO_INIT)["tlb_flushes"], 100)
        alone["mprotect"] = (COUNTED, None)
        with self.assertRaisesRegex(BenchError, "its parts"):
            bench.counts_of(alone, "mprotect")


class Recorder(unittest.TestCase):
    def test_cost_is_what_it_adds(self):
        rows = {r["name"]: r for r in bench.recorder_rows(figures(4.1), figures(4))}
        self.assertEqual(list(rows), list(machines.ROWS))
        self.assertAlmostEqual(rows["fork-exec"]["cost"], 0.025)

    def test_a_missing_figure_is_named(self):
        off = figures(4)
        del off["mprotect"]
        with self.assertRaisesRegex(BenchError, "mprotect"):
            bench.recorder_rows(figures(4), off)


def elf32(*segments):
    """An image with these (type, bytes in the file, bytes in memory)."""
    head = b"\x7fELF\x01".ljust(28, b"\0") + struct.pack("<I", 52)
    head = head.ljust(42, b"\0") + struct.pack("<HH", 32, len(segments)) + b"\0" * 6
    return head + b"".join(struct.pack("<8I", t, 0, 0, 0, size, memory, 0, 0)
                           for t, size, memory in segments)


class Sizes(unittest.TestCase):
    def test_loaded_segments_are_added_up(self):
        self.assertEqual(bench.load_segments(elf32((1, 10, 20), (4, 5, 5), (1, 1, 2))), (11, 22))

    def test_what_is_no_image_is_refused(self):
        with self.assertRaises(BenchError):
            bench.load_segments(b"\x7fELF\x02")
        with tempfile.NamedTemporaryFile() as f:
            f.write(elf32((1, 1, 1))[:60])
            f.flush()
            with self.assertRaisesRegex(BenchError, f.name):
                bench.image_sizes(f.name)

    def test_what_xen_does_not_tell_is_null(self):
        sizes = {z["name"]: z for z in bench.sizes_of(COUNTED, (1, 2), (3, 4))}
        self.assertEqual(sizes["bytes per frame: in all"]["pvmm"], 44)
        self.assertEqual(sizes["resident: KiB of its own"]["pvmm"], 12000)
        self.assertIsNone(sizes["resident: KiB of its own"]["xen"])
        self.assertEqual(sizes["instructions, entry to guest"]["pvmm"], 123456789)


def micro_console(layout, scale, but=()):
    """A whole run of the test kernel's; `but` are lines in place of those that begin so."""
    lines = [f"BENCH-TSC {1000 * scale}"]
    lines += [f"BENCH {row} {scale * (i + 1):.1f}" for i, row in enumerate(micro.ROWS[layout])]
    lines += ["BENCH-DONE"]
    for begin, line in but:
        lines = [line if old.startswith(begin) else old for old in lines]
    return "".join(f"{line}\r\n" for line in lines if line)


Done = collections.namedtuple("Done", "lines")


def micro_runs(xen=4, pvmm=3, **but):
    return {(machine, f"p2m={layout}"): Done(micro_console(layout, scale, but.get(layout, ()))
                                             .replace("\r", "").splitlines())
            for machine, scale in (("xen", xen), ("pvmm", pvmm)) for layout in micro.ROWS}


def micro_rows(**given):
    return micro.rows_of(micro.figures(micro_runs(**given)))


REASONS = f"text\n\n{micro.HEADING}\n\n- `pin`: it is so.\n- `unpin`, which\n  is likewise.\n\n## Next\n\n- `page-fault`\n"


class Micro(unittest.TestCase):
    def test_rows(self):
        rows = {r["name"]: r for r in micro_rows()}
        self.assertEqual(tuple(rows), micro.ALL_ROWS)
        self.assertEqual((rows["multicall-of-32"]["xen"], rows["multicall-of-32"]["pvmm"]), (8, 6))
        self.assertEqual(rows["p2m-look-up-tree"]["ratio_xen"], 0.75)
        self.assertEqual([micro.layout_of(row) for row in ("pin", "p2m-set-tree")], ["linear", "tree"])

    def test_the_rows_are_those_of_the_kernel(self):
        kernel = os.path.join(BENCH, "..", "kernel")
        text = ""
        for name in ("bench_calls.c", "bench_root.c", "bench_memory.c"):
            with open(os.path.join(kernel, name), encoding="utf-8") as f:
                text += f.read()
        self.assertEqual(re.findall(r'^    \{"([a-z0-9-]+)",', text, re.MULTILINE), list(micro.ALL_ROWS))

    def test_a_run_without_a_row_or_with_another_is_refused(self):
        for line, said in (("", "pin"), ("BENCH pinn 3.0", "pin, pinn"), ("BENCH null-hypercall 1.0", "pin")):
            with self.assertRaisesRegex(BenchError, f"^xen, p2m=linear: .*awaited: {said}$"):
                micro.figures(micro_runs(linear=[("BENCH pin", line)]))
        with self.assertRaisesRegex(BenchError, "p2m=tree: .*p2m-set-tree"):
            micro.figures(micro_runs(tree=[("BENCH p2m-set-tree", "")]))

    def test_a_damaged_run_is_refused(self):
        for line in ("BENCH pin", "BENCH pin 1.x", "BENCH pin 1.0 2.0", "BENCH pin nan", "BENCH-TSC x"):
            with self.assertRaisesRegex(BenchError, "makes no sense"):
                micro.figures(micro_runs(linear=[("BENCH pin", line)]))

    def test_what_is_not_below_1_is_flagged(self):
        text = micro.table(micro_rows(xen=3, pvmm=3), bench.columns, bench.shown)
        self.assertEqual(text.count("not below 1"), len(micro.ALL_ROWS))
        text = micro.table(micro_rows(), bench.columns, bench.shown)
        self.assertNotIn("not below 1\n", text)
        self.assertRegex(text, r"null-hypercall +4.0 +3.0 +0.750\n")
        rows = micro_rows(linear=[("BENCH pin", "BENCH pin 0.0")])
        self.assertRegex(micro.table(rows, bench.columns, bench.shown), r"pin +0.0 +0.0 +- +not below 1\n")

    def test_verdict(self):
        self.assertEqual(micro.verdict({"micro": micro_rows()}, REASONS),
                         ([f"{len(micro.ALL_ROWS)} of {len(micro.ALL_ROWS)} rows below 1"], True))
        rows = micro_rows()
        for row in rows:
            if row["name"] in ("pin", "unpin"):
                row["ratio_xen"] = 1.0
        self.assertTrue(micro.verdict({"micro": rows}, REASONS)[1])
        for name in ("page-fault", "root-switch"):
            changed = [{**r, "ratio_xen": 1.0} if r["name"] == name else r for r in rows]
            lines, well = micro.verdict({"micro": changed}, REASONS)
            self.assertFalse(well)
            self.assertEqual(lines[0], f"{name}: 1.000 of Xen's, and no reason is given")
        changed = [{**r, "ratio_xen": None} if r["name"] == "root-switch" else r for r in rows]
        self.assertFalse(micro.verdict({"micro": changed}, REASONS)[1])

    def test_verdict_of_a_reason_for_no_row(self):
        text = f"\n{micro.HEADING}\n- `pinn`: gone\n"
        self.assertEqual(micro.verdict({"micro": micro_rows()}, text)[0][0],
                         "pinn: a reason is given, but there is no such row")

    def test_verdict_needs_results_and_a_document(self):
        for results_, why in (([], "not results"), ({}, "not results"), ({"micro": [{}]}, "not results"),
                              ({"micro": micro_rows()[1:]}, "no results of null-hypercall")):
            with self.assertRaisesRegex(BenchError, why):
                micro.verdict(results_, REASONS)
        with self.assertRaisesRegex(BenchError, "has no"):
            micro.verdict({"micro": micro_rows()}, "text")

    def test_the_document_has_the_list(self):
        self.assertEqual(set(micro.excused(micro.document())) - set(micro.ALL_ROWS), set())


def results():
    rows = [{**r, "tlb_flushes": 0.5, "tlb_page_flushes": 0.0, "root_switches": 2.0}
            for r in bench.rows_of(three())]
    return {"rows": rows, "wall": bench.rows_of(three()), "sizes": bench.sizes_of(COUNTED, (1, 2), (3, 4)),
            "recorder": bench.recorder_rows(figures(4), figures(3.9)),
            "micro": micro_rows(), "micro_memory": "1G",
            "setting": {"machine": "q35", "cpu": "qemu64", "memory": "1G"}}


class Results(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.path = f"{self.dir.name}/results.json"

    def check(self, limit):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            return bench.check(self.path, limit), out.getvalue()

    def test_written_and_read_again(self):
        bench.write_results(self.path, results())
        rows = bench.read_results(self.path)["rows"]
        self.assertEqual([r["name"] for r in rows], [bench.TIME_TO_INIT, *machines.ROWS])
        for r in rows:
            self.assertLessEqual({"name", "bare", "xen", "pvmm", "ratio_xen", "pv_tax"}, r.keys())
        self.assertIsNone(rows[0]["pv_tax"])
        self.assertEqual(os.listdir(self.dir.name), ["results.json"])

    def test_check(self):
        bench.write_results(self.path, results())
        self.assertEqual(self.check(0.76), (0, "7 of 7 rows below a PV tax of 0.76\n"))
        code, text = self.check(0.75)
        self.assertEqual(code, 1)
        self.assertIn("fork-exit: the PV tax is 0.750, not below 0.75\n", text)

    def test_check_needs_every_tax(self):
        r = results()
        r["rows"][3]["pv_tax"] = None
        bench.write_results(self.path, r)
        code, text = self.check(0.9)
        self.assertEqual(code, 1)
        self.assertIn("not known", text)

    def test_check_without_results_is_an_error(self):
        with self.assertRaisesRegex(BenchError, "make bench"):
            self.check(0.7)
        for text, why in (("{", "not JSON"), ("[]", "not results"), ('{"rows": []}', "no row")):
            with open(self.path, "w", encoding="ascii") as f:
                f.write(text)
            with self.assertRaisesRegex(BenchError, why):
                self.check(0.7)

    def test_the_report_has_every_row(self):
        text = bench.report(results())
        for name in (bench.TIME_TO_INIT, *machines.ROWS):
            tables = 2 if name == bench.TIME_TO_INIT else 3
            self.assertEqual(sum(line.startswith(name) for line in text.splitlines()), tables, name)
        for name in micro.ALL_ROWS:
            self.assertEqual(sum(line.startswith(f"{name} ") for line in text.splitlines()), 1, name)
        self.assertRegex(text, r"fork-exec +11.7 +12.0 +2.56%\n")
        self.assertRegex(text, r"fork-exit +2.0 +10.0 +8.0 +0.80 +0.75 +0.50 +0.00 +2.00\n")
        self.assertRegex(text, r"time-to-init +5,000 +25,000 +20,000 +0.80 +-")
        self.assertRegex(text, r"in all +44 +-")


class Where(unittest.TestCase):
    def test_regions(self):
        for address, name in ((0x401000, "guest user"), (0x7fffffffffff, "guest user"),
                              (0xffff82d040214000, "hypervisor"), (0xffffffff81000000, "guest kernel"),
                              (0xffff888000000000, "guest kernel")):
            self.assertEqual(where.region(address), name, hex(address))

    def test_the_empty_run_is_subtracted(self):
        with tempfile.NamedTemporaryFile("w") as f:
            f.write("401000 30\nffff82d040214000 500\nffff82d040214000 100\n")
            f.flush()
            counted = where.read_counts(f.name)
        empty = collections.Counter({0xffff82d040214000: 100, 0x401000: 30})
        shares = where.difference(counted, empty, 10)
        self.assertEqual(shares, {0xffff82d040214000: 50.0})
        self.assertEqual(where.by_region(shares), {"hypervisor": 50.0})

    def test_inlined_functions_count_as_themselves(self):
        text = ("0xffff82d040214000\nrdtsc\n/src/hypervisor/asm.h:45\nnow_ns\n/src/clock.c:41\n"
                "0xffff82d040214010\nnow_ns\n/src/clock.c:43 (discriminator 2)\n")
        chains = where.chains_of(text)
        shares = {0xffff82d040214000: 3.0, 0xffff82d040214010: 5.0}
        self.assertEqual(where.by_function(shares, chains),
                         [(5.0, "now_ns", "clock.c", ""), (3.0, "rdtsc", "asm.h", "now_ns")])

    def test_damaged_counts_are_refused(self):
        with tempfile.NamedTemporaryFile("w") as f:
            f.write("401000\n")
            f.flush()
            with self.assertRaisesRegex(BenchError, "counts"):
                where.read_counts(f.name)

    def test_each_row_is_run_alone_by_whoever_has_it(self):
        s = machines.Setting("build")
        self.assertIn("quiet mprotect", where.command(s, "mprotect", "mprotect", None))
        self.assertIn("bench=p2m-set-tree p2m=tree", where.command(s, "p2m-set-tree", "p2m-set-tree", None))
        self.assertIn("bench=none p2m=linear", where.command(s, machines.EMPTY, "pin", None))


PROGRAMS = {
    "good": "cat \"$0.console\"\n",
    "failed": "echo BENCH-FAILED mmap; echo reason >&2\n",
    "silent": "exec sleep 60\n",
    "early": "seq 100; exit 3\n",
}


class Whole(unittest.TestCase):
    """bench.py itself, with programs in the place of pvmm and QEMU."""

    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        b = self.build = self.dir.name
        for path in ("kernel/vmlinuz", "kernel/pvkernel", "xen/xen-4.17-amd64.gz", "bench/bench.cpio.gz",
                     "hypervisor/pvmm.elf32"):
            self.put(path, elf32((1, 10, 20)))
        # Both programs print a whole run; the stand-in for pvmm leaves a verdict, too.
        self.put("pvmm", f"#!/bin/sh\n"
                 f"json=; xen=; p2m=; while [ $# -gt 0 ]; do case $1 in --json) json=$2;; "
                 f"--hypervisor) xen=1;; bench=*) p2m=.${{1##*=}};; esac; shift; done\n"
                 f"[ -z \"$json\" ] || cp '{b}/verdict' \"$json\"\n"
                 f"cat '{b}/console.pvmm'$p2m${{xen:+.xen}}\n".encode(), 0o755)
        self.put("console.pvmm", console(4, parts=10).encode())
        self.put("console.pvmm.xen", console(5).encode())
        for layout in micro.ROWS:
            self.put(f"console.pvmm.{layout}", micro_console(layout, 3).encode())
            self.put(f"console.pvmm.{layout}.xen", micro_console(layout, 4).encode())
        self.put("verdict", json.dumps(COUNTED).encode())
        self.put("qemu.console", console(1).encode())
        self.qemu("good")

    def put(self, path, data, mode=0o644):
        path = f"{self.build}/{path}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
        os.chmod(path, mode)

    def qemu(self, kind):
        self.put("qemu", f"#!/bin/sh\n{PROGRAMS[kind]}".encode(), 0o755)

    def start(self, *words):
        def hear_interrupts():  # whoever runs this in the background has them ignored
            signal.signal(signal.SIGINT, signal.SIG_DFL)

        return subprocess.Popen([sys.executable, "-B", f"{BENCH}/bench.py", "--build", self.build, *words],
                                env={**os.environ, "PVMM_QEMU": f"{self.build}/qemu"},
                                preexec_fn=hear_interrupts,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def bench(self, *words, code):
        p = self.start(*words)
        out, err = p.communicate(timeout=50)
        self.assertEqual(p.returncode, code, err)
        return out, err

    def test_measures(self):
        out, _ = self.bench(code=0)
        self.assertRegex(out, r"fork-exit +2.0 +10.0 +8.0 +0.80 +0.75")
        rows = bench.read_results(f"{self.build}/bench/results.json")["rows"]
        self.assertAlmostEqual(rows[1]["pv_tax"], 0.75)
        self.bench("--check", "0.8", code=0)
        self.bench("--check", "0.7", code=1)
        self.bench("--check-recorder", "3", code=0)  # the stand-in knows no recorder: it costs nothing
        self.bench("--check-recorder", "0", code=1)
        self.bench("--check-micro", code=0)

    def test_measures_microbenchmarks_alone(self):
        self.bench("--check-micro", code=1)
        out, _ = self.bench("--micro", code=0)
        self.assertRegex(out, r"direct-write +24.0 +18.0 +0.750\n")
        path = f"{self.build}/bench/results.json"
        self.assertEqual(len(bench.read_results(path)["micro"]), len(micro.ALL_ROWS))
        self.bench("--check", "0.8", code=1)  # there are no others
        bench.write_results(path, {**results(), "micro": []})
        self.put("console.pvmm.linear", micro_console("linear", 5).encode())
        out, _ = self.bench("--micro", code=0)
        self.assertRegex(out, r"direct-write +24.0 +30.0 +1.250 +not below 1\n")
        self.assertRegex(self.bench("--check-micro", code=1)[0], "direct-write: 1.250 of Xen's, and no reason")
        self.bench("--check", "0.76", code=0)  # the others stay

    def test_a_run_of_microbenchmarks_that_fails(self):
        for but, says in ((("BENCH pin", "BENCH-FAILED pin: -16"), 'p2m=linear: the benchmark failed at "pin: -16"'),
                          (("BENCH-DONE", ""), "p2m=linear: ended .* without BENCH-DONE"),
                          (("BENCH pin", "BENCH p"), "makes no sense: BENCH p")):
            self.put("console.pvmm.linear", micro_console("linear", 3, [but]).encode())
            out, err = self.bench("--micro", code=1)
            self.assertRegex(err, says)
            self.assertEqual(out, "")
            self.assertFalse(os.path.exists(f"{self.build}/bench/results.json"))

    def test_a_run_that_fails_shows_its_end(self):
        for kind, says in (("failed", r'bare: the benchmark failed at "mmap"(.|\n)*\| reason'),
                           ("early", r"exit code 3\) without BENCH-TSC(.|\n)*\| 100\n")):
            self.qemu(kind)
            out, err = self.bench(code=1)
            self.assertRegex(err, says)
            self.assertEqual(out, "")

    def test_time_is_bounded(self):
        self.qemu("silent")
        _, err = self.bench("--timeout", "1", code=1)
        self.assertRegex(err, "bare: not at its end after 1 s")

    def test_what_is_missing_is_named(self):
        os.remove(f"{self.build}/xen/xen-4.17-amd64.gz")
        self.assertRegex(self.bench(code=1)[1], r"xen-4.17-amd64.gz is missing \(make xen\)")
        os.remove(f"{self.build}/qemu")
        self.assertRegex(self.bench(code=1)[1], "no QEMU: .*make deps")
        self.assertFalse(os.path.exists(f"{self.build}/bench/results.json"))

    def test_a_verdict_of_another_pvmm_is_refused(self):
        self.put("verdict", b'{"tlb_flushes": 1}')
        self.assertRegex(self.bench(code=1)[1], "own_frames")

    def test_an_interrupt_ends_the_machines(self):
        self.put("qemu", f"#!/bin/sh\necho $$ > '{self.build}/pid'\nexec sleep 60\n".encode(), 0o755)
        p = self.start()
        while not os.path.exists(f"{self.build}/pid") or not os.path.getsize(f"{self.build}/pid"):
            time.sleep(0.02)
        with open(f"{self.build}/pid", encoding="ascii") as f:
            pid = int(f.read())
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=30)
        self.assertEqual(p.returncode, 130)
        with self.assertRaises(ProcessLookupError):
            os.kill(pid, 0)


if __name__ == "__main__":
    unittest.main()
