/* A consortium with real certificates: one CA, an aggregator, four nodes; and impostors. */
#ifndef FEDMOE_TESTS_NODE_WORLD_H
#define FEDMOE_TESTS_NODE_WORLD_H

#include "fedmoe/certs/statement.h"
#include "fm_test.h"

#define PATH_CAP 512
#define NODES 4u
#define FEDERATION "heart"

typedef struct {
    int64_t now_s; /* of all tests: certificates are valid around it */
    char root[PATH_CAP];
    fm_trust *trust;
    fm_identity *node[NODES], *aggregator;
    fm_identity *other_aggregator; /* same CA, another certificate */
    fm_identity *stranger;         /* a node by name, under another CA of the same federation */
    fm_identity *expired;          /* a node of this CA, until yesterday */
} world;

/** Made once; lives until the program ends. */
const world *the_world(void);
/** The CA's list after this name was revoked too, DER; and that of the other CA when `foreign`.
 *  Owned by the caller. */
fm_buf world_revoke(const char *name, bool foreign);
/** dir/name */
void make_path(char out[PATH_CAP], const char *dir, const char *name);
/** A folder under the world's with node 0's identity.key, identity.crt and ca.crt. */
const char *world_node_dir(void);

/** A credential with these session keys; ends the program on failure. */
void make_credential(const fm_identity *id, const uint8_t x25519[FM_SESSION_KEY_BYTES],
                     const uint8_t curve[FM_SESSION_KEY_BYTES], fm_credential *out);

/** End the program: the test's own preparation failed. */
void need(bool ok, const char *what);

#endif
