/* state.db and checkpoint.safetensors: what is kept, what is repaired, what is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "federation.h"
#include "fedmoe/base/file.h"
#include "store.h"
#include "suites.h"

#define CHECKPOINT "checkpoint.safetensors"

static void finish_some(store *t, int rounds)
{
    uint64_t round = 0;

    for (int i = 0; i < rounds; i++)
        CU_ASSERT_EQUAL(store_finish_one(t, &round), FM_OK);
}

static void a_new_directory_begins_at_nothing(void)
{
    store t;
    fm_hash head;
    struct stat st;
    char path[PATH_CAP];
    uint64_t round = 0;

    store_make(&t);
    CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK);
    head = fm_state_head(t.s);
    CU_ASSERT_EQUAL(fm_state_finished(t.s), 0);
    CU_ASSERT_EQUAL(fm_state_last_round(t.s), 0);
    CU_ASSERT(fm_hash_is_zero(&head));
    CU_ASSERT_EQUAL(fm_state_next_round(t.s, &round), FM_OK);
    CU_ASSERT_EQUAL(round, 1);
    yaml_path(path, t.dir, "state.db");
    CU_ASSERT(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    store_end(&t);
}

static void a_reopened_state_has_every_finished_round(void)
{
    const fm_transcript_entry *entries = NULL;
    uint32_t count = 0;
    fm_hash head, again;
    store t;

    store_make(&t);
    CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK);
    finish_some(&t, 5);
    head = fm_state_head(t.s);
    store_close(&t);
    CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK);
    again = fm_state_head(t.s);
    CU_ASSERT(fm_hash_equal(&head, &again));
    CU_ASSERT_EQUAL(fm_state_finished(t.s), 5);
    CU_ASSERT_EQUAL(fm_state_last_round(t.s), 5);
    fm_state_entries(t.s, 3, &entries, &count);
    CU_ASSERT(count == 2 && entries[0].round == 4 && entries[1].round == 5);
    fm_state_entries(t.s, 5, &entries, &count);
    CU_ASSERT_EQUAL(count, 0);
    store_end(&t);
}

/* Stopped and started after every round, or never: the same bits. */
static void resume(bool start)
{
    store whole, parts;
    uint64_t a, b;

    store_make(&whole);
    store_make(&parts);
    whole.start = parts.start = start;
    CU_ASSERT_EQUAL_FATAL(store_open(&whole), FM_OK);
    for (int i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL_FATAL(store_open(&parts), FM_OK);
        CU_ASSERT_EQUAL(store_finish_one(&whole, &a), FM_OK);
        CU_ASSERT_EQUAL(store_finish_one(&parts, &b), FM_OK);
        CU_ASSERT(!start || parts.o->weights[YAML_PARAMETERS - 1] == 1.0f);
        CU_ASSERT(a <= b); /* a restart may pass over a number */
        store_close(&parts);
    }
    CU_ASSERT_EQUAL_FATAL(store_open(&parts), FM_OK);
    CU_ASSERT_EQUAL(parts.o->steps, 6);
    CU_ASSERT_EQUAL(parts.o->averaged, whole.o->averaged);
    /* 1000 rounds average from the second on; after a statistics round, 999 from the second. */
    CU_ASSERT_EQUAL(parts.o->averaged, start ? 4 : 5);
    CU_ASSERT(memcmp(parts.o->weights, whole.o->weights, YAML_PARAMETERS * 4) == 0);
    CU_ASSERT(memcmp(parts.o->m, whole.o->m, YAML_PARAMETERS * 4) == 0);
    CU_ASSERT(memcmp(parts.o->v, whole.o->v, YAML_PARAMETERS * 4) == 0);
    CU_ASSERT(memcmp(parts.o->average, whole.o->average, YAML_PARAMETERS * 8) == 0);
    store_end(&whole);
    store_end(&parts);
}

static void a_resumed_optimizer_is_bit_identical(void)
{
    resume(false);
}

/* Also between the statistics round and the first gradient. */
static void a_resumed_start_is_bit_identical(void)
{
    resume(true);
}

static void a_number_given_in_advance_is_not_given_again(void)
{
    uint64_t round = 0, last = 0;
    store t;

    store_make(&t);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK);
        CU_ASSERT_EQUAL(fm_state_settle(t.s), FM_OK);
        CU_ASSERT_EQUAL(fm_state_settle(t.s), FM_OK); /* nothing to do */
        CU_ASSERT_EQUAL(fm_state_next_round(t.s, &round), FM_OK);
        CU_ASSERT(round > last);
        last = round;
        CU_ASSERT_EQUAL(fm_state_settle(t.s), FM_OK);
        CU_ASSERT_EQUAL(fm_state_next_round(t.s, &round), FM_OK);
        CU_ASSERT_EQUAL(round, last + 1);
        last = round;
        CU_ASSERT_EQUAL(fm_state_settle(t.s), FM_OK); /* given in advance, never used */
        store_close(&t);
    }
    store_end(&t);
}

static void a_round_cannot_finish_twice_or_before_an_older_one(void)
{
    uint64_t round = 0;
    fm_transcript_entry e;
    store t;

    store_make(&t);
    CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK);
    CU_ASSERT_EQUAL(store_finish_one(&t, &round), FM_OK);
    e = store_entry(round, t.o);
    CU_ASSERT_EQUAL(fm_state_finish_round(t.s, &e, (fm_bytes){ NULL, 0 }, t.o), FM_EREPLAY);
    CU_ASSERT_EQUAL(fm_state_finished(t.s), 1);
    store_end(&t);
}

/* The database as it was before round 3 settled, the checkpoint of round 3. */
static void a_checkpoint_ahead_by_one_repairs_the_transcript(void)
{
    fm_buf db, checkpoint;
    fm_hash head, again;
    uint64_t round = 0;
    store t;

    store_make(&t);
    CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK);
    finish_some(&t, 2);
    store_close(&t);
    db = store_read(&t, "state.db");
    CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK);
    finish_some(&t, 1);
    head = fm_state_head(t.s);
    store_close(&t);
    checkpoint = store_read(&t, CHECKPOINT);
    store_write(&t, "state.db", db.data, db.len);
    CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK);
    CU_ASSERT_EQUAL(fm_state_finished(t.s), 3);
    again = fm_state_head(t.s);
    CU_ASSERT(fm_hash_equal(&head, &again));
    CU_ASSERT_EQUAL(t.o->steps, 3);
    CU_ASSERT_EQUAL(fm_state_next_round(t.s, &round), FM_OK);
    CU_ASSERT(round > fm_state_last_round(t.s));
    store_close(&t);
    CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK); /* for good */
    CU_ASSERT_EQUAL(fm_state_finished(t.s), 3);
    store_end(&t);
    fm_buf_fini(&db);
    fm_buf_fini(&checkpoint);
}

static void files_of_different_backups_are_refused(void)
{
    fm_buf db, old;
    store t;
    float weight;

    store_make(&t);
    CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK);
    finish_some(&t, 1);
    store_close(&t);
    db = store_read(&t, "state.db");
    old = store_read(&t, CHECKPOINT);
    CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK);
    finish_some(&t, 2);
    store_close(&t);
    store_write(&t, "state.db", db.data, db.len); /* two behind */
    CU_ASSERT_EQUAL(store_open(&t), FM_ESTATE);
    CU_ASSERT(says("restore both files from the same backup"));
    weight = t.o->weights[0];
    CU_ASSERT_EQUAL(weight, -1.0f); /* untouched */
    store_close(&t);
    store_write(&t, CHECKPOINT, old.data, old.len); /* both of the same moment */
    CU_ASSERT_EQUAL(store_open(&t), FM_OK);
    finish_some(&t, 2);
    store_close(&t);
    store_write(&t, CHECKPOINT, old.data, old.len); /* an older checkpoint */
    CU_ASSERT_EQUAL(store_open(&t), FM_ESTATE);
    store_end(&t);
    fm_buf_fini(&db);
    fm_buf_fini(&old);
}

static void a_lost_checkpoint_is_refused(void)
{
    char path[PATH_CAP];
    store t;

    store_make(&t);
    CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK);
    finish_some(&t, 1);
    store_close(&t);
    yaml_path(path, t.dir, CHECKPOINT);
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(store_open(&t), FM_ENOTFOUND);
    CU_ASSERT(says(CHECKPOINT));
    store_end(&t);
}

static void another_plan_is_refused(void)
{
    char path[PATH_CAP];
    uint64_t finished = 0;
    fm_hash head;
    store t;

    store_make(&t);
    CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK);
    finish_some(&t, 1);
    store_close(&t);
    t.plan.bytes[0] ^= 1;
    CU_ASSERT_EQUAL(store_open(&t), FM_ESTATE);
    CU_ASSERT(says("another plan"));
    store_close(&t);
    yaml_path(path, t.dir, "state.db");
    CU_ASSERT_EQUAL(unlink(path), 0); /* only the checkpoint knows */
    CU_ASSERT_EQUAL(store_open(&t), FM_ESTATE);
    CU_ASSERT(says("another plan"));
    CU_ASSERT_EQUAL(fm_state_peek(t.dir, &t.plan, t.o, &finished, &head), FM_ESTATE);
    store_end(&t);
}

static void two_aggregators_cannot_share_a_directory(void)
{
    fm_optimizer *o;
    fm_state *second = NULL;
    store t;

    store_make(&t);
    CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK);
    o = t.o;
    CU_ASSERT_EQUAL(fm_state_open(t.dir, &t.plan, t.like, o, &second), FM_ESTATE);
    CU_ASSERT(says("another aggregator is at work"));
    CU_ASSERT_PTR_NULL(second);
    store_end(&t);
}

/* Every length: never read as whole, never a crash, and the optimizer is as it was. */
static void every_truncation_of_the_checkpoint_is_refused(void)
{
    uint64_t finished = 77;
    fm_hash head;
    fm_buf whole;
    store t;

    store_make(&t);
    CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK);
    finish_some(&t, 2);
    store_close(&t);
    whole = store_read(&t, CHECKPOINT);
    CU_ASSERT_NOT_EQUAL(store_open(&t), FM_ENOMEM);
    fm_state_close(&t.s);
    for (size_t len = 0; len < whole.len; len += len < 40 ? 1 : 13) {
        store_write(&t, CHECKPOINT, whole.data, len);
        CU_ASSERT_EQUAL(fm_state_peek(t.dir, &t.plan, t.o, &finished, &head), FM_EPROTO);
    }
    CU_ASSERT_EQUAL(finished, 77);
    CU_ASSERT_EQUAL(t.o->steps, 2);
    store_end(&t);
    fm_buf_fini(&whole);
}

static void a_flipped_bit_anywhere_in_the_data_is_found(void)
{
    uint64_t finished = 0;
    fm_hash head;
    size_t data = (size_t)YAML_PARAMETERS * (4 + 4 + 4 + 8);
    fm_buf whole;
    store t;

    store_make(&t);
    CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK);
    finish_some(&t, 3);
    fm_state_close(&t.s);
    whole = store_read(&t, CHECKPOINT);
    for (size_t at = whole.len - data; at < whole.len; at++) {
        whole.data[at] ^= 0x10;
        store_write(&t, CHECKPOINT, whole.data, whole.len);
        CU_ASSERT_EQUAL(fm_state_peek(t.dir, &t.plan, t.o, &finished, &head), FM_EPROTO);
        whole.data[at] ^= 0x10;
    }
    CU_ASSERT(says("damaged"));
    store_write(&t, CHECKPOINT, whole.data, whole.len);
    CU_ASSERT_EQUAL(fm_state_peek(t.dir, &t.plan, t.o, &finished, &head), FM_OK);
    CU_ASSERT_EQUAL(finished, 3);
    store_end(&t);
    fm_buf_fini(&whole);
}

static void another_safetensors_file_is_no_checkpoint(void)
{
    uint64_t finished = 0;
    fm_hash head;
    fm_buf model;
    store t;

    store_make(&t);
    CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK);
    finish_some(&t, 1);
    fm_state_close(&t.s);
    model = store_read(&t, "model.safetensors");
    store_write(&t, CHECKPOINT, model.data, model.len);
    CU_ASSERT_EQUAL(fm_state_peek(t.dir, &t.plan, t.o, &finished, &head), FM_EPROTO);
    CU_ASSERT(says("not a checkpoint"));
    store_end(&t);
    fm_buf_fini(&model);
}

static void a_damaged_database_is_refused(void)
{
    static const char nonsense[4096] = "this is no database";
    store t;

    store_make(&t);
    store_write(&t, "state.db", nonsense, sizeof nonsense);
    CU_ASSERT_EQUAL(store_open(&t), FM_EPROTO);
    CU_ASSERT(says("state.db"));
    CU_ASSERT(says("damaged"));
    store_end(&t);
}

static void what_a_kill_left_behind_is_swept_away(void)
{
    static const char name[] = ".checkpoint.safetensors.aB3xYz.tmp";
    char left[PATH_CAP], other[PATH_CAP];
    store t;

    store_make(&t);
    store_write(&t, name, "half", 4);
    store_write(&t, ".checkpoint.safetensors.mine", "kept", 4);
    yaml_path(left, t.dir, name);
    yaml_path(other, t.dir, ".checkpoint.safetensors.mine");
    CU_ASSERT_EQUAL_FATAL(store_open(&t), FM_OK);
    CU_ASSERT_FALSE(fm_file_exists(left));
    CU_ASSERT(fm_file_exists(other));
    store_end(&t);
}

static const fm_test tests[] = {
    { "a new directory begins at nothing", a_new_directory_begins_at_nothing },
    { "a reopened state has every finished round", a_reopened_state_has_every_finished_round },
    { "a resumed optimizer is bit identical", a_resumed_optimizer_is_bit_identical },
    { "a resumed start is bit identical", a_resumed_start_is_bit_identical },
    { "a number given in advance is not given again",
      a_number_given_in_advance_is_not_given_again },
    { "a round cannot finish twice or before an older one",
      a_round_cannot_finish_twice_or_before_an_older_one },
    { "a checkpoint ahead by one repairs the transcript",
      a_checkpoint_ahead_by_one_repairs_the_transcript },
    { "files of different backups are refused", files_of_different_backups_are_refused },
    { "a lost checkpoint is refused", a_lost_checkpoint_is_refused },
    { "another plan is refused", another_plan_is_refused },
    { "two aggregators cannot share a directory", two_aggregators_cannot_share_a_directory },
    { "every truncation of the checkpoint is refused",
      every_truncation_of_the_checkpoint_is_refused },
    { "a flipped bit anywhere in the data is found", a_flipped_bit_anywhere_in_the_data_is_found },
    { "another safetensors file is no checkpoint", another_safetensors_file_is_no_checkpoint },
    { "a damaged database is refused", a_damaged_database_is_refused },
    { "what a kill left behind is swept away", what_a_kill_left_behind_is_swept_away },
};
const fm_test_suite suite_state = { "aggregator.state", tests, FM_TEST_COUNT(tests) };
