# SPDX-License-Identifier: MIT
# The test kernel's own tests, as a domain of xl's.
. ./lib.sh
config tests 64 64 destroy "$(cat words)"
step create xl create tests.cfg || exit 1
awaits tests '^PVKERNEL-DONE|^Bail out|FATAL'
sleep 1
xl list
