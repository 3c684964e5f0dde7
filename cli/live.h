/* SPDX-License-Identifier: MIT */
/* `pvmm report --live`: a running guest's page, served to this machine's browsers. */
#ifndef PVMM_CLI_LIVE_H
#define PVMM_CLI_LIVE_H

#include "error.h"
#include "imagefile.h"
#include "report.h"

struct live_options {
    const struct image_options *image;
    const char *name;   /* the guest's */
    const char *title;  /* NULL: its name */
    const char *listen; /* "ADDRESS:PORT"; NULL: 127.0.0.1 and any port */
    unsigned wait;      /* seconds for it to be there */
    unsigned interval;  /* seconds that an answer is good for */
    enum report_detail detail;
};

/* Until a signal comes, or the guest is gone, which is said on stderr. */
int live_serve(const struct live_options *o, struct error *e);

/* "0.1.0 (build id ...)", and the time: for a page. */
void live_version(char *to, size_t size);
void live_time(char *to, size_t size);

#endif
