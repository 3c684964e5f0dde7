/* SPDX-License-Identifier: MIT */
#include "version.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hvimage.h"
#include "symbols.h"

#define LINE_BYTES (PATH_MAX + 512) /* a path, and an error's words */

/* Takes over `fd`. */
static void name_build(int fd, char text[PV_BUILD_ID_CHARS])
{
    struct pv_build_id id = {.bytes = 0};
    struct pv_error unused;

    if (fd >= 0 && pv_build_id_fd(&id, fd, &unused) != 0)
        id.bytes = 0;
    if (fd >= 0)
        close(fd);
    if (id.bytes == 0)
        snprintf(text, PV_BUILD_ID_CHARS, "none");
    else
        pv_build_id_text(&id, text);
}

static void name_hypervisor(char line[LINE_BYTES])
{
    char path[LINE_BYTES], whole[PATH_MAX], build[PV_BUILD_ID_CHARS];
    struct error e;
    const int fd = hv_image_own(path, sizeof(path), &e);

    if (fd < 0) {
        snprintf(line, LINE_BYTES, "none: %s", e.text);
        return;
    }
    name_build(fd, build);
    snprintf(line, LINE_BYTES, "%s (build id %s)", realpath(path, whole) != NULL ? whole : path,
             build);
}

const char *version_text(void)
{
    static char text[2 * LINE_BYTES];
    char build[PV_BUILD_ID_CHARS], hypervisor[LINE_BYTES];

    if (text[0] != '\0')
        return text;
    name_build(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), build);
    name_hypervisor(hypervisor);
    snprintf(text, sizeof(text), "pvmm " PVMM_VERSION " (build id %s)\nhypervisor %s\n", build,
             hypervisor);
    return text;
}
