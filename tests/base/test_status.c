#include <pthread.h>
#include <string.h>

#include "capture.h"
#include "fedmoe/base/status.h"
#include "suites.h"

static void records_the_text_and_returns_the_status(void)
{
    CU_ASSERT_EQUAL(fm_fail(FM_EIO, "%s:%d: broken", "a.csv", 7), FM_EIO);
    CU_ASSERT_STRING_EQUAL(fm_error_text(), "a.csv:7: broken");
    fm_error_clear();
    CU_ASSERT_STRING_EQUAL(fm_error_text(), "");
}

static void may_quote_the_text_before(void)
{
    (void)fm_fail(FM_EIO, "inner");
    (void)fm_fail(FM_EPROTO, "outer: %s", fm_error_text());
    CU_ASSERT_STRING_EQUAL(fm_error_text(), "outer: inner");
}

static void puts_context_before_the_text(void)
{
    (void)fm_fail(FM_EIO, "inner");
    CU_ASSERT_EQUAL(fm_fail_context(FM_EIO, "node.yaml:%d: ", 3), FM_EIO);
    CU_ASSERT_STRING_EQUAL(fm_error_text(), "node.yaml:3: inner");
    fm_error_clear();
    (void)fm_fail_context(FM_EIO, "alone");
    CU_ASSERT_STRING_EQUAL(fm_error_text(), "alone");
}

static void cuts_long_texts_at_1023_bytes(void)
{
    char big[3000];

    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    (void)fm_fail(FM_EIO, "%s", big);
    CU_ASSERT_EQUAL(strlen(fm_error_text()), 1023);
    (void)fm_fail_context(FM_EIO, "y");
    CU_ASSERT_EQUAL(strlen(fm_error_text()), 1023);
    CU_ASSERT_EQUAL(fm_error_text()[0], 'y');
    (void)fm_fail_context(FM_EIO, "%s", big);
    CU_ASSERT_EQUAL(strlen(fm_error_text()), 1023);
}

static void *fail_elsewhere(void *out)
{
    *(size_t *)out = strlen(fm_error_text());
    (void)fm_fail(FM_EIO, "of the other thread");
    return NULL;
}

static void keeps_a_text_for_each_thread(void)
{
    pthread_t thread;
    size_t seen = 99;

    (void)fm_fail(FM_EIO, "mine");
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, fail_elsewhere, &seen), 0);
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(seen, 0);
    CU_ASSERT_STRING_EQUAL(fm_error_text(), "mine");
}

static void names_every_status_differently(void)
{
    for (int a = FM_OK; a <= FM_EINTERNAL; a++) {
        const char *name = fm_status_name((fm_status)a);

        CU_ASSERT(name[0] != '\0' && strcmp(name, "unknown status") != 0);
        for (int b = FM_OK; b < a; b++)
            CU_ASSERT(strcmp(name, fm_status_name((fm_status)b)) != 0);
    }
    CU_ASSERT_STRING_EQUAL(fm_status_name(FM_ENOTFOUND), "not found");
    CU_ASSERT_STRING_EQUAL(fm_status_name((fm_status)(FM_EINTERNAL + 1)), "unknown status");
}

static const fm_test tests[] = {
    { "records the text and returns the status", records_the_text_and_returns_the_status },
    { "may quote the text before", may_quote_the_text_before },
    { "puts context before the text", puts_context_before_the_text },
    { "cuts long texts at 1023 bytes", cuts_long_texts_at_1023_bytes },
    { "keeps a text for each thread", keeps_a_text_for_each_thread },
    { "names every status differently", names_every_status_differently },
};
const fm_test_suite suite_status = { "base.status", tests, FM_TEST_COUNT(tests) };
