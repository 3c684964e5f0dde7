/* SPDX-License-Identifier: MIT */
/* Where the fields of the ABI's structures lie, a line "NAME OFFSET SIZE" each, for the tests that
 * speak with the hypervisor themselves. */
#include <stddef.h>
#include <stdio.h>

#define __XEN_INTERFACE_VERSION__ 0x00040e00
#include <pvmm/channel.h>
#include <xen/xen.h>

#define FIELD(type, prefix, field)                                                                 \
    printf(prefix #field " %zu %zu\n", offsetof(type, field), sizeof(((type *)0)->field))

#define MAILBOX(field)  FIELD(struct pvmm_mailbox, "mailbox.", field)
#define TRANSFER(field) FIELD(struct pvmm_transfer, "transfer.", field)
#define CONTEXT(field)  FIELD(vcpu_guest_context_t, "context.", field)
#define SHARED(field)   FIELD(shared_info_t, "shared.", field)

static void mailbox(void)
{
    MAILBOX(state);
    MAILBOX(log_written);
    MAILBOX(log);
    MAILBOX(verdict.outcome);
    MAILBOX(verdict.shutdown_reason);
    MAILBOX(verdict.message);
    MAILBOX(verdict.suspends);
    MAILBOX(verdict.guest_frames);
    MAILBOX(verdict.hypercalls);
    MAILBOX(verdict.events_delivered);
    MAILBOX(verdict.audit.taken);
    MAILBOX(verdict.audit.findings);
    MAILBOX(verdict.audit.finding);
    MAILBOX(domid);
    MAILBOX(store_port);
    MAILBOX(store_mfn);
    MAILBOX(console_mfn);
    MAILBOX(console_port);
    MAILBOX(machine.version);
    MAILBOX(machine.nr_frames);
    MAILBOX(machine.frames_at);
    MAILBOX(machine.m2p_at);
    MAILBOX(machine.high_end);
    MAILBOX(machine.shared_mfn);
    MAILBOX(machine.start_info_pfn);
    MAILBOX(machine.initial_root);
    MAILBOX(machine.tsc_khz);
    MAILBOX(machine.context_valid);
    MAILBOX(machine.context);
    MAILBOX(received);
    MAILBOX(reports.waiting);
    MAILBOX(hold);
    MAILBOX(extended);
    MAILBOX(transfer.version);
    MAILBOX(transfer.page_bytes);
    MAILBOX(transfer.list_at);
    MAILBOX(transfer.pages);
    MAILBOX(transfer.at);
    MAILBOX(transfer.refused_pfn);
    MAILBOX(dirty.version);
    MAILBOX(dirty.state);
    MAILBOX(dirty.at);
    MAILBOX(dirty.bytes);
    MAILBOX(dirty.frames);
    MAILBOX(dirty.told);
    MAILBOX(dirty.rounds);
    MAILBOX(dirty.heeded);
    MAILBOX(verdict.root_switches);
    MAILBOX(verdict.tlb_flushes);
}

static void transfer(void)
{
    TRANSFER(version);
    TRANSFER(bytes);
    TRANSFER(pages);
    TRANSFER(used);
    TRANSFER(end_pfn);
    TRANSFER(wall_ns);
    TRANSFER(start_info_pfn);
    TRANSFER(store_pfn);
    TRANSFER(console_pfn);
    TRANSFER(vcpus);
    TRANSFER(extended.syscall32_eip);
    TRANSFER(extended.sysenter_eip);
    TRANSFER(extended.syscall32_disables_events);
    TRANSFER(extended.zero);
    TRANSFER(context);
    TRANSFER(shared_info);
    printf("transfer 0 %zu\n", sizeof(struct pvmm_transfer));
}

static void context(void)
{
    CONTEXT(fpu_ctxt);
    CONTEXT(flags);
    CONTEXT(user_regs.rax);
    CONTEXT(user_regs.rbx);
    CONTEXT(user_regs.rcx);
    CONTEXT(user_regs.rdx);
    CONTEXT(user_regs.rsi);
    CONTEXT(user_regs.rdi);
    CONTEXT(user_regs.r12);
    CONTEXT(user_regs.r13);
    CONTEXT(user_regs.rip);
    CONTEXT(user_regs.cs);
    CONTEXT(user_regs.rflags);
    CONTEXT(user_regs.rsp);
    CONTEXT(user_regs.ss);
    CONTEXT(trap_ctxt);
    CONTEXT(ldt_base);
    CONTEXT(ldt_ents);
    CONTEXT(gdt_frames);
    CONTEXT(gdt_ents);
    CONTEXT(kernel_ss);
    CONTEXT(kernel_sp);
    CONTEXT(ctrlreg);
    CONTEXT(debugreg);
    CONTEXT(event_callback_eip);
    CONTEXT(failsafe_callback_eip);
    CONTEXT(syscall_callback_eip);
    CONTEXT(vm_assist);
    CONTEXT(fs_base);
    CONTEXT(gs_base_kernel);
    CONTEXT(gs_base_user);
    printf("context 0 %zu\n", sizeof(vcpu_guest_context_t));
    printf("trap %zu %zu\n", offsetof(trap_info_t, address), sizeof(trap_info_t));
}

static void shared(void)
{
    SHARED(vcpu_info);
    SHARED(evtchn_pending);
    SHARED(evtchn_mask);
    SHARED(wc_sec);
    SHARED(wc_nsec);
    SHARED(arch);
    SHARED(arch.max_pfn);
    SHARED(arch.pfn_to_mfn_frame_list_list);
}

int main(void)
{
    mailbox();
    transfer();
    context();
    shared();
    return 0;
}
