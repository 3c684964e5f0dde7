#!/bin/sh
# SPDX-License-Identifier: MIT
# What modules for the kernel in KERNEL are built with: Debian's header packages of that very version and
# the build tools that they depend on, unpacked and never installed: fetch-headers.sh KERNEL DIRECTORY
# leaves them there, with DIRECTORY/build to be given to make -C.
set -eu

# shellcheck source=scripts/apt-fetch.sh
. "$(dirname "$0")/apt-fetch.sh"

[ $# -eq 2 ] || { echo "usage: fetch-headers.sh KERNEL DIRECTORY" >&2; exit 2; }
out=$2
version=$(cat "$1/version" 2>/dev/null) || die "no $1/version: run scripts/fetch-kernel.sh $1"
[ "$(cat "$out/version" 2>/dev/null)" != "$version" ] || exit 0

know_package "linux-headers-$version"
packages=$(apt-cache depends --no-recommends --no-suggests "linux-headers-$version" |
    sed -n 's/^ *|\{0,1\}Depends: \(linux-headers-.*-common\|linux-kbuild-.*\)$/\1/p')
[ -n "$packages" ] || die "linux-headers-$version depends on no packages that are known here"

mkdir -p "$(dirname "$out")"
tmp=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
for package in "linux-headers-$version" $packages; do
    unpack_package "$package" "$tmp/new"
done

# Debian's Makefile names the place where the package would be installed. It is read with its own folder
# as the working one.
headers=$tmp/new/usr/src/linux-headers-$version
sed -i "s,^include /usr/src/,include $(realpath "$(dirname "$out")")/$(basename "$out")/usr/src/," \
    "$headers/Makefile" || die "linux-headers-$version holds no Makefile"
ln -s "usr/src/linux-headers-$version" "$tmp/new/build"
rm -rf "$tmp/new/usr/share"
echo "$version" > "$tmp/new/version"
chmod 755 "$tmp/new"
rm -rf "$out"
mv "$tmp/new" "$out"
echo "fetch-headers.sh: $out is for Linux $version"
