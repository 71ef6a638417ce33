/* Sessions in float32 against what Hugging Face's transformers 5.17 and model/ compute, and every kind of
 * session against itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge_fixture.h"
#include "fedmoe/model/kernel.h"
#include "suites.h"

static void logits_are_those_of_transformers(void)
{
    for (size_t n = 0; n < decoder_fixture_count; n++) {
        decoder_fixture f;
        uint32_t tokens[EDGE_ROWS];
        fm_edge_model *m = NULL;
        fm_edge_session *s;
        size_t v;
        float *got;
        double off;

        if (!decoder_fixture_load(decoder_fixture_names[n], &f) ||
            !edge_fixture_open(decoder_fixture_names[n], false, &m))
            return;
        edge_fixture_tokens(&f, "input_ids", tokens, EDGE_ROWS);
        v = f.config.vocabulary;
        got = calloc(EDGE_ROWS * v, sizeof *got);
        s = edge_session(m, EDGE_LENGTH, 7, FM_CACHE_FLOAT, false);
        for (size_t i = 0; i < EDGE_ROWS; i += EDGE_LENGTH) {
            CU_ASSERT_EQUAL(fm_edge_read_all(s, tokens + i, EDGE_LENGTH, got + i * v), FM_OK);
            CU_ASSERT_EQUAL(fm_edge_rewind(s, 0), FM_OK);
        }
        off =
            edge_farthest(got, decoder_fixture_floats(&f, "logits", EDGE_ROWS * v), EDGE_ROWS * v);
        CU_ASSERT(off < 1e-4);
        printf("\n    %s: logits within %.1e", decoder_fixture_names[n], off);
        free(got);
        fm_edge_session_free(&s);
        fm_edge_model_free(&m);
        decoder_fixture_free(&f);
    }
}

static size_t likeliest(const float *z, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        best = z[i] > z[best] ? i : best;
    return best;
}

static void the_greedy_continuation_is_the_same(void)
{
    for (size_t n = 0; n < decoder_fixture_count; n++) {
        decoder_fixture f;
        uint32_t tokens[EDGE_ROWS], want[64];
        fm_edge_model *m = NULL;
        fm_edge_session *s;
        size_t total, given = 0;
        float *logits;

        if (!decoder_fixture_load(decoder_fixture_names[n], &f) ||
            !edge_fixture_open(decoder_fixture_names[n], false, &m))
            return;
        edge_fixture_tokens(&f, "input_ids", tokens, EDGE_ROWS);
        total = fm_safetensors_find(f.ref, "greedy_ids")->bytes / sizeof(int64_t);
        CU_ASSERT_FATAL(total <= FM_TEST_COUNT(want));
        edge_fixture_tokens(&f, "greedy_ids", want, total);
        while (given < total && want[given] == tokens[given])
            given++;
        CU_ASSERT(given >= 4 && given < total);
        logits = calloc(f.config.vocabulary, sizeof *logits);
        s = edge_session(m, total, 0, FM_CACHE_FLOAT, false);
        CU_ASSERT_EQUAL(fm_edge_read(s, want, given, logits), FM_OK);
        for (size_t i = given; i < total; i++) {
            CU_ASSERT_EQUAL(likeliest(logits, f.config.vocabulary), want[i]);
            CU_ASSERT_EQUAL(fm_edge_read(s, &want[i], 1, logits), FM_OK);
        }
        free(logits);
        fm_edge_session_free(&s);
        fm_edge_model_free(&m);
        decoder_fixture_free(&f);
    }
}

#define RANDOM_ROWS 300
#define VOCABULARY 24

static void logits_are_those_of_the_decoder(void)
{
    uint32_t tokens[RANDOM_ROWS];
    const uint32_t end = RANDOM_ROWS;
    const fm_decoder_batch batch = { .tokens = tokens, .ends = &end, .sequences = 1 };
    float *want = calloc(RANDOM_ROWS * VOCABULARY, sizeof *want);
    float *got = calloc(RANDOM_ROWS * VOCABULARY, sizeof *got);

    edge_tokens(tokens, RANDOM_ROWS, 3);
    for (size_t n = 0; n < edge_config_count; n++) {
        fm_edge_model *m = NULL;
        fm_decoder *d = NULL;
        fm_edge_session *s;
        double off;

        edge_random_open(edge_configs[n], false, &m);
        edge_random_decoder(edge_configs[n], RANDOM_ROWS, &d);
        s = edge_session(m, RANDOM_ROWS, 0, FM_CACHE_FLOAT, false);
        CU_ASSERT_EQUAL(fm_decoder_logits(d, &batch, want), FM_OK);
        CU_ASSERT_EQUAL(fm_edge_read_all(s, tokens, RANDOM_ROWS, got), FM_OK);
        off = edge_farthest(got, want, RANDOM_ROWS * VOCABULARY);
        CU_ASSERT(off < 1e-4);
        printf("\n    %zu: logits within %.1e, up to %.1f", n, off,
               (double)fm_kernel_most(want, RANDOM_ROWS * VOCABULARY));
        fm_edge_session_free(&s);
        fm_decoder_free(&d);
        fm_edge_model_free(&m);
    }
    free(want);
    free(got);
}

/* ---- cuts ---- */

#define CUT_ROWS 200

/* The same text in calls and tiles of several sizes: every row's logits, bit for bit. */
static void check_cuts(const fm_edge_model *m, fm_edge_cache cache, bool float_inputs)
{
    static const size_t cuts[][2] = { { 0, CUT_ROWS }, { 1, CUT_ROWS }, { 3, 50 },
                                      { 65, 67 },      { 0, 1 },        { 16, 129 } };
    const size_t bytes = CUT_ROWS * VOCABULARY * sizeof(float);
    uint32_t tokens[CUT_ROWS];
    float *want = calloc(1, bytes), *got = calloc(1, bytes);

    edge_tokens(tokens, CUT_ROWS, 4);
    for (size_t c = 0; c < FM_TEST_COUNT(cuts); c++) {
        fm_edge_session *s = edge_session(m, CUT_ROWS, cuts[c][0], cache, float_inputs);

        for (size_t i = 0, rows; i < CUT_ROWS; i += rows) {
            rows = CUT_ROWS - i < cuts[c][1] ? CUT_ROWS - i : cuts[c][1];
            CU_ASSERT_EQUAL(fm_edge_read_all(s, tokens + i, rows, got + i * VOCABULARY), FM_OK);
        }
        if (c == 0)
            memcpy(want, got, bytes);
        CU_ASSERT_EQUAL(memcmp(got, want, bytes), 0);
        fm_edge_session_free(&s);
    }
    free(want);
    free(got);
}

static void cuts_change_no_bit(void)
{
    for (size_t n = 0; n < edge_config_count; n++)
        for (int int8 = 0; int8 < 2; int8++) {
            fm_edge_model *m = NULL;

            edge_random_open(edge_configs[n], int8, &m);
            check_cuts(m, FM_CACHE_INT8, false);
            check_cuts(m, FM_CACHE_FLOAT, int8);
            fm_edge_model_free(&m);
        }
}

/* Of another level of instructions each sum has the same order. */
static void levels_change_no_bit(void)
{
    const fm_level best = fm_kernel_level();
    uint32_t tokens[CUT_ROWS];
    float want[VOCABULARY], got[VOCABULARY];

    edge_tokens(tokens, CUT_ROWS, 5);
    for (size_t n = 0; n < edge_config_count; n++)
        for (int level = (int)best; level >= FM_LEVEL_PORTABLE; level--) {
            fm_edge_model *m = NULL;
            fm_edge_session *s;

            fm_kernel_limit((fm_level)level);
            edge_random_open(edge_configs[n], n % 2, &m);
            s = edge_session(m, CUT_ROWS, 0, FM_CACHE_INT8, false);
            CU_ASSERT_EQUAL(fm_edge_read(s, tokens, CUT_ROWS, got), FM_OK);
            if (level == (int)best)
                memcpy(want, got, sizeof want);
            CU_ASSERT(memcmp(got, want, sizeof want) == 0);
            fm_edge_session_free(&s);
            fm_edge_model_free(&m);
        }
    fm_kernel_limit(best);
}

static void a_text_goes_back_and_on_from_there(void)
{
    uint32_t tokens[CUT_ROWS], other[50];
    float want[VOCABULARY], got[VOCABULARY];

    edge_tokens(tokens, CUT_ROWS, 6);
    edge_tokens(other, FM_TEST_COUNT(other), 7);
    for (size_t n = 0; n < edge_config_count; n++) {
        fm_edge_model *m = NULL;
        fm_edge_session *s;

        edge_random_open(edge_configs[n], false, &m);
        s = edge_session(m, CUT_ROWS, 0, FM_CACHE_INT8, false);
        CU_ASSERT_EQUAL(fm_edge_read(s, tokens, CUT_ROWS, want), FM_OK);
        CU_ASSERT_EQUAL(fm_edge_rewind(s, 77), FM_OK);
        CU_ASSERT_EQUAL(fm_edge_read(s, other, FM_TEST_COUNT(other), NULL), FM_OK);
        CU_ASSERT_EQUAL(fm_edge_rewind(s, 128), FM_EINVAL);
        CU_ASSERT_EQUAL(fm_edge_rewind(s, 77), FM_OK);
        CU_ASSERT_EQUAL(fm_edge_position(s), 77);
        CU_ASSERT_EQUAL(fm_edge_read(s, tokens + 77, CUT_ROWS - 77, got), FM_OK);
        CU_ASSERT(memcmp(got, want, sizeof want) == 0);
        fm_edge_session_free(&s);
        fm_edge_model_free(&m);
    }
}

static void a_loss_is_that_of_the_logits(void)
{
    fm_edge_model *m = NULL;
    fm_edge_session *s;
    fm_decoder *d = NULL;
    uint32_t tokens[RANDOM_ROWS];
    const uint32_t end = RANDOM_ROWS;
    const fm_decoder_batch batch = { .tokens = tokens, .ends = &end, .sequences = 1 };
    double want = 0.0, got = 0.0, first = 0.0, rest = 0.0;

    edge_tokens(tokens, RANDOM_ROWS, 8);
    edge_random_open(edge_configs[3], false, &m);
    edge_random_decoder(edge_configs[3], RANDOM_ROWS, &d);
    s = edge_session(m, RANDOM_ROWS, 0, FM_CACHE_FLOAT, false);
    CU_ASSERT_EQUAL(fm_decoder_losses(d, &batch, &want), FM_OK);
    CU_ASSERT_EQUAL(fm_edge_loss(s, tokens, RANDOM_ROWS, &got), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(got / (RANDOM_ROWS - 1), want, 1e-5);
    /* In two calls the token in the middle has no prediction. */
    CU_ASSERT_EQUAL(fm_edge_rewind(s, 0), FM_OK);
    CU_ASSERT_EQUAL(fm_edge_loss(s, tokens, 100, &first), FM_OK);
    CU_ASSERT_EQUAL(fm_edge_loss(s, tokens + 100, RANDOM_ROWS - 100, &rest), FM_OK);
    CU_ASSERT(first + rest < got);
    fm_edge_session_free(&s);
    fm_decoder_free(&d);
    fm_edge_model_free(&m);
}

/* ---- what makes no sense ---- */

static void bad_options_are_refused(void)
{
    const fm_edge_options bad[] = { { .context = 0 },
                                    { .context = 16385 },
                                    { .context = 10, .tile = 1 << 20 },
                                    { .context = 10, .cache = (fm_edge_cache)7 } };
    fm_edge_model *m = NULL;
    fm_edge_session *s = NULL;

    edge_random_open(edge_configs[0], false, &m);
    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++)
        CU_ASSERT_EQUAL(fm_edge_session_new(m, &bad[i], &s), FM_EINVAL);
    CU_ASSERT_PTR_NULL(s);
    CU_ASSERT_EQUAL(fm_edge_session_new(NULL, &bad[0], &s), FM_EINVAL);
    fm_edge_model_free(&m);
}

static void hostile_tokens_leave_the_text_as_it_is(void)
{
    fm_edge_model *m = NULL;
    fm_edge_session *s;
    uint32_t tokens[20];
    float want[VOCABULARY], got[VOCABULARY];

    edge_tokens(tokens, FM_TEST_COUNT(tokens), 9);
    edge_random_open(edge_configs[2], false, &m);
    s = edge_session(m, 20, 4, FM_CACHE_INT8, false);
    CU_ASSERT_EQUAL(fm_edge_read(s, tokens, 20, want), FM_OK);
    CU_ASSERT_EQUAL(fm_edge_read(s, tokens, 1, got), FM_EINVAL); /* full */
    CU_ASSERT_EQUAL(fm_edge_rewind(s, 10), FM_OK);
    CU_ASSERT_EQUAL(fm_edge_read(s, tokens, 0, got), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_edge_read(s, NULL, 1, got), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_edge_read(s, tokens, 11, got), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_edge_read(s, tokens, SIZE_MAX, got), FM_EINVAL);
    for (size_t i = 10; i < 20; i++) {
        const uint32_t was = tokens[i];

        tokens[i] = i % 2 ? VOCABULARY : UINT32_MAX;
        CU_ASSERT_EQUAL(fm_edge_read(s, tokens + 10, 10, got), FM_EINVAL);
        tokens[i] = was;
    }
    CU_ASSERT_EQUAL(fm_edge_position(s), 10);
    CU_ASSERT_EQUAL(fm_edge_read(s, tokens + 10, 10, got), FM_OK);
    CU_ASSERT(memcmp(got, want, sizeof want) == 0);
    fm_edge_session_free(&s);
    fm_edge_model_free(&m);
}

/* ---- 8 bits ---- */

static void a_cache_in_8_bits_is_near(void)
{
    for (size_t n = 0; n < decoder_fixture_count; n++) {
        decoder_fixture f;
        uint32_t tokens[EDGE_ROWS];
        fm_edge_model *m = NULL;
        double loss[2] = { 0.0, 0.0 };
        fm_edge_memory memory[2];

        if (!decoder_fixture_load(decoder_fixture_names[n], &f) ||
            !edge_fixture_open(decoder_fixture_names[n], false, &m))
            return;
        edge_fixture_tokens(&f, "input_ids", tokens, EDGE_ROWS);
        for (int kind = 0; kind < 2; kind++) {
            fm_edge_session *s = edge_session(m, EDGE_ROWS, 0, (fm_edge_cache)kind, false);

            CU_ASSERT_EQUAL(fm_edge_loss(s, tokens, EDGE_ROWS, &loss[kind]), FM_OK);
            memory[kind] = fm_edge_session_memory(s);
            fm_edge_session_free(&s);
        }
        printf("\n    %s: %+.1e a token", decoder_fixture_names[n],
               (loss[FM_CACHE_INT8] - loss[FM_CACHE_FLOAT]) / (EDGE_ROWS - 1));
        CU_ASSERT_DOUBLE_EQUAL(loss[0] / (EDGE_ROWS - 1), loss[1] / (EDGE_ROWS - 1), 2e-2);
        CU_ASSERT(loss[0] != loss[1]);
        CU_ASSERT(memory[FM_CACHE_INT8].cache < memory[FM_CACHE_FLOAT].cache / 2);
        fm_edge_model_free(&m);
        decoder_fixture_free(&f);
    }
}

/* Of random models, which 8 bits cost more than trained ones: a chosen expert flips. */
static void weights_in_8_bits_are_near(void)
{
    for (size_t n = 0; n < decoder_fixture_count; n++) {
        decoder_fixture f;
        uint32_t tokens[EDGE_ROWS];
        double loss[3] = { 0.0, 0.0, 0.0 }; /* float32, weights in 8 bits, inputs too */

        if (!decoder_fixture_load(decoder_fixture_names[n], &f))
            return;
        edge_fixture_tokens(&f, "input_ids", tokens, EDGE_ROWS);
        for (int kind = 0; kind < 3; kind++) {
            fm_edge_model *m = NULL;
            fm_edge_session *s;

            if (!edge_fixture_open(decoder_fixture_names[n], kind > 0, &m))
                return;
            s = edge_session(m, EDGE_ROWS, 0, FM_CACHE_FLOAT, kind == 1);
            CU_ASSERT_EQUAL(fm_edge_loss(s, tokens, EDGE_ROWS, &loss[kind]), FM_OK);
            loss[kind] /= EDGE_ROWS - 1;
            fm_edge_session_free(&s);
            fm_edge_model_free(&m);
        }
        printf("\n    %s: %.4f a token, weights in 8 bits %+.4f, inputs too %+.4f",
               decoder_fixture_names[n], loss[0], loss[1] - loss[0], loss[2] - loss[0]);
        CU_ASSERT_DOUBLE_EQUAL(loss[1], loss[0], 0.03);
        CU_ASSERT_DOUBLE_EQUAL(loss[2], loss[0], 0.05);
        CU_ASSERT(loss[1] != loss[0] && loss[2] != loss[1]);
        decoder_fixture_free(&f);
    }
}

static const fm_test tests[] = {
    { "logits are those of transformers", logits_are_those_of_transformers },
    { "the greedy continuation is the same", the_greedy_continuation_is_the_same },
    { "logits are those of the decoder", logits_are_those_of_the_decoder },
    { "cuts change no bit", cuts_change_no_bit },
    { "levels change no bit", levels_change_no_bit },
    { "a text goes back and on from there", a_text_goes_back_and_on_from_there },
    { "a loss is that of the logits", a_loss_is_that_of_the_logits },
    { "bad options are refused", bad_options_are_refused },
    { "hostile tokens leave the text as it is", hostile_tokens_leave_the_text_as_it_is },
    { "a cache in 8 bits is near", a_cache_in_8_bits_is_near },
    { "weights in 8 bits are near", weights_in_8_bits_are_near },
};
const fm_test_suite suite_session = { "edge.session", tests, FM_TEST_COUNT(tests) };
