/* SPDX-License-Identifier: MIT */
/* Who may do what. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static const char letters[] = "nrwb"; /* by rights */

/* The owner and the tool may do all; others what is said of them, or else what is said of everyone.
 */
uint32_t perms_for(const struct request *r, const struct store_perm *perms, unsigned count)
{
    if (r->who == TOOL || perms[0].domid == r->s->domid)
        return STORE_READ | STORE_WRITE | STORE_OWNER;
    for (unsigned i = 1; i < count; i++)
        if (perms[i].domid == r->s->domid)
            return perms[i].rights;
    return perms[0].rights;
}

/* `count` strings of a letter and a number, one after the other; the caller has counted the NULs.
 */
int perms_parse(const char *text, size_t size, struct store_perm *perms, unsigned count)
{
    const char *const end = text + size;

    for (unsigned i = 0; i < count && text < end; i++) {
        const char *letter = text[0] != '\0' ? strchr(letters, text[0]) : NULL;
        char *rest;

        if (letter == NULL || text[1] == '\0')
            return EINVAL;
        perms[i].rights = (uint32_t)(letter - letters);
        perms[i].domid = (uint32_t)strtol(text + 1, &rest, 0);
        if (*rest != '\0')
            return EINVAL;
        text = rest + 1;
    }
    return 0;
}

size_t perms_print(const struct store_perm *perms, unsigned count, char *text, size_t size)
{
    size_t used = 0;

    for (unsigned i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%c%u", letters[perms[i].rights],
                                 (unsigned)perms[i].domid) +
                1;
    return used;
}

/* There are two domains; a right for another one is kept, and means nothing. */
bool perms_owner_exists(const struct store *s, const struct store_perm *perms)
{
    return perms[0].domid == 0 || perms[0].domid == s->domid;
}

int perms_special(struct store *s, const char *event, const struct store_perm **perms,
                  unsigned *count)
{
    static const struct store_perm nobody = {0, STORE_NONE};

    *perms = &nobody;
    *count = 1;
    if (strcmp(event, "@introduceDomain") == 0 && s->introduce != NULL) {
        *perms = s->introduce;
        *count = s->n_introduce;
    } else if (strcmp(event, "@releaseDomain") == 0 && s->release != NULL) {
        *perms = s->release;
        *count = s->n_release;
    } else if (strcmp(event, "@introduceDomain") != 0 && strcmp(event, "@releaseDomain") != 0) {
        return EINVAL;
    }
    return 0;
}

int perms_set_special(const struct request *r, const char *event, const struct store_perm *perms,
                      unsigned count)
{
    struct store *s = r->s;
    const bool introduce = strcmp(event, "@introduceDomain") == 0;
    const uint32_t wanted = STORE_WRITE | STORE_OWNER;
    const struct store_perm *old;
    struct store_perm *copy;
    unsigned n_old;

    if (perms_special(s, event, &old, &n_old) != 0)
        return EINVAL;
    if ((perms_for(r, old, n_old) & wanted) != wanted)
        return EACCES;
    copy = malloc(count * sizeof(copy[0]));
    if (copy == NULL)
        return ENOMEM;
    memcpy(copy, perms, count * sizeof(copy[0]));
    free(introduce ? s->introduce : s->release);
    *(introduce ? &s->introduce : &s->release) = copy;
    *(introduce ? &s->n_introduce : &s->n_release) = count;
    return 0;
}
