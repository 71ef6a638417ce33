/* Top-k choice, gates, and the rows of each expert gathered together. */
#include <math.h>
#include <string.h>

#include "experts.h"

/* The k largest of score + bias; of equal ones the lower index; a NaN is below everything. */
static void choose(const float *scores, const float *bias, size_t experts, size_t k,
                   uint32_t *chosen)
{
    for (size_t n = 0; n < k; n++) {
        size_t best = SIZE_MAX, at = 0, next = 0;
        float most = 0.0f;

        /* chosen[0..n) is increasing: walk it along with the experts. */
        for (size_t e = 0; e < experts; e++) {
            const float score = scores[e] + bias[e];

            if (next < n && chosen[next] == e) {
                next++;
                continue;
            }
            if (best == SIZE_MAX || score > most || (isnan(most) && !isnan(score))) {
                best = e;
                most = score;
            }
        }
        while (at < n && chosen[at] < best)
            at++;
        memmove(chosen + at + 1, chosen + at, (n - at) * sizeof *chosen);
        chosen[at] = (uint32_t)best;
    }
}

/* What the exponential is taken of: scores less the largest chosen one, or minus the scores. */
static void exponents(fm_gate kind, const float *scores, const uint32_t *chosen, size_t k, float *v)
{
    float most = scores[chosen[0]];

    for (size_t j = 1; j < k; j++)
        if (scores[chosen[j]] > most)
            most = scores[chosen[j]];
    for (size_t j = 0; j < k; j++)
        v[j] = kind == FM_GATE_SIGMOID ? -scores[chosen[j]] : scores[chosen[j]] - most;
}

static void gate(fm_gate kind, size_t k, float *v)
{
    float sum = 0.0f;

    for (size_t j = 0; j < k; j++)
        sum += v[j];
    for (size_t j = 0; j < k; j++)
        v[j] = kind == FM_GATE_SIGMOID ? 1.0f / (1.0f + v[j]) : v[j] / sum;
}

void fm_block_route(fm_block *b, size_t rows)
{
    const size_t experts = b->config->experts, k = b->config->top_k;
    fm_dispatch *d = &b->dispatch;

    for (size_t i = 0; i < rows; i++) {
        const float *scores = fm_rows_at(&b->scores, i);

        choose(scores, b->load_bias, experts, k, d->routes + i * k);
        exponents(b->config->gate, scores, d->routes + i * k, k, b->gates + i * k);
    }
    fm_kernel_exp(b->gates, rows * k);
    for (size_t i = 0; i < rows; i++)
        gate(b->config->gate, k, b->gates + i * k);
    fm_dispatch_sort(d, experts, rows);
    for (size_t p = 0; p < rows * k; p++)
        memcpy(fm_rows_at(&b->sorted, p), fm_rows_at(&b->x, d->order[p]), b->x.n * sizeof *b->x.v);
}

float fm_block_entropy(const fm_block *b, size_t i)
{
    const size_t experts = b->config->experts;
    const float weight = (float)b->config->router_entropy;
    const float *scores = fm_rows_at(&b->scores, i);
    float *g = fm_rows_at(&b->gscores, i), p[FM_TABULAR_MAX_EXPERTS];
    float most = scores[0], sum = 0.0f, mean = 0.0f, log_sum;

    for (size_t e = 1; e < experts; e++)
        most = scores[e] > most ? scores[e] : most;
    for (size_t e = 0; e < experts; e++)
        p[e] = scores[e] - most;
    fm_kernel_exp(p, experts);
    for (size_t e = 0; e < experts; e++)
        sum += p[e];
    log_sum = (float)log((double)sum);
    /* H = -sum of p log p; dH / dr_e = -p_e (log p_e + H). */
    for (size_t e = 0; e < experts; e++) {
        p[e] /= sum;
        mean += p[e] * (scores[e] - most - log_sum);
    }
    for (size_t e = 0; e < experts; e++)
        g[e] += weight * p[e] * (scores[e] - most - log_sum - mean);
    return weight * mean;
}
