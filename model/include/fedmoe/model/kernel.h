/*
 * The inner loops of training: products of rows with a matrix in float32, and sums over rows of
 * outer products in integers. In both every row's part depends on that row alone, bit for bit:
 * whatever the number of rows, the row's place among them and the number of threads.
 *
 * Why not a BLAS: see docs/design.md. The instruction set is chosen by the processor's features,
 * never by its name: a processor that is newer than this code runs the best kernels it can.
 *
 * Rows of float32 are row-major with a stride of fm_row_stride() floats; what lies between a row's
 * end and the next row is never read as a value and may be anything finite; buffers are 64-byte
 * aligned.
 */
#ifndef FEDMOE_MODEL_KERNEL_H
#define FEDMOE_MODEL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FM_PANEL 32 /* columns of a panel */

typedef enum { FM_LEVEL_PORTABLE, FM_LEVEL_AVX2, FM_LEVEL_AVX512, FM_LEVEL_VNNI } fm_level;

/** The best that this processor can run, or less when fm_kernel_limit said so. */
fm_level fm_kernel_level(void);
const char *fm_kernel_level_name(fm_level level);
/** For tests and benchmarks: no more than this from now on. Not while another thread computes. */
void fm_kernel_limit(fm_level most);

/** Floats from one row of n to the next: n rounded up to 16, and 16 more when that is a multiple of
 *  1024 (rows that far apart share the cache's sets). */
size_t fm_row_stride(size_t n);

/**
 * A matrix b[in, out] in the order in which the product reads it: panels of FM_PANEL columns,
 * float32[ceil(out / FM_PANEL), in, FM_PANEL], zeros after the last column.
 */
size_t fm_panels_floats(size_t in, size_t out);
/** b[k, j] = scale * w[j * in + k], w float32[out, in]: for x W^T. */
void fm_panels_transposed(float *panels, const float *w, size_t in, size_t out, float scale);
/** b[k, j] = scale * w[k * out + j], w float32[in, out]: for g W. */
void fm_panels_straight(float *panels, const float *w, size_t in, size_t out, float scale);

/** Where a product starts from. */
typedef enum {
    FM_START_BIAS, /* bias[j], or 0 when bias is NULL */
    FM_START_SUM,  /* what is in c */
} fm_start;

/**
 * c[i, j] = start + sum over k, in increasing order, of a[i, k] * b[k, j]: fused multiply-add, one
 * rounding for each k (FM_LEVEL_PORTABLE: product and sum rounded). The same bits for a row
 * whatever the other rows, and for the levels above PORTABLE.
 * @param a float32[rows, in]. @param c float32[rows, out], must not overlap a.
 */
void fm_kernel_rows(const float *a, size_t rows, size_t in, const float *panels, size_t out,
                    fm_start start, const float *bias, float *c);

/**
 * Rows to 16-bit integers, two rows in one 32-bit word: pairs[p * n + k] holds
 * q[2p, k] in the low and q[2p + 1, k] in the high half (0 past the last row), where
 * q[i, k] = round to nearest even of a[i, k] * scale[i], clamped to +-32767; a value that is no
 * number gives 0.
 * @param a       float32[rows, n]. @param scale float32[rows].
 * @param pairs   out, uint32[(rows + 1) / 2, n].
 * @param squares out, [rows]: sum over k of q[i, k]^2, exact.
 */
void fm_kernel_quantise(const float *a, size_t rows, size_t n, const float *scale, uint32_t *pairs,
                        uint64_t *squares);

/**
 * sum[o, k] += sum over rows i of g[i, o] * a[i, k], exact mod 2^32.
 * @param g uint32[pairs, out], a uint32[pairs, in], both as fm_kernel_quantise makes them.
 * @param sum int32[out, in], no stride.
 */
void fm_kernel_outer(const uint32_t *g, const uint32_t *a, size_t pairs, size_t out, size_t in,
                     int32_t *sum);

/**
 * The same in float32, for training without privacy: sum[o, k] += g[i, o] * (scale * a[i, k]) for
 * each row i in order, with the roundings of fm_kernel_rows.
 * @param g float32[rows, out]. @param a float32[rows, in]. @param sum float32[out, in], no stride.
 */
void fm_kernel_outer_float(const float *g, const float *a, size_t rows, size_t out, size_t in,
                           float scale, float *sum);

/** The same with a weight for each row, g[i, o] * (scale * weights[i] * a[i, k]), NULL: 1 each; added
 *  to sum, or (FM_START_BIAS) written over what is there when there are rows. */
void fm_kernel_outer_weighted(const float *g, const float *a, const float *weights, size_t rows,
                              size_t out, size_t in, float scale, fm_start start, float *sum);

/* What follows has no fused multiply-add: the same bits at every level. */

/** squares[i] = sum over k of a[i, k]^2 in double, in a fixed order. */
void fm_kernel_squares(const float *a, size_t rows, size_t n, double *squares);
/** Sum of a[k] * b[k], in a fixed order. */
float fm_kernel_dot(const float *a, const float *b, size_t n);
/** y += scale * x. */
void fm_kernel_add_scaled(float *y, float scale, const float *x, size_t n);
/** exp(v) for |v| <= 87, within 2 units in the last place, 0 or infinity outside; NaN stays. */
void fm_kernel_exp(float *v, size_t n);
typedef enum { FM_ACT_RELU, FM_ACT_SILU, FM_ACT_GELU } fm_act;
/** h[n] = act(h) in place, slope[n] = act'(h); GELU in its tanh form. */
void fm_kernel_activate(fm_act kind, float *h, float *slope, size_t n);

/* ---- of a decoder; sums in a fixed order, arrays of n that do not overlap unless it says so ---- */

/** The largest, minus infinity of none; a NaN is passed over. */
float fm_kernel_most(const float *a, size_t n);
/** a = exp(a - less) as fm_kernel_exp; @return their sum. */
float fm_kernel_exp_sum(float *a, size_t n, float less);
/** y *= scale. */
void fm_kernel_scale(float *y, float scale, size_t n);
/** y = w (x scale): RMSNorm with scale = 1 / root mean square. y may be x. */
void fm_kernel_gain(float *y, const float *x, float scale, const float *w, size_t n);
/** Sum of a[k] b[k] c[k]. */
float fm_kernel_dot3(const float *a, const float *b, const float *c, size_t n);
/** gx += scale (w g) + along x. */
void fm_kernel_gain_back(float *gx, const float *g, const float *w, float scale, const float *x,
                         float along, size_t n);
/** y += scale (a b). */
void fm_kernel_add_product(float *y, float scale, const float *a, const float *b, size_t n);
/** h = scale silu(gate) up. */
void fm_kernel_swiglu(float *h, const float *gate, const float *up, float scale, size_t n);
/** From the gradient g of that h those of gate and up; @return the gradient of scale. */
float fm_kernel_swiglu_back(const float *g, const float *gate, const float *up, float scale,
                            float *ggate, float *gup, size_t n);
/** g = p (g - less): from the gradient of a softmax's results that of its scores. */
void fm_kernel_score_back(float *g, const float *p, float less, size_t n);

#endif
