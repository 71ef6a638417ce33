#include <stdio.h>
#include <string.h>

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
        "local_steps",      "local_rate",   "proximal",       "held_share",    "held_bound",
        "patience",         "held_bins"
    };
    static const char *const texts[] = { "task",         "noise",      "encoding", "correction",
                                         "privacy_unit", "federation", "hash",     "offered" };

    static const char *const groups[] = { "robust_groups", "robust_quorum", "robust_trim" };

    printf("\nFigures\n");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        printf("  %-18s %g\n", names[i], fm_cmd_real(j, names[i]));
    if (fm_cmd_whole(j, "robust_groups") > 0) {
        for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
            printf("  %-18s %g\n", groups[i], fm_cmd_real(j, groups[i]));
        show_text("robust_mean", fm_cmd_text(j, "robust_mean"));
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        show_text(texts[i], fm_cmd_text(j, texts[i]));
}

/** What this node answered, or what it waits for; and the commands, with the plan that they mean. */
static void show_answer(const json_t *j, const char *config)
{
    const char *hash = fm_cmd_text(j, "hash");

    printf("\n");
    if (json_is_true(json_object_get(j, "approved"))) {
        printf("This node approved it.\n");
    } else if (strcmp(fm_cmd_text(j, "answer"), "waiting") == 0) {
        printf("This node WAITS FOR A DECISION; nothing has left:\n");
        show_text("reason", fm_cmd_text(j, "reason"));
        printf("  fedmoe-node plan approve --config %s --plan %.12s --by NAME --role ROLE\n"
               "  fedmoe-node plan refuse --config %s --plan %.12s --by NAME --reason TEXT\n",
               config, hash, config, hash);
    } else {
        printf("This node REFUSED it:\n");
        show_text("reason", fm_cmd_text(j, "reason"));
    }
}

static fm_status show(const json_t *j, const fm_plan_means *m, const char *config)
{
    fm_buf words = { 0 };
    fm_status st = fm_plan_words(j, m, &words);

    if (st == FM_OK) {
        printf("%s", (const char *)words.data);
        show_figures(j);
        show_answer(j, config);
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
    (void)json_object_del(j, "bytes"); /* of no use to who reads figures */
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
                   "for the records, and show this node's answer; then decide: fedmoe-node plan "
                   "approve, or refuse.",
        .examples = "fedmoe-node plan\nfedmoe-node plan --json",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    fm_plan_offer offer = { 0 };
    fm_plan_means m;
    int first = 0, code = 0;
    fm_status st;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if ((st = fm_plan_offer_read(config, &offer)) == FM_OK) {
        m = fm_plan_means_of(offer.json, config, true);
        st = json ? print_json(offer.json, &m) : show(offer.json, &m, config);
    }
    fm_plan_offer_fini(&offer);
    return st == FM_OK ? 0 : fm_cli_failed(spec.program);
}
