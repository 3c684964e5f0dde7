/* SPDX-License-Identifier: MIT */
/* stdin as a document of one element: whatever it is, it is well-formed. */
#include <stdio.h>

#include "tail.h"
#include "xmltext.h"

int main(void)
{
    static struct tail t;
    static char text[TAIL_CHARS];
    size_t n;

    while ((n = fread(text, 1, 1000, stdin)) > 0)
        tail_add(&t, text, n);
    n = tail_copy(&t, text, sizeof(text));
    printf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<t>");
    xml_text(stdout, text, n);
    printf("</t>\n");
    return ferror(stdin) || ferror(stdout);
}
