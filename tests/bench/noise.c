/*
 * Samples a second of the discrete Gaussian on one core, for every instruction set that this
 * machine has, beside the key stream alone (the floor) and a floating-point Box-Muller (the peer);
 * then what a release costs (noise_release.c).
 * With --check, statistics of 10^8 samples instead: see noise_check.c.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/clock.h"
#include "noise_check.h"
#include "noise_internal.h"
#include "noise_peer.h"

#define TRIES 25
#define STREAM_BYTES ((size_t)12288) /* a chunk of the sampler's */

static const uint8_t g_seed[FM_DP_NOISE_SEED_BYTES] = { 1 };

static double million_per_s(size_t n, uint64_t start_ns)
{
    return 1e3 * (double)n / (double)(fm_clock_now_ns() - start_ns);
}

/* x: room for n samples of 64 bits. */
static fm_status time_path(const fm_dp_gaussian *g, const fm_gauss_path *path, void *x, size_t n)
{
    bool wide = fm_dp_gaussian_sigma(g) > 0x1p26;
    double best = 0.0;
    fm_status st;

    if (!path->available())
        return FM_OK;
    for (int i = 0; i < TRIES; i++) {
        uint64_t start = fm_clock_now_ns();
        double rate;

        if ((st = fm_gauss_expand(g, path, g_seed, wide ? NULL : x, wide ? x : NULL, n)) != FM_OK)
            return st;
        rate = million_per_s(n, start);
        best = rate > best ? rate : best;
    }
    printf("  %s %.0f", path->name, best);
    return FM_OK;
}

static fm_status time_sigma(double sigma, void *x, size_t n)
{
    fm_dp_gaussian *g = NULL;
    fm_status st = fm_dp_gaussian_new(sigma, &g);

    if (st != FM_OK)
        return st;
    printf("  sigma 2^%-4.1f %s %2u stages: ", log2(sigma), sigma > 0x1p26 ? "int64" : "int32",
           (unsigned)g->stages);
    for (size_t p = 0; p < fm_gauss_path_count && st == FM_OK; p++)
        st = time_path(g, &fm_gauss_paths[p], x, p == 0 ? n / 16 : n); /* portable: slow */
    printf("\n");
    fm_dp_gaussian_free(&g);
    return st;
}

static fm_status time_stream(const fm_gauss_path *path, uint8_t *out, size_t n)
{
    double best = 0.0;
    fm_gauss_stream s;
    fm_status st;

    if (!path->available())
        return FM_OK;
    if ((st = fm_gauss_stream_init(&s, path->own_stream, g_seed)) != FM_OK)
        return st;
    for (int i = 0; i < TRIES && st == FM_OK; i++) {
        uint64_t start = fm_clock_now_ns();
        double rate;

        for (size_t done = 0; done < n && st == FM_OK; done += STREAM_BYTES)
            st = fm_gauss_stream_next(&s, out, STREAM_BYTES);
        rate = million_per_s(n / STREAM_BYTES * STREAM_BYTES, start);
        best = rate > best ? rate : best;
    }
    fm_gauss_stream_fini(&s);
    printf("  %s %.1f GB/s, %.0f base samples", path->own_stream ? "own" : "OpenSSL's", best / 1e3,
           best / 3.0);
    return st;
}

static void time_peer(float *x, size_t n)
{
    double best = 0.0, squares = 0.0;

    if (!bench_box_muller_available()) {
        printf("  peer: not measured, it needs AVX-512\n");
        return;
    }
    for (int i = 0; i < TRIES; i++) {
        uint64_t start = fm_clock_now_ns();
        double rate;

        bench_box_muller((uint64_t)i, 1.0f, x, n);
        rate = million_per_s(n, start);
        best = rate > best ? rate : best;
    }
    for (size_t i = 0; i < n; i++)
        squares += (double)x[i] * x[i];
    printf("  peer: Box-Muller in floats, AVX-512, xorshift words: %.0f (variance %.4f)\n", best,
           squares / (double)n);
}

static fm_status run(size_t n)
{
    const double sigmas[] = { 10.0,   0x1p10, 0x1p14, 0x1p16, 0x1p18,
                              0x1p20, 0x1p21, 0x1p26, 0x1p32, 0x1p50 };
    int64_t *x = malloc(n * sizeof *x);
    float *f = malloc(n * sizeof *f);
    fm_status st = x && f ? FM_OK : fm_fail(FM_ENOMEM, "no memory for %zu samples", n);

    printf("million samples a second on one core, best of %d (at least 100, aim 500)\n", TRIES);
    for (size_t i = 0; i < sizeof sigmas / sizeof *sigmas && st == FM_OK; i++)
        st = time_sigma(sigmas[i], x, n);
    if (st == FM_OK) {
        printf("  floor: key stream, 3 bytes a stage:");
        if ((st = time_stream(&fm_gauss_paths[0], (uint8_t *)x, 8 * n)) == FM_OK &&
            fm_gauss_paths[fm_gauss_path_count - 1].own_stream)
            st = time_stream(&fm_gauss_paths[fm_gauss_path_count - 1], (uint8_t *)x, 8 * n);
        printf("\n");
        time_peer(f, n);
        st = bench_noise_release(n < (size_t)1 << 20);
    }
    free(x);
    free(f);
    return st;
}

int main(int argc, char **argv)
{
    uint64_t samples = 0;
    bool check = false;
    const fm_cli_option options[] = {
        { "check", FM_CLI_FLAG, &check, NULL, "statistics instead of speed", false, 0, 0 },
        { "samples", FM_CLI_U64, &samples, "N", "default 2^20, or 10^8 to check", false, 1 << 16,
          1000000000 },
    };
    const fm_cli_spec spec = { .program = "bench-noise",
                               .summary = "Speed and statistics of the discrete Gaussian sampler.",
                               .examples = "./dev bench noise\n./dev bench noise --check",
                               .options = options,
                               .option_count = sizeof options / sizeof options[0] };
    int first = 0, code;
    fm_status st;

    if (fm_random_init() != FM_OK)
        return fm_cli_failed(spec.program);
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (check)
        st = bench_noise_check(samples ? (size_t)samples : 100000000);
    else
        st = run(samples ? (size_t)samples / 1024 * 1024 : (size_t)1 << 20);
    return st == FM_OK ? 0 : fm_cli_failed(spec.program);
}
