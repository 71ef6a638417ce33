#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include "fedmoe/base/file.h"
#include "fedmoe/node/journal.h"
#include "suites.h"
#include "world.h"

static fm_hash hash_of(unsigned char c)
{
    fm_hash h;

    memset(h.bytes, c, sizeof h.bytes);
    return h;
}

static void new_path(char out[PATH_CAP])
{
    char dir[PATH_CAP];

    fm_test_tmpdir(dir, sizeof dir);
    make_path(out, dir, "state.db");
}

static fm_journal *open_for(const char *path, const char *federation, unsigned char plan)
{
    fm_hash h = hash_of(plan);
    fm_journal *j = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_journal_open(path, federation, &h, &j), FM_OK);
    return j;
}

static void a_round_is_used_once_and_only_upwards(void)
{
    char path[PATH_CAP];
    fm_journal *j;

    new_path(path);
    j = open_for(path, "heart", 1);
    CU_ASSERT_EQUAL(fm_journal_use(j, 3), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_use(j, 3), FM_EREPLAY);
    CU_ASSERT_EQUAL(fm_journal_use(j, 2), FM_EREPLAY);
    CU_ASSERT_EQUAL(fm_journal_use(j, 4), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_use(j, 0), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_journal_use(j, UINT64_MAX), FM_EINVAL);
    fm_journal_close(&j);
    j = open_for(path, "heart", 1);
    CU_ASSERT_EQUAL(fm_journal_use(j, 4), FM_EREPLAY);
    CU_ASSERT_EQUAL(fm_journal_use(j, 5), FM_OK);
    fm_journal_close(&j);
    CU_ASSERT_PTR_NULL(j);
}

static void two_processes_on_one_journal_never_both_use_a_round(void)
{
    char path[PATH_CAP];
    fm_journal *a, *b;

    new_path(path);
    a = open_for(path, "heart", 1);
    b = open_for(path, "heart", 1);
    CU_ASSERT_EQUAL(fm_journal_use(a, 7), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_use(b, 7), FM_EREPLAY);
    CU_ASSERT_EQUAL(fm_journal_use(b, 8), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_use(a, 8), FM_EREPLAY);
    fm_journal_close(&a);
    fm_journal_close(&b);
}

static void a_round_has_one_commit(void)
{
    char path[PATH_CAP];
    fm_hash one = hash_of(1), two = hash_of(2);
    fm_journal *j;

    new_path(path);
    j = open_for(path, "heart", 1);
    CU_ASSERT_EQUAL(fm_journal_commit(j, 5, &one), FM_ESTATE);
    CU_ASSERT_EQUAL(fm_journal_use(j, 5), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_commit(j, 5, &one), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_commit(j, 5, &one), FM_EREPLAY);
    CU_ASSERT_EQUAL(fm_journal_commit(j, 5, &two), FM_EREPLAY);
    fm_journal_close(&j);
    j = open_for(path, "heart", 1);
    CU_ASSERT_EQUAL(fm_journal_commit(j, 5, &two), FM_EREPLAY);
    fm_journal_close(&j);
}

static void a_round_has_one_release_of_what_was_committed(void)
{
    char path[PATH_CAP];
    fm_hash one = hash_of(1), two = hash_of(2);
    fm_journal *j;

    new_path(path);
    j = open_for(path, "heart", 1);
    CU_ASSERT_EQUAL(fm_journal_use(j, 5), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_release(j, 5, &one), FM_ESTATE);
    CU_ASSERT_EQUAL(fm_journal_commit(j, 5, &one), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_release(j, 5, &two), FM_ESTATE);
    CU_ASSERT_EQUAL(fm_journal_release(j, 5, &one), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_release(j, 5, &one), FM_EREPLAY);
    fm_journal_close(&j);
    j = open_for(path, "heart", 1);
    CU_ASSERT_EQUAL(fm_journal_release(j, 5, &one), FM_EREPLAY);
    fm_journal_close(&j);
}

static void a_released_round_can_be_recorded_as_abandoned(void)
{
    char path[PATH_CAP];
    fm_hash one = hash_of(1), plan = hash_of(1);
    fm_journal_row *rows = NULL;
    fm_journal_state state;
    bool fresh = true, found = false;
    uint64_t round = 0;
    size_t count = 0;
    fm_journal *j;

    new_path(path);
    j = open_for(path, "heart", 1);
    for (uint64_t i = 3; i <= 5; i++)
        CU_ASSERT(fm_journal_use(j, i) == FM_OK && fm_journal_commit(j, i, &one) == FM_OK);
    CU_ASSERT(fm_journal_abandon(j, 4, &fresh) == FM_OK && !fresh); /* never released */
    CU_ASSERT_EQUAL(fm_journal_release(j, 4, &one), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_release(j, 5, &one), FM_OK);
    CU_ASSERT(fm_journal_next_released(j, 1, 6, &found, &round) == FM_OK && found && round == 4);
    CU_ASSERT(fm_journal_next_released(j, 4, 6, &found, &round) == FM_OK && found && round == 5);
    CU_ASSERT(fm_journal_next_released(j, 4, 5, &found, &round) == FM_OK && !found);
    CU_ASSERT(fm_journal_abandon(j, 4, &fresh) == FM_OK && fresh);
    CU_ASSERT(fm_journal_abandon(j, 4, &fresh) == FM_OK && !fresh);
    fm_journal_close(&j);
    CU_ASSERT_EQUAL_FATAL(fm_journal_read_rounds(path, "heart", &plan, &rows, &count, &state),
                          FM_OK);
    CU_ASSERT_FATAL(count == 3);
    CU_ASSERT(!rows[0].abandoned && rows[1].abandoned && !rows[2].abandoned);
    free(rows);
}

static void the_transcript_only_goes_forward(void)
{
    char path[PATH_CAP];
    fm_hash one = hash_of(1), two = hash_of(2);
    fm_journal_state s;
    fm_journal *j;

    new_path(path);
    j = open_for(path, "heart", 1);
    CU_ASSERT_EQUAL(fm_journal_state_get(j, &s), FM_OK);
    CU_ASSERT(s.last_used == 0 && s.finished_round == 0 && fm_hash_is_zero(&s.head));
    CU_ASSERT_EQUAL(fm_journal_head(j, 4, &one), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_head(j, 4, &one), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_head(j, 4, &two), FM_EREPLAY);
    CU_ASSERT_EQUAL(fm_journal_head(j, 3, &two), FM_EREPLAY);
    CU_ASSERT_EQUAL(fm_journal_head(j, 6, &two), FM_OK);
    fm_journal_close(&j);
    j = open_for(path, "heart", 1);
    CU_ASSERT_EQUAL(fm_journal_state_get(j, &s), FM_OK);
    CU_ASSERT_EQUAL(s.finished_round, 6);
    CU_ASSERT(fm_hash_equal(&s.head, &two));
    fm_journal_close(&j);
}

static void plans_and_federations_do_not_share_rounds(void)
{
    char path[PATH_CAP];
    fm_journal *a, *b, *c;
    fm_journal_state s;

    new_path(path);
    a = open_for(path, "heart", 1);
    b = open_for(path, "heart", 2);
    c = open_for(path, "lungs", 1);
    CU_ASSERT_EQUAL(fm_journal_use(a, 9), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_use(b, 1), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_use(c, 2), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_state_get(b, &s), FM_OK);
    CU_ASSERT_EQUAL(s.last_used, 1);
    fm_journal_close(&a);
    fm_journal_close(&b);
    fm_journal_close(&c);
}

static void the_file_is_private_and_a_wider_one_is_refused(void)
{
    char path[PATH_CAP];
    fm_hash plan = hash_of(1);
    struct stat st;
    fm_journal *j;

    new_path(path);
    j = open_for(path, "heart", 1);
    CU_ASSERT_EQUAL(fm_journal_use(j, 1), FM_OK);
    CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
    fm_journal_close(&j);
    CU_ASSERT_EQUAL_FATAL(chmod(path, 0644), 0);
    CU_ASSERT_EQUAL(fm_journal_open(path, "heart", &plan, &j), FM_EPERM);
    CU_ASSERT_PTR_NULL(j);
}

static void a_file_that_is_no_journal_is_refused(void)
{
    static const char junk[] = "this is not a database, and long enough to be none at all.......";
    char path[PATH_CAP];
    fm_hash plan = hash_of(1);
    fm_journal *j = NULL;
    FILE *f;

    new_path(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f = fopen(path, "w"));
    for (int i = 0; i < 64; i++)
        (void)fwrite(junk, 1, sizeof junk, f);
    fclose(f);
    CU_ASSERT_EQUAL_FATAL(chmod(path, 0600), 0);
    CU_ASSERT_NOT_EQUAL(fm_journal_open(path, "heart", &plan, &j), FM_OK);
    CU_ASSERT_PTR_NULL(j);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), path));
}

static void a_folder_that_is_not_there_is_named(void)
{
    fm_hash plan = hash_of(1);
    fm_journal *j = NULL;

    CU_ASSERT_NOT_EQUAL(fm_journal_open("/nowhere/at/all/state.db", "heart", &plan, &j), FM_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "/nowhere/at/all"));
}

static void copy_file(const char *from, const char *to)
{
    fm_buf bytes = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_file_read(from, (size_t)1 << 24, &bytes), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_file_create(to, bytes.data, bytes.len, 0600), FM_OK);
    fm_buf_fini(&bytes);
}

/* As after a kill in the middle of a change: the file half changed, and beside it what takes that back. */
static void copy_half_done(const char *path, const char *to)
{
    char beside[PATH_CAP + 16], beside_to[PATH_CAP + 16];
    sqlite3 *db = NULL;

    CU_ASSERT_EQUAL_FATAL(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(
        sqlite3_exec(
            db,
            "PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; BEGIN; CREATE TABLE junk (x);"
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 200)"
            "INSERT INTO junk SELECT zeroblob(3000) FROM n",
            NULL, NULL, NULL),
        SQLITE_OK);
    (void)snprintf(beside, sizeof beside, "%s-journal", path);
    (void)snprintf(beside_to, sizeof beside_to, "%s-journal", to);
    copy_file(path, to);
    copy_file(beside, beside_to);
    CU_ASSERT_EQUAL(sqlite3_close(db), SQLITE_OK);
}

static void what_a_kill_left_half_done_can_be_read(void)
{
    char path[PATH_CAP], killed[PATH_CAP];
    fm_journal_sent_row rows[2];
    uint64_t released = 0, total[2];
    size_t count = 0;
    fm_journal *j;

    for (int i = 0; i < 2; i++) {
        new_path(path);
        new_path(killed);
        j = open_for(path, "heart", 1);
        CU_ASSERT_EQUAL(fm_journal_use(j, 1), FM_OK);
        fm_journal_close(&j);
        copy_half_done(path, killed);
        if (i == 0)
            CU_ASSERT_EQUAL(fm_journal_read_released(killed, &released), FM_OK);
        if (i == 1)
            CU_ASSERT_EQUAL(fm_journal_read_sent(killed, rows, 2, &count, total), FM_OK);
    }
}

static const fm_test tests[] = {
    { "what a kill left half done can be read", what_a_kill_left_half_done_can_be_read },
    { "a released round can be recorded as abandoned",
      a_released_round_can_be_recorded_as_abandoned },
    { "a round is used once, and only upwards", a_round_is_used_once_and_only_upwards },
    { "two processes on one journal never both use a round",
      two_processes_on_one_journal_never_both_use_a_round },
    { "a round has one commit", a_round_has_one_commit },
    { "a round has one release, of what was committed",
      a_round_has_one_release_of_what_was_committed },
    { "the transcript only goes forward", the_transcript_only_goes_forward },
    { "plans and federations do not share rounds", plans_and_federations_do_not_share_rounds },
    { "the file is private, and a wider one is refused",
      the_file_is_private_and_a_wider_one_is_refused },
    { "a file that is no journal is refused", a_file_that_is_no_journal_is_refused },
    { "a folder that is not there is named", a_folder_that_is_not_there_is_named },
};

const fm_test_suite suite_journal = { "node.journal", tests, FM_TEST_COUNT(tests) };
