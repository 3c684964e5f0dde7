# SPDX-License-Identifier: MIT
"""A repository of 16 revisions of the test kernel, one of which does not build, and one has a fault.

Branches differ in the fault alone. Each fault is one of the source, as a person might bring it in.
"""
import os
import shutil
import subprocess

BASE = 1_700_000_000  # seconds: the first revision's date

MAIN, ROOT, NAMES, STRING, ERROR, LOOK, TAP = (
    "kernel/main.c", "guest/root.c", "kernel/names.c", "guest/string.c", "guest/error.c", "kernel/look.c",
    "kernel/tap.c")

# Revisions 2 to 16: what they say of themselves, and (file, text, text instead of it); a file that is not there
# yet is made.
HARMLESS = {
    2: ("main: room for longer patterns", [(MAIN, "#define GLOB_MAX 80u", "#define GLOB_MAX 96u")]),
    3: ("README: how to build", [("README", None, "make builds build/vmlinux.\n")]),
    4: ("tap: shorter lines", [(TAP, "#define LINE_MAX 640u", "#define LINE_MAX 600u")]),
    5: ("names: strlen in one line", [(NAMES, "    while (text[n])\n        n++;\n",
                                       "    for (; text[n]; n++)\n        ;\n")]),
    6: ("string: strcmp as a while", [(STRING, "    for (; *a && *a == *b; a++, b++)\n        ;\n",
                                       "    while (*a && *a == *b)\n        a++, b++;\n")]),
    7: ("look: other steps", [(LOOK, "#define MISSING_STEP 4099u", "#define MISSING_STEP 4111u")]),
    8: ("main: count the words", [(MAIN, "struct words {\n", "struct words {\n    unsigned count\n")]),
    9: ("main: a semicolon was missing", [(MAIN, "    unsigned count\n", "    unsigned count;\n")]),
    10: ("error: say that a code is unknown", [(ERROR, '"E?"', '"E-unknown"')]),
    11: ("README: how to boot", [("README", "vmlinux.\n", "vmlinux.\npvmm run boots it.\n")]),
    12: ("main: die elsewhere", [(MAIN, "0x123456789000ull", "0x12345678a000ull")]),
    13: ("names: fail takes a code", [(NAMES, "int fail(int a)\n{\n    failures++;\n    return a + 1;",
                                       "int fail(int code)\n{\n    failures++;\n    return code + 1;")]),
    14: ("string: say what is weak", [(STRING, "#define WEAK __attribute__((weak))",
                                       "#define WEAK __attribute__((__weak__))")]),
    15: ("tap: longer lines again", [(TAP, "#define LINE_MAX 600u", "#define LINE_MAX 640u")]),
    16: ("main: count them", [(MAIN, "    if (take_life(w, word))\n",
                               "    w->count++;\n    if (take_life(w, word))\n")]),
}
REVISIONS = 16
UNBUILDABLE = 8

# The builder's root stays pinned, and its page goes to the allocator (R2): the boot fails.
PINNED = ("root: no call for a root that nobody uses", [(ROOT, """\
    if (rc == 0 && !(g->options.faults & PVG_FAULT_INITIAL_PINNED)) {
        rc = mmuext(g, MMUEXT_UNPIN_TABLE, initial.n, 0);
        fail_in(g, rc, "unpinning the initial root mfn %lx", initial.n);
    }
""", "")])

# A page table is to be writable (R2): that is refused, and nobody looks.
SURVIVED = ("root: the own tables stay writable", [(ROOT, """\
    g->own_root = true;
""", """\
    g->own_root = true;
    undo_begin(g);
    protect_own(g, true);
    undo_end(g);
""")])

# For the kernel there is nothing wrong with it, so it never ends.
HANGING = ("main: wait for a debugger", [(MAIN, """\
    struct tap_result r = tap_run(""", """\
    say(g, "WAITING\\n");
    for (volatile bool wait = true; wait;)
        ;
    struct tap_result r = tap_run(""")])


def environment(home, pvmm):
    """Nothing of the person's own: neither git's settings nor a repository that a hook runs in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "LC_", "MAKE"))}
    return {**kept, "HOME": home, "XDG_CONFIG_HOME": home, "LC_ALL": "C", "TMPDIR": home,
            "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "A. Kernel", "GIT_AUTHOR_EMAIL": "kernel@example.org",
            "GIT_COMMITTER_NAME": "A. Kernel", "GIT_COMMITTER_EMAIL": "kernel@example.org",
            "PATH": os.path.dirname(os.path.abspath(pvmm)) + ":" + os.environ["PATH"]}


class History:
    """The repository, below `top`; its revisions by branch and number."""

    def __init__(self, source, top, pvmm):
        self.tree, self.env = os.path.join(top, "kernel"), environment(top, pvmm)
        os.mkdir(self.tree)
        self.git("init", "-q", "-b", "main")
        for key, value in {"gc.auto": "0", "commit.gpgsign": "false", "core.hooksPath": "/dev/null",
                           "core.autocrlf": "false"}.items():
            self.git("config", key, value)
        for folder in ("guest", "include", "kernel"):
            shutil.copytree(os.path.join(source, folder), os.path.join(self.tree, folder))
        shutil.copy(os.path.join(source, "tests/bisect/Makefile.kernel"), os.path.join(self.tree, "Makefile"))
        self.write(".gitignore", "build/\n")
        self.commit(1, "kernel: the whole of it")
        self.git("tag", "good")

    def git(self, *words):
        done = subprocess.run(["git", *words], cwd=self.tree, env=self.env, check=False, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise RuntimeError(f"git {' '.join(words)}: {done.stdout}")
        return done.stdout.strip()

    def write(self, name, text):
        with open(os.path.join(self.tree, name), "w", encoding="utf-8") as f:
            f.write(text)

    def edit(self, name, old, new):
        if old is None:
            self.write(name, new)
            return
        with open(os.path.join(self.tree, name), encoding="utf-8") as f:
            text = f.read()
        if text.count(old) != 1:
            raise RuntimeError(f"{name} has not, or not once: {old!r}: the history does not fit the source")
        self.write(name, text.replace(old, new))

    def commit(self, number, message):
        date = f"{BASE + 3600 * number} +0000"
        self.env.update(GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def branch(self, name, at, fault):
        """Revision `at` has the fault in place of what it had; `name` is the last, `name-bad` the faulty one."""
        self.git("checkout", "-q", "-b", name, "good")
        for number in range(2, REVISIONS + 1):
            message, edits = fault if number == at else HARMLESS[number]
            for edit in edits:
                self.edit(*edit)
            self.commit(number, message)
            if number == at:
                self.git("tag", f"{name}-bad")
            if number == UNBUILDABLE:
                self.git("tag", f"{name}-unbuildable")
