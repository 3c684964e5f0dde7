# SPDX-License-Identifier: MIT
"""Lint's verdict on kernels that others made: boot_files.py ASK BUILD PVKERNEL"""
import json
import os
import subprocess
import sys

YES = ("yes", "yes", "as dom0: yes; as a domU: yes")
NO = ("no", "no", "as dom0: no, xen-not-pv; as a domU: no, xen-not-pv")

# File, verdict, codes, words of a finding, and who fetches it.
FILES = (
    ("kernel/vmlinuz", YES, ["feature-required", "features-disagree", "no-hypercall-page",
                             "segment-rights"], "writable_page_tables", "fetch-kernel.sh"),
    ("kernel-cloud/vmlinuz", YES, ["feature-required", "features-disagree", "no-hypercall-page",
                                   "segment-rights"], "", "fetch-kernel.sh"),
    ("grub/grub-x86_64-xen.bin", YES, ["no-hypercall-page", "no-init-p2m", "segment-rights",
                                       "segment-unaligned"], "", "fetch-grub.sh"),
    # A 64-bit kernel in a package for i386, whose notes have the wrong owner: what counts is its
    # section __xen_guest.
    ("gnumach/gnumach-1.8-xen-486.gz", YES, ["no-entry", "no-init-p2m", "note-owner"],
     'of the owner "name"', "fetch-gnumach.sh"),
    ("xen-syms/xen-syms", NO, ["not-pv", "xen-not-pv"], "it is Xen itself", "fetch-xen-syms.sh"),
    ("xen/xen-4.17-amd64.gz", NO, ["not-pv", "xen-not-pv"], "it is Xen itself", "fetch-xen.sh"),
)
# Another Linux may not have or need the same notes: of these only findings must be the same.
MAY = {"feature-required", "features-disagree", "no-hypercall-page", "segment-rights"}


def ask(tool, path):
    out = subprocess.run([tool, path], check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out)


def check(tool, path, verdict, codes, words):
    a = ask(tool, path)
    got = (a["pvmm"], a["xen"], a["xen_why"])
    if got != verdict:
        return f"{got}, not {verdict}"
    if (a["not_pv"]) != (verdict == NO):
        return f"not_pv is {a['not_pv']}"
    found = {f["code"] for f in a["findings"]}
    if found ^ set(codes) and (found ^ set(codes)) - MAY:
        return f"{sorted(found)}, not {codes}"
    if not any(words in f["text"] or words in f["also"] for f in a["findings"]):
        return f"no finding says \"{words}\""
    return None


def main():
    tool, build, pvkernel = sys.argv[1:4]
    wrong = skipped = 0
    wanted = [(os.path.join(build, name), *rest) for name, *rest in FILES]
    wanted.append((pvkernel, YES, ["segment-rights"], "", ""))
    for path, verdict, codes, words, script in wanted:
        if not os.path.exists(path):
            print(f"no {path}: run scripts/{script}")
            skipped += 1
            continue
        why = check(tool, path, verdict, codes, words)
        print(f"{path}: {why or 'as it should be'}")
        wrong += why is not None
    return 1 if wrong else 77 if skipped else 0


if __name__ == "__main__":
    sys.exit(main())
