#!/bin/sh
# SPDX-License-Identifier: MIT
# Boots of a kernel that no one here wrote: boot.sh PVMM BUILD CASE [OPTION...].
#
# Each case boots Debian's kernel out of BUILD/kernel and asserts the exit code, what the console
# shows, and a clean audit in the JSON verdict. With PVMM_TEST_XEN=1 the same cases run under the real
# Xen out of BUILD/xen, which gives no audit: the two must agree about everything else.
set -u
PVMM=$1 BUILD=$2 CASE=$3
shift 3 # options of `pvmm run` may follow
KERNEL=${PVMM_TEST_KERNEL:-$BUILD/kernel/vmlinuz}
INITRD=$BUILD/initramfs.cpio.gz
XEN=$BUILD/xen/xen-4.17-amd64.gz
PATIENCE=${PVMM_TEST_PATIENCE:-400}

[ -s "$KERNEL" ] || { echo "no $KERNEL: run scripts/fetch-kernel.sh $BUILD/kernel"; exit 77; }
case $CASE in
    xen-*) PVMM_TEST_XEN=1 CASE=${CASE#xen-} ;;
esac
real_xen=${PVMM_TEST_XEN:-0}
if [ "$real_xen" = 1 ]; then
    [ -s "$XEN" ] || { echo "no $XEN: run scripts/fetch-xen.sh $BUILD/xen"; exit 77; }
    set -- --hypervisor "$XEN" "$@"
fi

case "$CASE $*" in
    *grub*) command -v grub-mkrescue >/dev/null || { echo "no grub-mkrescue: run make deps"; exit 77; } ;;
esac

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
out=$dir/out err=$dir/err json=$dir/json
core="--core $dir/core"
[ "$real_xen" = 1 ] && core=--no-core

# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

# boot CODE OUTCOME OPTION...: run, and compare how it ended.
boot() {
    code=$1 outcome=$2
    shift 2
    rc=0
    # shellcheck disable=SC2086
    timeout $((PATIENCE + 60)) "$PVMM" run $core -v --timeout "$PATIENCE" --json "$json" \
        --log "$dir/log" -i "$INITRD" "$@" "$KERNEL" >"$out" 2>"$err" || rc=$?
    [ "$rc" -eq "$code" ] || flunk "exit code $rc instead of $code"
    [ "$(field exit_code)" = "$code" ] || flunk "the JSON verdict gives another exit code"
    [ "$(field outcome)" = "$outcome" ] || flunk "outcome $(field outcome) instead of $outcome"
    cat "$err"
}

# The console shows a line that matches.
shows() {
    grep -Eq -- "$1" "$out" || flunk "the console does not show $1"
}

# The hypervisor's books balance, and the numbers of the verdict are those of a real run.
audited() {
    [ "$real_xen" = 1 ] && return
    [ "$(field verdict_complete)" = True ] || flunk "no complete verdict"
    [ "$(field audit.taken)" = True ] || flunk "no audit was taken"
    [ "$(field audit.clean)" = True ] || flunk "the audit is not clean"
    [ "$(field audit.frames)" -gt 0 ] || flunk "the audit looked at no frames"
    [ "$(field hypercalls.mmu_update.count)" -gt 1000 ] || flunk "hardly any mmu_update"
    [ "$(field root_switches)" -gt 0 ] || flunk "no root switches"
}

# What the ramdisk's workload says when all of it held.
worked() {
    shows '^PVMM-READY'
    shows '^workload: fork-exec [0-9]+ ok'
    shows '^workload: mmap-mprotect-munmap [0-9]+ pages ok'
    shows '^workload: copy-on-write [0-9]+ pages ok'
    shows '^workload: tmpfs-file [0-9]+ KiB checksum [0-9a-f]+ ok'
    shows '^PVMM-WORKLOAD-OK'
    [ "$real_xen" = 1 ] || [ "$(field ns_to_user)" -gt 0 ] || flunk "no guest time to init"
}

workload() {
    boot 0 poweroff "$@" </dev/null
    worked
    audited
}

# holes RANGE OPTION...: a guest of 256M whose map has a hole of 32M, with RAM of that range behind it.
holes() {
    printf '%s\n' '0-0x5ffffff ram' '0x6000000-0x7ffffff reserved' "$1 ram" > "$dir/map"
    shift
    workload -m 256M --e820 "$dir/map" -a "pvmm.forks=20" "$@"
    shows 'Xen: \[mem 0x0000000006000000-0x0000000007ffffff\] reserved'
    shows 'Remapped [0-9]+ page'
}

# A person who waits for the prompt, types, reads the answer, and leaves.
person() {
    await '^/ # '
    # The answer cannot be the echo of the question.
    # shellcheck disable=SC2016
    echo 'echo $((6*7))-typed'
    await '^42-typed'
    echo 'stty size < /dev/tty; echo $((7*8))-again; exit'
}

# Someone who speaks to the store as the kernel's own users do: a message is its type, id, transaction
# and length, 32 bits each, and a payload. The last one is what a toolstack writes to power a guest off.
store_user() {
    await '^/ # '
    printf '%s\n' 'exec 3<>/dev/xen/xenbus; reply() { dd bs=4096 count=1 <&3 2>/dev/null | tail -c +17; }' \
        'printf "\2\0\0\0\1\0\0\0\0\0\0\0\5\0\0\0name\0" >&3; echo "name-is-$(reply)."' \
        'printf "\13\0\0\0\2\0\0\0\0\0\0\0\16\0\0\0data/x\0written" >&3; echo "write-$(reply | tr -d "\0")."' \
        'printf "\2\0\0\0\3\0\0\0\0\0\0\0\7\0\0\0data/x\0" >&3; echo "data-x-$(reply)."' \
        'printf "\13\0\0\0\4\0\0\0\0\0\0\0\5\0\0\0name\0" >&3; echo "forbidden-$(reply | tr -d "\0")."' \
        'printf "\2\0\0\0\5\0\0\0\0\0\0\0\31\0\0\0control/feature-poweroff\0" >&3; echo "kernel-wrote-$(reply)."' \
        'echo "/bin/poweroff -f" > /proc/sys/kernel/poweroff_cmd' \
        'printf "\13\0\0\0\6\0\0\0\0\0\0\0\31\0\0\0control/shutdown\0poweroff" >&3'
}

case $CASE in
    128M | 256M | 512M) workload -m "$CASE" "$@" ;;
    4G) workload -m 4G -a "pvmm.forks=50" "$@" ;;
    machine) workload "$@" ;;
    grub) workload -m 256M --loader grub -a "pvmm.forks=20" "$@" ;;
    grub-words)
        # shellcheck disable=SC2016
        words='a="b c" d=\e  f;g$h${i} `j` #k '"l='m'"' n=\x41 o=ö &|<>{}[]()!*?~^'
        boot 0 expected -m 256M --loader grub --expect 'Command line' -a "$words" "$@" </dev/null
        grep -qF -- "Command line: console=hvc0 earlyprintk=xen $words" "$out" ||
            flunk "the kernel got other words"
        head -n 1 "$out" | grep -q 'Linux version' || flunk "something else is on the console"
        ;;
    holes)
        # Linux moves what lies in a hole behind all that it has.
        holes 0x8000000-0x13ffffff "$@"
        shows 'Released 0 page\(s\)'
        shows 'Remapped 8192 page\(s\)'
        [ "$(field hypercalls.memory_op.count)" -lt 100 ] || flunk "memory was given back"
        ;;
    holes-full)
        # It gives back what finds no place there, page by page.
        holes 0x8000000-0x107fffff "$@"
        shows 'Released 6144 page\(s\)'
        shows 'Remapped 2048 page\(s\)'
        [ "$(field hypercalls.memory_op.count)" -gt 6144 ] || flunk "no memory was given back"
        ;;
    holes-grub) holes 0x8000000-0x13ffffff --loader grub "$@" ;;
    pc) workload -m 256M --machine pc -a "pvmm.forks=20" "$@" ;;
    seed)
        workload -m 256M --seed 12345 -a "pvmm.forks=20" "$@"
        [ "$real_xen" = 1 ] || [ "$(field seed)" = 12345 ] || flunk "another seed was used"
        ;;
    reboot)
        boot 0 reboot -m 256M -a pvmm.do=reboot "$@" </dev/null
        shows '^PVMM-READY'
        audited
        ;;
    panic)
        boot 1 crash -m 256M -a pvmm.do=panic "$@" </dev/null
        shows 'Kernel panic - not syncing: sysrq triggered crash'
        [ "$real_xen" = 1 ] || grep -q '^pvmm: crash\[crash\]: ' "$err" || flunk "no explanation"
        [ "$real_xen" = 1 ] || [ -s "$dir/core" ] || flunk "no image of the guest's memory"
        audited
        ;;
    typed)
        : > "$out"
        mkfifo "$dir/keys"
        person > "$dir/keys" &
        boot 0 poweroff -m 256M -a pvmm.do=shell "$@" < "$dir/keys"
        shows '^42-typed'
        shows '^56-again'
        audited
        ;;
    store)
        : > "$out"
        mkfifo "$dir/keys"
        store_user > "$dir/keys" &
        boot 0 poweroff -m 256M -a pvmm.do=shell "$@" < "$dir/keys"
        shows '^name-is-guest\.'
        shows '^write-OK\.'
        shows '^data-x-written\.'
        shows '^forbidden-EACCES\.'
        shows '^kernel-wrote-1\.'
        shows 'reboot: (Power down|System halted)'
        audited
        ;;
    no-store)
        boot 0 expected --no-store -m 256M -a pvmm.do=idle --expect PVMM-READY "$@" </dev/null
        audited
        ;;
    expect)
        boot 0 expected -m 256M -a pvmm.do=idle --expect PVMM-READY "$@" </dev/null
        audited
        ;;
    never-expected)
        boot 1 poweroff -m 256M -a pvmm.forks=8 --expect 'no such line' "$@" </dev/null
        audited
        ;;
    timeout)
        PATIENCE=4
        boot 124 timeout -m 256M -a pvmm.do=idle "$@" </dev/null
        ;;
    idle)
        # A guest with nothing to do asks to be blocked, and then is: it asked a million times in some
        # seconds when the call returned at once.
        PATIENCE=40
        boot 124 timeout -m 256M -a pvmm.do=idle "$@" </dev/null
        audited
        blocked=$(field hypercalls.sched_op.count)
        [ "$blocked" != None ] && [ "$blocked" -lt 20000 ] ||
            flunk "the idle guest called sched_op $blocked times"
        ;;
    interrupt)
        "$PVMM" run --no-core -v -m 256M -a pvmm.do=idle -i "$INITRD" "$@" "$KERNEL" </dev/null \
            >"$out" 2>"$err" &
        tool=$!
        await '^PVMM-READY'
        shows '^PVMM-READY'
        qemu=$(sed -n 's/^pvmm: QEMU is process \([0-9]*\).*/\1/p' "$err" | tail -n 1)
        kill -0 "$qemu" || flunk "no QEMU is running"
        kill -INT "$tool"
        rc=0
        wait "$tool" || rc=$?
        [ "$rc" -eq 130 ] || flunk "exit code $rc instead of 130"
        kill -0 "$qemu" 2>/dev/null && flunk "QEMU still runs"
        cat "$err"
        ;;
    too-small)
        rc=0
        timeout 60 "$PVMM" run --no-core -m 64M "$@" "$KERNEL" </dev/null >"$out" 2>"$err" || rc=$?
        [ "$rc" -eq 125 ] || flunk "exit code $rc instead of 125"
        grep -q "memory is too small" "$err" || flunk "the reason is missing"
        ;;
    truncated)
        head -c 4000000 "$KERNEL" > "$dir/cut"
        rc=0
        timeout 60 "$PVMM" run --no-core "$@" "$dir/cut" </dev/null >"$out" 2>"$err" || rc=$?
        [ "$rc" -eq 125 ] || flunk "exit code $rc instead of 125"
        grep -q "bzImage: truncated" "$err" || flunk "the reason is missing"
        ;;
    *) echo "no case $CASE"; exit 2 ;;
esac
