/*
 * Workers take blocks of the input in turn, each encodes, predicts and formats its own, and hands
 * the text over in the order of the blocks.
 */
#include "fedmoe/model/predict.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/threads.h"
#include "predict_internal.h"

#define BATCH_ROWS ((size_t)256) /* of features at a time: they stay in the cache */
#define PROBLEMS_MAX 20
#define ERROR_BYTES 1024

typedef struct {
    const fm_predict_options *options;
    fm_schema *schema;
    fm_tabular *model;
    fm_csv_source source;
    fm_binding binding; /* made with the first block, constant from then on */
    fm_file_writer *writer;
    pthread_mutex_t lock;
    pthread_cond_t turned;
    uint64_t blocks, turn; /* handed out; whose text comes next */
    bool ended, stop;      /* no more blocks; nothing more is wanted */
    fm_problems problems;
    fm_status st; /* of whichever block failed first, in their order */
    char error[ERROR_BYTES];
    uint64_t rows;
} job;

typedef struct {
    job *job;
    fm_tabular *model; /* owned, but for the first worker's */
    fm_csv_block block;
    fm_csv_scan scan;
    fm_slice *cells; /* [columns] */
    float *x, *y;    /* [BATCH_ROWS, features], [BATCH_ROWS, outputs] */
    size_t *lines;   /* [BATCH_ROWS] */
    fm_slice *ids;   /* [BATCH_ROWS], in the block */
    double *scratch; /* [outputs] */
    size_t batch;    /* rows gathered */
    uint64_t rows;   /* of the block */
    fm_buf out;
    fm_problems problems;
} worker;

static void worker_fini(worker *w)
{
    if (w->model != w->job->model)
        fm_tabular_free(&w->model);
    fm_csv_block_free(&w->block);
    fm_csv_scan_fini(&w->scan);
    free(w->cells);
    free(w->x);
    free(w->y);
    free(w->lines);
    free(w->ids);
    free(w->scratch);
    fm_buf_fini(&w->out);
    fm_buf_fini(&w->problems.text);
}

static fm_status worker_init(worker *w, job *j, bool first)
{
    const size_t outputs = fm_schema_outputs(j->schema), features = fm_schema_features(j->schema);
    fm_status st;

    *w =
        (worker){ .job = j, .model = first ? j->model : NULL, .problems = { .max = PROBLEMS_MAX } };
    fm_buf_init(&w->out, SIZE_MAX);
    if ((!first && (st = fm_tabular_new_worker(j->model, BATCH_ROWS, &w->model))) ||
        (st = fm_csv_block_new(&j->source, &w->block)) ||
        (st = fm_alloc(j->schema->column_count, sizeof *w->cells, (void **)&w->cells)) ||
        (st = fm_alloc(BATCH_ROWS * features, sizeof *w->x, (void **)&w->x)) ||
        (st = fm_alloc(BATCH_ROWS * outputs, sizeof *w->y, (void **)&w->y)) ||
        (st = fm_alloc(BATCH_ROWS, sizeof *w->lines, (void **)&w->lines)) ||
        (st = fm_alloc(BATCH_ROWS, sizeof *w->ids, (void **)&w->ids)) ||
        (st = fm_alloc(outputs, sizeof *w->scratch, (void **)&w->scratch))) {
        worker_fini(w);
        return st;
    }
    return FM_OK;
}

/* Predict what was gathered, and write it down. */
static fm_status flush(worker *w)
{
    const job *j = w->job;
    const size_t outputs = fm_schema_outputs(j->schema), n = w->batch;
    fm_status st;

    w->batch = 0;
    if (w->problems.count) /* nothing will be written any more */
        return FM_OK;
    st = fm_tabular_predict(w->model, w->x, n, w->y);
    for (size_t i = 0; !st && i < n; i++) {
        if (j->options->id && ((st = fm_format_cell(&w->out, w->ids[i].at, w->ids[i].len, ',')) ||
                               (st = fm_buf_append(&w->out, ",", 1))))
            break;
        if (j->options->lines && (st = fm_buf_printf(&w->out, "%zu,", w->lines[i])))
            break;
        if ((st = fm_format_prediction(&w->out, j->schema, w->y + i * outputs, j->options->lines,
                                       w->scratch)) == FM_ENONFINITE)
            st = fm_fail_context(st, "%s:%zu: ", j->binding.name, w->lines[i]);
    }
    return st;
}

static fm_status take_record(worker *w, const fm_csv_record *r)
{
    const fm_binding *b = &w->job->binding;
    const size_t features = b->schema->features;
    fm_status st = fm_bind_check(b, r);

    if (!st)
        st = fm_bind_encode(b, r, w->cells, w->x + w->batch * features, NULL, NULL);
    if (st == FM_EPARSE)
        return fm_problem(&w->problems);
    if (st)
        return st;
    w->rows++;
    w->lines[w->batch] = r->line;
    if (b->id)
        w->ids[w->batch] = r->cells[b->id_place];
    return ++w->batch == BATCH_ROWS ? flush(w) : FM_OK;
}

static fm_status process(worker *w)
{
    fm_csv_record r;
    bool got = true;
    fm_status st;

    do
        if (!(st = fm_csv_next(&w->scan, &r, &got)) && got)
            st = take_record(w, &r);
    while (!st && got);
    if (!st)
        return flush(w);
    /* A fault of the file itself comes on top of those of its records. */
    return st == FM_EPARSE && !w->problems.gave_up ? fm_problem_last(&w->problems) : st;
}

/* The first record says which field is which column; it may be a record itself. */
static fm_status bind_first(worker *w)
{
    job *j = w->job;
    fm_csv_record r;
    bool got = true, is_record = false;
    fm_status st = fm_csv_next(&w->scan, &r, &got);

    if (st == FM_EPARSE)
        return fm_problem_last(&w->problems);
    if (st || !got)
        return st;
    if (!(st = fm_bind(&j->binding, &r, &w->problems, &is_record)))
        w->scan.held = is_record;
    return st;
}

/* The next block and its number, or none. With the lock held. */
static fm_status take_block(worker *w, uint64_t *number, bool *got)
{
    job *j = w->job;
    fm_status st = FM_OK;

    *got = false;
    if (j->ended || j->stop)
        return FM_OK;
    if (!(st = fm_csv_take(&j->source, &w->block, got)) && !*got) {
        j->ended = true;
        return FM_OK;
    }
    *got = true; /* a fault has its place among the blocks, too */
    *number = j->blocks++;
    if (!st) {
        fm_csv_begin(&w->scan, j->binding.name, fm_bind_delimiter(&j->binding), &w->block);
        /* A block may hold blank lines alone, before the first record. */
        if (!j->binding.place)
            st = bind_first(w);
    }
    j->ended = st != FM_OK;
    return st;
}

static void keep_error(job *j, fm_status st)
{
    j->st = st;
    (void)snprintf(j->error, sizeof j->error, "%s", fm_error_text());
    j->stop = true;
}

static fm_status fail_stdout(void)
{
    return fm_fail(FM_EIO, "cannot write to standard output: %s", strerror(errno));
}

static fm_status write_out(job *j, const fm_buf *out)
{
    if (!out->len)
        return FM_OK;
    if (j->writer)
        return fm_file_write(j->writer, out->data, out->len);
    return fwrite(out->data, 1, out->len, stdout) == out->len ? FM_OK : fail_stdout();
}

/* Problems of this block behind those of the blocks before. */
static fm_status merge(job *j, const fm_problems *p)
{
    if (!p->count)
        return FM_OK;
    if (j->problems.count + p->count > j->problems.max) /* too many: those that fit */
        j->stop = true;
    for (const char *at = (const char *)p->text.data; j->problems.count < j->problems.max;) {
        const size_t n = strcspn(at, "\n");
        const fm_status st =
            fm_buf_printf(&j->problems.text, "%s%.*s", j->problems.count ? "\n" : "", (int)n, at);

        if (st)
            return st;
        j->problems.count++;
        if (!at[n])
            break;
        at += n + 1;
    }
    j->stop = j->stop || p->gave_up || j->problems.count >= j->problems.max;
    return FM_OK;
}

/* In the order of the blocks, whoever is ready first. */
static void hand_over(worker *w, uint64_t number, fm_status st)
{
    job *j = w->job;

    (void)pthread_mutex_lock(&j->lock);
    while (j->turn != number)
        (void)pthread_cond_wait(&j->turned, &j->lock);
    if (!j->stop) {
        if (st && st != FM_EPARSE)
            keep_error(j, st);
        else if ((st = merge(j, &w->problems)) ||
                 (!j->problems.count && (st = write_out(j, &w->out))))
            keep_error(j, st);
        j->rows += w->rows;
    }
    j->turn++;
    (void)pthread_cond_broadcast(&j->turned);
    (void)pthread_mutex_unlock(&j->lock);
}

static void *work(void *state)
{
    worker *w = state;
    uint64_t number = 0;
    bool got = true;
    fm_status st;

    while (got) {
        fm_buf_clear(&w->out);
        fm_buf_clear(&w->problems.text);
        w->problems.count = 0;
        w->problems.gave_up = false;
        w->rows = 0;
        w->batch = 0;
        (void)pthread_mutex_lock(&w->job->lock);
        st = take_block(w, &number, &got);
        (void)pthread_mutex_unlock(&w->job->lock);
        if (!got)
            break;
        hand_over(w, number, st ? st : process(w));
    }
    return NULL;
}

/* Cells of a dialect are rewritten in a place that the binding has once. */
static size_t thread_count(const fm_predict_options *o)
{
    const size_t n = o->dialect ? 1 : o->threads ? o->threads : fm_threads_available();

    return n < FM_PREDICT_MAX_THREADS ? n : FM_PREDICT_MAX_THREADS;
}

/* The calling thread is the first worker; one that does not start is no loss. */
static fm_status run(job *j)
{
    const size_t most = thread_count(j->options);
    pthread_t threads[FM_PREDICT_MAX_THREADS];
    worker *workers = NULL;
    size_t ready = 0, started = 0;
    fm_status st = fm_alloc(most, sizeof *workers, (void **)&workers);

    while (!st && ready < most && !(st = worker_init(&workers[ready], j, ready == 0)))
        ready++;
    for (size_t i = 1; !st && i < ready; i++, started++)
        if (pthread_create(&threads[started], NULL, work, &workers[i]) != 0)
            break;
    if (!st)
        (void)work(&workers[0]);
    for (size_t i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    for (size_t i = 0; i < ready; i++)
        worker_fini(&workers[i]);
    free(workers);
    if (!st && j->st)
        return fm_fail(j->st, "%s", j->error);
    if (!st && j->problems.count)
        return fm_problems_fail(&j->problems);
    if (!st && !j->rows)
        return fm_fail(FM_EPARSE, "%s: there are no records", j->binding.name);
    return st;
}

static fm_status predict(job *j)
{
    const fm_predict_options *o = j->options;
    fm_buf header = { 0 };
    fm_status st = fm_format_header(&header, j->schema, o->id, o->lines);

    if (!st && o->output)
        st = fm_file_begin(o->output, 0600, &j->writer);
    if (!st)
        st = write_out(j, &header);
    fm_buf_fini(&header);
    if (!st)
        st = run(j);
    if (!st && j->writer)
        return o->force ? fm_file_finish(&j->writer) : fm_file_finish_new(&j->writer);
    if (!st && fflush(stdout) != 0)
        return fail_stdout();
    return st;
}

static fm_status check_output(const fm_predict_options *o)
{
    const char *const inputs[] = { o->model, o->input };

    return o->output ? fm_file_check_output(o->output, o->force, inputs, 2) : FM_OK;
}

fm_status fm_predict_file(const fm_predict_options *o, uint64_t *rows)
{
    job j = { .options = o, .source = { .fd = -1 }, .problems = { .max = PROBLEMS_MAX } };
    fm_status st;

    if (!o || !o->model || !o->input)
        return fm_fail(FM_EINVAL, "predict: an argument is missing");
    if ((st = check_output(o)))
        return st;
    if (pthread_mutex_init(&j.lock, NULL) != 0)
        return fm_fail(FM_ENOMEM, "predict: no memory for a lock");
    if (pthread_cond_init(&j.turned, NULL) != 0) {
        (void)pthread_mutex_destroy(&j.lock);
        return fm_fail(FM_ENOMEM, "predict: no memory for a condition");
    }
    if (!(st = fm_tabular_load(o->model, BATCH_ROWS, &j.schema, &j.model)) &&
        !(st = fm_csv_open(o->input, FM_TABLE_MAX_BYTES, &j.source)) &&
        !(st = fm_csv_speak(&j.source, o->dialect))) {
        j.binding = (fm_binding){
            .name = o->input, .schema = j.schema, .id = o->id, .dialect = o->dialect
        };
        st = predict(&j);
    }
    if (!st && rows)
        *rows = j.rows;
    fm_file_abort(&j.writer);
    fm_csv_close(&j.source);
    fm_binding_fini(&j.binding);
    fm_buf_fini(&j.problems.text);
    fm_tabular_free(&j.model);
    fm_schema_free(&j.schema);
    (void)pthread_cond_destroy(&j.turned);
    (void)pthread_mutex_destroy(&j.lock);
    return st;
}
