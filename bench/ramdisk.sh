#!/bin/sh
# SPDX-License-Identifier: MIT
# Pack a ramdisk with one program, its init: ramdisk.sh OUTPUT INIT. The same init gives the same bytes.
# There is no /dev: the kernel brings its own console where the ramdisk has none.
set -eu

out=$1 init=$2
root=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$root" "$out.tmp"' EXIT
install -m 755 -s "$init" "$root/init"
find "$root" -exec touch -h -d @0 {} +
(cd "$root" && echo init | cpio --quiet -o -H newc --reproducible --owner 0:0) | gzip -9n > "$out.tmp"
mv "$out.tmp" "$out"
