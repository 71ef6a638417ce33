/* The commands of fedmoe-dp: each takes its own argv and returns the exit code. */
#ifndef FEDMOE_DP_CMD_INTERNAL_H
#define FEDMOE_DP_CMD_INTERNAL_H

#include "fedmoe/dp/accountant.h"

int fm_dp_cmd_epsilon(int argc, char **argv);
int fm_dp_cmd_delta(int argc, char **argv);
int fm_dp_cmd_sigma(int argc, char **argv);
int fm_dp_cmd_compose(int argc, char **argv);
int fm_dp_cmd_ledger(int argc, char **argv);
int fm_dp_cmd_audit(int argc, char **argv);

/* What the commands that reckon share. */
#define Z_LO 1e-6
#define Z_HI 1e12
#define Q_LO 1e-18
#define STEPS_LO 1.0
#define STEPS_HI 1e18
#define DELTA_LO 1e-300
#define DELTA_HI 0.999999
#define EPSILON_HI 1e6

/** "gaussian:z=1.1,q=0.01,steps=1000", "laplace:b=10", "discrete-gaussian:z=1,sensitivity=8". */
fm_status fm_dp_cmd_mechanism(const char *text, fm_dp_mechanism *out);
/** "pld" or "rdp"; FM_EPARSE. */
fm_status fm_dp_cmd_accountant(const char *text, fm_dp_accountant_kind *out);
const char *fm_dp_cmd_accountant_name(fm_dp_accountant_kind k);
/** "gaussian", "laplace", "discrete-gaussian" or NULL. */
const char *fm_dp_cmd_kind_name(fm_dp_mechanism_kind k);
/** FM_EPARSE. */
fm_status fm_dp_cmd_kind(const char *text, fm_dp_mechanism_kind *out);
fm_status fm_dp_cmd_print_cost(const fm_dp_cost *cost, bool json);
/** Six digits, rounded up: what is printed must stay a bound, and noise must stay enough. */
double fm_dp_cmd_shown(double v);
/** Print the failure if there is one; the exit code. */
int fm_dp_cmd_finish(const char *command, fm_status st);

#endif
