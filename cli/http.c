/* SPDX-License-Identifier: MIT */
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exitcodes.h"

#define CONNECTIONS 32u
#define PATIENCE    5u /* seconds for a client to say or take something, or to be gone */
#define BACKLOG     16
#define MEMORY      (64u * 1024u) /* of a connection */

struct http {
    struct MHD_Daemon *daemon;
    struct MHD_Response *page;
    http_data_fn *data;
    void *context;
    char url[96], port[8];
    char address[64]; /* as it stands in a URL; "": any */
};

/* ---- who asks, and for what */

/* `host` without its port, which must be ours; without one it is that of HTTP. */
static bool split_host(const struct http *h, const char *host, char *name, size_t size)
{
    const char *end = host[0] == '[' ? strchr(host, ']') : NULL;
    const size_t n = end != NULL ? (size_t)(end + 1 - host) : strcspn(host, ":");

    if (n >= size || strcmp(host[n] == ':' ? host + n + 1 : "80", h->port) != 0)
        return false;
    memcpy(name, host, n);
    name[n] = '\0';
    return true;
}

static bool is_address(const char *name)
{
    struct in_addr four;
    struct in6_addr six;
    char inner[64];

    if (name[0] != '[')
        return inet_pton(AF_INET, name, &four) == 1;
    snprintf(inner, sizeof(inner), "%.*s", (int)strcspn(name + 1, "]"), name + 1);
    return inet_pton(AF_INET6, inner, &six) == 1;
}

/* An address cannot be rebound; a name can, but for the one that is always this machine. */
static bool is_ours(const struct http *h, const char *host)
{
    char name[64];

    if (host == NULL || !split_host(h, host, name, sizeof(name)))
        return false;
    if (strcasecmp(name, "localhost") == 0 || strcmp(name, "127.0.0.1") == 0 ||
        strcmp(name, "[::1]") == 0)
        return true;
    return h->address[0] != '\0' ? strcasecmp(name, h->address) == 0 : is_address(name);
}

static void add_headers(struct MHD_Response *r, const char *type)
{
    MHD_add_response_header(r, "Content-Type", type);
    MHD_add_response_header(r, "Cache-Control", "no-store");
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(r, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(r, "Content-Security-Policy", "frame-ancestors 'none'");
}

static enum MHD_Result say(struct MHD_Connection *c, unsigned status, struct MHD_Response *r)
{
    enum MHD_Result rc = r != NULL ? MHD_queue_response(c, status, r) : MHD_NO;

    if (r != NULL)
        MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result refuse(struct MHD_Connection *c, unsigned status, const char *text)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                                             MHD_RESPMEM_PERSISTENT);

    if (r != NULL) {
        add_headers(r, "text/plain; charset=utf-8");
        if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
            MHD_add_response_header(r, "Allow", "GET");
    }
    return say(c, status, r);
}

static enum MHD_Result tell_data(const struct http *h, struct MHD_Connection *c)
{
    struct http_answer a = {.status = MHD_HTTP_SERVICE_UNAVAILABLE};
    struct MHD_Response *r;

    h->data(h->context, &a);
    if (a.text == NULL)
        return refuse(c, a.status, "nothing to be told\n");
    r = MHD_create_response_from_buffer(a.size, a.text, MHD_RESPMEM_MUST_FREE);
    if (r == NULL)
        free(a.text);
    else
        add_headers(r, a.status == MHD_HTTP_OK ? "application/json" : "text/plain; charset=utf-8");
    return say(c, a.status, r);
}

static enum MHD_Result answer(void *context, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **seen)
{
    const struct http *h = context;

    (void)version;
    (void)upload;
    (void)upload_size;
    (void)seen;
    if (!is_ours(h, MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST)))
        return refuse(c, MHD_HTTP_FORBIDDEN, "this is not the name of this machine\n");
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0)
        return refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "there is nothing but to GET\n");
    if (strcmp(url, "/") == 0)
        return MHD_queue_response(c, MHD_HTTP_OK, h->page);
    if (strcmp(url, "/data") == 0)
        return tell_data(h, c);
    return refuse(c, MHD_HTTP_NOT_FOUND, "there is / and /data\n");
}

/* ---- opening */

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

static bool parse_port(const char *text, uint16_t *port)
{
    char *end;
    const unsigned long n = strtoul(text, &end, 10);

    *port = (uint16_t)n;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && n <= 65535;
}

static bool parse_address(const char *text, union address *a)
{
    const char *colon = strrchr(text, ':');
    char name[64];
    uint16_t port;
    const bool bracketed = text[0] == '[' && colon != NULL && colon > text + 1 && colon[-1] == ']';
    const size_t n = colon != NULL ? (size_t)(colon - text) - (bracketed ? 2 : 0) : 0;

    if (n == 0 || n >= sizeof(name) || !parse_port(colon + 1, &port))
        return false;
    memcpy(name, text + bracketed, n);
    name[n] = '\0';
    memset(a, 0, sizeof(*a));
    a->any.sa_family = bracketed ? AF_INET6 : AF_INET;
    if (bracketed) {
        a->six.sin6_port = htons(port);
        return inet_pton(AF_INET6, name, &a->six.sin6_addr) == 1;
    }
    a->four.sin_port = htons(port);
    return inet_pton(AF_INET, name, &a->four.sin_addr) == 1;
}

static bool is_any(const union address *a)
{
    return a->any.sa_family == AF_INET ? a->four.sin_addr.s_addr == htonl(INADDR_ANY)
                                       : IN6_IS_ADDR_UNSPECIFIED(&a->six.sin6_addr);
}

static void name_it(struct http *h, const union address *a)
{
    const bool six = a->any.sa_family == AF_INET6;
    char text[INET6_ADDRSTRLEN] = "";

    inet_ntop(a->any.sa_family, six ? (const void *)&a->six.sin6_addr : &a->four.sin_addr, text,
              sizeof(text));
    snprintf(h->port, sizeof(h->port), "%u", ntohs(six ? a->six.sin6_port : a->four.sin_port));
    if (!is_any(a))
        snprintf(h->address, sizeof(h->address), six ? "[%s]" : "%s", text);
    snprintf(h->url, sizeof(h->url), "http://%s:%s/",
             h->address[0] != '\0' ? h->address : "localhost", h->port);
}

static int open_socket(struct http *h, const char *listen_to, struct error *e)
{
    union address a;
    socklen_t size;
    int fd;

    if (!parse_address(listen_to != NULL ? listen_to : "127.0.0.1:0", &a))
        return error_set(e, EXIT_USAGE, "--listen %s: ADDRESS:PORT, [ADDRESS]:PORT", listen_to);
    size = a.any.sa_family == AF_INET6 ? sizeof(a.six) : sizeof(a.four);
    fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (fd < 0 || bind(fd, &a.any, size) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, &a.any, &size) != 0) {
        error_errno(e, EXIT_ENVIRONMENT, "cannot listen at %s",
                    listen_to != NULL ? listen_to : "127.0.0.1");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    name_it(h, &a);
    return fd;
}

static int start(struct http *h, int fd, struct error *e)
{
    h->daemon = MHD_start_daemon(
        MHD_USE_AUTO_INTERNAL_THREAD, 0, NULL, NULL, answer, h, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, PATIENCE,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY, MHD_OPTION_END);
    if (h->daemon != NULL)
        return 0;
    close(fd);
    return error_set(e, EXIT_ENVIRONMENT, "libmicrohttpd does not start");
}

struct http *http_open(const char *listen_to, char *page, size_t size, http_data_fn *data,
                       void *context, struct error *e)
{
    struct http *h = calloc(1, sizeof(*h));
    int fd;

    if (h != NULL)
        h->page = MHD_create_response_from_buffer(size, page, MHD_RESPMEM_MUST_FREE);
    if (h == NULL || h->page == NULL) {
        free(page);
        free(h);
        error_set(e, EXIT_ENVIRONMENT, "out of memory");
        return NULL;
    }
    add_headers(h->page, "text/html; charset=utf-8");
    h->data = data;
    h->context = context;
    fd = open_socket(h, listen_to, e);
    if (fd >= 0 && start(h, fd, e) == 0)
        return h;
    http_close(h);
    return NULL;
}

const char *http_url(const struct http *h)
{
    return h->url;
}

void http_close(struct http *h)
{
    if (h == NULL)
        return;
    if (h->daemon != NULL)
        MHD_stop_daemon(h->daemon);
    MHD_destroy_response(h->page);
    free(h);
}
