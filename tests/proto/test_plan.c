#include <stdlib.h>
#include <string.h>

#include "fedmoe.pb-c.h"
#include "samples.h"
#include "suites.h"

static fm_buf encoded(const fm_plan *p)
{
    fm_buf b = { .len = 0 };

    CU_ASSERT_EQUAL_FATAL(fm_plan_encode(p, &b), FM_OK);
    return b;
}

static bool same_or_refused(const uint8_t *data, size_t len)
{
    fm_plan p = { .epsilon = 0 };
    fm_buf again;
    bool same;

    if (fm_plan_decode(data, len, &p) != FM_OK)
        return p.model_text == NULL;
    again = encoded(&p);
    same = again.len == len && memcmp(again.data, data, len) == 0;
    fm_buf_fini(&again);
    fm_plan_fini(&p);
    return same;
}

static void a_plan_comes_back_as_it_was(void)
{
    fm_plan a = sample_fast_plan(), b;
    fm_buf bytes = encoded(&a);

    CU_ASSERT_EQUAL_FATAL(fm_plan_decode(bytes.data, bytes.len, &b), FM_OK);
    CU_ASSERT_STRING_EQUAL(a.federation, b.federation);
    CU_ASSERT_STRING_EQUAL(a.purpose, b.purpose);
    CU_ASSERT_STRING_EQUAL(a.privacy_unit, b.privacy_unit);
    CU_ASSERT_STRING_EQUAL(a.model_text, b.model_text);
    CU_ASSERT_STRING_EQUAL(a.schema_text, b.schema_text);
    CU_ASSERT_TRUE(fm_hash_equal(&a.initial_model, &b.initial_model));
    CU_ASSERT_EQUAL(a.epsilon, b.epsilon);
    CU_ASSERT_EQUAL(a.delta, b.delta);
    CU_ASSERT_EQUAL(a.clip_norm, b.clip_norm);
    CU_ASSERT_EQUAL(a.sampling_rate, b.sampling_rate);
    CU_ASSERT_EQUAL(a.noise_multiplier, b.noise_multiplier);
    CU_ASSERT_EQUAL(a.rounds, b.rounds);
    CU_ASSERT_EQUAL(a.max_units, b.max_units);
    CU_ASSERT_EQUAL(a.expected_units, b.expected_units);
    CU_ASSERT_EQUAL(a.min_cohort, b.min_cohort);
    CU_ASSERT_EQUAL(a.quorum, b.quorum);
    CU_ASSERT_EQUAL(a.colluders, b.colluders);
    CU_ASSERT_EQUAL(a.max_nodes, b.max_nodes);
    CU_ASSERT_EQUAL(a.parameters, b.parameters);
    CU_ASSERT_EQUAL(a.optimizer, b.optimizer);
    CU_ASSERT_EQUAL(a.learning_rate, b.learning_rate);
    CU_ASSERT_EQUAL(a.momentum, b.momentum);
    CU_ASSERT_EQUAL(a.beta2, b.beta2);
    CU_ASSERT_EQUAL(a.averaging, b.averaging);
    CU_ASSERT_EQUAL(a.adam_epsilon, b.adam_epsilon);
    CU_ASSERT_EQUAL(a.encoding, b.encoding);
    CU_ASSERT_EQUAL(a.schedule, b.schedule);
    CU_ASSERT_EQUAL(a.warmup, b.warmup);
    CU_ASSERT_EQUAL(a.final_rate, b.final_rate);
    CU_ASSERT_EQUAL(a.load_groups, b.load_groups);
    CU_ASSERT_EQUAL(a.load_experts, b.load_experts);
    CU_ASSERT_EQUAL(a.load_share, b.load_share);
    CU_ASSERT_EQUAL(a.balance_rate, b.balance_rate);
    CU_ASSERT_EQUAL(a.clip_quantile, b.clip_quantile);
    CU_ASSERT_EQUAL(a.clip_rate, b.clip_rate);
    CU_ASSERT_EQUAL(a.clip_share, b.clip_share);
    CU_ASSERT_EQUAL(a.start_center, b.start_center);
    CU_ASSERT_EQUAL(a.start_count, b.start_count);
    CU_ASSERT_EQUAL(a.start_bias, b.start_bias);
    CU_ASSERT_EQUAL(a.start_scale, b.start_scale);
    CU_ASSERT_EQUAL(a.model_clip_norm, b.model_clip_norm);
    CU_ASSERT_EQUAL(a.word_bits, b.word_bits);
    CU_ASSERT_EQUAL(a.mask_density, b.mask_density);
    CU_ASSERT_EQUAL(memcmp(a.run, b.run, sizeof a.run), 0);
    fm_buf_fini(&bytes);
    fm_plan_fini(&b);
    fm_plan_fini(&b);
}

static void truncations_and_a_trailing_byte_are_refused(void)
{
    fm_plan p = sample_plan(), out;
    fm_buf b = encoded(&p);
    uint8_t *last;

    /* A cut at a field's edge is valid protobuf, but the last field, mask_density, is required. */
    for (size_t len = 0; len < b.len; len++)
        CU_ASSERT_EQUAL(fm_plan_decode(b.data, len, &out), FM_EPROTO);
    CU_ASSERT_EQUAL_FATAL(fm_buf_extend(&b, 1, &last), FM_OK);
    for (int v = 0; v < 256; v++) {
        *last = (uint8_t)v;
        CU_ASSERT_EQUAL(fm_plan_decode(b.data, b.len, &out), FM_EPROTO);
    }
    fm_buf_fini(&b);
}

/* The last field, mask_density, is never absent. */
static void no_cut_of_a_plan_is_a_plan(void)
{
    fm_plan p = sample_fast_plan();
    fm_buf b = encoded(&p);

    for (size_t len = 0; len < b.len; len++) {
        fm_plan out = { .epsilon = 0 };

        CU_ASSERT_EQUAL(fm_plan_decode(b.data, len, &out), FM_EPROTO);
    }
    fm_buf_fini(&b);
}

static void a_changed_byte_is_refused_or_another_plan(void)
{
    fm_plan p = sample_fast_plan();
    fm_buf b = encoded(&p);
    size_t ambiguous = 0;

    for (size_t i = 0; i < b.len; i++)
        for (int x = 1; x < 256; x++) {
            b.data[i] ^= (uint8_t)x;
            ambiguous += !same_or_refused(b.data, b.len);
            b.data[i] ^= (uint8_t)x;
        }
    CU_ASSERT_EQUAL(ambiguous, 0);
    fm_buf_fini(&b);
}

static fm_status decode_wire(const Fedmoe__V1__Plan *w)
{
    static uint8_t data[4096];
    fm_plan out;
    fm_status st;

    CU_ASSERT_FATAL(fedmoe__v1__plan__get_packed_size(w) <= sizeof data);
    st = fm_plan_decode(data, fedmoe__v1__plan__pack(w, data), &out);
    if (st == FM_OK)
        fm_plan_fini(&out);
    return st;
}

static void bad_bytes_are_refused_by_name(void)
{
    fm_plan p = sample_plan();
    fm_buf b = encoded(&p);
    Fedmoe__V1__Plan *w = fedmoe__v1__plan__unpack(NULL, b.len, b.data);

    CU_ASSERT_PTR_NOT_NULL_FATAL(w);
    CU_ASSERT_EQUAL(decode_wire(w), FM_OK);
    w->version = FM_PROTO_VERSION + 1;
    CU_ASSERT_EQUAL(decode_wire(w), FM_EPROTO);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "version"));
    w->version = FM_PROTO_VERSION;
    w->quorum = 1;
    CU_ASSERT_EQUAL(decode_wire(w), FM_EPROTO);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "quorum"));
    w->quorum = 4;
    w->initial_model.len = 31;
    CU_ASSERT_EQUAL(decode_wire(w), FM_EPROTO);
    w->initial_model.len = 32;
    w->run.len = 15;
    CU_ASSERT_EQUAL(decode_wire(w), FM_EPROTO);
    w->run.len = 16;
    w->epsilon = -0.0;
    CU_ASSERT_EQUAL(decode_wire(w), FM_EPROTO);
    w->epsilon = 4;
    w->optimizer = 77;
    CU_ASSERT_EQUAL(decode_wire(w), FM_EPROTO);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "optimizer"));
    w->optimizer = 2;
    w->encoding = UINT32_MAX;
    CU_ASSERT_EQUAL(decode_wire(w), FM_EPROTO);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "encoding"));
    w->encoding = 1;
    w->schedule = 0x80000001;
    CU_ASSERT_EQUAL(decode_wire(w), FM_EPROTO);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "schedule"));
    fedmoe__v1__plan__free_unpacked(w, NULL);
    fm_buf_fini(&b);
}

static void every_figure_is_in_the_hash(void)
{
    fm_plan p = sample_plan();
    fm_buf a = encoded(&p), b;
    fm_hash x, y;

    p.colluders = 0;
    b = encoded(&p);
    x = fm_plan_hash(a.data, a.len);
    y = fm_plan_hash(b.data, b.len);
    CU_ASSERT_FALSE(fm_hash_equal(&x, &y));
    fm_buf_fini(&b);
    p = sample_plan();
    p.run[15] ^= 1;
    b = encoded(&p);
    y = fm_plan_hash(b.data, b.len);
    CU_ASSERT_FALSE(fm_hash_equal(&x, &y));
    fm_buf_fini(&b);
    p = sample_plan();
    b = encoded(&p);
    y = fm_plan_hash(b.data, b.len);
    CU_ASSERT_TRUE(fm_hash_equal(&x, &y));
    fm_buf_fini(&a);
    fm_buf_fini(&b);
}

/* Version 3: the fields from encoding on are in the hash, each of them. */
static void every_field_of_version_3_is_in_the_hash(void)
{
    fm_plan p = sample_fast_plan();
    fm_buf a = encoded(&p);
    fm_hash first = fm_plan_hash(a.data, a.len);

    for (int i = 0; i < 15; i++) {
        fm_plan q = sample_fast_plan();
        double *reals[] = { &q.warmup,        &q.final_rate, &q.load_share, &q.balance_rate,
                            &q.clip_quantile, &q.clip_rate,  &q.clip_share, &q.start_scale };
        fm_hash other;
        fm_buf b;

        if (i < 8)
            *reals[i] *= 0.5;
        q.encoding = i == 8 ? FM_ENCODING_EXACT : q.encoding;
        q.schedule = i == 9 ? FM_SCHEDULE_LINEAR : q.schedule;
        q.load_groups += i == 10;
        q.load_experts += i == 11;
        q.start_center += i == 12;
        q.start_count += i == 13;
        q.start_bias += i == 14;
        b = encoded(&q);
        other = fm_plan_hash(b.data, b.len);
        CU_ASSERT_FALSE(fm_hash_equal(&first, &other));
        fm_buf_fini(&b);
    }
    fm_buf_fini(&a);
}

static const fm_test tests[] = {
    { "a plan comes back as it was", a_plan_comes_back_as_it_was },
    { "truncations and a trailing byte are refused", truncations_and_a_trailing_byte_are_refused },
    { "no cut of a plan is a plan", no_cut_of_a_plan_is_a_plan },
    { "a changed byte is refused or is another plan", a_changed_byte_is_refused_or_another_plan },
    { "bad bytes are refused by name", bad_bytes_are_refused_by_name },
    { "every figure is in the hash", every_figure_is_in_the_hash },
    { "every field of version 3 is in the hash", every_field_of_version_3_is_in_the_hash },
};

const fm_test_suite suite_plan = { "proto.plan", tests, FM_TEST_COUNT(tests) };
