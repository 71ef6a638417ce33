#include "fedmoe/edge/sample.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/model/kernel.h"

#define TEMPERATURE_LEAST 1e-3 /* but for 0 */
#define TEMPERATURE_MOST 100.0

struct fm_sampler {
    size_t vocabulary;
    fm_sample_options options;
    fm_rng *rng;
    fm_watermark_text *mark; /* or NULL */
    uint32_t *ids;           /* [vocabulary] of the candidates, the first `count` of them */
    double *p;               /* [vocabulary] their probabilities */
    size_t count;
};

static fm_status check(size_t vocabulary, const fm_sample_options *o)
{
    if (vocabulary < 1 || vocabulary > UINT32_MAX)
        return fm_fail(FM_EINVAL, "sampling: a vocabulary of %zu tokens", vocabulary);
    if (o->temperature != 0.0 &&
        !(o->temperature >= TEMPERATURE_LEAST && o->temperature <= TEMPERATURE_MOST))
        return fm_fail(FM_EINVAL, "sampling: a temperature of %g; 0, and %g to %g are possible",
                       o->temperature, TEMPERATURE_LEAST, TEMPERATURE_MOST);
    if (!(o->top_p > 0.0 && o->top_p <= 1.0))
        return fm_fail(FM_EINVAL, "sampling: top-p is %g; above 0, at most 1 are possible",
                       o->top_p);
    return FM_OK;
}

static fm_status make(size_t vocabulary, const fm_sample_options *o, const fm_watermark *mark,
                      fm_rng *rng, fm_sampler *s)
{
    void *ids = NULL, *p = NULL;
    fm_status st;

    s->vocabulary = vocabulary;
    s->options = *o;
    s->rng = rng;
    if (!(st = fm_alloc(vocabulary, sizeof *s->ids, &ids)))
        s->ids = ids;
    if (!st && !(st = fm_alloc(vocabulary, sizeof *s->p, &p)))
        s->p = p;
    return st || !mark ? st : fm_watermark_text_new(mark, vocabulary, &s->mark);
}

fm_status fm_sampler_new(size_t vocabulary, const fm_sample_options *o, const fm_watermark *mark,
                         fm_rng *rng, fm_sampler **out)
{
    void *block = NULL;
    fm_sampler *s;
    fm_status st;

    if (!o || !rng || !out)
        return fm_fail(FM_EINVAL, "sampling: an argument is missing");
    if ((st = check(vocabulary, o)))
        return st;
    if (mark && o->temperature == 0.0)
        return fm_fail(FM_EINVAL,
                       "sampling: with a temperature of 0 nothing is drawn, and there is "
                       "no watermark");
    if ((st = fm_alloc(1, sizeof *s, &block)))
        return st;
    s = block;
    if ((st = make(vocabulary, o, mark, rng, s)))
        fm_sampler_free(&s);
    else
        *out = s;
    return st;
}

void fm_sampler_free(fm_sampler **s)
{
    if (!s || !*s)
        return;
    fm_watermark_text_free(&(*s)->mark);
    if ((*s)->ids)
        sodium_memzero((*s)->ids, (*s)->vocabulary * sizeof *(*s)->ids);
    if ((*s)->p)
        sodium_memzero((*s)->p, (*s)->vocabulary * sizeof *(*s)->p);
    free((*s)->ids);
    free((*s)->p);
    free(*s);
    *s = NULL;
}

static uint32_t likeliest(const float *logits, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return (uint32_t)best;
}

/* ---- the most likely ones ---- */

static bool likelier(const float *w, uint32_t a, uint32_t b)
{
    return w[a] > w[b] || (w[a] == w[b] && a < b);
}

/* Where the least likely of `ids` is at the top, what stands at i sinks to its place. */
static void sink(const float *w, uint32_t *ids, size_t n, size_t i)
{
    for (size_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
        const uint32_t here = ids[i];

        if (child + 1 < n && likelier(w, ids[child], ids[child + 1]))
            child++;
        if (likelier(w, ids[child], here))
            return;
        ids[i] = ids[child];
        ids[child] = here;
        i = child;
    }
}

/* The k likeliest of all. */
static void keep_top_k(fm_sampler *s, const float *w, size_t k)
{
    for (size_t i = k / 2; i-- > 0;)
        sink(w, s->ids, k, i);
    for (size_t i = k; i < s->vocabulary; i++)
        if (likelier(w, (uint32_t)i, s->ids[0])) {
            s->ids[0] = (uint32_t)i;
            sink(w, s->ids, k, 0);
        }
    s->count = k;
}

static int compare(const void *a, const void *b, void *ctx)
{
    const uint32_t *x = a, *y = b;

    return *x == *y ? 0 : likelier(ctx, *x, *y) ? -1 : 1;
}

static double sum_of(const fm_sampler *s, const float *w)
{
    double sum = 0.0;

    for (size_t i = 0; i < s->count; i++)
        sum += (double)w[s->ids[i]];
    return sum;
}

/* The likeliest that together have a share of top_p. All that are below their equal part of what is
 * left out do not fill it: they need no sorting. */
static void keep_top_p(fm_sampler *s, float *w)
{
    const double total = sum_of(s, w), share = s->options.top_p;
    const double least = total * (1.0 - share) / (double)s->count;
    double sum = 0.0;
    size_t kept = 0, n = 0;

    for (size_t i = 0; i < s->count; i++)
        if ((double)w[s->ids[i]] >= least)
            s->ids[kept++] = s->ids[i];
    qsort_r(s->ids, kept, sizeof *s->ids, compare, w);
    while (n < kept && (n == 0 || sum < share * total))
        sum += (double)w[s->ids[n++]];
    s->count = n;
}

/* Logits to the candidates and their probabilities. */
static void weigh(fm_sampler *s, float *logits)
{
    const size_t n = s->vocabulary;
    const float most = fm_kernel_most(logits, n), by = (float)(1.0 / s->options.temperature);
    double total;

    for (size_t i = 0; i < n; i++) {
        logits[i] = (logits[i] - most) * by;
        s->ids[i] = (uint32_t)i;
    }
    fm_kernel_exp(logits, n);
    s->count = n;
    if (s->options.top_k && s->options.top_k < n)
        keep_top_k(s, logits, s->options.top_k);
    if (s->options.top_p < 1.0)
        keep_top_p(s, logits);
    total = sum_of(s, logits);
    for (size_t i = 0; i < s->count; i++)
        s->p[i] = (double)logits[s->ids[i]] / total;
}

static uint32_t draw(fm_sampler *s)
{
    double left = fm_rng_unit(s->rng);
    size_t i = 0;

    for (; i + 1 < s->count && left >= s->p[i]; i++)
        left -= s->p[i];
    while (i > 0 && s->p[i] <= 0.0) /* roundings may lead past the last that can be */
        i--;
    return s->ids[i];
}

fm_status fm_sampler_next(fm_sampler *s, const uint32_t *before, size_t n, float *logits,
                          uint32_t *token)
{
    fm_status st = FM_OK;

    if (!s || !logits || !token || (n && !before))
        return fm_fail(FM_EINVAL, "sampling: an argument is missing");
    for (size_t i = 0; i < s->vocabulary; i++)
        if (!isfinite(logits[i]))
            return fm_fail(FM_ENONFINITE, "sampling: the logit of token %zu is no finite number",
                           i);
    if (s->options.temperature == 0.0) {
        *token = likeliest(logits, s->vocabulary);
        return FM_OK;
    }
    weigh(s, logits);
    if (s->mark)
        st = fm_watermark_apply(s->mark, before, n, s->ids, s->p, s->count);
    if (!st)
        *token = draw(s);
    return st;
}
