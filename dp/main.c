/* fedmoe-dp: what a plan costs, how much noise a budget asks for, what a ledger says. */
#include "fedmoe/base/cli.h"

#include "cmd_internal.h"

static const fm_cli_command COMMANDS[] = {
    { "epsilon", "what a number of rounds costs, as epsilon at a given delta", fm_dp_cmd_epsilon },
    { "delta", "what a number of rounds costs, as delta at a given epsilon", fm_dp_cmd_delta },
    { "sigma", "the noise multiplier that a budget asks for", fm_dp_cmd_sigma },
    { "compose", "what the entries of a ledger add up to", fm_dp_cmd_compose },
    { "ledger", "what a node's ledger holds, what it adds up to, whether it is whole",
      fm_dp_cmd_ledger },
    { "audit", "a lower bound on epsilon from canaries, held against the claim", fm_dp_cmd_audit },
};

int main(int argc, char **argv)
{
    static const fm_cli_program program = {
        .program = "fedmoe-dp",
        .summary = "Reckons the privacy that training spends.",
        .examples = "fedmoe-dp sigma --epsilon 2 --delta 1e-5 --sampling-rate 0.05 --steps 300\n"
                    "fedmoe-dp epsilon --noise-multiplier 1.1 --sampling-rate 0.05 --steps 300 "
                    "--delta 1e-5\n"
                    "fedmoe-dp ledger /var/lib/fedmoe/ledger.db --data-set cleveland",
        .commands = COMMANDS,
        .command_count = sizeof COMMANDS / sizeof *COMMANDS,
    };

    return fm_cli_main(&program, argc, argv);
}
