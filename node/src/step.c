#include "fedmoe/node/step.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/log.h"
#include "fedmoe/train/sample.h"
#include "step_local.h"
#include "step_query.h"

struct fm_node_step {
    fm_dp_lattice lattice;
    fm_dp_shares *shares; /* for the number of those of the last round's sum */
    double rate;
    size_t words;            /* coordinates of an update */
    fm_tabular_config model; /* the learner's */
    fm_train_step *train;    /* NULL: a query */
    fm_node_local *local;    /* NULL: rounds of one step */
    struct {
        fm_node_query *query;
        fm_train_sample sample;
        fm_dp_sum *sum;
        float *unit; /* [words] what one unit adds */
    } ask;
    size_t dropped; /* units of the last run */
    bool keep_sum;
    int32_t *kept; /* [words], tests only */
};

fm_dp_lattice_spec fm_node_lattice_spec(const fm_plan *plan)
{
    return (fm_dp_lattice_spec){
        .clip_norm = plan->clip_norm,
        .noise_multiplier = plan->noise_multiplier,
        .max_units = plan->max_units,
        .nodes = fm_plan_group_nodes(plan),
        .quorum = fm_plan_group_quorum(plan),
        .colluders = plan->colluders,
        .local = plan->noise == FM_NOISE_LOCAL,
        .encoding = plan->encoding == FM_ENCODING_FAST ? FM_DP_FAST : FM_DP_EXACT,
        .word_bits = plan->word_bits,
        .steps = plan->local_steps,
    };
}

fm_train_tail fm_node_plan_tail(const fm_plan *plan)
{
    return (fm_train_tail){ .load_groups = plan->load_groups,
                            .load_experts = plan->load_experts,
                            .clip_norm = plan->clip_quantile > 0.0,
                            .held = plan->patience > 0,
                            .held_bins = plan->held_bins,
                            .start = plan->start_scale > 0.0 };
}

static fm_status read_model(const fm_plan *plan, const fm_table *table, fm_tabular_config *out)
{
    const fm_train_tail tail = fm_node_plan_tail(plan);
    fm_schema *schema = NULL;
    size_t parameters = 0;
    fm_status st;

    if ((st = fm_schema_parse("the plan's schema", plan->schema_text, strlen(plan->schema_text),
                              &schema)) != FM_OK)
        goto done;
    if (fm_schema_features(schema) != table->features || !fm_table_labelled(table)) {
        st = fm_fail(FM_EINVAL, "the records were not encoded by the plan's schema");
        goto done;
    }
    if ((st = fm_tabular_config_parse("the plan's model", plan->model_text,
                                      strlen(plan->model_text), schema, out)) != FM_OK ||
        (st = fm_tabular_parameters(out, &parameters)) != FM_OK)
        goto done;
    if (parameters + fm_train_tail_length(&tail) != plan->parameters)
        st = fm_fail(FM_EINVAL,
                     "the plan's model has %zu parameters, and %zu load counts and votes; the plan "
                     "says %u",
                     parameters, fm_train_tail_length(&tail), plan->parameters);
done:
    fm_schema_free(&schema);
    return st;
}

static fm_status make_training(fm_node_step *s, const fm_plan *plan, const fm_learner *learner,
                               unsigned threads)
{
    const fm_train_step_spec spec = { .learner = *learner,
                                      .lattice = &s->lattice,
                                      .sampling_rate = plan->sampling_rate,
                                      .unit_rows = plan->max_unit_rows,
                                      .tail = fm_node_plan_tail(plan),
                                      .load_share = plan->load_share,
                                      .clip_share = plan->clip_share,
                                      .held_share = plan->held_share,
                                      .held_bound = plan->held_bound,
                                      .threads = threads };

    const fm_status st = fm_train_step_new(&spec, &s->train);

    return st == FM_OK && plan->local_steps > 0 ? fm_node_local_new(plan, &s->lattice, &s->local)
                                                : st;
}

static fm_status make_tabular(fm_node_step *s, const fm_plan *plan, const fm_table *table,
                              unsigned threads)
{
    const fm_learner learner = fm_learner_tabular(&s->model, table);
    fm_status st = read_model(plan, table, &s->model);

    return st == FM_OK ? make_training(s, plan, &learner, threads) : st;
}

static fm_status make_texts(fm_node_step *s, const fm_plan *plan, const fm_learner *learner,
                            unsigned threads)
{
    const fm_train_tail tail = fm_node_plan_tail(plan);
    const size_t n = fm_decoder_gradient_parameters(learner->decoder);

    if (n + fm_train_tail_length(&tail) != plan->parameters)
        return fm_fail(FM_EINVAL,
                       "the plan's adapters have %zu values, and %zu votes; the plan "
                       "says %u",
                       n, fm_train_tail_length(&tail), plan->parameters);
    return make_training(s, plan, learner, threads);
}

static fm_status make_query(fm_node_step *s, const fm_plan *plan, const fm_table *table)
{
    const fm_train_units units = fm_train_units_of_table(table);
    void *p = NULL;
    fm_status st;

    if ((st = fm_node_query_new(plan, table, &s->ask.query)) != FM_OK ||
        (st = fm_alloc(s->words, sizeof *s->ask.unit, &p)) != FM_OK)
        return st;
    s->ask.unit = p;
    if ((st = fm_dp_sum_new(&s->lattice, s->words, &s->ask.sum)) != FM_OK)
        return st;
    return fm_train_sample_init(&s->ask.sample, &units, plan->sampling_rate, plan->max_unit_rows);
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
    if (fm_train_units_of_table(table).units > plan->max_units)
        return fm_fail(FM_EINVAL,
                       "there are more privacy units here than the plan lets one round sum "
                       "(max_units %u)",
                       plan->max_units);
    return FM_OK;
}

static fm_status check_texts(const fm_plan *plan, const fm_corpus *corpus)
{
    if (plan->task != FM_TASK_TRAINING || plan->load_groups > 0 || plan->start_count > 0 ||
        plan->start_scale > 0.0)
        return fm_fail(FM_EINVAL, "adapters of a language model are trained: they have no "
                                  "statistics, no center and no load counts");
    if (fm_train_units_of_corpus(corpus).units > plan->max_units)
        return fm_fail(FM_EINVAL,
                       "there are more privacy units here than the plan lets one round sum "
                       "(max_units %u)",
                       plan->max_units);
    return FM_OK;
}

static fm_status make_step(const fm_plan *plan, fm_node_step **out)
{
    const fm_dp_lattice_spec spec = fm_node_lattice_spec(plan);
    fm_node_step *s;
    void *p = NULL;
    fm_status st = fm_alloc(1, sizeof *s, &p);

    if (st != FM_OK)
        return st;
    s = p;
    s->rate = plan->sampling_rate;
    s->words = fm_plan_update_words(plan);
    if ((st = fm_dp_lattice_make(&spec, &s->lattice)) == FM_OK)
        *out = s;
    else
        fm_node_step_free(&s);
    return st;
}

fm_status fm_node_step_new_texts(const fm_plan *plan, fm_decoder *d, const fm_corpus *corpus,
                                 unsigned threads, fm_node_step **out)
{
    const fm_learner learner = fm_learner_decoder(d, corpus);
    fm_node_step *s = NULL;
    fm_status st;

    if (!plan || !d || !corpus || !out)
        return fm_fail(FM_EINVAL, "fm_node_step_new_texts: NULL argument");
    if ((st = check_texts(plan, corpus)) == FM_OK && (st = make_step(plan, &s)) == FM_OK)
        st = make_texts(s, plan, &learner, threads);
    if (st == FM_OK)
        *out = s;
    else
        fm_node_step_free(&s);
    return st;
}

fm_status fm_node_step_new(const fm_plan *plan, const fm_table *table, unsigned threads,
                           fm_node_step **out)
{
    fm_node_step *s = NULL;
    fm_status st;

    if (!plan || !table || !out)
        return fm_fail(FM_EINVAL, "fm_node_step_new: NULL argument");
    if ((st = check_rows(plan, table)) != FM_OK || (st = make_step(plan, &s)) != FM_OK)
        return st;
    st = plan->query_text ? make_query(s, plan, table) : make_tabular(s, plan, table, threads);
    if (st == FM_OK)
        *out = s;
    else
        fm_node_step_free(&s);
    return st;
}

void fm_node_step_free(fm_node_step **s)
{
    fm_node_step *p = s ? *s : NULL;

    if (!p)
        return;
    if (p->ask.unit)
        sodium_memzero(p->ask.unit, p->words * sizeof *p->ask.unit);
    if (p->kept)
        sodium_memzero(p->kept, p->words * sizeof *p->kept);
    free(p->ask.unit);
    free(p->kept);
    fm_train_sample_fini(&p->ask.sample);
    fm_dp_sum_free(&p->ask.sum);
    fm_node_query_free(&p->ask.query);
    fm_node_local_free(&p->local);
    fm_train_step_free(&p->train);
    fm_dp_shares_free(&p->shares);
    free(p);
    *s = NULL;
}

/* Instead of gradients: what each unit adds to the answer of a query. */
static fm_status add_answers(fm_node_step *s)
{
    const fm_train_sample *sample = &s->ask.sample;
    size_t at = 0;
    fm_status st = FM_OK;

    for (size_t unit = 0; st == FM_OK && unit < sample->units; unit++) {
        size_t end = sample->ends ? sample->ends[unit] : at + 1;

        if ((st = fm_node_query_unit(s->ask.query, sample->rows + at, end - at, s->ask.unit)) ==
            FM_OK)
            st = fm_dp_sum_add_unit(s->ask.sum, s->ask.unit);
        at = end;
    }
    sodium_memzero(s->ask.unit, s->words * sizeof *s->ask.unit);
    return st;
}

static fm_status run_query(fm_node_step *s, const fm_node_step_input *in, fm_dp_sum **sum)
{
    fm_status st;

    fm_dp_sum_reset(s->ask.sum);
    if ((st = fm_node_query_begin(s->ask.query, in)) == FM_OK) {
        fm_train_sample_draw(&s->ask.sample, NULL, in->rng);
        *sum = s->ask.sum;
        st = add_answers(s);
    }
    fm_node_query_end(s->ask.query);
    fm_train_sample_forget(&s->ask.sample);
    if (st != FM_OK)
        fm_dp_sum_reset(s->ask.sum);
    return st;
}

static fm_status run_training(fm_node_step *s, const fm_node_step_input *in, fm_dp_sum **sum)
{
    const fm_train_step_input train = { .state = in->model,
                                        .rng = in->rng,
                                        .keepalive = in->keepalive,
                                        .keepalive_ctx = in->keepalive_ctx };

    return fm_train_step_run(s->train, &train, sum);
}

static void say_dropped(const fm_node_step *s)
{
    if (s->dropped > 0)
        fm_log(FM_LOG_WARN,
               "privacy units without a finite gradient, left out of the round's sum: %zu",
               s->dropped);
}

static fm_status run_once(fm_node_step *s, const fm_node_step_input *in, fm_dp_release **out)
{
    fm_dp_sum *sum = NULL;
    fm_status st = s->train ? run_training(s, in, &sum) : run_query(s, in, &sum);

    if (st != FM_OK)
        return st;
    if (in->canaries && (st = fm_dp_canaries_add(in->canaries, s->rate, sum, in->rng)) != FM_OK) {
        fm_dp_sum_reset(sum);
        return st;
    }
    s->dropped = fm_dp_sum_units_dropped(sum);
    if (s->keep_sum)
        fm_dp_sum_peek_for_tests(sum, s->kept);
    return fm_dp_release_make(sum, s->shares, in->pairs, in->round, in->rng, out);
}

fm_status fm_node_step_run(fm_node_step *s, const fm_node_step_input *in, fm_dp_release **out)
{
    uint32_t sharing;
    fm_status st;

    if (!s || !in || !in->model || !in->pairs || !in->round || !in->rng || !out)
        return fm_fail(FM_EINVAL, "fm_node_step_run: NULL argument");
    sharing = in->round->group ? in->round->group_count : in->round->participant_count;
    if ((st = fm_dp_shares_fit(&s->shares, &s->lattice, sharing)) != FM_OK)
        return st;
    st = s->local ? fm_node_local_run(s->local, s->train, s->shares, in, &s->dropped, out)
                  : run_once(s, in, out);
    if (st == FM_OK)
        say_dropped(s);
    return st;
}

const float *fm_node_step_mean(const fm_node_step *s)
{
    return s->local ? fm_node_local_mean(s->local) : NULL;
}

const float *fm_node_step_moved_for_tests(const fm_node_step *s)
{
    return fm_node_local_moved(s->local);
}

void fm_node_step_hold_out(fm_node_step *s, const uint8_t seed[16])
{
    if (s->train)
        fm_train_step_hold_out(s->train, seed);
}

const fm_dp_lattice *fm_node_step_lattice(const fm_node_step *s)
{
    return &s->lattice;
}

unsigned fm_node_step_threads(const fm_node_step *s)
{
    return s->train ? fm_train_step_threads(s->train) : 1;
}

void fm_node_step_keep_sum_for_tests(fm_node_step *s)
{
    void *p = NULL;

    if (!s->kept && fm_alloc(s->words, sizeof *s->kept, &p) == FM_OK)
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
