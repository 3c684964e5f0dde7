/* SPDX-License-Identifier: MIT */
#include "mailbox.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exitcodes.h"

#define PAGE          4096ull
#define ADDRESS_LIMIT (UINT64_C(2) << 30) /* below, file offset and machine address agree */

/* A mapping of whole pages around the mailbox; the mailbox is anywhere in it. */
static size_t map_size(uint64_t address)
{
    return (size_t)(address % PAGE + sizeof(struct pvmm_mailbox));
}

static int check_box(const volatile struct pvmm_mailbox *b, struct error *e)
{
    if (b->magic != PVMM_MAILBOX_MAGIC)
        return error_set(e, EXIT_ENVIRONMENT, "no mailbox is there (wrong magic)");
    if (b->version != PVMM_MAILBOX_VERSION)
        return error_set(e, EXIT_ENVIRONMENT,
                         "the hypervisor speaks version %u of the control channel, this tool "
                         "version %u",
                         b->version, PVMM_MAILBOX_VERSION);
    if (b->size < sizeof(*b) || b->log_size != PVMM_LOG_SIZE)
        return error_set(e, EXIT_ENVIRONMENT, "the mailbox has a size of %u, its log of %u",
                         b->size, b->log_size);
    return 0;
}

static int open_box(struct mailbox *m, int ram_fd, uint64_t address, uint64_t size, struct error *e)
{
    struct stat st;
    uint8_t *map;

    if (fstat(ram_fd, &st) != 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot stat the machine's memory");
    if (size < sizeof(struct pvmm_mailbox) || address % 8 != 0 || address > ADDRESS_LIMIT ||
        address + sizeof(struct pvmm_mailbox) > ADDRESS_LIMIT ||
        address + sizeof(struct pvmm_mailbox) > (uint64_t)st.st_size)
        return error_set(e, EXIT_ENVIRONMENT, "%" PRIu64 " bytes do not fit there", size);
    map = mmap(NULL, map_size(address), PROT_READ, MAP_SHARED, ram_fd,
               (off_t)(address - address % PAGE));
    if (map == MAP_FAILED)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot map it");
    m->box = (const volatile struct pvmm_mailbox *)(map + address % PAGE);
    if (check_box(m->box, e) == 0)
        return 0;
    mailbox_close(m);
    return -1;
}

static int take_line(struct mailbox *m, int ram_fd, struct error *e)
{
    uint64_t address, size;

    m->line[m->line_length] = '\0';
    if (m->line[0] != '@' || m->box != NULL)
        return 0; /* a bell: the caller looks at the mailbox anyway */
    if (sscanf(m->line, "@%" SCNx64 " %" SCNx64, &address, &size) != 2)
        return error_set(e, EXIT_ENVIRONMENT, "the hypervisor's hello makes no sense");
    if (open_box(m, ram_fd, address, size, e) != 0)
        return error_context(e, "mailbox at 0x%" PRIx64, address);
    return 0;
}

int mailbox_feed(struct mailbox *m, int ram_fd, const char *data, size_t size, struct error *e)
{
    int rc = 0;

    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n') {
            if (take_line(m, ram_fd, e) != 0)
                rc = -1;
            m->line_length = 0;
        } else if (m->line_length < sizeof(m->line) - 1) {
            m->line[m->line_length++] = data[i];
        }
    }
    return rc;
}

uint32_t mailbox_state(const struct mailbox *m)
{
    return m->box != NULL ? m->box->state : 0;
}

void mailbox_copy_log(struct mailbox *m, FILE *out)
{
    uint64_t end;

    if (m->box == NULL || out == NULL)
        return;
    end = m->box->log_written;
    if (end - m->log_seen > PVMM_LOG_SIZE) { /* overrun: the oldest bytes are gone */
        fprintf(out, "... %" PRIu64 " bytes lost\n", end - PVMM_LOG_SIZE - m->log_seen);
        m->log_seen = end - PVMM_LOG_SIZE;
    }
    while (m->log_seen < end)
        fputc(m->box->log[m->log_seen++ % PVMM_LOG_SIZE], out);
    fflush(out);
}

struct ring mailbox_log(const struct mailbox *m)
{
    if (m->box == NULL)
        return (struct ring){NULL, 0, 0};
    return (struct ring){m->box->log, PVMM_LOG_SIZE, m->box->log_written};
}

static void make_printable(char *text, size_t size)
{
    text[size - 1] = '\0';
    for (; *text != '\0'; text++)
        if (!isprint((unsigned char)*text))
            *text = ' ';
}

void mailbox_log_tail(const struct mailbox *m, char *text, size_t size)
{
    uint64_t end, at;
    size_t n = 0;
    bool in_line;

    text[0] = '\0';
    if (m->box == NULL)
        return;
    end = m->box->log_written;
    at = end > size - 1 ? end - (size - 1) : 0;
    in_line = at == 0;
    for (; at < end; at++) {
        const char c = m->box->log[at % PVMM_LOG_SIZE];

        if (in_line)
            text[n++] = c == '\n' || isprint((unsigned char)c) ? c : ' ';
        in_line |= c == '\n';
    }
    text[n] = '\0';
}

bool mailbox_verdict(const struct mailbox *m, struct pvmm_verdict *v)
{
    if (m->box == NULL)
        return false;
    for (size_t i = 0; i < sizeof(*v); i++)
        ((uint8_t *)v)[i] = ((const volatile uint8_t *)&m->box->verdict)[i];
    make_printable(v->message, sizeof(v->message));
    for (unsigned i = 0; i < PVMM_FINDINGS; i++)
        make_printable(v->audit.finding[i], sizeof(v->audit.finding[i]));
    return true;
}

void mailbox_close(struct mailbox *m)
{
    const uintptr_t address = (uintptr_t)m->box;

    if (m->box != NULL)
        munmap((void *)(address - address % PAGE), map_size(address));
    m->box = NULL;
}
