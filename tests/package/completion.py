#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Completion in bash: what it offers is what the command takes, in functions and at a real terminal.

Usage: completion.py PVMM BUILD GUEST COMPLETION
"""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PVMM, BUILD, GUEST, COMPLETION = map(os.path.abspath, sys.argv[1:5])
PATIENCE = 60
failures = []
# A line for each word offered; then what readline is asked for besides.
DRIVER = f"""
. {COMPLETION}
compopt() {{ asked+=" $*"; }}
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) asked=
_pvmm
printf '%s\\n' "${{COMPREPLY[@]}}" "asked$asked"
"""
FILES, NOTHING = ([], "-o default"), ([], "")


def check(what, holds, more=""):
    if not holds:
        failures.append(what)
        print(f"FAILED: {what}: {more}")


def run(*words):
    return subprocess.run([PVMM, *words], check=False, text=True, stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=PATIENCE)


def offered(*words):
    p = subprocess.run(["bash", "--norc", "-c", DRIVER, "bash", PVMM, *words], check=True, text=True,
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
    check(f"{words}: nothing on stderr", not p.stderr, p.stderr)
    *lines, asked = p.stdout.splitlines()
    return [line for line in lines if line], asked.removeprefix("asked").strip()


def options_are_taken(commands):
    """Each that is offered is one; each that the help text begins a line with is offered."""
    count = 0
    for command in commands:
        options, _ = offered(command, "--")
        help_text = run(command, "--help").stdout
        check(f"{command}: --help is offered", "--help" in options, options)
        for option in set(options) - {"--help"}:
            count += 1
            err = run(command, option).stderr
            check(f"{command} {option} is an option", "is unknown, ambiguous" not in err, err)
            check(f"{command} {option} is in its help", option in help_text)
        begun = re.findall(r"^  +(?:-\w, )?(--[a-z0-9-]+)", help_text, re.M)
        check(f"{command}: what its help begins a line with is offered", set(begun) <= set(options), begun)
    check("there were options", count > 100, count)
    check("a beginning is completed", offered("run", "--mem") == (["--memory", "--memory-file"], ""))


def operands():
    for words, wanted in ((("run", ""), FILES), (("inspect", ""), FILES), (("lint", "a", "b", ""), FILES),
                          (("read", "f", ""), NOTHING), (("p2m", "f", ""), NOTHING), (("run", "-m", ""), NOTHING),
                          (("run", "-i", ""), FILES), (("run", "--initrd", "=", ""), FILES),
                          (("run", "--gdb", ""), FILES), (("run", "--name", ""), NOTHING),
                          (("run", "-m", "64M", "--strict", ""), FILES), (("run", "kernel", ""), NOTHING),
                          (("dump", "name", ""), FILES), (("migrate", "--to", ""), NOTHING), (("nonsense", ""), NOTHING), (("nonsense", "--"), NOTHING)):
        check(f"{words}", offered(*words) == wanted, offered(*words))
    os.makedirs("folder")
    check("a folder for a recording", offered("replay", "fol") == (["folder"], "-o filenames"))


def choices(commands):
    """The words that an option chooses between stand in the help text of each command that has the option."""
    text = subprocess.run(["sed", "-n", r"s/^    \(--[a-z-]*\)) echo \(.*\) ;;/\1 \2/p", COMPLETION], check=True,
                          text=True, capture_output=True).stdout
    lists = {words[0]: words[1:] for words in map(str.split, text.splitlines())}
    check("there are choices", len(lists) >= 8, lists)
    texts = {command: run(command, "--help").stdout for command in commands}
    texts["restore"] += texts["run"]
    for option, words in lists.items():
        having = [command for command in commands
                  if option in offered(command, "--")[0] and f"{option} COMMAND" not in texts[command]]
        for command in having:
            check(f"{command} {option}: {words}", all(word in texts[command] for word in words))
            got = offered(command, option, "")
            check(f"{command} {option} offers them", got[0] == words, got)
            check(f"{command} {option}= offers them", offered(command, option, "=", words[0][:2])[0] == words[:1])


def guests():
    name = "completed.by_its-name"
    p = subprocess.Popen([PVMM, "run", "--no-core", "--name", name, "-m", "64M", "-a", "echo", "--accel", "tcg", GUEST],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.time() + PATIENCE
        while name not in run("list").stdout and time.time() < end:
            time.sleep(0.1)
        for words in (("console", ""), ("dump", "comp"), ("list", ""), ("console", "-e", "^A", ""), ("save", "-c", ""),
                      ("resume", ""), ("migrate", "-q", "")):
            check(f"{words}: the guest", offered(*words) == ([name], ""), offered(*words))
        check("of another letter", offered("destroy", "x") == NOTHING, offered("destroy", "x"))
        typed("pvmm destr\tcom\t", f"pvmm destroy {name} ")
    finally:
        p.send_signal(signal.SIGTERM)
        p.wait(PATIENCE)
    check("it is gone", offered("console", "") == NOTHING)


def typed(keys, wanted):
    """At a terminal, with the completion that bash makes of it."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(PS1="$ ", TERM="dumb", PATH=f"{os.path.dirname(PVMM)}:{os.environ['PATH']}")
        os.environ.pop("PROMPT_COMMAND", None)
        os.execlp("bash", "bash", "--norc", "--noprofile", "-i")
    seen = ""

    def await_text(text):
        nonlocal seen
        end = time.time() + PATIENCE
        while text not in seen and time.time() < end:
            if select.select([fd], [], [], 0.2)[0]:
                seen += os.read(fd, 4096).decode(errors="replace").replace("\r", "")

    os.write(fd, f". {COMPLETION}; echo rea''dy\n".encode())
    await_text("ready")
    seen = ""
    os.write(fd, keys.encode())
    await_text(wanted)
    check(f"typed {keys!r}", wanted in seen, seen)
    os.close(fd)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def main():
    folder = tempfile.mkdtemp(prefix="pvmm-completion-")
    os.environ.update(PVMM_RUNTIME_DIR=f"{folder}/guests", TMPDIR=folder,
                      PVMM_HYPERVISOR=f"{BUILD}/hypervisor/pvmm.elf32")
    os.chdir(folder)
    try:
        commands = run("--commands").stdout.split()
        check("there are commands", len(commands) >= 20, commands)
        check("all are offered", offered("") == ([*commands, "--help", "--version"], ""), offered(""))
        options_are_taken(commands)
        operands()
        choices(commands)
        with open("one kernel", "w", encoding="ascii"):
            pass
        typed("pvmm insp\tone\t", "pvmm inspect one\\ kernel ")
        guests()
    finally:
        os.chdir("/")
        shutil.rmtree(folder)
    print("completion: all well" if not failures else f"{len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
