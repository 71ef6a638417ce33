/* The commands of fedmoe-dp: each takes its own argv and returns the exit code. */
#ifndef FEDMOE_DP_CMD_INTERNAL_H
#define FEDMOE_DP_CMD_INTERNAL_H

int fm_dp_cmd_epsilon(int argc, char **argv);
int fm_dp_cmd_delta(int argc, char **argv);
int fm_dp_cmd_sigma(int argc, char **argv);
int fm_dp_cmd_ledger(int argc, char **argv);
int fm_dp_cmd_audit(int argc, char **argv);

#endif
