#include "fedmoe/demo/simulate.h"

#include "fedmoe/dp/accountant.h"

fm_status fm_simulate_alone(const fm_plan *plan, const float *initial, const fm_table *table,
                            fm_rng rng, float *result)
{
    fm_plan alone = *plan; /* borrows the texts */
    fm_simulation s = {
        .plan = &alone, .initial = initial, .tables = table, .nodes = 1, .rng = rng
    };
    fm_status st;

    /* The whole noise is its own: no shares, nobody to collude. */
    alone.max_nodes = alone.min_cohort = alone.quorum = 1;
    alone.colluders = 0;
    alone.word_bits = 32;
    alone.mask_density = FM_PLAN_DENSITY_ALL;
    alone.expected_units = (double)table->rows;
    if (plan->noise_multiplier > 0.0 &&
        (st = fm_dp_calibrate(plan->epsilon * (1.0 - FM_DP_TIGHTNESS), plan->delta,
                              plan->sampling_rate, plan->rounds, &alone.noise_multiplier)) != FM_OK)
        return st;
    return fm_simulate(&s, result);
}
