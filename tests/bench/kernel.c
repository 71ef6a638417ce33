/*
 * The inner loops of training on one core: GFLOP/s (2 operations for a multiplication with its
 * addition) at every level that this machine has, beside the processor's own rate and OpenBLAS with
 * the best of its core types for each shape, each tried in a process of its own: the library reads
 * the type once.
 */
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/clock.h"
#include "kernel_levels.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

typedef struct {
    size_t rows, in, out;
} shape;

static const shape shapes[] = { { 256, 784, 256 }, { 256, 256, 256 },    { 64, 128, 256 },
                                { 8, 128, 256 },   { 1024, 1024, 1024 }, { 256, 256, 10 } };

typedef struct {
    shape s;
    float *a, *c, *panels, *w, *sum;
    uint32_t *g_pairs, *a_pairs;
    int32_t *int_sum;
    float *slope, *scale;
    uint64_t *squares;
} work;

static uint64_t g_share_ns = 60 * 1000000ull; /* of each figure */

static void *room(size_t n)
{
    void *p = aligned_alloc(64, (n * 4 + 64 + 63) / 64 * 64);

    if (!p) {
        fprintf(stderr, "bench-kernel: no memory for %zu numbers\n", n);
        exit(1);
    }
    for (size_t i = 0; i < n; i++)
        ((float *)p)[i] = 1.0f / (float)(1 + i % 101) - 0.1f;
    return p;
}

static work work_new(shape s)
{
    work w = { .s = s };

    w.a = room(s.rows * fm_row_stride(s.in));
    w.c = room(s.rows * fm_row_stride(s.out));
    w.slope = room(s.rows * fm_row_stride(s.out));
    w.panels = room(fm_panels_floats(s.in, s.out));
    w.w = room(s.in * s.out);
    w.sum = room(s.in * s.out);
    w.int_sum = room(s.in * s.out);
    w.g_pairs = room((s.rows + 1) / 2 * s.out);
    w.a_pairs = room((s.rows + 1) / 2 * s.in);
    w.scale = room(s.rows);
    w.squares = room(2 * s.rows);
    return w;
}

static void work_free(work *w)
{
    void *all[] = { w->a,       w->c,       w->slope,   w->panels, w->w,      w->sum,
                    w->int_sum, w->g_pairs, w->a_pairs, w->scale,  w->squares };

    for (size_t i = 0; i < COUNT(all); i++)
        free(all[i]);
}

static void run_rows(work *w)
{
    fm_kernel_rows(w->a, w->s.rows, w->s.in, w->panels, w->s.out, FM_START_BIAS, NULL, w->c);
}

static void run_rows_and_panels(work *w)
{
    fm_panels_transposed(w->panels, w->w, w->s.in, w->s.out, 1.0f);
    run_rows(w);
}

static void run_outer(work *w)
{
    fm_kernel_outer(w->g_pairs, w->a_pairs, (w->s.rows + 1) / 2, w->s.out, w->s.in, w->int_sum);
}

static void run_outer_float(work *w)
{
    fm_kernel_outer_float(w->c, w->a, w->s.rows, w->s.out, w->s.in, 1e-6f, w->sum);
}

static void run_blas_rows(work *w)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)w->s.rows, (int)w->s.out,
                (int)w->s.in, 1.0f, w->a, (int)fm_row_stride(w->s.in), w->w, (int)w->s.in, 0.0f,
                w->c, (int)fm_row_stride(w->s.out));
}

static void run_blas_outer(work *w)
{
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)w->s.out, (int)w->s.in,
                (int)w->s.rows, 1e-6f, w->c, (int)fm_row_stride(w->s.out), w->a,
                (int)fm_row_stride(w->s.in), 1.0f, w->sum, (int)w->s.in);
}

static void run_panels(work *w)
{
    fm_panels_transposed(w->panels, w->w, w->s.in, w->s.out, 1.0f);
}

static void run_straight(work *w)
{
    fm_panels_straight(w->panels, w->w, w->s.in, w->s.out, 1.0f);
}

static void run_quantise(work *w)
{
    fm_kernel_quantise(w->a, w->s.rows, w->s.in, w->scale, w->a_pairs, w->squares);
}

static void run_squares(work *w)
{
    fm_kernel_squares(w->a, w->s.rows, w->s.in, (double *)w->squares);
}

static void run_silu(work *w)
{
    fm_kernel_activate(FM_ACT_SILU, w->c, w->slope, w->s.rows * fm_row_stride(w->s.out));
}

static void run_exp(work *w)
{
    fm_kernel_exp(w->c, w->s.rows * fm_row_stride(w->s.out));
}

/* Runs a nanosecond, of the best; a run that is short is repeated within one measurement. */
static double best_rate(void (*run)(work *), work *w)
{
    const uint64_t end = fm_clock_now_ns() + g_share_ns;
    unsigned repeat = 1;
    double best = 0.0;
    uint64_t now;

    do {
        const uint64_t start = fm_clock_now_ns();
        double rate;

        for (unsigned i = 0; i < repeat; i++)
            run(w);
        now = fm_clock_now_ns();
        rate = repeat / (double)(now - start + 1);
        best = rate > best ? rate : best;
        repeat = now - start < 20000 && repeat < 1024 ? repeat * 2 : repeat;
    } while (now < end);
    return best;
}

static double flops(shape s)
{
    return 2.0 * (double)s.rows * (double)s.in * (double)s.out;
}

static double peak(void)
{
    const uint64_t end = fm_clock_now_ns() + g_share_ns;
    double best = 0.0;
    float x = 0.1f;

    while (fm_clock_now_ns() < end) {
        const uint64_t start = fm_clock_now_ns();
        const double n = fm_kernels_now()->peak(4000, &x);
        const double rate = n / (double)(fm_clock_now_ns() - start + 1);

        best = rate > best ? rate : best;
    }
    return best;
}

typedef struct {
    double rows[COUNT(shapes)], outer[COUNT(shapes)];
} blas;

/* What the child of try_core does: two figures a line for each shape. */
static int blas_figures(void)
{
    openblas_set_num_threads(1);
    printf("core %s\n", openblas_get_corename());
    for (size_t i = 0; i < COUNT(shapes); i++) {
        work w = work_new(shapes[i]);

        printf("%.9g ", best_rate(run_blas_rows, &w) * flops(shapes[i]));
        printf("%.9g\n", best_rate(run_blas_outer, &w) * flops(shapes[i]));
        work_free(&w);
    }
    return 0;
}

/* Whether the core type runs here; the best figures so far are kept in b, shape by shape. */
static void try_core(const char *core, blas *b)
{
    char self[4096], command[4300], got[64] = "";
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    blas now = { 0 };
    FILE *f;
    bool whole;

    self[n > 0 ? n : 0] = '\0';
    (void)snprintf(
        command, sizeof command,
        "OPENBLAS_CORETYPE=%s OPENBLAS_NUM_THREADS=1 '%s' --blas --share %llu 2>/dev/null", core,
        self, (unsigned long long)(g_share_ns / 1000000));
    if (n <= 0 || !(f = popen(command, "r")))
        return;
    whole = fscanf(f, "core %63s", got) == 1 && strcasecmp(got, core) == 0;
    for (size_t i = 0; i < COUNT(shapes) && whole; i++)
        whole = fscanf(f, "%lf %lf", &now.rows[i], &now.outer[i]) == 2;
    if (pclose(f) != 0 || !whole)
        return;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        b->rows[i] = fmax(b->rows[i], now.rows[i]);
        b->outer[i] = fmax(b->outer[i], now.outer[i]);
    }
    printf("  %-14s product %.0f, outer %.0f at %zu x %zu x %zu\n", core, now.rows[0], now.outer[0],
           shapes[0].rows, shapes[0].in, shapes[0].out);
}

static void time_shape(size_t i, double top, const blas *b)
{
    work w = work_new(shapes[i]);
    const double f = flops(w.s), rows = best_rate(run_rows, &w) * f;
    const double packed = best_rate(run_rows_and_panels, &w) * f;
    const double outer = best_rate(run_outer, &w) * f, plain = best_rate(run_outer_float, &w) * f;

    printf("  %4zu x %4zu x %4zu  rows %6.1f (%3.0f %% of peak, %.2f of BLAS)  with panels %6.1f"
           "  integer outer %6.1f (%.2f)  float outer %6.1f (%.2f)\n",
           w.s.rows, w.s.in, w.s.out, rows, 100.0 * rows / top, rows / b->rows[i], packed, outer,
           outer / b->outer[i], plain, plain / b->outer[i]);
    work_free(&w);
}

static void time_elements(void)
{
    work w = work_new(shapes[1]);
    const double n = (double)(w.s.rows * w.s.in);

    printf("  million numbers a second at 256 x 256: panels transposed %.0f, straight %.0f, "
           "quantise %.0f, squares %.0f, silu %.0f, exp %.0f\n",
           1e3 * n * best_rate(run_panels, &w), 1e3 * n * best_rate(run_straight, &w),
           1e3 * n * best_rate(run_quantise, &w), 1e3 * n * best_rate(run_squares, &w),
           1e3 * n * best_rate(run_silu, &w), 1e3 * n * best_rate(run_exp, &w));
    work_free(&w);
}

static void time_level(fm_level level, const blas *b)
{
    double top;

    fm_kernel_limit(level);
    if (fm_kernel_level() != level)
        return;
    top = peak();
    printf("%s: peak %.1f GFLOP/s in registers\n", fm_kernel_level_name(level), top);
    for (size_t i = 0; i < COUNT(shapes); i++)
        time_shape(i, top, b);
    time_elements();
}

static void run(void)
{
    static const char *const cores[] = { "Sapphirerapids", "Cooperlake", "SkylakeX", "Zen",
                                         "Haswell",        "Prescott" };
    blas b = { 0 };

    printf("OpenBLAS, one thread, by core type:\n");
    for (size_t i = 0; i < COUNT(cores); i++)
        try_core(cores[i], &b);
    printf("the best of them, which the ratios are to:\n");
    for (size_t i = 0; i < COUNT(shapes); i++)
        printf("  %4zu x %4zu x %4zu  product %6.1f  outer %6.1f\n", shapes[i].rows, shapes[i].in,
               shapes[i].out, b.rows[i], b.outer[i]);
    for (fm_level level = FM_LEVEL_VNNI; level > FM_LEVEL_PORTABLE; level--)
        time_level(level, &b);
    time_level(FM_LEVEL_PORTABLE, &b);
}

int main(int argc, char **argv)
{
    bool as_blas = false;
    uint64_t share = 60;
    const fm_cli_option options[] = {
        { "share", FM_CLI_U64, &share, "MS", "time for each figure (60)", false, 1, 10000 },
        { "blas", FM_CLI_FLAG, &as_blas, NULL, "OpenBLAS's figures alone", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "bench-kernel",
        .summary = "GFLOP/s of the inner loops of training, one core, beside OpenBLAS.",
        .options = options,
        .option_count = COUNT(options),
    };
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    g_share_ns = share * 1000000;
    if (as_blas)
        return blas_figures();
    run();
    return 0;
}
