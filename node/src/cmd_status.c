#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/node/pause.h"
#include "words.h"

static void show(const json_t *j)
{
    const char *reason = fm_cmd_text(j, "reason");

    if (json_is_true(json_object_get(j, "paused")))
        printf("PAUSED by the owner since %s; 'fedmoe-node resume' lifts it\n",
               fm_cmd_text(j, "paused_since"));
    printf("node %s: %s%s%s (as of %s)\n", fm_cmd_text(j, "name"), fm_cmd_text(j, "state"),
           *fm_cmd_text(j, "phase") ? ", " : "", fm_cmd_text(j, "phase"),
           fm_cmd_text(j, "updated"));
    printf("  round      %lld (the plan wants %lld finished rounds)\n", fm_cmd_whole(j, "round"),
           fm_cmd_whole(j, "rounds"));
    printf("  budget     epsilon %.4f of %.4f is spent, at delta %g\n",
           fm_words_up(fm_cmd_real(j, "epsilon_spent")), fm_cmd_real(j, "epsilon_budget"),
           fm_cmd_real(j, "delta"));
    printf("  traffic    %lld bytes sent, %lld received\n", fm_cmd_whole(j, "bytes_sent"),
           fm_cmd_whole(j, "bytes_received"));
    printf("  records    %lld\n", fm_cmd_whole(j, "records"));
    if (*reason)
        printf("  last said  %s\n", reason);
}

/** The file says whether it is paused, also while no node runs. */
static fm_status add_pause(const char *config, json_t *j)
{
    char since[FM_PAUSE_TIME], *dir = NULL;
    fm_status st = fm_path_dir(config, &dir);
    bool on;

    if (st != FM_OK)
        return st;
    on = fm_pause_is_on(dir, since);
    free(dir);
    if (json_object_set_new(j, "paused", json_boolean(on)) == 0 &&
        json_object_set_new(j, "paused_since", json_string(since)) == 0)
        return FM_OK;
    return fm_fail(FM_EPARSE, "status.json beside %s is no status of fedmoe-node", config);
}

int fm_cmd_status(int argc, char **argv)
{
    const char *config = "node.yaml";
    bool json = false;
    const fm_cli_option options[] = { FM_CMD_CONFIG_OPTION(config), FM_CMD_JSON_OPTION(json) };
    const fm_cli_spec spec = {
        .program = "fedmoe-node status",
        .summary = "Show how far the node is, from the status.json that it writes.",
        .examples = "fedmoe-node status\nfedmoe-node status --config hospital/node.yaml --json",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    json_t *j = NULL;
    int first = 0, code = 0;
    fm_status st;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    st = fm_cmd_read_json(config, "status.json", &j);
    if (st == FM_ENOTFOUND)
        (void)fm_fail(st, "there is no status.json beside %s; the node has not been started yet",
                      config);
    if (st == FM_OK)
        st = add_pause(config, j);
    if (st == FM_OK && json)
        st = fm_json_print(j);
    else if (st == FM_OK)
        show(j);
    json_decref(j);
    return st == FM_OK ? 0 : fm_cli_failed(spec.program);
}
