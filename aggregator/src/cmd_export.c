#include <stdio.h>

#include "commands.h"
#include "fedmoe/aggregator/directory.h"
#include "fedmoe/base/cli.h"

static int export_audit(const char *dir, const char *path, const char *program)
{
    char head[2 * FM_HASH_BYTES + 1];
    fm_audit_report r;

    if (fm_aggregator_export_audit(dir, path, &r) != FM_OK)
        return fm_cli_failed(program);
    fm_hash_hex(&r.head, head);
    printf("%s: %llu round%s, the updates of %llu; transcript head %s\n", path,
           (unsigned long long)r.entries, r.entries == 1 ? "" : "s", (unsigned long long)r.updates,
           head);
    return 0;
}

typedef fm_status figures_writer(const char *dir, const char *to, uint64_t *rounds);

static int export_figures(figures_writer *write, const char *dir, const char *to,
                          const char *program)
{
    uint64_t rounds;

    if (write(dir, to, &rounds) != FM_OK)
        return fm_cli_failed(program);
    printf("%s: the figures of %llu round%s\n", to, (unsigned long long)rounds,
           rounds == 1 ? "" : "s");
    return 0;
}

static int export_result(const char *dir, const char *output, bool card, const char *program)
{
    uint64_t rounds = 0;

    if (fm_aggregator_export(dir, output, card, &rounds) != FM_OK)
        return fm_cli_failed(program);
    printf("%s: the result of %llu round%s\n", output, (unsigned long long)rounds,
           rounds == 1 ? "" : "s");
    return 0;
}

int fm_cmd_export(int argc, char **argv)
{
    const char *dir = ".", *output = NULL, *audit = NULL, *mlflow = NULL, *tensorboard = NULL;
    bool bare = false;
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &dir, "DIR", "made by init; default: here", false, 0, 0 },
        { "output", FM_CLI_STRING, &output, "FILE",
          "the model, or the answer; replaced if it is there", false, 0, 0 },
        { "without-card", FM_CLI_FLAG, &bare, NULL,
          "a model without the signed card that says what made it and what it is for", false, 0,
          0 },
        { "audit", FM_CLI_STRING, &audit, "FILE",
          "the audit bundle of all finished rounds, for fedmoe-node verify; not while the "
          "aggregator runs",
          false, 0, 0 },
        { "mlflow", FM_CLI_STRING, &mlflow, "DIR",
          "figures of the rounds as MLflow keeps them in files (mlruns); likewise", false, 0, 0 },
        { "tensorboard", FM_CLI_STRING, &tensorboard, "DIR",
          "the same as events for TensorBoard; likewise", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-aggregator export",
        .summary =
            "Write the model as it stands after the last finished round, for fedmoe-model; of "
            "a query the answer, as JSON. Works while the aggregator runs. A model gets a card, "
            "signed "
            "with the aggregator's key, with the uses of use-policy.yaml in DIR. With --audit: the "
            "signed record of every finished round, with which anyone who has the consortium's "
            "CA certificate can check them.",
        .examples = "fedmoe-aggregator export --directory agg --output model-now.safetensors\n"
                    "fedmoe-aggregator export --directory agg --audit heart.audit\n"
                    "fedmoe-aggregator export --directory agg --mlflow mlruns",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (!!output + !!audit + !!mlflow + !!tensorboard != 1) {
        fprintf(stderr, "%s: give one of --output, --audit, --mlflow, --tensorboard; try --help\n",
                spec.program);
        return 2;
    }
    if (audit)
        return export_audit(dir, audit, spec.program);
    if (mlflow)
        return export_figures(fm_aggregator_export_mlflow, dir, mlflow, spec.program);
    if (tensorboard)
        return export_figures(fm_aggregator_export_tensorboard, dir, tensorboard, spec.program);
    return export_result(dir, output, !bare, spec.program);
}
