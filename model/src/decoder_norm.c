/* RMSNorm: y = gain * x / sqrt(mean of x^2 + epsilon).
 * Source: Zhang and Sennrich 2019, arXiv:1910.07467. */
#include <math.h>
#include <string.h>

#include "decoder_internal.h"

void fm_norm_forward(fm_norm *n, const float *gain, double epsilon, const fm_rows *x, size_t rows,
                     const fm_rows *y)
{
    for (size_t i = 0; i < rows; i++) {
        const float *from = fm_rows_at(x, i);
        double square = 0.0;

        /* y may be narrower: the latent's positions are not normalised. */
        fm_kernel_squares(from, 1, y->n, &square);
        n->scale[i] = (float)(1.0 / sqrt(square / (double)y->n + epsilon));
        fm_kernel_gain(fm_rows_at(y, i), from, n->scale[i], gain, y->n);
    }
}

void fm_norm_backward(const fm_norm *n, const float *gain, const fm_rows *x, size_t rows,
                      const fm_rows *gx)
{
    const size_t width = n->gy.n;

    for (size_t i = 0; i < rows; i++) {
        const float *from = fm_rows_at(x, i), *g = fm_rows_at(&n->gy, i);
        const float s = n->scale[i], inner = fm_kernel_dot3(gain, g, from, width);

        fm_kernel_gain_back(fm_rows_at(gx, i), g, gain, s, from,
                            -(s * s) * s * (inner / (float)width), width);
    }
}
