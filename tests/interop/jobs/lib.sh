# SPDX-License-Identifier: MIT
# For jobs: domains on the test kernel or another, and steps that are told on the console, one a line:
# "STEP NAME RC SECONDS".

# config NAME MEMORY MAXMEM ON_REBOOT WORDS [KERNEL RAMDISK]: MiB.
config() {
    cat >"$1.cfg" <<END
name = "$1"
type = "pv"
kernel = "/job/${6:-pvkernel}"
ramdisk = "${7:+/job/$7}"
memory = $2
maxmem = $3
extra = "$5"
on_poweroff = "destroy"
on_reboot = "$4"
on_crash = "destroy"
END
}

step() { # NAME COMMAND...
    label=$1 began=$(date +%s)
    shift
    timeout "${STEP_LIMIT:-120}" "$@"
    rc=$?
    echo "STEP $label $rc $(($(date +%s) - began))"
    return $rc
}

console_of() {
    echo "$OUT/console/guest-$1.log"
}

lines_of() { # NAME: so many it has said
    wc -l <"$(console_of "$1")"
}

# awaits NAME REGEX [LINES]: a line behind so many.
awaits() {
    i=0
    until tail -n +$((${3:-0} + 1)) "$(console_of "$1")" 2>/dev/null | grep -Eq "$2"; do
        i=$((i + 1))
        if [ $i -gt 600 ] || grep -q FATAL "$(console_of "$1")"; then
            echo "FAILED: $1 does not say $2"
            return 1
        fi
        # A domain that is gone has said all there will be.
        [ $((i % 50)) != 0 ] || xl domid "$1" >/dev/null 2>&1 || i=600
        sleep 0.2
    done
}

# A line that is typed at a domain's console.
type_to() { # NAME TEXT
    printf '%s\r' "$2" >"$(xenstore-read "/local/domain/$(xl domid "$1")/console/tty")"
}

# What the hypervisor counts, as its console says it: COUNT LABEL PAGES.
count_pages() { # LABEL NAME
    xl debug-keys q
    n=$(xl dmesg | sed -n "/General information for domain $(xl domid "$2"):/{n;n;p;}" | tail -n 1 |
        sed 's/.*nr_pages=\([0-9]*\).*/\1/')
    echo "COUNT $1 $n"
}

# As it is just now: the core, and the count at that moment.
take_core() { # LABEL NAME
    xl pause "$2"
    step "core-$1" xl dump-core "$2" "$OUT/$1.core"
    count_pages "$1" "$2"
    xl unpause "$2"
}
