#!/bin/sh
# SPDX-License-Identifier: MIT
# GRUB's own image for PV guests, unpacked and never installed: fetch-grub.sh DIRECTORY leaves
# grub-x86_64-xen.bin there.
set -eu

# shellcheck source=scripts/apt-fetch.sh
. "$(dirname "$0")/apt-fetch.sh"

fetch_one_file grub-xen-host usr/lib/grub-xen/grub-x86_64-xen.bin "${1:?usage: fetch-grub.sh DIRECTORY}"
