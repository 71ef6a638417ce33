/* Scratch files: what is read is what was written; what lies on the disk is neither named nor readable. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fedmoe/base/random.h"
#include "fedmoe/base/scratch.h"
#include "suites.h"

#define BYTES ((size_t)700001) /* not whole buffers, not whole blocks of the cipher */

static unsigned char *patient(void)
{
    unsigned char *p = malloc(BYTES);

    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    for (size_t i = 0; i < BYTES; i++)
        p[i] = (unsigned char)("patient 17 "[i % 11]);
    return p;
}

static fm_scratch *filled(const char *dir, const unsigned char *p)
{
    fm_scratch *s = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_scratch_new(dir, &s), FM_OK);
    for (size_t at = 0, n = 1; at < BYTES; at += n, n = n * 3 % 40009) {
        n = n < BYTES - at ? n : BYTES - at;
        CU_ASSERT_EQUAL_FATAL(fm_scratch_append(s, p + at, n), FM_OK);
    }
    CU_ASSERT_EQUAL(fm_scratch_bytes(s), BYTES);
    CU_ASSERT_EQUAL_FATAL(fm_scratch_seal(s), FM_OK);
    return s;
}

static void any_bytes_come_back(void)
{
    char dir[PATH_MAX];
    unsigned char *p = patient(), *got = malloc(BYTES);
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 3);
    fm_scratch *s;

    fm_test_tmpdir(dir, sizeof dir);
    s = filled(dir, p);
    CU_ASSERT_EQUAL(fm_scratch_read(s, 0, got, BYTES), FM_OK);
    CU_ASSERT(memcmp(p, got, BYTES) == 0);
    for (int i = 0; i < 500; i++) {
        const size_t at = (size_t)fm_rng_below(&rng, BYTES);
        const size_t n = (size_t)fm_rng_below(&rng, BYTES - at + 1) % 10000;

        CU_ASSERT_EQUAL(fm_scratch_read(s, at, got, n), FM_OK);
        CU_ASSERT(memcmp(p + at, got, n) == 0);
    }
    CU_ASSERT_EQUAL(fm_scratch_read(s, BYTES, got, 0), FM_OK);
    CU_ASSERT_EQUAL(fm_scratch_read(s, BYTES - 3, got, 4), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_scratch_read(s, UINT64_MAX, got, 1), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_scratch_append(s, p, 1), FM_EINVAL);
    fm_scratch_free(&s);
    CU_ASSERT_PTR_NULL(s);
    fm_scratch_free(&s);
    free(p);
    free(got);
}

/* The file that this process has open and that has no name, in `path`: its descriptor's. */
static bool find_nameless(const char *dir, char path[PATH_MAX])
{
    DIR *d = opendir("/proc/self/fd");
    bool found = false;

    for (struct dirent *e; d && !found && (e = readdir(d));) {
        char link[PATH_MAX];
        ssize_t n;

        (void)snprintf(path, PATH_MAX, "/proc/self/fd/%.20s", e->d_name);
        n = readlink(path, link, sizeof link - 1);
        link[n > 0 ? n : 0] = '\0';
        found = strncmp(link, dir, strlen(dir)) == 0 && strstr(link, "(deleted)");
    }
    if (d)
        closedir(d);
    return found;
}

static void nothing_can_be_read_of_what_lies_on_the_disk(void)
{
    char dir[PATH_MAX], path[PATH_MAX];
    unsigned char *p = patient(), *raw = malloc(BYTES);
    struct stat info;
    size_t same = 0;
    fm_scratch *s;
    FILE *f;

    fm_test_tmpdir(dir, sizeof dir);
    s = filled(dir, p);
    CU_ASSERT_EQUAL(rmdir(dir), 0); /* it is empty: no name */
    CU_ASSERT_TRUE_FATAL(find_nameless(dir, path));
    CU_ASSERT(stat(path, &info) == 0 && (info.st_mode & 0777) == 0600);
    f = fopen(path, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fread(raw, 1, BYTES, f), BYTES);
    (void)fclose(f);
    for (size_t i = 0; i < BYTES; i++)
        same += raw[i] == p[i];
    /* By chance 1 in 256 are: 2734 of 700001, and a deviation of 52. */
    CU_ASSERT(same > 2200 && same < 3300);
    CU_ASSERT_PTR_NULL(memmem(raw, BYTES, "patient", 7));
    fm_scratch_free(&s);
    CU_ASSERT_FALSE(find_nameless(dir, path));
    free(p);
    free(raw);
}

static void a_folder_that_cannot_be_used_is_named(void)
{
    fm_scratch *s = NULL;

    CU_ASSERT_EQUAL(fm_scratch_new("/nowhere/at/all", &s), FM_EIO);
    CU_ASSERT_PTR_NULL(s);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "/nowhere/at/all: a scratch file"));
}

static const fm_test tests[] = {
    { "any bytes come back", any_bytes_come_back },
    { "nothing can be read of what lies on the disk",
      nothing_can_be_read_of_what_lies_on_the_disk },
    { "a folder that cannot be used is named", a_folder_that_cannot_be_used_is_named },
};

const fm_test_suite suite_scratch = { "base.scratch", tests, FM_TEST_COUNT(tests) };
