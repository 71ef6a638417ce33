#include "decoder_world.h"

#include <math.h>

#include "fm_test.h"

bool world_begin(world *w, const char *name, unsigned train, bool adapted, bool train_a)
{
    const fm_decoder_options o = { .max_tokens = ROWS,
                                   .train = train,
                                   .adapters = { .rank = adapted ? 4 : 0,
                                                 .alpha = 8.0,
                                                 .maps = FM_ADAPT_ALL,
                                                 .train_a = train_a } };
    const fm_tensor_view *ids;

    if (!decoder_fixture_load(name, &w->f))
        return false;
    CU_ASSERT_EQUAL_FATAL(fm_decoder_new(&w->f.config, &o, &w->d), FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_set(w->d, w->f.theta, w->f.layout.parameters), FM_OK);
    ids = fm_safetensors_find(w->f.ref, "input_ids");
    CU_ASSERT_EQUAL_FATAL(ids->bytes, ROWS * sizeof(int64_t));
    for (size_t i = 0; i < ROWS; i++)
        w->tokens[i] = (uint32_t)fm_get_u64le(ids->data + 8 * i);
    for (size_t s = 0; s < SEQUENCES; s++)
        w->ends[s] = (uint32_t)((s + 1) * LENGTH);
    w->batch = (fm_decoder_batch){ .tokens = w->tokens, .ends = w->ends, .sequences = SEQUENCES };
    return true;
}

void world_end(world *w)
{
    fm_decoder_free(&w->d);
    decoder_fixture_free(&w->f);
}

double world_farthest(const float *a, const float *b, size_t n)
{
    double most = 0.0;

    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= most))
            most = fabs((double)a[i] - (double)b[i]);
    return most;
}

double world_distance(const float *mine, const float *want, size_t n, double share)
{
    double square = 0.0, off = 0.0, most = 0.0, worst = 0.0;

    for (size_t i = 0; i < n; i++) {
        square += (double)want[i] * (double)want[i];
        off += ((double)mine[i] - (double)want[i]) * ((double)mine[i] - (double)want[i]);
        most = fmax(most, fabs((double)want[i]));
    }
    for (size_t i = 0; i < n; i++)
        worst = fmax(worst, fabs((double)mine[i] - (double)want[i]) /
                                (fabs((double)want[i]) + share * most));
    if (most == 0.0)
        return sqrt(off);
    return fmax(worst, sqrt(off / square));
}
