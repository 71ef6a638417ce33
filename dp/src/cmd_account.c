/* fedmoe-dp epsilon, delta, sigma. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_internal.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/memory.h"
#include "fedmoe/base/text.h"
#include "fedmoe/dp/accountant.h"

#define MAX_MECHANISMS 1000
#define Z_LO 1e-6
#define Z_HI 1e12
#define Q_LO 1e-18
#define STEPS_LO 1.0
#define STEPS_HI 1e18
#define DELTA_LO 1e-300
#define DELTA_HI 0.999999
#define EPSILON_HI 1e6

/* What epsilon and delta read from the command line. */
typedef struct {
    double z, q, target; /* target: the delta or the epsilon that is held fixed */
    uint64_t steps;
    const char *accountant;
    fm_cli_list mechanisms;
    bool json;
    fm_dp_mechanism *m;
    size_t count;
} question;

/* One "key=number" of a mechanism. */
static bool read_pair(const char *text, size_t len, fm_dp_mechanism *m)
{
    char buf[64], *value;

    if (len >= sizeof buf)
        return false;
    memcpy(buf, text, len);
    buf[len] = '\0';
    if (!(value = strchr(buf, '=')))
        return false;
    *value++ = '\0';
    if (strcmp(buf, "z") == 0)
        return fm_text_double(value, &m->noise_multiplier);
    if (strcmp(buf, "q") == 0)
        return fm_text_double(value, &m->sampling_rate);
    return strcmp(buf, "steps") == 0 && fm_text_u64(value, &m->count);
}

/* "gaussian:z=1.1,q=0.01,steps=1000"; q and steps may be left out. */
static fm_status read_mechanism(const char *text, fm_dp_mechanism *out)
{
    static const char prefix[] = "gaussian:";
    fm_dp_mechanism m = { .sampling_rate = 1.0, .count = 1 };
    bool good = strncmp(text, prefix, sizeof prefix - 1) == 0;

    for (const char *p = text + sizeof prefix - 1; good && *p;) {
        size_t len = strcspn(p, ",");

        good = read_pair(p, len, &m);
        p += len;
        if (good && *p == ',')
            good = *++p != '\0';
    }
    if (!good || !(m.noise_multiplier >= Z_LO && m.noise_multiplier <= Z_HI) ||
        !(m.sampling_rate >= Q_LO && m.sampling_rate <= 1.0) || m.count < (uint64_t)STEPS_LO ||
        m.count > (uint64_t)STEPS_HI)
        return fm_fail(FM_EPARSE,
                       "--mechanism '%.80s' is not like gaussian:z=1.1,q=0.01,steps=1000 "
                       "(z %g to %g, q %g to 1)",
                       text, Z_LO, Z_HI, Q_LO);
    *out = m;
    return FM_OK;
}

static fm_status read_mechanisms(question *a)
{
    void *p = NULL;
    fm_status st;

    if (strcmp(a->accountant, "rdp") != 0)
        return fm_fail(FM_EPARSE, "--accountant '%.80s' is not known; there is: rdp",
                       a->accountant);
    if (!(a->z > 0.0) && a->mechanisms.count == 0)
        return fm_fail(FM_EPARSE, "--noise-multiplier or --mechanism is required");
    if (a->mechanisms.count > MAX_MECHANISMS)
        return fm_fail(FM_EPARSE, "at most %d of --mechanism", MAX_MECHANISMS);
    if ((st = fm_alloc(a->mechanisms.count + 1, sizeof *a->m, &p)) != FM_OK)
        return st;
    a->m = p;
    if (a->z > 0.0)
        a->m[a->count++] = (fm_dp_mechanism){ a->z, a->q, a->steps, FM_DP_GAUSSIAN, 0 };
    for (size_t i = 0; i < a->mechanisms.count; i++)
        if ((st = read_mechanism(a->mechanisms.items[i], &a->m[a->count++])) != FM_OK)
            return st;
    return FM_OK;
}

/* Six digits, rounded up: what is printed must stay a bound, and noise must stay enough. */
static double shown(double v)
{
    double unit = v > 0.0 ? pow(10.0, floor(log10(v)) - 5.0) : 0.0;

    return unit > 0.0 && isfinite(v) ? ceil(v / unit * (1.0 - 1e-13)) * unit : v;
}

static fm_status print_cost(double epsilon, double delta, bool json)
{
    json_t *o;
    fm_status st;

    if (!json) {
        printf("epsilon %.6g at delta %.6g (RDP accountant, an upper bound)\n", shown(epsilon),
               shown(delta));
        return FM_OK;
    }
    if (!(o = json_pack("{s:f, s:f, s:s}", "epsilon", epsilon, "delta", delta, "accountant",
                        "rdp")))
        return fm_fail(FM_ENOMEM, "out of memory");
    st = fm_json_print(o);
    json_decref(o);
    return st;
}

static int finish(const char *command, fm_status st)
{
    if (st == FM_OK)
        return 0;
    (void)fm_cli_failed(command);
    return st == FM_EPARSE ? 2 : 1;
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
          .help = "number of releases (default 1)",
          .lo = STEPS_LO,
          .hi = STEPS_HI },
        *fixed,
        { .name = "mechanism",
          .kind = FM_CLI_LIST,
          .out = &a->mechanisms,
          .value = "SPEC",
          .help = "one more mechanism, gaussian:z=1.1,q=0.01,steps=100" },
        { .name = "accountant",
          .kind = FM_CLI_STRING,
          .out = &a->accountant,
          .value = "NAME",
          .help = "rdp (default)" },
        { .name = "json", .kind = FM_CLI_FLAG, .out = &a->json, .help = "print JSON" },
    };
    const fm_cli_spec spec = { .program = command,
                               .summary = summary,
                               .examples = examples,
                               .options = options,
                               .option_count = sizeof options / sizeof *options };
    int operands = 0, code;

    *a = (question){ .q = 1.0, .steps = 1, .accountant = "rdp" };
    if (!fm_cli_begin(&spec, argc, argv, &operands, &code))
        return code;
    return finish(command, read_mechanisms(a)) == 0 ? -1 : 2;
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
    double epsilon = 0.0;
    fm_status st;
    int code = ask(&fixed, command, "What a number of rounds costs, as epsilon at a given delta.",
                   "fedmoe-dp epsilon --noise-multiplier 1.1 --sampling-rate 0.01 --steps 1000 "
                   "--delta 1e-5 --json\n"
                   "fedmoe-dp epsilon --mechanism gaussian:z=1.1,q=0.01,steps=1000 "
                   "--mechanism gaussian:z=20 --delta 1e-5",
                   &a, argc, argv);

    if (code < 0) {
        if ((st = fm_dp_epsilon(a.m, a.count, a.target, &epsilon)) == FM_OK)
            st = print_cost(epsilon, a.target, a.json);
        code = finish(command, st);
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
    double delta = 0.0;
    fm_status st;
    int code = ask(&fixed, command, "What a number of rounds costs, as delta at a given epsilon.",
                   "fedmoe-dp delta --noise-multiplier 1.1 --sampling-rate 0.01 --steps 1000 "
                   "--epsilon 2 --json",
                   &a, argc, argv);

    if (code < 0) {
        if ((st = fm_dp_delta(a.m, a.count, a.target, &delta)) == FM_OK)
            st = print_cost(a.target, delta, a.json);
        code = finish(command, st);
    }
    question_fini(&a);
    return code;
}

static fm_status print_sigma(double epsilon, double delta, double q, uint64_t steps, bool json)
{
    fm_dp_mechanism m = { .sampling_rate = q, .count = steps };
    double spent = 0.0;
    json_t *o;
    fm_status st = fm_dp_calibrate(epsilon, delta, q, steps, &m.noise_multiplier);

    if (st == FM_OK)
        st = fm_dp_epsilon(&m, 1, delta, &spent);
    if (st != FM_OK)
        return st;
    if (!json) {
        printf("noise multiplier %.6g (epsilon %.6g at delta %.6g after %llu steps)\n",
               shown(m.noise_multiplier), shown(spent), delta, (unsigned long long)steps);
        return FM_OK;
    }
    if (!(o = json_pack("{s:f, s:f, s:f, s:s}", "noise_multiplier", m.noise_multiplier, "epsilon",
                        spent, "delta", delta, "accountant", "rdp")))
        return fm_fail(FM_ENOMEM, "out of memory");
    st = fm_json_print(o);
    json_decref(o);
    return st;
}

int fm_dp_cmd_sigma(int argc, char **argv)
{
    double epsilon = 0.0, delta = 0.0, q = 1.0;
    uint64_t steps = 1;
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
          .out = &q,
          .value = "Q",
          .help = "probability with which a unit takes part in a step (default 1)",
          .lo = Q_LO,
          .hi = 1.0 },
        { .name = "steps",
          .kind = FM_CLI_U64,
          .out = &steps,
          .value = "N",
          .help = "number of releases (default 1)",
          .lo = STEPS_LO,
          .hi = STEPS_HI },
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

    if (!fm_cli_begin(&spec, argc, argv, &operands, &code))
        return code;
    return finish(spec.program, print_sigma(epsilon, delta, q, steps, json));
}
