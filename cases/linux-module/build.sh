#!/bin/sh
# SPDX-License-Identifier: MIT
# The module and a ramdisk that loads it: build.sh BUILD leaves them in BUILD/cases/linux-module, if they
# are not there from the same sources and the same kernel.
set -eu

build=${1:?usage: build.sh BUILD}
here=$(realpath "$(dirname "$0")")
headers=$build/headers
out=$build/cases/linux-module

die() {
    echo "build.sh: $*" >&2
    exit 1
}

[ -e "$headers/build/Makefile" ] || die "no $headers: run make headers"
[ "$(cat "$headers/version")" = "$(cat "$build/kernel/version")" ] ||
    die "$headers is not for the kernel in $build/kernel: run make headers"
compiler=$(sed -n 's/^CONFIG_GCC_VERSION=\([0-9]*\)[0-9]\{4\}$/gcc-\1/p' "$build/kernel/config")
command -v "$compiler" >/dev/null || die "no $compiler, with which the kernel was built"
busybox=$(command -v busybox) || die "no busybox (package busybox-static)"
LC_ALL=C readelf -l "$busybox" | grep -q INTERP && die "$busybox is not static (package busybox-static)"

sources="$here/breach.c $here/Kbuild $here/init $here/build.sh"
# shellcheck disable=SC2086
key=$(cat $sources "$headers/version" | sha256sum)
[ "$(cat "$out/key" 2>/dev/null)" != "$key" ] || exit 0

mkdir -p "$build/cases"
tmp=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/module" "$tmp/new" "$tmp/root" "$tmp/root/bin"
cp "$here/breach.c" "$here/Kbuild" "$tmp/module"
# What a make around this one was told is not for the kernel's.
env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u CC make -C "$headers/build" M="$(realpath "$tmp/module")" \
    modules >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; die "the module cannot be built"; }

install -m 755 "$busybox" "$tmp/root/bin/busybox"
ln -s busybox "$tmp/root/bin/sh"
install -m 755 "$here/init" "$tmp/root/init"
install -m 644 "$tmp/module/breach.ko" "$tmp/root/breach.ko"
find "$tmp/root" -exec touch -h -d @0 {} +
(cd "$tmp/root" && find . -mindepth 1 | LC_ALL=C sort |
    cpio --quiet -o -H newc --reproducible --owner 0:0) | gzip -9n > "$tmp/new/initramfs.cpio.gz"
cp "$tmp/module/breach.ko" "$tmp/new/breach.ko"
echo "$key" > "$tmp/new/key"
chmod 755 "$tmp/new"
rm -rf "$out"
mv "$tmp/new" "$out"
