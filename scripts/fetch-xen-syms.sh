#!/bin/sh
# SPDX-License-Identifier: MIT
# The symbols of Debian's Xen, unpacked and never installed: fetch-xen-syms.sh DIRECTORY leaves
# xen-syms there, an ELF file of the hypervisor.
set -eu

# shellcheck source=scripts/apt-fetch.sh
. "$(dirname "$0")/apt-fetch.sh"

directory=${1:?usage: fetch-xen-syms.sh DIRECTORY}
[ ! -s "$directory/xen-syms" ] || exit 0
package=xen-hypervisor-4.17-amd64-dbg
know_package "$package"
mkdir -p "$(dirname "$directory")"
tmp=$(mktemp -d "$directory.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
unpack_package "$package" "$tmp/root"
mkdir "$tmp/new"
# Its name has the version in it.
find "$tmp/root" -type f -name 'xen-syms*' ! -name '*.map' -exec cp {} "$tmp/new/xen-syms" \;
[ -s "$tmp/new/xen-syms" ] || die "$package holds no xen-syms"
chmod 755 "$tmp/new"
rm -rf "$directory"
mv "$tmp/new" "$directory"
echo "fetch-xen-syms.sh: $directory/xen-syms, from package $package"
