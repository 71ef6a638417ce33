#include <math.h>

#include "tabular_internal.h"

static float sigmoid(float v)
{
    return 1.0f / (1.0f + expf(-v));
}

static void relu(float *h, float *slope, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        slope[i] = h[i] > 0.0f ? 1.0f : 0.0f;
        h[i] = h[i] < 0.0f ? 0.0f : h[i]; /* keeps a NaN */
    }
}

static void silu(float *h, float *slope, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float v = h[i], s = sigmoid(v);

        slope[i] = s * (1.0f + v * (1.0f - s));
        h[i] = v * s;
    }
}

/* The tanh form. Source: Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2. */
static void gelu(float *h, float *slope, size_t n)
{
    const float c = 0.7978845608f, d = 0.044715f; /* sqrt(2 / pi) */

    for (size_t i = 0; i < n; i++) {
        const float v = h[i], t = tanhf(c * (v + d * v * v * v));

        slope[i] = 0.5f * (1.0f + t) + 0.5f * v * (1.0f - t * t) * c * (1.0f + 3.0f * d * v * v);
        h[i] = 0.5f * v * (1.0f + t);
    }
}

void fm_activate(fm_activation kind, float *h, float *slope, size_t n)
{
    switch (kind) {
    case FM_ACTIVATION_RELU:
        relu(h, slope, n);
        break;
    case FM_ACTIVATION_SILU:
        silu(h, slope, n);
        break;
    case FM_ACTIVATION_GELU:
        gelu(h, slope, n);
        break;
    }
}
