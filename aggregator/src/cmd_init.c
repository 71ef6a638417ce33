#include <math.h>
#include <stdio.h>

#include "commands.h"
#include "fedmoe/aggregator/directory.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/json.h"
#include "fedmoe/dp/mask_graph.h"

#define DELTA_LARGE 0.01 /* from here on a warning */

static const char *rule(const fm_plan *p)
{
    return p->optimizer == FM_OPTIMIZER_ADAM   ? "adam"
           : p->optimizer == FM_OPTIMIZER_YOGI ? "yogi"
                                               : "sgd";
}

static const char *schedule(const fm_plan *p)
{
    return p->schedule == FM_SCHEDULE_LINEAR   ? "linear"
           : p->schedule == FM_SCHEDULE_COSINE ? "cosine"
                                               : "constant";
}

/* What they are, and what they cost. */
static void print_local(const fm_plan *p)
{
    char pull[48] = "";

    if (p->local_steps == 0)
        return;
    if (p->proximal > 0.0)
        (void)snprintf(pull, sizeof pull, ", proximal %.4g", p->proximal);
    printf("local steps       %u a round, at rate %.4g%s%s\n"
           "                  each with its node's own full noise and charged by itself: %llu "
           "steps in\n"
           "                  all; a sum of n nodes has n times the variance of one step's noise,\n"
           "                  where noise: distributed has once (docs/guide-coordinator.md)\n",
           p->local_steps, p->local_rate, pull,
           p->correction == FM_CORRECTION_SCAFFOLD ? ", corrected (scaffold)" : "",
           (unsigned long long)p->rounds * p->local_steps);
}

/* What was chosen, and from what. */
static void print_training(const fm_aggregator_init_report *r)
{
    const fm_plan *p = &r->training;

    printf("training          %u rounds, sampling rate %.4g, clip norm %.4g%s, %s encoding\n"
           "                  %s, learning rate %.4g, %s",
           p->rounds, p->sampling_rate, p->clip_norm, p->clip_quantile > 0.0 ? " (adaptive)" : "",
           p->encoding == FM_ENCODING_FAST ? "fast" : "exact", rule(p), p->learning_rate,
           schedule(p));
    if (p->averaging > 0.0)
        printf(", the last %.0f %% of the rounds averaged", 100.0 * p->averaging);
    if (p->load_groups > 0)
        printf(", loads balanced");
    if (p->patience > 0)
        printf(
            ",\n                  ended early when the loss of %g %% of the units, held out, has "
            "not "
            "fallen for %u rounds;\n"
            "                  noise on the mean of so many: %.3g of the largest loss that counts, "
            "%.4g",
            100.0 * p->held_share, p->patience, r->held_noise, p->held_bound);
    if (p->held_bins > 0)
        printf(
            ";\n                  on their AUC: about %.2g with classes of one size, %.2g with a "
            "tenth in one",
            r->auc_noise[0], r->auc_noise[1]);
    if (p->start_scale > 0.0)
        printf(",\n                  the first round for the features' means and the share of "
               "positives");
    printf("\n");
    print_local(p);
    if (r->chosen)
        printf("                  what federation.yaml leaves out follows from %g expected units, "
               "delta %g\n"
               "                  and what the model's outputs are (docs/model.md)\n",
               p->expected_units, p->delta);
}

/* What members' data-protection officers would stumble over. */
static void warn(const char *program, const fm_aggregator_init_report *r)
{
    if (!isfinite(r->epsilon))
        return;
    if (r->delta >= DELTA_LARGE)
        fprintf(stderr,
                "%s: delta %g is large: with this probability the promise may fail altogether, "
                "for as many as one unit in %.0f; 0.001 or less is usual\n",
                program, r->delta, 1.0 / r->delta);
    else if (r->delta * r->expected_units > 1.0)
        fprintf(stderr,
                "%s: delta %g is above 1 / expected_units (%g): what tells one of the %g units "
                "altogether would count as private; take a delta well below that\n",
                program, r->delta, 1.0 / r->expected_units, r->expected_units);
}

/* The graph of masks, and what it rests on. */
static void print_masks(const fm_aggregator_init_report *r)
{
    if (r->mask_density == FM_PLAN_DENSITY_ALL) {
        printf("masks             with every other node of a %s\n",
               r->groups > 0 ? "group" : "round");
        return;
    }
    printf(
        "masks             with about %.0f of %u other nodes, drawn anew and in secret for each "
        "round\n"
        "                  (density %u of 256: %u honest survivors or more fall apart, so that "
        "parts\n"
        "                  of their sum could be read, with probability below 2^%.1f a round; "
        "that only\n"
        "                  one sum is released holds for up to %u node%s that collude%s with the "
        "aggregator)\n",
        fm_dp_mask_mean(r->max_nodes - 1, r->mask_density), r->max_nodes - 1, r->mask_density,
        r->honest, r->log2_apart, r->held, r->held == 1 ? "" : "s", r->held == 1 ? "s" : "");
}

/* What robustness costs stands beside what privacy costs. */
static void print_groups(const fm_aggregator_init_report *r)
{
    static const char *const means[] = { "", "median", "trimmed mean", "geometric median" };

    if (r->groups == 0)
        return;
    printf(
        "groups            %u in each round, drawn anew, of %u survivors or more; their %s\n"
        "                  carries %.2f times the noise of one sum of all (epsilon is the same)\n",
        r->groups, r->group_quorum, means[r->mean], r->noise_times);
}

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
    printf("update            %.6g MB from each node in a round: %u words of %u bits\n",
           1e-6 * (double)r->update_words * (r->word_bits / 8), r->update_words, r->word_bits);
    print_masks(r);
    print_groups(r);
    if (r->training.rounds > 0)
        print_training(r);
}

void fm_cmd_init_report(const char *program, const char *dir, const fm_aggregator_init_report *r)
{
    char plan[2 * FM_HASH_BYTES + 1];

    fm_hash_hex(&r->plan, plan);
    warn(program, r);
    print_text(dir, r, plan);
}

static json_t *training_json(const fm_aggregator_init_report *r)
{
    const fm_plan *p = &r->training;

    if (p->rounds == 0)
        return json_null();
    return json_pack(
        "{s:b, s:f, s:f, s:f, s:s, s:s, s:f, s:f, s:f, s:f, s:s, s:f, s:f, s:f, s:f, "
        "s:f, s:f, s:f, s:s, s:I, s:f, s:f, s:s}",
        "by_default", r->chosen, "expected_units", p->expected_units, "sampling_rate",
        p->sampling_rate, "clip_norm", p->clip_norm, "encoding",
        p->encoding == FM_ENCODING_FAST ? "fast" : "exact", "optimizer", rule(p), "learning_rate",
        p->learning_rate, "momentum", p->momentum, "beta2", p->beta2, "adam_epsilon",
        p->adam_epsilon, "schedule", schedule(p), "warmup", p->warmup, "final_rate", p->final_rate,
        "averaging", p->averaging, "load_share", p->load_share, "balance_rate", p->balance_rate,
        "clip_quantile", p->clip_quantile, "clip_rate", p->clip_rate, "start",
        p->start_scale > 0.0 ? "statistics" : "none", "local_steps", (json_int_t)p->local_steps,
        "local_rate", p->local_rate, "proximal", p->proximal, "correction",
        p->correction == FM_CORRECTION_SCAFFOLD ? "scaffold" : "none");
}

static json_t *robust_json(const fm_aggregator_init_report *r)
{
    return r->groups == 0 ? json_null()
                          : json_pack("{s:I, s:I, s:f}", "groups", (json_int_t)r->groups, "quorum",
                                      (json_int_t)r->group_quorum, "noise_times", r->noise_times);
}

static int print_json(const char *dir, const fm_aggregator_init_report *r, const char *plan)
{
    json_t *j = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:f, s:o, s:f, s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:o, s:o}",
        "federation", r->federation, "directory", dir, "door", r->door, "door_key", r->door_key,
        "plan_hash", plan, "noise_multiplier", r->noise_multiplier, "epsilon",
        isfinite(r->epsilon) ? json_real(r->epsilon) : json_null(), "delta", r->delta, "rounds",
        (json_int_t)r->rounds, "parameters", (json_int_t)r->parameters, "update_words",
        (json_int_t)r->update_words, "word_bits", (json_int_t)r->word_bits, "mask_density",
        (json_int_t)r->mask_density, "mask_neighbours",
        fm_dp_mask_mean(r->max_nodes - 1, r->mask_density), "log2_apart",
        isfinite(r->log2_apart) ? json_real(r->log2_apart) : json_null(), "training",
        training_json(r), "robust", robust_json(r));
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
                   "configuration and first model. What federation.yaml leaves out of the "
                   "training is chosen from its public figures, and printed. Never changes a "
                   "directory that holds anything.",
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
    if (!json) {
        fm_cmd_init_report(spec.program, o.dir, &r);
        printf("Every node.yaml needs door address and door public key. Next:\n"
               "  fedmoe-aggregator start --directory %s\n",
               o.dir);
        return 0;
    }
    fm_hash_hex(&r.plan, plan);
    warn(spec.program, &r);
    return print_json(o.dir, &r, plan) == 0 ? 0 : fm_cli_failed(spec.program);
}
