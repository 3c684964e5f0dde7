#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian's kernel, out of the package that linux-image-amd64 depends on (with FLAVOUR cloud:
# linux-image-cloud-amd64), unpacked and never installed: fetch-kernel.sh DIRECTORY [FLAVOUR] leaves
# vmlinuz, config and version there.
set -eu

# shellcheck source=scripts/apt-fetch.sh
. "$(dirname "$0")/apt-fetch.sh"

out=${1:?usage: fetch-kernel.sh DIRECTORY [FLAVOUR]}
meta=linux-image-${2:+$2-}amd64
[ ! -s "$out/vmlinuz" ] || exit 0

know_package "$meta"
package=$(apt-cache depends --no-recommends --no-suggests "$meta" |
    sed -n 's/^ *|\{0,1\}Depends: \(linux-image-[0-9][^ ]*-amd64\)$/\1/p' | head -n 1)
[ -n "$package" ] || die "$meta depends on no kernel package"

mkdir -p "$(dirname "$out")"
tmp=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
unpack_package "$package" "$tmp/root"

version=${package#linux-image-}
mkdir "$tmp/new"
cp "$tmp/root/boot/vmlinuz-$version" "$tmp/new/vmlinuz" || die "$package holds no kernel"
cp "$tmp/root/boot/config-$version" "$tmp/new/config"
echo "$version" > "$tmp/new/version"
# The build has a folder of that name, and may be at work in it. The kernel comes last: by it all is there.
mkdir -p "$out"
mv "$tmp/new/config" "$tmp/new/version" "$out"
mv "$tmp/new/vmlinuz" "$out"
echo "fetch-kernel.sh: $out/vmlinuz is Linux $version, from package $package"
