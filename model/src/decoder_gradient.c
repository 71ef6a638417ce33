/* What a batch's gradients come to: the linear maps by the tape, and what is none: gains of norms,
 * the embedding, the head. */
#include <string.h>

#include "decoder_internal.h"

/* ---- what the tape is told, before the buffers are taken ---- */

/* Input and output gradient of a kind's maps. */
typedef struct {
    const fm_rows *x, *g;
} ends_of_map;

static ends_of_map feed_ends(const fm_feed *f, size_t part, const fm_rows *x, const fm_rows *gy)
{
    if (part == FM_PART_DOWN)
        return (ends_of_map){ &f->hidden, gy };
    return (ends_of_map){ x, part == FM_PART_GATE ? &f->ggate : &f->gup };
}

static ends_of_map ends_of(const fm_layer *l, size_t kind, bool query_rank)
{
    switch (kind) {
    case FM_MAP_QUERY:
        return (ends_of_map){ query_rank ? &l->query_in : &l->attention_in, &l->gquery };
    case FM_MAP_KEY:
        return (ends_of_map){ &l->attention_in, &l->gkey };
    case FM_MAP_VALUE:
        return (ends_of_map){ &l->attention_in, &l->gvalue };
    case FM_MAP_QUERY_A:
        return (ends_of_map){ &l->attention_in, &l->gquery_a };
    case FM_MAP_LATENT:
        return (ends_of_map){ &l->attention_in, &l->glatent };
    case FM_MAP_LATENT_B:
        return (ends_of_map){ &l->latent_in, &l->glatent_b };
    case FM_MAP_OUTPUT:
        return (ends_of_map){ &l->mixed, &l->gmiddle };
    case FM_MAP_ROUTER:
        return (ends_of_map){ &l->feed_in, &l->gscores };
    default:
        break;
    }
    if (kind < FM_MAP_SHARED)
        return feed_ends(&l->dense, kind - FM_MAP_GATE, &l->feed_in, &l->gout);
    if (kind < FM_MAP_EXPERT)
        return feed_ends(&l->shared, kind - FM_MAP_SHARED, &l->feed_in, &l->gout);
    return feed_ends(&l->experts, kind - FM_MAP_EXPERT, &l->sorted, &l->gsorted);
}

static void use(fm_decoder *d, size_t layer, size_t kind, size_t expert)
{
    const fm_map *m = fm_map_of(d, layer, kind, expert);
    const fm_layer *l = &d->layers[layer];
    const fm_dispatch *dispatch = kind >= FM_MAP_EXPERT ? &l->dispatch : NULL;
    const ends_of_map e = ends_of(l, kind, d->s->config.query_rank);

    if (!m->base.in)
        return;
    if (fm_map_trained(d->s, kind))
        fm_tape_use(&d->tape, &m->base, e.x, e.g, dispatch, expert);
    if (!m->adapted)
        return;
    if (d->s->options.adapters.train_a)
        fm_tape_use(&d->tape, &m->a, e.x, &l->low[kind].g, dispatch, expert);
    if (d->s->options.adapters.square)
        fm_tape_use(&d->tape, &m->r, &l->low[kind].x, &l->low[kind].gy, dispatch, expert);
    else
        fm_tape_use(&d->tape, &m->b, &l->low[kind].x, e.g, dispatch, expert);
}

static void gain(fm_decoder *d, size_t offset, size_t n, const fm_rows *x, const fm_norm *norm)
{
    if (offset != FM_DECODER_ABSENT)
        d->gains[d->gain_count++] = (fm_gain){ .offset = offset, .n = n, .x = x, .norm = norm };
}

static void layer_gains(fm_decoder *d, size_t layer)
{
    const fm_decoder_layer *at = &d->s->layout.layer[layer];
    const fm_decoder_config *f = &d->s->config;
    const fm_layer *l = &d->layers[layer];

    gain(d, at->input_norm, f->width, &l->in, &l->input_norm);
    gain(d, at->query_norm, f->heads * f->query_head, &l->query, &l->query_norm);
    gain(d, at->key_norm, f->key_heads * f->query_head, &l->key, &l->key_norm);
    gain(d, at->query_a_norm, f->query_rank, &l->query_a, &l->query_a_norm);
    gain(d, at->latent_norm, f->key_value_rank, &l->latent, &l->latent_norm);
    gain(d, at->post_norm, f->width, &l->middle, &l->post_norm);
}

static fm_status make_gains(fm_decoder *d)
{
    const fm_decoder_config *f = &d->s->config;
    fm_status st;

    if (!fm_decoder_trains(d, FM_TRAIN_NORMS))
        return FM_OK;
    if ((st = fm_alloc(f->layers * 6 + 1, sizeof *d->gains, (void **)&d->gains)))
        return st;
    for (size_t i = 0; i < f->layers; i++)
        layer_gains(d, i);
    gain(d, d->s->layout.norm, f->width, &d->last, &d->last_norm);
    return FM_OK;
}

fm_status fm_decoder_uses_make(fm_decoder *d)
{
    const fm_decoder_config *f = &d->s->config;
    const size_t sparse = f->layers - f->dense_layers;
    const size_t most = 2 * (f->layers * FM_MAP_EXPERT + sparse * f->experts * FM_PARTS);
    fm_status st;

    if ((st = fm_tape_init(&d->tape, most, d->max_tokens, fm_decoder_gradient_parameters(d))) ||
        (st = make_gains(d)))
        return st;
    for (size_t i = 0; i < f->layers; i++) {
        for (size_t k = 0; k < FM_MAP_EXPERT; k++)
            use(d, i, k, 0);
        for (size_t k = FM_MAP_EXPERT; i >= f->dense_layers && k < FM_MAP_COUNT; k++)
            for (size_t e = 0; e < f->experts; e++)
                use(d, i, k, e);
    }
    return FM_OK;
}

size_t fm_decoder_gradient_parameters(const fm_decoder *d)
{
    return d->s->options.adapters.rank ? d->s->adapter_trained : d->s->layout.parameters;
}

/* ---- units ---- */

/* Where units end, in rows. */
static const uint32_t *row_ends(fm_decoder *d, const uint32_t *units, size_t count)
{
    if (!units)
        return d->ends;
    for (size_t u = 0; u < count; u++)
        d->unit_ends[u] = units[u] ? d->ends[units[u] - 1] : 0;
    return d->unit_ends;
}

/* ---- gains ---- */

/* sum += weight * the gain's gradient of row i. */
static void add_gain(const fm_gain *g, size_t i, float weight, float *sum)
{
    fm_kernel_add_product(sum, weight * g->norm->scale[i], fm_rows_at(&g->norm->gy, i),
                          fm_rows_at(g->x, i), g->n);
}

static void gain_squares(fm_decoder *d, const fm_gain *g, const uint32_t *ends, size_t units,
                         double *out)
{
    float *sum = d->wide;

    for (size_t u = 0, i = 0; u < units; u++) {
        double square = 0.0;

        memset(sum, 0, g->n * sizeof *sum);
        for (; i < ends[u]; i++)
            add_gain(g, i, 1.0f, sum);
        fm_kernel_squares(sum, 1, g->n, &square);
        out[u] += square;
    }
}

/* ---- the embedding of a model that is not tied ---- */

static bool embedding_alone(const fm_decoder *d)
{
    return fm_decoder_trains(d, FM_TRAIN_EMBEDDING) && !d->s->config.tied;
}

/* Square of the sum of rows i, and of those with the same token after it. */
static double token_square(fm_decoder *d, size_t i)
{
    float *sum = d->wide;
    double square = 0.0;

    memset(sum, 0, d->s->config.width * sizeof *sum);
    for (size_t at = i; at < d->rows; at = d->next_same[at])
        fm_kernel_add_scaled(sum, (float)d->s->config.embedding_multiplier,
                             fm_rows_at(&d->gembedded, at), d->s->config.width);
    fm_kernel_squares(sum, 1, d->s->config.width, &square);
    return square;
}

/* Rows [first, last) in chains of the same token: from behind, so that each begins with its first. */
static double embedding_square(fm_decoder *d, size_t first, size_t last)
{
    double sum = 0.0;

    for (size_t i = last; i-- > first;) {
        uint32_t *head = &d->first_same[d->tokens[i]];

        d->next_same[i] = *head ? *head - 1 : (uint32_t)d->max_tokens;
        *head = (uint32_t)i + 1;
    }
    for (size_t i = first; i < last; i++) {
        uint32_t *head = &d->first_same[d->tokens[i]];

        if (*head != i + 1)
            continue;
        sum += token_square(d, i);
        *head = 0;
    }
    return sum;
}

/* ---- all of it ---- */

void fm_decoder_unit_squares(fm_decoder *d, const uint32_t *units, size_t count, double *out)
{
    const uint32_t *ends;

    if (!units)
        count = d->sequences;
    ends = row_ends(d, units, count);
    fm_tape_unit_squares(&d->tape, ends, count, out);
    for (size_t n = 0; n < d->gain_count; n++)
        gain_squares(d, &d->gains[n], ends, count, out);
    if (fm_decoder_trains(d, FM_TRAIN_HEAD))
        fm_head_squares(d, ends, count, out);
    for (size_t u = 0, first = 0; embedding_alone(d) && u < count; first = ends[u++])
        out[u] += embedding_square(d, first, ends[u]);
}

/* Rows [first, last) by row_weights, of all that the tape has not. */
static void add_others(fm_decoder *d, size_t first, size_t last, float *out)
{
    const size_t width = d->s->config.width;
    const float multiplier = (float)d->s->config.embedding_multiplier;

    for (size_t n = 0; n < d->gain_count; n++)
        for (size_t i = first; i < last; i++)
            if (d->row_weights[i] != 0.0f)
                add_gain(&d->gains[n], i, d->row_weights[i], out + d->gains[n].offset);
    if (fm_decoder_trains(d, FM_TRAIN_HEAD))
        fm_head_sum(d, first, last, out);
    for (size_t i = first; fm_decoder_trains(d, FM_TRAIN_EMBEDDING) && i < last; i++)
        if (d->row_weights[i] != 0.0f)
            fm_kernel_add_scaled(out + d->s->layout.embedding + d->tokens[i] * width,
                                 d->row_weights[i] * multiplier, fm_rows_at(&d->gembedded, i),
                                 width);
}

void fm_decoder_weighted_sum(fm_decoder *d, const uint32_t *units, size_t count,
                             const float *weights, float *out)
{
    const uint32_t *ends;

    if (!units)
        count = d->sequences;
    ends = row_ends(d, units, count);
    for (size_t u = 0, i = 0; u < count; u++)
        while (i < ends[u])
            d->row_weights[i++] = weights[u];
    fm_tape_weighted_sum(&d->tape, d->row_weights, out);
    add_others(d, 0, d->rows, out);
}

void fm_decoder_add_unit_gradient(fm_decoder *d, const uint32_t *units, size_t unit, float *out)
{
    const uint32_t *ends = row_ends(d, units, unit + 1);
    const size_t first = unit ? ends[unit - 1] : 0, last = ends[unit];

    fm_tape_add_rows_gradient(&d->tape, first, last, out);
    for (size_t i = first; i < last; i++)
        d->row_weights[i] = 1.0f;
    add_others(d, first, last, out);
}

fm_status fm_decoder_add_units(fm_decoder *d, const uint32_t *units, size_t count,
                               const double *factors, int64_t limit, int32_t *sum,
                               uint64_t *squares)
{
    if (fm_decoder_trains(d, FM_TRAIN_NORMS | FM_TRAIN_EMBEDDING | FM_TRAIN_HEAD))
        return fm_fail(FM_EINVAL, "decoder: gradients of norms, embedding and head do not become "
                                  "integers; train linear maps or adapters");
    if (!units)
        count = d->sequences;
    fm_tape_add_units(&d->tape, row_ends(d, units, count), count, factors, limit, sum, squares);
    return FM_OK;
}
