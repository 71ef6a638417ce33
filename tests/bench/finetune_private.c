/*
 * What adapters gain of what a training of all weights gains when each record is private: the rounds
 * of a federation of four nodes on the same machine, the noise being what such a federation leaves.
 */
#include "finetune_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "fedmoe/train/run.h"

/* The nodes, and how many of them the noise is made to withstand. */
#define NODES 4.0
#define COLLUDERS 1.0

/* The sum of four nodes' noise after surplus went: each leaves 1 / (nodes - colluders) of the
 * variance that the guarantee counts (docs/privacy.md, section 3). */
static const double left = NODES / (NODES - COLLUDERS);

double bench_private_loss(fm_decoder *d, const bench_private *p, const fm_corpus *train,
                          const fm_corpus *test)
{
    const fm_training_case given = { .units = (double)train->sequences, .delta = 1e-5 };
    fm_training t;
    double spent = 0.0;
    fm_rng rng = fm_rng_system();
    fm_train_run_spec spec = { .learner = fm_learner_decoder(d, train),
                               .training = &t,
                               .units = (double)train->sequences,
                               .max_units = (uint32_t)train->sequences,
                               .unit_rows = 1,
                               .encoding = FM_DP_FAST,
                               .threads = p->threads,
                               .rng = &rng };
    float *weights;
    size_t n;

    fm_training_text_defaults(&given, &t);
    t.rounds = p->rounds ? p->rounds : t.rounds;
    t.sampling_rate = p->sampling_rate > 0.0 ? p->sampling_rate : t.sampling_rate;
    t.learning_rate = p->learning_rate > 0.0 ? p->learning_rate : t.learning_rate;
    t.clip_norm = p->clip_norm > 0.0 ? p->clip_norm : t.clip_norm;
    bench_need(fm_train_calibrate(&t, p->epsilon, given.delta, &spec.noise_multiplier, &spent));
    spec.noise_multiplier *= sqrt(left);
    bench_need(fm_train_run_length(&spec, &n));
    weights = calloc(n, sizeof *weights);
    bench_need(fm_learner_decoder_get(&spec.learner, weights, n));
    spec.weights = weights;
    bench_need(fm_train_run(&spec, weights, n, NULL));
    bench_need(fm_learner_decoder_set(&spec.learner, weights, n));
    free(weights);
    return bench_loss(d, test);
}
