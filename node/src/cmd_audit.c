/* audit: the plan's training on this node's records and on canaries, and what the canaries show. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/model/adapter_terms.h"
#include "fedmoe/model/tabular.h"
#include "fedmoe/node/audit.h"
#include "fedmoe/node/config.h"
#include "records.h"

#define CANARIES 1000u

typedef struct {
    const char *config_path, *schema_path, *model_path, *output;
    double epsilon, delta, clip, rate, noise, learning, confidence; /* 0: not given */
    uint64_t rounds, canaries;                                      /* likewise */
    fm_node_config config;
    fm_plan plan;
    fm_table table;
    fm_dp_observations seen;
} request;

static void close_request(request *r)
{
    fm_dp_observations_fini(&r->seen);
    fm_table_fini(&r->table);
    fm_plan_fini(&r->plan);
    fm_node_config_fini(&r->config);
}

/* A count of plan.json that a plan bounds by some hundreds. */
static uint32_t small(long long v)
{
    return v > 0 && v <= 4096 ? (uint32_t)v : 0;
}

/** The plan last offered, when there is one and it is a training. */
static fm_status take_plan(request *r)
{
    fm_plan *p = &r->plan;
    json_t *j = NULL;
    long long unit_rows;
    fm_status st = fm_cmd_read_json(r->config_path, "plan.json", &j);

    if (st == FM_ENOTFOUND)
        return FM_OK;
    if (st == FM_OK && strcmp(fm_cmd_text(j, "task"), "training") == 0) {
        p->delta = fm_cmd_real(j, "delta");
        p->clip_norm = fm_cmd_real(j, "clip_norm");
        p->sampling_rate = fm_cmd_real(j, "sampling_rate");
        p->noise_multiplier = fm_cmd_real(j, "noise_multiplier");
        /* A local step is to the accountant what a round is. */
        p->rounds = (uint32_t)fm_cmd_whole(j, "rounds") *
                    (uint32_t)(small(fm_cmd_whole(j, "local_steps")) > 1
                                   ? small(fm_cmd_whole(j, "local_steps"))
                                   : 1);
        p->encoding =
            strcmp(fm_cmd_text(j, "encoding"), "fast") == 0 ? FM_ENCODING_FAST : FM_ENCODING_EXACT;
        p->load_groups = small(fm_cmd_whole(j, "load_groups"));
        p->load_experts = small(fm_cmd_whole(j, "load_experts"));
        p->load_share = fm_cmd_real(j, "load_share");
        p->clip_quantile = fm_cmd_real(j, "clip_quantile");
        p->clip_share = fm_cmd_real(j, "clip_share");
        unit_rows = fm_cmd_whole(j, "max_unit_rows");
        p->max_unit_rows = unit_rows > 0 && unit_rows <= UINT32_MAX ? (uint32_t)unit_rows : 1;
        (void)snprintf(p->privacy_unit, sizeof p->privacy_unit, "%s",
                       fm_cmd_text(j, "privacy_unit"));
        if ((st = fm_strdup(fm_cmd_text(j, "model"), &p->model_text)) == FM_OK)
            st = fm_strdup(fm_cmd_text(j, "schema"), &p->schema_text);
    }
    json_decref(j);
    return st;
}

/** What was asked for on the command line, and without a plan the defaults. */
static fm_status take_figures(request *r)
{
    fm_plan *p = &r->plan;
    const char *column = fm_node_policy_unit_column(&r->config.policy);
    const bool own = !p->schema_text;

    if (own) {
        p->encoding = FM_ENCODING_FAST;
        p->clip_norm = 1.0;
        p->sampling_rate = 0.5;
        p->rounds = 20;
        p->delta = r->config.policy.delta;
        p->max_unit_rows = column ? FM_MAX_UNIT_ROWS : 1;
        (void)snprintf(p->privacy_unit, sizeof p->privacy_unit, "%s",
                       column ? column : FM_UNIT_RECORD);
        if (r->epsilon == 0.0 && r->noise == 0.0)
            r->epsilon = r->config.policy.epsilon;
    }
    p->delta = r->delta > 0.0 ? r->delta : p->delta;
    p->clip_norm = r->clip > 0.0 ? r->clip : p->clip_norm;
    p->sampling_rate = r->rate > 0.0 ? r->rate : p->sampling_rate;
    p->rounds = r->rounds > 0 ? (uint32_t)r->rounds : p->rounds;
    p->noise_multiplier = r->noise > 0.0 ? r->noise : p->noise_multiplier;
    if (r->epsilon > 0.0)
        return fm_dp_calibrate(r->epsilon, p->delta, p->sampling_rate, p->rounds,
                               &p->noise_multiplier);
    if (!(p->noise_multiplier > 0.0))
        return fm_fail(FM_EINVAL, "the plan has no noise: there is nothing to audit");
    return FM_OK;
}

static fm_status read_text(const char *path, char **out)
{
    fm_buf text = { 0 };
    fm_status st = fm_file_read(path, FM_MAX_TEXT_BYTES, &text);

    if (st == FM_OK) {
        free(*out);
        *out = NULL;
        st = fm_strdup(text.data ? (const char *)text.data : "", out);
    }
    fm_buf_fini(&text);
    return st;
}

/** The model of the file, of the plan, or the default for the schema. */
static fm_status take_model(request *r, const fm_schema *schema)
{
    fm_tabular_config config;
    fm_buf text = { 0 };
    size_t parameters = 0;
    fm_plan *p = &r->plan;
    fm_status st = FM_OK;

    if (r->model_path) {
        st = read_text(r->model_path, &p->model_text);
    } else if (!p->model_text) {
        fm_tabular_config_default(schema, &config);
        if ((st = fm_tabular_config_write(&config, &text)) == FM_OK)
            st = fm_strdup((const char *)text.data, &p->model_text);
    }
    if (st == FM_OK &&
        (st = fm_tabular_config_parse(r->model_path ? r->model_path : "the model", p->model_text,
                                      strlen(p->model_text), schema, &config)) == FM_OK &&
        (st = fm_tabular_parameters(&config, &parameters)) == FM_OK)
        p->parameters = (uint32_t)parameters + fm_plan_tail(p);
    fm_buf_fini(&text);
    return st;
}

/* Canaries are coordinates of a table's model. */
static fm_status refuse_texts(const request *r)
{
    const char *schema = r->plan.schema_text;

    if (!fm_text_schema_is(schema, strlen(schema)) &&
        (r->model_path || !fm_adapter_terms_is(r->plan.model_text)))
        return FM_OK;
    return fm_fail(FM_EINVAL, "an audit trains on the records of a table, and here texts are to be "
                              "trained on; noise, clipping and sampling of this build are audited "
                              "without records by fedmoe-dp audit");
}

static fm_status take_records(request *r)
{
    const bool column = strcmp(r->plan.privacy_unit, FM_UNIT_RECORD) != 0;
    const fm_table_options o = { .labels = true,
                                 .max_rows = r->config.policy.max_rows,
                                 .unit = column ? r->plan.privacy_unit : NULL };
    const char *path = r->schema_path;
    fm_schema *schema = NULL;
    fm_status st = FM_OK;

    if (!path && !r->plan.schema_text)
        path = r->config.schema;
    if (!path && !r->plan.schema_text)
        return fm_fail(FM_EINVAL,
                       "there is no plan.json beside %s, and it pins no schema: give "
                       "--schema",
                       r->config_path);
    if (path)
        st = read_text(path, &r->plan.schema_text);
    if (st == FM_OK && (st = refuse_texts(r)) == FM_OK &&
        (st = fm_schema_parse(path ? path : "the plan's schema", r->plan.schema_text,
                              strlen(r->plan.schema_text), &schema)) == FM_OK &&
        (st = take_model(r, schema)) == FM_OK)
        st = fm_node_records_load(&r->config, schema, &o, &r->table);
    fm_schema_free(&schema);
    return st;
}

static void show_progress(void *ctx, uint64_t done)
{
    fm_progress_set(ctx, done);
}

static fm_status run(request *r, fm_rng *rng)
{
    const uint32_t most = r->plan.parameters < CANARIES ? r->plan.parameters : CANARIES;
    fm_progress bar;
    const fm_node_audit a = { .plan = &r->plan,
                              .table = &r->table,
                              .canaries = r->canaries > 0 ? (uint32_t)r->canaries : most,
                              .learning_rate = r->learning,
                              .rng = rng,
                              .progress = show_progress,
                              .progress_ctx = &bar };
    fm_status st;

    fm_progress_start(&bar, "audit", r->plan.rounds);
    st = fm_node_audit_run(&a, &r->seen);
    fm_progress_end(&bar);
    return st;
}

/** The verdict in two lines; all figures: fedmoe-dp audit FILE. */
static fm_status judge(const request *r, fm_rng *rng)
{
    fm_dp_audit_verdict v;
    fm_status st = fm_dp_audit_judge(&r->seen, r->plan.delta, r->confidence, rng, &v);

    if (st != FM_OK)
        return st;
    printf("%u canaries among the records, %u rounds at noise multiplier %g and sampling rate "
           "%g\n",
           r->seen.canaries, r->plan.rounds, r->plan.noise_multiplier, r->plan.sampling_rate);
    printf("lower bound epsilon %.4f (%g %% confidence), claimed %.4f at delta %g: %s\n",
           floor(v.bound.epsilon * 1e4) * 1e-4, 100.0 * r->confidence, ceil(v.claimed * 1e4) * 1e-4,
           r->plan.delta, v.violated ? "VIOLATED" : "consistent");
    if (v.violated)
        return fm_fail(
            FM_EPERM,
            "VIOLATED: noise, clipping or sampling of this build is not what it says, "
            "or this is the one time in %.0f that chance alone says so; audit again with "
            "--confidence 0.9999, and do not let it near a federation before",
            1.0 / (1.0 - r->confidence));
    return FM_OK;
}

static fm_status audit(request *r)
{
    fm_rng rng = fm_rng_system();
    fm_status st;

    if ((st = fm_node_config_load(r->config_path, &r->config)) != FM_OK ||
        (r->output && (st = fm_cmd_check_apart(r->output, r->config_path, &r->config)) != FM_OK) ||
        (st = take_plan(r)) != FM_OK || (st = take_figures(r)) != FM_OK ||
        (st = take_records(r)) != FM_OK || (st = run(r, &rng)) != FM_OK)
        return st;
    if (r->output && (st = fm_dp_observations_write(r->output, &r->seen)) != FM_OK)
        return st;
    return judge(r, &rng);
}

int fm_cmd_audit(int argc, char **argv)
{
    request r = { .config_path = "node.yaml", .learning = 0.1, .confidence = 0.95 };
    const fm_cli_option options[] = {
        FM_CMD_CONFIG_OPTION(r.config_path),
        { "output", FM_CLI_STRING, &r.output, "FILE",
          "write what the canaries showed, mode 0600, for fedmoe-dp audit", false, 0, 0 },
        { "canaries", FM_CLI_U64, &r.canaries, "M",
          "how many (default 1000, or as many as the model has parameters)", false,
          FM_DP_AUDIT_MIN_CANARIES, FM_DP_AUDIT_MAX_CANARIES },
        { "schema", FM_CLI_STRING, &r.schema_path, "FILE",
          "instead of the plan's or the pinned one", false, 0, 0 },
        { "model", FM_CLI_STRING, &r.model_path, "FILE",
          "model.yaml instead of the plan's; a wider model has room for more canaries", false, 0,
          0 },
        { "epsilon", FM_CLI_DOUBLE, &r.epsilon, "E",
          "calibrate the noise for it, instead of the plan's", false, 1e-3, 1e3 },
        { "noise-multiplier", FM_CLI_DOUBLE, &r.noise, "Z", "instead of the plan's", false, 1e-3,
          1e4 },
        { "delta", FM_CLI_DOUBLE, &r.delta, "D", "instead of the plan's", false, 1e-300, 0.1 },
        { "rounds", FM_CLI_U64, &r.rounds, "N", "instead of the plan's", false, 1, 1e5 },
        { "sampling-rate", FM_CLI_DOUBLE, &r.rate, "Q", "instead of the plan's", false, 1e-6, 1 },
        { "clip-norm", FM_CLI_DOUBLE, &r.clip, "C", "instead of the plan's", false, 1e-6, 1e6 },
        { "learning-rate", FM_CLI_DOUBLE, &r.learning, "R",
          "of the audit's own gradient descent (default 0.1)", false, 0, 1e3 },
        { "confidence", FM_CLI_DOUBLE, &r.confidence, "P", "of the lower bound (default 0.95)",
          false, 0.5, 1.0 - 1e-12 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-node audit",
        .summary = "Train alone, by the figures of the plan last offered, on this node's records "
                   "and on canaries, and see whether more can be read of the canaries than epsilon "
                   "allows. Nothing is sent or charged.",
        .examples = "fedmoe-node audit --config node.yaml\n"
                    "fedmoe-node audit --epsilon 1 --rounds 40 --sampling-rate 0.5 --output "
                    "audit.json",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    int first = 0, code = 0;
    fm_status st;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (r.epsilon > 0.0 && r.noise > 0.0) {
        (void)fm_fail(FM_EINVAL, "give --epsilon or --noise-multiplier, not both");
        (void)fm_cli_failed(spec.program);
        return 2;
    }
    st = audit(&r);
    close_request(&r);
    return st == FM_OK ? 0 : fm_cli_failed(spec.program);
}
