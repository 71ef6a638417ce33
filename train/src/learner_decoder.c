/* A decoder on texts as a learner. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "learner_decoder.h"

#define BATCH_BYTES ((size_t)256 << 20) /* of a thread's activations and gradients, about */
#define BATCH_MOST 2048u                /* tokens: more make no product faster */
#define BATCH_LEAST 256u                /* fewer are not worth reading all weights for */

static bool trains_all(const fm_decoder *d)
{
    return fm_decoder_get_options(d)->train == FM_TRAIN_ALL;
}

/* ---- what is trained of all weights ---- */

static bool corrected(const fm_decoder_layer *l)
{
    return l->correction != FM_DECODER_ABSENT;
}

static size_t trained_parameters(const fm_decoder *d)
{
    const fm_decoder_config *c = fm_decoder_get_config(d);
    const fm_decoder_layout *at = fm_decoder_get_layout(d);
    size_t n = at->parameters;

    if (!trains_all(d))
        return fm_decoder_gradient_parameters(d);
    for (size_t i = 0; i < c->layers; i++)
        n -= corrected(&at->layer[i]) ? c->experts : 0;
    return n;
}

/* The state's values of the flat vector: all but the correction biases. Layers follow each other in
 * it, and so do the gaps. */
static void pack(const fm_decoder *d, const float *flat, float *state)
{
    const fm_decoder_config *c = fm_decoder_get_config(d);
    const fm_decoder_layout *at = fm_decoder_get_layout(d);
    size_t from = 0;

    for (size_t i = 0; i < c->layers; i++) {
        const size_t gap = at->layer[i].correction;

        if (!corrected(&at->layer[i]))
            continue;
        memcpy(state, flat + from, (gap - from) * sizeof *state);
        state += gap - from;
        from = gap + c->experts;
    }
    memcpy(state, flat + from, (at->parameters - from) * sizeof *state);
}

static void unpack(const fm_decoder *d, const float *state, float *flat)
{
    const fm_decoder_config *c = fm_decoder_get_config(d);
    const fm_decoder_layout *at = fm_decoder_get_layout(d);
    size_t from = 0;

    for (size_t i = 0; i < c->layers; i++) {
        const size_t gap = at->layer[i].correction;

        if (!corrected(&at->layer[i]))
            continue;
        memcpy(flat + from, state, (gap - from) * sizeof *state);
        state += gap - from;
        from = gap + c->experts;
    }
    memcpy(flat + from, state, (at->parameters - from) * sizeof *state);
}

fm_status fm_learner_decoder_get(const fm_learner *l, float *state, size_t n)
{
    float *flat = NULL;
    fm_status st;

    if (n != trained_parameters(l->decoder))
        return fm_fail(FM_EINVAL, "learner: %zu values where %zu belong", n,
                       trained_parameters(l->decoder));
    if (trains_all(l->decoder)) {
        pack(l->decoder, fm_decoder_weights(l->decoder), state);
        return FM_OK;
    }
    if ((st = fm_alloc(fm_decoder_adapter_parameters(l->decoder), sizeof *flat, (void **)&flat)) !=
        FM_OK)
        return st;
    fm_decoder_adapters_get(l->decoder, flat);
    memcpy(state, flat, n * sizeof *state);
    free(flat);
    return FM_OK;
}

fm_status fm_learner_decoder_set(const fm_learner *l, const float *state, size_t n)
{
    if (!trains_all(l->decoder))
        return fm_decoder_adapters_set_trained(l->decoder, state, n);
    if (n != trained_parameters(l->decoder))
        return fm_fail(FM_EINVAL, "learner: %zu values where %zu belong", n,
                       trained_parameters(l->decoder));
    unpack(l->decoder, state, fm_decoder_weights(l->decoder));
    return fm_decoder_refresh(l->decoder);
}

/* ---- facts ---- */

static size_t tokens_of(const fm_corpus *c, size_t sequence)
{
    return (size_t)(c->starts[sequence + 1] - c->starts[sequence]);
}

static size_t cost(const fm_learner *l, uint32_t row)
{
    return tokens_of(l->corpus, row);
}

/* Most tokens that a unit has in a batch, with unit_rows sequences at most. */
static size_t longest_unit(const fm_corpus *c, size_t unit_rows)
{
    size_t longest = c->longest;

    for (size_t u = 0; c->unit_start && u < c->units; u++) {
        const size_t first = c->unit_start[u], n = c->unit_start[u + 1] - first;
        size_t most = 0, all = 0;

        for (size_t i = first; i < first + n; i++) {
            const size_t tokens = tokens_of(c, i);

            all += tokens;
            most = tokens > most ? tokens : most;
        }
        if (n > unit_rows && unit_rows * most < all)
            all = unit_rows * most;
        longest = all > longest ? all : longest;
    }
    return longest;
}

/* Floats that a token takes in all layers, about. */
static size_t token_floats(const fm_decoder_config *c)
{
    const size_t attention =
        4 * c->heads * (c->query_head + c->value_head) + 2 * (c->query_rank + c->key_value_rank);
    const size_t sparse =
        3 * c->experts + 5 * c->shared_hidden + c->top_k * (2 * c->width + 5 * c->expert_hidden);

    return c->layers * (8 * c->width + attention) + c->dense_layers * 5 * c->dense_hidden +
           (c->layers - c->dense_layers) * sparse + 4 * c->width;
}

static size_t batch_of(const fm_decoder_config *c, const fm_corpus *corpus, size_t unit_rows,
                       size_t all)
{
    const size_t longest = longest_unit(corpus, unit_rows);
    size_t most = BATCH_BYTES / (token_floats(c) * sizeof(float));

    most = most > BATCH_MOST ? BATCH_MOST : most;
    most = most < BATCH_LEAST ? BATCH_LEAST : most;
    most = most > all ? all : most;
    return most < longest ? longest : most;
}

static fm_status check_corpus(const fm_decoder_config *c, const fm_corpus *corpus)
{
    uint32_t largest = 0;

    if (corpus->sequences == 0)
        return fm_fail(FM_EINVAL, "there are no texts to train on");
    if (corpus->sequences > FM_TABLE_MAX_ROWS)
        return fm_fail(FM_EINVAL, "the texts have %zu sequences; at most %zu are possible",
                       corpus->sequences, FM_TABLE_MAX_ROWS);
    if (corpus->longest > c->context)
        return fm_fail(FM_EINVAL,
                       "the texts were cut into sequences of %zu tokens; the model's "
                       "context is %zu",
                       corpus->longest, c->context);
    for (uint64_t i = 0; i < corpus->starts[corpus->sequences]; i++)
        largest = corpus->tokens[i] > largest ? corpus->tokens[i] : largest;
    if (largest >= c->vocabulary)
        return fm_fail(FM_EINVAL, /* which one a text has is nobody's business */
                       "the texts have a token that the model's vocabulary of %zu has not: the "
                       "tokenizer is another model's",
                       c->vocabulary);
    return FM_OK;
}

static fm_status describe(const fm_learner *l, size_t unit_rows, fm_learner_facts *out)
{
    const fm_corpus *corpus = l->corpus;
    const fm_decoder_config *c;
    fm_learner_facts f = { .least = BATCH_LEAST };
    fm_status st;

    if (!l->decoder || !corpus || !fm_decoder_weights(l->decoder))
        return fm_fail(FM_EINVAL, "learner: there is no decoder of its own weights, or no corpus");
    c = fm_decoder_get_config(l->decoder);
    if (!trains_all(l->decoder) && fm_decoder_adapter_parameters(l->decoder) == 0)
        return fm_fail(FM_EINVAL,
                       "learner: a decoder is trained by its adapters, or all of its weights");
    if ((st = check_corpus(c, corpus)) != FM_OK)
        return st;
    if (l->teacher && !fm_teacher_fits(l->teacher, l->decoder, corpus))
        return fm_fail(FM_EINVAL, "learner: the teacher is of other texts or another vocabulary");
    f.parameters = trained_parameters(l->decoder);
    f.units = fm_train_units_of_corpus(corpus);
    f.all = (size_t)corpus->starts[corpus->sequences];
    f.smallest = f.all;
    for (size_t i = 0; i < corpus->sequences; i++)
        f.smallest = tokens_of(corpus, i) < f.smallest ? tokens_of(corpus, i) : f.smallest;
    if (f.smallest == 0)
        return fm_fail(FM_EINVAL, "learner: the corpus has an empty sequence");
    f.batch = batch_of(c, corpus, unit_rows, f.all);
    f.fast = !trains_all(l->decoder);
    *out = f;
    return FM_OK;
}

static fm_status check_tail(const fm_learner *l, const fm_train_tail *tail)
{
    (void)l;
    if (tail->load_groups || tail->load_experts || tail->start)
        return fm_fail(FM_EINVAL, "a decoder's training counts no loads and has no statistics "
                                  "round");
    if (tail->held_bins)
        return fm_fail(FM_EINVAL,
                       "the AUC is of a table's labels; a decoder's texts have none: the "
                       "plan's held_bins must be 0");
    return FM_OK;
}

/* ---- objects ---- */

static void wipe(void *p, size_t bytes)
{
    if (p)
        sodium_memzero(p, bytes);
}

static void forget(void *of)
{
    fm_train_texts *o = of;

    if (o->d)
        fm_decoder_forget(o->d);
    if (o->lesson)
        fm_lesson_forget(o->lesson);
    wipe(o->tokens, o->batch * sizeof *o->tokens);
    wipe(o->ends, o->batch * sizeof *o->ends);
    wipe(o->losses, o->batch * sizeof *o->losses);
    wipe(o->whole, o->whole_length * sizeof *o->whole);
}

static void close_object(void *of)
{
    fm_train_texts *o = of;

    forget(o);
    fm_decoder_free(&o->d);
    fm_lesson_free(&o->lesson);
    free(o->tokens);
    free(o->ends);
    free(o->losses);
    free(o->whole);
    free(o);
}

static fm_status open_object(const fm_learner *l, void *first, size_t batch, void **out)
{
    fm_train_texts *o = NULL;
    fm_status st = fm_alloc(1, sizeof *o, (void **)&o);

    (void)first; /* all share the weights of the learner's decoder */
    if (st != FM_OK)
        return st;
    o->batch = batch;
    o->whole_length = trains_all(l->decoder) ? fm_decoder_get_layout(l->decoder)->parameters : 0;
    if ((st = fm_alloc(batch, sizeof *o->tokens, (void **)&o->tokens)) != FM_OK ||
        (st = fm_alloc(batch, sizeof *o->ends, (void **)&o->ends)) != FM_OK ||
        (st = fm_alloc(batch, sizeof *o->losses, (void **)&o->losses)) != FM_OK ||
        (o->whole_length &&
         (st = fm_alloc(o->whole_length, sizeof *o->whole, (void **)&o->whole)) != FM_OK) ||
        (st = fm_decoder_new_worker(l->decoder, batch, &o->d)) != FM_OK ||
        (l->teacher && (st = fm_lesson_new(l->teacher, batch, &o->lesson)) != FM_OK)) {
        close_object(o);
        return st;
    }
    *out = o;
    return FM_OK;
}

static fm_status set(const fm_learner *l, void *first, const fm_train_tail *tail,
                     const float *state, size_t n)
{
    const size_t tail_length = fm_train_tail_length(tail);

    (void)first; /* the weights are the learner's decoder's */
    if (n < tail_length)
        return fm_fail(FM_EINVAL, "the state has %zu values, fewer than its tail", n);
    return fm_learner_decoder_set(l, state, n - tail_length);
}

/* The batch of some sequences. */
static fm_status gather(const fm_corpus *c, fm_train_texts *o, const uint32_t *rows, size_t count,
                        fm_decoder_batch *out)
{
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        const size_t n = tokens_of(c, rows[i]);

        if (n > o->batch - at)
            return fm_fail(FM_EINTERNAL, "learner: a batch of more than %zu tokens", o->batch);
        memcpy(o->tokens + at, c->tokens + c->starts[rows[i]], n * sizeof *o->tokens);
        at += n;
        o->ends[i] = (uint32_t)at;
    }
    *out = (fm_decoder_batch){ .tokens = o->tokens, .ends = o->ends, .sequences = count };
    return FM_OK;
}

static fm_status backward(const fm_learner *l, void *of, const uint32_t *rows, size_t count)
{
    fm_train_texts *o = of;
    fm_decoder_batch b;
    fm_decoder_soft soft;
    fm_status st;

    if ((st = gather(l->corpus, o, rows, count, &b)) != FM_OK)
        return st;
    if (!o->lesson)
        return fm_decoder_backward(o->d, &b, NULL);
    if ((st = fm_lesson_take(o->lesson, rows, &b, &soft)) != FM_OK)
        return st;
    return fm_decoder_backward_soft(o->d, &b, &soft, NULL);
}

static fm_status losses(const fm_learner *l, void *of, const uint32_t *rows, size_t count,
                        float *out)
{
    fm_train_texts *o = of;
    fm_decoder_batch b;
    fm_status st;

    if ((st = gather(l->corpus, o, rows, count, &b)) != FM_OK ||
        (st = fm_decoder_losses(o->d, &b, o->losses)) != FM_OK)
        return st;
    for (size_t i = 0; i < count; i++)
        out[i] = (float)o->losses[i];
    return FM_OK;
}

static void squares(void *of, const uint32_t *ends, size_t units, double *out)
{
    fm_decoder_unit_squares(((fm_train_texts *)of)->d, ends, units, out);
}

static fm_status add_units(void *of, const uint32_t *ends, size_t units, const double *factors,
                           int64_t limit, int32_t *sum, uint64_t *lengths)
{
    return fm_decoder_add_units(((fm_train_texts *)of)->d, ends, units, factors, limit, sum,
                                lengths);
}

static void gradient(void *of, const uint32_t *ends, size_t unit, float *out)
{
    fm_train_texts *o = of;

    if (!o->whole) {
        memset(out, 0, fm_decoder_gradient_parameters(o->d) * sizeof *out);
        fm_decoder_add_unit_gradient(o->d, ends, unit, out);
        return;
    }
    memset(o->whole, 0, o->whole_length * sizeof *o->whole);
    fm_decoder_add_unit_gradient(o->d, ends, unit, o->whole);
    pack(o->d, o->whole, out);
}

static const fm_learner_ops ops = { .describe = describe,
                                    .check_tail = check_tail,
                                    .cost = cost,
                                    .open = open_object,
                                    .close = close_object,
                                    .forget = forget,
                                    .set = set,
                                    .backward = backward,
                                    .losses = losses,
                                    .squares = squares,
                                    .add_units = add_units,
                                    .gradient = gradient };

fm_learner fm_learner_decoder(fm_decoder *d, const fm_corpus *corpus)
{
    return (fm_learner){ .ops = &ops, .decoder = d, .corpus = corpus };
}

fm_learner fm_learner_taught(fm_decoder *d, const fm_corpus *corpus, fm_teacher *teacher)
{
    fm_learner l = fm_learner_decoder(d, corpus);

    l.teacher = teacher;
    return l;
}
