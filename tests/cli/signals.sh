#!/bin/sh
# SPDX-License-Identifier: MIT
# However the tool is made to end, no QEMU and no temporary file may stay behind.
# signals.sh PVMM MKELF
set -u
PVMM=$1 MKELF=$2
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

"$MKELF" "$dir/good"
"$MKELF" "$dir/hypervisor" class=32 machine=3
export PVMM_HYPERVISOR="$dir/hypervisor"

# A QEMU that says its process id and then hangs.
cat > "$dir/qemu" <<'EOF'
#!/bin/sh
trap '' INT TERM HUP
echo $$ > "$PIDFILE.new"
mv "$PIDFILE.new" "$PIDFILE"
exec sleep 100
EOF
chmod +x "$dir/qemu"

# await SECONDS COMMAND...: until the command succeeds.
await() {
    tries=$(($1 * 20))
    shift
    while [ "$tries" -gt 0 ]; do
        "$@" && return 0
        sleep 0.05
        tries=$((tries - 1))
    done
    return 1
}

gone() {
    ! kill -0 "$1" 2>/dev/null
}

# ends SIGNAL CODE: the signal must end the run with that code.
ends() {
    rm -f "$dir/pid"
    PIDFILE=$dir/pid TMPDIR=$dir/tmp "$PVMM" run --accel tcg --qemu "$dir/qemu" "$dir/good" \
        </dev/null >"$dir/out" 2>"$dir/err" &
    tool=$!
    await 20 test -e "$dir/pid" || flunk "$1: QEMU did not start"
    qemu=$(cat "$dir/pid")
    kill "-$1" "$tool"
    rc=0
    wait "$tool" 2>/dev/null || rc=$?
    echo "SIG$1: exit code $rc: $(cat "$dir/err")"
    [ "$rc" -eq "$2" ] || flunk "SIG$1: exit code $rc instead of $2"
    await 5 gone "$qemu" || flunk "SIG$1: QEMU still runs"
    [ -z "$(ls -A "$dir/tmp")" ] || flunk "SIG$1: temporary files are left"
}

ends INT 130
ends TERM 143
ends HUP 143
ends KILL 137

# The same while GRUB's image is made, by a program that leaves files and children behind.
mkdir "$dir/bin"
cat > "$dir/bin/grub-mkrescue" <<'EOF'
#!/bin/sh
trap '' INT TERM HUP
mkdir "$TMPDIR/left" && : > "$TMPDIR/left/file"
sleep 100 &
echo $! > "$PIDFILE.new"
mv "$PIDFILE.new" "$PIDFILE"
sleep 100
EOF
ln -s /bin/true "$dir/bin/xorriso"
chmod +x "$dir/bin/grub-mkrescue"

# ends_early SIGNAL CODE: as above.
ends_early() {
    rm -f "$dir/pid"
    PATH=$dir/bin:$PATH PIDFILE=$dir/pid TMPDIR=$dir/tmp "$PVMM" run --loader grub \
        --qemu "$dir/qemu" "$dir/good" </dev/null >"$dir/out" 2>"$dir/err" &
    tool=$!
    await 20 test -e "$dir/pid" || flunk "$1: grub-mkrescue did not start"
    child=$(cat "$dir/pid")
    kill "-$1" "$tool"
    rc=0
    wait "$tool" 2>/dev/null || rc=$?
    echo "SIG$1 before the machine: exit code $rc: $(cat "$dir/err")"
    [ "$rc" -eq "$2" ] || flunk "SIG$1 before the machine: exit code $rc instead of $2"
    await 5 gone "$child" || flunk "SIG$1: grub-mkrescue's child still runs"
    await 5 is_clean || flunk "SIG$1: temporary files are left"
}

# Empty; after a SIGKILL it takes a moment.
is_clean() {
    [ -z "$(ls -A "$dir/tmp")" ]
}

if [ -e /usr/lib/grub/i386-pc/multiboot2.mod ]; then
    ends_early INT 130
    ends_early TERM 143
    ends_early HUP 143
    ends_early KILL 137
fi

# A timeout with a hypervisor that never says a word.
rm -f "$dir/pid"
rc=0
PIDFILE=$dir/pid "$PVMM" run --accel tcg --timeout 1 --qemu "$dir/qemu" "$dir/good" </dev/null \
    >"$dir/out" 2>"$dir/err" || rc=$?
[ "$rc" -eq 124 ] || flunk "timeout: exit code $rc instead of 124"
await 5 gone "$(cat "$dir/pid")" || flunk "timeout: QEMU still runs"

# A reader of the console that goes away ends the run, too.
cat > "$dir/qemu" <<'EOF'
#!/usr/bin/env python3
import os, sys
fd = int([w for w in sys.argv if w.startswith("socket,id=com1")][0].split("fd=")[1])
while True:
    os.write(fd, b"x" * 1000 + b"\n")
EOF
{ timeout 30 "$PVMM" run --accel tcg --qemu "$dir/qemu" "$dir/good" 2>"$dir/err"; echo $? \
    > "$dir/rc"; } </dev/null | head -n 1 >/dev/null
[ "$(cat "$dir/rc")" -eq 128 ] || flunk "closed stdout: exit code $(cat "$dir/rc")"
finish
