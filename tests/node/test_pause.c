/* The file that pauses, and what the journal says of what left. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fedmoe/base/file.h"
#include "fedmoe/node/journal.h"
#include "fedmoe/node/pause.h"
#include "suites.h"
#include "world.h"

static void a_pause_is_ordered_and_lifted(void)
{
    char dir[PATH_CAP], path[PATH_CAP], since[FM_PAUSE_TIME], again[FM_PAUSE_TIME];
    struct stat s;

    fm_test_tmpdir(dir, sizeof dir);
    make_path(path, dir, "paused");
    CU_ASSERT_FALSE(fm_pause_is_on(dir, since));
    CU_ASSERT_STRING_EQUAL(since, "");
    CU_ASSERT_EQUAL(fm_pause_lift(dir), FM_OK);
    CU_ASSERT_EQUAL(fm_pause_order(dir), FM_OK);
    CU_ASSERT(fm_pause_is_on(dir, since));
    CU_ASSERT_EQUAL(strlen(since), strlen("2026-01-01T00:00:00Z"));
    CU_ASSERT_EQUAL(fm_pause_order(dir), FM_OK); /* again: the time stays */
    CU_ASSERT(fm_pause_is_on(dir, again));
    CU_ASSERT_STRING_EQUAL(since, again);
    CU_ASSERT_EQUAL(stat(path, &s), 0);
    CU_ASSERT_EQUAL(s.st_mode & 0777, 0600);
    CU_ASSERT_EQUAL(fm_pause_lift(dir), FM_OK);
    CU_ASSERT_FALSE(fm_pause_is_on(dir, NULL));
}

/* Whatever is there pauses; what cannot be looked at does, too. */
static void what_is_not_ours_pauses_too(void)
{
    char dir[PATH_CAP], path[PATH_CAP], since[FM_PAUSE_TIME];

    fm_test_tmpdir(dir, sizeof dir);
    make_path(path, dir, "paused");
    CU_ASSERT_EQUAL(fm_file_create(path, "since then <b>", 14, 0600), FM_OK);
    CU_ASSERT(fm_pause_is_on(dir, since));
    CU_ASSERT_STRING_EQUAL(since, "");
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(mkfifo(path, 0600), 0); /* is not waited for */
    CU_ASSERT(fm_pause_is_on(dir, since));
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(symlink("nowhere", path), 0);
    CU_ASSERT(fm_pause_is_on(dir, since));
    CU_ASSERT_EQUAL(fm_pause_lift(dir), FM_OK);
    CU_ASSERT_FALSE(fm_pause_is_on(dir, since));
    CU_ASSERT_EQUAL(fm_file_create(path, "", 0, 0600), FM_OK);
    make_path(path, dir, "paused/below"); /* the folder is a file: not "not there" */
    CU_ASSERT(fm_pause_is_on(path, since));
}

static fm_hash hash_of(unsigned char c)
{
    fm_hash h;

    memset(h.bytes, c, sizeof h.bytes);
    return h;
}

static void the_journal_knows_what_left(void)
{
    const fm_hash plan = hash_of(1), digest = hash_of(7);
    fm_journal_sent_row rows[4];
    char dir[PATH_CAP], path[PATH_CAP];
    uint64_t total[2] = { 9, 9 };
    fm_journal *j = NULL;
    bool fresh = false;
    size_t count = 9;

    fm_test_tmpdir(dir, sizeof dir);
    make_path(path, dir, "state.db");
    CU_ASSERT_EQUAL(fm_journal_read_sent(path, rows, 4, &count, total), FM_ENOTFOUND);
    CU_ASSERT_EQUAL_FATAL(fm_journal_open(path, "heart", &plan, &j), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_read_sent(path, rows, 4, &count, total), FM_OK);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_EQUAL(total[0] + total[1], 0);
    for (uint64_t round = 1; round <= 6; round++) {
        fm_hash update = hash_of((unsigned char)(0x10 + round));

        CU_ASSERT_EQUAL(fm_journal_use(j, round), FM_OK);
        CU_ASSERT_EQUAL(fm_journal_sent(j, round, &update, 1000 + round), FM_OK);
        CU_ASSERT_EQUAL(fm_journal_commit(j, round, &digest), FM_OK);
        if (round != 5)
            CU_ASSERT_EQUAL(fm_journal_release(j, round, &digest), FM_OK);
    }
    CU_ASSERT_EQUAL(fm_journal_abandon(j, 4, &fresh), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_read_sent(path, rows, 4, &count, total),
                    FM_OK); /* while it is open */
    CU_ASSERT_EQUAL_FATAL(count, 4);
    CU_ASSERT_EQUAL(total[0], 6);
    CU_ASSERT_EQUAL(total[1], 6021);
    for (size_t i = 0; i < 4; i++) {
        const fm_hash update = hash_of((unsigned char)(0x16 - i));

        CU_ASSERT_EQUAL(rows[i].round, 6 - i);
        CU_ASSERT_EQUAL(rows[i].bytes, 1006 - i);
        CU_ASSERT(fm_hash_equal(&rows[i].hash, &update));
        CU_ASSERT(fm_hash_equal(&rows[i].plan, &plan));
        CU_ASSERT_STRING_EQUAL(rows[i].federation, "heart");
        CU_ASSERT_EQUAL(rows[i].released_s != 0, rows[i].round != 5);
        CU_ASSERT_EQUAL(rows[i].abandoned, rows[i].round == 4);
    }
    fm_journal_close(&j);
}

static const fm_test tests[] = {
    { "a pause is ordered and lifted", a_pause_is_ordered_and_lifted },
    { "what is not ours pauses, too", what_is_not_ours_pauses_too },
    { "the journal knows what left", the_journal_knows_what_left },
};

const fm_test_suite suite_pause = { "node.pause", tests, FM_TEST_COUNT(tests) };
