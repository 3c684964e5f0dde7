/* SPDX-License-Identifier: MIT */
/*
 * What Xen's toolstack makes of a kernel for a domU, without a Xen: its library reads the file,
 * lays the guest out and loads it into plain memory, as it does for a domain of number 0. What it
 * would ask the hypervisor for comes after that and is left out.
 *
 * boot_toolstack MEMORY RAMDISK FILE...: a line for each, "taken", "refused" or "hangs", and FILE.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenguest.h>

#define PATIENCE 8 /* seconds for each */

/* The library's own asks the hypervisor. Here a page is clear to begin with. */
int xc_clear_domain_pages(xc_interface *xch, uint32_t domain, unsigned long pfn, int count)
{
    (void)xch, (void)domain, (void)pfn, (void)count;
    return 0;
}

static void *read_file(const char *path, size_t *size)
{
    const int fd = open(path, O_RDONLY);
    struct stat s;
    void *data;

    if (fd < 0 || fstat(fd, &s) != 0)
        exit(2);
    *size = (size_t)s.st_size;
    data = malloc(*size + 1);
    if (data == NULL || read(fd, data, *size) != s.st_size)
        exit(2);
    close(fd);
    return data;
}

/* The hypervisor would hand out frames; these are as good. */
static int give_memory(struct xc_dom_image *dom)
{
    dom->p2m_size = dom->total_pages;
    dom->pv_p2m = calloc(dom->p2m_size, sizeof(*dom->pv_p2m));
    for (xen_pfn_t i = 0; dom->pv_p2m != NULL && i < dom->p2m_size; i++)
        dom->pv_p2m[i] = i;
    return dom->pv_p2m != NULL ? 0 : -1;
}

static int build(const char *path, unsigned long mebibytes, size_t ramdisk)
{
    xentoollog_logger *log =
        (xentoollog_logger *)xtl_createlogger_stdiostream(stderr, XTL_ERROR, 0);
    xc_interface *xch = xc_interface_open(log, log, XC_OPENFLAG_DUMMY);
    struct xc_dom_image *dom = xc_dom_allocate(xch, "", NULL);
    size_t size;
    void *data = read_file(path, &size);

    if (dom == NULL)
        exit(2);
    dom->container_type = XC_DOM_PV_CONTAINER;
    strcpy(dom->xen_caps, "xen-3.0-x86_64 ");
    if (xc_dom_kernel_mem(dom, data, size) != 0)
        return 1;
    if (ramdisk != 0 && xc_dom_module_mem(dom, calloc(1, ramdisk), ramdisk, NULL) != 0)
        return 1;
    if (xc_dom_parse_image(dom) != 0 || xc_dom_mem_init(dom, (unsigned)mebibytes) != 0 ||
        give_memory(dom) != 0 || xc_dom_build_image(dom) != 0)
        return 1;
    return 0;
}

static const char *outcome(int status)
{
    if (WIFEXITED(status))
        return WEXITSTATUS(status) == 0 ? "taken" : WEXITSTATUS(status) == 1 ? "refused" : "error";
    return WTERMSIG(status) == SIGALRM ? "hangs" : "dies";
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    for (int i = 3; i < argc; i++) {
        int status;

        fflush(stdout);
        fprintf(stderr, "%s:\n", argv[i]);
        const pid_t child = fork();

        if (child == 0) {
            alarm(PATIENCE);
            _exit(build(argv[i], strtoul(argv[1], NULL, 0) >> 20, strtoul(argv[2], NULL, 0)));
        }
        if (child < 0 || waitpid(child, &status, 0) != child)
            return 2;
        printf("%s %s\n", outcome(status), argv[i]);
    }
    return 0;
}
