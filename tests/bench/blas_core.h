/*
 * Which kernels OpenBLAS runs. A library that is older than the processor falls back to its oldest
 * ones, silently, at a fifth of the speed; as a peer it would be no peer. So the benchmarks that
 * measure against it (or against what uses it) look for the best core type first.
 */
#ifndef FEDMOE_BENCH_BLAS_CORE_H
#define FEDMOE_BENCH_BLAS_CORE_H

#include <stdio.h>

#define BENCH_CORES 8
#define BENCH_CORE_NAME 32

typedef struct {
    char name[BENCH_CORE_NAME];
    double gflops; /* float32 on one thread: geometric mean of 256 x 784 x 256, 64 x 128 x 256 */
} bench_core;

typedef struct {
    bench_core tried[BENCH_CORES]; /* [0]: what the library takes by itself */
    size_t count;
    char chosen[BENCH_CORE_NAME];
} bench_blas;

/**
 * To be called first in main. Measures the core types that the processor's features allow, each in a
 * process of its own, then starts this program again with OPENBLAS_CORETYPE set to the fastest (a
 * library that is loaded does not look at it any more) and OPENBLAS_NUM_THREADS=1; returns only
 * there, and with what was measured. Child processes inherit both. Keeps an OPENBLAS_CORETYPE that
 * the caller set.
 */
void bench_blas_core(char **argv, bench_blas *out);

/** One line: what was tried, and what runs. */
void bench_blas_print(const bench_blas *b, FILE *f);

/** GFLOP/s of OpenBLAS at c[m, n] = a[m, k] b[k, n] with transposed b (as a forward does) or a (as a
 *  gradient's sum does): the best of some seconds. */
double bench_blas_rate(size_t m, size_t n, size_t k, int transpose_a, int transpose_b,
                       double seconds);

#endif
