/* Revocation lists that go back: put back as files, or by two who write at once. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/certs/enrol.h"
#include "world.h"

#define WRITERS 3
#define LISTS 7

static uint64_t number_in(const char *dir)
{
    fm_trust *t = NULL;
    uint64_t n = fm_trust_load(dir, &t) == FM_OK ? fm_trust_crl_number(t) : 0;

    fm_trust_free(&t);
    return n;
}

/** The CA's list as a file of its own folder, list 1. */
static void keep_old(const world *w, char old[PATH_CAP])
{
    make_path(old, w->root, "old");
    copy_file(w->ca, old, "crl.pem");
}

static void next_list(const world *w, fm_trust **out)
{
    need(fm_ca_revoke(w->ca, "alpha") == FM_OK && fm_trust_load(w->ca, out) == FM_OK, "list");
}

static void a_list_in_force_is_the_oldest_that_is_loaded_again(void)
{
    char old[PATH_CAP], path[PATH_CAP], held[PATH_CAP];
    world w;
    fm_trust *t = NULL;

    world_make(&w, FM_KEY_ED25519);
    keep_old(&w, old);
    need(fm_ca_revoke(w.ca, "alpha") == FM_OK, "list 2");
    copy_file(w.ca, w.aggregator, "crl.pem");
    need(fm_trust_load(w.aggregator, &t) == FM_OK, "trust");
    CU_ASSERT_EQUAL(fm_trust_hold(t, w.aggregator), FM_OK);
    fm_trust_free(&t);
    copy_file(old, w.aggregator, "crl.pem");
    CU_ASSERT_EQUAL(fm_trust_load(w.aggregator, &t), FM_EREPLAY);
    CU_ASSERT_TRUE(says("crl.held") && says("list 1 where list 2 counts"));
    CU_ASSERT_PTR_NULL(t);
    /* Gone is not older, and no better. */
    make_path(path, w.aggregator, "crl.pem");
    need(remove(path) == 0, path);
    CU_ASSERT_EQUAL(fm_trust_load(w.aggregator, &t), FM_EREPLAY);
    CU_ASSERT_TRUE(says("is gone"));
    /* What the text says helps. */
    make_path(held, w.aggregator, "crl.held");
    need(rename(held, path) == 0, held);
    CU_ASSERT_EQUAL(number_in(w.aggregator), 2);
    world_end(&w);
}

static void a_newer_one_is_taken_and_then_is_the_oldest(void)
{
    world w;
    fm_trust *t = NULL;

    world_make(&w, FM_KEY_ED25519);
    next_list(&w, &t);
    CU_ASSERT_EQUAL(fm_trust_save_crl(t, w.node), FM_OK);
    CU_ASSERT_EQUAL(fm_trust_save_crl(t, w.node), FM_OK);
    CU_ASSERT_EQUAL(number_in(w.node), 2);
    need(fm_ca_refresh(w.ca) == FM_OK, "list 3");
    copy_file(w.ca, w.node, "crl.pem");
    CU_ASSERT_EQUAL(number_in(w.node), 3);
    /* Nobody has used it yet, so the floor is 2: but the file is there, and counts for a writer. */
    CU_ASSERT_EQUAL(fm_trust_save_crl(t, w.node), FM_EREPLAY);
    CU_ASSERT_TRUE(says("list 2 where list 3 counts"));
    CU_ASSERT_EQUAL(number_in(w.node), 3);
    fm_trust_free(&t);
    world_end(&w);
}

static void another_list_of_the_same_number_is_refused(void)
{
    char saved[PATH_CAP];
    fm_trust *first = NULL, *second = NULL;
    world w;

    world_make(&w, FM_KEY_ED25519);
    make_path(saved, w.root, "saved");
    copy_file(w.ca, saved, "crl.pem");
    need(fm_ca_revoke(w.ca, "alpha") == FM_OK && fm_trust_load(w.ca, &first) == FM_OK, "first");
    copy_file(saved, w.ca, "crl.pem"); /* the CA, out of a backup */
    need(fm_ca_revoke(w.ca, "hub") == FM_OK && fm_trust_load(w.ca, &second) == FM_OK, "second");
    CU_ASSERT_EQUAL(fm_trust_crl_number(first), fm_trust_crl_number(second));
    CU_ASSERT_EQUAL(fm_trust_check_newer(first, second), FM_EREPLAY);
    CU_ASSERT_EQUAL(fm_trust_check_newer(first, first), FM_OK);
    CU_ASSERT_EQUAL(fm_trust_save_crl(first, w.node), FM_OK);
    CU_ASSERT_EQUAL(fm_trust_save_crl(second, w.node), FM_EREPLAY);
    CU_ASSERT_TRUE(says("another list 2") && says("refresh"));
    copy_file(w.ca, w.node, "crl.pem");
    fm_trust_free(&second);
    CU_ASSERT_EQUAL(fm_trust_load(w.node, &second), FM_EREPLAY);
    fm_trust_free(&first);
    fm_trust_free(&second);
    world_end(&w);
}

/** Revoke, load, save: as `fedmoe-aggregator revoke` does, by several at once. */
static void write_lists(const world *w)
{
    for (int i = 0; i < LISTS; i++) {
        fm_trust *t = NULL;

        if (fm_ca_refresh(w->ca) != FM_OK || fm_trust_load(w->ca, &t) != FM_OK)
            _exit(1);
        usleep((useconds_t)(getpid() % 7) * 300);
        if (fm_trust_save_crl(t, w->node) != FM_OK && !strstr(fm_error_text(), "counts"))
            _exit(2);
        fm_trust_free(&t);
    }
    _exit(0);
}

static void of_several_writers_at_once_the_newest_list_stays(void)
{
    pid_t child[WRITERS];
    uint64_t seen = 1;
    int status = 0, running = WRITERS;
    world w;

    world_make(&w, FM_KEY_ED25519);
    for (size_t i = 0; i < WRITERS; i++) {
        need((child[i] = fork()) >= 0, "fork");
        if (child[i] == 0)
            write_lists(&w);
    }
    while (running > 0) {
        const uint64_t now = number_in(w.node);

        CU_ASSERT(now >= seen); /* 0 when a reader were ever refused */
        seen = now;
        for (size_t i = 0; i < WRITERS; i++)
            if (child[i] > 0 && waitpid(child[i], &status, WNOHANG) == child[i]) {
                CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
                child[i] = 0;
                running--;
            }
    }
    CU_ASSERT_EQUAL(number_in(w.node), 1 + WRITERS * LISTS);
    world_end(&w);
}

/** Identity and CA moved away, as people are told to; the floor of the old CA is no hindrance. */
static void another_ca_begins_with_its_own_lists(void)
{
    char other[PATH_CAP];
    fm_trust *t = NULL;
    world w;

    world_make(&w, FM_KEY_ED25519);
    next_list(&w, &t);
    need(fm_trust_save_crl(t, w.node) == FM_OK, "list 2");
    fm_trust_free(&t);
    make_path(other, w.root, "other");
    need(fm_ca_new(other, "heart", FM_KEY_ED25519, 30) == FM_OK, "another CA");
    copy_file(other, w.node, "ca.crt");
    copy_file(other, w.node, "crl.pem");
    CU_ASSERT_EQUAL(number_in(w.node), 1);
    need(fm_trust_load(w.node, &t) == FM_OK, "trust");
    CU_ASSERT_EQUAL(fm_trust_hold(t, w.node), FM_OK);
    fm_trust_free(&t);
    world_end(&w);
}

/* Stopped with Ctrl-Z in the middle of something, or on a disk that is far away. The aggregator asks
 * between rounds, and must not stand still. */
static void a_ca_that_another_holds_is_not_waited_for(void)
{
    const uint64_t begin_ms = fm_clock_now_ms();
    fm_buf request = { 0 }, cert = { 0 };
    int lock = -1;
    world w;

    world_make(&w, FM_KEY_ED25519);
    need(fm_identity_request(w.node_id, &request) == FM_OK && fm_dir_lock(w.ca, &lock) == FM_OK,
         "a lock");
    CU_ASSERT_EQUAL(fm_ca_renew_request(w.ca, request.data, request.len, &cert), FM_ETIMEOUT);
    CU_ASSERT_TRUE(says("another process is at work in it"));
    CU_ASSERT_EQUAL(fm_ca_sign_request(w.ca, request.data, request.len, 30, &cert), FM_ETIMEOUT);
    CU_ASSERT(fm_clock_now_ms() - begin_ms < 5000);
    fm_dir_unlock(&lock);
    CU_ASSERT_EQUAL(fm_ca_renew_request(w.ca, request.data, request.len, &cert), FM_OK);
    fm_buf_fini(&request);
    fm_buf_fini(&cert);
    world_end(&w);
}

static const fm_test tests[] = {
    { "a CA that another holds is not waited for", a_ca_that_another_holds_is_not_waited_for },
    { "a list in force is the oldest that is loaded again",
      a_list_in_force_is_the_oldest_that_is_loaded_again },
    { "a newer one is taken, and then is the oldest", a_newer_one_is_taken_and_then_is_the_oldest },
    { "another list of the same number is refused", another_list_of_the_same_number_is_refused },
    { "of several writers at once the newest list stays",
      of_several_writers_at_once_the_newest_list_stays },
    { "another CA begins with its own lists", another_ca_begins_with_its_own_lists },
};
const fm_test_suite suite_held = { "certs.held", tests, FM_TEST_COUNT(tests) };
