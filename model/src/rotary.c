#include "fedmoe/model/rotary.h"

#include <math.h>

void fm_rotary_carve(fm_carver *c, size_t positions, size_t rotary, fm_rotary *r)
{
    r->pairs = rotary / 2;
    r->positions = positions;
    r->cosine = fm_carve_floats(c, positions, r->pairs);
    r->sine = fm_carve_floats(c, positions, r->pairs);
}

/* The pair whose wave turns `turns` times over the context that the model was made for. */
static double pair_of(const fm_decoder_rope *r, double pairs, double turns)
{
    return pairs * log(r->original_context / (turns * 2.0 * 3.14159265358979323846)) /
           log(r->theta);
}

/* How much of pair i's frequency is divided by the factor: 0 for fast waves, 1 for slow ones. */
static double slowed(const fm_decoder_rope *r, size_t pairs, size_t i)
{
    double low = pair_of(r, (double)pairs, r->beta_fast);
    double high = pair_of(r, (double)pairs, r->beta_slow), ramp;

    if (r->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0.0);
    high = fmin(high, 2.0 * (double)pairs - 1.0);
    if (low == high)
        high += 0.001;
    ramp = ((double)i - low) / (high - low);
    return ramp < 0.0 ? 0.0 : ramp > 1.0 ? 1.0 : ramp;
}

/* Frequencies and angles are rounded to float32, as where such models were trained. */
static float frequency(const fm_decoder_rope *r, size_t pairs, size_t i)
{
    const float power = powf((float)r->theta, (float)(2 * i) / (float)(2 * pairs)),
                plain = 1.0f / power;
    float slow, share;

    if (!(r->factor > 1.0))
        return plain;
    slow = 1.0f / ((float)r->factor * power);
    share = (float)slowed(r, pairs, i);
    return slow * share + plain * (1.0f - share);
}

void fm_rotary_fill(fm_rotary *r, const fm_decoder_rope *rope)
{
    const float factor = (float)rope->attention_factor;

    r->interleaved = rope->interleaved;
    for (size_t i = 0; i < r->pairs; i++) {
        const float f = frequency(rope, r->pairs, i);

        for (size_t p = 0; p < r->positions; p++) {
            const float angle = (float)p * f;

            r->cosine[p * r->pairs + i] = (float)cos((double)angle) * factor;
            r->sine[p * r->pairs + i] = (float)sin((double)angle) * factor;
        }
    }
}

static void turn(const fm_rotary *r, size_t position, float sign, const float *x, float *y)
{
    const float *c = r->cosine + position * r->pairs, *s = r->sine + position * r->pairs;
    const size_t step = r->interleaved ? 2 : 1, other = r->interleaved ? 1 : r->pairs;

    for (size_t i = 0; i < r->pairs; i++) {
        const float a = x[i * step], b = x[i * step + other];

        y[i * step] = a * c[i] - sign * (b * s[i]);
        y[i * step + other] = b * c[i] + sign * (a * s[i]);
    }
}

void fm_rotary_turn(const fm_rotary *r, size_t position, const float *x, float *y)
{
    turn(r, position, 1.0f, x, y);
}

void fm_rotary_back(const fm_rotary *r, size_t position, const float *gy, float *gx)
{
    turn(r, position, -1.0f, gy, gx);
}
