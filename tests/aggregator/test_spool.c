/* Updates on their way in: what waits in memory, what in files, and what is no update's piece. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "spool_internal.h"
#include "suites.h"

#define MIB ((size_t)1 << 20)
#define PLACES 3u

typedef struct {
    char dir[256];
    fm_spool *spool;
    uint8_t *bytes; /* [16 MiB + 1]: an update begins at any of them */
} rig;

static void begin(rig *r)
{
    fm_test_tmpdir(r->dir, sizeof r->dir);
    r->bytes = malloc(16 * MIB + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->bytes);
    for (size_t i = 0; i <= 16 * MIB; i++)
        r->bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    CU_ASSERT_EQUAL_FATAL(fm_spool_new(r->dir, PLACES, &r->spool), FM_OK);
}

static void end(rig *r)
{
    fm_spool_free(&r->spool);
    CU_ASSERT_PTR_NULL(r->spool);
    free(r->bytes);
}

/* Update `which` of this size: the bytes from there on. */
static fm_status put(rig *r, uint32_t place, size_t which, size_t size, uint64_t at, size_t len)
{
    return fm_spool_put(r->spool, place, size, at, (fm_bytes){ r->bytes + which + at, len });
}

static void put_all(rig *r, uint32_t place, size_t which, size_t size)
{
    size_t at = 0, len;

    for (; at < size; at += len) {
        len = size - at < MIB - 7 ? size - at : MIB - 7;
        CU_ASSERT_EQUAL(put(r, place, which, size, at, len), FM_OK);
    }
}

static bool holds(rig *r, uint32_t place, size_t which, size_t at, size_t len)
{
    uint8_t *out = malloc(len + 1);
    bool same;

    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    out[len] = 0xa5;
    same = fm_spool_get(r->spool, place, at, out, len) == FM_OK &&
           memcmp(out, r->bytes + which + at, len) == 0 && out[len] == 0xa5;
    free(out);
    return same;
}

/* Files of the folder that this process holds open, and that no name leads to any more. */
static unsigned open_files(const rig *r)
{
    DIR *d = opendir("/proc/self/fd");
    const struct dirent *e;
    unsigned n = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    while ((e = readdir(d))) {
        char target[512];
        ssize_t len = readlinkat(dirfd(d), e->d_name, target, sizeof target - 1);

        if (len > 0) {
            target[len] = '\0';
            n += strncmp(target, r->dir, strlen(r->dir)) == 0 && strstr(target, "(deleted)");
        }
    }
    (void)closedir(d);
    return n;
}

static unsigned names(const rig *r)
{
    DIR *d = opendir(r->dir);
    unsigned n = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n - 2; /* . and .. */
}

static void one_update_is_held_in_memory_but_2_to_64_mib(void)
{
    CU_ASSERT_EQUAL(fm_spool_memory(1), 2 * MIB);
    CU_ASSERT_EQUAL(fm_spool_memory(8 * MIB + 1), 8 * MIB + 1);
    CU_ASSERT_EQUAL(fm_spool_memory((size_t)4 << 30), 64 * MIB);
}

static void the_first_waits_in_memory_the_others_in_files(void)
{
    const size_t size = 8 * MIB + 12345;
    rig r;

    begin(&r);
    put_all(&r, 1, 0, size);
    CU_ASSERT_EQUAL(open_files(&r), 0);
    put_all(&r, 0, 1, size);
    CU_ASSERT_EQUAL(open_files(&r), 1);
    put_all(&r, 2, 2, size);
    CU_ASSERT_EQUAL(open_files(&r), 2);
    CU_ASSERT_EQUAL(names(&r), 0);
    for (uint32_t i = 0; i < PLACES; i++) {
        const size_t which = i == 1 ? 0 : i == 0 ? 1 : 2;

        CU_ASSERT(holds(&r, i, which, 0, size));
        CU_ASSERT(holds(&r, i, which, 4097, MIB));
        CU_ASSERT(holds(&r, i, which, size - 1, 1));
        CU_ASSERT(holds(&r, i, which, size, 0));
    }
    end(&r);
    CU_ASSERT_EQUAL(open_files(&r), 0);
}

static void small_ones_share_the_memory(void)
{
    rig r;

    begin(&r);
    put_all(&r, 0, 5, MIB);
    put_all(&r, 1, 6, MIB);
    CU_ASSERT_EQUAL(open_files(&r), 0);
    put_all(&r, 2, 7, 1);
    CU_ASSERT_EQUAL(open_files(&r), 1);
    fm_spool_drop(r.spool, 0);
    put_all(&r, 0, 8, MIB); /* the room that it gave back */
    CU_ASSERT_EQUAL(open_files(&r), 1);
    CU_ASSERT(holds(&r, 0, 8, 0, MIB) && holds(&r, 1, 6, 0, MIB) && holds(&r, 2, 7, 0, 1));
    end(&r);
}

/* As after a node has gone in the middle and come back: what was there before is gone. */
static void an_update_may_begin_again(void)
{
    const size_t size = 9 * MIB;
    uint8_t byte;
    rig r;

    begin(&r);
    for (uint32_t place = 0; place < 2; place++) { /* in memory; in a file */
        put_all(&r, place, 0, size);
        CU_ASSERT_EQUAL(put(&r, place, 3, size, 0, 100), FM_OK);
        CU_ASSERT(holds(&r, place, 3, 0, 100));
        CU_ASSERT_EQUAL(fm_spool_get(r.spool, place, 100, &byte, 1), FM_EINVAL);
        CU_ASSERT_EQUAL(put(&r, place, 3, size, 200, 1), FM_EINVAL);
        CU_ASSERT_EQUAL(put(&r, place, 3, size, 99, 1), FM_EINVAL);
        CU_ASSERT_EQUAL(put(&r, place, 3, size, 100, size - 100), FM_OK);
        CU_ASSERT(holds(&r, place, 3, 0, size));
        CU_ASSERT_EQUAL(open_files(&r), place);
    }
    end(&r);
}

static void files_serve_again(void)
{
    const size_t size = 10 * MIB;
    uint8_t byte;
    rig r;

    begin(&r);
    for (unsigned round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < PLACES; i++)
            put_all(&r, i, round + i, size - round * MIB); /* shorter than what is in the file */
        CU_ASSERT_EQUAL(open_files(&r), PLACES - 1);
        for (uint32_t i = 0; i < PLACES; i++) {
            CU_ASSERT(holds(&r, i, round + i, 0, size - round * MIB));
            CU_ASSERT_EQUAL(fm_spool_get(r.spool, i, size - round * MIB, &byte, 1), FM_EINVAL);
            fm_spool_drop(r.spool, i);
            fm_spool_drop(r.spool, i);
            CU_ASSERT_EQUAL(fm_spool_get(r.spool, i, 0, &byte, 1), FM_EINVAL);
        }
    }
    end(&r);
}

static void what_cannot_be_is_refused(void)
{
    uint8_t out[8];
    rig r;

    begin(&r);
    CU_ASSERT_EQUAL(put(&r, PLACES, 0, 8, 0, 8), FM_EINVAL);
    CU_ASSERT_EQUAL(put(&r, 0, 0, 0, 0, 0), FM_EINVAL);
    CU_ASSERT_EQUAL(put(&r, 0, 0, 8, 4, 4), FM_EINVAL); /* it has not begun */
    CU_ASSERT_EQUAL(put(&r, 0, 0, 8, 0, 9), FM_EINVAL);
    CU_ASSERT_EQUAL(put(&r, 0, 0, 8, 0, 5), FM_OK);
    CU_ASSERT_EQUAL(put(&r, 0, 0, 9, 5, 3), FM_EINVAL); /* another size */
    CU_ASSERT_EQUAL(put(&r, 0, 0, 8, 5, 4), FM_EINVAL);
    CU_ASSERT_EQUAL(put(&r, 0, 0, 8, UINT64_MAX, 1), FM_EINVAL);
    CU_ASSERT(holds(&r, 0, 0, 0, 5)); /* untouched by all that */
    CU_ASSERT_EQUAL(fm_spool_get(r.spool, PLACES, 0, out, 1), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_spool_get(r.spool, 0, 0, out, 6), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_spool_get(r.spool, 0, 6, out, 0), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_spool_get(r.spool, 0, UINT64_MAX, out, 2), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_spool_get(r.spool, 1, 0, out, 1), FM_EINVAL);
    CU_ASSERT_EQUAL(put(&r, 0, 0, 8, 5, 3), FM_OK);
    CU_ASSERT(holds(&r, 0, 0, 0, 8));
    end(&r);
}

/* A folder in which no file can be made: said with its name, and the place stays empty. */
static void a_folder_that_is_not_there_is_named(void)
{
    fm_spool *s = NULL;
    uint8_t out;
    rig r;

    begin(&r);
    CU_ASSERT_EQUAL_FATAL(fm_spool_new("/nonexistent/spool", 2, &s), FM_OK);
    CU_ASSERT_EQUAL(fm_spool_put(s, 0, 8 * MIB, 0, (fm_bytes){ r.bytes, 1 }), FM_OK);
    CU_ASSERT_EQUAL(fm_spool_put(s, 1, 8, 0, (fm_bytes){ r.bytes, 8 }), FM_EIO);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "/nonexistent/spool"));
    CU_ASSERT_EQUAL(fm_spool_get(s, 1, 0, &out, 1), FM_EINVAL);
    fm_spool_free(&s);
    end(&r);
}

static const fm_test tests[] = {
    { "one update is held in memory, but 2 to 64 MiB",
      one_update_is_held_in_memory_but_2_to_64_mib },
    { "the first waits in memory, the others in files",
      the_first_waits_in_memory_the_others_in_files },
    { "small ones share the memory", small_ones_share_the_memory },
    { "an update may begin again", an_update_may_begin_again },
    { "files serve again", files_serve_again },
    { "what cannot be is refused", what_cannot_be_is_refused },
    { "a folder that is not there is named", a_folder_that_is_not_there_is_named },
};
const fm_test_suite suite_spool = { "aggregator.spool", tests, FM_TEST_COUNT(tests) };
