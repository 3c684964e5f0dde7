/* SPDX-License-Identifier: MIT */
/*
 * The guest's clock: vcpu_time_info and the wall clock (<xen/xen.h>). The version is odd while the
 * values change, so that a guest that reads meanwhile tries again.
 */
#include "domain.h"

/* The version is counted here: the guest can write to its own copy. */
static void write_time(struct vcpu *v, vcpu_time_info_t *to, const vcpu_time_info_t *now)
{
    __atomic_store_n(&to->version, v->time_version + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    to->tsc_timestamp = now->tsc_timestamp;
    to->system_time = now->system_time;
    to->tsc_to_system_mul = now->tsc_to_system_mul;
    to->tsc_shift = now->tsc_shift;
    to->flags = now->flags;
    __atomic_store_n(&to->version, v->time_version + 2, __ATOMIC_RELEASE);
}

/* The second copy is reached through the guest's kernel root alone. */
static void write_time_copy(struct vcpu *v, const vcpu_time_info_t *now)
{
    vcpu_time_info_t copy = *now;
    uint32_t version = v->time_version + 1;
    if (v->time_va.a == 0 || !v->in_kernel)
        return;
    if (!copy_to_guest(v->time_va, &version, sizeof(version)))
        return;
    copy.version = version;
    copy_to_guest(v->time_va, &copy, sizeof(copy));
    version++;
    copy_to_guest(v->time_va, &version, sizeof(version));
}

void vtime_publish(struct vcpu *v)
{
    vcpu_time_info_t now = {.version = 0};
    clock_vcpu_time(&now);
    write_time(v, &v->info->time, &now);
    write_time_copy(v, &now);
    v->time_version += 2;
}

void vtime_wallclock(struct domain *d)
{
    const uint64_t wall = wallclock_at_boot(), seconds = wall / NS_PER_SECOND;
    uint32_t version = d->shared->wc_version;
    __atomic_store_n(&d->shared->wc_version, version | 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    d->shared->wc_sec = (uint32_t)seconds;
    d->shared->wc_sec_hi = (uint32_t)(seconds >> 32);
    d->shared->wc_nsec = (uint32_t)(wall % NS_PER_SECOND);
    __atomic_store_n(&d->shared->wc_version, (version | 1) + 1, __ATOMIC_RELEASE);
}
