/* The discrete Fourier transform that composition needs: complex double, power-of-two lengths. */
#ifndef FEDMOE_DP_FFT_H
#define FEDMOE_DP_FFT_H

#include <stddef.h>

#include "fedmoe/base/status.h"

/** Twiddle factors of one length; read-only once made. */
typedef struct fm_fft fm_fft;

/** @param log2n  length is 2^log2n; 1 to 24. FM_EINVAL, FM_ENOMEM. */
FM_NODISCARD fm_status fm_fft_new(unsigned log2n, fm_fft **out);
void fm_fft_free(fm_fft **f);
size_t fm_fft_length(const fm_fft *f);

/** sum_j x_j exp(-2 pi i j k / n) in place; the result is in bit-reversed order. */
void fm_fft_forward(const fm_fft *f, double *re, double *im);
/** The other way, from bit-reversed to natural order; n times the inverse. */
void fm_fft_inverse(const fm_fft *f, double *re, double *im);

/**
 * Bound of the L2 norm of a transform's rounding error over the L2 norm of its result
 * (Higham 2002, theorem 24.2: log2(n) * eta / (1 - log2(n) * eta), eta below 8 units in the last
 * place for twiddles that libm rounds to one).
 */
double fm_fft_error(const fm_fft *f);

#endif
