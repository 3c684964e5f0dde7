/* SPDX-License-Identifier: MIT */
/* The flight recorder: how large its ring becomes, and where in the guest a request comes from. */
#include "hosted.h"

#include <string.h>

#include "dirty.h"
#include "frames.h"
#include "recorder.h"

#define CODE  0xffffffff80000000ull
#define STACK (CODE + 0x1000)

struct boot_info boot_info;

/* Nobody watches what is written. */
uint64_t *dirty_bits;

void dirty_act(enum core_act act, maddr_t at, uint64_t old)
{
    (void)act;
    (void)at;
    (void)old;
}

static uint64_t taken;
static struct regs regs;

void *boot_array(uint64_t bytes)
{
    taken = bytes;
    return (void *)(DIRECT_BASE + 0x123000);
}

struct vcpu *current_vcpu(void)
{
    static struct vcpu v;
    return &v;
}

static int setup(void **state)
{
    (void)state;
    mailbox = (struct pvmm_mailbox){.magic = 0};
    taken = 0;
    hosted_memory = (struct hosted_memory){.base = CODE, .bytes = sizeof(hosted_memory.byte)};
    regs = (struct regs){.vector = VECTOR_SYSCALL, .rip = CODE + 0x20, .rsp = STACK + 0x100};
    return 0;
}

/* ---- the ring */

static uint64_t records_of(const char *line)
{
    boot_info.command_line = line;
    recorder_init();
    assert_int_equal(taken, mailbox.recorder.records * sizeof(struct pvmm_record));
    return mailbox.recorder.records;
}

static void test_default_size(void **state)
{
    (void)state;
    assert_int_equal(records_of("mem=1"), PVMM_RECORDS_DEFAULT);
    assert_int_equal(mailbox.recorder.version, PVMM_RECORDER_VERSION);
    assert_int_equal(mailbox.recorder.record_bytes, sizeof(struct pvmm_record));
    assert_int_equal(mailbox.recorder.at, 0x123000);
    recorder_start();
    assert_true(recorder_on);
}

static void test_size_is_rounded_up(void **state)
{
    (void)state;
    assert_int_equal(records_of("records=1"), 1);
    assert_int_equal(records_of("records=3"), 4);
    assert_int_equal(records_of("records=1000"), 1024);
    assert_int_equal(records_of("records=0xffffffffffffffff"), PVMM_RECORDS_MAX);
}

static void test_off(void **state)
{
    (void)state;
    assert_int_equal(records_of("records=0"), 0);
    recorder_start();
    assert_false(recorder_on);
}

/* ---- where a request comes from */

static void put(uint64_t at, const void *bytes, size_t n)
{
    memcpy(hosted_memory.byte + (at - CODE), bytes, n);
}

static void put_stub(void)
{
    static const uint8_t tail[] = {0x41, 0x5b, 0x59, 0xc3}; /* pop %r11; pop %rcx; ret */
    const uint64_t caller = 0xffffffff81234567;
    put(regs.rip, tail, sizeof(tail));
    put(regs.rsp + 16, &caller, sizeof(caller));
}

static void test_a_stub_has_a_caller(void **state)
{
    (void)state;
    put_stub();
    assert_int_equal(guest_origin(&regs), 0xffffffff81234567);
}

static void test_a_syscall_in_line_is_itself(void **state)
{
    (void)state;
    assert_int_equal(guest_origin(&regs), regs.rip);
}

/* A fault is where it is, whatever the code looks like. */
static void test_a_trap_is_where_it_is(void **state)
{
    (void)state;
    put_stub();
    regs.vector = 14;
    assert_int_equal(guest_origin(&regs), regs.rip);
}

static void test_what_cannot_be_read(void **state)
{
    (void)state;
    put_stub();
    regs.rsp = CODE + sizeof(hosted_memory.byte); /* no stack there */
    assert_int_equal(guest_origin(&regs), regs.rip);
    regs.rsp = DIRECT_BASE; /* the hypervisor's, which could be read, but not for the guest */
    assert_int_equal(guest_origin(&regs), regs.rip);
    regs.rip = CODE - 0x10000;
    assert_int_equal(guest_origin(&regs), regs.rip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_default_size, setup),
        cmocka_unit_test_setup(test_size_is_rounded_up, setup),
        cmocka_unit_test_setup(test_off, setup),
        cmocka_unit_test_setup(test_a_stub_has_a_caller, setup),
        cmocka_unit_test_setup(test_a_syscall_in_line_is_itself, setup),
        cmocka_unit_test_setup(test_a_trap_is_where_it_is, setup),
        cmocka_unit_test_setup(test_what_cannot_be_read, setup),
    };
    return cmocka_run_group_tests_name("recorder", tests, NULL, NULL);
}
