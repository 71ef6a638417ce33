/*
 * The insides of fm_edge_session, shared by its files. Shapes: N rows of a tile, D width, V
 * vocabulary, E experts, k of them chosen, H heads. Rows lie one after the other, without a stride.
 *
 * Every row goes through the same operations in the same order whatever the other rows: all
 * products and sums are of that kind (int8.h, floats.h), and attention takes keys in blocks that
 * begin at multiples of FM_BLOCK positions.
 */
#ifndef FEDMOE_EDGE_SESSION_INTERNAL_H
#define FEDMOE_EDGE_SESSION_INTERNAL_H

#include "fedmoe/edge/session.h"
#include "fedmoe/model/carve.h"
#include "fedmoe/model/rotary.h"
#include "fedmoe/model/route.h"

#define FM_BLOCK 64     /* positions of keys at once */
#define FM_PAIRS 64     /* most pairs of a row and a head at once */
#define FM_WIDE_ROWS 16 /* rows in 8 bits that are widened at once */

/* ---- rows in float32, or in 8 bits with a scale each: of a map or of the cache ---- */

typedef struct {
    const float *f; /* [., n], or NULL */
    const int8_t *q;
    const float *scale;
    size_t n;
} fm_edge_rows;

/* Rows from `first` on of a map. */
fm_edge_rows fm_edge_rows_of(const fm_edge_map *m, size_t first);
/* y[i, j] = x[i] . row j for `count` rows of x and `rows` of r; y has a stride.
 * room: float32[FM_WIDE_ROWS, n]. */
void fm_edge_rows_product(const fm_edge_rows *r, size_t rows, const float *x, size_t count,
                          float *y, size_t stride, float *room);
/* sum[i] += sum over j < counts[i] of p[i, j] row j; p [count, stride] is overwritten.
 * room: float32[most rows, n]. */
void fm_edge_rows_mix(const fm_edge_rows *r, float *p, size_t stride, const size_t *counts,
                      size_t count, float *sum, float *room);

/* ---- cache ---- */

/* What is kept of each position: rows of n values for each layer and head. */
typedef struct {
    size_t layers, heads, context, n;
    float *f; /* [layers, heads, context, n], or NULL */
    int8_t *q;
    float *scale; /* [layers, heads, context] */
} fm_edge_store;

FM_NODISCARD fm_status fm_edge_store_new(fm_edge_store *s, size_t layers, size_t heads,
                                         size_t context, size_t n, fm_edge_cache kind);
void fm_edge_store_free(fm_edge_store *s);
FM_NODISCARD fm_status fm_edge_store_put(const fm_edge_store *s, size_t layer, size_t head,
                                         size_t position, const float *x);
/* Rows from a position on. */
fm_edge_rows fm_edge_store_at(const fm_edge_store *s, size_t layer, size_t head, size_t position);
/* Positions [from, to) of all layers and heads. */
void fm_edge_store_wipe(const fm_edge_store *s, size_t from, size_t to);
uint64_t fm_edge_store_bytes(const fm_edge_store *s);

/* ---- the session ---- */

/* Rows as maps take them: as they are, and rounded to 8 bits where the model is. */
typedef struct {
    const float *x; /* [rows, n] */
    size_t rows, n;
    int8_t *q; /* [rows, n] */
    float *scale;
} fm_edge_input;

/* Room of a tile's attention: pairs of rows and heads, at most FM_PAIRS. */
typedef struct {
    float *query;      /* [pairs, query_head], LATENT: [pairs, rank], the plain part taken through
                          the keys' map */
    float *positioned; /* LATENT: [pairs, rotary] */
    float *plain;      /* LATENT: [pairs, plain] */
    float *scores, *scores_positioned; /* [pairs, FM_BLOCK] */
    float *sum;                        /* [pairs, value_head or rank] */
    float *out;                        /* [pairs, value_head] */
    float *most, *total;               /* [pairs] */
    float *wide;                       /* rows in 8 bits as float32 */
} fm_edge_pairs;

struct fm_edge_session {
    const fm_edge_model *model;
    const fm_decoder_config *config;
    fm_edge_options options;
    bool int8;       /* inputs of maps are rounded */
    size_t position; /* tokens that were read */
    size_t written;  /* positions of the cache that may hold something */
    fm_rotary rotary;
    fm_edge_store keys, values; /* LATENT: of latents, and of keys' part with positions */
    fm_arena *arena;

    size_t tile;                /* N */
    float *x, *normed, *result; /* [N, D] */
    float *query, *query_a, *query_in, *key, *value, *latent, *mixed;
    fm_edge_pairs pairs;
    float *gate, *up, *hidden; /* [N, most hidden] */
    float *gathered;           /* [N, D] of an expert's rows */
    int8_t *gathered_q;
    float *gathered_scale, *chosen; /* [N]; the router's weights of those rows */
    float *scores;                  /* [N, E] */
    fm_route_room route;
    uint32_t *routes;         /* [N, k] */
    float *weights;           /* [N, k] */
    uint32_t *starts, *order; /* [E + 1], [N k] pairs of rows and experts by expert */
    int8_t *q[2];             /* [N, widest]: of a layer's rows, of what comes of them */
    float *scale[2];
    void *room;    /* of fm_int8_product */
    float *wide;   /* [FM_WIDE_ROWS, widest] */
    float *logits; /* [chunk, V] */
    size_t chunk;
};

/* session_maps.c */
/* Take rows [rows, n] for maps; `place` is 0 or 1. */
FM_NODISCARD fm_status fm_edge_take(fm_edge_session *s, const float *x, size_t rows, size_t n,
                                    size_t place, fm_edge_input *out);
/* y[i] = W x[i] + bias (NULL: none); y has m->rows values a row, and a stride. */
void fm_edge_apply(const fm_edge_session *s, const fm_edge_map *m, const fm_edge_input *in,
                   const float *bias, float *y);
void fm_edge_norm(const float *gain, double epsilon, const float *x, size_t rows, size_t n,
                  float *y);

/* session_attend.c: from s->normed of `rows` rows at s->position + done on, to s->result. */
FM_NODISCARD fm_status fm_edge_attend(fm_edge_session *s, size_t layer, size_t rows);
/* session_pairs.c: queries to s->mixed. */
FM_NODISCARD fm_status fm_edge_pairs_attend(fm_edge_session *s, size_t layer, size_t rows);
/* session_feed.c: s->x += feed-forward of s->normed. */
FM_NODISCARD fm_status fm_edge_feed(fm_edge_session *s, size_t layer, size_t rows);

#endif
