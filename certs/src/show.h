/* fedmoe-certs show. */
#ifndef FEDMOE_CERTS_SHOW_H
#define FEDMOE_CERTS_SHOW_H

int fm_certs_show(int argc, char **argv);

#endif
