#!/bin/sh
# SPDX-License-Identifier: MIT
# The command line itself, and an environment that does not hold: exit codes of 128 and above, which
# stop a bisection instead of blaming a commit. usage.sh PVMM MKELF HYPERVISOR
set -u
PVMM=$1 MKELF=$2 IMAGE=$(realpath "$3")
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

"$MKELF" "$dir/good"
"$MKELF" "$dir/hypervisor" class=32 machine=3
export PVMM_HYPERVISOR="$dir/hypervisor"
k=$dir/good

check "no command" 129 "no command"
check "unknown command" 129 "unknown command frobnicate" frobnicate
check "no kernel" 129 "no kernel" run
check "two kernels" 129 "follows it" run "$k" "$k"
check "unknown short option" 129 "unknown option -q" run -q "$k"
check "unknown long option" 129 "--frobnicate" run --frobnicate "$k"
check "value missing" 129 "wants a value" run "$k" -m
for size in 0 x 12Q -5M 1.5G 256 4097 999999999999G "" 300G; do
    check "-m '$size'" 129 "-m" run -m "$size" "$k"
done
check "-c 0" 129 "not a number of vCPUs" run -c 0 "$k"
check "-c x" 129 "not a number of vCPUs" run -c x "$k"
check "-c 2" 132 "not there yet" run -c 2 "$k"
check "--records x" 129 "--records x: \"off\", or a number" run --records x "$k"
check "--records, too many" 129 "up to 16M" run --records 17M "$k"
check "--symbols missing" 129 "--symbols $dir/none: " run --symbols "$dir/none" "$k"
: > "$dir/nothing"
check "--symbols empty" 129 "--symbols $dir/nothing: " run --symbols "$dir/nothing" "$k"
check "--core with --no-core" 129 "exclude each other" run --core x --no-core "$k"
check "--core, a device" 129 "/dev/null: there is something that is no file" run --core /dev/null "$k"
check "--memory-file, no directory" 128 "cannot write" run --memory-file "$dir/no/memory" "$k"
check "--memory-file, a device" 129 "/dev/null: there is something that is no file" run --memory-file /dev/null "$k"
check "--trace, no directory" 128 "cannot write" run --trace "$dir/no/trace" "$k"
check "--name, bad" 129 "--name: .*name" run --name a/b "$k"
check "--detach without a name" 129 "wants a --name" run --detach "$k"
check "--timeout x" 129 "not a number of seconds" run --timeout x "$k"
check "--timeout nan" 129 "not a number of seconds" run --timeout nan "$k"
check "--timeout 0" 129 "not a number of seconds" run --timeout 0 "$k"
check "--seed x" 129 "--seed" run --seed x "$k"
check "--accel x" 129 "auto, tcg, kvm" run --accel x "$k"
check "--on-suspend x" 129 "one of end, cancel" run --on-suspend x "$k"
check "--loader x" 129 "qemu, grub" run --loader x "$k"
check "--machine-memory x" 129 "not a size" run --machine-memory x "$k"
check "--machine-memory 0" 129 "not a size" run --machine-memory 0 "$k"
check "--machine-memory, too little" 129 "less than the .* MiB" run -m 64M --machine-memory 64M "$k"
check "--xen-args without Xen" 129 "wants a Xen image" run --xen-args loglvl=all "$k"
check "--machine x" 129 "q35, pc" run --machine x "$k"
check "--json -" 129 "name a file" run --json - "$k"
check "--icount with KVM" 129 "KVM" run --icount --accel kvm "$k"
check "--expect, bad" 129 "--expect" run --expect 'a(' "$k"
check "-a too long" 129 "1023 are the limit" run -a "$(printf '%01100d' 0)" "$k"
check "--junit -" 129 "name a file" run --junit - "$k"
check "--junit, no directory" 128 "cannot write" run --junit "$dir/no/junit" "$k"
check "--json, no directory" 128 "cannot write" run --json "$dir/no/json" "$k"
check "--log, no directory" 128 "cannot write" run --log "$dir/no/log" "$k"

# Help and version go to stdout and are no error.
for words in --help --version "run --help"; do
    # shellcheck disable=SC2086
    "$PVMM" $words > "$dir/out" 2> "$dir/err" || flunk "$words: exit code $?"
    grep -q pvmm "$dir/out" || flunk "$words: nothing on stdout"
    [ ! -s "$dir/err" ] || flunk "$words: something on stderr"
done
# Both build ids are the files' own.
build_id() {
    readelf -n "$1" | sed -n 's/^ *Build ID: //p'
}
own=$(build_id "$PVMM") booted=$(build_id "$IMAGE")
[ ${#own} -eq 40 ] && [ ${#booted} -eq 40 ] || flunk "no build ids of SHA-1: $own and $booted"
says_version() { # HYPERVISOR "LINE"
    PVMM_HYPERVISOR=$1 "$PVMM" --version > "$dir/out" || flunk "--version with $1: exit code $?"
    { [ "$(sed -n 1p "$dir/out")" = "$(sed -n 1p "$dir/out" | cut -d' ' -f1,2) (build id $own)" ] &&
        [ "$(sed 1d "$dir/out")" = "$2" ]; } || flunk "--version with $1: $(cat "$dir/out")"
}
says_version "$IMAGE" "hypervisor $IMAGE (build id $booted)"
says_version "$dir/hypervisor" "hypervisor $dir/hypervisor (build id none)"
says_version "$dir/none" "hypervisor none: $dir/none: cannot open it: No such file or directory"
says_version "$0" "hypervisor none: $0: neither a bzImage nor an ELF file, compressed or not, is in it"
check "migrate without a name" 129 "a guest's name is wanted" migrate --to false
check "migrate to nowhere" 129 "--to COMMAND is wanted" migrate web
check "migrate, two names" 129 "follows it" migrate web web --to false
check "migrate, bad name" 129 "name" migrate a/b --to false
for n in 0 x -1 1.5 3600001; do
    check "--max-downtime $n" 129 "not a number of milliseconds" migrate --max-downtime "$n" web --to false
    check "--max-rounds $n" 129 "not a number of rounds" save --live --max-rounds "$n" web x
done
check "--too-fast x" 129 "one of stop, give-up" migrate --too-fast x web --to false
check "--max-rounds without --live" 129 "are for --live" save --max-rounds 2 web x
check "migrate, no guest" 1 "no guest" migrate none --to false
check "resume, no guest" 1 "no guest" resume none
# Every option is in both; what restore has of run is explained there.
root=$(dirname "$0")/../..
documented() { # COMMAND MARK LEAST
    "$PVMM" "$1" --help > "$dir/out"
    sed -n '/ '"$1"'_options\[\]/,/^};/s/^    {"\([a-z0-9-]*\)", [a-z]*_argument.*/\1/p' "$root/cli/options.c" \
        > "$dir/options"
    [ "$(wc -l < "$dir/options")" -ge "$3" ] || flunk "options.c: no list of the options of $1"
    while read -r option; do
        [ "$option" = help ] || grep -qe "--$option\b" "$dir/out" || flunk "$1 --help: no --$option"
        case $option in memory | vcpus | initrd | append | paused | verbose | help) continue ;; esac
        grep -q "^\.$2 Fl -$option\b" "$root/man/pvmm-$1.1" || flunk "pvmm-$1.1: no --$option"
    done < "$dir/options"
}
documented run It 30
documented restore '\(Op\|Op .*|\)' 20
# Every command has a help text and a manual page.
grep -o '{"[a-z0-9-]*", command_' "$root/cli/main.c" | sed 's/{"\(.*\)", .*/\1/' > "$dir/commands"
[ "$(wc -l < "$dir/commands")" -ge 20 ] || flunk "main.c: no list of commands"
while read -r command; do
    "$PVMM" "$command" --help > "$dir/out" || flunk "$command --help: exit code $?"
    grep -q "Usage: pvmm $command" "$dir/out" || flunk "$command --help: no usage"
    grep -q "^pvmm-$command\b\|^\.Nm pvmm-$command$" "$root/man/pvmm-$command.1" || flunk "$command: no manual page"
    grep -q "man/pvmm-$command\.1" "$root/meson.build" || flunk "pvmm-$command.1 is not installed"
    grep -q "^\.Xr pvmm-$command 1" "$root/man/pvmm.1" || flunk "pvmm.1 does not name $command"
done < "$dir/commands"
"$PVMM" --help | awk 'length > 100 { bad = 1 } END { exit bad }' || flunk "--help: a line is too long"
"$PVMM" --help > /dev/full 2>/dev/null && flunk "--help to a full disk: no error"

# Hypervisor images.
PVMM_HYPERVISOR=$dir/none check "hypervisor missing" 128 "hypervisor .*/none: cannot open" run "$k"
check "Xen missing" 128 "hypervisor /none: cannot open" run --hypervisor /none "$k"
check "Xen is no image" 128 "hypervisor $0: neither" run --hypervisor "$0" "$k"
check "Xen is 64-bit" 128 "not a 32-bit multiboot ELF" run --hypervisor "$k" "$k"

# Memory maps (test_e820.c has what their lines may be). They do not depend on the kernel: no code that
# would make a bisection skip.
check "map missing" 129 "--e820 $dir/none: cannot open it: No such file" run --e820 "$dir/none" "$k"
check "map a directory" 129 "--e820 $dir: not a regular file" run --e820 "$dir" "$k"
: > "$dir/map"
check "map empty" 129 "--e820 .*/map: the file is empty" run --e820 "$dir/map" "$k"
echo '# none yet' > "$dir/map"
check "map without entries" 129 "--e820 .*/map: no entry in it" run --e820 "$dir/map" "$k"
printf '0+64M ram\n64M-60M reserved\n' > "$dir/map"
check "map with a bad line" 129 "--e820 .*/map: line 2: the end 0x3c00000 lies before" \
    run --e820 "$dir/map" "$k"
check "map that is a kernel" 129 "--e820 .*/good: line 1: byte 0x7f is no text" run --e820 "$k" "$k"
seq -f '%g+1 ram' 0 1024 > "$dir/map"
check "map too long" 129 "--e820 .*/map: line 1025: more than 1024 entries" run --e820 "$dir/map" "$k"
echo '0+64M ram' > "$dir/map"
check "map for a real Xen" 129 "--e820: the initial domain of a real Xen" \
    run --hypervisor "$dir/hypervisor" --e820 "$dir/map" "$k"

# What only our own hypervisor tells of.
for option in --strict "--records off" "--trace $dir/trace" "--core $dir/core"; do
    # shellcheck disable=SC2086
    check "$option for a real Xen" 129 "${option%% *}: a real Xen neither" \
        run --hypervisor "$dir/hypervisor" $option "$k"
done

check "--on-suspend for a real Xen" 129 "--on-suspend: what a real Xen does" \
    run --hypervisor "$dir/hypervisor" --on-suspend cancel "$k"

# A QEMU that is missing, is no program, fails, or is killed. The verdict has a second line then.
qemu() {
    printf '#!/bin/sh\n%s\n' "$2" > "$dir/qemu"
    chmod +x "$dir/qemu"
    rc=0
    timeout 60 "$PVMM" run --qemu "$dir/qemu" --json "$dir/json" "$k" </dev/null \
        >"$dir/out" 2>"$dir/err" || rc=$?
    echo "qemu $1: $rc: $(head -n 1 "$dir/err")"
    [ "$rc" -eq "$3" ] || flunk "qemu $1: exit code $rc instead of $3"
    grep -Eq "$4" "$dir/err" || flunk "qemu $1: stderr does not match $4"
    grep -q "\"exit_code\": $3" "$dir/json" || flunk "qemu $1: exit code not in the JSON file"
}
check "qemu missing" 128 "cannot start QEMU as \"/none\"" run --qemu /none "$k"
: > "$dir/noexec"
check "qemu not executable" 128 "Permission denied" run --qemu "$dir/noexec" "$k"
qemu "that fails" 'echo "cannot set up guest memory" >&2; exit 1' 128 \
    "QEMU ended with status 1: cannot set up guest memory"
qemu "that is killed" 'kill -9 $$' 128 "QEMU was killed by signal 9"
qemu "that ends at once" 'exit 0' 131 "without a verdict or a hello"

# machine_words OPTION...: the words that QEMU is started with, in $dir/words.
machine_words() {
    printf '#!/bin/sh\necho "$*" > "%s"\nexit 1\n' "$dir/words" > "$dir/qemu"
    chmod +x "$dir/qemu"
    rm -f "$dir/words"
    timeout 60 "$PVMM" run --qemu "$dir/qemu" --accel tcg "$@" "$k" </dev/null >"$dir/out" 2>"$dir/err"
}

# Which module the hypervisor is told to take for the map: the last.
module() { # NUMBER OPTION...
    wanted=$1
    shift
    machine_words "$@"
    echo "map with '$*': $(grep -o 'e820=[^ ]*' "$dir/words")"
    [ "$(grep -o 'e820=[^ ]*' "$dir/words")" = "$wanted" ] || flunk "map with '$*': not $wanted"
}
echo /dev/null | cpio --quiet -o -H newc > "$dir/cpio"
module ""
module e820=1 --e820 "$dir/map"
module e820=2 --e820 "$dir/map" -i "$dir/cpio"

# What the hypervisor is told of the store. With --icount there is none: it answers in the host's time.
store() { # WANTED OPTION...
    wanted=$1
    shift
    machine_words "$@"
    echo "store with '$*': $(grep -o 'store=[^ ]*' "$dir/words")"
    grep -Eq "(^| )store=$wanted( |\$)" "$dir/words" || flunk "store with '$*': not store=$wanted"
}
store 1
store 0 --no-store
store 0 --icount
store 0 --no-store --icount

# What the hypervisor is told of the recorder and of --strict.
told() { # WANTED-REGEX OPTION...
    wanted=$1
    shift
    machine_words "$@"
    echo "hypervisor with '$*': $(cat "$dir/words")" | cut -c 1-200
    grep -Eq "(^| )$wanted( |\$)" "$dir/words" || flunk "hypervisor with '$*': not $wanted"
}
told records=0 --records off
told records=2048 --records 2K
told strict=1 --strict
told suspend=1 --on-suspend cancel
machine_words --on-suspend end
grep -Eq 'suspend=' "$dir/words" && flunk "suspends cancelled without being asked for"
machine_words
grep -Eq 'records=|strict=|suspend=' "$dir/words" && flunk "records or strict without being asked for"

# What --loader grub needs, missing or failing. Its programs are looked for in PATH.
mkdir "$dir/bin"
mkrescue() {
    printf '#!/bin/sh\n%s\n' "$1" > "$dir/bin/grub-mkrescue"
    chmod +x "$dir/bin/grub-mkrescue"
}
grub() { # NAME CODE REGEX OPTION...
    name=$1 code=$2 regex=$3
    shift 3
    with_path=$dir/bin check "$name" "$code" "$regex" run --loader grub "$@" "$k"
}
grub "grub-mkrescue missing" 128 "grub-mkrescue is not there \(Debian package grub-common\)"
mkrescue 'echo first; echo "no room" >&2; exit 1'
grub "xorriso missing" 128 "xorriso is not there \(Debian package xorriso\)"
ln -s /bin/true "$dir/bin/xorriso"
if [ -e /usr/lib/grub/i386-pc/multiboot2.mod ]; then
    grub "grub-mkrescue that fails" 128 "CD image for GRUB: grub-mkrescue failed: no room"
    mkrescue 'exit 0'
    grub "grub-mkrescue that makes nothing" 128 "grub-mkrescue left no image"
    mkrescue '/bin/sleep 100 & /bin/sleep 100'
    grub "grub-mkrescue that hangs" 124 "not even started" --timeout 1
else
    grub "grub-pc-bin missing" 128 "Debian package grub-pc-bin"
fi
finish
