/* SPDX-License-Identifier: MIT */
#include "guest_tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <pvstore.h>

/* The handle that the hypervisor tells the guest (XENVER_guest_handle). */
#define UUID "00000000-0000-0000-0000-000000000000"

#define PATH_CHARS    160
#define CONSOLE_LIMIT "1048576"

/* Who a node is for. */
enum access {
    INHERITED, /* as its parent */
    READABLE,  /* the tool's; the guest reads it */
    GUESTS,    /* the guest's own */
    FRONTEND,  /* the guest's own, and the tool reads it */
    HIDDEN,    /* the tool's alone */
};

struct entry {
    enum access access;
    const char *path, *value; /* value NULL: a directory, or an empty one for the guest to write */
};

/* What does not depend on the guest: "~" stands for its home. */
static const struct entry fixed[] = {
    {READABLE, "~", NULL},
    {READABLE, "/vm/" UUID, NULL},
    {INHERITED, "/vm/" UUID "/uuid", UUID},
    {INHERITED, "/vm/" UUID "/image/ostype", "linux"},
    {INHERITED, "~/vm", "/vm/" UUID},
    {READABLE, "~/cpu", NULL},
    {INHERITED, "~/cpu/0/availability", "online"},
    {READABLE, "~/memory", NULL},
    {INHERITED, "~/memory/videoram", "0"},
    {READABLE, "~/device", NULL},
    {GUESTS, "~/device/suspend/event-channel", NULL},
    {READABLE, "~/control", NULL},
    {GUESTS, "~/control/shutdown", NULL},
    {GUESTS, "~/control/feature-poweroff", NULL},
    {GUESTS, "~/control/feature-reboot", NULL},
    {GUESTS, "~/control/feature-suspend", NULL},
    {GUESTS, "~/control/sysrq", NULL},
    {INHERITED, "~/control/platform-feature-multiprocessor-suspend", "1"},
    {INHERITED, "~/control/platform-feature-xs_reset_watches", "1"},
    {GUESTS, "~/data", NULL},
    {GUESTS, "~/drivers", NULL},
    {GUESTS, "~/feature", NULL},
    {GUESTS, "~/attr", NULL},
    {GUESTS, "~/error", NULL},
    {READABLE, "~/console", NULL},
    {FRONTEND, "~/console/backend-id", "0"},
    {INHERITED, "~/console/limit", CONSOLE_LIMIT},
    {INHERITED, "~/console/type", "xenconsoled"},
    {INHERITED, "~/console/output", "pty"},
    {INHERITED, "~/console/tty", ""},
};

static int set_access(struct store *s, const char *path, enum access access, uint32_t domid)
{
    const struct store_perm tool[] = {{0, STORE_NONE}, {domid, STORE_READ}};
    const struct store_perm guest[] = {{domid, STORE_NONE}, {0, STORE_READ}};

    switch (access) {
    case READABLE:
        return store_set_perms(s, path, tool, 2);
    case GUESTS:
        return store_set_perms(s, path, guest, 1);
    case FRONTEND:
        return store_set_perms(s, path, guest, 2);
    case HIDDEN:
        return store_set_perms(s, path, tool, 1);
    default:
        return 0;
    }
}

static int add(struct store *s, uint32_t domid, enum access access, const char *path,
               const char *value)
{
    char whole[PATH_CHARS];
    int rc;

    if (path[0] == '~')
        snprintf(whole, sizeof(whole), "/local/domain/%u%s", domid, path + 1);
    else
        snprintf(whole, sizeof(whole), "%s", path);
    rc = value == NULL ? store_mkdir(s, whole) : store_write(s, whole, value, strlen(value));
    return rc != 0 ? rc : set_access(s, whole, access, domid);
}

/* A node whose value is put together, with its parent's permissions. */
__attribute__((format(printf, 4, 5))) static int add_text(struct store *s, uint32_t domid,
                                                          const char *path, const char *fmt, ...)
{
    char value[PATH_CHARS];
    va_list args;

    va_start(args, fmt);
    vsnprintf(value, sizeof(value), fmt, args);
    va_end(args);
    return add(s, domid, INHERITED, path, value);
}

static int add_home(struct store *s, const struct guest_facts *f)
{
    const uint32_t d = f->domid;
    int rc = add(s, d, INHERITED, "~/name", f->name);

    rc = rc != 0 ? rc : add(s, d, INHERITED, "/vm/" UUID "/name", f->name);
    rc = rc != 0 ? rc : add_text(s, d, "~/domid", "%u", d);
    rc = rc != 0 ? rc : add_text(s, d, "~/memory/static-max", "%" PRIu64, f->memory / 1024);
    rc = rc != 0 ? rc : add_text(s, d, "~/memory/target", "%" PRIu64, f->target / 1024);
    rc = rc != 0 ? rc : add_text(s, d, "~/store/port", "%u", f->store_port);
    rc = rc != 0 ? rc : add_text(s, d, "~/store/ring-ref", "%" PRIu64, f->store_mfn);
    rc = rc != 0 ? rc : add_text(s, d, "~/console/port", "%u", f->console_port);
    rc = rc != 0 ? rc : add_text(s, d, "~/console/ring-ref", "%" PRIu64, f->console_mfn);
    return rc;
}

/* The tool's end of the console, where a guest's libraries look for it. */
static int add_backend(struct store *s, const struct guest_facts *f)
{
    const uint32_t d = f->domid;
    char path[PATH_CHARS - 16], node[PATH_CHARS];
    int rc;

    snprintf(path, sizeof(path), "/local/domain/0/backend/console/%u/0", d);
    rc = add(s, d, READABLE, path, NULL);
    rc = rc != 0 ? rc : add(s, d, INHERITED, "~/console/backend", path);
    snprintf(node, sizeof(node), "%s/frontend", path);
    rc = rc != 0 ? rc : add_text(s, d, node, "/local/domain/%u/console", d);
    snprintf(node, sizeof(node), "%s/frontend-id", path);
    rc = rc != 0 ? rc : add_text(s, d, node, "%u", d);
    snprintf(node, sizeof(node), "%s/online", path);
    rc = rc != 0 ? rc : add_text(s, d, node, "1");
    snprintf(node, sizeof(node), "%s/state", path);
    rc = rc != 0 ? rc : add_text(s, d, node, "1");
    snprintf(node, sizeof(node), "%s/protocol", path);
    return rc != 0 ? rc : add_text(s, d, node, "vt100");
}

int guest_tree_make(struct store *s, const struct guest_facts *f)
{
    char libxl[PATH_CHARS];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(fixed) / sizeof(fixed[0]); i++)
        rc = add(s, f->domid, fixed[i].access, fixed[i].path, fixed[i].value);
    rc = rc != 0 ? rc : add_home(s, f);
    rc = rc != 0 ? rc : add_backend(s, f);
    snprintf(libxl, sizeof(libxl), "/libxl/%u", f->domid);
    rc = rc != 0 ? rc : add(s, f->domid, HIDDEN, libxl, NULL);
    snprintf(libxl, sizeof(libxl), "/libxl/%u/type", f->domid);
    return rc != 0 ? rc : add_text(s, f->domid, libxl, "pv");
}
