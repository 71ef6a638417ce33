#include "fedmoe/node/step.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/log.h"
#include "step_query.h"
#include "step_sample.h"

#define BATCH_ROWS 128u /* records between two signs of life to the aggregator */

struct fm_node_step {
    const fm_table *table;
    fm_dp_lattice lattice;
    fm_dp_shares *shares; /* for the last round's number of participants */
    fm_tabular *model;
    fm_node_query *query; /* instead of the model; NULL: training */
    fm_dp_sum *sum;
    size_t parameters, batch_rows;
    float *gradient; /* [P] of one unit: the sum of its rows' */
    fm_node_sample sample;
    size_t dropped; /* units of the last run */
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
        .local = plan->noise == FM_NOISE_LOCAL,
    };
}

static fm_status make_model(fm_node_step *s, const fm_plan *plan)
{
    fm_tabular_config config;
    fm_schema *schema = NULL;
    size_t parameters = 0;
    fm_status st;

    if (plan->query_text)
        return fm_node_query_new(plan, s->table, &s->query);
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
    return fm_dp_sum_new(&s->lattice, s->parameters, &s->sum);
}

static fm_status check_rows(const fm_plan *plan, const fm_table *table)
{
    const bool record = strcmp(plan->privacy_unit, FM_UNIT_RECORD) == 0;

    if (table->rows == 0)
        return fm_fail(FM_EINVAL, "there are no records to train on");
    /* Rows of one unit that were sampled or clipped apart would break what the plan promises. */
    if (record != !table->unit_start || plan->max_unit_rows < 1 ||
        (record && plan->max_unit_rows != 1))
        return fm_fail(FM_EINVAL, "the records were not grouped by the plan's privacy unit '%s'",
                       plan->privacy_unit);
    if (fm_node_sample_units(table) > plan->max_units)
        return fm_fail(FM_EINVAL,
                       "there are more privacy units here than the plan lets one round sum "
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
    s->parameters = fm_plan_update_words(plan);
    s->batch_rows = table->rows < BATCH_ROWS ? table->rows : BATCH_ROWS;
    spec = fm_node_lattice_spec(plan);
    if ((st = fm_dp_lattice_make(&spec, &s->lattice)) == FM_OK &&
        (st = make_model(s, plan)) == FM_OK && (st = make_buffers(s)) == FM_OK &&
        (st = fm_node_sample_init(&s->sample, table, plan->sampling_rate, plan->max_unit_rows)) ==
            FM_OK) {
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
    if (p->kept)
        sodium_memzero(p->kept, p->parameters * sizeof *p->kept);
    free(p->gradient);
    fm_node_sample_fini(&p->sample);
    free(p->kept);
    fm_dp_sum_free(&p->sum);
    fm_dp_shares_free(&p->shares);
    fm_tabular_free(&p->model);
    fm_node_query_free(&p->query);
    free(p);
    *s = NULL;
}

/* One row's gradient; with the unit's last row the whole is clipped, once, and into the sum. */
static fm_status add_row(fm_node_step *s, size_t i, bool first, bool last)
{
    if (first)
        fm_tabular_unit_gradient(s->model, i, s->gradient);
    else
        fm_tabular_add_row_gradient(s->model, i, s->gradient);
    return last ? fm_dp_sum_add_unit(s->sum, s->gradient) : FM_OK;
}

/**
 * Forward and backward in batches of rows, which units may span. A unit's gradient is the sum of
 * its rows' in the file's order, each of them a function of its row alone: nobody else's rows, nor
 * where batches begin, change a bit of it.
 */
static fm_status add_sample(fm_node_step *s, const fm_node_step_input *in)
{
    const fm_node_sample *sample = &s->sample;
    bool first = true;
    size_t unit = 0;
    fm_status st = FM_OK;

    for (size_t at = 0; st == FM_OK && at < sample->count; at += s->batch_rows) {
        size_t n = sample->count - at < s->batch_rows ? sample->count - at : s->batch_rows;

        st = fm_tabular_backward(s->model, s->table->x, s->table->y, sample->rows + at, n, NULL);
        for (size_t i = 0; st == FM_OK && i < n; i++) {
            bool last = !sample->ends || at + i + 1 == sample->ends[unit];

            st = add_row(s, i, first, last);
            unit += last;
            first = last;
        }
        if (in->keepalive)
            in->keepalive(in->keepalive_ctx);
    }
    return st;
}

/* Instead of gradients: what each unit adds to the answer of a query. */
static fm_status add_answers(fm_node_step *s)
{
    const fm_node_sample *sample = &s->sample;
    size_t at = 0;
    fm_status st = FM_OK;

    for (size_t unit = 0; st == FM_OK && unit < sample->units; unit++) {
        size_t end = sample->ends ? sample->ends[unit] : at + 1;

        fm_node_query_unit(s->query, sample->rows + at, end - at, s->gradient);
        st = fm_dp_sum_add_unit(s->sum, s->gradient);
        at = end;
    }
    return st;
}

fm_status fm_node_step_run(fm_node_step *s, const fm_node_step_input *in, fm_dp_release **out)
{
    fm_status st;

    if (!s || !in || !in->model || !in->pairs || !in->round || !in->rng || !out)
        return fm_fail(FM_EINVAL, "fm_node_step_run: NULL argument");
    fm_dp_sum_reset(s->sum);
    if ((st = fm_dp_shares_fit(&s->shares, &s->lattice, in->round->participant_count)) != FM_OK)
        return st;
    st = s->query ? fm_node_query_begin(s->query, in)
                  : fm_tabular_set(s->model, in->model, s->parameters);
    if (st != FM_OK)
        return st;
    fm_node_sample_draw(&s->sample, in->rng);
    st = s->query ? add_answers(s) : add_sample(s, in);
    if (st == FM_OK && in->canaries)
        st = fm_dp_canaries_add(in->canaries, s->sample.rate, s->sum, in->rng);
    sodium_memzero(s->gradient, s->parameters * sizeof *s->gradient);
    if (st != FM_OK) {
        fm_dp_sum_reset(s->sum);
        return st;
    }
    s->dropped = fm_dp_sum_units_dropped(s->sum);
    if (s->dropped > 0)
        fm_log(FM_LOG_WARN,
               "privacy units without a finite gradient, left out of the round's sum: %zu",
               s->dropped);
    if (s->keep_sum)
        fm_dp_sum_peek_for_tests(s->sum, s->kept);
    return fm_dp_release_make(s->sum, s->shares, in->pairs, in->round, in->rng, out);
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

size_t fm_node_step_dropped_for_tests(const fm_node_step *s)
{
    return s->dropped;
}

const int32_t *fm_node_step_sum_for_tests(const fm_node_step *s)
{
    return s->kept;
}
