/* Who is in which group, and robust means of their sums: docs/protocol.md, sections 9.4 and 17. */
#include <string.h>

#include "fedmoe/optim/robust.h"
#include "fedmoe/proto/groups.h"
#include "vec.h"
#include "vec_plan.h"

#define PEOPLE 25u
#define SUMS 7u
#define WORDS 9u

/* ---- a plan ---- */

fm_plan vec_plan_groups(void)
{
    fm_plan p = vec_plan_exact();

    p.max_nodes = 12;
    p.quorum = p.min_cohort = 9;
    p.colluders = 1;
    p.robust_groups = 3;
    p.robust_quorum = 3;
    p.robust_mean = FM_ROBUST_MEDIAN;
    return p;
}

/* ---- draws ---- */

static json_t *draw(uint32_t groups, uint32_t count, uint64_t round)
{
    const fm_plan p = { .robust_groups = groups };
    uint32_t people[PEOPLE], of[PEOPLE];
    fm_round_view v = { .federation = "heart",
                        .roster = vec_count(1),
                        .plan = vec_count(2),
                        .model = vec_count(3),
                        .head = vec_count(4),
                        .round = round,
                        .participants = people,
                        .participant_count = count };
    fm_groups g;

    vec_fill(v.session.bytes, sizeof v.session.bytes, 9);
    for (uint32_t i = 0; i < count; i++)
        people[i] = 2 * i + i / 5;
    vec_need(fm_groups_draw(&p, &v, &g) == FM_OK, "groups");
    for (uint32_t i = 0; i < count; i++)
        of[i] = g.of[people[i]];
    return json_pack("{s:i,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "groups", (int)groups,
                     "federation", v.federation, "round", vec_u64(round), "session",
                     vec_hex(v.session.bytes, sizeof v.session.bytes), "roster",
                     vec_hash(&v.roster), "plan", vec_hash(&v.plan), "model", vec_hash(&v.model),
                     "head", vec_hash(&v.head), "participants", vec_list_u32(people, count),
                     "group", vec_list_u32(of, count));
}

static json_t *draws(void)
{
    static const uint32_t groups[] = { 3, 3, 3, 4, 5, 25 }, counts[] = { 9, 10, 25, 24, 25, 25 };
    json_t *list = json_array();

    for (uint64_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        json_array_append_new(list, draw(groups[i], counts[i], 7 + i));
    return list;
}

/* ---- means ---- */

static float g_sums[SUMS][WORDS];

static void read_one(const void *ctx, size_t at, size_t n, float *out)
{
    memcpy(out, (const float *)ctx + at, n * sizeof(float));
}

static json_t *floats_json(const float *x)
{
    json_t *list = json_array();

    for (size_t i = 0; i < WORDS; i++)
        json_array_append_new(list, json_real((double)x[i]));
    return list;
}

static json_t *mean(fm_robust_rule rule, uint32_t count, uint32_t trim, float spoiled)
{
    fm_optim_source of[SUMS];
    fm_robust r = { .rule = rule, .sums = count, .trim = trim, .of = of, .n = WORDS };
    json_t *sums = json_array();
    float out[WORDS];

    for (uint32_t i = 0; i < count; i++) {
        for (size_t k = 0; k < WORDS; k++)
            g_sums[i][k] = (float)((int)((13 * i + 7 * k + 3) % 31) - 15) * 0.3125f;
        of[i] = (fm_optim_source){ read_one, g_sums[i] };
    }
    for (size_t k = 0; k < WORDS; k++)
        g_sums[1][k] = spoiled;
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(sums, floats_json(g_sums[i]));
    vec_need(fm_robust_prepare(&r) == FM_OK, "a robust mean");
    fm_robust_read(&r, 0, WORDS, out);
    return json_pack("{s:i,s:i,s:o,s:o}", "robust_mean", (int)rule, "robust_trim", (int)trim,
                     "sums", sums, "estimate", floats_json(out));
}

static json_t *means(void)
{
    static const float spoiled[] = { 0.5f, -1e6f };
    json_t *list = json_array();

    for (int s = 0; s < 2; s++)
        for (uint32_t count = 3; count <= SUMS; count++) {
            json_array_append_new(list, mean(FM_ROBUST_RULE_MEDIAN, count, 0, spoiled[s]));
            json_array_append_new(list, mean(FM_ROBUST_RULE_TRIMMED, count, 1, spoiled[s]));
            json_array_append_new(list, mean(FM_ROBUST_RULE_GEOMETRIC, count, 0, spoiled[s]));
        }
    return list;
}

json_t *vec_groups(void)
{
    return json_pack("{s:o,s:o}", "draws", draws(), "means", means());
}
