/* The kernels of a decoder, of the level in force. */
#include "kernel_levels.h"

float fm_kernel_most(const float *a, size_t n)
{
    return fm_kernels_now()->most(a, n);
}

float fm_kernel_exp_sum(float *a, size_t n, float less)
{
    return fm_kernels_now()->exp_sum(a, n, less);
}

void fm_kernel_scale(float *y, float scale, size_t n)
{
    fm_kernels_now()->scale(y, scale, n);
}

void fm_kernel_gain(float *y, const float *x, float scale, const float *w, size_t n)
{
    fm_kernels_now()->gain(y, x, scale, w, n);
}

float fm_kernel_dot3(const float *a, const float *b, const float *c, size_t n)
{
    return fm_kernels_now()->dot3(a, b, c, n);
}

void fm_kernel_gain_back(float *gx, const float *g, const float *w, float scale, const float *x,
                         float along, size_t n)
{
    fm_kernels_now()->gain_back(gx, g, w, scale, x, along, n);
}

void fm_kernel_add_product(float *y, float scale, const float *a, const float *b, size_t n)
{
    fm_kernels_now()->add_product(y, scale, a, b, n);
}

void fm_kernel_swiglu(float *h, const float *gate, const float *up, float scale, size_t n)
{
    fm_kernels_now()->swiglu(h, gate, up, scale, n);
}

float fm_kernel_swiglu_back(const float *g, const float *gate, const float *up, float scale,
                            float *ggate, float *gup, size_t n)
{
    return fm_kernels_now()->swiglu_back(g, gate, up, scale, ggate, gup, n);
}

void fm_kernel_score_back(float *g, const float *p, float less, size_t n)
{
    fm_kernels_now()->score_back(g, p, less, n);
}
