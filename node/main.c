#include "fedmoe/base/cli.h"
#include "src/commands.h"

static const fm_cli_command commands[] = {
    { "join", "join a federation with a code from its coordinator", fm_cmd_join },
    { "init", "write a node.yaml for this institution", fm_cmd_init },
    { "check", "check configuration, identity, files and records", fm_cmd_check },
    { "schema suggest", "draft a schema from a dictionary, an answer or a charged estimate",
      fm_cmd_schema_suggest },
    { "plan show", "show the plan that was last offered (also: plan)", fm_cmd_plan },
    { "plan approve", "approve it, with conditions if you like", fm_cmd_plan_approve },
    { "plan refuse", "refuse it, or take an approval back", fm_cmd_plan_refuse },
    { "plan decisions", "list what was decided, signatures checked", fm_cmd_plan_decisions },
    { "plan reset", "begin these anew when they are lost", fm_cmd_plan_reset },
    { "plan", "plan show", fm_cmd_plan },
    { "start", "take part until the federation has finished", fm_cmd_start },
    { "pause", "take part in no further round, until resume", fm_cmd_pause },
    { "resume", "take part again", fm_cmd_resume },
    { "status", "show how far a running node is", fm_cmd_status },
    { "ledger show", "show what the data set has spent (also: ledger)", fm_cmd_ledger_show },
    { "ledger verify", "check that the ledger is whole", fm_cmd_ledger_verify },
    { "ledger export", "write it as JSON or CSV, to be added up elsewhere", fm_cmd_ledger_export },
    { "ledger import", "add entries that it lacks, from an export or a copy",
      fm_cmd_ledger_import },
    { "ledger", "ledger show", fm_cmd_ledger_show },
    { "report", "write a page for the data-protection officer", fm_cmd_report },
    { "evaluate", "measure a model on records of this node", fm_cmd_evaluate },
    { "predict", "apply a model to records, into a CSV file", fm_cmd_predict },
    { "personalize", "fit a head of your own to a model, which stays here", fm_cmd_personalize },
    { "audit", "see whether canaries among the records show more than epsilon allows",
      fm_cmd_audit },
    { "verify", "check an audit bundle of a run, without the aggregator", fm_cmd_verify },
};

int main(int argc, char **argv)
{
    const fm_cli_program program = {
        .program = "fedmoe-node",
        .summary = "An institution's part in a federation: records stay here, only masked and "
                   "noised sums leave.",
        .examples = "fedmoe-node join fedmoe1...\n"
                    "fedmoe-node check --config node.yaml\n"
                    "fedmoe-node start --config node.yaml\n"
                    "fedmoe-node ledger show --config node.yaml",
        .commands = commands,
        .group_examples = "fedmoe-node schema suggest --dictionary dictionary.csv --label outcome "
                          "--output schema.yaml\n"
                          "fedmoe-node schema suggest --charge 0.1 --column age",
        .command_count = sizeof commands / sizeof commands[0],
    };

    return fm_cli_main(&program, argc, argv);
}
