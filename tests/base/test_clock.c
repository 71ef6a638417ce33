#include <string.h>

#include "fedmoe/base/clock.h"
#include "suites.h"

static void formats_wall_times_as_utc(void)
{
    char out[32];

    fm_clock_format(0, out, sizeof out);
    CU_ASSERT_STRING_EQUAL(out, "1970-01-01T00:00:00Z");
    fm_clock_format(1795487460, out, 21);
    CU_ASSERT_STRING_EQUAL(out, "2026-11-24T02:31:00Z");
    fm_clock_format(951827696, out, sizeof out); /* a leap day */
    CU_ASSERT_STRING_EQUAL(out, "2000-02-29T12:34:56Z");
    fm_clock_format(253402300799, out, sizeof out);
    CU_ASSERT_STRING_EQUAL(out, "9999-12-31T23:59:59Z");
}

static void says_so_when_a_time_cannot_be_written(void)
{
    char out[32];

    fm_clock_format(INT64_MAX, out, sizeof out);
    CU_ASSERT_STRING_EQUAL(out, "invalid time");
    fm_clock_format(INT64_MIN, out, sizeof out);
    CU_ASSERT_STRING_EQUAL(out, "invalid time");
    fm_clock_format(253402300800, out, sizeof out);
    CU_ASSERT_STRING_EQUAL(out, "invalid time");
    fm_clock_format(0, out, 5);
    CU_ASSERT_STRING_EQUAL(out, "inva");
    out[0] = 'k';
    fm_clock_format(0, out, 0);
    CU_ASSERT_EQUAL(out[0], 'k');
}

static void the_monotonic_clock_never_goes_back(void)
{
    uint64_t before = fm_clock_now_ns();

    for (int i = 0; i < 1000; i++) {
        uint64_t now = fm_clock_now_ns();

        CU_ASSERT(now >= before);
        before = now;
    }
    CU_ASSERT(fm_clock_now_ms() >= before / 1000000u);
    CU_ASSERT(fm_clock_wall_s() > 1700000000);
}

static void a_clock_that_is_set_is_noticed_once(void)
{
    fm_clock_seen seen = { 0 };

    CU_ASSERT_EQUAL(fm_clock_step_s(&seen, 1000000, 500), 0);
    CU_ASSERT_EQUAL(fm_clock_step_s(&seen, 1000010, 10500), 0);
    CU_ASSERT_EQUAL(fm_clock_step_s(&seen, 1000012, 12499), 0); /* rounding */
    CU_ASSERT_EQUAL(fm_clock_step_s(&seen, 913612, 12499), -86400);
    CU_ASSERT_EQUAL(fm_clock_step_s(&seen, 913613, 13500), 0);
    CU_ASSERT_EQUAL(fm_clock_step_s(&seen, 917214, 14500), 3600);
    CU_ASSERT_EQUAL(fm_clock_step_s(&seen, 917215, 15500), 0);
}

static const fm_test tests[] = {
    { "a clock that is set is noticed once", a_clock_that_is_set_is_noticed_once },
    { "formats wall times as UTC", formats_wall_times_as_utc },
    { "says so when a time cannot be written", says_so_when_a_time_cannot_be_written },
    { "the monotonic clock never goes back", the_monotonic_clock_never_goes_back },
};
const fm_test_suite suite_clock = { "base.clock", tests, FM_TEST_COUNT(tests) };
