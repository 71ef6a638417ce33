/*
 * The functions of kernel.h that have no fused multiply-add, for one level of instructions: see
 * kernel_template.h, which includes this. A kernel: exempt from the size rule.
 */

/* where ? a : b, lane by lane; `where` is 0 or -1. */
INLINE vf choose(vi where, vf a, vf b)
{
    return (vf)((where & (vi)a) | (~where & (vi)b));
}

/* Sums over k are kept in SUM_LANES partial sums, of k mod SUM_LANES, whatever the registers. */
#define SUM_LANES 16
#define SUM_VECTORS (SUM_LANES / LANES)

/* n < SUM_LANES floats, then zeros. */
INLINE void load_tail(float *to, const float *from, size_t n)
{
    for (size_t l = 0; l < SUM_LANES; l += LANES)
        store(to + l, n >= l + LANES ? load(from + l) : load_part(from + l, n > l ? n - l : 0));
}

TARGET static float level_dot(const float *a, const float *b, size_t n)
{
    vf sum[SUM_VECTORS] = { 0 };
    float lane[SUM_LANES], tail[2][SUM_LANES];
    size_t k = 0;

    for (; n - k >= SUM_LANES; k += SUM_LANES)
        for (size_t v = 0; v < SUM_VECTORS; v++)
            sum[v] += load(a + k + v * LANES) * load(b + k + v * LANES);
    if (k < n) {
        load_tail(tail[0], a + k, n - k);
        load_tail(tail[1], b + k, n - k);
        for (size_t v = 0; v < SUM_VECTORS; v++)
            sum[v] += load(tail[0] + v * LANES) * load(tail[1] + v * LANES);
    }
    memcpy(lane, sum, sizeof lane);
    for (size_t half = SUM_LANES / 2; half; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

INLINE void add_double_squares(vd sum[2 * SUM_VECTORS], const float *a)
{
    for (size_t v = 0; v < 2 * SUM_VECTORS; v++) {
        vh half;
        vd x;

        memcpy(&half, a + v * (LANES / 2), sizeof half);
        x = __builtin_convertvector(half, vd);
        sum[v] += x * x;
    }
}

TARGET static double row_square(const float *a, size_t n)
{
    vd sum[2 * SUM_VECTORS] = { 0 };
    double lane[SUM_LANES];
    float tail[SUM_LANES];
    size_t k = 0;

    for (; n - k >= SUM_LANES; k += SUM_LANES)
        add_double_squares(sum, a + k);
    if (k < n) {
        load_tail(tail, a + k, n - k);
        add_double_squares(sum, tail);
    }
    memcpy(lane, sum, sizeof lane);
    for (size_t half = SUM_LANES / 2; half; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

TARGET static void level_squares(const float *a, size_t rows, size_t n, double *squares)
{
    for (size_t i = 0; i < rows; i++)
        squares[i] = row_square(a + i * fm_row_stride(n), n);
}

TARGET static void level_add_scaled(float *y, float scale, const float *x, size_t n)
{
    size_t k = 0;

    for (; n - k >= LANES; k += LANES)
        store(y + k, load(y + k) + scale * load(x + k));
    for (; k < n; k++)
        y[k] += scale * x[k];
}

/*
 * x = n ln 2 + r, |r| <= 0.3466; ln 2 in two parts, the first with so few digits that n times it
 * is exact. exp(r) = 1 + r + r^2 q(r), q the polynomial of degree 4 through the function at the
 * zeros of Chebyshev's polynomial of degree 5: 1.1e-8 off, relative, with the coefficients rounded.
 * With the roundings of the last two steps, less than 1 unit in the last place in all.
 */
INLINE vf exp_vector(vf x)
{
    const vf magic = all(0x1.8p23f);
    const vf shifted = x * 1.44269504f + magic, n = shifted - magic;
    const vf r = (x - n * 0.693145752f) - n * 1.42860677e-6f;
    const vf q = 0.5f + r * (0x1.5554dcp-3f +
                             r * (0x1.55551ap-5f + r * (0x1.120b7ep-7f + r * 0x1.6d1118p-10f)));
    const vu power = ((vu)shifted - (vu)magic + 127) << 23;
    vf y = (1.0f + (r + r * r * q)) * (vf)power;

    y = choose(x > all(87.0f), all(__builtin_inff()), y);
    return choose(x < all(-87.0f), (vf){ 0 }, y);
}

INLINE vf sigmoid(vf x)
{
    return 1.0f / (1.0f + exp_vector(-x));
}

INLINE void relu(vf *h, vf *slope)
{
    const vi positive = *h > (vf){ 0 }, negative = *h < (vf){ 0 };

    *slope = (vf)((vi)all(1.0f) & positive);
    *h = (vf)((vi)*h & ~negative); /* keeps a NaN */
}

INLINE void silu(vf *h, vf *slope)
{
    const vf v = *h, s = sigmoid(v);

    *slope = s * (1.0f + v * (1.0f - s));
    *h = v * s;
}

/* The tanh form, (1 + tanh u) / 2 being sigmoid(2u). Beyond 16 it is v or 0 to the last place, and
 * no power of v there may overflow.
 * Source: Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2. */
INLINE void gelu(vf *h, vf *slope)
{
    const float c = 1.5957691216f, d = 0.044715f; /* 2 sqrt(2 / pi) */
    const vf most = all(16.0f);
    vf v = choose(*h > most, most, *h), s;

    v = choose(v < -most, -most, v);
    s = sigmoid(c * (v + d * v * v * v));
    *slope = s + v * s * (1.0f - s) * c * (1.0f + 3.0f * d * v * v);
    *h = *h * s;
}

#define EACH_VECTOR(step)                    \
    do {                                     \
        size_t i = 0;                        \
        vf x, y;                             \
                                             \
        for (; n - i >= LANES; i += LANES) { \
            x = load(h + i);                 \
            step(&x, &y);                    \
            store(h + i, x);                 \
            store(slope + i, y);             \
        }                                    \
        if (i < n) {                         \
            x = load_part(h + i, n - i);     \
            step(&x, &y);                    \
            store_part(h + i, x, n - i);     \
            store_part(slope + i, y, n - i); \
        }                                    \
    } while (0)

TARGET static void level_activate(fm_act kind, float *h, float *slope, size_t n)
{
    switch (kind) {
    case FM_ACT_RELU:
        EACH_VECTOR(relu);
        break;
    case FM_ACT_SILU:
        EACH_VECTOR(silu);
        break;
    case FM_ACT_GELU:
        EACH_VECTOR(gelu);
        break;
    }
}

TARGET static void level_exp(float *v, size_t n)
{
    size_t i = 0;

    for (; n - i >= LANES; i += LANES)
        store(v + i, exp_vector(load(v + i)));
    if (i < n)
        store_part(v + i, exp_vector(load_part(v + i, n - i)), n - i);
}
