#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian's GNU Mach for Xen, unpacked and never installed: fetch-gnumach.sh DIRECTORY leaves
# gnumach-1.8-xen-486.gz there.
set -eu

# shellcheck source=scripts/apt-fetch.sh
. "$(dirname "$0")/apt-fetch.sh"

fetch_one_file gnumach-image-1.8-xen-486 boot/gnumach-1.8-xen-486.gz \
    "${1:?usage: fetch-gnumach.sh DIRECTORY}"
