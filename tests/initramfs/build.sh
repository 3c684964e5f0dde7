#!/bin/sh
# SPDX-License-Identifier: MIT
# Pack the test ramdisk: build.sh OUTPUT BUSYBOX WORKLOAD INIT [PROGRAM...]. The same inputs give the same bytes.
set -eu

out=$1 busybox=$2 workload=$3 init=$4
shift 4

# A busybox that wants libraries would be dead on arrival.
if LC_ALL=C readelf -l "$busybox" | grep -q INTERP; then
    echo "build.sh: $busybox is not static (package busybox-static)" >&2
    exit 1
fi

root=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$root" "$out.tmp"' EXIT
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp"
install -m 755 "$busybox" "$root/bin/busybox"
install -m 755 -s "$workload" "$root/bin/workload"
install -m 755 "$init" "$root/init"
for program; do
    install -m 755 -s "$program" "$root/bin"
done
ln -s busybox "$root/bin/sh"

find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . -mindepth 1 | LC_ALL=C sort |
    cpio --quiet -o -H newc --reproducible --owner 0:0) | gzip -9n > "$out.tmp"
mv "$out.tmp" "$out"
