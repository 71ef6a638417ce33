#include "fedmoe/train/author.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/random.h"
#include "fedmoe/base/threads.h"
#include "fedmoe/model/kernel.h"
#include "fedmoe/train/step.h"

#define BATCH ((size_t)16) /* texts at once */
#define NO_TEXT SIZE_MAX

/* One thread's buffers: `longest` tokens for each text of a batch. */
typedef struct {
    fm_decoder *d;
    uint32_t *packed; /* [BATCH * longest] the texts that are not done, one after the other */
    uint32_t ends[BATCH];
    float *logits; /* [BATCH, V] */
} writer;

typedef struct {
    const fm_authoring *a;
    const fm_corpus *from;
    size_t vocabulary;
    uint32_t *tokens; /* [texts, longest] */
    size_t *lengths;  /* [texts] */
    writer *writers;  /* [threads] */
    fm_threads *threads;
} work;

/* ---- a batch ---- */

static size_t begin_text(const work *w, size_t text)
{
    const fm_corpus *c = w->from;
    const size_t s = text % c->sequences;
    size_t n = (size_t)(c->starts[s + 1] - c->starts[s]);

    n = n > w->a->begin ? w->a->begin : n;
    n = n >= w->a->longest ? w->a->longest - 1 : n;
    memcpy(w->tokens + text * w->a->longest, c->tokens + c->starts[s], n * sizeof *w->tokens);
    w->lengths[text] = n;
    return n;
}

/* The first token at which the sum of probabilities exceeds u of them all. */
static fm_status draw(float *z, size_t n, double temperature, double u, uint32_t *token)
{
    const float inverse = 1.0f / (float)temperature, most = fm_kernel_most(z, n) * inverse;
    double all = 0.0, sum = 0.0;
    size_t at = 0;

    fm_kernel_scale(z, inverse, n);
    (void)fm_kernel_exp_sum(z, n, most);
    for (size_t i = 0; i < n; i++)
        all += (double)z[i];
    if (!isfinite(all) || !(all > 0.0))
        return fm_fail(FM_ENONFINITE, "the model's logits are not finite");
    for (size_t i = 0; i < n && sum <= u * all; i++) {
        at = z[i] > 0.0f ? i : at;
        sum += (double)z[i];
    }
    *token = (uint32_t)at;
    return FM_OK;
}

/* Packs what is not done. @return how many. */
static size_t pack(const work *w, writer *t, const size_t *open, size_t count)
{
    size_t at = 0, n = 0;

    for (size_t i = 0; i < count; i++) {
        const size_t text = open[i];

        if (text == NO_TEXT)
            continue;
        memcpy(t->packed + at, w->tokens + text * w->a->longest,
               w->lengths[text] * sizeof *t->packed);
        at += w->lengths[text];
        t->ends[n++] = (uint32_t)at;
    }
    return n;
}

/* One more token for each text that is not done. */
static fm_status step(const work *w, writer *t, size_t *open, fm_rng *rngs, size_t count)
{
    const fm_decoder_batch b = { .tokens = t->packed,
                                 .ends = t->ends,
                                 .sequences = pack(w, t, open, count) };
    fm_status st = fm_decoder_last_logits(t->d, &b, t->logits);
    size_t n = 0;

    for (size_t i = 0; st == FM_OK && i < count; i++) {
        const size_t text = open[i];
        uint32_t token = 0;

        if (text == NO_TEXT)
            continue;
        st = draw(t->logits + n++ * w->vocabulary, w->vocabulary, w->a->temperature,
                  fm_rng_unit(&rngs[i]), &token);
        w->tokens[text * w->a->longest + w->lengths[text]++] = token;
        if (token == w->a->end_token || w->lengths[text] == w->a->longest)
            open[i] = NO_TEXT;
    }
    return st;
}

static bool any_open(const size_t *open, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (open[i] != NO_TEXT)
            return true;
    return false;
}

static fm_status write_batch(void *ctx, unsigned thread, size_t number)
{
    const work *w = ctx;
    const size_t first = number * BATCH, left = w->a->texts - first;
    const size_t count = left < BATCH ? left : BATCH;
    size_t open[BATCH];
    fm_rng_seed states[BATCH];
    fm_rng rngs[BATCH];
    fm_status st = FM_OK;

    for (size_t i = 0; i < count; i++) {
        open[i] = first + i;
        rngs[i] = fm_rng_public(&states[i], w->a->seed + first + i);
        if (w->tokens[(first + i) * w->a->longest + begin_text(w, first + i) - 1] ==
            w->a->end_token)
            open[i] = NO_TEXT; /* a beginning that is a whole text */
    }
    while (st == FM_OK && any_open(open, count))
        st = step(w, &w->writers[thread], open, rngs, count);
    fm_decoder_forget(w->writers[thread].d);
    return st;
}

/* ---- all ---- */

static fm_status check(const fm_decoder *d, const fm_corpus *from, const fm_authoring *a)
{
    const fm_decoder_config *c = fm_decoder_get_config(d);

    if (a->texts == 0 || a->begin == 0 || a->longest < 2 || a->longest > c->context)
        return fm_fail(FM_EINVAL, "texts of 2 to %zu tokens can be written, and 1 or more of them",
                       c->context);
    if (!(a->temperature >= 0.1 && a->temperature <= 100.0))
        return fm_fail(FM_EINVAL, "a temperature of 0.1 to 100 is possible");
    for (size_t i = 0; i < from->starts[from->sequences]; i++)
        if (from->tokens[i] >= c->vocabulary)
            return fm_fail(FM_EINVAL, "the beginnings hold token %u; the vocabulary has %zu",
                           (unsigned)from->tokens[i], c->vocabulary);
    return FM_OK;
}

static fm_status make(work *w, const fm_decoder *d)
{
    const unsigned all = fm_threads_available();
    unsigned n = w->a->threads;
    size_t values;
    fm_status st;

    if (n == 0)
        n = all < FM_TRAIN_THREADS_DEFAULT ? all : FM_TRAIN_THREADS_DEFAULT;
    if ((st = fm_mul_size(w->a->texts, w->a->longest, &values)) != FM_OK ||
        (st = fm_alloc(values, sizeof *w->tokens, (void **)&w->tokens)) != FM_OK ||
        (st = fm_alloc(w->a->texts, sizeof *w->lengths, (void **)&w->lengths)) != FM_OK ||
        (st = fm_threads_new(n, &w->threads)) != FM_OK)
        return st;
    st = fm_alloc(n, sizeof *w->writers, (void **)&w->writers);
    for (unsigned i = 0; st == FM_OK && i < n; i++) {
        writer *t = &w->writers[i];

        if ((st = fm_alloc(BATCH * w->a->longest, sizeof *t->packed, (void **)&t->packed)) ==
                FM_OK &&
            (st = fm_alloc(BATCH * w->vocabulary, sizeof *t->logits, (void **)&t->logits)) == FM_OK)
            st = fm_decoder_new_worker(d, BATCH * w->a->longest, &t->d);
    }
    return st;
}

static fm_status give(const work *w, fm_corpus **out)
{
    fm_corpus *c = NULL;
    uint64_t all = 0;
    fm_status st = fm_alloc(1, sizeof *c, (void **)&c);

    for (size_t i = 0; i < w->a->texts; i++)
        all += w->lengths[i];
    if (st == FM_OK &&
        (st = fm_alloc(w->a->texts + 1, sizeof *c->starts, (void **)&c->starts)) == FM_OK &&
        (st = fm_alloc((size_t)all, sizeof *c->tokens, (void **)&c->tokens)) == FM_OK) {
        for (size_t i = 0; i < w->a->texts; i++) {
            memcpy(c->tokens + c->starts[i], w->tokens + i * w->a->longest,
                   w->lengths[i] * sizeof *c->tokens);
            c->starts[i + 1] = c->starts[i] + w->lengths[i];
            c->longest = w->lengths[i] > c->longest ? w->lengths[i] : c->longest;
        }
        c->sequences = c->documents = c->units = w->a->texts;
        *out = c;
        c = NULL;
    }
    fm_corpus_free(&c);
    return st;
}

/* Texts begin as those of `beginnings`, and go on as the teacher learnt to: nothing of them stays. */
static void wipe_and_free(void *p, size_t count, size_t bytes)
{
    if (p)
        sodium_memzero(p, count * bytes);
    free(p);
}

static void close_work(work *w)
{
    const unsigned n = w->threads ? fm_threads_count(w->threads) : 0;

    for (unsigned i = 0; w->writers && i < n; i++) {
        writer *t = &w->writers[i];

        fm_decoder_free(&t->d);
        wipe_and_free(t->packed, BATCH * w->a->longest, sizeof *t->packed);
        wipe_and_free(t->logits, BATCH * w->vocabulary, sizeof *t->logits);
    }
    fm_threads_free(&w->threads);
    free(w->writers);
    wipe_and_free(w->tokens, w->a->texts * w->a->longest, sizeof *w->tokens);
    free(w->lengths);
}

fm_status fm_train_compose(const fm_decoder *d, const fm_corpus *beginnings, const fm_authoring *a,
                           fm_corpus **out)
{
    work w = { .a = a, .from = beginnings };
    fm_status st;

    if (!d || !beginnings || !a || !out || beginnings->sequences == 0)
        return fm_fail(FM_EINVAL, "there are no texts to begin with");
    if ((st = check(d, beginnings, a)) != FM_OK)
        return st;
    w.vocabulary = fm_decoder_get_config(d)->vocabulary;
    if ((st = make(&w, d)) == FM_OK &&
        (st = fm_threads_run(w.threads, (a->texts + BATCH - 1) / BATCH, write_batch, &w)) == FM_OK)
        st = give(&w, out);
    close_work(&w);
    return st;
}
