/* The lattices of plans: what plans.json has of each, and of more figures. */
#include "vec.h"
#include "vec_plan.h"

json_t *vec_lattice(const fm_dp_lattice *l)
{
    return json_pack("{s:i,s:i,s:f,s:f,s:f}", "e", l->scale_log2, "finer", (int)l->shift, "delta",
                     l->sensitivity, "sigma", l->sigma_counted, "share", l->sigma_share);
}

/* Lattices of more figures than the plans above have: docs/protocol.md, section 11.1. */
static const fm_dp_lattice_spec specs[] = {
    { .clip_norm = 1.0, .noise_multiplier = 1.0, .max_units = 400, .nodes = 3, .quorum = 3 },
    { .clip_norm = 1.0, .noise_multiplier = 1.0, .max_units = 10000, .nodes = 3, .quorum = 3 },
    { .clip_norm = 1.0, .noise_multiplier = 1.0, .max_units = 1 << 20, .nodes = 3, .quorum = 3 },
    { .clip_norm = 0.3,
      .noise_multiplier = 2.5,
      .max_units = 50000,
      .nodes = 5,
      .quorum = 5,
      .colluders = 4 },
    { .clip_norm = 0.3,
      .noise_multiplier = 2.5,
      .max_units = 500,
      .nodes = 5,
      .quorum = 4,
      .local = true },
    { .clip_norm = 0.3,
      .noise_multiplier = 2.5,
      .max_units = 500,
      .nodes = 5,
      .quorum = 4,
      .local = true,
      .steps = 4 },
    { .clip_norm = 1.0,
      .noise_multiplier = 20.0,
      .max_units = 100000,
      .nodes = 100,
      .quorum = 60,
      .local = true,
      .steps = 64 },
    { .clip_norm = 1.0,
      .noise_multiplier = 1.0,
      .max_units = 400,
      .nodes = 5,
      .quorum = 4,
      .colluders = 1 },
    { .clip_norm = 1.0,
      .noise_multiplier = 1.0,
      .max_units = 1200,
      .nodes = 5,
      .quorum = 4,
      .colluders = 1 },
    { .clip_norm = 0.7,
      .noise_multiplier = 45.0,
      .max_units = 2000,
      .nodes = 4,
      .quorum = 3,
      .colluders = 1 },
    { .clip_norm = 1.0,
      .noise_multiplier = 20.0,
      .max_units = 100000,
      .nodes = 100,
      .quorum = 60,
      .colluders = 10 },
    { .clip_norm = 1.0, .noise_multiplier = 1.0, .max_units = 235, .nodes = 100, .quorum = 51 },
    { .clip_norm = 1.0, .noise_multiplier = 1.0, .max_units = 236, .nodes = 100, .quorum = 51 },
    { .clip_norm = 1.0,
      .noise_multiplier = 1.0,
      .max_units = 100,
      .nodes = 120,
      .quorum = 80,
      .colluders = 7 },
    { .clip_norm = 1.0,
      .noise_multiplier = 1.0,
      .max_units = 100,
      .nodes = 120,
      .quorum = 80,
      .colluders = 6 },
    { .clip_norm = 1e-6, .noise_multiplier = 0.5, .max_units = 1, .nodes = 2, .quorum = 2 },
    { .clip_norm = 1e6, .noise_multiplier = 1.0, .max_units = 100, .nodes = 2, .quorum = 2 },
    { .clip_norm = 1.0, .noise_multiplier = 0.0, .max_units = 1000, .nodes = 3, .quorum = 3 },
    { .clip_norm = 1.0, .noise_multiplier = 1e6, .max_units = 100, .nodes = 3, .quorum = 3 },
    { .clip_norm = 1.0, .noise_multiplier = 1.0, .max_units = 1 << 24, .nodes = 3, .quorum = 3 },
    { .clip_norm = 1.0, .noise_multiplier = 1e-4, .max_units = 4000000, .nodes = 3, .quorum = 3 },
    { .clip_norm = 1.0, .noise_multiplier = 0.1, .max_units = 2000000, .nodes = 3, .quorum = 3 },
};
#define SPECS (sizeof specs / sizeof specs[0])

void vec_put_lattices(json_t *list)
{
    for (size_t i = 0; i < 6 * SPECS; i++) {
        fm_dp_lattice_spec spec = specs[i / 6];
        fm_dp_lattice l;
        json_t *j;

        spec.encoding = i % 2 ? FM_DP_FAST : FM_DP_EXACT;
        spec.word_bits = 16 + 8 * (unsigned)(i / 2 % 3);
        j = json_pack("{s:f,s:f,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i}", "clip_norm", spec.clip_norm,
                      "noise_multiplier", spec.noise_multiplier, "max_nodes", (int)spec.nodes,
                      "quorum", (int)spec.quorum, "colluders", (int)spec.colluders, "max_units",
                      (int)spec.max_units, "noise", spec.local ? 2 : 1, "encoding", i % 2 ? 2 : 1,
                      "word_bits", (int)spec.word_bits, "local_steps", (int)spec.steps);
        json_object_set_new(j, "lattice",
                            fm_dp_lattice_make(&spec, &l) == FM_OK ? vec_lattice(&l) : json_null());
        json_array_append_new(list, j);
    }
}
