/* What most tests need: a CA, members of it, files to damage. */
#ifndef FEDMOE_TESTS_CERTS_WORLD_H
#define FEDMOE_TESTS_CERTS_WORLD_H

#include "fedmoe/certs/identity.h"
#include "fedmoe/certs/statement.h"
#include "fm_test.h"

#define PATH_CAP 512
#define DAY_S (24 * 3600)

extern const fm_key_type KEY_TYPES[2]; /* both, for loops */

typedef struct {
    char root[PATH_CAP];
    char ca[PATH_CAP], node[PATH_CAP], aggregator[PATH_CAP];
    fm_trust *trust;
    fm_identity *node_id, *aggregator_id;
    int64_t now_s;
} world;

/** CA "heart", node "alpha", aggregator "hub"; all keys of one type. Ends the program on failure.
 */
void world_make(world *w, fm_key_type type);
void world_end(world *w);

/** A fresh folder's subfolder of that name. */
void make_path(char out[PATH_CAP], const char *dir, const char *name);
/** Issue with `days`; the result directory is dir/name. */
fm_status issue(const char *ca, fm_role role, const char *name, fm_key_type type, unsigned days,
                const char *out_dir);
/** fm_peer_verify of an identity's certificate, forgetting the peer. */
fm_status verify(const fm_trust *t, const fm_identity *id, fm_role role, int64_t now_s);

fm_status replace_file(const char *dir, const char *name, const void *data, size_t len,
                       unsigned mode);
void copy_file(const char *from_dir, const char *to_dir, const char *name);
/** Number of entries of a directory, 0 when it is not there. */
size_t count_files(const char *dir);

/** Whether the error text of the last failure has the word. */
bool says(const char *word);

/** End the program: the test's own preparation failed. */
void need(bool ok, const char *what);

#endif
