/* fedmoe-aggregator: the coordinator's program. */
#include <malloc.h>
#include <sys/resource.h>

#include "fedmoe/base/cli.h"
#include "src/commands.h"

/* No key in a core dump; and idle connections must not leave the checkpoint without a file. */
static void set_limits(void)
{
    const struct rlimit no_core = { 0, 0 };
    struct rlimit files;

    (void)setrlimit(RLIMIT_CORE, &no_core);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* One heap for both threads, the loop's and ZeroMQ's: what one frees, the other takes. What is
 * longer than any message is given back at once. */
static void set_heap(void)
{
#ifdef M_ARENA_MAX
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_MMAP_THRESHOLD, 1280 << 10);
    (void)mallopt(M_TRIM_THRESHOLD, 2 << 20);
#endif
}

int main(int argc, char **argv)
{
    static const fm_cli_command commands[] = {
        { "new", "make a federation with usual figures, from CA to join codes", fm_cmd_new },
        { "init", "make a federation's directory: plan, door key, identity", fm_cmd_init },
        { "invite", "print a join code for a new node", fm_cmd_invite },
        { "enrol", "show and sign requests that wait for the CA", fm_cmd_enrol },
        { "revoke", "take a node out of the federation", fm_cmd_revoke },
        { "rotate", "give the federation's CA a successor", fm_cmd_rotate },
        { "start", "run the federation until all rounds are finished", fm_cmd_start },
        { "status", "show how far a federation is, and who takes part", fm_cmd_status },
        { "export", "write the model, or a query's answer, after the last finished round",
          fm_cmd_export },
    };
    static const fm_cli_program program = {
        .program = "fedmoe-aggregator",
        .summary = "Coordinates a federation: collects masked updates, steps the optimizer, "
                   "redistributes the model. It can read only sums.",
        .examples =
            "fedmoe-aggregator init --directory agg --config federation.yaml --identity agg-id\n"
            "fedmoe-aggregator invite hospital-a --directory agg --address tcp://agg.example:7300\n"
            "fedmoe-aggregator start --directory agg",
        .commands = commands,
        .command_count = sizeof commands / sizeof commands[0],
    };

    set_limits();
    set_heap();
    return fm_cli_main(&program, argc, argv);
}
