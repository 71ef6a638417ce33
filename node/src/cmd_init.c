/* init: a commented node.yaml for an identity that is there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "fedmoe/node/config.h"
#include "node_yaml.h"

/** The certificate in --identity must be that of --name. */
static fm_status check_identity(const fm_node_yaml *o)
{
    fm_identity *id = NULL;
    const fm_cert_info *info;
    fm_status st = fm_identity_load(o->identity, &id);

    if (st != FM_OK)
        return fm_fail_context(st, "--identity %s: ", o->identity);
    info = fm_identity_info(id);
    if (info->role != FM_ROLE_NODE || strcmp(info->name, o->name) != 0)
        st = fm_fail(FM_EINVAL,
                     "--identity %s: the certificate is that of %s '%s', not of node '%s' (--name)",
                     o->identity, fm_role_name(info->role), info->name, o->name);
    fm_identity_free(&id);
    return st;
}

int fm_cmd_init(int argc, char **argv)
{
    fm_node_yaml o = fm_node_yaml_defaults();
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &o.directory, "DIR", "where node.yaml is to be", true, 0, 0 },
        { "name", FM_CLI_STRING, &o.name, "NAME", "as in the certificate", true, 0, 0 },
        { "door", FM_CLI_STRING, &o.door, "ADDR", "the aggregator's, tcp://HOST:PORT", true, 0, 0 },
        { "door-key", FM_CLI_STRING, &o.door_key, "KEY", "its 40 characters", true, 0, 0 },
        { "identity", FM_CLI_STRING, &o.identity, "DIR",
          "folder of identity.key, identity.crt, ca.crt; named, not copied", true, 0, 0 },
        { "records", FM_CLI_STRING, &o.records, "FILE", "file of records, or of texts", true, 0,
          0 },
        { "schema", FM_CLI_STRING, &o.schema, "FILE",
          "pin this schema: a plan with any other is refused", false, 0, 0 },
        { "model", FM_CLI_STRING, &o.model, "FOLDER", "the language model of a federation on texts",
          false, 0, 0 },
        { "data-name", FM_CLI_STRING, &o.data_name, "NAME",
          "of the data set in the ledger (default: the node's name)", false, 0, 0 },
        { "epsilon", FM_CLI_DOUBLE, &o.epsilon, "E", "budget (default 1)", false, 1e-6, 1000 },
        { "delta", FM_CLI_DOUBLE, &o.delta, "D", "of the budget (default 1e-5)", false, 1e-15,
          0.1 },
        { "purpose", FM_CLI_LIST, &o.purposes, "TEXT", "allowed purpose of a plan", false, 0, 0 },
        { "unit", FM_CLI_STRING, &o.unit, "COLUMN",
          "whose rows are one person's, such as patient_nbr (default: record)", false, 0, 0 },
        { "min-cohort", FM_CLI_U64, &o.min_cohort, "N", "fewest participants (default 3)", false, 2,
          FM_MAX_NODES },
        { "min-colluders", FM_CLI_U64, &o.min_colluders, "N",
          "colluding nodes to withstand (default 1)", false, 0, FM_MAX_NODES },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-node init",
        .summary = "Write a commented node.yaml. Nothing that exists is overwritten.",
        .examples = "fedmoe-node init --directory node --name cleveland \\\n"
                    "    --door tcp://aggregator.example:7300 --door-key 'Z85KEY...' \\\n"
                    "    --identity node --records records.csv --purpose 'heart disease risk' \\\n"
                    "    --epsilon 1 --delta 1e-4",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        goto done;
    if (o.purposes.count == 0) {
        fprintf(stderr,
                "%s: --purpose TEXT is required; it may be given again for another purpose\n"
                "Try '%s --help'.\n",
                spec.program, spec.program);
        code = 2;
        goto done;
    }
    if (check_identity(&o) != FM_OK || fm_node_yaml_write(&o) != FM_OK) {
        code = fm_cli_failed(spec.program);
        goto done;
    }
    printf("%s/node.yaml is written. Next: fedmoe-node check --config %s/node.yaml\n", o.directory,
           o.directory);
done:
    free(o.purposes.items);
    return code;
}
