/*
 * What a decoder does element by element, for one level of instructions: see kernel_template.h,
 * which includes this. No fused multiply-add; sums in SUM_LANES parts. A kernel: exempt from the
 * size rule.
 */

/* The sum of a block's SUM_LANES parts. */
INLINE float sum_parts(const vf *sum)
{
    float lane[SUM_LANES];

    memcpy(lane, sum, sizeof lane);
    for (size_t half = SUM_LANES / 2; half; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

/* n <= LANES floats, zeros for the rest; and only those back. */
INLINE vf load_some(const float *p, size_t n)
{
    return n == LANES ? load(p) : load_part(p, n);
}

INLINE void store_some(float *p, vf v, size_t n)
{
    if (n == LANES)
        store(p, v);
    else
        store_part(p, v, n);
}

/* The statement for each vector of n floats: m of them at i, v the part of the sum they belong to. */
#define EACH_PART(statement)                                            \
    do {                                                                \
        size_t i = 0, v = 0;                                            \
                                                                        \
        for (; n - i >= LANES; i += LANES, v = (v + 1) % SUM_VECTORS) { \
            const size_t m = LANES;                                     \
                                                                        \
            statement;                                                  \
            (void)v;                                                    \
        }                                                               \
        if (i < n) {                                                    \
            const size_t m = n - i;                                     \
                                                                        \
            statement;                                                  \
            (void)v;                                                    \
        }                                                               \
    } while (0)

TARGET static float level_most(const float *a, size_t n)
{
    vf most = all(-__builtin_inff());
    float lane[LANES];
    size_t i = 0;

    for (; n - i >= LANES; i += LANES) {
        const vf x = load(a + i);

        most = choose(x > most, x, most);
    }
    memcpy(lane, &most, sizeof lane);
    for (; i < n; i++)
        lane[0] = a[i] > lane[0] ? a[i] : lane[0];
    for (size_t l = 1; l < LANES; l++)
        lane[0] = lane[l] > lane[0] ? lane[l] : lane[0];
    return lane[0];
}

/* Lanes past n count nothing. */
INLINE void exp_part(float *a, size_t m, float less, vf *sum)
{
    vf e = exp_vector(load_some(a, m) - less);
    float kept[LANES] = { 0 };

    store_some(a, e, m);
    if (m < LANES) {
        memcpy(kept, a, m * sizeof *a);
        e = load(kept);
    }
    *sum += e;
}

TARGET static float level_exp_sum(float *a, size_t n, float less)
{
    vf sum[SUM_VECTORS] = { 0 };

    EACH_PART(exp_part(a + i, m, less, &sum[v]));
    return sum_parts(sum);
}

TARGET static void level_scale(float *y, float scale, size_t n)
{
    EACH_PART(store_some(y + i, load_some(y + i, m) * scale, m));
}

TARGET static void level_gain(float *y, const float *x, float scale, const float *w, size_t n)
{
    EACH_PART(store_some(y + i, load_some(w + i, m) * (load_some(x + i, m) * scale), m));
}

TARGET static float level_dot3(const float *a, const float *b, const float *c, size_t n)
{
    vf sum[SUM_VECTORS] = { 0 };

    EACH_PART(sum[v] += load_some(a + i, m) * load_some(b + i, m) * load_some(c + i, m));
    return sum_parts(sum);
}

TARGET static void level_gain_back(float *gx, const float *g, const float *w, float scale,
                                   const float *x, float along, size_t n)
{
    EACH_PART(
        store_some(gx + i,
                   load_some(gx + i, m) + (scale * (load_some(w + i, m) * load_some(g + i, m)) +
                                           along * load_some(x + i, m)),
                   m));
}

TARGET static void level_add_product(float *y, float scale, const float *a, const float *b,
                                     size_t n)
{
    EACH_PART(store_some(
        y + i, load_some(y + i, m) + scale * (load_some(a + i, m) * load_some(b + i, m)), m));
}

INLINE void swiglu_part(float *h, const float *gate, const float *up, float scale, size_t m)
{
    vf s = load_some(gate, m), slope;

    silu(&s, &slope);
    store_some(h, scale * (s * load_some(up, m)), m);
}

TARGET static void level_swiglu(float *h, const float *gate, const float *up, float scale, size_t n)
{
    EACH_PART(swiglu_part(h + i, gate + i, up + i, scale, m));
}

INLINE vf swiglu_back_part(const float *g, const float *gate, const float *up, float scale,
                           float *ggate, float *gup, size_t m)
{
    const vf gh = load_some(g, m), u = load_some(up, m);
    vf s = load_some(gate, m), slope;

    silu(&s, &slope);
    store_some(ggate, scale * gh * u * slope, m);
    store_some(gup, scale * gh * s, m);
    return gh * (s * u);
}

TARGET static float level_swiglu_back(const float *g, const float *gate, const float *up,
                                      float scale, float *ggate, float *gup, size_t n)
{
    vf sum[SUM_VECTORS] = { 0 };

    EACH_PART(sum[v] += swiglu_back_part(g + i, gate + i, up + i, scale, ggate + i, gup + i, m));
    return sum_parts(sum);
}

TARGET static void level_score_back(float *g, const float *p, float less, size_t n)
{
    EACH_PART(store_some(g + i, load_some(p + i, m) * (load_some(g + i, m) - less), m));
}
