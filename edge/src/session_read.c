/* Tokens go through the model, a tile at a time; logits and losses of their rows. */
#include <math.h>
#include <string.h>

#include "fedmoe/model/kernel.h"
#include "session_internal.h"

static fm_status check(const fm_edge_session *s, const uint32_t *tokens, size_t n)
{
    if (!s || !tokens || !n)
        return fm_fail(FM_EINVAL, "session: no token to read");
    if (n > s->options.context - s->position)
        return fm_fail(FM_EINVAL,
                       "session: %zu tokens more, after %zu; the context has room for %zu", n,
                       s->position, s->options.context);
    for (size_t i = 0; i < n; i++)
        if (tokens[i] >= s->config->vocabulary)
            return fm_fail(FM_EINVAL, "session: token %u; the vocabulary has %zu",
                           (unsigned)tokens[i], s->config->vocabulary);
    return FM_OK;
}

static void embed(fm_edge_session *s, const uint32_t *tokens, size_t rows)
{
    const fm_edge_map m = fm_edge_model_embedding(s->model);
    const size_t width = s->config->width;

    for (size_t i = 0; i < rows; i++) {
        float *to = s->x + i * width;

        if (m.f32)
            memcpy(to, m.f32 + tokens[i] * width, width * sizeof *to);
        else
            fm_int8_row(&m.i8, tokens[i], to);
        fm_kernel_scale(to, (float)s->config->embedding_multiplier, width);
    }
}

/* Rows of s->x through all layers; the position stays. */
static fm_status tile(fm_edge_session *s, const uint32_t *tokens, size_t rows)
{
    fm_status st;

    if (s->position + rows > s->written)
        s->written = s->position + rows;
    embed(s, tokens, rows);
    for (size_t i = 0; i < s->config->layers; i++)
        if ((st = fm_edge_attend(s, i, rows)) || (st = fm_edge_feed(s, i, rows)))
            return st;
    return FM_OK;
}

/* Logits of rows [first, first + rows) of s->x, rows <= s->chunk. */
static fm_status head(fm_edge_session *s, size_t first, size_t rows, float *out)
{
    const fm_decoder_config *c = s->config;
    const fm_edge_map m = fm_edge_model_head(s->model);
    fm_edge_input in;
    fm_status st;

    fm_edge_norm(fm_edge_model_last_norm(s->model), c->norm_epsilon, s->x + first * c->width, rows,
                 c->width, s->normed);
    if ((st = fm_edge_take(s, s->normed, rows, c->width, 0, &in)))
        return st;
    fm_edge_apply(s, &m, &in, NULL, out);
    fm_kernel_scale(out, (float)(1.0 / c->logits_divisor), rows * c->vocabulary);
    return FM_OK;
}

/* What is done with the logits of `rows` rows, the first of which is number `first` of the call. */
typedef fm_status use_rows(fm_edge_session *s, size_t first, size_t rows, void *ctx);

/* The rows of a tile that begins with row `at` of the call. */
static fm_status use_tile(fm_edge_session *s, size_t at, size_t rows, use_rows *use, void *ctx)
{
    fm_status st;

    for (size_t i = 0, n; i < rows; i += n) {
        n = rows - i < s->chunk ? rows - i : s->chunk;
        if ((st = head(s, i, n, s->logits)) || (st = use(s, at + i, n, ctx)))
            return st;
    }
    return FM_OK;
}

/* use NULL: the logits of the last row alone, to ctx unless that is NULL, too. On failure nothing
 * was read. */
static fm_status read_tiles(fm_edge_session *s, const uint32_t *tokens, size_t n, use_rows *use,
                            void *ctx)
{
    const size_t from = s->position;
    fm_status st = FM_OK;

    for (size_t at = 0, rows; !st && at < n; at += rows) {
        rows = n - at < s->tile ? n - at : s->tile;
        if ((st = tile(s, tokens + at, rows)))
            break;
        if (use)
            st = use_tile(s, at, rows, use, ctx);
        else if (ctx && at + rows == n)
            st = head(s, rows - 1, 1, ctx);
        s->position += rows;
    }
    if (st)
        s->position = from;
    return st;
}

fm_status fm_edge_read(fm_edge_session *s, const uint32_t *tokens, size_t n, float *logits)
{
    const fm_status st = check(s, tokens, n);

    return st ? st : read_tiles(s, tokens, n, NULL, logits);
}

typedef struct {
    float *to;
} all_rows;

static fm_status copy_rows(fm_edge_session *s, size_t first, size_t rows, void *ctx)
{
    const all_rows *a = ctx;
    const size_t n = s->config->vocabulary;

    memcpy(a->to + first * n, s->logits, rows * n * sizeof *a->to);
    return FM_OK;
}

fm_status fm_edge_read_all(fm_edge_session *s, const uint32_t *tokens, size_t n, float *logits)
{
    all_rows a = { .to = logits };
    fm_status st = check(s, tokens, n);

    if (!st && !logits)
        st = fm_fail(FM_EINVAL, "session: an argument is missing");
    return st ? st : read_tiles(s, tokens, n, copy_rows, &a);
}

typedef struct {
    const uint32_t *tokens;
    size_t n;
    double sum;
} loss;

static fm_status add_losses(fm_edge_session *s, size_t first, size_t rows, void *ctx)
{
    loss *l = ctx;
    const size_t n = s->config->vocabulary;

    for (size_t i = 0; i < rows && first + i + 1 < l->n; i++) {
        float *z = s->logits + i * n;
        const float target = z[l->tokens[first + i + 1]], most = fm_kernel_most(z, n);
        const float total = fm_kernel_exp_sum(z, n, most);

        l->sum += (double)most + log((double)total) - (double)target;
    }
    return isfinite(l->sum) ? FM_OK
                            : fm_fail(FM_ENONFINITE, "session: a logit is not a finite number");
}

fm_status fm_edge_loss(fm_edge_session *s, const uint32_t *tokens, size_t n, double *out)
{
    loss l = { .tokens = tokens, .n = n };
    fm_status st = check(s, tokens, n);

    if (!st && !out)
        st = fm_fail(FM_EINVAL, "session: an argument is missing");
    if (!st && !(st = read_tiles(s, tokens, n, add_losses, &l)))
        *out = l.sum;
    return st;
}
