#include "step_query.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define SCORE_ROWS 8192u /* records between two signs of life to the aggregator */
#define BATCH_ROWS 128u
#define SCORE_PIECE 512u

struct fm_node_query {
    fm_query *query;
    const fm_table *table;
    bool scores; /* an evaluation */
    fm_tabular *model;
    size_t frozen; /* its parameters, and its load biases if it has any */
    float *logits; /* [rows] */
    /* Where the table is in a scratch file: some rows of it, SCORE_PIECE or one. */
    fm_table_reader *reader;
    float *x, *labels; /* [SCORE_PIECE, features]; [rows] */
    double *raw;       /* [raw_count] */
};

fm_status fm_node_query_read(const fm_plan *plan, fm_query **out)
{
    const fm_query_task task =
        plan->task == FM_TASK_STATISTICS ? FM_QUERY_STATISTICS : FM_QUERY_EVALUATION;
    fm_query *q = NULL;
    fm_status st =
        fm_query_parse(task, "the plan's query", plan->query_text, strlen(plan->query_text), &q);

    if (st != FM_OK)
        return st;
    if (fm_query_width(q) != fm_plan_update_words(plan)) {
        st = fm_fail(FM_EINVAL, "the plan's query has %zu figures; the plan says %u",
                     fm_query_width(q), fm_plan_update_words(plan));
        fm_query_free(&q);
        return st;
    }
    *out = q;
    return FM_OK;
}

fm_status fm_node_query_columns(const fm_query *q, fm_raw_column **out)
{
    fm_raw_column *columns = NULL;
    void *p = NULL;
    fm_status st = fm_alloc(fm_query_items(q), sizeof *columns, &p);

    if (st != FM_OK)
        return st;
    columns = p;
    for (size_t i = 0; i < fm_query_items(q); i++) {
        const fm_query_item *it = fm_query_at(q, i);

        columns[i] = (fm_raw_column){ .name = it->column,
                                      .values = it->values,
                                      .value_count = it->value_count,
                                      .any = it->kind == FM_QUERY_COUNT };
    }
    *out = columns;
    return FM_OK;
}

/* The model as the plan describes it, and room for a score of each record. */
static fm_status make_model(fm_node_query *q, const fm_plan *plan)
{
    fm_tabular_config config;
    fm_schema *schema = NULL;
    size_t parameters = 0;
    void *p = NULL;
    fm_status st;

    if ((st = fm_schema_parse("the plan's schema", plan->schema_text, strlen(plan->schema_text),
                              &schema)) != FM_OK)
        return st;
    if (fm_schema_features(schema) != q->table->features || !fm_table_labelled(q->table))
        st = fm_fail(FM_EINVAL, "the records were not encoded by the plan's schema");
    else if (fm_schema_target(schema) != FM_TARGET_BINARY)
        st = fm_fail(FM_EINVAL, "an evaluation counts scores of two classes; the schema's label is "
                                "of another kind");
    else if ((st = fm_tabular_config_parse("the plan's model", plan->model_text,
                                           strlen(plan->model_text), schema, &config)) == FM_OK)
        st = fm_tabular_parameters(&config, &parameters);
    fm_schema_free(&schema);
    if (st != FM_OK)
        return st;
    if (parameters != plan->frozen && parameters + config.blocks * config.experts != plan->frozen)
        return fm_fail(FM_EINVAL, "the plan's model has %zu parameters; the plan says %u",
                       parameters, plan->frozen);
    if ((st = fm_tabular_new(&config, BATCH_ROWS, &q->model)) == FM_OK &&
        (st = fm_tabular_set_clip_norm(q->model, plan->model_clip_norm)) == FM_OK &&
        (st = fm_alloc(q->table->rows, sizeof *q->logits, &p)) == FM_OK)
        q->logits = p;
    return st;
}

static fm_status make_reader(fm_node_query *q)
{
    const fm_table *t = q->table;
    fm_status st;

    if (!t->store)
        return FM_OK;
    if ((st = fm_table_reader_new(t, &q->reader)) != FM_OK)
        return st;
    if (!q->scores)
        return fm_alloc(t->raw_count, sizeof *q->raw, (void **)&q->raw);
    st = fm_alloc(SCORE_PIECE * t->features, sizeof *q->x, (void **)&q->x);
    return st != FM_OK ? st : fm_alloc(t->rows, sizeof *q->labels, (void **)&q->labels);
}

fm_status fm_node_query_new(const fm_plan *plan, const fm_table *table, fm_node_query **out)
{
    fm_node_query *q = NULL;
    void *p = NULL;
    fm_status st = fm_alloc(1, sizeof *q, &p);

    if (st != FM_OK)
        return st;
    q = p;
    q->table = table;
    q->scores = plan->task == FM_TASK_EVALUATION;
    q->frozen = plan->frozen;
    if ((st = fm_node_query_read(plan, &q->query)) == FM_OK) {
        if (q->scores)
            st = make_model(q, plan);
        else if (table->raw_count != fm_query_items(q->query))
            st = fm_fail(FM_EINVAL, "the records were not read for the plan's query");
    }
    if (st == FM_OK && (st = make_reader(q)) == FM_OK)
        *out = q;
    else
        fm_node_query_free(&q);
    return st;
}

void fm_node_query_free(fm_node_query **q)
{
    if (!q || !*q)
        return;
    fm_node_query_end(*q);
    free((*q)->logits);
    fm_table_reader_free(&(*q)->reader);
    free((*q)->x);
    free((*q)->labels);
    free((*q)->raw);
    fm_tabular_free(&(*q)->model);
    fm_query_free(&(*q)->query);
    free(*q);
    *q = NULL;
}

/* Scores of so many records from `at` on, at most SCORE_PIECE of them when they are not in memory. */
static fm_status score(fm_node_query *q, size_t at, size_t *rows)
{
    const fm_table *t = q->table;
    uint32_t order[SCORE_PIECE];
    fm_status st;

    if (!q->reader)
        return fm_tabular_predict(q->model, t->x + at * t->features, *rows, q->logits + at);
    *rows = *rows < SCORE_PIECE ? *rows : SCORE_PIECE;
    for (size_t i = 0; i < *rows; i++)
        order[i] = (uint32_t)(at + i);
    st = fm_table_reader_take(q->reader, order, *rows, q->x, q->labels + at);
    return st != FM_OK ? st : fm_tabular_predict(q->model, q->x, *rows, q->logits + at);
}

fm_status fm_node_query_begin(fm_node_query *q, const fm_node_step_input *in)
{
    const fm_table *t = q->table;
    size_t rows = 0;
    fm_status st;

    if (!q->scores)
        return FM_OK;
    st = fm_train_weights_set(q->model, in->model, q->frozen);
    for (size_t at = 0; st == FM_OK && at < t->rows; at += rows) {
        rows = t->rows - at < SCORE_ROWS ? t->rows - at : SCORE_ROWS;
        st = score(q, at, &rows);
        if (in->keepalive)
            in->keepalive(in->keepalive_ctx);
    }
    fm_tabular_forget(q->model);
    return st;
}

void fm_node_query_end(fm_node_query *q)
{
    const fm_table *t = q->table;

    if (q->logits)
        sodium_memzero(q->logits, t->rows * sizeof *q->logits);
    fm_table_reader_forget(q->reader);
    if (q->x)
        sodium_memzero(q->x, SCORE_PIECE * t->features * sizeof *q->x);
    if (q->labels)
        sodium_memzero(q->labels, t->rows * sizeof *q->labels);
    if (q->raw)
        sodium_memzero(q->raw, t->raw_count * sizeof *q->raw);
}

static fm_status add_raw(const fm_node_query *q, uint32_t row, float share, float *out)
{
    const fm_table *t = q->table;
    const double *raw = q->raw;
    fm_status st;

    if (!q->reader)
        raw = t->raw + (size_t)row * t->raw_count;
    else if ((st = fm_table_reader_take_raw(q->reader, &row, 1, q->raw)) != FM_OK)
        return st;
    for (size_t i = 0; i < t->raw_count; i++)
        fm_query_add(q->query, i, raw[i], share, out);
    return FM_OK;
}

fm_status fm_node_query_unit(const fm_node_query *q, const uint32_t *rows, size_t count, float *out)
{
    const float *labels = q->labels ? q->labels : q->table->y;
    float share = 1.0f / (float)count;
    fm_status st = FM_OK;

    memset(out, 0, fm_query_width(q->query) * sizeof *out);
    for (size_t k = 0; st == FM_OK && k < count; k++)
        if (q->scores)
            fm_query_add_score(q->query, (double)q->logits[rows[k]], labels[rows[k]] > 0.5f, share,
                               out);
        else
            st = add_raw(q, rows[k], share, out);
    return st;
}
