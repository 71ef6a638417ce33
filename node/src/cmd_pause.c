/* Pause and resume: the file that a running node looks at, and that the next one finds. */
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "fedmoe/base/file.h"
#include "fedmoe/node/pause.h"

/** The folder of a node.yaml, which need not be one that loads: a pause beside no node.yaml would
 *  stop nothing. */
static fm_status find_folder(const char *config, char **dir)
{
    if (!fm_file_exists(config))
        return fm_fail(FM_ENOTFOUND, "%s is not there; name the node's with --config", config);
    return fm_path_dir(config, dir);
}

static fm_status order(const char *dir)
{
    char since[FM_PAUSE_TIME];
    fm_status st = fm_pause_order(dir);

    if (st != FM_OK)
        return st;
    (void)fm_pause_is_on(dir, since);
    printf("paused since %s: no update leaves from now on. A round whose update is out already is\n"
           "done to its end, or the others would lose it. Kept over restarts; 'fedmoe-node resume' "
           "lifts it.\n",
           *since ? since : "an unknown time");
    return FM_OK;
}

static fm_status lift(const char *dir)
{
    const bool on = fm_pause_is_on(dir, NULL);
    fm_status st = fm_pause_lift(dir);

    if (st == FM_OK)
        printf("%s\n", on ? "resumed: a running node takes part again from the next round on"
                          : "this node was not paused");
    return st;
}

static int run(const fm_cli_spec *spec, const char *const *config, int argc, char **argv,
               fm_status (*act)(const char *dir))
{
    char *dir = NULL;
    int first = 0, code = 0;
    fm_status st;

    if (!fm_cli_begin(spec, argc, argv, &first, &code))
        return code;
    if ((st = find_folder(*config, &dir)) == FM_OK)
        st = act(dir);
    free(dir);
    return st == FM_OK ? 0 : fm_cli_failed(spec->program);
}

int fm_cmd_pause(int argc, char **argv)
{
    const char *config = "node.yaml";
    const fm_cli_option options[] = { FM_CMD_CONFIG_OPTION(config) };
    const fm_cli_spec spec = {
        .program = "fedmoe-node pause",
        .summary = "Take part in no further round until 'fedmoe-node resume': a running node stops "
                   "before its next update leaves, a restarted one stays paused. The others go on "
                   "if they are enough, and hold nothing against this node.",
        .examples = "fedmoe-node pause\nfedmoe-node pause --config hospital/node.yaml",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };

    return run(&spec, &config, argc, argv, order);
}

int fm_cmd_resume(int argc, char **argv)
{
    const char *config = "node.yaml";
    const fm_cli_option options[] = { FM_CMD_CONFIG_OPTION(config) };
    const fm_cli_spec spec = {
        .program = "fedmoe-node resume",
        .summary = "Lift the pause: a running node takes part again from the next round on.",
        .examples = "fedmoe-node resume\nfedmoe-node resume --config hospital/node.yaml",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };

    return run(&spec, &config, argc, argv, lift);
}
