#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian's Xen hypervisor, unpacked and never installed: fetch-xen.sh DIRECTORY leaves
# xen-4.17-amd64.gz there.
set -eu

# shellcheck source=scripts/apt-fetch.sh
. "$(dirname "$0")/apt-fetch.sh"

out=${1:?usage: fetch-xen.sh DIRECTORY}
image=xen-4.17-amd64.gz
package=xen-hypervisor-4.17-amd64
[ ! -s "$out/$image" ] || exit 0

know_package "$package"
mkdir -p "$(dirname "$out")"
tmp=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
unpack_package "$package" "$tmp/root"

mkdir "$tmp/new"
cp "$tmp/root/boot/$image" "$tmp/new/$image" || die "$package holds no $image"
chmod 755 "$tmp/new"
rm -rf "$out"
mv "$tmp/new" "$out"
echo "fetch-xen.sh: $out/$image, from package $package"
