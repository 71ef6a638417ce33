/*
 * Random walks: nodes read, leave, come back, lie and are late in any order. Whatever happens,
 * each finished round is the plain sum of its survivors, and in the end all rounds finish.
 */
#include <stdio.h>
#include <string.h>

#include "federation.h"
#include "suites.h"

#define WALKS 120
#define STEPS 600
#define MEMBERS 6

static const spec six = {
    .max_nodes = 6, .min_cohort = 3, .quorum = 4, .colluders = 1, .rounds = 6
};

/* Nodes of the last finished round, from what its survivors were told. */
static uint32_t survivors_of(const federation *f, uint32_t out[PEOPLE])
{
    uint64_t round = f->entries[f->entry_count - 1].round;
    const ended *e = &f->rounds[f->round_count - 1];

    CU_ASSERT(e->finished && e->round == round);
    for (uint32_t i = 0; i < PEOPLE; i++) {
        const node *n = &f->nodes[i];

        if (n->round != round || n->survivor_count != e->survivors)
            continue;
        for (uint32_t s = 0; s < n->survivor_count; s++)
            out[s] = (uint32_t)(fm_peer_info(n->members[n->survivors[s]])->name[5] - 'a');
        return n->survivor_count;
    }
    return 0;
}

static void read_one(federation *f, uint32_t i)
{
    fm_message answer;
    bool answered = false;
    uint32_t before = f->entry_count, survivors[PEOPLE], count;

    if (f->nodes[i].peer == 0 || f->nodes[i].waiting == 0)
        return;
    node_read(f, &f->nodes[i], &answered, &answer);
    if (!answered)
        return;
    fed_say(f, i, &answer);
    if (f->entry_count == before)
        return;
    /* Only a release finishes a round, and its sender knows the survivors. */
    CU_ASSERT_EQUAL(answer.type, FM_MSG_RELEASE);
    count = survivors_of(f, survivors);
    CU_ASSERT(count >= six.quorum);
    CU_ASSERT(fed_stepped(f, survivors, count));
}

/* Something that is never right, or not now. */
static void lie(federation *f, uint32_t i)
{
    static const uint8_t bytes[PARAMETERS * 4];
    fm_message m = { .type = (fm_msg_type)(1 + fm_rng_below(&f->rng, FM_MSG_LAST)) };
    uint64_t round = f->last_given + 1 - fm_rng_below(&f->rng, 3);

    if (f->nodes[i].peer == 0)
        return;
    switch (m.type) {
    case FM_MSG_MODEL_WANT:
        fm_rng_below(&f->rng, 2) ? (void)(m.model_want.model_hash = f->nodes[i].model_hash)
                                 : (void)(m.model_want.at = 5);
        break;
    case FM_MSG_UPDATE_PIECE:
        m.update_piece.round = round;
        m.update_piece.at = 4 * fm_rng_below(&f->rng, 2);
        m.update_piece.piece = (fm_bytes){ bytes, sizeof bytes - (size_t)fm_rng_below(&f->rng, 9) };
        break;
    case FM_MSG_MASKED_UPDATE:
        m.masked_update.round = round;
        m.masked_update.signature = (fm_bytes){ bytes, 8 };
        break;
    case FM_MSG_COMMIT:
        m.commit.round = round;
        m.commit.signature = (fm_bytes){ bytes, 8 };
        break;
    case FM_MSG_RELEASE: /* with the right lost nodes this would be believed */
        m.release.round = f->last_given + 1;
        break;
    case FM_MSG_ABANDON:
        m.abandon.round = round;
        break;
    default:
        break;
    }
    fed_say(f, i, &m);
}

static void step(federation *f)
{
    uint32_t i = (uint32_t)fm_rng_below(&f->rng, MEMBERS);
    uint64_t what = fm_rng_below(&f->rng, 1000);

    if (what < 6) {
        if (f->nodes[i].peer)
            fed_leave(f, i);
    } else if (what < 8) {
        lie(f, i);
    } else if (what < 22) {
        fed_join(f, i); /* also while it is still connected */
    } else if (what < 32) {
        fed_tick(f, fm_rng_below(&f->rng, PHASE_MS / 2));
    } else {
        read_one(f, i);
    }
}

static void calm(federation *f)
{
    for (int turn = 0; turn < 200 && fed_phase(f) != FM_COORD_FINISHED; turn++) {
        bool some = true;

        for (uint32_t i = 0; i < MEMBERS; i++)
            if (f->nodes[i].peer == 0)
                fed_join(f, i);
        while (some) {
            some = false;
            for (uint32_t i = 0; i < MEMBERS; i++) {
                some |= f->nodes[i].peer != 0 && f->nodes[i].waiting > 0;
                read_one(f, i);
            }
        }
        fed_tick(f, PHASE_MS);
    }
}

static void walks(void)
{
    size_t finished_wild = 0, abandoned = 0, drops = 0;

    for (uint64_t seed = 1; seed <= WALKS; seed++) {
        unsigned failures = CU_get_number_of_failures();
        static federation f;

        fed_make(&f, &six);
        f.rng = fm_rng_seeded(&f.seed, seed);
        f.trusting = true;
        fed_join_all(&f, MEMBERS);
        for (int i = 0; i < STEPS; i++)
            step(&f);
        finished_wild += f.entry_count;
        calm(&f);
        CU_ASSERT_EQUAL(fed_phase(&f), FM_COORD_FINISHED);
        CU_ASSERT_EQUAL(f.entry_count, six.rounds);
        for (size_t i = 1; i < f.round_count; i++)
            CU_ASSERT(f.rounds[i].round > f.rounds[i - 1].round);
        abandoned += f.round_count - f.entry_count;
        drops += f.drop_count;
        if (CU_get_number_of_failures() != failures)
            printf("\n    seed %llu", (unsigned long long)seed);
        fed_end(&f);
    }
    printf("\n    %d walks: %zu rounds finished on the way, %zu abandoned, %zu drops", WALKS,
           finished_wild, abandoned, drops);
    CU_ASSERT(finished_wild > 0 && abandoned > 0 && drops > 0);
}

static const fm_test tests[] = {
    { "random walks finish with plain sums", walks },
};
const fm_test_suite suite_round_random = { "aggregator.round.random", tests, FM_TEST_COUNT(tests) };
