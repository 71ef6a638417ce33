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
/** What the first PEM block of dir/FILE holds. @param out  initialised here. */
void pki_der(const char *dir, const char *file, fm_buf *out);
/** dir/FILE from the files of that folder, one behind the other; NULL at their end. */
void pki_join(const char *dir, const char *file, const char *const *parts);
/** install with what the parts (below dir) say; "" or NULL: not given. */
fm_status pki_install(const char *dir, const char *name, const char *certificate, const char *chain,
                      const char *ca, const char *crls);

#endif
