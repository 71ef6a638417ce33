/* One object: its weights, its buffers. */
#include "fedmoe/model/decoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_internal.h"

#define MOST_TOKENS ((size_t)1 << 24)
#define MOST_RANK 1024

static fm_status check_adapters(const fm_decoder_options *o)
{
    const fm_decoder_adapters *a = &o->adapters;

    if (!a->rank)
        return FM_OK;
    if (a->rank > MOST_RANK)
        return fm_fail(FM_EINVAL, "decoder: adapters of rank %zu; 1 to %d are possible", a->rank,
                       MOST_RANK);
    if (!(a->alpha > 0.0 && a->alpha <= 1e6))
        return fm_fail(FM_EINVAL, "decoder: an alpha of %g; 0 to 1e6 are possible", a->alpha);
    if (o->train)
        return fm_fail(FM_EINVAL, "decoder: with adapters nothing else is trained");
    if (a->square && a->train_a)
        return fm_fail(FM_EINVAL, "decoder: A of square adapters is a constant");
    return FM_OK;
}

static fm_status check_tokens(size_t max_tokens)
{
    if (max_tokens < 1 || max_tokens > MOST_TOKENS)
        return fm_fail(FM_EINVAL, "decoder: %zu tokens in a batch; 1 to %zu are possible",
                       max_tokens, MOST_TOKENS);
    return FM_OK;
}

static void carve_biases(fm_carver *c, void *object)
{
    fm_decoder_shared *s = object;

    for (size_t i = 0; i < s->config.layers; i++)
        for (size_t k = 0; k < FM_MAP_EXPERT; k++)
            if (s->layers[i].fixed[k].base.in)
                fm_linear_carve(c, &s->layers[i].fixed[k].base);
}

static fm_status check_most(const fm_decoder_shared *s)
{
    const size_t most = s->options.adapters.most;

    if (most == 0 || s->adapter_trained <= most)
        return FM_OK;
    return fm_fail(FM_EINVAL, "adapters of rank %zu have %zu values to train here, not %zu",
                   s->options.adapters.rank, s->adapter_trained, most);
}

static fm_status make_shared(const fm_decoder_config *c, const fm_decoder_options *o,
                             fm_decoder_shared **out)
{
    fm_decoder_shared *s = NULL;
    fm_status st = fm_alloc(1, sizeof *s, (void **)&s);

    if (st)
        return st;
    *out = s;
    s->config = *c;
    s->options = *o;
    if (c->tied && (o->train & (FM_TRAIN_EMBEDDING | FM_TRAIN_HEAD)))
        s->options.train |= FM_TRAIN_EMBEDDING | FM_TRAIN_HEAD;
    if ((st = fm_decoder_layout_make(c, &s->layout)) || (st = fm_decoder_maps_make(s)) ||
        (st = check_most(s)) || (st = fm_carve_all(carve_biases, s, &s->arena)) ||
        (st = fm_alloc_whole(s->layout.parameters, sizeof *s->theta, (void **)&s->theta)))
        return st;
    if (s->adapter_parameters &&
        (st = fm_alloc(s->adapter_parameters, sizeof *s->adapter, (void **)&s->adapter)))
        return st;
    fm_decoder_maps_refresh(s);
    return FM_OK;
}

static void free_shared(fm_decoder_shared *s)
{
    if (!s)
        return;
    fm_arena_free(&s->arena);
    fm_decoder_maps_free(s);
    fm_decoder_layout_free(&s->layout);
    free(s->theta);
    free(s->adapter);
    free(s);
}

/* All but the weights. */
static fm_status make_buffers(fm_decoder *d, size_t max_tokens)
{
    const fm_decoder_config *c = &d->s->config;
    const bool latent = c->attention == FM_ATTENTION_LATENT;
    fm_status st;

    d->max_tokens = max_tokens;
    d->learns = d->s->options.train || d->s->adapter_parameters;
    d->attend = (fm_attend){ .heads = c->heads,
                             .key_heads = latent ? c->heads : c->key_heads,
                             .query = c->query_head,
                             .value = c->value_head,
                             .scale = (float)c->attention_scale };
    if ((st = fm_alloc(c->layers, sizeof *d->layers, (void **)&d->layers)) ||
        (st = fm_decoder_uses_make(d)) || (st = fm_decoder_rows_make(d)))
        return st;
    fm_rotary_fill(&d->rotary, &c->rope);
    return FM_OK;
}

/* @param root NULL: weights of its own, by c and o. */
static fm_status make(const fm_decoder_config *c, const fm_decoder_options *o,
                      const fm_decoder *root, size_t max_tokens, fm_decoder **out)
{
    fm_decoder *d = NULL;
    fm_status st = fm_alloc(1, sizeof *d, (void **)&d);

    if (st)
        return st;
    if (!root)
        st = make_shared(c, o, &d->own);
    d->s = root ? root->s : d->own;
    if (st || (st = make_buffers(d, max_tokens))) {
        fm_decoder_free(&d);
        return fm_fail_context(st, "decoder with batches of %zu tokens: ", max_tokens);
    }
    *out = d;
    return FM_OK;
}

fm_status fm_decoder_new(const fm_decoder_config *c, const fm_decoder_options *o, fm_decoder **out)
{
    fm_status st;

    if (!c || !o || !out)
        return fm_fail(FM_EINVAL, "decoder: an argument is missing");
    if ((st = fm_decoder_config_check(c)) || (st = check_tokens(o->max_tokens)) ||
        (st = check_adapters(o)))
        return st;
    return make(c, o, NULL, o->max_tokens, out);
}

fm_status fm_decoder_new_worker(const fm_decoder *d, size_t max_tokens, fm_decoder **out)
{
    fm_status st;

    if (!d || !out)
        return fm_fail(FM_EINVAL, "decoder: an argument is missing");
    if ((st = check_tokens(max_tokens)))
        return st;
    return make(NULL, NULL, d, max_tokens, out);
}

void fm_decoder_free(fm_decoder **d)
{
    if (!d || !*d)
        return;
    fm_arena_free(&(*d)->arena);
    fm_tape_fini(&(*d)->tape);
    free((*d)->layers);
    free((*d)->gains);
    free_shared((*d)->own);
    free(*d);
    *d = NULL;
}

void fm_decoder_forget(fm_decoder *d)
{
    fm_tape_set_rows(&d->tape, 0);
    d->rows = d->sequences = 0;
    fm_arena_wipe(d->arena);
    fm_rotary_fill(&d->rotary, &d->s->config.rope);
}

const fm_decoder_config *fm_decoder_get_config(const fm_decoder *d)
{
    return &d->s->config;
}

const fm_decoder_layout *fm_decoder_get_layout(const fm_decoder *d)
{
    return &d->s->layout;
}

/* Of finite floats the sum of squares is finite in double. */
static fm_status check_finite(const float *flat, size_t n)
{
    double square = 0.0;

    fm_kernel_squares(flat, 1, n, &square);
    if (!isfinite(square))
        return fm_fail(FM_ENONFINITE, "decoder: a weight is not a finite number");
    return FM_OK;
}

const fm_decoder_options *fm_decoder_get_options(const fm_decoder *d)
{
    return &d->s->options;
}

fm_status fm_decoder_copy_weights(fm_decoder *d, float *to, size_t want, const float *flat,
                                  size_t n)
{
    fm_status st;

    if (!flat || n != want)
        return fm_fail(FM_EINVAL, "decoder: %zu weights where %zu belong", n, want);
    if (!d->own)
        return fm_fail(FM_EINVAL, "decoder: a worker's weights are set where they belong");
    if ((st = check_finite(flat, n)))
        return st;
    if (n)
        memcpy(to, flat, n * sizeof *flat);
    fm_decoder_maps_refresh(d->own);
    fm_tape_set_rows(&d->tape, 0);
    return FM_OK;
}

fm_status fm_decoder_set(fm_decoder *d, const float *flat, size_t n)
{
    return fm_decoder_copy_weights(d, d->s->theta, d->s->layout.parameters, flat, n);
}

void fm_decoder_get(const fm_decoder *d, float *flat)
{
    memcpy(flat, d->s->theta, d->s->layout.parameters * sizeof *flat);
}

float *fm_decoder_weights(fm_decoder *d)
{
    return d->own ? d->own->theta : NULL;
}

fm_status fm_decoder_refresh(fm_decoder *d)
{
    fm_status st;

    if (!d->own)
        return fm_fail(FM_EINVAL, "decoder: a worker's weights are set where they belong");
    if ((st = check_finite(d->own->theta, d->s->layout.parameters)))
        return st;
    fm_decoder_maps_refresh(d->own);
    fm_tape_set_rows(&d->tape, 0);
    return FM_OK;
}
