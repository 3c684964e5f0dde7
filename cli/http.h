/* SPDX-License-Identifier: MIT */
/*
 * A page and its data for the browsers of this machine: GET of "/" and "/data", nothing else. Who
 * asks by another name than this machine's is refused: a page of somebody else's could have given
 * its own name our address (DNS rebinding). No other page may read the answers.
 */
#ifndef PVMM_CLI_HTTP_H
#define PVMM_CLI_HTTP_H

#include <stddef.h>

#include "error.h"

/* What is answered: a status of HTTP, and a text that is malloc'd, and the server's from then on.
 */
struct http_answer {
    unsigned status; /* 200, 410, 503 */
    char *text;
    size_t size;
};
/* Asked by one thread at a time, which is not the one that opened the server. */
typedef void http_data_fn(void *context, struct http_answer *a);

struct http;

/* `listen`: "ADDRESS:PORT", "[ADDRESS]:PORT", or NULL: 127.0.0.1 and a port that is free. The page
 * is taken over in any case. NULL: *e says why. */
struct http *http_open(const char *listen, char *page, size_t size, http_data_fn *data,
                       void *context, struct error *e);
const char *http_url(const struct http *h);
void http_close(struct http *h); /* NULL is fine */

#endif
