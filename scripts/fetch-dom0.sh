#!/bin/sh
# SPDX-License-Identifier: MIT
# A dom0 with xl, out of Debian packages that are unpacked and never installed: fetch-dom0.sh DIRECTORY
# leaves vmlinuz and root.cpio there, Linux and what it finds in its root: busybox, Xen's tools with
# their libraries, Python for the tools that need it, and modules. It has no init yet:
# tests/interop/lab.py adds that.
set -eu

# shellcheck source=scripts/apt-fetch.sh
. "$(dirname "$0")/apt-fetch.sh"

PROGRAMS="xen-utils-4.17 xenstore-utils busybox-static python3.11-minimal"
LIBRARIES="libc6 libxencall1 libxendevicemodel1 libxenevtchn1 libxenforeignmemory1 libxengnttab1
           libxenhypfs1 libxenmisc4.17 libxenstore4 libxentoolcore1 libxentoollog1 libyajl2 libuuid1
           libgcc-s1 zlib1g libzstd1 liblzma5 libbz2-1.0 libexpat1 libpython3.11-minimal"
# Each after those that it needs; one that is not there is in the kernel itself.
MODULES="virtio/virtio_ring virtio/virtio virtio/virtio_pci_legacy_dev virtio/virtio_pci_modern_dev
         virtio/virtio_pci block/virtio_blk xen/xen-privcmd xen/xen-evtchn xen/xen-gntdev
         xen/xen-gntalloc xen/xenfs/xenfs"
USED="xl xenstored xenconsoled xen-init-dom0 libxl-save-helper"

directory=${1:?usage: fetch-dom0.sh DIRECTORY}
[ ! -s "$directory/root.cpio" ] || exit 0

# Libraries that a program of the root misses, by the root's own loader.
missing_libraries() {
    lib=$tmp/root/lib/x86_64-linux-gnu
    "$lib/ld-linux-x86-64.so.2" --library-path "$lib:$tmp/root/usr/lib/x86_64-linux-gnu" \
        --list "$1" 2>&1 | grep -vF "$tmp/root" | grep -E 'not found|/lib/.*=>|=> /'
}

unpack_programs() {
    for package in $PROGRAMS $LIBRARIES; do
        know_package "$package"
        unpack_package "$package" "$tmp/root"
    done
    for program in $USED; do
        path=$tmp/root/usr/lib/xen-4.17/bin/$program
        [ -x "$path" ] || die "the packages hold no $program"
        lost=$(missing_libraries "$path") && die "$program lacks: $lost"
    done
    rm -rf "$tmp/root/usr/share" "$tmp/root/usr/lib/x86_64-linux-gnu/gconv"
    ln -s python3.11 "$tmp/root/usr/bin/python3"
}

unpack_kernel() {
    know_package linux-image-amd64
    package=$(apt-cache depends --no-recommends --no-suggests linux-image-amd64 |
        sed -n 's/^ *|\{0,1\}Depends: \(linux-image-[0-9][^ ]*-amd64\)$/\1/p' | head -n 1)
    [ -n "$package" ] || die "linux-image-amd64 depends on no kernel package"
    unpack_package "$package" "$tmp/linux"
    version=${package#linux-image-}
    cp "$tmp/linux/boot/vmlinuz-$version" "$tmp/new/vmlinuz" || die "$package holds no kernel"
    mkdir -p "$tmp/root/modules"
    i=10
    for module in $MODULES; do
        from=$tmp/linux/lib/modules/$version/kernel/drivers/$module.ko
        [ ! -e "$from" ] || cp "$from" "$tmp/root/modules/$i-$(basename "$module").ko"
        i=$((i + 1))
    done
}

mkdir -p "$(dirname "$directory")"
tmp=$(mktemp -d "$directory.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/new"
unpack_programs
unpack_kernel
(cd "$tmp/root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$tmp/new/root.cpio"
chmod 755 "$tmp/new"
rm -rf "$directory"
mv "$tmp/new" "$directory"
echo "fetch-dom0.sh: $directory, Linux $version and xl, from packages"
