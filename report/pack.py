#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Puts the report's page together: style and scripts into page.html, and that into an array of C.

Of page.html these lines are taken:
  <link rel="stylesheet" href="X.css">   becomes <style> with what is in the file
  <script src="X.js"></script>           becomes <script> likewise, in this order
  <!-- pvmm:title -->                    is where the title goes
  <!-- pvmm:data -->                     is where META and the columns go
  <!-- pvmm:policy -->                   becomes the page's Content-Security-Policy: it allows these scripts and
                                         styles by their hashes, and nothing else; so the page needs no network
Usage: pack.py OUT.c page.html
"""
import base64
import hashlib
import os
import re
import sys

POLICY = '<meta http-equiv="Content-Security-Policy" content="\0policy\0">'
MARKS = {"title": "PART_TITLE", "policy": "PART_POLICY", "data": "PART_DATA"}


def hash_of(text):
    return "'sha256-%s'" % base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


class Page:
    def __init__(self, path):
        self.folder = os.path.dirname(path)
        self.scripts, self.styles = [], []
        text = self.read(os.path.basename(path))
        text = re.sub(r'<link rel="stylesheet" href="([^"]+)">', self.style, text)
        text = re.sub(r'<script src="([^"]+)"></script>', self.script, text)
        for mark in MARKS:
            if text.count("<!-- pvmm:%s -->" % mark) != 1:
                sys.exit("pack.py: %s: \"<!-- pvmm:%s -->\" must stand there once" % (path, mark))
        text = text.replace("<!-- pvmm:policy -->", POLICY)
        self.text = re.sub(r"<!-- pvmm:(title|data) -->", "\0\\1\0", text)

    def read(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as f:
            text = f.read()
        if "\0" in text or "\r" in text:
            sys.exit("pack.py: %s: has bytes that no page has" % name)
        return text

    def style(self, m):
        text = self.read(m.group(1))
        if "</style" in text.lower():
            sys.exit("pack.py: %s: ends its own element" % m.group(1))
        self.styles.append(hash_of(text))
        return "<style>%s</style>" % text

    def script(self, m):
        text = self.read(m.group(1))
        if "</script" in text.lower() or "<!--" in text:
            sys.exit("pack.py: %s: ends its own element" % m.group(1))
        self.scripts.append(hash_of(text))
        return "<script>%s</script>" % text


def write(page, out):
    parts, data = [], b""
    for i, piece in enumerate(page.text.split("\0")):
        if i % 2:
            parts.append("{%s, 0, 0}" % MARKS[piece])
        else:
            piece = piece.encode()
            parts.append("{PART_TEXT, %d, %d}" % (len(data), len(piece)))
            data += piece
    out.write('#include "template.h"\n\nconst unsigned char report_bytes[] = {')
    for i in range(0, len(data), 32):
        out.write("\n" + ",".join(map(str, data[i:i + 32])) + ",")
    out.write("\n0};\nconst struct report_part report_template[] = {\n%s,\n{PART_END, 0, 0}};\n" % ",\n".join(parts))
    for name, hashes in ("script", page.scripts), ("style", page.styles):
        out.write('const char report_%s_hashes[] = "%s";\n' % (name, " ".join(hashes) or "'none'"))


def main():
    page = Page(sys.argv[2])
    with open(sys.argv[1], "w", encoding="ascii") as out:
        write(page, out)


main()
