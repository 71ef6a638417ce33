/* Top-k choice, gates, and the rows of each expert gathered together. */
#include <math.h>
#include <string.h>

#include "tabular_internal.h"

/* The k largest scores; of equal ones the lower index; a NaN is below everything. */
static void choose(const float *scores, size_t experts, size_t k, uint32_t *chosen)
{
    for (size_t n = 0; n < k; n++) {
        size_t best = SIZE_MAX, at = 0, next = 0;

        /* chosen[0..n) is increasing: walk it along with the experts. */
        for (size_t e = 0; e < experts; e++) {
            if (next < n && chosen[next] == e) {
                next++;
                continue;
            }
            if (best == SIZE_MAX || scores[e] > scores[best] ||
                (isnan(scores[best]) && !isnan(scores[e])))
                best = e;
        }
        while (at < n && chosen[at] < best)
            at++;
        memmove(chosen + at + 1, chosen + at, (n - at) * sizeof *chosen);
        chosen[at] = (uint32_t)best;
    }
}

static void gate(fm_gate kind, const float *scores, const uint32_t *chosen, size_t k, float *gates)
{
    float most = scores[chosen[0]], sum = 0.0f;

    if (kind == FM_GATE_SIGMOID) {
        for (size_t j = 0; j < k; j++)
            gates[j] = 1.0f / (1.0f + expf(-scores[chosen[j]]));
        return;
    }
    for (size_t j = 1; j < k; j++)
        if (scores[chosen[j]] > most)
            most = scores[chosen[j]];
    for (size_t j = 0; j < k; j++) {
        gates[j] = expf(scores[chosen[j]] - most);
        sum += gates[j];
    }
    for (size_t j = 0; j < k; j++)
        gates[j] /= sum;
}

void fm_tabular_route(const fm_tabular *m, fm_block *b, size_t rows)
{
    const size_t experts = m->config.experts, k = m->config.top_k, width = m->config.width;

    memset(b->starts, 0, (experts + 1) * sizeof *b->starts);
    for (size_t i = 0; i < rows; i++) {
        choose(b->scores + i * experts, experts, k, b->routes + i * k);
        gate(m->config.gate, b->scores + i * experts, b->routes + i * k, k, b->gates + i * k);
        for (size_t j = 0; j < k; j++)
            b->starts[b->routes[i * k + j] + 1]++;
    }
    /* Counting sort, stable. starts[e] is first the next free place of e, in the end e's last. */
    for (size_t e = 0; e < experts; e++)
        b->starts[e + 1] += b->starts[e];
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < k; j++) {
            const size_t place = b->starts[b->routes[i * k + j]]++;

            b->places[i * k + j] = (uint32_t)place;
            b->order[place] = (uint32_t)i;
            memcpy(b->sorted + place * width, b->x + i * width, width * sizeof *b->x);
        }
    memmove(b->starts + 1, b->starts, experts * sizeof *b->starts);
    b->starts[0] = 0;
}
