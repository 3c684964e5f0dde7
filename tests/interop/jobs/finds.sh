# SPDX-License-Identifier: MIT
# A domain whose list ends where the builder's memory did, grown; one with a page spoilt over a checkpoint.
. ./lib.sh
config short 12 24 destroy "live fault=short-mfn-list"
config spoilt 12 12 destroy "live spoil"
step create-short xl create short.cfg || exit 1
awaits short '^LIVE alive' || exit 1
step mem-set-short xl mem-set short 24
awaits short '^LIVE target=6144 now=' || exit 1
take_core short short
step destroy-short xl destroy short
step create-spoilt xl create spoilt.cfg || exit 1
awaits spoilt '^LIVE alive' || exit 1
step checkpoint-spoilt xl save -c spoilt "$OUT/spoilt.save" || exit 1
awaits spoilt '^LIVE cancelled' || exit 1
step destroy-spoilt xl destroy spoilt
