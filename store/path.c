/* SPDX-License-Identifier: MIT */
/* Rules of paths. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define DOMAINS "/local/domain/"

/* Length of "/local/domain/N/", which does not count against the limit; 0: the path is elsewhere.
 */
static size_t home_length(const char *path)
{
    size_t digits;

    if (strncmp(path, DOMAINS, strlen(DOMAINS)) != 0)
        return 0;
    digits = strspn(path + strlen(DOMAINS), "0123456789");
    if (digits == 0 || digits > 5 || path[strlen(DOMAINS) + digits] != '/')
        return 0;
    return strlen(DOMAINS) + digits + 1;
}

bool path_valid(const char *path)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-/_@";
    const size_t length = strlen(path);

    if (path[0] != '/' || (length > 1 && path[length - 1] == '/'))
        return false;
    if (strstr(path, "//") != NULL || strspn(path, allowed) != length)
        return false;
    return length <= home_length(path) + XENSTORE_REL_PATH_MAX;
}

char *path_absolute(const struct request *r, const char *path)
{
    const char *home = r->who == GUEST ? r->s->home : "/local/domain/0";

    if (path[0] == '/' || path[0] == '@')
        return strdup(path);
    return path_join(home, path);
}

char *path_parent(const char *path)
{
    const char *name = path_name(path);
    const size_t length = name == path + 1 ? 1 : (size_t)(name - path) - 1;

    return strndup(path, length);
}

char *path_join(const char *parent, const char *name)
{
    const size_t length = strcmp(parent, "/") == 0 ? 0 : strlen(parent);
    char *path = malloc(length + 1 + strlen(name) + 1);

    if (path == NULL)
        return NULL;
    memcpy(path, parent, length);
    path[length] = '/';
    memcpy(path + length + 1, name, strlen(name) + 1);
    return path;
}

const char *path_name(const char *path)
{
    return strrchr(path, '/') + 1;
}

bool path_below(const char *path, const char *root)
{
    const size_t length = strlen(root);

    if (strcmp(root, "/") == 0)
        return true;
    return strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0');
}
