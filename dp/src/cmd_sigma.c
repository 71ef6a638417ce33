/* fedmoe-dp sigma. */
#include <stdio.h>

#include "cmd_internal.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/json.h"

static fm_status print_sigma(fm_dp_accountant_kind by, double epsilon, double delta,
                             fm_dp_mechanism *m, bool json)
{
    fm_dp_cost cost;
    json_t *o;
    fm_status st = fm_dp_calibrate_mechanism(by, epsilon, delta, m);

    if (st == FM_OK)
        st = fm_dp_epsilon_by(by, m, 1, delta, &cost);
    if (st != FM_OK)
        return st;
    if (!json) {
        printf("noise multiplier %.6g (epsilon %.6g at delta %.6g after %llu steps)\n",
               fm_dp_cmd_shown(m->noise_multiplier), fm_dp_cmd_shown(cost.epsilon), delta,
               (unsigned long long)m->count);
        return FM_OK;
    }
    if (!(o = json_pack("{s:f, s:f, s:f, s:s}", "noise_multiplier", m->noise_multiplier, "epsilon",
                        cost.epsilon, "delta", delta, "accountant",
                        fm_dp_cmd_accountant_name(cost.accountant))))
        return fm_fail(FM_ENOMEM, "out of memory");
    st = fm_json_print(o);
    json_decref(o);
    return st;
}

int fm_dp_cmd_sigma(int argc, char **argv)
{
    double epsilon = 0.0, delta = 0.0;
    fm_dp_mechanism m = { .sampling_rate = 1.0, .count = 1 };
    fm_dp_accountant_kind by = FM_DP_PLD;
    const char *kind = "gaussian", *accountant = "pld";
    uint64_t sensitivity = 1;
    bool json = false;
    const fm_cli_option options[] = {
        { "epsilon", FM_CLI_DOUBLE, &epsilon, "E", "the budget", true, 1e-6, EPSILON_HI },
        { "delta", FM_CLI_DOUBLE, &delta, "D", "delta of the guarantee", true, DELTA_LO, DELTA_HI },
        { "sampling-rate", FM_CLI_DOUBLE, &m.sampling_rate, "Q",
          "probability with which a unit takes part in a step (default 1)", false, Q_LO, 1.0 },
        { "steps", FM_CLI_U64, &m.count, "N",
          "number of releases: rounds, times local steps (default 1)", false, STEPS_LO, STEPS_HI },
        { "kind", FM_CLI_STRING, &kind, "KIND",
          "gaussian (default), laplace (the answer is b) or discrete-gaussian", false, 0, 0 },
        { "sensitivity", FM_CLI_U64, &sensitivity, "N",
          "lattice steps, for discrete-gaussian (default 1)", false, 1.0, 4294967295.0 },
        { "accountant", FM_CLI_STRING, &accountant, "NAME",
          "pld (default, exact) or rdp (an upper bound)", false, 0, 0 },
        { "json", FM_CLI_FLAG, &json, NULL, "print JSON", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-dp sigma",
        .summary = "The smallest noise multiplier with which the rounds stay within a budget.",
        .examples = "fedmoe-dp sigma --epsilon 2 --delta 1e-5 --sampling-rate 0.05 --steps 300",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int operands = 0, code;
    fm_status st;

    if (!fm_cli_begin(&spec, argc, argv, &operands, &code))
        return code;
    if ((st = fm_dp_cmd_accountant(accountant, &by)) == FM_OK &&
        (st = fm_dp_cmd_kind(kind, &m.kind)) == FM_OK) {
        m.sensitivity = m.kind == FM_DP_DISCRETE_GAUSSIAN ? (uint32_t)sensitivity : 0;
        st = print_sigma(by, epsilon, delta, &m, json);
    }
    return fm_dp_cmd_finish(spec.program, st);
}
