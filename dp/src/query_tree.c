#include <math.h>

#include "query_internal.h"

#define AMPLITUDE_STEPS 256.0

/* Down to the grid: the squares still add up to at most 1. */
static double on_grid(double a)
{
    return floor(a * AMPLITUDE_STEPS) / AMPLITUDE_STEPS;
}

static double shape_squares(size_t bins, const fm_query_shape *s)
{
    double squares = s->total * s->total, a = s->first;

    for (size_t n = bins; n > 1; n /= 2, a *= s->decay)
        squares += a * a;
    return squares;
}

void fm_query_trees_make(size_t bins, const fm_query_shape *shapes, size_t count,
                         fm_query_tree *out)
{
    double norm = 0.0;

    for (size_t i = 0; i < count; i++)
        norm += shape_squares(bins, &shapes[i]);
    norm = sqrt(norm);
    for (size_t i = 0; i < count; i++) {
        double a = shapes[i].first / norm;

        out[i] = (fm_query_tree){ .bins = bins, .total = on_grid(shapes[i].total / norm) };
        for (size_t n = bins; n > 1; n /= 2, a *= shapes[i].decay)
            out[i].level[out[i].levels++] = on_grid(a);
    }
}

static unsigned level_of(size_t node)
{
    unsigned l = 0;

    while (node >>= 1)
        l++;
    return l;
}

void fm_query_tree_add(const fm_query_tree *t, size_t bin, double weight, float *block)
{
    unsigned l = t->levels;

    block[0] += (float)(weight * t->total);
    for (size_t node = t->bins + bin; node > 1; node /= 2) {
        double a = weight * t->level[--l];

        block[node / 2] += (float)(node % 2 ? -a : a);
    }
}

void fm_query_tree_nodes(const fm_query_tree *t, const float *block, double weight, double *tree)
{
    tree[0] = 0.0;
    tree[1] = (double)block[0] / (weight * t->total);
    for (size_t i = 1; i < t->bins; i++) {
        double d = (double)block[i] / (weight * t->level[level_of(i)]);

        tree[2 * i] = (tree[i] + d) / 2.0;
        tree[2 * i + 1] = (tree[i] - d) / 2.0;
    }
}

/*
 * With m_i the mean of w below node i, the sum is m_1 total + sum over nodes of
 * (m_left - m_right)/2 times left minus right.
 */
double fm_query_tree_variance(const fm_query_tree *t, const double *w, double *scratch)
{
    double sum = 0.0;

    for (size_t j = 0; j < t->bins; j++)
        scratch[t->bins + j] = w[j];
    for (size_t i = t->bins - 1; i >= 1; i--) {
        double c = (scratch[2 * i] - scratch[2 * i + 1]) / (2.0 * t->level[level_of(i)]);

        scratch[i] = (scratch[2 * i] + scratch[2 * i + 1]) / 2.0;
        sum += c * c;
    }
    sum += scratch[1] * scratch[1] / (t->total * t->total);
    return sum;
}

double fm_query_tree_node_variance(const fm_query_tree *t, size_t i)
{
    double v = 1.0 / (t->total * t->total);

    for (unsigned l = 0; l < level_of(i); l++)
        v = (v + 1.0 / (t->level[l] * t->level[l])) / 4.0;
    return v;
}

/* The share of the node at hand that lies before the cut, a: its own difference enters with a or
 * 1 - a, whichever side the cut is on. */
double fm_query_tree_prefix_variance(const fm_query_tree *t, size_t bins, double q)
{
    double a = (double)bins / (double)t->bins;
    double sum = (a - q) * (a - q) / (t->total * t->total);

    for (unsigned l = 0; l < t->levels && a > 0.0 && a < 1.0; l++) {
        bool left = a <= 0.5;
        double c = (left ? a : 1.0 - a) / t->level[l];

        sum += c * c;
        a = left ? 2.0 * a : 2.0 * a - 1.0;
    }
    return sum;
}
