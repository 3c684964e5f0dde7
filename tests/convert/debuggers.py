#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stock debuggers on converted images: they print linux_banner, and, with the kernel's debug symbols, its processes.

Usage: debuggers.py PVMM BUILD ARTIFACTS gdb|drgn|crash
"""
import os
import re
import shutil
import subprocess
import sys

from images import banner, every, name_of
from setting import BUILD, TMP, leave, main, need, pvmm

TOOL = sys.argv[4]
PACKAGE = {"gdb": "gdb", "drgn": "python3-drgn", "crash": "crash"}[TOOL]
VMLINUX = f"{BUILD}/kernel-dbg/vmlinux"
SLOW = 200  # seconds: a vmlinux of 600 MB is read

WALK = """set pagination off
printf "%s", linux_banner
set $t = &init_task
set $go_on = 1
while $go_on
printf "TASK %d %s\\n", $t->pid, $t->comm
set $t = (struct task_struct *)((char *)$t->tasks.next - (unsigned long)&((struct task_struct *)0)->tasks)
set $go_on = $t != &init_task
end
"""
DRGN = """from drgn.helpers.linux.pid import for_each_task
print(prog["linux_banner"].string_().decode())
for t in for_each_task(prog):
    print("TASK", t.pid.value_(), t.comm.string_().decode())
"""
# crash 8.0.2's ps lists the active tasks alone of this kernel; its `list` has all.
CRASH = """rd -a linux_banner 64
list task_struct.tasks -s task_struct.pid,comm -h init_task
quit
"""


def run(*words):
    """It has no terminal to ask at."""
    p = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SLOW,
                       check=False)
    return p.stdout.decode(errors="replace")


def script(text):
    path = f"{TMP}/script"
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    return path


def plain(elf, va):
    """Without symbols."""
    if TOOL == "gdb":
        return run("gdb", "-nx", "-batch", "-ex", f"x/s {va:#x}", "-c", elf)
    if TOOL == "drgn":
        return run("drgn", "-q", "--no-default-symbols", "-c", elf,
                   script(f"print(prog.read({va:#x}, 200).split(b'\\0')[0].decode())\n"))
    return None


def with_symbols(elf):
    if TOOL == "gdb":
        return run("gdb", "-nx", "-batch", "-x", script(WALK), VMLINUX, elf)
    if TOOL == "drgn":
        return run("drgn", "-q", "-c", elf, "-s", VMLINUX, script(DRGN))
    # Without the addresses that it writes in front of each line of text.
    return re.sub(r"\n[0-9a-f]{16}:  ", "", run("crash", "-s", "-i", script(CRASH), VMLINUX, elf))


def tasks(text):
    """By pid."""
    if TOOL == "crash":
        return {int(pid, 0): comm for pid, comm in re.findall(r'pid = (\d+),\s+comm = "([^"\\]*)', text)}
    return {int(pid): comm for pid, comm in re.findall(r"^TASK (\d+) (.*)$", text, re.M)}


def is_ours(release):
    try:
        with open(f"{BUILD}/kernel-dbg/version", encoding="ascii") as f:
            return f.read().strip() == release
    except FileNotFoundError:
        return False


def look(path):
    elf = f"{TMP}/{name_of(path)}.elf"
    pvmm("convert", path, elf)
    va, text = banner(path)
    text = re.search(r"Linux version \S+ \S+", text).group()
    said = plain(elf, va)
    need(f"{TOOL} on {name_of(path)} does not print linux_banner", said is None or text in said, said)
    release = text.split()[2]
    if not is_ours(release):
        print(f"SKIP: {name_of(path)}: no {VMLINUX} of Linux {release}: run make kernel-dbg")
        return said is not None
    said = with_symbols(elf)
    found = tasks(said)
    need(f"{TOOL} on {name_of(path)} does not print linux_banner", text in said, said[:3000])
    need(f"{TOOL} on {name_of(path)}: no task list", len(found) >= 20 and found.get(2) == "kthreadd" and 1 in found,
         f"{found}\n{said[-3000:]}")
    print(f"{TOOL}: {name_of(path)}: {text}; {len(found)} tasks, 1 is {found[1]}")
    os.remove(elf)
    return True


def debuggers():
    if not shutil.which(TOOL):
        print(f"SKIP: {TOOL} is not installed (package {PACKAGE})")
        leave(77)
    if not any([look(path) for path in every()]):
        leave(77)


main(debuggers)
