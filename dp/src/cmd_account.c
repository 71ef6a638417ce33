/* fedmoe-dp epsilon and delta. */
#include <stdlib.h>

#include "cmd_internal.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/memory.h"
#include "fedmoe/dp/accountant.h"

#define MAX_MECHANISMS 1000

/* What epsilon and delta read from the command line. */
typedef struct {
    double z, q, target; /* target: the delta or the epsilon that is held fixed */
    uint64_t steps;
    const char *accountant;
    fm_dp_accountant_kind by;
    fm_cli_list mechanisms;
    bool json;
    fm_dp_mechanism *m;
    size_t count;
} question;

static fm_status read_mechanisms(question *a)
{
    void *p = NULL;
    fm_status st;

    if ((st = fm_dp_cmd_accountant(a->accountant, &a->by)) != FM_OK)
        return st;
    if (!(a->z > 0.0) && a->mechanisms.count == 0)
        return fm_fail(FM_EPARSE, "--noise-multiplier or --mechanism is required");
    if (!(a->z > 0.0) && (a->q < 1.0 || a->steps > 1))
        return fm_fail(FM_EPARSE, "--sampling-rate and --steps belong to --noise-multiplier; a "
                                  "--mechanism has its own: gaussian:z=1.1,q=0.01,steps=100");
    if (a->mechanisms.count > MAX_MECHANISMS)
        return fm_fail(FM_EPARSE, "at most %d of --mechanism", MAX_MECHANISMS);
    if ((st = fm_alloc(a->mechanisms.count + 1, sizeof *a->m, &p)) != FM_OK)
        return st;
    a->m = p;
    if (a->z > 0.0)
        a->m[a->count++] = (fm_dp_mechanism){ a->z, a->q, a->steps, FM_DP_GAUSSIAN, 0 };
    for (size_t i = 0; i < a->mechanisms.count; i++)
        if ((st = fm_dp_cmd_mechanism(a->mechanisms.items[i], &a->m[a->count++])) != FM_OK)
            return st;
    return FM_OK;
}

/* Both questions have the same options but one. */
static int ask(const fm_cli_option *fixed, const char *command, const char *summary,
               const char *examples, question *a, int argc, char **argv)
{
    const fm_cli_option options[] = {
        { .name = "noise-multiplier",
          .kind = FM_CLI_DOUBLE,
          .out = &a->z,
          .value = "Z",
          .help = "standard deviation of the noise over the clip norm",
          .lo = Z_LO,
          .hi = Z_HI },
        { .name = "sampling-rate",
          .kind = FM_CLI_DOUBLE,
          .out = &a->q,
          .value = "Q",
          .help = "probability with which a unit takes part in a step (default 1)",
          .lo = Q_LO,
          .hi = 1.0 },
        { .name = "steps",
          .kind = FM_CLI_U64,
          .out = &a->steps,
          .value = "N",
          .help = "number of releases: rounds, times local steps (default 1)",
          .lo = STEPS_LO,
          .hi = STEPS_HI },
        *fixed,
        { .name = "mechanism",
          .kind = FM_CLI_LIST,
          .out = &a->mechanisms,
          .value = "SPEC",
          .help = "one more mechanism: gaussian:z=1.1,q=0.01,steps=100, laplace:b=10,steps=5 or "
                  "discrete-gaussian:z=1,sensitivity=8" },
        { .name = "accountant",
          .kind = FM_CLI_STRING,
          .out = &a->accountant,
          .value = "NAME",
          .help = "pld (default, exact) or rdp (an upper bound)" },
        { .name = "json", .kind = FM_CLI_FLAG, .out = &a->json, .help = "print JSON" },
    };
    const fm_cli_spec spec = { .program = command,
                               .summary = summary,
                               .examples = examples,
                               .options = options,
                               .option_count = sizeof options / sizeof *options };
    int operands = 0, code;

    *a = (question){ .q = 1.0, .steps = 1, .accountant = "pld" };
    if (!fm_cli_begin(&spec, argc, argv, &operands, &code))
        return code;
    return fm_dp_cmd_finish(command, read_mechanisms(a)) == 0 ? -1 : 2;
}

static void question_fini(question *a)
{
    free(a->mechanisms.items);
    free(a->m);
}

int fm_dp_cmd_epsilon(int argc, char **argv)
{
    static const char command[] = "fedmoe-dp epsilon";
    question a = { 0 };
    const fm_cli_option fixed = { .name = "delta",
                                  .kind = FM_CLI_DOUBLE,
                                  .out = &a.target,
                                  .value = "D",
                                  .help = "delta of the guarantee",
                                  .required = true,
                                  .lo = DELTA_LO,
                                  .hi = DELTA_HI };
    fm_dp_cost cost;
    fm_status st;
    int code = ask(&fixed, command, "What a number of rounds costs, as epsilon at a given delta.",
                   "fedmoe-dp epsilon --noise-multiplier 1.1 --sampling-rate 0.01 --steps 1000 "
                   "--delta 1e-5 --json\n"
                   "fedmoe-dp epsilon --mechanism gaussian:z=1.1,q=0.01,steps=1000 "
                   "--mechanism laplace:b=10,steps=100 --delta 1e-5",
                   &a, argc, argv);

    if (code < 0) {
        if ((st = fm_dp_epsilon_by(a.by, a.m, a.count, a.target, &cost)) == FM_OK)
            st = fm_dp_cmd_print_cost(&cost, a.json);
        code = fm_dp_cmd_finish(command, st);
    }
    question_fini(&a);
    return code;
}

int fm_dp_cmd_delta(int argc, char **argv)
{
    static const char command[] = "fedmoe-dp delta";
    question a = { 0 };
    const fm_cli_option fixed = { .name = "epsilon",
                                  .kind = FM_CLI_DOUBLE,
                                  .out = &a.target,
                                  .value = "E",
                                  .help = "epsilon of the guarantee",
                                  .required = true,
                                  .lo = 0.0,
                                  .hi = EPSILON_HI };
    fm_dp_cost cost;
    fm_status st;
    int code = ask(&fixed, command, "What a number of rounds costs, as delta at a given epsilon.",
                   "fedmoe-dp delta --noise-multiplier 1.1 --sampling-rate 0.01 --steps 1000 "
                   "--epsilon 2 --json",
                   &a, argc, argv);

    if (code < 0) {
        if ((st = fm_dp_delta_by(a.by, a.m, a.count, a.target, &cost)) == FM_OK)
            st = fm_dp_cmd_print_cost(&cost, a.json);
        code = fm_dp_cmd_finish(command, st);
    }
    question_fini(&a);
    return code;
}
