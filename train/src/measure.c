#include "fedmoe/train/measure.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/threads.h"
#include "fedmoe/train/step.h"

#define BATCH_TOKENS 1024u

/* Sequences of one batch lie one after the other in the corpus, their tokens as well. */
typedef struct {
    const fm_corpus *corpus;
    size_t tokens; /* of a batch, at most */
    size_t *first; /* [batches + 1] */
    size_t batches;
    double *losses;  /* [sequences] means */
    uint32_t **ends; /* [threads] [tokens] */
    fm_decoder **workers;
    fm_threads *threads;
} measure;

static fm_status run_batch(void *ctx, unsigned thread, size_t number)
{
    const measure *m = ctx;
    const fm_corpus *c = m->corpus;
    const size_t first = m->first[number], n = m->first[number + 1] - first;
    uint32_t *ends = m->ends[thread];
    const fm_decoder_batch b = { .tokens = c->tokens + c->starts[first],
                                 .ends = ends,
                                 .sequences = n };
    fm_status st;

    for (size_t i = 0; i < n; i++)
        ends[i] = (uint32_t)(c->starts[first + i + 1] - c->starts[first]);
    st = fm_decoder_losses(m->workers[thread], &b, m->losses + first);
    fm_decoder_forget(m->workers[thread]);
    return st;
}

static void cut(measure *m)
{
    const fm_corpus *c = m->corpus;

    for (size_t i = 0; i < c->sequences; m->batches++) {
        const size_t first = i;

        m->first[m->batches] = first;
        while (i < c->sequences && c->starts[i + 1] - c->starts[first] <= m->tokens)
            i++;
    }
    m->first[m->batches] = c->sequences;
}

static fm_status make(measure *m, const fm_decoder *d, unsigned threads)
{
    const fm_corpus *c = m->corpus;
    const unsigned all = fm_threads_available();
    fm_status st;

    if (threads == 0)
        threads = all < FM_TRAIN_THREADS_DEFAULT ? all : FM_TRAIN_THREADS_DEFAULT;
    m->tokens = c->longest > BATCH_TOKENS ? c->longest : BATCH_TOKENS;
    if ((st = fm_alloc(c->sequences + 1, sizeof *m->first, (void **)&m->first)) != FM_OK ||
        (st = fm_alloc(c->sequences, sizeof *m->losses, (void **)&m->losses)) != FM_OK ||
        (st = fm_threads_new(threads, &m->threads)) != FM_OK ||
        (st = fm_alloc(threads, sizeof *m->workers, (void **)&m->workers)) != FM_OK ||
        (st = fm_alloc(threads, sizeof *m->ends, (void **)&m->ends)) != FM_OK)
        return st;
    cut(m);
    for (unsigned i = 0; st == FM_OK && i < threads; i++)
        if ((st = fm_decoder_new_worker(d, m->tokens, &m->workers[i])) == FM_OK)
            st = fm_alloc(m->tokens, sizeof **m->ends, (void **)&m->ends[i]);
    return st;
}

/* How long texts are is theirs, too. */
static void forget(void *p, size_t bytes)
{
    if (p)
        sodium_memzero(p, bytes);
    free(p);
}

static void close_measure(measure *m)
{
    const unsigned threads = m->threads ? fm_threads_count(m->threads) : 0;

    for (unsigned i = 0; i < threads; i++) {
        if (m->workers)
            fm_decoder_free(&m->workers[i]);
        if (m->ends)
            forget(m->ends[i], m->tokens * sizeof **m->ends);
    }
    fm_threads_free(&m->threads);
    free(m->workers);
    free(m->ends);
    forget(m->first, (m->corpus->sequences + 1) * sizeof *m->first);
    forget(m->losses, m->corpus->sequences * sizeof *m->losses);
}

fm_status fm_train_measure(const fm_decoder *d, const fm_corpus *c, unsigned threads,
                           fm_text_loss *out)
{
    measure m = { .corpus = c };
    fm_text_loss sum = { 0 };
    fm_status st;

    if (!d || !c || !out || c->sequences == 0)
        return fm_fail(FM_EINVAL, "there are no texts to measure");
    if (c->longest > fm_decoder_get_config(d)->context)
        return fm_fail(FM_EINVAL,
                       "the texts were cut into sequences of %zu tokens; the model's "
                       "context is %zu",
                       c->longest, fm_decoder_get_config(d)->context);
    if ((st = make(&m, d, threads)) == FM_OK)
        st = fm_threads_run(m.threads, m.batches, run_batch, &m);
    for (size_t i = 0; st == FM_OK && i < c->sequences; i++) {
        const size_t n = (size_t)(c->starts[i + 1] - c->starts[i]) - 1;

        sum.loss += m.losses[i] * (double)n;
        sum.predictions += n;
    }
    close_measure(&m);
    if (st != FM_OK)
        return st;
    if (sum.predictions == 0)
        return fm_fail(FM_EINVAL, "the texts have no token to foretell");
    sum.loss /= (double)sum.predictions;
    *out = sum;
    return FM_OK;
}
