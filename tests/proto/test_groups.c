/* Who is in which group: alike for everybody, even, and another draw whenever anything differs. */
#include <string.h>

#include "fedmoe/proto/groups.h"
#include "samples.h"
#include "suites.h"

#define MEMBERS 20u

static uint32_t g_people[MEMBERS];

static fm_round_view view_of(uint32_t count)
{
    fm_round_view v = {
        .federation = "heart", .round = 7, .participants = g_people, .participant_count = count
    };

    for (uint32_t i = 0; i < MEMBERS; i++)
        g_people[i] = 2 * i + 1;
    v.plan = fm_hash_of("plan", "p", 1);
    v.model = fm_hash_of("model", "m", 1);
    return v;
}

/* Written out once more, as the document has it. */
static void draw_slowly(const fm_round_view *v, const fm_hash *seed, uint32_t groups, uint8_t *of)
{
    fm_hash keys[MEMBERS];

    for (uint32_t i = 0; i < v->participant_count; i++) {
        fm_hasher h;

        fm_hasher_begin(&h, "fedmoe place v1");
        fm_hasher_add(&h, seed->bytes, sizeof seed->bytes);
        fm_hasher_add_u64(&h, v->participants[i]);
        keys[i] = fm_hasher_end(&h);
    }
    for (uint32_t i = 0; i < v->participant_count; i++) {
        uint32_t before = 0;

        for (uint32_t j = 0; j < v->participant_count; j++)
            before += memcmp(keys[j].bytes, keys[i].bytes, FM_HASH_BYTES) < 0;
        of[v->participants[i]] = (uint8_t)(before % groups);
    }
}

static fm_hash seed_of(const fm_round_view *v)
{
    fm_hasher h;
    fm_hash p = fm_participants_digest(v->participants, v->participant_count);

    fm_hasher_begin(&h, "fedmoe groups v1");
    fm_hasher_add_part(&h, v->federation, strlen(v->federation));
    fm_hasher_add_u64(&h, v->round);
    fm_hasher_add(&h, v->session.bytes, sizeof v->session.bytes);
    fm_hasher_add(&h, v->roster.bytes, FM_HASH_BYTES);
    fm_hasher_add(&h, v->plan.bytes, FM_HASH_BYTES);
    fm_hasher_add(&h, v->model.bytes, FM_HASH_BYTES);
    fm_hasher_add(&h, p.bytes, FM_HASH_BYTES);
    fm_hasher_add(&h, v->head.bytes, FM_HASH_BYTES);
    return fm_hasher_end(&h);
}

static void the_draw_is_the_documents(void)
{
    const fm_plan p = { .robust_groups = 3, .robust_quorum = 5 };
    fm_round_view v = view_of(MEMBERS);
    const fm_hash seed = seed_of(&v);
    uint8_t slowly[2 * MEMBERS];
    fm_groups g;

    CU_ASSERT_EQUAL_FATAL(fm_groups_draw(&p, &v, &g), FM_OK);
    draw_slowly(&v, &seed, 3, slowly);
    for (uint32_t i = 0; i < MEMBERS; i++)
        CU_ASSERT_EQUAL(g.of[g_people[i]], slowly[g_people[i]]);
    CU_ASSERT_EQUAL(g.of[0], FM_NO_GROUP); /* no participant */
}

static void groups_are_even(void)
{
    for (uint32_t groups = 3; groups <= 9; groups++) {
        const fm_plan p = { .robust_groups = groups, .robust_quorum = 1 };
        uint32_t picked[MEMBERS], total = 0;

        for (uint32_t n = groups; n <= MEMBERS; n++) {
            const fm_round_view v = view_of(n);
            fm_groups g;

            CU_ASSERT_EQUAL_FATAL(fm_groups_draw(&p, &v, &g), FM_OK);
            CU_ASSERT_EQUAL(g.count, groups);
            total = 0;
            for (uint32_t i = 0; i < groups; i++) {
                const uint32_t count = fm_groups_pick(&g, i, g_people, n, picked);

                CU_ASSERT_EQUAL(count, g.sizes[i]);
                CU_ASSERT(count == n / groups || count == n / groups + 1);
                for (uint32_t k = 1; k < count; k++)
                    CU_ASSERT(picked[k] > picked[k - 1]);
                total += count;
            }
            CU_ASSERT_EQUAL(total, n);
        }
    }
}

/* Nobody can be moved from one group to another without all of the round being another. */
static void whatever_is_signed_draws_anew(void)
{
    const fm_plan p = { .robust_groups = 3, .robust_quorum = 5 };
    const fm_round_view v = view_of(MEMBERS);
    fm_round_view others[8];
    fm_groups g, other;

    for (int i = 0; i < 8; i++)
        others[i] = v;
    others[0].federation = "lungs";
    others[1].round++;
    others[2].session.bytes[0] ^= 1;
    others[3].roster.bytes[0] ^= 1;
    others[4].plan.bytes[0] ^= 1;
    others[5].model.bytes[0] ^= 1;
    others[6].head.bytes[0] ^= 1;
    others[7].participant_count--;
    CU_ASSERT_EQUAL_FATAL(fm_groups_draw(&p, &v, &g), FM_OK);
    for (int i = 0; i < 8; i++) {
        CU_ASSERT_EQUAL_FATAL(fm_groups_draw(&p, &others[i], &other), FM_OK);
        CU_ASSERT(memcmp(g.of, other.of, sizeof g.of) != 0);
    }
}

static void one_sum_is_one_group(void)
{
    const fm_plan p = { .quorum = 3 };
    const fm_round_view v = view_of(5);
    uint32_t picked[MEMBERS];
    fm_groups g;

    CU_ASSERT_EQUAL_FATAL(fm_groups_draw(&p, &v, &g), FM_OK);
    CU_ASSERT_EQUAL(g.count, 1);
    CU_ASSERT_EQUAL(fm_groups_pick(&g, 0, g_people, 5, picked), 5);
    CU_ASSERT_EQUAL(fm_groups_check(&g, &p, g_people, 1), FM_OK); /* the quorum is the round's */
}

static void each_group_has_its_quorum(void)
{
    const fm_plan p = { .robust_groups = 3, .robust_quorum = 6 };
    const fm_round_view v = view_of(MEMBERS); /* 7, 7, 6 */
    uint32_t left[MEMBERS];
    fm_groups g;

    CU_ASSERT_EQUAL_FATAL(fm_groups_draw(&p, &v, &g), FM_OK);
    CU_ASSERT_EQUAL(fm_groups_check(&g, &p, g_people, MEMBERS), FM_OK);
    for (uint32_t lost = 0; lost < MEMBERS; lost++) {
        uint32_t count = 0;

        for (uint32_t i = 0; i < MEMBERS; i++)
            if (i != lost)
                left[count++] = g_people[i];
        CU_ASSERT_EQUAL(fm_groups_check(&g, &p, left, count),
                        g.sizes[g.of[g_people[lost]]] == 7 ? FM_OK : FM_EPERM);
    }
}

static void too_few_for_groups(void)
{
    const fm_plan p = { .robust_groups = 3, .robust_quorum = 1 };
    const fm_round_view v = view_of(2);
    fm_groups g;

    CU_ASSERT_EQUAL(fm_groups_draw(&p, &v, &g), FM_EINVAL);
}

static const fm_test tests[] = {
    { "the draw is the document's", the_draw_is_the_documents },
    { "groups are even", groups_are_even },
    { "whatever is signed draws anew", whatever_is_signed_draws_anew },
    { "one sum is one group", one_sum_is_one_group },
    { "each group has its quorum", each_group_has_its_quorum },
    { "too few for groups", too_few_for_groups },
};
const fm_test_suite suite_groups = { "proto.groups", tests, FM_TEST_COUNT(tests) };
