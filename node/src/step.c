#include "fedmoe/node/step.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/log.h"
#include "fedmoe/dp/sample.h"

#define BATCH_ROWS 128u /* records between two signs of life to the aggregator */

struct fm_node_step {
    const fm_table *table;
    fm_dp_lattice lattice;
    fm_dp_gaussian *noise; /* NULL when the plan has none */
    fm_tabular *model;
    fm_dp_sum *sum;
    double sampling_rate;
    size_t parameters, batch_rows;
    float *gradient;   /* [P] of one record */
    uint32_t *sampled; /* [rows] */
    bool keep_sum;
    int32_t *kept; /* [P], tests only */
};

fm_dp_lattice_spec fm_node_lattice_spec(const fm_plan *plan)
{
    return (fm_dp_lattice_spec){
        .clip_norm = plan->clip_norm,
        .noise_multiplier = plan->noise_multiplier,
        .max_units = plan->max_units,
        .nodes = plan->max_nodes,
        .quorum = plan->quorum,
        .colluders = plan->colluders,
    };
}

static fm_status make_model(fm_node_step *s, const fm_plan *plan)
{
    fm_tabular_config config;
    fm_schema *schema = NULL;
    size_t parameters = 0;
    fm_status st;

    if ((st = fm_schema_parse("the plan's schema", plan->schema_text, strlen(plan->schema_text),
                              &schema)) != FM_OK)
        goto done;
    if (fm_schema_features(schema) != s->table->features || !s->table->y) {
        st = fm_fail(FM_EINVAL, "the records were not encoded by the plan's schema");
        goto done;
    }
    if ((st = fm_tabular_config_parse("the plan's model", plan->model_text,
                                      strlen(plan->model_text), schema, &config)) != FM_OK ||
        (st = fm_tabular_parameters(&config, &parameters)) != FM_OK)
        goto done;
    if (parameters != plan->parameters) {
        st = fm_fail(FM_EINVAL, "the plan's model has %zu parameters; the plan says %u", parameters,
                     plan->parameters);
        goto done;
    }
    st = fm_tabular_new(&config, s->batch_rows, &s->model);
done:
    fm_schema_free(&schema);
    return st;
}

static fm_status make_buffers(fm_node_step *s)
{
    void *p = NULL;
    fm_status st;

    if ((st = fm_alloc(s->parameters, sizeof *s->gradient, &p)) != FM_OK)
        return st;
    s->gradient = p;
    if ((st = fm_alloc(s->table->rows, sizeof *s->sampled, &p)) != FM_OK)
        return st;
    s->sampled = p;
    if (s->lattice.sigma_share > 0.0 &&
        (st = fm_dp_gaussian_new(s->lattice.sigma_share, &s->noise)) != FM_OK)
        return st;
    return fm_dp_sum_new(&s->lattice, s->parameters, &s->sum);
}

static fm_status check_rows(const fm_plan *plan, const fm_table *table)
{
    if (table->rows == 0)
        return fm_fail(FM_EINVAL, "there are no records to train on");
    if (table->rows > plan->max_units)
        return fm_fail(FM_EINVAL,
                       "there are more records here than the plan lets one round sum "
                       "(max_units %u)",
                       plan->max_units);
    return FM_OK;
}

fm_status fm_node_step_new(const fm_plan *plan, const fm_table *table, fm_node_step **out)
{
    fm_dp_lattice_spec spec;
    fm_node_step *s = NULL;
    void *p = NULL;
    fm_status st;

    if (!plan || !table || !out)
        return fm_fail(FM_EINVAL, "fm_node_step_new: NULL argument");
    if ((st = check_rows(plan, table)) != FM_OK || (st = fm_alloc(1, sizeof *s, &p)) != FM_OK)
        return st;
    s = p;
    s->table = table;
    s->parameters = plan->parameters;
    s->sampling_rate = plan->sampling_rate;
    s->batch_rows = table->rows < BATCH_ROWS ? table->rows : BATCH_ROWS;
    spec = fm_node_lattice_spec(plan);
    if ((st = fm_dp_lattice_make(&spec, &s->lattice)) == FM_OK &&
        (st = make_model(s, plan)) == FM_OK && (st = make_buffers(s)) == FM_OK) {
        *out = s;
        return FM_OK;
    }
    fm_node_step_free(&s);
    return st;
}

void fm_node_step_free(fm_node_step **s)
{
    fm_node_step *p = s ? *s : NULL;

    if (!p)
        return;
    if (p->gradient)
        sodium_memzero(p->gradient, p->parameters * sizeof *p->gradient);
    if (p->sampled)
        sodium_memzero(p->sampled, p->table->rows * sizeof *p->sampled);
    if (p->kept)
        sodium_memzero(p->kept, p->parameters * sizeof *p->kept);
    free(p->gradient);
    free(p->sampled);
    free(p->kept);
    fm_dp_sum_free(&p->sum);
    fm_dp_gaussian_free(&p->noise);
    fm_tabular_free(&p->model);
    free(p);
    *s = NULL;
}

/** Forward and backward over one batch; each record's own gradient, clipped, into the sum. */
static fm_status add_batch(fm_node_step *s, const uint32_t *index, size_t rows)
{
    fm_status st = fm_tabular_backward(s->model, s->table->x, s->table->y, index, rows, NULL);

    for (size_t i = 0; st == FM_OK && i < rows; i++) {
        fm_tabular_unit_gradient(s->model, i, s->gradient);
        st = fm_dp_sum_add_unit(s->sum, s->gradient);
    }
    return st;
}

static fm_status add_sample(fm_node_step *s, const fm_node_step_input *in, size_t count)
{
    fm_status st = FM_OK;

    for (size_t at = 0; st == FM_OK && at < count; at += s->batch_rows) {
        st = add_batch(s, s->sampled + at, count - at < s->batch_rows ? count - at : s->batch_rows);
        if (in->keepalive)
            in->keepalive(in->keepalive_ctx);
    }
    sodium_memzero(s->gradient, s->parameters * sizeof *s->gradient);
    return st;
}

fm_status fm_node_step_run(fm_node_step *s, const fm_node_step_input *in, fm_dp_release **out)
{
    size_t count;
    fm_status st;

    if (!s || !in || !in->model || !in->pairs || !in->round || !in->rng || !out)
        return fm_fail(FM_EINVAL, "fm_node_step_run: NULL argument");
    fm_dp_sum_reset(s->sum);
    if ((st = fm_tabular_set(s->model, in->model, s->parameters)) != FM_OK)
        return st;
    count = fm_dp_sample_units(s->sampling_rate, s->table->rows, in->rng, s->sampled);
    if ((st = add_sample(s, in, count)) == FM_OK && in->canaries)
        st = fm_dp_canaries_add(in->canaries, s->sampling_rate, s->sum, in->rng);
    if (st != FM_OK) {
        fm_dp_sum_reset(s->sum);
        return st;
    }
    if (fm_dp_sum_units_dropped(s->sum) > 0)
        fm_log(FM_LOG_WARN, "records without a finite gradient were left out of the sum");
    if (s->keep_sum)
        fm_dp_sum_peek_for_tests(s->sum, s->kept);
    return fm_dp_release_make(s->sum, s->noise, in->pairs, in->round, in->rng, out);
}

const fm_dp_lattice *fm_node_step_lattice(const fm_node_step *s)
{
    return &s->lattice;
}

void fm_node_step_keep_sum_for_tests(fm_node_step *s)
{
    void *p = NULL;

    if (!s->kept && fm_alloc(s->parameters, sizeof *s->kept, &p) == FM_OK)
        s->kept = p;
    s->keep_sum = s->kept != NULL;
}

const int32_t *fm_node_step_sum_for_tests(const fm_node_step *s)
{
    return s->kept;
}
