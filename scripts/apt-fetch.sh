# SPDX-License-Identifier: MIT
# Shell functions for taking files out of Debian packages without installing them.

die() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# Package lists, if there are none that know package $1. Only root can renew them.
know_package() {
    apt-cache show "$1" >/dev/null 2>&1 && return 0
    [ "$(id -u)" -eq 0 ] || die "apt does not know $1; please run apt-get update as root"
    apt-get -q -o APT::Sandbox::User=root update >&2 || true
    apt-cache show "$1" >/dev/null 2>&1 || die "apt does not know $1 (no network, no Debian?)"
}

# Download package $1 and unpack it into directory $2.
unpack_package() {
    mkdir -p "$2/deb"
    (cd "$2/deb" && apt-get -q -o APT::Sandbox::User=root download "$1" >&2) ||
        { [ "$(id -u)" -eq 0 ] && apt-get -q -o APT::Sandbox::User=root update >&2 &&
            (cd "$2/deb" && apt-get -q -o APT::Sandbox::User=root download "$1" >&2); } ||
        die "cannot download package $1 (is there a network?)"
    dpkg-deb -x "$2"/deb/*.deb "$2" || die "cannot unpack package $1"
    rm -r "$2/deb"
}
