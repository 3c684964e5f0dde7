#!/bin/sh
# SPDX-License-Identifier: MIT
# The vmlinux with debug symbols of the kernel in KERNEL, out of Debian's package of that very version:
# fetch-kernel-dbg.sh KERNEL DIRECTORY leaves vmlinux and version there. The package is large; what else
# is in it is not unpacked.
set -eu

# shellcheck source=scripts/apt-fetch.sh
. "$(dirname "$0")/apt-fetch.sh"

[ $# -eq 2 ] || { echo "usage: fetch-kernel-dbg.sh KERNEL DIRECTORY" >&2; exit 2; }
out=$2
version=$(cat "$1/version" 2>/dev/null) || die "no $1/version: run scripts/fetch-kernel.sh $1"
[ "$(cat "$out/version" 2>/dev/null)" != "$version" ] || exit 0

package=linux-image-$version-dbg
know_package "$package"
mkdir -p "$(dirname "$out")"
tmp=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
for attempt in 1 2 3; do
    (cd "$tmp" && apt-get -q -o APT::Sandbox::User=root download "$package" >&2) && break
    [ "$attempt" -lt 3 ] || die "cannot download package $package (is there a network?)"
    sleep 5
done
mkdir "$tmp/root" "$tmp/new"
dpkg-deb --fsys-tarfile "$tmp"/*.deb |
    tar -x -C "$tmp/root" --wildcards './usr/lib/debug/boot/vmlinux-*' './usr/lib/debug/lib/modules/*/vmlinux' \
        2>/dev/null || true # one of the two is not there
find "$tmp/root" -type f -name 'vmlinux*' -exec mv {} "$tmp/new/vmlinux" \;
[ -s "$tmp/new/vmlinux" ] || die "$package holds no vmlinux"
# Its section headers lie at its very end.
readelf -S "$tmp/new/vmlinux" >/dev/null 2>"$tmp/why" && [ ! -s "$tmp/why" ] ||
    die "vmlinux of $package is not whole: $(head -n 1 "$tmp/why")"
echo "$version" > "$tmp/new/version"
chmod 755 "$tmp/new"
rm -rf "$out"
mv "$tmp/new" "$out"
echo "fetch-kernel-dbg.sh: $out/vmlinux is of Linux $version"
