/* What a session holds: made, wiped, and sent back. */
#include <sodium.h>
#include <stdlib.h>

#include "session_internal.h"

#define TILE 128
#define TILE_MOST 4096
#define LOGITS_BYTES ((size_t)4 << 20) /* of rows of logits at once */

static size_t greater(size_t a, size_t b)
{
    return a > b ? a : b;
}

static fm_status check(const fm_decoder_config *c, const fm_edge_options *o)
{
    if (o->context < 1 || o->context > c->context)
        return fm_fail(FM_EINVAL, "session: a context of %zu tokens; 1 to %zu are possible",
                       o->context, c->context);
    if (o->tile > TILE_MOST)
        return fm_fail(FM_EINVAL, "session: a tile of %zu tokens; at most %d are possible", o->tile,
                       TILE_MOST);
    if (o->cache != FM_CACHE_INT8 && o->cache != FM_CACHE_FLOAT)
        return fm_fail(FM_EINVAL, "session: no such cache");
    return FM_OK;
}

/* The most values that a row has where a map takes it. */
static size_t widest(const fm_decoder_config *c)
{
    const size_t hidden =
        greater(greater(c->dense_layers ? c->dense_hidden : 0, c->shared_hidden), c->expert_hidden);
    const size_t ranks = greater(c->query_rank, c->key_value_rank);

    return greater(greater(c->width, hidden), greater(ranks, c->heads * c->value_head));
}

static void carve_attention(fm_carver *c, fm_edge_session *s)
{
    const fm_decoder_config *f = s->config;
    const bool latent = f->attention == FM_ATTENTION_LATENT;
    const size_t n = s->tile;

    s->query = fm_carve_floats(c, n, f->heads * f->query_head);
    s->mixed = fm_carve_floats(c, n, f->heads * f->value_head);
    if (latent) {
        s->query_a = fm_carve_floats(c, n, f->query_rank);
        s->query_in = fm_carve_floats(c, n, f->query_rank);
        s->latent = fm_carve_floats(c, n, f->key_value_rank + f->rotary);
    } else {
        s->key = fm_carve_floats(c, n, f->key_heads * f->query_head);
        s->value = fm_carve_floats(c, n, f->key_heads * f->value_head);
    }
}

static void carve_pairs(fm_carver *c, fm_edge_session *s)
{
    const fm_decoder_config *f = s->config;
    const bool latent = f->attention == FM_ATTENTION_LATENT;
    const size_t plain = f->query_head - f->rotary, rank = f->key_value_rank;
    const size_t value = latent ? rank : f->value_head;
    fm_edge_pairs *a = &s->pairs;

    a->query = fm_carve_floats(c, FM_PAIRS, latent ? rank : f->query_head);
    a->scores = fm_carve_floats(c, FM_PAIRS, FM_BLOCK);
    a->sum = fm_carve_floats(c, FM_PAIRS, value);
    a->most = fm_carve_floats(c, FM_PAIRS, 1);
    a->total = fm_carve_floats(c, FM_PAIRS, 1);
    a->wide = fm_carve_floats(c, greater(FM_BLOCK, latent ? plain : 0), value);
    if (!latent)
        return;
    a->positioned = fm_carve_floats(c, FM_PAIRS, f->rotary);
    a->plain = fm_carve_floats(c, FM_PAIRS, plain);
    a->scores_positioned = fm_carve_floats(c, FM_PAIRS, FM_BLOCK);
    a->out = fm_carve_floats(c, FM_PAIRS, f->value_head);
}

static void carve_feed(fm_carver *c, fm_edge_session *s)
{
    const fm_decoder_config *f = s->config;
    const size_t n = s->tile,
                 hidden = greater(greater(f->dense_layers ? f->dense_hidden : 0, f->shared_hidden),
                                  f->expert_hidden);

    s->gate = fm_carve_floats(c, n, hidden);
    s->up = fm_carve_floats(c, n, hidden);
    s->hidden = fm_carve_floats(c, n, hidden);
    s->gathered = fm_carve_floats(c, n, f->width);
    s->chosen = fm_carve_floats(c, n, 1);
    s->scores = fm_carve_floats(c, n, f->experts);
    s->route.choice = fm_carve_floats(c, f->experts, 1);
    s->route.group = fm_carve_floats(c, f->group_count, 1);
    s->route.chosen = fm_carve(c, f->group_count, 1, sizeof *s->route.chosen);
    s->routes = fm_carve(c, n, f->top_k, sizeof *s->routes);
    s->weights = fm_carve_floats(c, n, f->top_k);
    s->starts = fm_carve(c, f->experts + 1, 1, sizeof *s->starts);
    s->order = fm_carve(c, n, f->top_k, sizeof *s->order);
}

static void carve_int8(fm_carver *c, fm_edge_session *s)
{
    const size_t n = s->tile;

    for (size_t i = 0; i < 2; i++) {
        s->q[i] = fm_carve(c, n, widest(s->config), sizeof *s->q[i]);
        s->scale[i] = fm_carve_floats(c, n, 1);
    }
    s->gathered_q = fm_carve(c, n, s->config->width, sizeof *s->gathered_q);
    s->gathered_scale = fm_carve_floats(c, n, 1);
    s->room = fm_carve(c, fm_int8_room(widest(s->config)), 1, 1);
}

static void carve(fm_carver *c, void *object)
{
    fm_edge_session *s = object;
    const fm_decoder_config *f = s->config;

    s->x = fm_carve_floats(c, s->tile, f->width);
    s->normed = fm_carve_floats(c, s->tile, f->width);
    s->result = fm_carve_floats(c, s->tile, f->width);
    s->logits = fm_carve_floats(c, s->chunk, f->vocabulary);
    s->wide = fm_carve_floats(c, FM_WIDE_ROWS, greater(widest(f), f->query_head));
    fm_rotary_carve(c, s->options.context, f->rotary, &s->rotary);
    carve_attention(c, s);
    carve_pairs(c, s);
    carve_feed(c, s);
    if (s->int8)
        carve_int8(c, s);
}

static fm_status make_cache(fm_edge_session *s)
{
    const fm_decoder_config *c = s->config;
    const bool latent = c->attention == FM_ATTENTION_LATENT;
    const size_t heads = latent ? 1 : c->key_heads;
    fm_status st;

    if ((st = fm_edge_store_new(&s->keys, c->layers, heads, s->options.context,
                                latent ? c->key_value_rank : c->query_head, s->options.cache)))
        return st;
    return fm_edge_store_new(&s->values, c->layers, heads, s->options.context,
                             latent ? c->rotary : c->value_head, s->options.cache);
}

static fm_status make(const fm_edge_model *m, const fm_edge_options *o, fm_edge_session *s)
{
    const size_t row = fm_edge_model_config(m)->vocabulary * sizeof(float);
    fm_status st;

    s->model = m;
    s->config = fm_edge_model_config(m);
    s->options = *o;
    s->int8 = fm_edge_model_is_int8(m) && !o->float_inputs;
    s->tile = o->tile ? o->tile : TILE;
    if (s->tile > o->context)
        s->tile = o->context;
    s->chunk = greater(1, LOGITS_BYTES / row);
    if (s->chunk > s->tile)
        s->chunk = s->tile;
    if ((st = make_cache(s)) || (st = fm_carve_all(carve, s, &s->arena)))
        return st;
    fm_rotary_fill(&s->rotary, &s->config->rope);
    return FM_OK;
}

fm_status fm_edge_session_new(const fm_edge_model *m, const fm_edge_options *o,
                              fm_edge_session **out)
{
    fm_edge_session *s = NULL;
    void *block = NULL;
    fm_status st;

    if (!m || !o || !out)
        return fm_fail(FM_EINVAL, "session: an argument is missing");
    if ((st = check(fm_edge_model_config(m), o)) || (st = fm_alloc(1, sizeof *s, &block)))
        return st;
    s = block;
    if ((st = make(m, o, s)))
        fm_edge_session_free(&s);
    else
        *out = s;
    return st;
}

void fm_edge_session_free(fm_edge_session **s)
{
    if (!s || !*s)
        return;
    fm_edge_store_wipe(&(*s)->keys, 0, (*s)->written);
    fm_edge_store_wipe(&(*s)->values, 0, (*s)->written);
    fm_edge_store_free(&(*s)->keys);
    fm_edge_store_free(&(*s)->values);
    if ((*s)->arena)
        fm_arena_wipe((*s)->arena);
    fm_arena_free(&(*s)->arena);
    free(*s);
    *s = NULL;
}

size_t fm_edge_position(const fm_edge_session *s)
{
    return s->position;
}

fm_status fm_edge_rewind(fm_edge_session *s, size_t position)
{
    if (!s || position > s->position)
        return fm_fail(FM_EINVAL, "session: back to %zu tokens, of which fewer were read",
                       position);
    fm_edge_store_wipe(&s->keys, position, s->written);
    fm_edge_store_wipe(&s->values, position, s->written);
    s->position = s->written = position;
    return FM_OK;
}

fm_edge_memory fm_edge_session_memory(const fm_edge_session *s)
{
    return (fm_edge_memory){ .cache =
                                 fm_edge_store_bytes(&s->keys) + fm_edge_store_bytes(&s->values),
                             .rest = sizeof *s + fm_arena_used(s->arena) };
}
