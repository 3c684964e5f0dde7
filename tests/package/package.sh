#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian's packages: built from a copy of the tree, installed by apt into a Debian with nothing else, used there
# to boot kernels, and removed without a trace. package.sh BUILD SOURCE
#
# What takes time, and what mounts, is done in namespaces of its own: whatever ends this, they end, too.
set -u
BUILD=$(realpath "$1") SOURCE=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)

skip() {
    echo "SKIPPED: $*"
    exit 77
}

flunk() {
    echo "FAILED: $*"
    [ -z "${log:-}" ] || tail -n 40 "$log"
    exit 1
}

[ "$(id -u)" -eq 0 ] || skip "not root, who alone installs packages into another root"
for program in debootstrap dpkg-buildpackage dh unshare; do
    command -v "$program" >/dev/null || skip "no $program (Debian packages debootstrap, dpkg-dev, debhelper, util-linux)"
done
unshare --mount --pid --fork --mount-proc true 2>/dev/null || skip "no namespaces here (unshare --mount --pid)"

mkdir -p "$BUILD/tests/package"
work=$(mktemp -d "$BUILD/tests/package/package.XXXXXX")
child=
clean() {
    if [ -n "$child" ]; then
        kill -KILL "$child" # unshare is deaf to all else
        wait "$child" 2>/dev/null
    fi
    # What it started is being ended, and may still make files.
    for _ in $(seq 100); do
        rm -rf --one-file-system "$work" 2>/dev/null && break
        sleep 0.2
    done
}
trap clean EXIT
trap 'exit 130' INT TERM HUP

since=$(date +%s)
told() { # WHAT: how long it took
    echo "ok: $1 ($(($(date +%s) - since)) s)"
    since=$(date +%s)
}

# ended COMMAND...: in the background, so that a signal reaches this script meanwhile. With the first process of its
# namespaces all others end, and what they mounted is gone.
ended() {
    unshare --mount --pid --fork --kill-child --mount-proc "$@" &
    child=$!
    rc=0
    wait "$child" || rc=$?
    child=
    return "$rc"
}

# ---- built
log=$work/build.log
ended "$SOURCE/scripts/package.sh" "$work/debs" >"$log" 2>&1 || flunk "scripts/package.sh ended with $?"
for package in pvmm libpvimage-dev libpvguest-dev; do
    [ -n "$(find "$work/debs" -name "${package}_*.deb" -size +0)" ] || flunk "no package $package"
done
told "dpkg-buildpackage: $(cd "$work/debs" && echo *.deb)"

# ---- what is for developers: a kernel and a program by what pkg-config says of the packages' files
for package in libpvimage-dev libpvguest-dev; do
    dpkg-deb -x "$work/debs/${package}"_*.deb "$work/devel" || flunk "$package cannot be unpacked"
done
PKG_CONFIG_PATH=$(dirname "$(find "$work/devel" -name pvguest.pc)")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046
gcc $(pkg-config --cflags pvguest) -O2 -Wall -Werror "$SOURCE/docs/examples/hello.c" -o "$work/hello" \
    $(pkg-config --libs pvguest) >"$log" 2>&1 || flunk "no kernel by libpvguest-dev"
# shellcheck disable=SC2046
gcc $(pkg-config --cflags pvimage) -O2 -Wall -Werror "$SOURCE/docs/examples/look.c" -o "$work/look" \
    $(pkg-config --libs pvimage) >"$log" 2>&1 || flunk "no program by libpvimage-dev"
"$work/look" "$work/hello" 0 2>&1 | grep -q "^look: $work/hello: " || flunk "look does not run"
told "a kernel and a program are built with libpvguest-dev and libpvimage-dev"

# ---- a Debian with nothing else, from where this one's packages come
# shellcheck disable=SC2016
apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
    awk '$2 ~ /^bookworm(-updates|-security)?$/ && $3 == "main"' | sort -u >"$work/sources"
mirror=$(awk '$2 == "bookworm" { print $1; exit }' "$work/sources")
[ -n "$mirror" ] || skip "apt has no packages of Debian bookworm here"
eval "$(apt-config shell proxy Acquire::http::Proxy)"
export http_proxy="${proxy:-${http_proxy:-}}"
[ -n "$http_proxy" ] || unset http_proxy
log=$work/debootstrap.log
ended debootstrap --variant=minbase bookworm "$work/root" "$mirror" >"$log" 2>&1 || {
    rc=$?
    grep -Eq "Failed getting release file|Couldn't download|couldn't be downloaded|unable to resolve" "$log" &&
        skip "$mirror cannot be reached: $(tail -n 1 "$log")"
    flunk "debootstrap ended with $rc"
}
told "debootstrap"

# ---- installed, used, removed
mkdir "$work/root/given"
cp "$work/hello" "$BUILD/kernel/pvkernel" "$work/debs/"pvmm_*.deb "$work/root/given"
if [ -s "$BUILD/kernel/vmlinuz" ]; then
    cp "$BUILD/kernel/vmlinuz" "$BUILD/initramfs.cpio.gz" "$work/root/given"
fi
awk '{ print "deb", $1, $2, $3 }' "$work/sources" >"$work/root/etc/apt/sources.list"
{
    apt-config dump | grep -E '^Acquire::(http::Proxy|Check-Valid-Until|Check-Date|Retries) '
    echo 'APT::Sandbox::User "root"; Acquire::Languages "none"; APT::Install-Recommends "false";'
} >"$work/root/etc/apt/apt.conf.d/99test"
cp /etc/resolv.conf /etc/hosts "$work/root/etc/"
log=
ended "$here/inside.sh" "$work/root" || {
    rc=$?
    [ "$rc" -ne 77 ] || skip "the mirror cannot be reached"
    flunk "inside.sh ended with $rc"
}
[ -s "$work/root/given/vmlinuz" ] || echo "left out: Debian's kernel, which is not in $BUILD/kernel (make kernel)"
told "installed, used, purged"
echo "package: all well"
