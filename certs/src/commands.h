/* The commands of fedmoe-certs, and what they share. */
#ifndef FEDMOE_CERTS_COMMANDS_H
#define FEDMOE_CERTS_COMMANDS_H

#include "fedmoe/base/cli.h"

int fm_certs_show(int argc, char **argv);
int fm_certs_request(int argc, char **argv);
int fm_certs_install(int argc, char **argv);
int fm_certs_ca_rotate(int argc, char **argv);
int fm_certs_ca_drop(int argc, char **argv);
int fm_certs_renew(int argc, char **argv);

/** For values that the option table cannot check: same exit code as its own refusals. */
int fm_certs_bad_usage(const char *program);

#endif
