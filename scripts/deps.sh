#!/bin/sh
# SPDX-License-Identifier: MIT
# Install the Debian packages that are missing, and only those: deps.sh PACKAGE...
set -eu

missing=
for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "deps.sh: no apt-get here; please install what corresponds to:$missing" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "deps.sh: not root; please run: apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
install() {
    # shellcheck disable=SC2086
    apt-get -q -y -o APT::Sandbox::User=root install --no-install-recommends $missing
}

echo "deps.sh: installing$missing"
# Package lists may be absent or out of date: only then do they cost a download.
if [ -z "$(find /var/lib/apt/lists -name '*_Packages*' -print -quit 2>/dev/null)" ] || ! install; then
    apt-get -q -y -o APT::Sandbox::User=root update
    install
fi
