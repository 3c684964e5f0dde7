/* SPDX-License-Identifier: MIT */
/*
 * A guest that is made to stand still, by whom, and why (enum pvmm_hold of abi/pvmm/channel.h). The
 * hypervisor knows one reason at a time; who asked for it is counted here, as xl users expect:
 *
 *   pause, unpause    by the user: it stands until he says otherwise
 *   hold              for as long as a connection lives (`dump`), on top of the user's pause
 *   suspend           the guest is asked by control/shutdown to suspend itself (`save`), within a
 *                     bound; held like this for as long as the connection lives. When that goes
 *                     without a word the suspend is cancelled and the guest goes on; with "end" the
 *                     guest is over (PVMM_OUTCOME_SUSPEND)
 *
 * Words of the protocol (control.h) for it, and their replies, which may be late:
 *   {"do": "pause"}, {"do": "unpause"}      when it stands, or runs; a guest that suspends, or ended: refused
 *   {"do": "shutdown", "how": "poweroff" | "reboot"}  when the guest was asked
 *   {"do": "hold"}                          {"memory": BYTES, "domid": N, "name": ...} and, with the
 *                                           reply's first byte, the machine's memory file (SCM_RIGHTS)
 *   {"do": "suspend", "timeout": SECONDS}   the same; then "end\n" may follow from the client, and
 *                                           the connection's end says that the guest is gone
 * One suspend at a time, and none of a guest that the user has paused: it could not answer.
 */
#ifndef PVMM_CLI_HOLD_H
#define PVMM_CLI_HOLD_H

#endif
