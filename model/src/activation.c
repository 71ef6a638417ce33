/* The activations of a model's configuration; the functions themselves are elementwise kernels
 * (kernel_template.h), with the same bits on every machine. */
#include "fedmoe/model/kernel.h"
#include "tabular_internal.h"

void fm_activate(fm_activation kind, float *h, float *slope, size_t n)
{
    static const fm_act acts[] = {
        [FM_ACTIVATION_RELU] = FM_ACT_RELU,
        [FM_ACTIVATION_SILU] = FM_ACT_SILU,
        [FM_ACTIVATION_GELU] = FM_ACT_GELU,
    };

    fm_kernel_activate(acts[kind], h, slope, n);
}
