#include "fm_test.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "fedmoe/base/random.h"

#define MAX_TMPDIRS 4096

static char *g_tmpdirs[MAX_TMPDIRS];
static size_t g_tmpdir_count;
static pid_t g_tmpdir_owner;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

static void remove_tmpdirs(void)
{
    bool owner = getpid() == g_tmpdir_owner; /* a forked child leaves them alone */

    for (size_t i = 0; i < g_tmpdir_count; i++) {
        if (owner)
            (void)nftw(g_tmpdirs[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(g_tmpdirs[i]);
        g_tmpdirs[i] = NULL;
    }
    g_tmpdir_count = 0;
}

static void die(const char *what)
{
    fprintf(stderr, "fm_test: %s: %s\n", what, strerror(errno));
    exit(1);
}

void fm_test_tmpdir(char *out, size_t cap)
{
    const char *root = getenv("TMPDIR");
    int n = snprintf(out, cap, "%s/fedmoe-test-XXXXXX", root && *root ? root : "/tmp");

    if (n < 0 || (size_t)n >= cap || g_tmpdir_count == MAX_TMPDIRS) {
        errno = ENAMETOOLONG;
        die("no place for a temporary folder");
    }
    if (!mkdtemp(out))
        die(out);
    if (g_tmpdir_owner == 0) {
        g_tmpdir_owner = getpid();
        if (atexit(remove_tmpdirs) != 0)
            die("atexit");
    }
    if (!(g_tmpdirs[g_tmpdir_count] = strdup(out)))
        die("strdup");
    g_tmpdir_count++;
}

bool fm_test_shared(const char *rel, char *out, size_t cap)
{
    const char *root = getenv("FEDMOE_SHARED");
    int n = root && *root ? snprintf(out, cap, "%s/%s", root, rel)
                          : snprintf(out, cap, "%s/../shared/%s", FM_TEST_SOURCE_DIR, rel);

    return n > 0 && (size_t)n < cap && access(out, R_OK) == 0;
}

void fm_test_skip(const char *why)
{
    printf("skipped: %s\n", why);
    fflush(stdout);
}

static bool add_suite(const fm_test_suite *s)
{
    CU_pSuite suite = CU_add_suite(s->name, NULL, NULL);

    if (!suite)
        return false;
    for (size_t i = 0; i < s->count; i++)
        if (!CU_add_test(suite, s->tests[i].name, s->tests[i].run))
            return false;
    return true;
}

int fm_test_main(const fm_test_suite *suites, size_t n, int argc, char **argv)
{
    const char *wanted = argc > 1 ? argv[1] : "";
    bool ok = false;

    if (fm_random_init() != FM_OK || CU_initialize_registry() != CUE_SUCCESS) {
        fprintf(stderr, "fm_test: cannot start: %s\n", fm_error_text());
        return 1;
    }
    for (size_t i = 0; i < n; i++) {
        if (!strstr(suites[i].name, wanted))
            continue;
        if (!add_suite(&suites[i])) {
            fprintf(stderr, "fm_test: %s: %s\n", suites[i].name, CU_get_error_msg());
            goto done;
        }
    }
    CU_basic_set_mode(CU_BRM_NORMAL);
    ok = CU_basic_run_tests() == CUE_SUCCESS && CU_get_number_of_failures() == 0 &&
         CU_get_number_of_tests_run() > 0;
    if (CU_get_number_of_tests_run() == 0)
        fprintf(stderr, "fm_test: no test ran (no suite is called '%s')\n", wanted);
done:
    CU_cleanup_registry();
    return ok ? 0 : 1;
}
