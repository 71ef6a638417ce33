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
        { .name = "epsilon",
          .kind = FM_CLI_DOUBLE,
          .out = &epsilon,
          .value = "E",
          .help = "the budget",
          .required = true,
          .lo = 1e-6,
          .hi = EPSILON_HI },
        { .name = "delta",
          .kind = FM_CLI_DOUBLE,
          .out = &delta,
          .value = "D",
          .help = "delta of the guarantee",
          .required = true,
          .lo = DELTA_LO,
          .hi = DELTA_HI },
        { .name = "sampling-rate",
          .kind = FM_CLI_DOUBLE,
          .out = &m.sampling_rate,
          .value = "Q",
          .help = "probability with which a unit takes part in a step (default 1)",
          .lo = Q_LO,
          .hi = 1.0 },
        { .name = "steps",
          .kind = FM_CLI_U64,
          .out = &m.count,
          .value = "N",
          .help = "number of releases (default 1)",
          .lo = STEPS_LO,
          .hi = STEPS_HI },
        { .name = "kind",
          .kind = FM_CLI_STRING,
          .out = &kind,
          .value = "KIND",
          .help = "gaussian (default), laplace (the answer is b) or discrete-gaussian" },
        { .name = "sensitivity",
          .kind = FM_CLI_U64,
          .out = &sensitivity,
          .value = "N",
          .help = "lattice steps, for discrete-gaussian (default 1)",
          .lo = 1.0,
          .hi = 4294967295.0 },
        { .name = "accountant",
          .kind = FM_CLI_STRING,
          .out = &accountant,
          .value = "NAME",
          .help = "pld (default, exact) or rdp (an upper bound)" },
        { .name = "json", .kind = FM_CLI_FLAG, .out = &json, .help = "print JSON" },
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
