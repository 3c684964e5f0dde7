/* SPDX-License-Identifier: MIT */
/* `--gdb`: at the first report the guest stands at the instruction that is to blame. */
#ifndef PVMM_CLI_STAND_H
#define PVMM_CLI_STAND_H

#include <stdbool.h>

#include "bell.h"
#include "error.h"
#include "mailbox.h"

#define STAND_PORT 1234u /* of QEMU's debugger stub, unless another is asked for */

struct stand {
    unsigned port; /* 0: nobody wants to debug */
    bool done;     /* once a run */
};

/*
 * If the hypervisor waits with a report, makes the guest stand at its instruction, and says how to
 * come there. It goes on in any case: what kept it from standing is said on stderr. true: it stands
 * now.
 */
bool stand_serve(struct stand *s, const struct mailbox *m, struct bell *b, int com2);

#endif
