# SPDX-License-Identifier: MIT
# Two domains and a page of one of them. Domains are numbered one after the other.
. ./lib.sh
config lender 16 16 destroy lend=2
config borrower 16 16 destroy borrow=1
step create-lender xl create lender.cfg || exit 1
[ "$(xl domid lender)" = 1 ] || exit 1
awaits lender '^LEND page=' || exit 1
step create-borrower xl create borrower.cfg || exit 1
awaits borrower '^BORROW waits 13|^BORROW waits -13' || exit 1
step permit xenstore-chmod /local/domain/1/data/ref n1 r2
i=0
while { xl list borrower || xl list lender; } >/dev/null 2>&1 && [ $i -lt 600 ]; do
    i=$((i + 1))
    sleep 0.2
done
xl list
