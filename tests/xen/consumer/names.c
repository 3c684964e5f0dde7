/* SPDX-License-Identifier: MIT */
/*
 * A kernel whose names are those of the library's inside, for things of its own: functions, an
 * object, and a memset, which the library has to take as well. Its notes are its own, too
 * (notes.c).
 */
#include <pvguest/pvguest.h>
#include <xen/sched.h>

int fail(int a);
void publish(void);
const char *error_name(void);
void *memset(void *to, int c, size_t bytes);

unsigned m2p[4] = {1, 2, 3, 4}, pvguest, step = 5;
static unsigned failures, publications, settings;

int fail(int a)
{
    failures++;
    return a + 1;
}

void publish(void)
{
    publications++;
}

const char *error_name(void)
{
    return "mine";
}

void *memset(void *to, int c, size_t bytes)
{
    volatile unsigned char *p = to;
    settings++;
    while (bytes-- > 0)
        *p++ = (unsigned char)c;
    return to;
}

void kernel_main(const start_info_t *si)
{
    struct pvg_options options;
    struct pvguest *g = pvg_start(si);
    pvg_options_default(&options);
    if (pvg_boot(g, &options))
        pvg_fatal(g, "boot");
    /* The library fails in its own way. */
    int rc = pvg_map(g, 1, pvg_pfn(0), 1, 0);
    if (rc != -XEN_EINVAL || pvg_reason(g)[0] == 0)
        pvg_fatal(g, "the library's own failure");
    if (failures || publications)
        pvg_fatal(g, "the library calls what is not its own");
    if (settings == 0)
        pvg_fatal(g, "the library has a memset that is not the kernel's");
    publish();
    pvg_print(g, "consumer: fail %d publish %u m2p %u step %u %s\n", fail(1), publications, m2p[3],
              step + pvguest, error_name());
    pvg_print(g, "consumer: %s\n", pvg_reason(g));
    pvg_shutdown(g, SHUTDOWN_reboot);
}
