/*
 * Products of experts in 8 bits on one core: 8 experts of 1024 outputs and 512 inputs, each row
 * of inputs goes to two of them, 1, 32 and 256 rows at once, rounding of the inputs included.
 * GOP/s (2 operations for a multiplication with its addition) at every level that this machine
 * has, beside float32's and what limits them: how fast weights come from memory, and the
 * instruction's own rate. docs/speed.md has ggml's MUL_MAT_ID beside it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/edge/int8.h"
#include "fedmoe/model/kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { EXPERTS = 8, TOP = 2, OUT = 1024, IN = 512, MOST = 256 };

static uint64_t g_share_ns = 200 * 1000000ull; /* of each figure */

typedef struct {
    int8_t *w;      /* [EXPERTS, OUT, IN] */
    float *scale;   /* [EXPERTS, OUT] */
    float *panels;  /* [EXPERTS] of float32 */
    float *x;       /* [MOST, IN] */
    float *rows;    /* of one expert, with the kernel's stride */
    float *y;       /* [MOST, OUT] of one expert, with the kernel's stride */
    int8_t *q;      /* [MOST, IN] of all */
    float *q_scale; /* [MOST] */
    int8_t *part;   /* [MOST, IN] of one expert */
    float *part_scale;
    void *room;
    size_t count;      /* rows of inputs */
    size_t (*to)[TOP]; /* [MOST] each row's experts */
    int8_t *memory;    /* more than caches hold */
    size_t memory_bytes;
} work;

static void *room(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);

    if (!p) {
        fprintf(stderr, "bench-int8: no memory for %zu bytes\n", bytes);
        exit(1);
    }
    memset(p, 0, (bytes + 127) / 64 * 64);
    return p;
}

static uint32_t next(uint32_t *state)
{
    return *state = *state * 1664525u + 1013904223u;
}

static void fill_weights(work *w, uint32_t *state)
{
    float *plain = room(OUT * IN * sizeof *plain);
    const size_t panel = fm_panels_floats(IN, OUT);

    for (size_t e = 0; e < EXPERTS; e++) {
        for (size_t i = 0; i < (size_t)OUT * IN; i++)
            plain[i] = (float)(next(state) >> 8) / (float)(1 << 24) - 0.5f;
        if (fm_int8_quantise(plain, OUT, IN, w->w + e * OUT * IN, w->scale + e * OUT) != FM_OK)
            exit(1);
        fm_panels_transposed(w->panels + e * panel, plain, IN, OUT, 1.0f);
    }
    free(plain);
}

static work work_new(void)
{
    work w = { .memory_bytes = (size_t)256 << 20 };
    uint32_t state = 1;

    w.w = room(EXPERTS * OUT * IN);
    w.scale = room(EXPERTS * OUT * sizeof(float));
    w.panels = room(EXPERTS * fm_panels_floats(IN, OUT) * sizeof(float));
    w.x = room(MOST * IN * sizeof(float));
    w.rows = room(MOST * fm_row_stride(IN) * sizeof(float));
    w.y = room(MOST * fm_row_stride(OUT) * sizeof(float));
    w.q = room(MOST * IN);
    w.q_scale = room(MOST * sizeof(float));
    w.part = room(MOST * IN);
    w.part_scale = room(MOST * sizeof(float));
    w.room = room(fm_int8_room(IN));
    w.to = room(MOST * sizeof *w.to);
    w.memory = room(w.memory_bytes);
    fill_weights(&w, &state);
    memset(w.memory, 1, w.memory_bytes);
    for (size_t i = 0; i < (size_t)MOST * IN; i++)
        w.x[i] = (float)(next(&state) >> 8) / (float)(1 << 24) - 0.5f;
    for (size_t i = 0; i < MOST; i++) {
        w.to[i][0] = (next(&state) >> 16) % EXPERTS;
        w.to[i][1] = (w.to[i][0] + 1 + (next(&state) >> 16) % (EXPERTS - 1)) % EXPERTS;
    }
    return w;
}

static void work_free(work *w)
{
    void *all[] = { w->w,  w->scale,   w->panels, w->x,          w->rows, w->y,     w->q,
                    w->to, w->q_scale, w->part,   w->part_scale, w->room, w->memory };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static bool goes(const work *w, size_t i, size_t e)
{
    return w->to[i][0] == e || w->to[i][1] == e;
}

static void run_int8(work *w)
{
    if (fm_int8_quantise(w->x, w->count, IN, w->q, w->q_scale) != FM_OK)
        exit(1);
    for (size_t e = 0; e < EXPERTS; e++) {
        const fm_int8_matrix m = { w->w + e * OUT * IN, w->scale + e * OUT, OUT, IN };
        size_t n = 0;

        for (size_t i = 0; i < w->count; i++)
            if (goes(w, i, e)) {
                memcpy(w->part + n * IN, w->q + i * IN, IN);
                w->part_scale[n++] = w->q_scale[i];
            }
        if (n > 0)
            fm_int8_product(&m, w->part, w->part_scale, n, w->y, fm_row_stride(OUT), w->room);
    }
}

static void run_weights_only(work *w)
{
    for (size_t e = 0; e < EXPERTS; e++) {
        const fm_int8_matrix m = { w->w + e * OUT * IN, w->scale + e * OUT, OUT, IN };
        size_t n = 0;

        for (size_t i = 0; i < w->count; i++)
            if (goes(w, i, e))
                memcpy(w->rows + n++ * fm_row_stride(IN), w->x + i * IN, IN * sizeof *w->x);
        if (n > 0)
            fm_int8_product_float(&m, w->rows, fm_row_stride(IN), n, w->y, fm_row_stride(OUT));
    }
}

static void run_float(work *w)
{
    for (size_t e = 0; e < EXPERTS; e++) {
        size_t n = 0;

        for (size_t i = 0; i < w->count; i++)
            if (goes(w, i, e))
                memcpy(w->rows + n++ * fm_row_stride(IN), w->x + i * IN, IN * sizeof *w->x);
        if (n > 0)
            fm_kernel_rows(w->rows, n, IN, w->panels + e * fm_panels_floats(IN, OUT), OUT,
                           FM_START_BIAS, NULL, w->y);
    }
}

/* One row against weights that are in no cache: what decoding is. */
static void run_from_memory(work *w)
{
    const size_t rows = w->memory_bytes / IN / 64;
    static float scale[1 << 16];

    for (size_t k = 0; k < 64; k++) {
        const fm_int8_matrix m = { w->memory + k * rows * IN, scale, rows, IN };
        static float y[1 << 16];

        fm_int8_product(&m, w->q, w->q_scale, 1, y, rows, w->room);
    }
}

static void run_read(work *w)
{
    uint64_t sum[8] = { 0 };

    for (size_t i = 0; i + 64 <= w->memory_bytes; i += 64)
        for (size_t k = 0; k < 8; k++) {
            uint64_t v;

            memcpy(&v, w->memory + i + 8 * k, sizeof v);
            sum[k] ^= v;
        }
    for (size_t k = 0; k < 8; k++)
        w->y[k] = (float)(sum[k] & 1);
}

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#define LONG_NS 2000000u

/* Runs a second, of the best of many: in wall time, or the thread's own for runs so long that a
 * shared machine interrupts each of them. */
static double best_rate(void (*run)(work *), work *w)
{
    const uint64_t end = now_ns(CLOCK_MONOTONIC) + g_share_ns;
    double best = 0.0;

    do {
        const uint64_t own = now_ns(CLOCK_THREAD_CPUTIME_ID), start = now_ns(CLOCK_MONOTONIC);
        uint64_t took;

        run(w);
        took = now_ns(CLOCK_THREAD_CPUTIME_ID) - own;
        took = took < LONG_NS ? now_ns(CLOCK_MONOTONIC) - start : took;
        best = fmax(best, 1e9 / (double)(took + 1));
    } while (now_ns(CLOCK_MONOTONIC) < end);
    return best;
}

#if defined(__x86_64__)
enum { PEAK_STEPS = 20000, PEAK_CHAINS = 12 };

__attribute__((target("avx512f,avx512vnni"))) static void run_peak(work *w)
{
    __m512i sum[PEAK_CHAINS], a = _mm512_loadu_si512(w->w), b = _mm512_loadu_si512(w->q);

    for (int k = 0; k < PEAK_CHAINS; k++)
        sum[k] = _mm512_setzero_si512();
    for (int i = 0; i < PEAK_STEPS; i++)
        for (int k = 0; k < PEAK_CHAINS; k++)
            sum[k] = _mm512_dpbusd_epi32(sum[k], a, b);
    for (int k = 1; k < PEAK_CHAINS; k++)
        sum[0] = _mm512_add_epi32(sum[0], sum[k]);
    _mm512_storeu_si512(w->y, sum[0]);
}

static double peak(work *w)
{
    return best_rate(run_peak, w) * 128.0 * PEAK_STEPS * PEAK_CHAINS * 1e-9;
}
#else
static double peak(work *w)
{
    (void)w;
    return 0.0;
}
#endif

static void show_row(work *w, const char *name, void (*run)(work *))
{
    static const size_t counts[] = { 1, 32, MOST };

    printf("  %-34s", name);
    for (size_t k = 0; k < 3; k++) {
        w->count = counts[k];
        printf(" %8.1f", best_rate(run, w) * 2.0 * TOP * OUT * IN * (double)counts[k] * 1e-9);
        fflush(stdout);
    }
    printf("\n");
}

static void show_limits(work *w)
{
    const double read = best_rate(run_read, w) * (double)w->memory_bytes * 1e-9;
    const double decode = best_rate(run_from_memory, w) * (double)w->memory_bytes * 1e-9;

    printf("\nfrom memory, %zu MB of weights: read %.1f GB/s, product with one row %.1f GB/s "
           "(%.1f GOP/s)\n",
           w->memory_bytes >> 20, read, decode, 2.0 * decode);
    if (fm_kernel_level() == FM_LEVEL_VNNI)
        printf("the instruction's own rate (VNNI): %.0f GOP/s\n", peak(w));
}

int main(int argc, char **argv)
{
    uint64_t share_ms = 200;
    const fm_cli_option options[] = {
        { "share", FM_CLI_U64, &share_ms, "MS", "milliseconds for each figure (200)", false, 1,
          60000 },
    };
    const fm_cli_spec spec = {
        .program = "bench-int8",
        .summary = "Products of experts in 8 bits on one core.",
        .options = options,
        .option_count = 1,
    };
    int first, code;
    work w;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    g_share_ns = share_ms * 1000000u;
    w = work_new();
    printf("%d experts of [%d, %d], %d for each row, one thread; GOP/s\n", EXPERTS, OUT, IN, TOP);
    printf("  %-34s %8s %8s %8s\n", "rows of inputs", "1", "32", "256");
    for (fm_level l = FM_LEVEL_PORTABLE; l <= FM_LEVEL_VNNI; l++) {
        char name[64];

        fm_kernel_limit(l);
        if (fm_kernel_level() != l)
            break;
        (void)snprintf(name, sizeof name, "8 bits, %s", fm_kernel_level_name(l));
        show_row(&w, name, run_int8);
    }
    fm_kernel_limit(FM_LEVEL_VNNI);
    show_row(&w, "weights alone in 8 bits", run_weights_only);
    show_row(&w, "float32", run_float);
    show_limits(&w);
    work_free(&w);
    return 0;
}
