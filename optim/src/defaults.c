#include "fedmoe/optim/defaults.h"

void fm_training_defaults(const fm_training_case *c, fm_training *out)
{
    (void)c;
    *out = (fm_training){ .clip_norm = 1.0,
                          .sampling_rate = 1.0,
                          .rounds = 40,
                          .rule = FM_OPTIM_ADAM,
                          .learning_rate = 0.05,
                          .momentum = 0.9,
                          .beta2 = 0.999,
                          .adam_epsilon = 1e-3,
                          .averaging = 0.5,
                          .schedule = FM_OPTIM_CONSTANT,
                          .warmup = 0.0,
                          .final_rate = 0.0 };
}
