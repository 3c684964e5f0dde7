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

# Take the one file $2 (a path in package $1) out of it, into directory $3; nothing to do if it is there.
fetch_one_file() {
    image=$(basename "$2")
    [ ! -s "$3/$image" ] || return 0
    know_package "$1"
    mkdir -p "$(dirname "$3")"
    tmp=$(mktemp -d "$3.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    unpack_package "$1" "$tmp/root"
    mkdir "$tmp/new"
    cp "$tmp/root/$2" "$tmp/new/$image" || die "$1 holds no $2"
    chmod 755 "$tmp/new"
    rm -rf "$3"
    mv "$tmp/new" "$3"
    echo "$(basename "$0"): $3/$image, from package $1"
}
