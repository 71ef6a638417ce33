#include <math.h>

#include "watermark_internal.h"

/* Of the scored tokens. */
typedef struct {
    size_t n, green;
    uint64_t sum; /* of weight times g */
} tally;

static uint64_t weigh(uint64_t word, size_t layers)
{
    uint64_t sum = 0;

    for (size_t l = 0; l < layers; l++)
        sum += (word >> l & 1) * fm_watermark_weight(l);
    return sum;
}

/* A window that came before says nothing new: its bits are not fresh coins. */
static fm_status count(const fm_watermark *w, const uint32_t *tokens, size_t n, tally *out)
{
    const fm_watermark_options o = fm_watermark_get_options(w);
    const uint64_t below = fm_watermark_green_below(o.gamma);
    fm_watermark_seen seen = { 0 };
    fm_watermark_context context = { 0 };
    fm_status st = FM_OK;

    for (size_t i = o.window; i < n && !st; i++) {
        bool fresh = false;
        uint64_t word;

        fm_watermark_see(w, tokens, i, &context);
        if ((st = fm_watermark_seen_add(&seen, context.name, &fresh)) || !fresh)
            continue;
        word = fm_watermark_word(&context, tokens[i]);
        out->n++;
        out->green += word < below;
        out->sum += weigh(word, o.layers);
    }
    sodium_memzero(&context, sizeof context);
    fm_watermark_seen_fini(&seen);
    return st;
}

static fm_status judge_tournament(const tally *t, size_t layers, fm_watermark_found *f)
{
    double all = 0.0, squares = 0.0;

    for (size_t l = 0; l < layers; l++) {
        const double weight = fm_watermark_weight(l);

        all += weight;
        squares += weight * weight;
    }
    f->score = ((double)t->sum - (double)t->n * all / 2.0) / (sqrt((double)t->n * squares) / 2.0);
    return fm_watermark_odds(t->n, layers, t->sum, &f->p_value);
}

fm_status fm_watermark_detect(const fm_watermark *w, const uint32_t *tokens, size_t n,
                              fm_watermark_found *out)
{
    fm_watermark_options o;
    tally t = { 0 };
    fm_watermark_found f = { .tokens = n, .p_value = 1.0 };
    fm_status st;

    if (!w || !out || (n && !tokens))
        return fm_fail(FM_EINVAL, "watermark: an argument is missing");
    if ((st = count(w, tokens, n, &t)))
        return st;
    o = fm_watermark_get_options(w);
    f.scored = t.n;
    if (t.n && o.kind == FM_WATERMARK_TOURNAMENT) {
        st = judge_tournament(&t, o.layers, &f);
    } else if (t.n) {
        f.score = ((double)t.green - (double)t.n * o.gamma) /
                  sqrt((double)t.n * o.gamma * (1.0 - o.gamma));
        f.p_value = fm_watermark_binomial(t.n, o.gamma, t.green);
    }
    if (!st)
        *out = f;
    return st;
}
