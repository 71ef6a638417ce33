#include "fedmoe/optim/defaults.h"

void fm_training_defaults(const fm_training_case *c, fm_training *out)
{
    (void)c;
    *out = (fm_training){ .clip_norm = 0.5,
                          .sampling_rate = 1.0,
                          .rounds = 200,
                          .rule = FM_OPTIM_ADAM,
                          .learning_rate = 0.12,
                          .momentum = 0.9,
                          .beta2 = 0.9,
                          .adam_epsilon = 1e-8,
                          .averaging = 0.25,
                          .schedule = FM_OPTIM_COSINE,
                          .warmup = 0.0,
                          .final_rate = 0.0 };
}
