/* The commands of fedmoe-aggregator, one file each. */
#ifndef FEDMOE_AGGREGATOR_COMMANDS_H
#define FEDMOE_AGGREGATOR_COMMANDS_H

int fm_cmd_init(int argc, char **argv);
int fm_cmd_invite(int argc, char **argv);
int fm_cmd_enrol(int argc, char **argv);
int fm_cmd_revoke(int argc, char **argv);
int fm_cmd_start(int argc, char **argv);
int fm_cmd_status(int argc, char **argv);
int fm_cmd_export(int argc, char **argv);

#endif
