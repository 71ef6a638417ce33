#include "fedmoe/node/audit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/node/step.h"

#define WEIGHT_MAX 1e6

typedef struct {
    const fm_node_audit *a;
    fm_plan plan; /* the audit's own: one node; its texts are borrowed */
    fm_node_step *step;
    float *weights;  /* [parameters] */
    float *gradient; /* [parameters] */
    fm_tabular_start start;
    double rate; /* of a step, over the units that a round is expected to sum */
} audit;

static fm_status step(void *ctx, const fm_dp_audit_turn *turn, fm_dp_release **out)
{
    const audit *r = ctx;
    const fm_node_step_input in = { .model = r->weights,
                                    .pairs = turn->pairs,
                                    .round = turn->round,
                                    .rng = turn->rng,
                                    .canaries = turn->canaries };

    return fm_node_step_run(r->step, &in, out);
}

static fm_status opened(void *ctx, uint64_t round, const uint32_t *sum)
{
    audit *r = ctx;

    fm_dp_decode_sum(fm_node_step_lattice(r->step), sum, r->plan.parameters, r->gradient);
    /* The tail stays where it was: what is audited is the sum. */
    for (uint32_t i = 0; i < r->plan.parameters - fm_plan_tail(&r->plan); i++) {
        double w = (double)r->weights[i] - r->rate * (double)r->gradient[i];

        if (i >= r->start.center && i - r->start.center < r->start.count)
            continue; /* the center: no gradient moves it */
        if (!(fabs(w) < WEIGHT_MAX))
            return fm_fail(FM_ENONFINITE, "audit: the weights ran away; lower the learning rate");
        r->weights[i] = (float)w;
    }
    if (r->a->progress)
        r->a->progress(r->a->progress_ctx, round);
    return FM_OK;
}

/* First weights as fedmoe-model new makes them. */
static fm_status make_weights(audit *r)
{
    fm_tabular_config config;
    fm_schema *schema = NULL;
    fm_tabular *model = NULL;
    const fm_plan *p = &r->plan;
    fm_status st;

    if ((st = fm_alloc(p->parameters, sizeof *r->weights, (void **)&r->weights)) != FM_OK ||
        (st = fm_alloc(p->parameters, sizeof *r->gradient, (void **)&r->gradient)) != FM_OK ||
        (st = fm_schema_parse("the schema", p->schema_text, strlen(p->schema_text), &schema)) !=
            FM_OK ||
        (st = fm_tabular_config_parse("the model", p->model_text, strlen(p->model_text), schema,
                                      &config)) != FM_OK ||
        (st = fm_tabular_start_of(&config, &r->start)) != FM_OK ||
        (st = fm_tabular_new(&config, 1, &model)) != FM_OK)
        goto done;
    fm_tabular_init(model, r->a->rng);
    fm_tabular_get(model, r->weights); /* of the plan's size: the step has compared them */
done:
    fm_tabular_free(&model);
    fm_schema_free(&schema);
    return st;
}

/* One node, nobody who could take noise off, and room for every record and every canary. */
static fm_status make_plan(audit *r)
{
    const fm_node_audit *a = r->a;

    if (a->table->rows > UINT32_MAX - a->canaries)
        return fm_fail(FM_EINVAL, "audit: too many records");
    r->plan = *a->plan;
    r->plan.max_units = (uint32_t)a->table->rows + a->canaries;
    r->plan.max_nodes = r->plan.min_cohort = r->plan.quorum = 1;
    r->plan.colluders = 0;
    r->plan.word_bits = 32;
    r->plan.mask_density = FM_PLAN_DENSITY_ALL;
    r->plan.task = FM_TASK_TRAINING;
    r->plan.noise = FM_NOISE_DISTRIBUTED;
    r->rate = a->learning_rate / fmax(1.0, a->plan->sampling_rate * (double)a->table->rows);
    return fm_node_step_new(&r->plan, a->table, 0, &r->step);
}

fm_status fm_node_audit_run(const fm_node_audit *a, fm_dp_observations *out)
{
    audit r = { .a = a };
    fm_dp_audit_setup setup = { .step = step, .opened = opened, .ctx = &r };
    fm_status st;

    if (!a || !a->plan || !a->table || !a->rng || !out || !(a->learning_rate >= 0.0) ||
        !(a->plan->noise_multiplier > 0.0))
        return fm_fail(FM_EINVAL, "audit: missing argument, or a plan without noise");
    if ((st = make_plan(&r)) == FM_OK && (st = make_weights(&r)) == FM_OK) {
        setup.canaries = a->canaries;
        setup.coordinates = a->plan->parameters;
        setup.lattice = fm_node_step_lattice(r.step);
        setup.claimed = (fm_dp_mechanism){ .noise_multiplier = a->plan->noise_multiplier,
                                           .sampling_rate = a->plan->sampling_rate,
                                           .count = a->plan->rounds };
        setup.delta = a->plan->delta;
        setup.rng = a->rng;
        st = fm_dp_audit_run(&setup, out);
    }
    fm_node_step_free(&r.step);
    free(r.weights);
    if (r.gradient)
        sodium_memzero(r.gradient, r.plan.parameters * sizeof *r.gradient);
    free(r.gradient);
    return st;
}
