/* Distillation: what a teacher holds likely, and a student's loss against it. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "decoder_internal.h"

#define STRIPE FM_HEAD_STRIPE

bool fm_soft_settings(const fm_decoder *d, double temperature, size_t most)
{
    return temperature >= 0.1 && temperature <= 100.0 && most >= 1 && most <= FM_SOFT_MOST &&
           most <= d->s->config.vocabulary;
}

/* Logits a, n of them, to exp((a - most) / temperature); @return their sum. */
static float warm(float *a, size_t n, float most, float inverse)
{
    fm_kernel_scale(a, inverse, n);
    return fm_kernel_exp_sum(a, n, most * inverse);
}

/* ---- the student ---- */

/* Row i's named tokens leave the n values from token `from` on: their exponentials are 0. */
static void leave_out(const fm_decoder_soft *s, size_t i, size_t from, size_t n, float *a)
{
    const uint32_t *named = s->tokens + i * s->most;

    for (size_t k = 0; k < s->most; k++)
        if (named[k] >= from && named[k] < from + n)
            a[named[k] - from] = -INFINITY;
}

static float named_logit(const fm_decoder *d, size_t token, size_t place)
{
    size_t n;

    return fm_head_row(d, token / STRIPE, place, &n)[token % STRIPE];
}

/* Sum of the exponentials of the tokens that row i does not name. */
static float rest_sum(fm_decoder *d, size_t i, size_t place)
{
    fm_head *h = &d->head;
    const float inverse = 1.0f / (float)h->soft.temperature;
    float sum = 0.0f;

    for (size_t s = 0; s < fm_head_stripes(d); s++) {
        size_t n;
        const float *z = fm_head_row(d, s, place, &n);

        memcpy(h->soft_row, z, n * sizeof *z);
        leave_out(&h->soft, i, s * STRIPE, n, h->soft_row);
        sum += warm(h->soft_row, n, h->most[i], inverse);
    }
    return sum;
}

/* q log(q / p), from log p. */
static double divergence(double q, double log_p)
{
    return q > 0.0 ? q * (log(q) - log_p) : 0.0;
}

double fm_soft_loss(fm_decoder *d, size_t i, size_t place)
{
    fm_head *h = &d->head;
    const fm_decoder_soft *s = &h->soft;
    const float inverse = 1.0f / (float)s->temperature;
    float named[FM_SOFT_MOST], cold[FM_SOFT_MOST];
    double loss = 0.0, all;

    for (size_t k = 0; k < s->most; k++)
        named[k] = cold[k] = named_logit(d, s->tokens[i * s->most + k], place);
    /* Where all others' exponentials vanish their logarithm must not. */
    h->soft_rest[i] = fmaxf(rest_sum(d, i, place), FLT_MIN);
    h->soft_total[i] = warm(named, s->most, h->most[i], inverse) + h->soft_rest[i];
    all = log((double)h->soft_total[i]);
    for (size_t k = 0; k < s->most; k++)
        loss += divergence((double)s->chances[i * s->most + k],
                           ((double)cold[k] - (double)h->most[i]) * (double)inverse - all);
    loss += divergence((double)s->rest[i], log((double)h->soft_rest[i]) - all);
    return s->temperature * s->temperature * loss;
}

/* T (p - q) of a named token; of the others T p (1 - r / p_rest). */
void fm_soft_gradient(const fm_decoder *d, size_t i, size_t from, size_t n, const float *z,
                      float by)
{
    const fm_head *h = &d->head;
    const fm_decoder_soft *s = &h->soft;
    const uint32_t *named = s->tokens + i * s->most;
    const float inverse = 1.0f / (float)s->temperature, scale = by * (float)s->temperature;
    float *out = h->soft_row;

    memcpy(out, z, n * sizeof *out);
    leave_out(s, i, from, n, out);
    (void)warm(out, n, h->most[i], inverse);
    fm_kernel_scale(out, scale * (1.0f / h->soft_total[i] - s->rest[i] / h->soft_rest[i]), n);
    for (size_t k = 0; k < s->most; k++) {
        const size_t at = named[k] - from;
        float p;

        if (named[k] < from || at >= n)
            continue;
        p = z[at];
        (void)warm(&p, 1, h->most[i], inverse);
        out[at] = scale * (p / h->soft_total[i] - s->chances[i * s->most + k]);
    }
}

/* ---- the teacher ---- */

typedef struct {
    float z;
    uint32_t token;
} candidate;

/* The `most` largest logits of a row, the largest first, of equals the lesser token. */
static void find_largest(const fm_decoder *d, size_t place, size_t most, candidate *best)
{
    size_t have = 0;

    for (size_t s = 0; s < fm_head_stripes(d); s++) {
        size_t n;
        const float *z = fm_head_row(d, s, place, &n);

        for (size_t j = 0; j < n; j++) {
            size_t k;

            if (have == most && !(z[j] > best[most - 1].z))
                continue;
            k = have < most ? have++ : most - 1;
            for (; k > 0 && z[j] > best[k - 1].z; k--)
                best[k] = best[k - 1];
            best[k] = (candidate){ z[j], (uint32_t)(s * STRIPE + j) };
        }
    }
}

/* Row `place` of the chunk, whose logits are used up. */
static void soften_row(fm_decoder *d, size_t place, float inverse, size_t most, uint32_t *tokens,
                       float *chances, float *rest)
{
    candidate best[FM_SOFT_MOST];
    float others = 0.0f, all;
    size_t n;

    find_largest(d, place, most, best);
    for (size_t k = 0; k < most; k++) {
        tokens[k] = best[k].token;
        chances[k] = best[k].z;
        fm_head_row(d, best[k].token / STRIPE, place, &n)[best[k].token % STRIPE] = -INFINITY;
    }
    for (size_t s = 0; s < fm_head_stripes(d); s++) {
        float *z = fm_head_row(d, s, place, &n);

        others += warm(z, n, best[0].z, inverse);
    }
    all = warm(chances, most, best[0].z, inverse) + others;
    fm_kernel_scale(chances, 1.0f / all, most);
    *rest = others / all;
}

fm_status fm_decoder_soften(fm_decoder *d, const fm_decoder_batch *b, double temperature,
                            size_t most, uint32_t *tokens, float *chances, float *rest)
{
    fm_status st;

    if (!tokens || !chances || !rest)
        return fm_fail(FM_EINVAL, "decoder: an argument is missing");
    if ((st = fm_decoder_take(d, b)))
        return st;
    if (!fm_soft_settings(d, temperature, most))
        return fm_fail(FM_EINVAL, "decoder: settings of soft targets out of range");
    fm_decoder_forward(d);
    for (size_t first = 0, n; first < d->rows; first += n) {
        n = d->rows - first < d->head.chunk ? d->rows - first : d->head.chunk;
        fm_head_chunk(d, first, n);
        for (size_t i = first; i < first + n; i++)
            soften_row(d, i - first, 1.0f / (float)temperature, most, tokens + i * most,
                       chances + i * most, rest + i);
    }
    return FM_OK;
}
