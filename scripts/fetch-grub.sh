#!/bin/sh
# SPDX-License-Identifier: MIT
# GRUB's own image for PV guests, unpacked and never installed: fetch-grub.sh DIRECTORY leaves
# grub-x86_64-xen.bin there.
set -eu

# shellcheck source=scripts/apt-fetch.sh
. "$(dirname "$0")/apt-fetch.sh"

out=${1:?usage: fetch-grub.sh DIRECTORY}
image=grub-x86_64-xen.bin
package=grub-xen-host
[ ! -s "$out/$image" ] || exit 0

know_package "$package"
mkdir -p "$(dirname "$out")"
tmp=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
unpack_package "$package" "$tmp/root"

mkdir "$tmp/new"
cp "$tmp/root/usr/lib/grub-xen/$image" "$tmp/new/$image" || die "$package holds no $image"
chmod 755 "$tmp/new"
rm -rf "$out"
mv "$tmp/new" "$out"
echo "fetch-grub.sh: $out/$image, from package $package"
