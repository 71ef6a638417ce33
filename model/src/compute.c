#include "fedmoe/model/compute.h"

#include <stdio.h>
#include <stdlib.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/memory.h"
#include "kernel_levels.h"

#define SIDE 256                   /* rows, in and out */
#define SHARE_NS (40 * 1000000ull) /* of each of the three */
#define PEAK_ROUNDS 20000

typedef struct {
    float *rows, *result, *panels;
    uint32_t *pairs;
    int32_t *sum;
} operands;

static double run_peak(const operands *o)
{
    float out = o->rows[0];

    return fm_kernels_now()->peak(PEAK_ROUNDS, &out);
}

static double run_float(const operands *o)
{
    fm_kernel_rows(o->rows, SIDE, SIDE, o->panels, SIDE, FM_START_BIAS, NULL, o->result);
    return 2.0 * SIDE * SIDE * SIDE;
}

static double run_integer(const operands *o)
{
    fm_kernel_outer(o->pairs, o->pairs, SIDE / 2, SIDE, SIDE, o->sum);
    return 2.0 * SIDE * SIDE * SIDE;
}

/* Operations in a nanosecond: the best of the runs that fit the time. */
static double best_rate(double (*run)(const operands *), const operands *o)
{
    const uint64_t end = fm_clock_now_ns() + SHARE_NS;
    double best = 0.0;
    uint64_t now;

    do {
        const uint64_t start = fm_clock_now_ns();
        const double work = run(o);
        double rate;

        now = fm_clock_now_ns();
        rate = work / (double)(now > start ? now - start : 1);
        best = rate > best ? rate : best;
    } while (now < end);
    return best;
}

const char *fm_compute_level(void)
{
    return fm_kernel_level_name(fm_kernel_level());
}

bool fm_compute_is_portable(void)
{
    return fm_kernel_level() == FM_LEVEL_PORTABLE;
}

static fm_status take_operands(fm_arena *a, operands *o)
{
    fm_status st;
    void *p[5] = { NULL };
    const size_t floats = SIDE * fm_row_stride(SIDE), words = SIDE * SIDE;
    const size_t counts[5] = { floats, floats, fm_panels_floats(SIDE, SIDE), words / 2, words };

    for (size_t i = 0; i < 5; i++)
        if ((st = fm_arena_take(a, counts[i], sizeof(float), &p[i])) != FM_OK)
            return st;
    *o = (operands){ p[0], p[1], p[2], p[3], p[4] };
    for (size_t i = 0; i < floats; i++)
        o->rows[i] = 1.0f / (float)(1 + i % 101);
    fm_panels_transposed(o->panels, o->rows, SIDE, SIDE, 0.5f);
    for (size_t i = 0; i < words / 2; i++)
        o->pairs[i] = (uint32_t)i * 0x9e3779b9u;
    return FM_OK;
}

fm_status fm_compute_measure(fm_compute_report *out)
{
    const size_t bytes = (2 * SIDE * fm_row_stride(SIDE) + 3 * SIDE * SIDE) * sizeof(float);
    fm_arena *a = NULL;
    operands o;
    fm_status st;

    if (!out)
        return fm_fail(FM_EINVAL, "compute: no place for the report");
    if ((st = fm_arena_new(bytes, &a)) == FM_OK && (st = take_operands(a, &o)) == FM_OK)
        *out = (fm_compute_report){
            .level = fm_compute_level(),
            .portable = fm_compute_is_portable(),
            .peak_gflops = best_rate(run_peak, &o),
            .float_gflops = best_rate(run_float, &o),
            .integer_gops = best_rate(run_integer, &o),
        };
    fm_arena_free(&a);
    return st;
}

void fm_compute_format(const fm_compute_report *r, char *out, size_t cap)
{
    (void)snprintf(out, cap,
                   "%s kernels, %.0f GFLOP/s float32 (%.0f %% of this core's peak, %.0f), "
                   "%.0f GOP/s integers%s",
                   r->level, r->float_gflops, 100.0 * r->float_gflops / r->peak_gflops,
                   r->peak_gflops, r->integer_gops,
                   r->portable
                       ? "; SLOW: this processor has neither AVX-512 nor AVX2 with FMA, and "
                         "training takes several times as long as with them"
                       : "");
}
