#include <stdio.h>

#include "commands.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/text.h"
#include "plan_words.h"

/** A text of the aggregator's, on a line of its own. */
static void show_text(const char *name, const char *value)
{
    char text[512];

    (void)snprintf(text, sizeof text, "%s", value);
    fm_text_clean(text);
    printf("  %-18s %s\n", name, text);
}

static void show_figures(const json_t *j)
{
    static const char *const names[] = {
        "epsilon",          "delta",        "clip_norm",      "sampling_rate", "max_unit_rows",
        "noise_multiplier", "rounds",       "expected_units", "max_units",     "min_cohort",
        "quorum",           "colluders",    "max_nodes",      "parameters",    "frozen",
        "load_groups",      "load_experts", "load_share",     "clip_quantile", "clip_rate",
        "clip_share",       "start_count",  "start_scale",    "word_bits",     "mask_density",
        "held_share",       "patience"
    };
    static const char *const texts[] = { "task",       "noise", "encoding", "privacy_unit",
                                         "federation", "hash",  "offered" };

    printf("\nFigures\n");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        printf("  %-18s %g\n", names[i], fm_cmd_real(j, names[i]));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        show_text(texts[i], fm_cmd_text(j, texts[i]));
    printf("\n");
    if (json_is_true(json_object_get(j, "approved")))
        printf("This node approved it.\n");
    else {
        printf("This node REFUSED it:\n");
        show_text("reason", fm_cmd_text(j, "reason"));
    }
}

static fm_status show(const json_t *j, const fm_plan_means *m)
{
    fm_buf words = { 0 };
    fm_status st = fm_plan_words(j, m, &words);

    if (st == FM_OK) {
        printf("%s", (const char *)words.data);
        show_figures(j);
    }
    fm_buf_fini(&words);
    return st;
}

static fm_status print_json(json_t *j, const fm_plan_means *m)
{
    json_t *derived = NULL;
    fm_status st = fm_plan_means_json(j, m, &derived);

    if (st == FM_OK && json_object_set_new(j, "derived", derived) != 0)
        st = fm_fail(FM_ENOMEM, "no memory for the plan");
    return st == FM_OK ? fm_json_print(j) : st;
}

int fm_cmd_plan(int argc, char **argv)
{
    const char *config = "node.yaml";
    bool json = false;
    const fm_cli_option options[] = { FM_CMD_CONFIG_OPTION(config), FM_CMD_JSON_OPTION(json) };
    const fm_cli_spec spec = {
        .program = "fedmoe-node plan",
        .summary = "Say in words and numbers what the plan that the aggregator offered last means "
                   "for the records, and show this node's answer.",
        .examples = "fedmoe-node plan\nfedmoe-node plan --json",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    fm_plan_means m;
    json_t *j = NULL;
    int first = 0, code = 0;
    fm_status st;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    st = fm_cmd_read_json(config, "plan.json", &j);
    if (st == FM_ENOTFOUND)
        (void)fm_fail(st, "there is no plan.json beside %s; no plan was offered yet", config);
    if (st == FM_OK) {
        m = fm_plan_means_of(j, config);
        st = json ? print_json(j, &m) : show(j, &m);
    }
    json_decref(j);
    return st == FM_OK ? 0 : fm_cli_failed(spec.program);
}
