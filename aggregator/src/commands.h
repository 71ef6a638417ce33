/* The commands of fedmoe-aggregator, one file each. */
#ifndef FEDMOE_AGGREGATOR_COMMANDS_H
#define FEDMOE_AGGREGATOR_COMMANDS_H

#include "fedmoe/aggregator/directory.h"
#include "fedmoe/certs/identity.h"

int fm_cmd_new(int argc, char **argv);
int fm_cmd_init(int argc, char **argv);
int fm_cmd_invite(int argc, char **argv);
int fm_cmd_enrol(int argc, char **argv);
int fm_cmd_revoke(int argc, char **argv);
int fm_cmd_rotate(int argc, char **argv);
int fm_cmd_start(int argc, char **argv);
int fm_cmd_status(int argc, char **argv);
int fm_cmd_export(int argc, char **argv);

/** What init has chosen, for people; warnings on standard error. */
void fm_cmd_init_report(const char *program, const char *dir, const fm_aggregator_init_report *r);
/** Print a join code with the usual terms. */
FM_NODISCARD fm_status fm_cmd_invite_one(const char *dir, const char *address, const char *name);
/** The first model at `output`, by fedmoe-model. FM_ENOTFOUND it is not installed; FM_EINVAL it has
 * said on standard error why not. */
FM_NODISCARD fm_status fm_cmd_new_model(const char *schema, const char *output);
/** FM_EAUTH unless the CA's folder holds a CA that the aggregator's has pinned: the lists of
 * another would be refused by all. */
FM_NODISCARD fm_status fm_cmd_check_ca(const char *dir, const char *ca);
/** The lists of `from` into the aggregator's crl.pem, beside those of other CAs. */
FM_NODISCARD fm_status fm_cmd_bring_lists(const char *dir, const fm_trust *from);

#endif
