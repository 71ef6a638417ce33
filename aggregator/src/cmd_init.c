#include <math.h>
#include <stdio.h>

#include "commands.h"
#include "fedmoe/aggregator/directory.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/json.h"

static void print_text(const char *dir, const fm_aggregator_init_report *r, const char *plan)
{
    printf("federation        %s\n"
           "directory         %s\n"
           "door address      %s\n"
           "door public key   %s\n"
           "plan hash         %s\n"
           "noise multiplier  %.6g\n",
           r->federation, dir, r->door, r->door_key, plan, r->noise_multiplier);
    if (isfinite(r->epsilon))
        printf("epsilon           %.6g at delta %g, over %u round%s\n", r->epsilon, r->delta,
               r->rounds, r->rounds == 1 ? "" : "s");
    else
        printf("epsilon           none: NOTHING IS PRIVATE, the noise multiplier is 0\n");
    printf("Every node.yaml needs door address and door public key. Next:\n"
           "  fedmoe-aggregator start --directory %s\n",
           dir);
}

static int print_json(const char *dir, const fm_aggregator_init_report *r, const char *plan)
{
    json_t *j =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:f, s:o, s:f, s:I, s:I}", "federation", r->federation,
                  "directory", dir, "door", r->door, "door_key", r->door_key, "plan_hash", plan,
                  "noise_multiplier", r->noise_multiplier, "epsilon",
                  isfinite(r->epsilon) ? json_real(r->epsilon) : json_null(), "delta", r->delta,
                  "rounds", (json_int_t)r->rounds, "parameters", (json_int_t)r->parameters);
    fm_status st = j ? fm_json_print(j) : fm_fail(FM_ENOMEM, "no memory for the report");

    json_decref(j);
    return st == FM_OK ? 0 : 1;
}

int fm_cmd_init(int argc, char **argv)
{
    fm_aggregator_init_options o = { 0 };
    fm_aggregator_init_report r;
    bool json = false;
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &o.dir, "DIR", "to be made; keep it private", true, 0, 0 },
        { "config", FM_CLI_STRING, &o.config, "FILE", "federation.yaml; the model lies beside it",
          true, 0, 0 },
        { "identity", FM_CLI_STRING, &o.identity, "DIR",
          "the aggregator's identity, from fedmoe-certs issue", true, 0, 0 },
        { "json", FM_CLI_FLAG, &json, NULL, "print JSON", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-aggregator init",
        .summary = "Make a federation's directory: plan, door key, copies of identity, "
                   "configuration and first model. Never changes a directory that holds anything.",
        .examples = "fedmoe-aggregator init --directory agg --config federation.yaml "
                    "--identity agg-id",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    char plan[2 * FM_HASH_BYTES + 1];
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (fm_aggregator_init(&o, &r) != FM_OK)
        return fm_cli_failed(spec.program);
    fm_hash_hex(&r.plan, plan);
    if (json)
        return print_json(o.dir, &r, plan) == 0 ? 0 : fm_cli_failed(spec.program);
    print_text(o.dir, &r, plan);
    return 0;
}
