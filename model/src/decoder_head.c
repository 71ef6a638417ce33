/* The head: logits in chunks of rows and stripes of the vocabulary, the loss, and gradients. */
#include <math.h>
#include <string.h>

#include "decoder_internal.h"

#define STRIPE FM_HEAD_STRIPE
#define CHUNK_FLOATS ((size_t)1 << 25) /* of logits in memory at once */
#define CHUNK_LEAST 16

static size_t stripes_of(const fm_decoder *d)
{
    return (d->s->config.vocabulary + STRIPE - 1) / STRIPE;
}

/* Tokens of stripe s. */
static size_t columns_of(const fm_decoder *d, size_t s)
{
    const size_t left = d->s->config.vocabulary - s * STRIPE;

    return left < STRIPE ? left : STRIPE;
}

/* The head's rows for stripe s. */
static const float *head_at(const fm_decoder *d, size_t s)
{
    return d->s->head.w + s * STRIPE * d->s->head.in;
}

static bool trained(const fm_decoder *d)
{
    return fm_decoder_trains(d, FM_TRAIN_HEAD);
}

void fm_head_carve(fm_carver *c, fm_decoder *d)
{
    fm_head *h = &d->head;
    const size_t width = stripes_of(d) * STRIPE, n = d->max_tokens;

    h->chunk = CHUNK_FLOATS / width > CHUNK_LEAST ? CHUNK_FLOATS / width : CHUNK_LEAST;
    h->chunk = h->chunk < n ? h->chunk : n;
    h->logits = fm_carve_floats(c, h->chunk, width);
    h->target = fm_carve_floats(c, n, 1);
    h->most = fm_carve_floats(c, n, 1);
    h->total = fm_carve_floats(c, n, 1);
    h->others = fm_carve_floats(c, n, 1);
    h->soft_total = d->learns ? fm_carve_floats(c, n, 1) : NULL;
    h->soft_rest = d->learns ? fm_carve_floats(c, n, 1) : NULL;
    h->soft_row = d->learns ? fm_carve_floats(c, 1, STRIPE) : NULL;
    h->stripe = trained(d) ? fm_carve_floats(c, n, STRIPE) : NULL;
    h->sum = trained(d) ? fm_carve_floats(c, STRIPE, d->s->config.width) : NULL;
}

/* Row i of the chunk in stripe s. */
static float *logits_at(const fm_decoder *d, size_t s, size_t i)
{
    return d->head.logits + s * d->head.chunk * STRIPE + i * fm_row_stride(columns_of(d, s));
}

static void stripe_logits(const fm_decoder *d, size_t s, size_t first, size_t rows, float *out)
{
    fm_panels_transposed(d->panels, head_at(d, s), d->s->head.in, columns_of(d, s),
                         (float)d->s->head.weight_scale);
    fm_kernel_rows(fm_rows_at(&d->head_in, first), rows, d->s->head.in, d->panels, columns_of(d, s),
                   FM_START_BIAS, NULL, out);
}

static void chunk_logits(const fm_decoder *d, size_t first, size_t rows)
{
    for (size_t s = 0; s < stripes_of(d); s++)
        stripe_logits(d, s, first, rows, logits_at(d, s, 0));
}

size_t fm_head_stripes(const fm_decoder *d)
{
    return stripes_of(d);
}

void fm_head_chunk(const fm_decoder *d, size_t first, size_t rows)
{
    chunk_logits(d, first, rows);
}

float *fm_head_row(const fm_decoder *d, size_t s, size_t place, size_t *n)
{
    *n = columns_of(d, s);
    return logits_at(d, s, place);
}

void fm_head_logits(const fm_decoder *d, size_t first, size_t rows, float *out)
{
    const size_t vocabulary = d->s->config.vocabulary, end = first + rows;

    for (size_t at = first, n; at < end; at += n) {
        n = end - at < d->head.chunk ? end - at : d->head.chunk;
        chunk_logits(d, at, n);
        for (size_t s = 0; s < stripes_of(d); s++)
            for (size_t i = 0; i < n; i++)
                memcpy(out + (at - first + i) * vocabulary + s * STRIPE, logits_at(d, s, i),
                       columns_of(d, s) * sizeof *out);
    }
}

/* Each row's weight for the token after it. */
static void targets(fm_decoder *d, const float *weights)
{
    for (size_t s = 0, first = 0; s < d->sequences; first = d->ends[s++]) {
        const size_t end = d->ends[s];

        for (size_t i = first; i + 1 < end; i++)
            d->head.target[i] = weights ? weights[i + 1] : 1.0f / (float)(end - first - 1);
        d->head.target[end - 1] = 0.0f;
    }
}

/* n logits to exponentials, all but the target's, which is at n or above when it is not here. */
static float exponentials(float *z, size_t n, size_t target, float most, float *mine)
{
    float sum;

    if (target >= n)
        return fm_kernel_exp_sum(z, n, most);
    sum = fm_kernel_exp_sum(z, target, most);
    sum += fm_kernel_exp_sum(z + target + 1, n - target - 1, most);
    *mine = fm_kernel_exp_sum(z + target, 1, most);
    return sum;
}

/* Row i, the chunk's row `place`: its logits to exponentials, but those of a soft target stay;
 * @return -log p of its target. */
static double row_loss(fm_decoder *d, size_t i, size_t place)
{
    fm_head *h = &d->head;
    const size_t target = d->tokens[i + 1];
    const float z = logits_at(d, target / STRIPE, place)[target % STRIPE];
    float mine = 0.0f, most = -INFINITY, others = 0.0f;

    for (size_t s = 0; s < stripes_of(d); s++) {
        const float here = fm_kernel_most(logits_at(d, s, place), columns_of(d, s));

        most = here > most ? here : most;
    }
    for (size_t s = 0; s < stripes_of(d); s++) {
        float *at = logits_at(d, s, place);

        if (h->soft.most)
            at = memcpy(h->soft_row, at, columns_of(d, s) * sizeof *at);
        others += exponentials(at, columns_of(d, s),
                               target / STRIPE == s ? target % STRIPE : STRIPE, most, &mine);
    }
    h->most[i] = most;
    h->others[i] = others;
    h->total[i] = others + mine;
    return log((double)others + (double)mine) + (double)most - (double)z;
}

/* Exponentials of row i and n tokens from `from` on (of a soft target: its logits), to the gradients
 * of its logits. 1 - p of the target is taken of the others' sum, before its digits are lost. */
static void row_gradient(const fm_decoder *d, size_t i, size_t from, size_t n, float *z)
{
    const fm_head *h = &d->head;
    const float share = h->soft.most ? (float)h->soft.share : 0.0f, w = h->target[i];
    const float by = w * (1.0f - share) / h->total[i];

    if (w == 0.0f) {
        memset(z, 0, n * sizeof *z);
        return;
    }
    if (h->soft.most) {
        fm_soft_gradient(d, i, from, n, z, w * share);
        (void)fm_kernel_exp_sum(z, n, h->most[i]);
    }
    fm_kernel_scale(z, by, n);
    if (d->tokens[i + 1] >= from && d->tokens[i + 1] < from + n)
        z[d->tokens[i + 1] - from] = -(by * h->others[i]);
    if (h->soft.most)
        fm_kernel_add_scaled(z, 1.0f, h->soft_row, n);
}

/* Gradients of the chunk's logits, in place, and of head_in. */
static void chunk_back(fm_decoder *d, size_t first, size_t rows)
{
    const size_t width = d->s->config.width;

    for (size_t s = 0; s < stripes_of(d); s++) {
        for (size_t i = 0; i < rows; i++)
            row_gradient(d, first + i, s * STRIPE, columns_of(d, s), logits_at(d, s, i));
        fm_panels_straight(d->panels, head_at(d, s), columns_of(d, s), width,
                           (float)d->s->head.weight_scale);
        fm_kernel_rows(logits_at(d, s, 0), rows, columns_of(d, s), d->panels, width,
                       s ? FM_START_SUM : FM_START_BIAS, NULL, fm_rows_at(&d->last_norm.gy, first));
    }
}

static double mixed_loss(fm_decoder *d, size_t i, size_t place)
{
    const double hard = row_loss(d, i, place), share = d->head.soft.share;

    return d->head.soft.most ? (1.0 - share) * hard + share * fm_soft_loss(d, i, place) : hard;
}

void fm_head_loss(fm_decoder *d, const fm_decoder_batch *b, bool back, double *losses)
{
    size_t sequence = 0;

    targets(d, b->weights);
    for (size_t s = 0; losses && s < d->sequences; s++)
        losses[s] = 0.0;
    for (size_t first = 0, n; first < d->rows; first += n) {
        n = d->rows - first < d->head.chunk ? d->rows - first : d->head.chunk;
        chunk_logits(d, first, n);
        for (size_t i = first; i < first + n; i++) {
            double loss = 0.0;

            if (d->head.target[i] != 0.0f)
                loss = (double)d->head.target[i] * mixed_loss(d, i, i - first);
            if (losses)
                losses[sequence] += loss;
            sequence += i + 1 == d->ends[sequence];
        }
        if (back)
            chunk_back(d, first, n);
    }
}

/* Gradients of the logits of all rows in one stripe: those that are kept, or computed again. */
static float *stripe_gradients(const fm_decoder *d, size_t s)
{
    const fm_head *h = &d->head;
    const size_t n = columns_of(d, s), stride = fm_row_stride(n);

    if (d->rows <= h->chunk)
        return logits_at(d, s, 0);
    stripe_logits(d, s, 0, d->rows, h->stripe);
    for (size_t i = 0; i < d->rows; i++) {
        if (h->target[i] != 0.0f && !h->soft.most)
            (void)fm_kernel_exp_sum(h->stripe + i * stride, n, h->most[i]);
        row_gradient(d, i, s * STRIPE, n, h->stripe + i * stride);
    }
    return h->stripe;
}

/* Square of one unit's part of a stripe. Of a tied model the embedding's gradient is in it. */
static double stripe_square(const fm_decoder *d, size_t s, const float *g, size_t first,
                            size_t last)
{
    const size_t n = columns_of(d, s), width = d->s->config.width;
    const float multiplier = (float)d->s->config.embedding_multiplier;
    float *sum = d->head.sum;
    double square = 0.0;

    memset(sum, 0, n * width * sizeof *sum);
    fm_kernel_outer_float(g + first * fm_row_stride(n), fm_rows_at(&d->head_in, first),
                          last - first, n, width, (float)d->s->head.weight_scale, sum);
    for (size_t i = first; d->s->config.tied && i < last; i++)
        if (d->tokens[i] / STRIPE == s)
            fm_kernel_add_scaled(sum + d->tokens[i] % STRIPE * width, multiplier,
                                 fm_rows_at(&d->gembedded, i), width);
    fm_kernel_squares(sum, 1, n * width, &square);
    return square;
}

void fm_head_squares(fm_decoder *d, const uint32_t *ends, size_t units, double *out)
{
    for (size_t s = 0; s < stripes_of(d); s++) {
        const float *g = stripe_gradients(d, s);

        for (size_t u = 0, first = 0; u < units; first = ends[u++])
            out[u] += stripe_square(d, s, g, first, ends[u]);
    }
}

/* Rows [first, last) of a stripe, none of weight 0, times their weights, are added. */
static void add_run(const fm_decoder *d, size_t s, const float *g, size_t first, size_t last,
                    float *out)
{
    const size_t n = columns_of(d, s);

    fm_kernel_outer_weighted(g + first * fm_row_stride(n), fm_rows_at(&d->head_in, first),
                             d->row_weights + first, last - first, n, d->s->config.width,
                             (float)d->s->head.weight_scale, FM_START_SUM,
                             out + d->s->head.weight + s * STRIPE * d->s->config.width);
}

void fm_head_sum(fm_decoder *d, size_t first, size_t last, float *out)
{
    for (size_t s = 0; s < stripes_of(d); s++) {
        const float *g = stripe_gradients(d, s);
        size_t from = first;

        for (size_t i = first; i < last; i++) {
            if (d->row_weights[i] != 0.0f)
                continue;
            if (i > from)
                add_run(d, s, g, from, i, out);
            from = i + 1;
        }
        if (last > from)
            add_run(d, s, g, from, last, out);
    }
}
