#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian's packages of this tree as it is, whether committed or not: package.sh DIRECTORY leaves the .deb
# files there. Nothing else is written, neither there nor in the tree.
set -eu
mkdir -p "${1:?usage: package.sh DIRECTORY}"
out=$(realpath "$1")
root=$(realpath "$(dirname "$0")/..")
work=$(mktemp -d "$out/package.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

cd "$root"
{
    git ls-files -z --cached --others --exclude-standard 2>/dev/null ||
        find . -path './build*' ! -path ./builder ! -path './builder/*' -prune -o -path ./.git -prune -o \
            \( -type f -o -type l \) -print0
} >"$work/files"
mkdir "$work/pvmm"
tar -c --null --ignore-failed-read -T "$work/files" 2>/dev/null | tar -x -C "$work/pvmm"
cd "$work/pvmm"
# What make hands down would reach the package's own make.
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR
dpkg-buildpackage -us -uc -b >"$work/log" 2>&1 || {
    tail -n 60 "$work/log"
    echo "package.sh: dpkg-buildpackage failed" >&2
    exit 1
}
mv "$work"/*.deb "$out"
