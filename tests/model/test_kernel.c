/* The inner loops against their definitions, at every level that this machine has. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fedmoe/base/random.h"
#include "fedmoe/model/compute.h"
#include "fm_test.h"
#include "kernel.h"
#include "suites.h"

#define MAX_ROWS 40
#define MAX_WIDTH 160
#define MAX_FLOATS (MAX_ROWS * (MAX_WIDTH + 16))

static fm_rng seeded(fm_rng_seed *state, uint64_t seed)
{
    return fm_rng_seeded(state, seed);
}

static void fill(fm_rng *rng, float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (float)fm_rng_normal(rng);
}

/* Each level up to the machine's best, once. */
static bool next_level(fm_level *level)
{
    static fm_level best;

    if (*level == FM_LEVEL_PORTABLE) {
        fm_kernel_limit(FM_LEVEL_VNNI);
        best = fm_kernel_level();
    }
    fm_kernel_limit(*level);
    if (*level > best) {
        fm_kernel_limit(FM_LEVEL_VNNI);
        return false;
    }
    return true;
}
#define EACH_LEVEL(l) for (fm_level l = FM_LEVEL_PORTABLE; next_level(&l); l++)

/* The last n bytes before a page that nobody may touch. */
typedef struct {
    uint8_t *base;
    size_t bytes;
} guarded;

static void *guard(guarded *g, size_t bytes, size_t align)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t room = (bytes + page - 1) / page * page;

    g->bytes = room + page;
    g->base = mmap(NULL, g->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g->base == MAP_FAILED || mprotect(g->base + room, page, PROT_NONE) != 0)
        abort();
    return g->base + (room - bytes) / align * align;
}

static void unguard(guarded *g)
{
    munmap(g->base, g->bytes);
}

typedef struct {
    size_t rows, in, out;
    fm_start start;
    bool biased;
} product;

/* b[in, out] plain, bits by the header's words. */
static float entry(const product *p, size_t i, size_t j, const float *a, const float *b,
                   const float *bias, const float *c, bool fused)
{
    float sum = p->start == FM_START_SUM ? c[i * fm_row_stride(p->out) + j] : bias ? bias[j] : 0.0f;

    for (size_t k = 0; k < p->in; k++) {
        const float x = a[i * fm_row_stride(p->in) + k], y = b[k * p->out + j];
        volatile float part = x * y;

        sum = fused ? fmaf(x, y, sum) : sum + part;
    }
    return sum;
}

/* One product, its operands at the end of their pages. @return entries that are wrong. */
static size_t try_product(fm_rng *rng, const product *p)
{
    const size_t a_n = p->rows * fm_row_stride(p->in), c_n = p->rows * fm_row_stride(p->out);
    guarded pages[4];
    float *a = guard(&pages[0], a_n * sizeof *a, 64), *c = guard(&pages[1], c_n * sizeof *c, 64);
    float *panels = guard(&pages[2], fm_panels_floats(p->in, p->out) * sizeof *panels, 64);
    float *bias = guard(&pages[3], p->out * sizeof *bias, 4);
    float *b = malloc((p->in * p->out + 1) * sizeof *b), *before = malloc((c_n + 1) * sizeof *c);
    const float *biases = p->biased ? bias : NULL;
    size_t bad = 0;

    fill(rng, a, a_n);
    fill(rng, b, p->in * p->out);
    fill(rng, bias, p->out);
    fill(rng, before, c_n);
    EACH_LEVEL(level)
    {
        fm_panels_straight(panels, b, p->in, p->out, 1.0f);
        memcpy(c, before, c_n * sizeof *c);
        fm_kernel_rows(a, p->rows, p->in, panels, p->out, p->start, biases, c);
        for (size_t i = 0; i < p->rows; i++)
            for (size_t j = 0; j < p->out; j++) {
                const float want = entry(p, i, j, a, b, biases, before, level > FM_LEVEL_PORTABLE);

                bad += memcmp(&want, &c[i * fm_row_stride(p->out) + j], sizeof want) != 0;
            }
    }
    free(before);
    free(b);
    for (size_t i = 0; i < 4; i++)
        unguard(&pages[i]);
    return bad;
}

static void rows_have_the_bits_of_the_definition_at_every_level(void)
{
    static const size_t ins[] = { 0, 1, 2, 7, 16, 33, 100 };
    static const size_t outs[] = { 1, 2, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 47, 48, 49, 65, 96 };
    fm_rng_seed state;
    fm_rng rng = seeded(&state, 8);
    size_t bad = 0;

    for (size_t o = 0; o < FM_TEST_COUNT(outs); o++)
        for (size_t k = 0; k < FM_TEST_COUNT(ins); k++)
            for (size_t rows = 0; rows <= 27; rows += 1 + rows / 13) {
                const product p = { rows, ins[k], outs[o],
                                    (rows + k) % 3 ? FM_START_BIAS : FM_START_SUM, o % 3 != 0 };

                bad += try_product(&rng, &p);
            }
    CU_ASSERT_EQUAL(bad, 0);
}

/* A record's row among others that are no numbers, at every place, against the row alone. */
static void a_row_depends_on_itself_alone(void)
{
    static const size_t shapes[][2] = {
        { 5, 3 }, { 64, 40 }, { 33, 128 }, { 128, 10 }, { 100, 1 }
    };
    static float a[MAX_FLOATS], c[MAX_FLOATS], alone[MAX_WIDTH + 16], w[MAX_WIDTH * MAX_WIDTH];
    static float panels[MAX_WIDTH * MAX_WIDTH];
    fm_rng_seed state;
    fm_rng rng = seeded(&state, 9);
    size_t bad = 0;

    fill(&rng, w, MAX_WIDTH * MAX_WIDTH);
    EACH_LEVEL(level)
    {
        for (size_t s = 0; s < FM_TEST_COUNT(shapes); s++) {
            const size_t in = shapes[s][0], out = shapes[s][1];
            const size_t a_row = fm_row_stride(in), c_row = fm_row_stride(out);
            float row[MAX_WIDTH + 16];

            fm_panels_transposed(panels, w, in, out, 1.0f);
            fill(&rng, row, a_row);
            fm_kernel_rows(row, 1, in, panels, out, FM_START_BIAS, NULL, alone);
            for (size_t rows = 1; rows <= 26; rows++)
                for (size_t place = 0; place < rows; place++) {
                    for (size_t i = 0; i < rows * a_row; i++)
                        a[i] = (i + rows) % 3 ? NAN : INFINITY;
                    memcpy(a + place * a_row, row, a_row * sizeof *a);
                    fm_kernel_rows(a, rows, in, panels, out, FM_START_BIAS, NULL, c);
                    bad += memcmp(c + place * c_row, alone, out * sizeof *c) != 0;
                }
        }
    }
    CU_ASSERT_EQUAL(bad, 0);
}

static void panels_hold_the_matrix_either_way_and_zeros_after_it(void)
{
    fm_rng_seed state;
    fm_rng rng = seeded(&state, 10);
    size_t bad = 0;

    for (size_t out = 1; out <= 70; out += 1 + out / 20)
        for (size_t in = 1; in <= 50; in += 1 + in / 12) {
            const size_t whole = (out + FM_PANEL - 1) / FM_PANEL * FM_PANEL;
            guarded pages[2];
            float *w = guard(&pages[0], in * out * sizeof *w, 4);
            float *panels = guard(&pages[1], fm_panels_floats(in, out) * sizeof *panels, 64);

            fill(&rng, w, in * out);
            EACH_LEVEL(level)
            {
                for (unsigned straight = 0; straight < 2; straight++) {
                    memset(panels, 0xff, fm_panels_floats(in, out) * sizeof *panels);
                    if (straight)
                        fm_panels_straight(panels, w, in, out, 0.3f);
                    else
                        fm_panels_transposed(panels, w, in, out, 0.3f);
                    for (size_t k = 0; k < in; k++)
                        for (size_t j = 0; j < whole; j++) {
                            const float have =
                                panels[(j / FM_PANEL * in + k) * FM_PANEL + j % FM_PANEL];
                            const float want = j >= out   ? 0.0f
                                               : straight ? 0.3f * w[k * out + j]
                                                          : 0.3f * w[j * in + k];

                            bad += memcmp(&have, &want, sizeof have) != 0;
                        }
                }
            }
            unguard(&pages[0]);
            unguard(&pages[1]);
        }
    CU_ASSERT_EQUAL(bad, 0);
}

static int16_t half(uint32_t pair, size_t i)
{
    return (int16_t)(uint16_t)(i % 2 ? pair >> 16 : pair & 0xffff);
}

static long nearest(float a, float scale)
{
    volatile float x = a * scale;

    return isnan(x) ? 0 : x > 32767.0f ? 32767 : x < -32767.0f ? -32767 : lrintf(x);
}

static void rows_become_integers_clamped_and_without_nan(void)
{
    static const float special[] = { NAN,  INFINITY, -INFINITY, 1e30f,     -1e30f, 0.5f,
                                     1.5f, 32767.4f, 32767.6f,  -32768.0f, 2.5f,   -0.5f,
                                     0.0f, -1.5f,    -32767.5f, 0.499999f };
    fm_rng_seed state;
    fm_rng rng = seeded(&state, 11);
    size_t bad = 0;

    for (size_t rows = 1; rows <= 5; rows++)
        for (size_t n = 1; n <= 70; n++) {
            const size_t a_n = rows * fm_row_stride(n);
            guarded pages[3];
            float *a = guard(&pages[0], a_n * sizeof *a, 64);
            uint32_t *pairs = guard(&pages[1], (rows + 1) / 2 * n * sizeof *pairs, 4);
            float *scale = guard(&pages[2], rows * sizeof *scale, 4);

            for (size_t i = 0; i < a_n; i++)
                a[i] = i % 5 ? (float)(fm_rng_normal(&rng) * 12000.0)
                             : special[(i / 5 + n) % FM_TEST_COUNT(special)];
            for (size_t i = 0; i < rows; i++)
                scale[i] = i ? 0.7f * (float)i : 1.0f;
            EACH_LEVEL(level)
            {
                uint64_t squares[6];

                memset(pairs, 0xa5, (rows + 1) / 2 * n * sizeof *pairs);
                fm_kernel_quantise(a, rows, n, scale, pairs, squares);
                for (size_t i = 0; i < (rows + 1) / 2 * 2; i++) {
                    uint64_t square = 0;

                    for (size_t k = 0; k < n; k++) {
                        const long q =
                            i < rows ? nearest(a[i * fm_row_stride(n) + k], scale[i]) : 0;

                        bad += half(pairs[i / 2 * n + k], i) != q;
                        square += (uint64_t)(q * q);
                    }
                    bad += i < rows && squares[i] != square;
                }
            }
            for (size_t i = 0; i < 3; i++)
                unguard(&pages[i]);
        }
    CU_ASSERT_EQUAL(bad, 0);
}

static void squares_of_the_largest_integers_are_exact(void)
{
    const size_t n = 600000; /* more than fit one block of any level */
    float *a = malloc(fm_row_stride(n) * sizeof *a);
    uint32_t *pairs = malloc(n * sizeof *pairs);
    const float scale = 1e9f;

    CU_ASSERT_FATAL(a != NULL && pairs != NULL);
    for (size_t k = 0; k < n; k++)
        a[k] = k % 2 ? 1.0f : -1.0f;
    EACH_LEVEL(level)
    {
        uint64_t square = 0;

        fm_kernel_quantise(a, 1, n, &scale, pairs, &square);
        CU_ASSERT_EQUAL(square, n * (uint64_t)(32767 * 32767));
    }
    free(pairs);
    free(a);
}

/* Pairs of any bits when `extreme`, of halves of at most 2000 else. */
static void fill_pairs(fm_rng *rng, uint32_t *v, size_t n, bool extreme)
{
    static const uint32_t edges[] = { 0x7fff7fff, 0x80018001, 0x7fff8001, 0x80008000, 0xffffffff };

    for (size_t i = 0; i < n; i++) {
        const int32_t lo = (int32_t)(fm_rng_normal(rng) * 500.0);
        const int32_t hi = (int32_t)(fm_rng_normal(rng) * 500.0);

        v[i] = extreme ? edges[fm_rng_below(rng, FM_TEST_COUNT(edges))]
                       : ((uint32_t)lo & 0xffff) | (uint32_t)hi << 16;
    }
}

static size_t try_outer(fm_rng *rng, size_t pairs, size_t out, size_t in, bool extreme)
{
    guarded pages[3];
    uint32_t *g = guard(&pages[0], pairs * out * sizeof *g, 4);
    uint32_t *a = guard(&pages[1], pairs * in * sizeof *a, 4);
    int32_t *sum = guard(&pages[2], out * in * sizeof *sum, 4);
    size_t bad = 0;

    fill_pairs(rng, g, pairs * out, extreme);
    fill_pairs(rng, a, pairs * in, extreme);
    EACH_LEVEL(level)
    {
        for (size_t i = 0; i < out * in; i++)
            sum[i] = (int32_t)((uint32_t)i * 0x9e3779b9u);
        fm_kernel_outer(g, a, pairs, out, in, sum);
        for (size_t o = 0; o < out; o++)
            for (size_t k = 0; k < in; k++) {
                int64_t want = (int32_t)((uint32_t)(o * in + k) * 0x9e3779b9u);

                for (size_t i = 0; i < 2 * pairs; i++)
                    want += (int64_t)half(g[i / 2 * out + o], i) * half(a[i / 2 * in + k], i);
                bad += (uint32_t)want != (uint32_t)sum[o * in + k];
            }
    }
    for (size_t i = 0; i < 3; i++)
        unguard(&pages[i]);
    return bad;
}

static void integer_sums_are_exact_mod_2_to_the_32(void)
{
    static const size_t widths[] = { 1, 2, 7, 12, 13, 16, 17, 31, 32, 33, 65 };
    fm_rng_seed state;
    fm_rng rng = seeded(&state, 12);
    size_t bad = 0;

    for (size_t o = 0; o < FM_TEST_COUNT(widths); o++)
        for (size_t k = 0; k < FM_TEST_COUNT(widths); k++)
            for (size_t pairs = 0; pairs <= 9; pairs += 3)
                bad += try_outer(&rng, pairs, widths[o], widths[k], (o + k) % 3 == 0);
    bad += try_outer(&rng, 300, 14, 40, false);
    bad += try_outer(&rng, 300, 26, 5, true);
    CU_ASSERT_EQUAL(bad, 0);
}

static void float_sums_add_the_rows_in_order(void)
{
    static const size_t widths[] = { 1, 6, 13, 16, 31, 32, 33, 64 };
    static float g[150 * 80], a[150 * 80], before[64 * 64];
    fm_rng_seed state;
    fm_rng rng = seeded(&state, 13);
    size_t bad = 0;

    for (size_t o = 0; o < FM_TEST_COUNT(widths); o++)
        for (size_t i = 0; i < FM_TEST_COUNT(widths); i++) {
            const size_t out = widths[o], in = widths[i], rows = 1 + (o * 29 + i * 17) % 150;
            guarded page;
            float *sum = guard(&page, out * in * sizeof *sum, 4);

            fill(&rng, g, rows * fm_row_stride(out));
            fill(&rng, a, rows * fm_row_stride(in));
            fill(&rng, before, out * in);
            EACH_LEVEL(level)
            {
                memcpy(sum, before, out * in * sizeof *sum);
                fm_kernel_outer_float(g, a, rows, out, in, 0.3f, sum);
                for (size_t e = 0; e < out * in; e++) {
                    float want = before[e];

                    for (size_t r = 0; r < rows; r++) {
                        const float x = g[r * fm_row_stride(out) + e / in];
                        volatile float y = 0.3f * a[r * fm_row_stride(in) + e % in];
                        volatile float part = x * y;

                        want = level > FM_LEVEL_PORTABLE ? fmaf(x, y, want) : want + part;
                    }
                    bad += memcmp(&want, &sum[e], sizeof want) != 0;
                }
            }
            unguard(&page);
        }
    CU_ASSERT_EQUAL(bad, 0);
}

static void dots_and_squares_agree_with_double_sums_and_among_levels(void)
{
    fm_rng_seed state;
    fm_rng rng = seeded(&state, 14);
    float a[112], b[112];

    for (size_t n = 0; n <= 100; n++) {
        double dot = 0.0, square = 0.0, size = 0.0, first_square = 0.0;
        float first_dot = 0.0f;

        fill(&rng, a, n);
        fill(&rng, b, n);
        for (size_t i = 0; i < n; i++) {
            dot += (double)a[i] * (double)b[i];
            size += fabs((double)a[i] * (double)b[i]);
            square += (double)a[i] * (double)a[i];
        }
        EACH_LEVEL(level)
        {
            const float have = fm_kernel_dot(a, b, n);
            double have_square = -1.0;

            fm_kernel_squares(a, 1, n, &have_square);
            CU_ASSERT_DOUBLE_EQUAL((double)have, dot, 1e-6 * size);
            CU_ASSERT_DOUBLE_EQUAL(have_square, square, 1e-14 * square);
            if (level == FM_LEVEL_PORTABLE) {
                first_dot = have;
                first_square = have_square;
            }
            CU_ASSERT_EQUAL(memcmp(&have, &first_dot, sizeof have), 0);
            CU_ASSERT_EQUAL(memcmp(&have_square, &first_square, sizeof have_square), 0);
        }
    }
}

/* Units in the last place between have and the true value. */
static double ulps(float have, double want)
{
    const float near = (float)want;

    return fabs((double)have - want) / (double)(nextafterf(near, INFINITY) - near);
}

static void exp_is_within_two_units_in_the_last_place(void)
{
    enum { N = 4001 };
    float *v = malloc(N * sizeof *v), *first = malloc(N * sizeof *v);
    double worst = 0.0;
    size_t differ = 0;

    CU_ASSERT_FATAL(v != NULL && first != NULL);
    for (int round = 0; round < 100; round++) {
        EACH_LEVEL(level)
        {
            for (int i = 0; i < N; i++)
                v[i] = 87.0f * (float)(2 * i - N + 1) / (float)(N - 1) *
                       (1.0f - (float)round / 101.0f);
            fm_kernel_exp(v, N);
            if (level == FM_LEVEL_PORTABLE)
                memcpy(first, v, N * sizeof *v);
            differ += memcmp(first, v, N * sizeof *v) != 0;
        }
        for (int i = 0; i < N; i++) {
            const float x =
                87.0f * (float)(2 * i - N + 1) / (float)(N - 1) * (1.0f - (float)round / 101.0f);

            worst = fmax(worst, ulps(first[i], exp((double)x)));
        }
    }
    printf("largest error %.3f units\n", worst);
    CU_ASSERT(worst <= 2.0);
    CU_ASSERT_EQUAL(differ, 0);
    free(first);
    free(v);
}

static void exp_of_special_values(void)
{
    static const float at[] = { 0.0f,   -0.0f, INFINITY, -INFINITY, 87.5f,
                                -87.5f, 3e38f, -3e38f,   1e-40f };
    static const float want[] = {
        1.0f, 1.0f, INFINITY, 0.0f, INFINITY, 0.0f, INFINITY, 0.0f, 1.0f
    };

    EACH_LEVEL(level)
    {
        float v[FM_TEST_COUNT(at) + 1];

        memcpy(v, at, sizeof at);
        v[FM_TEST_COUNT(at)] = NAN;
        fm_kernel_exp(v, FM_TEST_COUNT(v));
        CU_ASSERT_EQUAL(memcmp(v, want, sizeof want), 0);
        CU_ASSERT(isnan(v[FM_TEST_COUNT(at)]));
    }
}

static double true_act(fm_act kind, double v)
{
    const double s = 1.0 / (1.0 + exp(-v));

    if (kind == FM_ACT_RELU)
        return v > 0.0 ? v : 0.0;
    if (kind == FM_ACT_SILU)
        return v * s;
    return 0.5 * v * (1.0 + tanh(0.79788456080286536 * (v + 0.044715 * v * v * v)));
}

static void activations_and_slopes_agree_with_doubles_and_among_levels(void)
{
    enum { N = 2003 };
    float h[N], slope[N], first[2][N];

    for (fm_act kind = FM_ACT_RELU; kind <= FM_ACT_GELU; kind++)
        EACH_LEVEL(level)
        {
            double worst = 0.0;

            for (int i = 0; i < N; i++)
                h[i] = 0.02f * (float)(i - N / 2) + 0.001f;
            fm_kernel_activate(kind, h, slope, N);
            if (level == FM_LEVEL_PORTABLE) {
                memcpy(first[0], h, sizeof h);
                memcpy(first[1], slope, sizeof slope);
            }
            CU_ASSERT_EQUAL(memcmp(first[0], h, sizeof h), 0);
            CU_ASSERT_EQUAL(memcmp(first[1], slope, sizeof slope), 0);
            for (int i = 0; i < N; i++) {
                const double v = (double)(0.02f * (float)(i - N / 2) + 0.001f), e = 1e-5;
                const double d = (true_act(kind, v + e) - true_act(kind, v - e)) / (2.0 * e);

                worst = fmax(worst, fabs((double)h[i] - true_act(kind, v)) / (1.0 + fabs(v)));
                worst = fmax(worst, fabs((double)slope[i] - d));
            }
            CU_ASSERT(worst < 2e-6);
        }
}

static void activations_far_out(void)
{
    EACH_LEVEL(level)
    {
        for (fm_act kind = FM_ACT_RELU; kind <= FM_ACT_GELU; kind++) {
            float h[] = { 1e30f, -1e30f, NAN, 100.0f, -100.0f }, slope[5];

            fm_kernel_activate(kind, h, slope, 5);
            CU_ASSERT(h[0] == 1e30f && h[3] == 100.0f);
            CU_ASSERT(fabsf(h[1]) <= 1e-6f && fabsf(h[4]) <= 1e-6f);
            CU_ASSERT(isnan(h[2]));
            CU_ASSERT(slope[0] == 1.0f && slope[3] == 1.0f);
            CU_ASSERT(fabsf(slope[1]) <= 1e-6f && fabsf(slope[4]) <= 1e-6f);
        }
    }
}

static void add_scaled_rounds_product_and_sum(void)
{
    fm_rng_seed state;
    fm_rng rng = seeded(&state, 15);
    float x[50], y[50], before[50];

    fill(&rng, x, 50);
    fill(&rng, before, 50);
    EACH_LEVEL(level)
    {
        for (size_t n = 0; n < 50; n++) {
            memcpy(y, before, sizeof y);
            fm_kernel_add_scaled(y, 0.3f, x, n);
            for (size_t i = 0; i < 50; i++) {
                volatile float part = 0.3f * x[i];

                CU_ASSERT_EQUAL(y[i], i < n ? before[i] + part : before[i]);
            }
        }
    }
}

/* How fast it is, a test cannot know; that product and peak are measured alike, it can. */
static void a_machine_is_measured_at_every_level(void)
{
    EACH_LEVEL(level)
    {
        fm_compute_report r = { 0 };
        char line[320];

        CU_ASSERT_EQUAL(fm_compute_measure(&r), FM_OK);
        CU_ASSERT_STRING_EQUAL(r.level, fm_kernel_level_name(level));
        CU_ASSERT(r.float_gflops > 0.0 && r.integer_gops > 0.0 && isfinite(r.integer_gops));
        CU_ASSERT(r.peak_gflops > 0.0 && r.float_gflops < 4.0 * r.peak_gflops);
        CU_ASSERT_EQUAL(r.portable, level == FM_LEVEL_PORTABLE);
        fm_compute_format(&r, line, sizeof line);
        CU_ASSERT_PTR_NOT_NULL(strstr(line, r.level));
        CU_ASSERT_EQUAL(strstr(line, "SLOW") != NULL, r.portable);
    }
}

static const fm_test tests[] = {
    { "a machine is measured at every level", a_machine_is_measured_at_every_level },
    { "rows have the bits of the definition at every level",
      rows_have_the_bits_of_the_definition_at_every_level },
    { "a row depends on itself alone", a_row_depends_on_itself_alone },
    { "panels hold the matrix either way and zeros after it",
      panels_hold_the_matrix_either_way_and_zeros_after_it },
    { "rows become integers, clamped and without NaN",
      rows_become_integers_clamped_and_without_nan },
    { "squares of the largest integers are exact", squares_of_the_largest_integers_are_exact },
    { "integer sums are exact mod 2^32", integer_sums_are_exact_mod_2_to_the_32 },
    { "float sums add the rows in order", float_sums_add_the_rows_in_order },
    { "dots and squares agree with double sums, and among levels",
      dots_and_squares_agree_with_double_sums_and_among_levels },
    { "exp is within two units in the last place", exp_is_within_two_units_in_the_last_place },
    { "exp of special values", exp_of_special_values },
    { "activations and slopes agree with doubles, and among levels",
      activations_and_slopes_agree_with_doubles_and_among_levels },
    { "activations far out", activations_far_out },
    { "add_scaled rounds product and sum", add_scaled_rounds_product_and_sum },
};
const fm_test_suite suite_kernel = { "model.kernel", tests, FM_TEST_COUNT(tests) };
