#include "fedmoe/demo/simulate.h"

#include <stdlib.h>
#include <string.h>

#include "fedmoe/aggregator/round.h"
#include "fedmoe/node/step.h"
#include "fedmoe/optim/local.h"
#include "fedmoe/proto/digest.h"

typedef struct {
    const fm_simulation *s;
    fm_node_step **steps; /* [nodes] */
    fm_dp_keypair **keys; /* [nodes] */
    fm_dp_pairs **pairs;  /* [nodes] */
    fm_dp_shares *shares; /* with which what is too much of the noise comes off again */
    uint32_t *everyone;   /* [nodes] 0, 1, 2, ... */
    void *sum;            /* [parameters], as dp has the plan's words */
    float *gradient;      /* [parameters] */
    fm_optimizer *optimizer;
    /* With a correction of local steps; else NULL. */
    float *before, *corrections; /* [parameters] last model; [nodes, parameters] */
    bool means, corrected;       /* of this round there are means; of the last one corrections */
} simulation;

static fm_status make_room(simulation *r)
{
    uint32_t nodes = r->s->nodes, n = r->s->plan->parameters;
    fm_status st;

    if ((st = fm_alloc(nodes, sizeof *r->steps, (void **)&r->steps)) != FM_OK ||
        (st = fm_alloc(nodes, sizeof *r->keys, (void **)&r->keys)) != FM_OK ||
        (st = fm_alloc(nodes, sizeof *r->pairs, (void **)&r->pairs)) != FM_OK ||
        (st = fm_alloc(nodes, sizeof *r->everyone, (void **)&r->everyone)) != FM_OK ||
        (st = fm_alloc(n, fm_dp_sum_word_bytes(r->s->plan->word_bits), &r->sum)) != FM_OK ||
        (st = fm_alloc(n, sizeof *r->gradient, (void **)&r->gradient)) != FM_OK)
        return st;
    if (r->s->plan->correction != FM_CORRECTION_NONE &&
        ((st = fm_alloc(n, sizeof(float), (void **)&r->before)) != FM_OK ||
         (st = fm_alloc(n, nodes * sizeof(float), (void **)&r->corrections)) != FM_OK))
        return st;
    return fm_replay_optimizer_new(r->s->plan, r->s->initial, n, &r->optimizer);
}

/* A node's own mean, in the place where its correction will be. */
static void keep_mean(simulation *r, uint32_t i)
{
    const float *mean = fm_node_step_mean(r->steps[i]);
    const size_t n = r->s->plan->parameters;

    if (r->corrections && mean)
        memcpy(r->corrections + i * n, mean, n * sizeof *mean);
    r->means = mean != NULL;
}

static void correct(simulation *r)
{
    const size_t n = r->s->plan->parameters;

    r->corrected = r->means;
    for (uint32_t i = 0; r->corrected && i < r->s->nodes; i++)
        fm_local_correction(r->s->plan->learning_rate, r->before, r->optimizer->weights,
                            r->corrections + i * n, n, r->corrections + i * n);
}

static fm_status make_pairs(simulation *r)
{
    uint32_t nodes = r->s->nodes;
    uint8_t(*keys)[FM_DP_KEY_BYTES] = NULL;
    fm_dp_roster roster = { .federation = r->s->plan->federation, .members = nodes };
    fm_status st = fm_alloc(nodes, sizeof *keys, (void **)&keys);

    for (uint32_t i = 0; st == FM_OK && i < nodes; i++) {
        r->everyone[i] = i;
        if ((st = fm_dp_keypair_new(&r->keys[i])) == FM_OK)
            memcpy(keys[i], fm_dp_keypair_public(r->keys[i]), FM_DP_KEY_BYTES);
    }
    roster.public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])keys;
    for (uint32_t i = 0; st == FM_OK && i < nodes; i++) {
        roster.self = i;
        st = fm_dp_pairs_new(r->keys[i], &roster, &r->pairs[i]);
    }
    for (uint32_t i = 0; st == FM_OK && i < nodes; i++)
        st = fm_node_step_new(r->s->plan, &r->s->tables[i], 0, &r->steps[i]);
    if (st == FM_OK)
        st = fm_dp_shares_new(fm_node_step_lattice(r->steps[0]), nodes, &r->shares);
    free(keys);
    return st;
}

/* One node's update into the sum, its self mask and surplus noise out again: nobody is lost. */
static fm_status add_node(simulation *r, uint32_t i, const fm_dp_round *round)
{
    const unsigned bits = r->s->plan->word_bits;
    size_t n = r->s->plan->parameters, len = 0;
    fm_rng rng = r->s->rng;
    const uint8_t *bytes = NULL;
    fm_dp_release *release = NULL;
    fm_dp_unmask *unmask = NULL;
    fm_node_step_input in = {
        .model = r->optimizer->weights, .pairs = r->pairs[i], .round = round, .rng = &rng
    };
    fm_status st;

    if (r->corrections && r->corrected)
        in.correction = r->corrections + i * n;
    if ((st = fm_node_step_run(r->steps[i], &in, &release)) != FM_OK)
        goto done;
    if (r->corrections)
        keep_mean(r, i); /* its correction was used */
    fm_dp_release_bytes(release, &bytes, &len);
    if ((st = fm_dp_sum_words(bits, r->sum, n, bytes, len)) != FM_OK ||
        (st = fm_dp_release_unmask(release, r->everyone, r->s->nodes, &unmask)) != FM_OK)
        goto done;
    if ((st = fm_dp_mask_apply(bits, r->sum, n, unmask->self_seed, -1)) == FM_OK)
        st = fm_dp_shares_subtract(r->shares, r->s->nodes,
                                   (const uint8_t(*)[FM_DP_NOISE_SEED_BYTES])unmask->surplus_seeds,
                                   unmask->surplus_count, r->sum, n);
done:
    fm_dp_unmask_free(&unmask);
    fm_dp_release_free(&release);
    return st;
}

static fm_status run_round(simulation *r, uint64_t number)
{
    size_t n = r->s->plan->parameters;
    fm_dp_round round = {
        .round = number,
        .model = fm_model_digest(r->optimizer->weights, n * sizeof(float)),
        .participants = r->everyone,
        .participant_count = r->s->nodes,
        .mask_density = FM_DP_DENSITY_ALL, /* one machine has all keys */
    };
    fm_status st = FM_OK;

    if (r->before)
        memcpy(r->before, r->optimizer->weights, n * sizeof(float));
    memset(r->sum, 0, n * fm_dp_sum_word_bytes(r->s->plan->word_bits));
    for (uint32_t i = 0; st == FM_OK && i < r->s->nodes; i++)
        st = add_node(r, i, &round);
    if (st != FM_OK)
        return st;
    fm_dp_decode_sum(fm_node_step_lattice(r->steps[0]), r->sum, n, r->gradient);
    if ((st = fm_optimizer_step(r->optimizer, r->gradient, n)) == FM_OK)
        correct(r);
    return st;
}

fm_status fm_simulate(const fm_simulation *s, float *result)
{
    simulation r = { .s = s };
    fm_status st;

    if ((st = make_room(&r)) == FM_OK)
        st = make_pairs(&r);
    for (uint64_t round = 1; st == FM_OK && round <= s->plan->rounds; round++)
        st = run_round(&r, round);
    if (st == FM_OK)
        fm_optimizer_result(r.optimizer, result);
    for (uint32_t i = 0; i < s->nodes; i++) {
        if (r.steps)
            fm_node_step_free(&r.steps[i]);
        if (r.pairs)
            fm_dp_pairs_free(&r.pairs[i]);
        if (r.keys)
            fm_dp_keypair_free(&r.keys[i]);
    }
    free(r.steps);
    free(r.keys);
    free(r.pairs);
    free(r.everyone);
    fm_dp_shares_free(&r.shares);
    free(r.sum);
    free(r.gradient);
    free(r.before);
    free(r.corrections);
    fm_optimizer_free(&r.optimizer);
    return st;
}

fm_status fm_simulation_evaluate(const fm_plan *plan, const float *weights, const fm_table *test,
                                 fm_metrics *out)
{
    fm_schema *schema = NULL;
    fm_tabular *model = NULL;
    fm_tabular_config config;
    const fm_train_tail tail = fm_node_plan_tail(plan);
    float *logits = NULL;
    fm_status st;

    if ((st = fm_schema_parse("schema", plan->schema_text, strlen(plan->schema_text), &schema)) !=
            FM_OK ||
        (st = fm_tabular_config_parse("model", plan->model_text, strlen(plan->model_text), schema,
                                      &config)) != FM_OK ||
        (st = fm_tabular_new(&config, 256, &model)) != FM_OK ||
        (st = fm_train_state_set(model, &tail, weights, plan->parameters)) != FM_OK ||
        (st = fm_alloc(test->rows, sizeof *logits, (void **)&logits)) != FM_OK ||
        (st = fm_tabular_predict(model, test->x, test->rows, logits)) != FM_OK)
        goto done;
    st = fm_metrics_compute(logits, test->y, test->rows, out);
done:
    free(logits);
    fm_tabular_free(&model);
    fm_schema_free(&schema);
    return st;
}
