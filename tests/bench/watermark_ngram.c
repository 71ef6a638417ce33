#include "watermark_ngram.h"

#include <math.h>
#include <stdlib.h>

#include "fedmoe/base/memory.h"

#define DISCOUNT 0.75

/* A token that follows, how often, and where those that follow it then begin. */
typedef struct {
    uint32_t token, count;
    size_t next; /* index in triples */
} follower;

struct ngram {
    size_t vocabulary, most;
    size_t *starts;    /* [vocabulary + 1] in pairs */
    follower *pairs;   /* sorted by both tokens; one more at the end */
    follower *triples; /* of each pair, sorted */
};

typedef struct {
    const uint32_t *text;
    size_t n;
} ring;

static int by_three(const void *x, const void *y, void *ctx)
{
    const ring *r = ctx;
    const size_t i = *(const size_t *)x, j = *(const size_t *)y;

    for (size_t k = 0; k < 3; k++) {
        const uint32_t a = r->text[(i + k) % r->n], b = r->text[(j + k) % r->n];

        if (a != b)
            return a < b ? -1 : 1;
    }
    return 0;
}

static fm_status take(ngram *m, size_t n)
{
    void *starts, *pairs, *triples;
    fm_status st;

    if ((st = fm_alloc(m->vocabulary + 1, sizeof *m->starts, &starts)))
        return st;
    m->starts = starts;
    if ((st = fm_alloc(n + 1, sizeof *m->pairs, &pairs)))
        return st;
    m->pairs = pairs;
    if ((st = fm_alloc(n + 1, sizeof *m->triples, &triples)))
        return st;
    m->triples = triples;
    return FM_OK;
}

static void count(ngram *m, const ring *r, const size_t *order)
{
    size_t pairs = 0, triples = 0, filled = 0;

    for (size_t i = 0; i < r->n; i++) {
        const uint32_t a = r->text[order[i]], b = r->text[(order[i] + 1) % r->n];
        const uint32_t c = r->text[(order[i] + 2) % r->n];
        const size_t previous = i ? order[i - 1] : 0;
        const uint32_t last_b = r->text[(previous + 1) % r->n];
        const int new_pair = i == 0 || r->text[previous] != a || last_b != b;

        for (; filled <= a; filled++)
            m->starts[filled] = pairs;
        if (new_pair)
            m->pairs[pairs++] = (follower){ .token = b, .next = triples };
        if (new_pair || m->triples[triples - 1].token != c)
            m->triples[triples++] = (follower){ .token = c };
        m->pairs[pairs - 1].count++;
        m->triples[triples - 1].count++;
    }
    for (; filled <= m->vocabulary; filled++)
        m->starts[filled] = pairs;
    m->pairs[pairs] = (follower){ .next = triples };
    for (size_t a = 0; a < m->vocabulary; a++)
        if (m->starts[a + 1] - m->starts[a] > m->most)
            m->most = m->starts[a + 1] - m->starts[a];
}

fm_status ngram_new(const uint32_t *text, size_t n, ngram **out)
{
    ring r = { .text = text, .n = n };
    ngram *m;
    void *block, *order;
    fm_status st;

    if ((st = fm_alloc(1, sizeof *m, &block)))
        return st;
    m = block;
    for (size_t i = 0; i < n; i++)
        if (text[i] >= m->vocabulary)
            m->vocabulary = (size_t)text[i] + 1;
    if ((st = take(m, n)) || (st = fm_alloc(n, sizeof(size_t), &order))) {
        ngram_free(&m);
        return st;
    }
    for (size_t i = 0; i < n; i++)
        ((size_t *)order)[i] = i;
    qsort_r(order, n, sizeof(size_t), by_three, &r);
    count(m, &r, order);
    free(order);
    *out = m;
    return FM_OK;
}

void ngram_free(ngram **m)
{
    if (!*m)
        return;
    free((*m)->starts);
    free((*m)->pairs);
    free((*m)->triples);
    free(*m);
    *m = NULL;
}

size_t ngram_most(const ngram *m)
{
    return m->most;
}

static const follower *pair_of(const ngram *m, uint32_t a, uint32_t b)
{
    size_t low = m->starts[a], high = m->starts[a + 1];

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (m->pairs[middle].token < b)
            low = middle + 1;
        else
            high = middle;
    }
    return low < m->starts[a + 1] && m->pairs[low].token == b ? m->pairs + low : NULL;
}

static void sharpen(double *p, size_t n, double sharp)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += p[i] = pow(p[i], sharp);
    for (size_t i = 0; i < n; i++)
        p[i] /= sum;
}

size_t ngram_next(const ngram *m, uint32_t a, uint32_t b, double sharp, uint32_t *ids, double *p)
{
    const follower *from = m->pairs + m->starts[b], *pair = pair_of(m, a, b);
    const size_t n = m->starts[b + 1] - m->starts[b];
    const size_t kinds = pair ? pair[1].next - pair->next : 0;
    const double seen = pair ? pair->count : 1.0;
    const double less = pair ? DISCOUNT * (double)kinds / seen : 1.0;
    double all = 0.0;

    for (size_t i = 0; i < n; i++)
        all += from[i].count;
    for (size_t i = 0; i < n; i++) {
        ids[i] = from[i].token;
        p[i] = less * from[i].count / all;
    }
    for (size_t k = 0, i = 0; k < kinds; k++) {
        const follower *f = m->triples + pair->next + k;

        while (ids[i] < f->token)
            i++;
        p[i] += (f->count - DISCOUNT) / seen;
    }
    if (sharp != 1.0)
        sharpen(p, n, sharp);
    return n;
}
