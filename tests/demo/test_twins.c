/* What node and aggregator each compute from a plan, knowing nothing of the other, is the same. */
#include <stdio.h>
#include <stdlib.h>

#include "fedmoe/node/step.h"
#include "fedmoe/replay/replay.h"
#include "samples.h"
#include "suites.h"

#define PLANS 4000

static uint32_t between(fm_rng *rng, uint32_t lo, uint32_t hi)
{
    return lo + (uint32_t)fm_rng_below(rng, (uint64_t)hi - lo + 1);
}

/* Every field that a lattice, or the tail, could be made of. Not every such plan is valid. */
static fm_plan any_plan(fm_rng *rng)
{
    fm_plan p = sample_fast_plan();

    p.clip_norm = (double)between(rng, 1, 1000000) / 1000.0;
    p.noise_multiplier = (double)between(rng, 0, 5000) / 1000.0;
    p.max_units = between(rng, 1, 1u << between(rng, 1, 24));
    p.expected_units = (double)p.max_units;
    p.max_nodes = between(rng, 2, 60);
    p.colluders = between(rng, 0, p.max_nodes - 2);
    p.quorum = between(rng, fm_plan_min_quorum(p.max_nodes, p.colluders), p.max_nodes);
    p.noise = between(rng, 0, 1) ? FM_NOISE_LOCAL : FM_NOISE_DISTRIBUTED;
    p.encoding = between(rng, 0, 1) ? FM_ENCODING_FAST : FM_ENCODING_EXACT;
    p.word_bits = 8 * between(rng, 2, 4);
    p.mask_density = FM_PLAN_DENSITY_ALL;
    p.load_groups = between(rng, 0, 3);
    p.load_experts = p.load_groups ? between(rng, 2, 9) : 0;
    p.load_share = p.load_groups ? 0.1 : 0.0;
    p.clip_quantile = between(rng, 0, 1) ? 0.5 : 0.0;
    p.clip_rate = p.clip_share = p.clip_quantile > 0.0 ? 0.2 : 0.0;
    p.start_center = 0;
    p.start_count = between(rng, 0, 1) ? 2 : 0;
    p.start_bias = p.start_count ? 5 : 0;
    p.start_scale = p.start_count ? 1.0 : 0.0;
    p.local_steps = p.noise == FM_NOISE_LOCAL && between(rng, 0, 1) ? between(rng, 2, 9) : 0;
    p.patience = p.local_steps == 0 && between(rng, 0, 1) ? 3 : 0;
    p.held_share = p.patience ? 0.1 : 0.0;
    p.held_bound = p.patience ? 1.0 : 0.0;
    p.held_bins = p.patience && between(rng, 0, 1) ? 4u << between(rng, 0, 1) : 0;
    p.robust_groups = p.max_nodes >= 3 * (p.colluders + 2) && between(rng, 0, 1) ? 3 : 0;
    p.robust_quorum = p.robust_groups ? fm_plan_group_nodes(&p) : 0;
    return p;
}

static void same_spec(const fm_dp_lattice_spec *a, const fm_dp_lattice_spec *b)
{
    CU_ASSERT_EQUAL(a->clip_norm, b->clip_norm);
    CU_ASSERT_EQUAL(a->noise_multiplier, b->noise_multiplier);
    CU_ASSERT_EQUAL(a->max_units, b->max_units);
    CU_ASSERT_EQUAL(a->nodes, b->nodes);
    CU_ASSERT_EQUAL(a->quorum, b->quorum);
    CU_ASSERT_EQUAL(a->colluders, b->colluders);
    CU_ASSERT_EQUAL(a->local, b->local);
    CU_ASSERT_EQUAL(a->encoding, b->encoding);
    CU_ASSERT_EQUAL(a->word_bits, b->word_bits);
    CU_ASSERT_EQUAL(a->steps, b->steps);
}

static void same_lattice(const fm_dp_lattice *a, const fm_dp_lattice *b)
{
    CU_ASSERT_EQUAL(a->scale_log2, b->scale_log2);
    CU_ASSERT_EQUAL(a->sensitivity, b->sensitivity);
    CU_ASSERT_EQUAL(a->word_bits, b->word_bits);
    CU_ASSERT_EQUAL(a->shift, b->shift);
    CU_ASSERT_EQUAL(a->unit_sensitivity, b->unit_sensitivity);
    CU_ASSERT_EQUAL(a->unit_scale, b->unit_scale);
    CU_ASSERT_EQUAL(a->sigma_share, b->sigma_share);
    CU_ASSERT_EQUAL(a->sigma_counted, b->sigma_counted);
    CU_ASSERT_EQUAL(a->steps, b->steps);
}

static void both_ends_make_the_same_lattice_of_a_plan(void)
{
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 2024);
    size_t made = 0, shifted = 0, grouped = 0, stepped = 0;

    for (size_t i = 0; i < PLANS; i++) {
        const fm_plan p = any_plan(&rng);
        const fm_dp_lattice_spec node = fm_node_lattice_spec(&p);
        const fm_dp_lattice_spec aggregator = fm_replay_lattice_spec(&p);
        fm_dp_lattice a, b;
        const fm_status st = fm_dp_lattice_make(&node, &a);

        same_spec(&node, &aggregator);
        CU_ASSERT_EQUAL(fm_dp_lattice_make(&aggregator, &b), st);
        if (st != FM_OK)
            continue;
        same_lattice(&a, &b);
        made++;
        shifted += a.shift > 0;
        grouped += p.robust_groups > 0;
        stepped += a.steps > 1;
    }
    printf("    %zu plans of %d have a lattice, %zu with a finer one for units\n", made, PLANS,
           shifted);
    CU_ASSERT(made > PLANS / 4 && shifted > PLANS / 40);
    CU_ASSERT(grouped > PLANS / 40 && stepped > PLANS / 40);
}

/* The node's model, its sum and the optimizer's state are cut at the same place; the phase and what
 * a vote is worth are where both look for them. */
static void both_ends_see_the_same_tail_of_a_plan(void)
{
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 2025);
    size_t made = 0;

    for (size_t i = 0; i < PLANS; i++) {
        const fm_plan p = any_plan(&rng);
        const fm_train_tail tail = fm_node_plan_tail(&p);
        const fm_dp_lattice_spec spec = fm_node_lattice_spec(&p);
        const float first[64] = { 0 };
        fm_optimizer *o = NULL;
        fm_dp_lattice lattice;
        fm_dp_parts parts;

        CU_ASSERT_EQUAL(fm_train_tail_length(&tail), fm_plan_tail(&p));
        if (fm_dp_lattice_make(&spec, &lattice) != FM_OK ||
            fm_dp_parts_make(&lattice, p.load_share, p.clip_share, &parts) != FM_OK ||
            fm_replay_optimizer_new(&p, first, FM_TEST_COUNT(first), &o) != FM_OK)
            continue;
        made++;
        CU_ASSERT_EQUAL(o->tail, fm_train_tail_length(&tail));
        CU_ASSERT_EQUAL(o->spec.load_groups * o->spec.load_experts,
                        tail.load_groups * tail.load_experts);
        CU_ASSERT_EQUAL(o->spec.clip_quantile > 0.0, tail.clip_norm);
        CU_ASSERT_EQUAL(o->spec.start_scale > 0.0, tail.start);
        CU_ASSERT_EQUAL(o->spec.patience > 0, tail.held);
        CU_ASSERT_EQUAL(o->spec.held_bins, tail.held_bins);
        if (tail.held)
            CU_ASSERT_EQUAL(o->spec.held_vote,
                            (double)(tail.held_bins > 0 ? fm_dp_half_bound(&lattice)
                                                        : lattice.unit_sensitivity) /
                                lattice.unit_scale);
        if (tail.clip_norm)
            CU_ASSERT_EQUAL(o->spec.clip_vote, (double)parts.vote / lattice.unit_scale);
        fm_optimizer_free(&o);
    }
    CU_ASSERT(made > PLANS / 4);
}

static const fm_test tests[] = {
    { "both ends make the same lattice of a plan", both_ends_make_the_same_lattice_of_a_plan },
    { "both ends see the same tail of a plan", both_ends_see_the_same_tail_of_a_plan },
};

const fm_test_suite suite_twins = { "demo.twins", tests, FM_TEST_COUNT(tests) };
