#!/bin/sh
# SPDX-License-Identifier: MIT
# In a Debian with nothing else, and in namespaces of its own: inside.sh ROOT, with all that is wanted in ROOT/given.
set -u
ROOT=$1
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin
unset PVMM_HYPERVISOR PVMM_RUNTIME_DIR PVMM_QEMU XDG_RUNTIME_DIR TMPDIR

flunk() {
    echo "FAILED: $*"
    [ ! -s "$ROOT/given/log" ] || tail -n 40 "$ROOT/given/log"
    exit 1
}

in_root() {
    chroot "$ROOT" "$@"
}

quiet() { # WHAT COMMAND...
    what=$1
    shift
    in_root "$@" >"$ROOT/given/log" 2>&1 || flunk "$what: $* ended with $?"
    : >"$ROOT/given/log"
}

mount -t proc proc "$ROOT/proc" || flunk "cannot mount /proc"
mount --rbind /dev "$ROOT/dev" || flunk "cannot mount /dev"

# ---- what it needs, first: what these leave is not the package's
in_root apt-get -q update >"$ROOT/given/log" 2>&1 || exit 77
grep -q '^Err:' "$ROOT/given/log" && exit 77
deb=$(cd "$ROOT" && echo given/pvmm_*.deb)
needs=$(dpkg-deb -f "$ROOT/$deb" Depends | tr ',' '\n' | sed 's/^ *//; s/ .*//')
# shellcheck disable=SC2086
quiet "what it depends on" apt-get -q -y install $needs

# Every path but what is fetched and mounted, and what all of /etc holds; a log may grow.
everything() {
    in_root find / -xdev \( -path /proc -o -path /dev -o -path /sys -o -path /given -o -path /var/lib/apt/lists -o \
        -path /var/cache/apt \) -prune -o -printf '%p %y %m %u:%g\n' | sort
    in_root find /etc -type f -exec sha256sum {} + | sort -k 2
}
everything >"$ROOT/given/before"
[ "$(wc -l <"$ROOT/given/before")" -gt 5000 ] || flunk "there is next to nothing before"

# ---- installed
quiet "installed" apt-get -q -y install "/$deb"
quiet "files as packed" dpkg --verify pvmm
in_root pvmm --version >"$ROOT/given/out" || flunk "pvmm --version ended with $?"
cat "$ROOT/given/out"
[ "$(grep -Ec '^(pvmm [0-9.]+|hypervisor /usr/lib/pvmm/pvmm.elf32) \(build id [0-9a-f]{40}\)$' "$ROOT/given/out")" -eq 2 ] ||
    flunk "pvmm --version does not name both"
commands=$(in_root pvmm --commands)
[ "$(echo "$commands" | wc -w)" -ge 20 ] || flunk "pvmm --commands: $commands"
for page in pvmm $(echo "$commands" | sed 's/^/pvmm-/'); do
    gzip -t "$ROOT/usr/share/man/man1/$page.1.gz" || flunk "no manual page $page"
done
# shellcheck disable=SC2016
words=$(in_root bash --norc -c '. /usr/share/bash-completion/completions/pvmm
    COMP_WORDS=(pvmm unp) COMP_CWORD=1; _pvmm; echo "${COMPREPLY[*]}"')
[ "$words" = unpause ] || flunk "completion says: $words"
for path in /usr/share/doc/pvmm/copyright /usr/share/doc/pvmm/README.md /usr/lib/pvmm/pvmm.elf; do
    [ -s "$ROOT$path" ] || flunk "no $path"
done
[ ! -e "$ROOT/usr/share/doc/pvmm/LICENSE" ] || flunk "the license is there twice"
echo "ok: installed: command, hypervisor, $(echo "$commands" | wc -w) commands with manual pages, completion"

# ---- used: by nobody, as it needs no root
boots() { # "VERDICT" WORDS...
    verdict=$1
    shift
    rc=0
    chroot --userspec=nobody:nogroup "$ROOT" env -C /tmp timeout 300 pvmm run --no-core --accel tcg --timeout 240 "$@" \
        </dev/null >"$ROOT/given/console" 2>"$ROOT/given/log" || rc=$?
    if [ "$rc" -ne 0 ] || ! grep -q "^pvmm: clean: $verdict" "$ROOT/given/log"; then
        tail -n 20 "$ROOT/given/console"
        flunk "pvmm run $* ended with $rc"
    fi
    echo "ok: pvmm run $*: $(grep '^pvmm: clean' "$ROOT/given/log"); $(grep '^  audit' "$ROOT/given/log")"
}
boots "" -m 64M /given/pvkernel
grep -q '^1\.\.[0-9]' "$ROOT/given/console" || flunk "the test kernel's console has no plan"
grep -a '^not ok' "$ROOT/given/console" && flunk "the test kernel found faults"
boots "the guest rebooted" -m 64M /given/hello
grep -q '^hello: 3 of 3 pages' "$ROOT/given/console" || flunk "the kernel of libpvguest-dev does not say what it should"
[ ! -s "$ROOT/given/vmlinuz" ] ||
    boots "the expected text was seen" -m 256M -i /given/initramfs.cpio.gz -a pvmm.do=idle --expect PVMM-READY /given/vmlinuz
# A guest with a name, by root: it is registered below /run.
quiet "in the background" pvmm run --no-core --accel tcg --name kept --detach -m 64M -a live /given/pvkernel
in_root pvmm list | grep -q '^kept ' || flunk "no guest by its name"
quiet "ended" pvmm destroy kept
echo "ok: a guest with a name"

# ---- removed
quiet "removed" apt-get -q -y purge pvmm
everything >"$ROOT/given/after"
in_root dpkg-query -W pvmm 2>/dev/null && flunk "dpkg still knows it"
diff "$ROOT/given/before" "$ROOT/given/after" >"$ROOT/given/log" || flunk "something is left, or gone"
echo "ok: purged: $(wc -l <"$ROOT/given/after") paths, as before"
