/* Levels of noise and what of them is surplus; integers from seeds. */
#include <stdlib.h>

#include "fedmoe/dp/noise.h"
#include "shares_internal.h"
#include "vec.h"

static const struct {
    double sigma; /* counted, lattice steps */
    uint32_t participants, quorum, colluders;
    bool local;
} splits[] = {
    { 36.0, 6, 4, 1, false },   { 46.0, 22, 18, 1, false },      { 46.0, 22, 19, 1, false },
    { 4096.0, 6, 4, 1, false }, { 1e6, 3, 2, 0, false },         { 1e6, 3, 3, 1, false },
    { 1e6, 3, 2, 0, true },     { 12345.678, 40, 21, 1, false }, { 600.0, 200, 120, 20, false },
    { 22.0, 5, 3, 0, false },   { 0.0, 5, 3, 0, false },
};

static json_t *split_json(size_t i)
{
    const fm_dp_lattice lattice = { .sigma_counted = splits[i].sigma,
                                    .nodes = splits[i].participants,
                                    .quorum = splits[i].quorum,
                                    .colluders = splits[i].colluders,
                                    .local = splits[i].local };
    const fm_dp_levels l = fm_dp_levels_of(&lattice, splits[i].participants);
    json_t *levels = json_array(), *surplus = json_array();

    for (uint32_t k = 0; k < l.count; k++)
        json_array_append_new(
            levels, json_pack("{s:i,s:f}", "losses", (int)l.losses[k], "sigma", l.sigma[k]));
    for (uint32_t u = splits[i].quorum; u <= splits[i].participants; u++)
        json_array_append_new(surplus, json_pack("{s:i,s:i}", "survivors", (int)u, "seeds",
                                                 (int)(l.count - fm_dp_levels_kept(&l, u))));
    return json_pack("{s:f,s:i,s:i,s:i,s:b,s:o,s:o}", "sigma", splits[i].sigma, "participants",
                     (int)splits[i].participants, "quorum", (int)splits[i].quorum, "colluders",
                     (int)splits[i].colluders, "local", (int)splits[i].local, "levels", levels,
                     "surplus", surplus);
}

#define FEW 40u /* integers printed */

static json_t *sample_json(double sigma, unsigned first, size_t far)
{
    const fm_hash seed = vec_count(first);
    fm_dp_gaussian *g = NULL;
    int64_t *x = calloc(far + 1, sizeof *x);
    json_t *head = json_array(), *j;

    vec_need(x != NULL && fm_dp_gaussian_new(sigma, &g) == FM_OK, "noise");
    vec_need(fm_dp_gaussian_expand64(g, seed.bytes, x, far + 1) == FM_OK, "noise");
    for (size_t i = 0; i < FEW; i++)
        json_array_append_new(head, json_integer(x[i]));
    j = json_pack("{s:f,s:o,s:o,s:I,s:I}", "sigma", sigma, "seed", vec_hash(&seed), "first", head,
                  "at", (json_int_t)far, "value", (json_int_t)x[far]);
    fm_dp_gaussian_free(&g);
    free(x);
    return j;
}

json_t *vec_noise(void)
{
    static const struct {
        double sigma;
        unsigned first;
        size_t far;
    } samples[] = { { 2.5, 0, 5000 },       { 10.0, 0, 5000 },        { 1234.5, 0, 5000 },
                    { 1048576.0, 0, 4096 }, { 16.0997, 7, 2047 },     { 41.5, 8, 3000 },
                    { 98302.5, 9, 2048 },   { 67108863.0, 10, 1500 }, { 1e15, 11, 1500 } };
    json_t *levels = json_array(), *integers = json_array();

    for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++)
        json_array_append_new(levels, split_json(i));
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++)
        json_array_append_new(integers,
                              sample_json(samples[i].sigma, samples[i].first, samples[i].far));
    return json_pack("{s:o,s:o}", "levels", levels, "integers", integers);
}
