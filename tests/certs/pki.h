/* An outside PKI for the tests: the openssl command line, by pki.sh. */
#ifndef FEDMOE_TESTS_CERTS_PKI_H
#define FEDMOE_TESTS_CERTS_PKI_H

#include "world.h"

#define CA_BASIC "critical,CA:TRUE,pathlen:0"
#define CA_USAGE "critical,keyCertSign,cRLSign"

/** `pki.sh COMMAND` in the folder; the program ends when it fails. */
void pki(const char *dir, const char *command, ...) FM_PRINTF(2, 3);
/** The same, with further lines for the extensions of a `sub`. */
void pki_more(const char *dir, const char *lines, const char *command, ...) FM_PRINTF(3, 4);

/** A request of federation heart in dir/name. */
void pki_request(const char *dir, fm_role role, const char *name, fm_key_type type);
/** The lists of the CAs (NULL at their end) as dir/name/../crl.pem-like file dir/FILE. */
void pki_join(const char *dir, const char *file, const char *const *parts);
/** install with what the parts (below dir) say; "" or NULL: not given. */
fm_status pki_install(const char *dir, const char *name, const char *certificate, const char *chain,
                      const char *ca, const char *crls);

#endif
