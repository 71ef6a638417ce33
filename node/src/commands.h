/* The commands of fedmoe-node, one file each (evaluate and predict share one). */
#ifndef FEDMOE_NODE_COMMANDS_H
#define FEDMOE_NODE_COMMANDS_H

#include <jansson.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/node/config.h"

int fm_cmd_init(int argc, char **argv);
int fm_cmd_join(int argc, char **argv);
int fm_cmd_check(int argc, char **argv);
int fm_cmd_schema_suggest(int argc, char **argv);
int fm_cmd_plan(int argc, char **argv);
int fm_cmd_pause(int argc, char **argv);
int fm_cmd_resume(int argc, char **argv);
int fm_cmd_plan_approve(int argc, char **argv);
int fm_cmd_plan_refuse(int argc, char **argv);
int fm_cmd_plan_decisions(int argc, char **argv);
int fm_cmd_plan_reset(int argc, char **argv);
int fm_cmd_start(int argc, char **argv);
int fm_cmd_status(int argc, char **argv);
int fm_cmd_ledger_show(int argc, char **argv);
int fm_cmd_ledger_verify(int argc, char **argv);
int fm_cmd_ledger_export(int argc, char **argv);
int fm_cmd_ledger_import(int argc, char **argv);
int fm_cmd_report(int argc, char **argv);
int fm_cmd_evaluate(int argc, char **argv);
int fm_cmd_personalize(int argc, char **argv);
int fm_cmd_predict(int argc, char **argv);
int fm_cmd_audit(int argc, char **argv);
int fm_cmd_verify(int argc, char **argv);

/* command.c */
/** Read the JSON file `name` that the driver left beside the configuration file. */
fm_status fm_cmd_read_json(const char *config, const char *name, json_t **out);
const char *fm_cmd_text(const json_t *o, const char *key); /* "" when absent */
double fm_cmd_real(const json_t *o, const char *key);      /* 0 when absent */
long long fm_cmd_whole(const json_t *o, const char *key);  /* 0 when absent */

/** FM_EINVAL when what is to be written is node.yaml, the records or the ledger. */
FM_NODISCARD fm_status fm_cmd_check_apart(const char *output, const char *config,
                                          const fm_node_config *c);

#define FM_CMD_CONFIG_OPTION(variable)                                \
    {                                                                 \
        "config", FM_CLI_STRING, &(variable), "FILE",                 \
            "node.yaml; default: the one in this folder", false, 0, 0 \
    }
#define FM_CMD_JSON_OPTION(variable)                                      \
    {                                                                     \
        "json", FM_CLI_FLAG, &(variable), NULL, "print JSON", false, 0, 0 \
    }

#endif
