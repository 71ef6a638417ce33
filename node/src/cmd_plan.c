#include <stdio.h>

#include "commands.h"
#include "fedmoe/base/json.h"

/** The plan as the data-protection officer would put it. */
static void show_words(const json_t *j)
{
    long long nodes = fm_cmd_whole(j, "max_nodes"), quorum = fm_cmd_whole(j, "quorum");

    printf("Purpose: %s\n\n", fm_cmd_text(j, "purpose"));
    printf("Up to %lld nodes train one model of %lld parameters, for %lld finished rounds.\n",
           nodes, fm_cmd_whole(j, "parameters"), fm_cmd_whole(j, "rounds"));
    printf("In each round every record is drawn with probability %g, and may move the sum by at\n"
           "most %g. Noise of %g times that much hides it.\n",
           fm_cmd_real(j, "sampling_rate"), fm_cmd_real(j, "clip_norm"),
           fm_cmd_real(j, "noise_multiplier"));
    printf("For each %s the whole run costs epsilon %g at delta %g, also if %lld nodes collude\n"
           "with the aggregator and take their own noise off.\n",
           fm_cmd_text(j, "privacy_unit"), fm_cmd_real(j, "epsilon"), fm_cmd_real(j, "delta"),
           fm_cmd_whole(j, "colluders"));
    printf("Nothing but sums over at least %lld nodes can be read; a round starts with at least "
           "%lld.\n",
           quorum, fm_cmd_whole(j, "min_cohort"));
}

static void show_figures(const json_t *j)
{
    static const char *const names[] = {
        "epsilon",   "delta",          "clip_norm", "sampling_rate", "noise_multiplier",
        "rounds",    "expected_units", "max_units", "min_cohort",    "quorum",
        "colluders", "max_nodes",      "parameters"
    };

    printf("\n");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        printf("  %-18s %g\n", names[i], fm_cmd_real(j, names[i]));
    printf("  %-18s %s\n", "federation", fm_cmd_text(j, "federation"));
    printf("  %-18s %s\n", "plan hash", fm_cmd_text(j, "hash"));
    printf("  %-18s %s\n\n", "offered", fm_cmd_text(j, "offered"));
    if (json_is_true(json_object_get(j, "approved")))
        printf("This node approved it.\n");
    else
        printf("This node REFUSED it: %s\n", fm_cmd_text(j, "reason"));
}

int fm_cmd_plan(int argc, char **argv)
{
    const char *config = "node.yaml";
    bool json = false;
    const fm_cli_option options[] = { FM_CMD_CONFIG_OPTION(config), FM_CMD_JSON_OPTION(json) };
    const fm_cli_spec spec = {
        .program = "fedmoe-node plan",
        .summary = "Show the plan that the aggregator offered last, and this node's answer.",
        .examples = "fedmoe-node plan\nfedmoe-node plan --json",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    json_t *j = NULL;
    int first = 0, code = 0;
    fm_status st;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    st = fm_cmd_read_json(config, "plan.json", &j);
    if (st == FM_ENOTFOUND)
        (void)fm_fail(st, "there is no plan.json beside %s; no plan was offered yet", config);
    else if (st == FM_OK && json)
        st = fm_json_print(j);
    else if (st == FM_OK) {
        show_words(j);
        show_figures(j);
    }
    json_decref(j);
    return st == FM_OK ? 0 : fm_cli_failed(spec.program);
}
