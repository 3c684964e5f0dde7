/* SPDX-License-Identifier: MIT */
/* Where a core may go: what is no file stays what it is, and nothing is left beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "corefile.h"
#include "exitcodes.h"

static char folder[] = "corefile.XXXXXX";

static void what_is_no_file_is_not_replaced(void **state)
{
    const char *const name[] = {".", "pipe", "device"};
    struct stat before, after;
    struct error e;
    uint64_t bytes;

    (void)state;
    assert_int_equal(mkfifo("pipe", 0600), 0);
    assert_int_equal(symlink("/dev/null", "device"), 0);
    for (unsigned i = 0; i < 3; i++) {
        memset(&e, 0, sizeof(e));
        assert_int_equal(lstat(name[i], &before), 0);
        /* Without a view: it is not come to. */
        assert_int_equal(corefile_write(NULL, name[i], -1, &bytes, &e), -1);
        assert_int_equal(e.code, EXIT_USAGE);
        assert_non_null(strstr(e.text, "something that is no file"));
        assert_int_equal(lstat(name[i], &after), 0);
        assert_int_equal(after.st_ino, before.st_ino);
    }
    unlink("pipe");
    unlink("device");
}

static int enter(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL || chdir(folder) != 0 ? -1 : 0;
}

/* Fails if anything is left in it. */
static int leave(void **state)
{
    (void)state;
    return chdir("..") != 0 || rmdir(folder) != 0 ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_file_is_not_replaced),
    };

    return cmocka_run_group_tests(tests, enter, leave);
}
