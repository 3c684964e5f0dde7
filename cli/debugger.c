/* SPDX-License-Identifier: MIT */
/* Packets are "$TEXT#SUM", SUM two hexadecimal digits; each is answered by '+' (source: GDB's
 * manual, appendix "GDB Remote Serial Protocol"). */
#include "debugger.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "exitcodes.h"

#define PATIENCE    (20 * SECOND)
#define PACKET_MAX  8192
#define RIP_AT      (16u * 16u) /* in the digits of all registers: after 16 registers of 8 bytes */
#define WORD_DIGITS 16u

int debugger_connect(unsigned port, struct error *e)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;

    if (fd < 0)
        return error_errno(e, EXIT_ENVIRONMENT, "no socket for QEMU's debugger stub");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* or each packet takes 40 ms */
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    error_errno(e, EXIT_ENVIRONMENT, "cannot connect to QEMU's debugger stub at port %u", port);
    close(fd);
    return -1;
}

/* One byte, or -1: none came in time, or the other end is gone. */
static int next_byte(int fd, int64_t deadline)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    unsigned char byte;
    int rc;

    do {
        int64_t left = deadline - clock_now();

        rc = left > 0 ? poll(&p, 1, (int)(left / 1000000 + 1)) : 0;
    } while (rc < 0 && errno == EINTR);
    if (rc <= 0 || read(fd, &byte, 1) != 1)
        return -1;
    return byte;
}

static unsigned sum_of(const char *text)
{
    unsigned sum = 0;

    for (; *text != '\0'; text++)
        sum += (unsigned char)*text;
    return sum & 0xff;
}

static int send_packet(int fd, const char *text, struct error *e)
{
    char packet[64];
    int n = snprintf(packet, sizeof(packet), "$%s#%02x", text, sum_of(text));

    if (send(fd, packet, (size_t)n, MSG_NOSIGNAL) == n)
        return 0;
    return error_errno(e, EXIT_ENVIRONMENT, "QEMU's debugger stub takes nothing");
}

/* The text of the next packet; what stands before its '$' are answers to ours. */
static int get_packet(int fd, char text[PACKET_MAX], struct error *e)
{
    const int64_t deadline = clock_now() + PATIENCE;
    size_t n = 0;
    int c;

    do
        c = next_byte(fd, deadline);
    while (c == '+' || c == '-');
    if (c == '$')
        while ((c = next_byte(fd, deadline)) >= 0 && c != '#' && n < PACKET_MAX - 1)
            text[n++] = (char)c;
    text[n] = '\0';
    if (c != '#' || next_byte(fd, deadline) < 0 || next_byte(fd, deadline) < 0)
        return error_set(e, EXIT_ENVIRONMENT, "QEMU's debugger stub gives no answer");
    if (send(fd, "+", 1, MSG_NOSIGNAL) == 1)
        return 0;
    return error_errno(e, EXIT_ENVIRONMENT, "QEMU's debugger stub takes nothing");
}

static int ask(int fd, const char *question, char answer[PACKET_MAX], struct error *e)
{
    return send_packet(fd, question, e) == 0 ? get_packet(fd, answer, e) : -1;
}

/* "The machine has stopped" comes unasked, too. */
static bool is_stop(const char *answer)
{
    return answer[0] == 'T' || answer[0] == 'S';
}

static int ask_for_ok(int fd, const char *question, struct error *e)
{
    char answer[PACKET_MAX];

    if (ask(fd, question, answer, e) != 0)
        return -1;
    while (is_stop(answer))
        if (get_packet(fd, answer, e) != 0)
            return -1;
    if (strcmp(answer, "OK") == 0)
        return 0;
    return error_set(e, EXIT_ENVIRONMENT, "QEMU's debugger stub answers \"%.20s\" to \"%s\"",
                     answer, question);
}

int debugger_point(int fd, enum debugger_point kind, bool set, uint64_t address, unsigned bytes,
                   struct error *e)
{
    char text[48];

    snprintf(text, sizeof(text), "%c%u,%" PRIx64 ",%x", set ? 'Z' : 'z', (unsigned)kind, address,
             bytes);
    return ask_for_ok(fd, text, e);
}

/* Stops of before are told first: behind an answer there are none left. */
int debugger_step(int fd, struct error *e)
{
    char answer[PACKET_MAX];

    if (ask_for_ok(fd, "Hg0", e) != 0 || ask(fd, "s", answer, e) != 0)
        return error_context(e, "a single step");
    if (is_stop(answer))
        return 0;
    return error_set(e, EXIT_ENVIRONMENT, "QEMU's debugger stub answers \"%.20s\" to a step",
                     answer);
}

int debugger_run_to(int fd, uint64_t address, struct error *e)
{
    char text[40];

    snprintf(text, sizeof(text), "Z1,%" PRIx64 ",1", address);
    if (ask_for_ok(fd, text, e) != 0)
        return -1;
    return send_packet(fd, "c", e);
}

/* Registers come as digits of their bytes, the lowest byte first. */
static bool parse_rip(const char *registers, uint64_t *rip)
{
    char digits[3] = "";

    if (strlen(registers) < RIP_AT + WORD_DIGITS)
        return false;
    *rip = 0;
    for (unsigned i = 0; i < WORD_DIGITS / 2; i++) {
        memcpy(digits, registers + RIP_AT + (size_t)2 * i, 2);
        *rip |= (uint64_t)strtoul(digits, NULL, 16) << (8 * i);
    }
    return true;
}

int debugger_arrived(int fd, uint64_t address, struct error *e)
{
    char text[40], answer[PACKET_MAX];
    uint64_t rip;

    if (get_packet(fd, answer, e) != 0)
        return error_context(e, "the guest did not come to %" PRIx64, address);
    if (ask(fd, "g", answer, e) != 0)
        return -1;
    if (!parse_rip(answer, &rip) || rip != address)
        return error_set(e, EXIT_ENVIRONMENT, "the machine stopped, but not at %" PRIx64, address);
    snprintf(text, sizeof(text), "z1,%" PRIx64 ",1", address);
    return ask_for_ok(fd, text, e);
}

/* A machine that runs is stopped by any byte; one that stands passes this one over. */
int debugger_leave(int fd, struct error *e)
{
    if (send(fd, "\003", 1, MSG_NOSIGNAL) != 1)
        return error_errno(e, EXIT_ENVIRONMENT, "QEMU's debugger stub takes nothing");
    return ask_for_ok(fd, "D", e);
}
