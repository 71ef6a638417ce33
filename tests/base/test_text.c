#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fedmoe/base/text.h"
#include "fm_test.h"
#include "suites.h"

static bool same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* The short way gives what strtod gives, bit by bit. */
static void numbers_are_the_nearest_doubles(void)
{
    static const char *const formats[] = { "%.0f", "%.2f",  "%.6f",  "%.9g",
                                           "%.3e", "%.14g", "%.15g", "%.17g" };
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 21);
    size_t wrong = 0;

    for (int t = 0; t < 40000; t++) {
        const double v = ldexp((double)fm_rng_below(&rng, UINT64_C(1) << 53) - 4.5e15,
                               (int)fm_rng_below(&rng, 120) - 100);
        char text[128];
        double got = 1.0;

        (void)snprintf(text, sizeof text, formats[fm_rng_below(&rng, 8)], v);
        if (!fm_text_double(text, &got) || !same_bits(got, strtod(text, NULL))) {
            printf("    %s: %.17g\n", text, got);
            wrong++;
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void only_decimal_notation_is_a_number(void)
{
    static const char *const good[] = { "0",
                                        "-0",
                                        "+7",
                                        "1.",
                                        ".5",
                                        "1e5",
                                        "1E-5",
                                        "00012",
                                        "1e+022",
                                        "-1.50",
                                        "9e300",
                                        "1e22",
                                        "123456789012345678901234567890" };
    static const char *const bad[] = { "",    "-",     ".",     "e5",   "1e",    "1e+",   "1 ",
                                       " 1",  "0x10",  "inf",   "nan",  "1,000", "1.2.3", "--1",
                                       "+-1", "1e5.0", "1e999", "1e5x", "-.e1" };

    for (size_t i = 0; i < FM_TEST_COUNT(good); i++) {
        double v = 0.5;

        CU_ASSERT_TRUE(fm_text_double(good[i], &v));
        CU_ASSERT_TRUE(same_bits(v, strtod(good[i], NULL)));
    }
    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++) {
        double v = 0.5;

        if (fm_text_double(bad[i], &v) || v != 0.5) {
            printf("    \"%s\" gave %g\n", bad[i], v);
            CU_FAIL("no number");
        }
    }
}

/* Nine digits, never below, and below the next such decimal but one. */
static void privacy_figures_are_rounded_up(void)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        { 1.0, "1" },
        { 0.9998907961, "0.999890797" },
        { 0.9998907960001, "0.999890797" },
        { 0.99999999901, "1" },
        { 1.0000000001, "1.00000001" },
        { 2.0000000049, "2.00000001" },
        { 1e-5, "1e-05" },
        { 1.00000000001e-5, "1.00000001e-05" },
        { 123456789.01, "123456790" },
    };
    uint64_t seed = 12345;

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        char text[FM_TEXT_UP];

        fm_text_up(cases[i].v, text);
        CU_ASSERT_STRING_EQUAL(text, cases[i].text);
    }
    for (int i = 0; i < 20000; i++) {
        char text[FM_TEXT_UP];
        double v, back;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        v = ldexp((double)(seed >> 11) + 1.0, -53 + (int)(seed % 41) - 30);
        fm_text_up(v, text);
        back = strtod(text, NULL);
        CU_ASSERT_FATAL(back >= v && back <= v * (1.0 + 1.1e-8));
    }
}

static void control_characters_of_one_and_two_bytes_are_found(void)
{
    static const char *const with[] = {
        "a\nb", "\t", "\x1b[31m", "a\x7f", "\xc2\x80", "a\xc2\x9f"
    };
    static const char *const without[] = { "", "a b~", "\xc2\xa0", "\xc3\x85", "\xe2\x80\x93" };

    for (size_t i = 0; i < FM_TEST_COUNT(with); i++)
        CU_ASSERT(fm_text_has_control(with[i]));
    for (size_t i = 0; i < FM_TEST_COUNT(without); i++)
        CU_ASSERT_FALSE(fm_text_has_control(without[i]));
}

static void look_alikes_are_named_with_their_place(void)
{
    static const struct {
        const char *text, *words; /* NULL: nothing is odd */
    } cases[] = {
        { "1e\xe2\x88\x92"
          "4",
          "character 3, \"\xe2\x88\x92\" (U+2212), is not the keyboard's minus" },
        { "\xc3\xa4\xe2\x80\x93"
          "b",
          "character 2, \"\xe2\x80\x93\" (U+2013), is not" },
        { "num\xd0\xb5ric", "character 4, \"\xd0\xb5\" (U+0435), is a Cyrillic letter" },
        { "\xce\xb1x", "(U+03B1), is a Greek letter" },
        { "ab\xe2\x80\xa6", "character 3, \"\xe2\x80\xa6\" (U+2026), stands where" },
        { "\xef\xbc\x91", "(U+FF11), is not the keyboard's, but a wide one" },
        { "1\xe2\x80\x8b", "character 2 is a zero-width space (U+200B)" },
        { "\xd0\xb5\xd0\xb6", NULL }, /* a Cyrillic word */
        { "K\xc3\xb6ln", NULL },
        { "heart\xe2\x80\x93lung disease", NULL }, /* no word */
        { "a\xe2\x88", NULL },                     /* cut */
        { "\xff\xc0", NULL },
        { "", NULL },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        char room[FM_TEXT_ODD];
        const char *odd = fm_text_odd(cases[i].text, room);

        CU_ASSERT(cases[i].words ? odd && strstr(odd, cases[i].words) : !odd);
    }
    CU_ASSERT_EQUAL(fm_text_length("a\xe2\x80\xa6\xc3\xa4\xff"), 4);
    CU_ASSERT_EQUAL(fm_text_length(""), 0);
}

static const fm_test tests[] = {
    { "look-alikes are named with their place", look_alikes_are_named_with_their_place },
    { "privacy figures are rounded up", privacy_figures_are_rounded_up },
    { "numbers are the nearest doubles", numbers_are_the_nearest_doubles },
    { "control characters of one and two bytes are found",
      control_characters_of_one_and_two_bytes_are_found },
    { "only decimal notation is a number", only_decimal_notation_is_a_number },
};
const fm_test_suite suite_text = { "base.text", tests, FM_TEST_COUNT(tests) };
