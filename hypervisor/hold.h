/* SPDX-License-Identifier: MIT */
/* A guest that stands still (<pvmm/channel.h>: enum pvmm_hold). */
#ifndef PVMM_HV_HOLD_H
#define PVMM_HV_HOLD_H

#include "vcpu.h"

#include <pvmm/boot.h>

/* What becomes of a guest that suspends itself: the option PVMM_OPT_SUSPEND, which was checked. */
enum pvmm_on_suspend on_suspend(void);

/* At a safe point, on the way back into v with its registers complete: returns at once if v may go
 * on, else when the host lets it. Ends the domain if the host wants that. */
void hold_if_wanted(struct vcpu *v);

#endif
