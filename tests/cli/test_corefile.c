/* SPDX-License-Identifier: MIT */
/* Where a core may go, how it is named, and that it is whole or not there. */
#include "made_up.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "corefile.h"
#include "exitcodes.h"
#include "outfile.h"

static bool read_zeroes(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    (void)offset;
    memset(to, 0, n);
    return owned(v, m);
}

static pfn_t next_pfn(const struct pv_view *v, pfn_t from)
{
    (void)v;
    return from.n < PAGES ? from : NO_PFN;
}

static unsigned files_in(const char *path)
{
    DIR *d = opendir(path);
    unsigned n = 0;

    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return n;
}

static void core_files_are_whole_or_not_there(void **state)
{
    struct pv_backend readable = backend;
    struct pv_view v = view;
    char dir[] = "core-XXXXXX", path[64];
    struct error e;
    uint64_t bytes;
    int news[2];

    (void)state;
    readable.read = read_zeroes;
    readable.next_pfn = next_pfn;
    v.backend = &readable;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/core", dir);
    assert_int_equal(pipe(news), 0);
    assert_int_equal(write(news[1], "", 1), 1); /* as a signal would */
    assert_int_equal(corefile_write(&v, path, news[0], &bytes, &e), -1);
    assert_non_null(strstr(e.text, "interrupted"));
    assert_int_equal(files_in(dir), 0);
    assert_int_equal(corefile_write(&v, path, -1, &bytes, &e), 0);
    assert_int_equal(files_in(dir), 1);
    assert_int_equal(corefile_write(&v, path, news[0], &bytes, &e), -1);
    assert_int_equal(access(path, R_OK), 0); /* the one before stays */
    assert_int_equal(corefile_write(&v, path, -1, &bytes, &e), 0);
    assert_int_equal(files_in(dir), 1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(corefile_write(&v, path, -1, &bytes, &e), -1);
    close(news[0]);
    close(news[1]);
}

/*
 * A core was written beside its name and renamed over whatever had that name. Whoever ran as root
 * and wanted no core, and said so with --core /dev/null, had a file of that name from then on, in
 * place of the device. What is no file is left alone now.
 */
static void cores_replace_files_only(void **state)
{
    char path[] = "/tmp/pvmm-core-XXXXXX";
    struct error e;

    (void)state;
    assert_int_equal(outfile_check("/dev/null", &e), -1);
    assert_int_equal(e.code, EXIT_USAGE);
    assert_non_null(mkdtemp(path));
    assert_int_equal(outfile_check(path, &e), -1);
    assert_int_equal(corefile_write(&view, path, -1, &(uint64_t){0}, &e), -1);
    assert_int_equal(files_in(path), 0);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(outfile_check(path, &e), 0); /* not there yet */
    assert_int_equal(outfile_check("/proc/self/exe", &e), 0);
}

static void make(const char *name)
{
    const int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);

    assert_true(fd >= 0);
    close(fd);
}

/* Who is killed leaves a file that nobody has locked; one that is locked is being written. */
static void what_the_killed_left_is_removed(void **state)
{
    const char *const kept[] = {".core.backup", ".core.pvmm-1234567", ".kore.pvmm-123456",
                                "core.pvmm-123456"};
    struct outfile f = OUTFILE_NONE, g = OUTFILE_NONE;
    struct error e;
    int locked;

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        make(kept[i]);
    make(".core.pvmm-123456");
    make(".core.pvmm-abcdef");
    assert_int_equal(symlink("core.pvmm-123456", ".core.pvmm-linked"), 0);
    assert_int_equal(mkdir(".core.pvmm-folder", 0700), 0);
    locked = open(".core.pvmm-abcdef", O_RDONLY);
    assert_int_equal(flock(locked, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(outfile_begin(&f, "core", &e), 0);
    assert_int_equal(access(".core.pvmm-123456", F_OK), -1);
    assert_int_equal(outfile_begin(&g, "core", &e), 0); /* two at a time */
    assert_int_equal(outfile_finish(&f, &e), 0);
    assert_int_equal(outfile_finish(&g, &e), 0);
    assert_int_equal(unlink(".core.pvmm-linked"), 0);
    assert_int_equal(rmdir(".core.pvmm-folder"), 0);
    assert_int_equal(access(".core.pvmm-abcdef", F_OK), 0);
    close(locked);
    assert_int_equal(outfile_begin(&f, "core", &e), 0);
    assert_int_equal(access(".core.pvmm-abcdef", F_OK), -1);
    outfile_abandon(&f);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(unlink(kept[i]), 0);
    assert_int_equal(unlink("core"), 0);
}

static void cores_are_named_after_the_kernel(void **state)
{
    char *here = getcwd(NULL, 0), *name = corefile_default("/boot/vmlinuz-6.1");

    (void)state;
    assert_int_equal(strncmp(name, here, strlen(here)), 0);
    assert_string_equal(name + strlen(here), "/vmlinuz-6.1.core");
    free(here);
    free(name);
}

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
        cmocka_unit_test(core_files_are_whole_or_not_there),
        cmocka_unit_test(cores_replace_files_only),
        cmocka_unit_test(what_the_killed_left_is_removed),
        cmocka_unit_test(cores_are_named_after_the_kernel),
    };

    return cmocka_run_group_tests(tests, enter, leave);
}
