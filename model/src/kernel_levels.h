/* What a level of instructions brings: the functions of kernel.h, same arguments. Each level is
 * one file (kernel_portable.c, ...), all of them made of kernel_template.h. */
#ifndef FEDMOE_MODEL_KERNEL_LEVELS_H
#define FEDMOE_MODEL_KERNEL_LEVELS_H

#include "fedmoe/model/kernel.h"

typedef struct {
    void (*transposed)(float *panels, const float *w, size_t in, size_t out, float scale);
    void (*straight)(float *panels, const float *w, size_t in, size_t out, float scale);
    void (*rows)(const float *a, size_t rows, size_t in, const float *panels, size_t out,
                 fm_start start, const float *bias, float *c);
    void (*quantise)(const float *a, size_t rows, size_t n, const float *scale, uint32_t *pairs,
                     uint64_t *squares);
    void (*outer)(const uint32_t *g, const uint32_t *a, size_t pairs, size_t out, size_t in,
                  int32_t *sum);
    void (*outer_float)(const float *g, const float *a, const float *weights, size_t rows,
                        size_t out, size_t in, float scale, fm_start start, float *sum);
    void (*squares)(const float *a, size_t rows, size_t n, double *squares);
    float (*dot)(const float *a, const float *b, size_t n);
    void (*add_scaled)(float *y, float scale, const float *x, size_t n);
    void (*exp)(float *v, size_t n);
    void (*activate)(fm_act kind, float *h, float *slope, size_t n);
    double (*peak)(size_t rounds, float *out);
    float (*most)(const float *a, size_t n);
    float (*exp_sum)(float *a, size_t n, float less);
    void (*scale)(float *y, float scale, size_t n);
    void (*gain)(float *y, const float *x, float scale, const float *w, size_t n);
    float (*dot3)(const float *a, const float *b, const float *c, size_t n);
    void (*gain_back)(float *gx, const float *g, const float *w, float scale, const float *x,
                      float along, size_t n);
    void (*add_product)(float *y, float scale, const float *a, const float *b, size_t n);
    void (*swiglu)(float *h, const float *gate, const float *up, float scale, size_t n);
    float (*swiglu_back)(const float *g, const float *gate, const float *up, float scale,
                         float *ggate, float *gup, size_t n);
    void (*score_back)(float *g, const float *p, float less, size_t n);
} fm_kernels;

/** Those of the level in force. */
const fm_kernels *fm_kernels_now(void);

extern const fm_kernels fm_kernels_portable;
#if defined(__x86_64__)
extern const fm_kernels fm_kernels_avx2;   /* AVX2, FMA */
extern const fm_kernels fm_kernels_avx512; /* F, BW, VL, DQ */
/** With VNNI; the rest of that level is AVX-512's. */
void fm_kernel_outer_vnni(const uint32_t *g, const uint32_t *a, size_t pairs, size_t out, size_t in,
                          int32_t *sum);
#endif

#endif
