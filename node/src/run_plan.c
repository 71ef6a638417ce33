/* What a plan needs before it can be approved: the policy's consent, records that fit, a journal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "fedmoe/model/compute.h"
#include "policy_internal.h"
#include "records.h"
#include "run_internal.h"
#include "step_query.h"

void fm_node_prepared_fini(fm_node_prepared *p)
{
    fm_node_step_free(&p->step);
    fm_corpus_free(&p->corpus);
    fm_decoder_free(&p->decoder);
    free(p->schema_text);
    fm_table_fini(&p->table);
    fm_schema_free(&p->schema);
    fm_query_free(&p->query);
    fm_journal_close(&p->journal);
    fm_node_correction_free(&p->correction);
    free(p->weights);
    *p = (fm_node_prepared){ 0 };
}

/* Values stay out of the log; of texts none are ever shown. */
static void say_how_to_see(const fm_node_driver *d, bool pinned)
{
    if (d->plan.terms.rank > 0)
        fm_log(FM_LOG_ERROR,
               "the texts do not fit the plan's schema; 'fedmoe-node check --config %s' lists "
               "every problem",
               d->o->config);
    else
        fm_log(FM_LOG_ERROR,
               "%s does not fit %s; 'fedmoe-node check --config %s%s' shows the values too",
               fm_node_config_records_name(&d->config),
               pinned ? d->config.schema : "the plan's schema", d->o->config,
               d->config.schema ? "" : " --schema FILE");
}

/**
 * Records problems go to our own log only, and there without the values: an answer to a plan
 * leaves the building.
 */
fm_status fm_node_driver_records_fail(fm_node_driver *d, fm_status st, const fm_buf *problems,
                                      bool pinned)
{
    const char *at = (const char *)problems->data;

    if (st == FM_ENOMEM)
        return st;
    if (st == FM_EPARSE) {
        for (size_t len; at && *at; at += len + (at[len] == '\n')) {
            len = strcspn(at, "\n");
            fm_log(FM_LOG_ERROR, "%.*s", (int)len, at);
        }
        say_how_to_see(d, pinned);
        return pinned ? fm_fail(FM_EINVAL, "the records of this node do not fit the pinned schema "
                                           "(data.schema)")
                      : fm_fail(FM_EINVAL, "the records of this node do not fit the plan's schema");
    }
    fm_log(FM_LOG_ERROR, "%s", fm_error_text());
    return fm_fail(FM_EINVAL, "the records of this node cannot be read");
}

/* @param raw  NULL: features and labels, as the schema says; else these columns as they stand. */
static fm_status load_table(fm_node_driver *d, const fm_schema *schema, const fm_raw_column *raw,
                            size_t raw_count, bool pinned, fm_table *out)
{
    fm_buf problems = { 0 };
    const fm_table_options o = { .labels = raw == NULL,
                                 .raw = raw,
                                 .raw_count = raw_count,
                                 .problems = &problems,
                                 .hide_values = true,
                                 .count_only = pinned, /* whether they fit is all it is about */
                                 .max_rows = d->config.policy.max_rows,
                                 .unit = fm_node_policy_unit_column(&d->config.policy) };
    fm_status st = fm_node_records_load(&d->config, schema, &o, out);

    if (st != FM_OK)
        st = fm_node_driver_records_fail(d, st, &problems, pinned);
    fm_buf_fini(&problems);
    return st;
}

static fm_status load_for_plan(fm_node_driver *d, const fm_plan *plan, fm_node_prepared *p)
{
    fm_raw_column *columns = NULL;
    fm_status st;

    if (plan->task != FM_TASK_STATISTICS)
        return load_table(d, p->schema, NULL, 0, false, &p->table);
    if ((st = fm_node_query_columns(p->query, &columns)) == FM_OK)
        st = load_table(d, p->schema, columns, fm_query_items(p->query), false, &p->table);
    free(columns);
    return st;
}

fm_status fm_node_driver_pin_schema(fm_node_driver *d)
{
    fm_schema *schema = NULL;
    fm_table table = { 0 };
    fm_status st;

    if (!d->config.schema)
        return FM_OK;
    if (d->config.model) /* of texts: read when the plan has said by which tokenizer */
        return fm_file_read(d->config.schema, FM_MAX_TEXT_BYTES, &d->schema);
    if ((st = fm_file_read(d->config.schema, FM_MAX_TEXT_BYTES, &d->schema)) != FM_OK)
        return st;
    if (fm_text_schema_is(d->schema.data, d->schema.len))
        return fm_fail(FM_EINVAL,
                       "%s is a schema of texts, and node.yaml names no language model: give its "
                       "folder as model",
                       d->config.schema);
    if ((st = fm_schema_parse(d->config.schema, d->schema.data, d->schema.len, &schema)) == FM_OK)
        st = load_table(d, schema, NULL, 0, true, &table);
    fm_table_fini(&table);
    fm_schema_free(&schema);
    return st;
}

/** No gradient is to move this model's center; a statistics round sets it and the bias, and nothing
 *  else. */
static fm_status check_start(const fm_plan *plan, const fm_tabular_config *model)
{
    fm_tabular_start s;
    fm_status st = fm_tabular_start_of(model, &s);

    if (st != FM_OK || plan->task != FM_TASK_TRAINING)
        return st;
    if (plan->start_center != s.center || plan->start_count != s.count ||
        (plan->start_scale > 0.0 &&
         (plan->start_bias != s.bias || plan->start_scale != s.bias_scale)))
        return fm_fail(FM_EINVAL,
                       "what the plan says of the center and the first bias is not so in "
                       "its model");
    return FM_OK;
}

/** What the plan says of itself, before any record is looked at. A model that is evaluated may have
 *  the load biases of its experts behind its weights. */
static fm_status read_model(const fm_plan *plan, fm_node_prepared *p)
{
    const bool training = plan->task == FM_TASK_TRAINING;
    const fm_train_tail tail = fm_node_plan_tail(plan);
    const size_t stated =
        training ? plan->parameters - fm_train_tail_length(&tail) : (size_t)plan->frozen;
    size_t parameters = 0;
    fm_status st;

    if ((st = fm_tabular_config_parse("the plan's model", plan->model_text,
                                      strlen(plan->model_text), p->schema, &p->model)) != FM_OK ||
        (st = fm_tabular_parameters(&p->model, &parameters)) != FM_OK ||
        (st = fm_train_tail_check(&tail, &p->model)) != FM_OK ||
        (st = check_start(plan, &p->model)) != FM_OK)
        return st;
    if (parameters != stated &&
        (training || stated != parameters + p->model.blocks * p->model.experts))
        return fm_fail(FM_EINVAL, "the plan's model has %zu parameters; the plan says %zu",
                       parameters, stated);
    p->tail = tail;
    p->clip_norm = plan->clip_norm;
    return FM_OK;
}

static fm_status read_texts(fm_node_driver *d, const fm_plan *plan, fm_node_prepared *p)
{
    size_t len = strlen(plan->schema_text);
    fm_status st;

    if (d->config.schema &&
        (len != d->schema.len || memcmp(plan->schema_text, d->schema.data, len) != 0))
        return fm_fail(FM_EPERM, "the plan's schema is not the one that this node has pinned");
    if ((st = fm_schema_parse("the plan's schema", plan->schema_text, len, &p->schema)) != FM_OK)
        return st;
    if (plan->task != FM_TASK_TRAINING && (st = fm_node_query_read(plan, &p->query)) != FM_OK)
        return st;
    return plan->task == FM_TASK_STATISTICS ? FM_OK : read_model(plan, p);
}

/** Books that are not in order are no answer to a plan: the process ends, and says why. */
static fm_status open_journal(fm_node_driver *d, fm_node_prepared *p)
{
    char *path = NULL;
    fm_status st = fm_path_join(d->config.dir, "state.db", &path);

    if (st == FM_OK && (st = fm_journal_open(path, p->federation, &p->hash, &p->journal)) != FM_OK)
        st = FM_EIO; /* with its text */
    if (st == FM_OK && fm_node_books_check(d, p) != FM_OK)
        st = FM_EIO;
    free(path);
    return st;
}

/** The same records judge the model in all rounds, also after a restart. */
static fm_status hold_out(const fm_plan *plan, fm_node_prepared *p)
{
    uint8_t seed[16];
    fm_status st = FM_OK;

    if (plan->patience == 0)
        return FM_OK;
    if ((st = fm_journal_secret(p->journal, seed)) == FM_OK)
        fm_node_step_hold_out(p->step, seed);
    sodium_memzero(seed, sizeof seed);
    return st == FM_OK ? FM_OK : FM_EIO; /* with its text */
}

static fm_status prepare_step(fm_node_driver *d, const fm_plan *plan, fm_node_prepared *p)
{
    fm_status st;

    if (fm_adapter_terms_is(plan->model_text) ||
        fm_text_schema_is(plan->schema_text, strlen(plan->schema_text)))
        return fm_node_driver_prepare_texts(d, plan, p);
    if ((st = read_texts(d, plan, p)) != FM_OK || (st = load_for_plan(d, plan, p)) != FM_OK)
        return st;
    return fm_node_step_new(plan, &p->table, d->config.threads, &p->step);
}

static fm_status prepare_anew(fm_node_driver *d, const fm_plan *plan, const fm_hash *hash,
                              fm_node_prepared *p)
{
    void *w = NULL;
    fm_status st;

    p->hash = *hash;
    p->mechanism = fm_node_policy_mechanism(plan, 1);
    p->mask_density = plan->mask_density;
    p->rounds = plan->rounds;
    p->parameters = plan->parameters;
    p->task = plan->task;
    p->frozen = plan->frozen;
    p->max_nodes = plan->max_nodes;
    p->epsilon = plan->epsilon;
    p->delta = plan->delta;
    memcpy(p->unit, plan->privacy_unit, sizeof p->unit);
    memcpy(p->purpose, plan->purpose, sizeof p->purpose);
    memcpy(p->federation, plan->federation, sizeof p->federation);
    if ((st = prepare_step(d, plan, p)) != FM_OK ||
        (st = fm_alloc(plan->parameters, sizeof *p->weights, &w)) != FM_OK)
        return st;
    p->weights = w;
    if (plan->correction == FM_CORRECTION_SCAFFOLD &&
        (st = fm_node_correction_new(plan, hash, d->config.dir, &p->correction)) != FM_OK)
        return st;
    if (plan->task == FM_TASK_TRAINING)
        fm_log(FM_LOG_INFO, "training on %u thread%s, %s kernels", fm_node_step_threads(p->step),
               fm_node_step_threads(p->step) == 1 ? "" : "s", fm_compute_level());
    st = open_journal(d, p);
    return st == FM_OK ? hold_out(plan, p) : st;
}

fm_status fm_node_driver_prepare(fm_node_driver *d, const fm_plan *plan, const fm_hash *hash)
{
    fm_status st;

    if ((st = fm_node_policy_check(&d->config.policy, plan, d->ledger, d->config.data_set)) !=
        FM_OK)
        return st;
    if ((st = fm_ledger_check_unit(d->ledger, d->config.data_set, plan->privacy_unit)) != FM_OK)
        return st == FM_EPERM ? FM_EINVAL : st; /* what the ledger holds is no part of the answer */
    if (d->plan.ready && fm_hash_equal(&d->plan.hash, hash))
        return FM_OK; /* reconnected: the records are in memory already */
    fm_node_prepared_fini(&d->plan);
    if ((st = prepare_anew(d, plan, hash, &d->plan)) == FM_OK)
        d->plan.ready = true;
    else
        fm_node_prepared_fini(&d->plan);
    return st;
}
