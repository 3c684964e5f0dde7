#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian's Xen hypervisor, unpacked and never installed: fetch-xen.sh DIRECTORY leaves
# xen-4.17-amd64.gz there.
set -eu

# shellcheck source=scripts/apt-fetch.sh
. "$(dirname "$0")/apt-fetch.sh"

fetch_one_file xen-hypervisor-4.17-amd64 boot/xen-4.17-amd64.gz "${1:?usage: fetch-xen.sh DIRECTORY}"
