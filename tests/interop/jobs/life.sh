# SPDX-License-Identifier: MIT
# A life: less memory and more, saved, restored, a checkpoint, saved again, rebooted, ended.
. ./lib.sh

balloon() { # LABEL MEBIBYTES
    before=$(lines_of live)
    step "mem-set-$1" xl mem-set live "$2"
    pages=$(($2 * 256))
    awaits live "^LIVE target=$pages now=" "$before" || exit 1
}

goes_on() { # LINES
    awaits live '^LIVE alive' "$1" || exit 1
}

save_restore() { # LABEL
    before=$(lines_of live)
    step "save-$1" xl save live "$OUT/$1.save" || exit 1
    step "verify-$1" verify-stream-v2 -f xl -i "$OUT/$1.save"
    step "restore-$1" xl restore "$OUT/$1.save" || exit 1
    awaits live '^LIVE resumed' "$before" || exit 1
    goes_on "$(lines_of live)"
}

checkpoint() {
    before=$(lines_of live)
    step checkpoint xl save -c live "$OUT/checkpoint.save" || exit 1
    awaits live '^LIVE cancelled' "$before" || exit 1
    goes_on "$(lines_of live)"
}

config live 16 32 restart "live $(cat words)"
step create xl create live.cfg || exit 1
awaits live '^LIVE alive' || exit 1
balloon down 12
take_core down live
balloon up 24
take_core up live
save_restore first
balloon after 20
checkpoint
balloon after-checkpoint 14
save_restore second
take_core second live
before=$(lines_of live)
step reboot xl reboot live
awaits live '^LIVE reboots' "$before" || exit 1
awaits live '^LIVE alive n=1 ' "$before" || exit 1
step shutdown xl shutdown -w live
xl list
