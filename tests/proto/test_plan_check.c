/* Which plans are plans: each field's range, and what belongs together. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "samples.h"
#include "suites.h"

static bool bad(const fm_plan *p, const char *field)
{
    bool named;
    fm_buf b = { .len = 0 };

    named = fm_plan_check(p) == FM_EINVAL && strstr(fm_error_text(), field);
    if (!named)
        printf("\n  '%s' does not name %s\n", fm_error_text(), field);
    return named && fm_plan_encode(p, &b) == FM_EINVAL && b.len == 0;
}

static void real_fields_have_their_ranges(void)
{
    const struct {
        const char *name;
        size_t at;
        double good[2], bad[2];
    } f[] = {
#define FIELD(n) #n, offsetof(fm_plan, n)
        { FIELD(epsilon), { 1e-300, 1000 }, { 0, 1000.1 } },
        { FIELD(delta), { 1e-300, 0.999 }, { 0, 1 } },
        { FIELD(clip_norm), { 1e-6, 1e6 }, { 0.9e-6, 1.1e6 } },
        { FIELD(sampling_rate), { 1e-300, 1 }, { 0, 1.0001 } },
        { FIELD(noise_multiplier), { 1e-9, 1e6 }, { -1, 1.1e6 } },
        { FIELD(expected_units), { 1, 16777216 }, { 0.5, 16777217 } },
        { FIELD(learning_rate), { 1e-300, 1e6 }, { 0, 1.1e6 } },
        { FIELD(momentum), { 0, 0.9999 }, { -0.1, 1 } },
        { FIELD(beta2), { 0, 0.9999 }, { -0.1, 1 } },
        { FIELD(averaging), { 0, 0.9999 }, { -0.1, 1 } },
        { FIELD(adam_epsilon), { 1e-300, 1 }, { 0, 1.1 } },
        { FIELD(warmup), { 0, 0.9999 }, { -0.1, 1 } },
        { FIELD(final_rate), { 0, 1 }, { -0.1, 1.0001 } },
        { FIELD(load_share), { 1e-300, 0.5 }, { 0, 0.5001 } },
        { FIELD(balance_rate), { 0, 1 }, { -0.1, 1.0001 } },
        { FIELD(clip_quantile), { 1e-300, 0.9999 }, { -0.1, 1 } },
        { FIELD(clip_rate), { 0, 2 }, { -0.1, 2.0001 } },
        { FIELD(clip_share), { 1e-300, 0.5 }, { 0, 0.5001 } },
        { FIELD(start_scale), { 1e-6, 1000 }, { 1e-7, 1000.1 } },
#undef FIELD
    };
    const double never[] = { NAN, INFINITY, -INFINITY };

    for (size_t i = 0; i < sizeof f / sizeof f[0]; i++) {
        fm_plan p = sample_fast_plan();
        char *at = (char *)&p + f[i].at;

        for (int k = 0; k < 2; k++) {
            memcpy(at, &f[i].good[k], sizeof(double));
            CU_ASSERT_EQUAL(fm_plan_check(&p), FM_OK);
            memcpy(at, &f[i].bad[k], sizeof(double));
            CU_ASSERT_TRUE(bad(&p, f[i].name));
        }
        for (int k = 0; k < 3; k++) {
            memcpy(at, &never[k], sizeof(double));
            CU_ASSERT_TRUE(bad(&p, f[i].name));
        }
    }
}

static void no_noise_needs_an_epsilon_that_says_so(void)
{
    fm_plan p = sample_plan();

    p.noise_multiplier = 0;
    CU_ASSERT_TRUE(bad(&p, "noise_multiplier"));
    p.epsilon = 1000;
    CU_ASSERT_EQUAL(fm_plan_check(&p), FM_OK);
}

static void whole_fields_have_their_ranges(void)
{
    const struct {
        const char *name;
        size_t at;
        uint32_t good[2], bad[2];
    } f[] = {
#define FIELD(n) #n, offsetof(fm_plan, n)
        { FIELD(rounds), { 1, FM_MAX_ROUNDS }, { 0, FM_MAX_ROUNDS + 1 } },
        { FIELD(max_units), { 1, 1u << 24 }, { 0, (1u << 24) + 1 } },
        { FIELD(parameters), { 1, FM_MAX_PARAMETERS }, { 0, FM_MAX_PARAMETERS + 1 } },
        { FIELD(min_cohort), { 2, 5 }, { 1, 6 } },
        { FIELD(quorum), { 4, 5 }, { 3, 6 } },
        { FIELD(max_nodes), { 4, 6 }, { 1, FM_MAX_NODES + 1 } },
        { FIELD(colluders), { 0, 2 }, { 4, UINT32_MAX } },
        { FIELD(load_groups), { 1, 16 }, { 0, 17 } },
        { FIELD(load_experts), { 2, 256 }, { 1, 257 } },
        /* 12345 parameters, of which 18 are the tail. */
        { FIELD(start_center), { 41, 12027 }, { 12028, UINT32_MAX } },
        { FIELD(start_count), { 1, 1327 }, { 1328, UINT32_MAX } },
        { FIELD(start_bias), { 0, 10999 }, { 11000, 11299 } },
        { FIELD(word_bits), { 16, 24 }, { 0, 31 } },
        { FIELD(word_bits), { 32, 32 }, { 8, 40 } },
        { FIELD(mask_density), { 256, 256 }, { 0, 257 } },
        { FIELD(mask_density), { 256, 256 }, { 1, 255 } }, /* so few nodes take all */
        { FIELD(start_bias), { 11300, 12326 }, { 12327, UINT32_MAX } },
#undef FIELD
    };

    for (size_t i = 0; i < sizeof f / sizeof f[0]; i++) {
        fm_plan p = f[i].at >= offsetof(fm_plan, load_groups) ? sample_fast_plan() : sample_plan();
        char *at = (char *)&p + f[i].at;

        for (int k = 0; k < 2; k++) {
            memcpy(at, &f[i].good[k], sizeof(uint32_t));
            CU_ASSERT_EQUAL(fm_plan_check(&p), FM_OK);
            memcpy(at, &f[i].bad[k], sizeof(uint32_t));
            CU_ASSERT_TRUE(bad(&p, f[i].name));
        }
    }
    fm_plan p = sample_plan();
    p.optimizer = (fm_optimizer_kind)3;
    CU_ASSERT_TRUE(bad(&p, "optimizer"));
    p.optimizer = (fm_optimizer_kind)0;
    CU_ASSERT_TRUE(bad(&p, "optimizer"));
    for (int v = -1; v <= 4; v++) {
        p = sample_plan();
        p.encoding = (fm_encoding)v;
        CU_ASSERT_TRUE(v == 1 || v == 2 ? fm_plan_check(&p) == FM_OK : bad(&p, "encoding"));
        p = sample_plan();
        p.schedule = (fm_schedule)v;
        CU_ASSERT_TRUE(v >= 1 && v <= 3 ? fm_plan_check(&p) == FM_OK : bad(&p, "schedule"));
    }
}

static fm_plan local_plan(void)
{
    fm_plan p = sample_plan();

    p.noise = FM_NOISE_LOCAL;
    p.optimizer = FM_OPTIMIZER_SGD;
    p.momentum = 0.0;
    p.local_steps = 4;
    p.local_rate = 0.5;
    p.proximal = 2.0;
    p.correction = FM_CORRECTION_SCAFFOLD;
    return p;
}

static void local_steps_have_local_noise_and_all_their_fields(void)
{
    fm_plan p = local_plan();

    CU_ASSERT_EQUAL(fm_plan_check(&p), FM_OK);
    for (uint32_t steps = 0; steps <= 65; steps++) {
        p.local_steps = steps;
        CU_ASSERT_TRUE(steps >= 2 && steps <= 64 ? fm_plan_check(&p) == FM_OK
                       : steps == 0              ? bad(&p, "local_rate")
                                                 : bad(&p, "local_steps"));
    }
#define CHANGED(field, value, name)    \
    do {                               \
        p = local_plan();              \
        p.field = value;               \
        CU_ASSERT_TRUE(bad(&p, name)); \
    } while (0)
    CHANGED(noise, FM_NOISE_DISTRIBUTED, "full noise"); /* the point of it all */
    CHANGED(local_rate, 0.0, "local_rate");
    CHANGED(local_rate, 1.1e6, "local_rate");
    CHANGED(local_rate, NAN, "local_rate");
    CHANGED(proximal, -0.1, "proximal");
    CHANGED(proximal, 2.1, "proximal"); /* a step would go beyond the server's model */
    CHANGED(correction, (fm_correction)2, "correction");
    CHANGED(optimizer, FM_OPTIMIZER_ADAM, "SCAFFOLD");
    CHANGED(momentum, 0.1, "SCAFFOLD");
    CHANGED(schedule, FM_SCHEDULE_LINEAR, "SCAFFOLD");
    CHANGED(warmup, 0.1, "SCAFFOLD");
#undef CHANGED
    p = local_plan();
    p.clip_quantile = 0.5;
    p.clip_share = 0.1;
    CU_ASSERT_TRUE(bad(&p, "SCAFFOLD"));
    p.correction = FM_CORRECTION_NONE;
    CU_ASSERT_EQUAL(fm_plan_check(&p), FM_OK);
    p = sample_plan();
    p.proximal = 1.0;
    CU_ASSERT_TRUE(bad(&p, "without local_steps"));
}

/* A plan without local steps has the bytes that it had before there were any. */
static void plans_with_and_without_local_steps_are_read_back(void)
{
    for (int local = 0; local < 2; local++) {
        fm_plan p = local ? local_plan() : sample_plan(), got = { .epsilon = 0 };
        fm_buf b = { 0 };

        fm_buf_init(&b, FM_MAX_PLAN_BYTES);
        CU_ASSERT_EQUAL_FATAL(fm_plan_encode(&p, &b), FM_OK);
        CU_ASSERT_EQUAL(memmem(b.data, b.len, "\xb0\x04\x04", 3) != NULL, local); /* field 70 */
        CU_ASSERT_EQUAL_FATAL(fm_plan_decode(b.data, b.len, &got), FM_OK);
        CU_ASSERT_EQUAL(got.local_steps, p.local_steps);
        CU_ASSERT_EQUAL(got.local_rate, p.local_rate);
        CU_ASSERT_EQUAL(got.proximal, p.proximal);
        CU_ASSERT_EQUAL(got.correction, p.correction);
        fm_plan_fini(&got);
        fm_buf_fini(&b);
    }
}

/* Which density is enough is dp's affair. */
static void more_than_32_nodes_may_have_fewer_masks(void)
{
    fm_plan p = sample_plan();

    p.max_nodes = 33;
    p.quorum = 20;
    for (p.mask_density = 1; p.mask_density <= 256; p.mask_density++)
        CU_ASSERT_EQUAL(fm_plan_check(&p), FM_OK);
    CU_ASSERT_TRUE(bad(&p, "mask_density")); /* 257 */
    p.mask_density = 0;
    CU_ASSERT_TRUE(bad(&p, "mask_density"));
    p.max_nodes = 32;
    p.mask_density = 255;
    CU_ASSERT_TRUE(bad(&p, "must be 256 up to 32 max_nodes"));
}

/* What counts for nothing must be 0: one plan has one hash. */
static void the_tail_and_what_fills_it_belong_together(void)
{
    fm_plan p = sample_plan();

    CU_ASSERT_EQUAL(fm_plan_tail(&p), 0);
    p.load_experts = 8;
    CU_ASSERT_TRUE(bad(&p, "load_experts"));
    p = sample_plan();
    p.load_share = 0.1;
    CU_ASSERT_TRUE(bad(&p, "load_share"));
    p = sample_plan();
    p.balance_rate = 0.1;
    CU_ASSERT_TRUE(bad(&p, "balance_rate"));
    p = sample_plan();
    p.clip_share = 0.1;
    CU_ASSERT_TRUE(bad(&p, "clip_share"));
    p = sample_plan();
    p.clip_rate = 0.1;
    CU_ASSERT_TRUE(bad(&p, "clip_rate"));
    p = sample_fast_plan();
    CU_ASSERT_EQUAL(fm_plan_tail(&p), 18);
    p.start_count = p.start_center = p.start_bias = 0;
    p.start_scale = 0.0;
    CU_ASSERT_EQUAL(fm_plan_tail(&p), 17);
    p.parameters = 17; /* no room for a weight */
    CU_ASSERT_TRUE(bad(&p, "parameters"));
    p.parameters = 18;
    CU_ASSERT_EQUAL(fm_plan_check(&p), FM_OK);
    p.encoding = FM_ENCODING_EXACT; /* a tail rides in either */
    CU_ASSERT_EQUAL(fm_plan_check(&p), FM_OK);
    p.clip_quantile = p.clip_share = p.clip_rate = 0.0;
    CU_ASSERT_EQUAL(fm_plan_check(&p), FM_OK);
    CU_ASSERT_EQUAL(fm_plan_tail(&p), 16);
}

static void a_statistics_round_has_all_its_fields_or_none(void)
{
    fm_plan p = sample_fast_plan();

    CU_ASSERT_EQUAL(fm_plan_check(&p), FM_OK);
    p.rounds = 1;
    CU_ASSERT_TRUE(bad(&p, "statistics round"));
    p = sample_fast_plan();
    p.start_count = 0;
    CU_ASSERT_TRUE(bad(&p, "start_count"));
    p = sample_fast_plan(); /* a center that stays as it is */
    p.start_scale = 0.0;
    CU_ASSERT_TRUE(bad(&p, "start_bias"));
    p.start_bias = 0;
    CU_ASSERT_EQUAL(fm_plan_check(&p), FM_OK);
    CU_ASSERT_EQUAL(fm_plan_tail(&p), 17);
    p.rounds = 1;
    CU_ASSERT_EQUAL(fm_plan_check(&p), FM_OK);
    p = sample_plan();
    p.start_center = 1;
    CU_ASSERT_TRUE(bad(&p, "start_center"));
    p = sample_plan();
    p.start_bias = 1;
    CU_ASSERT_TRUE(bad(&p, "start_bias"));
    p = sample_plan();
    p.start_scale = 1.0;
    CU_ASSERT_TRUE(bad(&p, "start_scale"));
}

static void queries_are_exact_and_have_no_tail(void)
{
    static char query[] = "items: []\n";
    fm_plan p = sample_plan();

    p.task = FM_TASK_STATISTICS;
    p.optimizer = FM_OPTIMIZER_SUM;
    p.model_text = NULL;
    p.query_text = query;
    CU_ASSERT_EQUAL(fm_plan_check(&p), FM_OK);
    p.encoding = FM_ENCODING_FAST;
    CU_ASSERT_TRUE(bad(&p, "encoding"));
    p.encoding = FM_ENCODING_EXACT;
    p.load_groups = 1;
    p.load_experts = 2;
    p.load_share = 0.1;
    CU_ASSERT_TRUE(bad(&p, "load counts"));
    p.load_groups = p.load_experts = 0;
    p.load_share = 0.0;
    p.clip_quantile = 0.5;
    p.clip_share = 0.1;
    CU_ASSERT_TRUE(bad(&p, "votes"));
    p.clip_quantile = p.clip_share = 0.0;
    p.start_count = 1;
    p.start_bias = 1;
    p.start_scale = 1.0;
    CU_ASSERT_TRUE(bad(&p, "statistics round"));
}

static void an_evaluation_says_what_its_model_was_clipped_at(void)
{
    static char query[] = "items: []\n";
    fm_plan p = sample_plan(), back = { 0 };
    fm_buf with = { .len = 0 }, without = { .len = 0 };

    p.model_clip_norm = 0.5;
    CU_ASSERT_TRUE(bad(&p, "model_clip_norm"));
    p.task = FM_TASK_EVALUATION;
    p.optimizer = FM_OPTIMIZER_SUM;
    p.query_text = query;
    p.frozen = 5;
    CU_ASSERT_EQUAL_FATAL(fm_plan_encode(&p, &with), FM_OK);
    CU_ASSERT_EQUAL(fm_plan_decode(with.data, with.len, &back), FM_OK);
    CU_ASSERT_EQUAL(back.model_clip_norm, 0.5);
    fm_plan_fini(&back);
    p.model_clip_norm = 0.0; /* and costs no byte where it says nothing */
    CU_ASSERT_EQUAL_FATAL(fm_plan_encode(&p, &without), FM_OK);
    CU_ASSERT(without.len < with.len);
    for (int i = 0; i < 3; i++) {
        p.model_clip_norm = i == 0 ? -0.1 : i == 1 ? 1.1e6 : (double)NAN;
        CU_ASSERT_TRUE(bad(&p, "model_clip_norm"));
    }
    fm_buf_fini(&with);
    fm_buf_fini(&without);
}

static void the_quorum_is_above_half_with_the_colluders(void)
{
    CU_ASSERT_EQUAL(fm_plan_min_quorum(2, 0), 2);
    CU_ASSERT_EQUAL(fm_plan_min_quorum(3, 0), 2);
    CU_ASSERT_EQUAL(fm_plan_min_quorum(3, 1), 3);
    CU_ASSERT_EQUAL(fm_plan_min_quorum(10, 3), 7);
    CU_ASSERT_EQUAL(fm_plan_min_quorum(UINT32_MAX, UINT32_MAX), 0); /* 2^32: nobody's plan */
    for (uint32_t n = 2; n <= 40; n++)
        for (uint32_t c = 0; c < n; c++) {
            uint32_t t = fm_plan_min_quorum(n, c);

            /* Two sets of t among n share more than c members; t - 1 would not do. */
            CU_ASSERT_TRUE(2 * t > n + c);
            CU_ASSERT_TRUE(2 * (t - 1) <= n + c);
        }
}

/* However many nodes, what is under way to all of them is 16 MiB, and a piece fits a message. */
static void windows_share_what_the_aggregator_has_for_them(void)
{
    fm_plan p = sample_plan();

    p.max_nodes = 2;
    CU_ASSERT_EQUAL(fm_plan_window_bytes(&p), 4u << 20);
    CU_ASSERT_EQUAL(fm_plan_piece_bytes(&p), 1u << 20);
    p.max_nodes = FM_MAX_NODES;
    CU_ASSERT_EQUAL(FM_MAX_NODES, 1024);
    CU_ASSERT_EQUAL(fm_plan_window_bytes(&p), 64u << 10);
    CU_ASSERT_EQUAL(fm_plan_piece_bytes(&p), 16u << 10);
    for (uint32_t n = 2; n <= FM_MAX_NODES; n++) {
        uint32_t window, piece;

        p.max_nodes = n;
        window = fm_plan_window_bytes(&p);
        piece = fm_plan_piece_bytes(&p);
        CU_ASSERT(window >= 64u << 10 && window <= 4u << 20);
        CU_ASSERT(piece <= window && piece <= FM_MAX_PIECE_BYTES);
        if (n < 4) /* the largest */
            CU_ASSERT_EQUAL(window, 4u << 20);
        if (n > 256) /* the smallest: all that is more than 16 MiB */
            CU_ASSERT_EQUAL(window, 64u << 10);
        if (n >= 4 && n <= 256) /* all of it, but for what is left of the division */
            CU_ASSERT((uint64_t)window * n <= 16u << 20 && (uint64_t)(window + 1) * n > 16u << 20);
    }
}

static void texts_are_checked(void)
{
    fm_plan p = sample_plan();
    static char big[FM_MAX_TEXT_BYTES + 2], control[] = "a: \x07", empty[] = "";

    strcpy(p.federation, "Heart");
    CU_ASSERT_TRUE(bad(&p, "federation"));
    strcpy(p.federation, "-heart");
    CU_ASSERT_TRUE(bad(&p, "federation"));
    memset(p.federation, 'a', sizeof p.federation);
    CU_ASSERT_TRUE(bad(&p, "federation"));
    p = sample_plan();
    p.purpose[0] = '\0';
    CU_ASSERT_TRUE(bad(&p, "purpose"));
    strcpy(p.purpose, "two\nlines");
    CU_ASSERT_TRUE(bad(&p, "purpose"));
    memset(p.purpose, 'a', sizeof p.purpose);
    CU_ASSERT_TRUE(bad(&p, "purpose"));
    p = sample_plan();
    memcpy(p.privacy_unit, "two\nlines", sizeof "two\nlines");
    CU_ASSERT_TRUE(bad(&p, "privacy_unit"));
    p = sample_plan();
    p.model_text = NULL;
    CU_ASSERT_TRUE(bad(&p, "model_text"));
    p.model_text = control;
    CU_ASSERT_TRUE(bad(&p, "model_text"));
    memset(big, 'a', sizeof big - 1);
    p = sample_plan();
    p.schema_text = big;
    CU_ASSERT_TRUE(bad(&p, "schema_text"));
    p.schema_text = empty;
    CU_ASSERT_TRUE(bad(&p, "schema_text"));
    big[FM_MAX_TEXT_BYTES] = '\0';
    p.schema_text = big;
    CU_ASSERT_EQUAL(fm_plan_check(&p), FM_OK);
}

static fm_plan plan_of_groups(void)
{
    fm_plan p = sample_plan();

    p.max_nodes = 12;
    p.min_cohort = 9;
    p.quorum = 9;
    p.colluders = 1;
    p.robust_groups = 3;
    p.robust_quorum = 3;
    p.robust_mean = FM_ROBUST_MEDIAN;
    return p;
}

static void groups_have_all_their_fields_or_none(void)
{
    fm_plan p = plan_of_groups(), back = { 0 };
    fm_buf b = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_plan_encode(&p, &b), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_plan_decode(b.data, b.len, &back), FM_OK);
    CU_ASSERT(back.robust_groups == 3 && back.robust_quorum == 3 &&
              back.robust_mean == FM_ROBUST_MEDIAN && back.robust_trim == 0);
    fm_plan_fini(&back);
    fm_buf_fini(&b);
    p.robust_groups = 0;
    CU_ASSERT_TRUE(bad(&p, "robust_groups"));
    p = plan_of_groups(), p.robust_groups = 2;
    CU_ASSERT_TRUE(bad(&p, "robust_groups"));
    p = plan_of_groups(), p.robust_groups = FM_MAX_GROUPS + 1;
    CU_ASSERT_TRUE(bad(&p, "robust_groups"));
    p = plan_of_groups(), p.robust_mean = FM_ROBUST_NONE;
    CU_ASSERT_TRUE(bad(&p, "robust_mean"));
    p = plan_of_groups(), p.robust_mean = (fm_robust_mean)4;
    CU_ASSERT_TRUE(bad(&p, "robust_mean"));
    p = plan_of_groups(), p.robust_trim = 1;
    CU_ASSERT_TRUE(bad(&p, "robust_trim"));
    p = plan_of_groups(), p.robust_mean = FM_ROBUST_TRIMMED;
    CU_ASSERT_TRUE(bad(&p, "robust_trim"));
    p.robust_trim = 1;
    CU_ASSERT_EQUAL(fm_plan_check(&p), FM_OK);
    p.robust_trim = 2; /* nothing would be left */
    CU_ASSERT_TRUE(bad(&p, "robust_trim"));
}

/* All colluders in one group, and still two honest nodes in its sum; and all groups at once. */
static void a_group_is_never_too_small(void)
{
    fm_plan p = plan_of_groups();

    p.robust_quorum = 2; /* the colluder and one honest node */
    CU_ASSERT_TRUE(bad(&p, "robust_quorum"));
    p = plan_of_groups(), p.colluders = 0, p.robust_quorum = 2; /* half of four */
    CU_ASSERT_TRUE(bad(&p, "more than half"));
    p = plan_of_groups(), p.min_cohort = 8;
    CU_ASSERT_TRUE(bad(&p, "min_cohort"));
    p = plan_of_groups(), p.max_nodes = 40, p.quorum = p.min_cohort = 30, p.robust_quorum = 8;
    p.mask_density = 200;
    CU_ASSERT_TRUE(bad(&p, "mask_density"));
    p.mask_density = FM_PLAN_DENSITY_ALL;
    CU_ASSERT_EQUAL(fm_plan_check(&p), FM_OK);
}

static const fm_test tests[] = {
    { "groups have all their fields or none", groups_have_all_their_fields_or_none },
    { "a group is never too small", a_group_is_never_too_small },
    { "real fields have their ranges", real_fields_have_their_ranges },
    { "no noise needs an epsilon that says so", no_noise_needs_an_epsilon_that_says_so },
    { "whole fields have their ranges", whole_fields_have_their_ranges },
    { "local steps have local noise and all their fields",
      local_steps_have_local_noise_and_all_their_fields },
    { "plans with and without local steps are read back",
      plans_with_and_without_local_steps_are_read_back },
    { "more than 32 nodes may have fewer masks", more_than_32_nodes_may_have_fewer_masks },
    { "the tail and what fills it belong together", the_tail_and_what_fills_it_belong_together },
    { "a statistics round has all its fields or none",
      a_statistics_round_has_all_its_fields_or_none },
    { "queries are exact and have no tail", queries_are_exact_and_have_no_tail },
    { "an evaluation says what its model was clipped at",
      an_evaluation_says_what_its_model_was_clipped_at },
    { "the quorum is above half with the colluders", the_quorum_is_above_half_with_the_colluders },
    { "windows share what the aggregator has for them",
      windows_share_what_the_aggregator_has_for_them },
    { "texts are checked", texts_are_checked },
};

const fm_test_suite suite_plan_check = { "proto.plan_check", tests, FM_TEST_COUNT(tests) };
