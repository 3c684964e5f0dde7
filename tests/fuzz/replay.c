/* SPDX-License-Identifier: MIT */
/* Gives a fuzzer's inputs to its target once more, without the fuzzer: files, or folders of them.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void replay_file(const char *path, size_t bytes)
{
    uint8_t *data = malloc(bytes + 1);
    FILE *f = fopen(path, "rb");
    if (!data || !f || fread(data, 1, bytes, f) != bytes) {
        perror(path);
        exit(2);
    }
    fclose(f);
    LLVMFuzzerTestOneInput(data, bytes);
    free(data);
}

static unsigned replay(const char *path)
{
    struct stat st;
    if (stat(path, &st)) {
        perror(path);
        exit(2);
    }
    if (!S_ISDIR(st.st_mode)) {
        replay_file(path, (size_t)st.st_size);
        return 1;
    }
    unsigned n = 0;
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && (d = readdir(dir));) {
        char inner[4096];
        snprintf(inner, sizeof(inner), "%s/%s", path, d->d_name);
        if (d->d_name[0] != '.')
            n += replay(inner);
    }
    if (dir)
        closedir(dir);
    return n;
}

int main(int argc, char **argv)
{
    unsigned n = 0;
    for (int i = 1; i < argc; i++)
        n += replay(argv[i]);
    printf("%u inputs\n", n);
    return n ? 0 : 1; /* a folder without any proves nothing */
}
