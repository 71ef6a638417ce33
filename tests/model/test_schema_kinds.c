/* Bins over declared ranges, groups of codes, and the three kinds of labels. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fedmoe/model/table.h"
#include "fm_test.h"
#include "schema_internal.h"
#include "suites.h"

#define HEAD "name: t\nencoding: {norm: none, linear: 0}\ncolumns:\n"

static fm_schema *parsed(const char *text)
{
    fm_schema *s = NULL;

    if (fm_schema_parse("s.yaml", text, strlen(text), &s)) {
        printf("    %s\n", fm_error_text());
        CU_FAIL_FATAL("the schema does not parse");
    }
    return s;
}

/* Encode one cell of a schema of one column, with or without a label after it. */
static fm_status encode(const fm_schema *s, const char *cell, const char *label, float *features,
                        float *y)
{
    const char *cells[] = { cell, label };
    size_t column;

    return fm_schema_encode(s, cells, features, label ? y : NULL, &column);
}

static void bins_fill_up_one_after_the_other(void)
{
    fm_schema *s = parsed(
        HEAD "  - {name: x, kind: numeric, range: [0, 8], bins: 4, weight: 2, spacing: linear}\n");
    static const char *const names[] = { "x 0..2", "x 2..4", "x 4..6", "x 6..8", "x missing" };
    float f[5];

    CU_ASSERT_EQUAL_FATAL(fm_schema_features(s), 5);
    for (size_t i = 0; i < 5; i++)
        CU_ASSERT_STRING_EQUAL(fm_schema_feature_name(s, i), names[i]);
    CU_ASSERT_EQUAL(encode(s, "5", NULL, f, NULL), FM_OK);
    CU_ASSERT_TRUE(f[0] == 1.0f && f[1] == 1.0f && f[2] == 0.0f && f[3] == -1.0f && f[4] == 0.0f);
    CU_ASSERT_EQUAL(encode(s, "0", NULL, f, NULL), FM_OK);
    CU_ASSERT_TRUE(f[0] == -1.0f && f[3] == -1.0f);
    CU_ASSERT_EQUAL(encode(s, "8", NULL, f, NULL), FM_OK);
    CU_ASSERT_TRUE(f[0] == 1.0f && f[3] == 1.0f);
    CU_ASSERT_EQUAL(encode(s, "", NULL, f, NULL), FM_OK);
    CU_ASSERT_TRUE(f[0] == 0.0f && f[3] == 0.0f && f[4] > 1.0f);
    CU_ASSERT_EQUAL(encode(s, "8.1", NULL, f, NULL), FM_EPARSE);
    fm_schema_free(&s);
}

/* Whatever the range, bins and spacing: bounded, rising with v, and the edges ordered. */
static void bins_are_bounded_and_rise(void)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 41);

    for (int t = 0; t < 200; t++) {
        const double lo = -pow(10.0, 5.0 * fm_rng_unit(&rng)) * (double)fm_rng_below(&rng, 2),
                     hi = lo + pow(10.0, 8.0 * fm_rng_unit(&rng) - 2.0);
        const unsigned bins = 1 + (unsigned)fm_rng_below(&rng, 16);
        char text[256];
        float last[64] = { 0 }, f[64];
        fm_schema *s;

        (void)snprintf(text, sizeof text,
                       HEAD "  - {name: x, kind: numeric, range: [%.17g, %.17g], outside: clip, "
                            "bins: %u, spacing: %s}\n",
                       lo, hi, bins, t % 3 ? (t % 3 == 1 ? "log" : "both") : "linear");
        s = parsed(text);
        for (int k = -1; k <= 21; k++) {
            char cell[64];

            (void)snprintf(cell, sizeof cell, "%.17g", lo + (hi - lo) * k / 20.0);
            CU_ASSERT_EQUAL_FATAL(encode(s, cell, NULL, f, NULL), FM_OK);
            for (size_t i = 0; i + 1 < fm_schema_features(s); i++)
                if (!(f[i] >= -1.0f && f[i] <= 1.0f) || (k >= 0 && f[i] < last[i]))
                    CU_FAIL("a bin leaves its bounds or falls");
            memcpy(last, f, sizeof last);
        }
        for (size_t i = 0; i + 1 < fm_schema_features(s); i++)
            CU_ASSERT_TRUE(f[i] > 0.0f); /* all full at the upper end */
        fm_schema_free(&s);
    }
}

static void edges_can_be_listed_and_spaced(void)
{
    fm_schema *s = parsed(HEAD "  - {name: x, kind: numeric, range: [18, 100], bins: [30, 65]}\n");

    CU_ASSERT_EQUAL(fm_schema_features(s), 4);
    CU_ASSERT_STRING_EQUAL(fm_schema_feature_name(s, 0), "x 18..30");
    CU_ASSERT_STRING_EQUAL(fm_schema_feature_name(s, 2), "x 65..100");
    fm_schema_free(&s);
    s = parsed(HEAD "  - {name: x, kind: numeric, range: [0, 10000], spacing: log}\n");
    CU_ASSERT_EQUAL(fm_schema_features(s), 9 + 1); /* 0, 1, 3.16, 10, ... 10000 */
    CU_ASSERT_STRING_EQUAL(fm_schema_feature_name(s, 0), "x log 0..1");
    CU_ASSERT_STRING_EQUAL(fm_schema_feature_name(s, 2), "x log 3.16228..10");
    CU_ASSERT_STRING_EQUAL(fm_schema_feature_name(s, 8), "x log 3162.28..10000");
    fm_schema_free(&s);
    s = parsed(HEAD "  - {name: x, kind: numeric, range: [-10, 10000], spacing: log}\n");
    CU_ASSERT_STRING_EQUAL(fm_schema_feature_name(s, 0), "x log -10..-3.16228");
    CU_ASSERT_STRING_EQUAL(fm_schema_feature_name(s, 2), "x log -1..0");
    CU_ASSERT_STRING_EQUAL(fm_schema_feature_name(s, 3), "x log 0..1");
    fm_schema_free(&s);
}

/* 0 inside, or a hundredfold range: bins by decades beside those of equal width. */
static void wide_ranges_have_bins_of_both_kinds(void)
{
    static const struct {
        const char *range;
        size_t features;
    } cases[] = { { "[0, 10000]", 16 + 9 },
                  { "[1, 99]", 16 },
                  { "[1, 100]", 16 + 4 },
                  { "[-5, -1]", 16 },
                  { "[18, 100]", 16 } };

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        char text[256];
        fm_schema *s;

        (void)snprintf(text, sizeof text,
                       "name: t\ncsv: {missing: []}\ncolumns:\n"
                       "  - {name: x, kind: numeric, range: %s}\n",
                       cases[i].range);
        s = parsed(text);
        CU_ASSERT_EQUAL(fm_schema_features(s), 1 + cases[i].features);
        CU_ASSERT_STRING_EQUAL(fm_schema_feature_name(s, 0), "x");
        fm_schema_free(&s);
    }
}

static void what_a_column_says_decides_its_encoding(void)
{
    fm_schema *s = parsed("name: t\nencoding: {numeric: plain}\ncsv: {missing: []}\ncolumns:\n"
                          "  - {name: a, kind: numeric, range: [0, 8]}\n"
                          "  - {name: b, kind: numeric, range: [1, 8], bins: 3}\n"
                          "  - {name: c, kind: numeric, range: [1, 8], encoding: piecewise}\n");

    CU_ASSERT_EQUAL(fm_schema_features(s), 1 + (1 + 3) + (1 + 16));
    fm_schema_free(&s);
    /* Center and scale narrow the bins to three scales around. */
    s = parsed(HEAD "  - {name: x, kind: numeric, range: [18, 100], center: 50, scale: 10, "
                    "encoding: piecewise, bins: 3}\n");
    CU_ASSERT_STRING_EQUAL(fm_schema_feature_name(s, 0), "x 20..40");
    CU_ASSERT_STRING_EQUAL(fm_schema_feature_name(s, 2), "x 60..80");
    fm_schema_free(&s);
    s = parsed("name: t\nencoding: {numeric: piecewise, bins: 5, linear: 0}\n"
               "csv: {missing: []}\ncolumns:\n"
               "  - {name: a, kind: numeric, range: [1, 8]}\n"
               "  - {name: b, kind: numeric, range: [0, 8], scale: 3}\n"
               "  - {name: c, kind: date, range: [2000-01-01, 2020-01-01]}\n");
    CU_ASSERT_EQUAL(fm_schema_features(s), 5 + 1 + 5);
    fm_schema_free(&s);
}

static void ordered_values_are_steps_and_values(void)
{
    fm_schema *s = parsed(HEAD "  - {name: x, kind: categorical, values: [a, b, c, d, e], "
                               "ordered: true, weight: 2, centered: false, required: true}\n");
    static const float want[] = { 0.5f, 0.5f, -0.5f, -0.5f, 0.0f, 0.0f, 1.0f, 0.0f, 0.0f };
    float f[9];

    CU_ASSERT_EQUAL_FATAL(fm_schema_features(s), 4 + 5);
    CU_ASSERT_STRING_EQUAL(fm_schema_feature_name(s, 0), "x>=b");
    CU_ASSERT_STRING_EQUAL(fm_schema_feature_name(s, 4), "x=a");
    CU_ASSERT_EQUAL(encode(s, "c", NULL, f, NULL), FM_OK);
    CU_ASSERT_EQUAL(memcmp(f, want, sizeof want), 0);
    fm_schema_free(&s);
}

/* Bins and values: no record is longer than 1, some are as long. The linear feature, which counts
 * half of its most, is left out. */
static void features_are_scaled_to_the_norm(void)
{
    static const char columns[] =
        "columns:\n  - {name: x, kind: numeric, range: [-5, 2000], outside: clip}\n"
        "  - {name: c, kind: categorical, values: [a, b, c, d]}\n"
        "  - {name: o, kind: categorical, values: [a, b, c, d], ordered: true}\n";
    char text[512];
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 43);
    double most = 0.0;
    fm_schema *s;

    (void)snprintf(text, sizeof text, "name: t\nencoding: {linear: 0}\n%s", columns);
    s = parsed(text);
    CU_ASSERT_DOUBLE_EQUAL(fm_schema_norm(s), 1.0, 1e-12);
    for (int t = 0; t < 2000; t++) {
        char x[32], c[2] = { (char)('a' + fm_rng_below(&rng, 4)), 0 },
                    o[2] = { (char)('a' + fm_rng_below(&rng, 4)), 0 };
        const char *cells[] = { x, c, o };
        double square = 0.0;
        float f[64];
        size_t column;

        (void)snprintf(x, sizeof x, "%d", (int)fm_rng_below(&rng, 2400) - 200);
        CU_ASSERT_EQUAL_FATAL(fm_schema_encode(s, cells, f, NULL, &column), FM_OK);
        for (size_t i = 0; i < fm_schema_features(s); i++)
            square += (double)f[i] * (double)f[i];
        most = fmax(most, square);
    }
    CU_ASSERT_TRUE(most <= 1.0 + 1e-6 && most > 0.999);
    const char *none[] = { "", "", "" };
    float f[64];
    size_t column;

    CU_ASSERT_EQUAL_FATAL(fm_schema_encode(s, none, f, NULL, &column), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL((double)f[fm_schema_features(s) - 1], 1.0 / sqrt(4.875), 1e-6);
    fm_schema_free(&s);
    (void)snprintf(text, sizeof text, "name: t\nencoding: {linear: 0, norm: none}\n%s", columns);
    s = parsed(text); /* 2 sets of bins, 2 * 3/4, steps and a quarter of that */
    CU_ASSERT_DOUBLE_EQUAL(fm_schema_norm(s), sqrt(2.0 + 1.5 + 1.0 + 0.375), 1e-6);
    fm_schema_free(&s);
}

/* A field read twice: by its chapters and by its sections. */
static void a_column_can_read_anothers_field(void)
{
    static const char columns[] =
        "columns:\n  - {name: d, kind: categorical, groups: {heart: 390-459, other: 1-389}}\n"
        "  - {name: d fine, from: d, kind: categorical, groups: {mi: \"410\", rest: 1-999}}\n"
        "  - {name: e, kind: categorical, values: [u, v]}\n";
    char text[512];

    for (int header = 0; header < 2; header++) {
        const fm_table_options o = { .labels = false };
        const char *csv = header ? "e,d\nu,410.2\nv,250\n" : "410.2,u\n250,v\n";
        fm_table t = { 0 };
        fm_schema *s;

        (void)snprintf(text, sizeof text,
                       "name: t\ncsv: {header: %s, missing: []}\nencoding: {norm: none, weight: 1, "
                       "centered: false}\n%s",
                       header ? "true" : "false", columns);
        s = parsed(text);
        CU_ASSERT_EQUAL_FATAL(fm_table_parse("t", csv, strlen(csv), s, &o, &t), FM_OK);
        static const float want[] = { 1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1 };

        CU_ASSERT_EQUAL_FATAL(t.rows * t.features, 12);
        CU_ASSERT_EQUAL(memcmp(t.x, want, sizeof want), 0);
        fm_table_fini(&t);
        fm_schema_free(&s);
    }
}

static void codes_fall_into_groups(void)
{
    static const struct {
        const char *code;
        int group; /* -1: missing */
    } cases[] = {
        { "250", 0 },   { "250.83", 1 }, { "2500", -1 }, { "390", 2 },   { "459.9", 2 },
        { "460", -1 },  { "785", 2 },    { "785.4", 2 }, { "V01", 3 },   { "V45.81", 3 },
        { "V99", -1 },  { "E885", 4 },   { "E1", -1 },   { "38", 5 },    { "139", 5 },
        { "390x", -1 }, { "I21.4", 6 },  { "I2", -1 },   { "X250", -1 }, { "0390", 2 },
    };
    fm_schema *s =
        parsed(HEAD "  - name: d\n    kind: categorical\n    values: [\"250\"]\n"
                    "    centered: false\n    weight: 1\n    unknown: missing\n    groups:\n"
                    "      diabetes: \"250\"\n      heart: \"390-459, 785\"\n"
                    "      extra: \"V01-V91\"\n      cause: E800-E999\n"
                    "      infection: \"1-139\"\n      infarct: \"I21*\"\n");

    CU_ASSERT_EQUAL_FATAL(fm_schema_features(s), 8);
    CU_ASSERT_STRING_EQUAL(fm_schema_feature_name(s, 2), "d=heart");
    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        float f[8], sum = 0.0f;

        CU_ASSERT_EQUAL(encode(s, cases[i].code, NULL, f, NULL), FM_OK);
        for (size_t k = 0; k < 7; k++)
            sum += f[k];
        if (cases[i].group < 0 ? sum != 0.0f || f[7] == 0.0f
                               : sum != 1.0f || f[cases[i].group] != 1.0f || f[7] != 0.0f) {
            printf("    %s\n", cases[i].code);
            CU_FAIL("a code is in the wrong group");
        }
    }
    fm_schema_free(&s);
}

static void several_classes_are_numbered_and_weighed(void)
{
    fm_schema *s = parsed(HEAD "  - {name: x, kind: numeric, range: [0, 8], scale: 2}\n"
                               "  - {name: y, kind: label, values: [low, \"2\", high], "
                               "weights: [1, 0.5, 4]}\n");
    float f[16], y = -1.0f;

    CU_ASSERT_EQUAL(fm_schema_target(s), FM_TARGET_CLASSES);
    CU_ASSERT_EQUAL(fm_schema_outputs(s), 3);
    CU_ASSERT_EQUAL(fm_schema_class_weight(s, 1), 0.5);
    CU_ASSERT_STRING_EQUAL(fm_schema_class_name(s, 2), "high");
    CU_ASSERT_STRING_EQUAL(fm_schema_label_name(s), "y");
    CU_ASSERT_EQUAL(encode(s, "1", "2.0", f, &y), FM_OK);
    CU_ASSERT_EQUAL(y, 1.0f);
    CU_ASSERT_EQUAL(encode(s, "1", "high", f, &y), FM_OK);
    CU_ASSERT_EQUAL(y, 2.0f);
    CU_ASSERT_EQUAL(encode(s, "1", "middle", f, &y), FM_EPARSE);
    CU_ASSERT_STRING_EQUAL(fm_error_text(),
                           "column y: \"middle\" is none of the declared classes (low, 2, ...)");
    fm_schema_free(&s);
}

static void a_number_can_be_the_label(void)
{
    fm_schema *s = parsed(HEAD "  - {name: x, kind: numeric, range: [0, 8], scale: 2}\n"
                               "  - {name: y, kind: label, range: [0, 40], outside: clip, "
                               "center: 10, scale: 5}\n");
    float f[16], y = -1.0f;

    CU_ASSERT_EQUAL(fm_schema_target(s), FM_TARGET_NUMBER);
    CU_ASSERT_EQUAL(fm_schema_outputs(s), 1);
    CU_ASSERT_EQUAL(encode(s, "1", "20", f, &y), FM_OK);
    CU_ASSERT_EQUAL(y, 2.0f);
    CU_ASSERT_EQUAL(fm_schema_number(s, 2.0), 20.0);
    CU_ASSERT_EQUAL(fm_schema_number(s, 6.001),
                    40.0); /* within the range, whatever the model says */
    CU_ASSERT_EQUAL(fm_schema_number(s, -1e30), 0.0);
    CU_ASSERT_TRUE(isnan(fm_schema_number(s, (double)NAN)));
    CU_ASSERT_EQUAL(fm_schema_bound(s, 7.0f), 6.0f);
    CU_ASSERT_EQUAL(fm_schema_bound(s, -3.0f), -2.0f);
    CU_ASSERT_EQUAL(fm_schema_bound(s, 1.25f), 1.25f);
    CU_ASSERT_TRUE(isinf(fm_schema_bound(s, INFINITY)));
    CU_ASSERT_EQUAL(fm_schema_number_scale(s), 5.0);
    CU_ASSERT_EQUAL(encode(s, "1", "50", f, &y), FM_OK);
    CU_ASSERT_EQUAL(y, 6.0f);
    CU_ASSERT_EQUAL(encode(s, "1", "", f, &y), FM_EPARSE); /* a label is never missing */
    fm_schema_free(&s);
    s = parsed(HEAD
               "  - {name: x, kind: numeric, range: [0, 8]}\n"
               "  - {name: y, kind: label, negative: [n], positive: [p, q], weights: [1, 3]}\n");
    CU_ASSERT_EQUAL(fm_schema_target(s), FM_TARGET_BINARY);
    CU_ASSERT_EQUAL(fm_schema_class_weight(s, 1), 3.0);
    CU_ASSERT_STRING_EQUAL(fm_schema_class_name(s, 1), "p");
    fm_schema_free(&s);
}

static void every_mistake_is_named_with_its_place(void)
{
#define X "  - {name: x, kind: numeric, range: [0, 8]"
#define Y X "}\n  - {name: y, kind: label"
    static const struct {
        const char *text, *place, *says;
    } cases[] = {
        { HEAD X ", bins: 0}", "s.yaml:4:51:", "bins" },
        { HEAD X ", bins: 300}", "s.yaml:4:51:", "bins" },
        { HEAD X ", bins: [3, 3]}", "s.yaml:4:55:", "increase" },
        { HEAD X ", bins: [9]}", "s.yaml:4:52:", "within the range" },
        { HEAD X ", spacing: cubic}", "s.yaml:4:54:", "auto, linear, log or both" },
        { HEAD X ", bins: [3], spacing: log}", "s.yaml:4:65:", "lists them" },
        { HEAD X ", bins: 3, knots: [1], encoding: piecewise}", "s.yaml:4:61:", "knots" },
        { HEAD X ", bins: 3, center: 1}", "s.yaml:4:51:", "bins" },
        { HEAD X ", encoding: best}", "s.yaml:4:55:", "plain or piecewise" },
        { HEAD "  - {name: x, kind: date, range: [2000-01-01, 2020-01-01], spacing: log}",
          "s.yaml:4:69:", "linear" },
        { "name: t\nencoding: {numeric: cubic}\ncolumns:\n" X "}", "s.yaml:2:21:", "numeric" },
        { HEAD "  - {name: x, kind: categorical, groups: {a: \"1-9\"}}", "s.yaml:4:42:", "two" },
        { HEAD "  - {name: x, kind: categorical, groups: {a: \"9-1\", b: \"1\"}}",
          "s.yaml:4:46:", "9-1" },
        { HEAD "  - {name: x, kind: categorical, groups: {a: \"V1-E2\", b: \"1\"}}",
          "s.yaml:4:46:", "V1-E2" },
        { HEAD "  - {name: x, kind: categorical, groups: {a: \"1,,2\", b: \"1\"}}",
          "s.yaml:4:46:", "\"\"" },
        { HEAD "  - {name: x, kind: categorical, values: [a, c], groups: {a: \"1\"}}",
          "s.yaml:4:62:", "a value and a group" },
        { HEAD Y ", values: [a]}", "s.yaml:5:36:", "two" },
        { HEAD Y ", values: [a, b], weights: [1]}", "s.yaml:5:53:", "one for each class" },
        { HEAD Y ", values: [a, b], weights: [1, -1]}", "s.yaml:5:57:", "weight" },
        { HEAD Y ", values: [a, b], negative: [a]}", "s.yaml:5:", "negative" },
        { HEAD Y ", range: [0, 1], outside: missing}", "s.yaml:5:52:", "error or clip" },
        { HEAD Y ", range: [0, 1], weights: [1]}", "s.yaml:5:", "weights" },
        { HEAD "  - {name: y, kind: label, values: [a, b]}\n" X ", from: y}",
          "s.yaml:5:51:", "is the label" },
        { "name: t\ncsv: {header: false}\ncolumns:\n" X ", from: y}\n"
          "  - {name: y, kind: label, values: [a, b]}\n",
          "s.yaml:4:51:", "is the label" },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        fm_schema *s = NULL;
        const fm_status st = fm_schema_parse("s.yaml", cases[i].text, strlen(cases[i].text), &s);
        const bool right = st == FM_EPARSE &&
                           strncmp(fm_error_text(), cases[i].place, strlen(cases[i].place)) == 0 &&
                           strstr(fm_error_text(), cases[i].says);

        if (!right)
            printf("    case %zu: %s\n", i, st ? fm_error_text() : "accepted");
        CU_ASSERT_TRUE(right);
        fm_schema_free(&s);
    }
}

/* Many values and look-alikes: the hash finds what a walk through the list finds. */
static void lookups_find_what_a_search_finds(void)
{
    fm_buf text = { 0 };
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 42);
    const fm_column *c;
    fm_schema *s;

    CU_ASSERT_EQUAL(fm_buf_printf(&text, HEAD "  - name: x\n    kind: categorical\n    values: ["),
                    FM_OK);
    for (int i = 0; i < 500; i++)
        CU_ASSERT_EQUAL(fm_buf_printf(&text, i % 3 ? "\"%d\", " : "\"v%d\", ", i * 7), FM_OK);
    CU_ASSERT_EQUAL(fm_buf_printf(&text, "last]\n    missing: [\"-1\", none]\n"), FM_OK);
    s = parsed((const char *)text.data);
    c = &s->columns[0];
    for (int t = 0; t < 20000; t++) {
        static const char *const formats[] = { "%d", "v%d", "%d.0", "0%d", "-%d", "%de0", " %d" };
        char cell[32];
        size_t at;
        int32_t want;

        (void)snprintf(cell, sizeof cell, formats[fm_rng_below(&rng, 7)],
                       (int)fm_rng_below(&rng, 3600));
        at = fm_cells_find(&c->values, cell);
        want = at != SIZE_MAX                                 ? (int32_t)at
               : fm_cells_find(&c->missing, cell) != SIZE_MAX ? FM_CODE_MISSING
               : fm_cells_find(&s->missing, cell) != SIZE_MAX ? FM_CODE_MISSING
                                                              : FM_CODE_NONE;
        if (fm_lookup_find(&c->lookup, (fm_slice){ cell, strlen(cell) }) != want) {
            printf("    %s\n", cell);
            CU_FAIL("the lookup is wrong");
        }
    }
    fm_schema_free(&s);
    fm_buf_fini(&text);
}

static const fm_test tests[] = {
    { "bins fill up one after the other", bins_fill_up_one_after_the_other },
    { "bins are bounded and rise", bins_are_bounded_and_rise },
    { "edges can be listed and spaced", edges_can_be_listed_and_spaced },
    { "what a column says decides its encoding", what_a_column_says_decides_its_encoding },
    { "wide ranges have bins of both kinds", wide_ranges_have_bins_of_both_kinds },
    { "ordered values are steps and values", ordered_values_are_steps_and_values },
    { "features are scaled to the norm", features_are_scaled_to_the_norm },
    { "a column can read another's field", a_column_can_read_anothers_field },
    { "codes fall into groups", codes_fall_into_groups },
    { "several classes are numbered and weighed", several_classes_are_numbered_and_weighed },
    { "a number can be the label", a_number_can_be_the_label },
    { "every mistake is named with its place", every_mistake_is_named_with_its_place },
    { "lookups find what a search finds", lookups_find_what_a_search_finds },
};
const fm_test_suite suite_schema_kinds = { "model.schema_kinds", tests, FM_TEST_COUNT(tests) };
