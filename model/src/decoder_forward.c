/* A batch is taken, goes through all layers, and comes back through them. */
#include <string.h>

#include "decoder_internal.h"

static fm_status check_sequence(const fm_decoder *d, const fm_decoder_batch *b, size_t s)
{
    const size_t from = s ? b->ends[s - 1] : 0, to = b->ends[s];
    const fm_decoder_config *f = &d->s->config;

    if (to <= from)
        return fm_fail(FM_EINVAL, "decoder: sequence %zu has no tokens", s + 1);
    if (to > d->max_tokens)
        return fm_fail(FM_EINVAL, "decoder: a batch of %zu tokens; at most %zu are possible", to,
                       d->max_tokens);
    if (to - from > f->context)
        return fm_fail(FM_EINVAL, "decoder: a sequence of %zu tokens; the model's context is %zu",
                       to - from, f->context);
    for (size_t i = from; i < to; i++)
        if (b->tokens[i] >= f->vocabulary)
            return fm_fail(FM_EINVAL, "decoder: token %u; the vocabulary has %zu",
                           (unsigned)b->tokens[i], f->vocabulary);
    return FM_OK;
}

fm_status fm_decoder_take(fm_decoder *d, const fm_decoder_batch *b)
{
    fm_status st;

    if (!d || !b || (b->sequences && (!b->tokens || !b->ends)))
        return fm_fail(FM_EINVAL, "decoder: an argument is missing");
    fm_tape_set_rows(&d->tape, 0); /* the buffers are about to be reused */
    d->rows = d->sequences = 0;
    d->head.soft = (fm_decoder_soft){ 0 };
    for (size_t s = 0; s < b->sequences; s++)
        if ((st = check_sequence(d, b, s)))
            return st;
    for (size_t s = 0; s < b->sequences; s++) {
        const size_t from = d->rows;

        for (; d->rows < b->ends[s]; d->rows++) {
            d->tokens[d->rows] = b->tokens[d->rows];
            d->positions[d->rows] = (uint32_t)(d->rows - from);
        }
        d->ends[s] = b->ends[s];
    }
    d->sequences = b->sequences;
    return FM_OK;
}

static void embed(fm_decoder *d)
{
    const size_t width = d->s->config.width;
    const float *table = d->s->theta + d->s->layout.embedding;
    const float multiplier = (float)d->s->config.embedding_multiplier;

    for (size_t i = 0; i < d->rows; i++) {
        float *to = fm_rows_at(&d->layers[0].in, i);

        memcpy(to, table + d->tokens[i] * width, width * sizeof *to);
        fm_kernel_scale(to, multiplier, width);
    }
}

void fm_decoder_forward(fm_decoder *d)
{
    const fm_decoder_config *f = &d->s->config;

    embed(d);
    for (size_t i = 0; i < f->layers; i++) {
        fm_layer_attend(d, i);
        fm_layer_feed(d, i, i + 1 < f->layers ? &d->layers[i + 1].in : &d->last);
    }
    fm_norm_forward(&d->last_norm, d->s->theta + d->s->layout.norm, f->norm_epsilon, &d->last,
                    d->rows, &d->head_in);
}

static void backward(fm_decoder *d)
{
    const fm_rows *g = &d->layers[d->s->config.layers - 1].gout;

    memset(g->v, 0, d->rows * g->stride * sizeof *g->v);
    fm_norm_backward(&d->last_norm, d->s->theta + d->s->layout.norm, &d->last, d->rows, g);
    for (size_t i = d->s->config.layers; i-- > 0;) {
        fm_layer_feed_back(d, i);
        fm_layer_attend_back(d, i);
    }
}

fm_status fm_decoder_losses(fm_decoder *d, const fm_decoder_batch *b, double *losses)
{
    fm_status st;

    if (!losses)
        return fm_fail(FM_EINVAL, "decoder: an argument is missing");
    if ((st = fm_decoder_take(d, b)))
        return st;
    fm_decoder_forward(d);
    fm_head_loss(d, b, false, losses);
    return FM_OK;
}

static fm_status check_soft(const fm_decoder *d, const fm_decoder_soft *s)
{
    if (!s->tokens || !s->chances || !s->rest)
        return fm_fail(FM_EINVAL, "decoder: soft targets are missing");
    if (!(s->share >= 0.0 && s->share <= 1.0) || !fm_soft_settings(d, s->temperature, s->most))
        return fm_fail(FM_EINVAL, "decoder: settings of soft targets out of range");
    for (size_t i = 0; i < d->rows * s->most; i++)
        if (s->tokens[i] >= d->s->config.vocabulary)
            return fm_fail(FM_EINVAL, "decoder: soft target of token %u; the vocabulary has %zu",
                           (unsigned)s->tokens[i], d->s->config.vocabulary);
    return FM_OK;
}

/* @param soft or NULL. */
static fm_status forward_and_back(fm_decoder *d, const fm_decoder_batch *b,
                                  const fm_decoder_soft *soft, double *losses)
{
    fm_status st;

    if (d && !d->learns)
        return fm_fail(FM_EINVAL, "decoder: nothing of it is trained");
    if ((st = fm_decoder_take(d, b)) || (soft && (st = check_soft(d, soft))))
        return st;
    if (soft)
        d->head.soft = *soft;
    fm_decoder_forward(d);
    fm_head_loss(d, b, true, losses);
    backward(d);
    fm_tape_set_rows(&d->tape, d->rows);
    return FM_OK;
}

fm_status fm_decoder_backward(fm_decoder *d, const fm_decoder_batch *b, double *losses)
{
    return forward_and_back(d, b, NULL, losses);
}

fm_status fm_decoder_backward_soft(fm_decoder *d, const fm_decoder_batch *b,
                                   const fm_decoder_soft *soft, double *losses)
{
    return soft ? forward_and_back(d, b, soft, losses)
                : fm_fail(FM_EINVAL, "decoder: an argument is missing");
}

static fm_status logits(fm_decoder *d, const fm_decoder_batch *b, bool last, float *out)
{
    fm_status st;

    if (!out)
        return fm_fail(FM_EINVAL, "decoder: an argument is missing");
    if ((st = fm_decoder_take(d, b)))
        return st;
    fm_decoder_forward(d);
    if (!last) {
        fm_head_logits(d, 0, d->rows, out);
        return FM_OK;
    }
    for (size_t s = 0; s < d->sequences; s++)
        fm_head_logits(d, d->ends[s] - 1, 1, out + s * d->s->config.vocabulary);
    return FM_OK;
}

fm_status fm_decoder_logits(fm_decoder *d, const fm_decoder_batch *b, float *out)
{
    return logits(d, b, false, out);
}

fm_status fm_decoder_last_logits(fm_decoder *d, const fm_decoder_batch *b, float *out)
{
    return logits(d, b, true, out);
}
