#include "house.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/model/decoder_folder.h"
#include "fedmoe/node/decision.h"
#include "fedmoe/node/journal.h"

/* ---- who this node is ---- */

/** Then what is missing is the key: the certificate is read first. */
static bool has_certificate(const fm_node_config *c)
{
    char *path = NULL;
    const bool there =
        fm_path_join(c->identity_dir, "identity.crt", &path) == FM_OK && fm_file_exists(path);

    free(path);
    return there;
}

fm_status fm_house_identity(const fm_node_config *c, const char *path, fm_identity **out)
{
    const fm_cert_info *info;
    fm_identity *id = NULL;
    fm_status st = fm_identity_load(c->identity_dir, &id);

    if (st == FM_ENOTFOUND && has_certificate(c))
        st = fm_fail(st,
                     "%s; its certificate is there: put the key back from the backup of this "
                     "folder, or have the coordinator revoke '%s' and invite you again",
                     fm_error_text(), c->name);
    else if (st == FM_ENOTFOUND)
        st = fm_fail(st, "%s; see identity in %s", fm_error_text(), path);
    if (st != FM_OK)
        return st;
    info = fm_identity_info(id);
    if (info->role == FM_ROLE_NODE && strcmp(info->name, c->name) == 0) {
        *out = id;
        return FM_OK;
    }
    st = fm_fail(FM_EPERM, "%s: name is '%s', but the certificate in %s is that of %s '%s'", path,
                 c->name, c->identity_dir, fm_role_name(info->role), info->name);
    fm_identity_free(&id);
    return st;
}

fm_status fm_house_self(const fm_node_config *c, const fm_identity *id, const fm_trust *trust)
{
    fm_peer *self = NULL;
    fm_status st = fm_peer_verify_self(trust, id, FM_ROLE_NODE, fm_clock_wall_s(), &self);

    fm_peer_free(&self);
    return st == FM_OK ? FM_OK : fm_fail_context(st, "%s/identity.crt: ", c->identity_dir);
}

/* ---- who may write what it goes by ---- */

#define PLACES_MAX (FM_NODE_MAX_APPROVERS + 4)

/** node.yaml with its folder, the identity's folder, the ledger, the approvers' keys: borrowed, but
 *  for *folder, which the caller frees. */
static size_t places(const fm_node_config *c, const char *path, char **folder,
                     const char *out[PLACES_MAX])
{
    size_t n = 0;

    out[n++] = path;
    out[n++] = c->identity_dir;
    if (fm_path_dir(c->ledger, folder) == FM_OK)
        out[n++] = *folder;
    for (size_t i = 0; i < c->policy.approver_count; i++)
        out[n++] = c->policy.approvers[i];
    return n;
}

static fm_status look_at_modes(const fm_node_config *c, const char *path, fm_house_say say,
                               void *ctx)
{
    const char *list[PLACES_MAX];
    char *folder = NULL;
    const size_t n = places(c, path, &folder, list);
    fm_status st = FM_OK;

    for (size_t i = 0; i < n && st == FM_OK; i++) {
        const fm_status one = fm_file_check_unshared(list[i]);

        /* What is not there is told of by who reads it. */
        if (one != FM_OK && one != FM_ENOTFOUND)
            st = say(ctx, "modes", one);
    }
    free(folder);
    return st;
}

bool fm_house_is_foreign(const fm_node_config *c, const char *path, char *text, size_t cap)
{
    const char *list[PLACES_MAX];
    char *folder = NULL;
    const size_t n = places(c, path, &folder, list);
    unsigned long owner = 0;
    bool found = false;

    for (size_t i = 0; i < n && !found; i++)
        if ((found = fm_file_is_foreign(list[i], &owner)))
            (void)snprintf(
                text, cap,
                "%s belongs to user %lu, neither to root nor to who runs the node: right "
                "only if that user decides for the node",
                list[i], owner);
    free(folder);
    return found;
}

/* ---- folders ---- */

static fm_status look_at_folders(const fm_node_config *c, fm_house_say say, void *ctx)
{
    char *folder = NULL, *list = NULL;
    fm_status st;

    if ((st = fm_path_dir(c->ledger, &folder)) != FM_OK ||
        (st = fm_path_join(c->identity_dir, "crl.pem", &list)) != FM_OK)
        goto done;
    if ((st = say(ctx, "folder", fm_dir_check_writable(c->dir))) != FM_OK)
        goto done;
    if (strcmp(folder, c->dir) != 0 && (st = fm_dir_check_writable(folder)) != FM_OK &&
        (st = say(ctx, "ledger", fm_fail_context(st, "ledger %s: ", c->ledger))) != FM_OK)
        goto done;
    if (c->scratch && (st = fm_dir_check_writable(c->scratch)) != FM_OK &&
        (st = say(ctx, "scratch", fm_fail_context(st, "data.scratch: "))) != FM_OK)
        goto done;
    /* Lists that are in force are noted there. */
    st = FM_OK;
    if (fm_file_exists(list) && (st = fm_dir_check_writable(c->identity_dir)) != FM_OK)
        st = say(ctx, "identity", fm_fail_context(st, "identity: "));
done:
    free(folder);
    free(list);
    return st;
}

/* ---- people ---- */

static fm_status look_at_approvers(const fm_node_config *c, fm_house_say say, void *ctx)
{
    fm_public_key key;
    fm_status st = FM_OK;

    for (size_t i = 0; i < c->policy.approver_count && st == FM_OK; i++) {
        st = fm_public_key_load(c->policy.approvers[i], &key);
        if (st == FM_ENOTFOUND)
            st = fm_fail(st, "%s: not there; see policy.approvers", c->policy.approvers[i]);
        if (st != FM_OK)
            st = say(ctx, "approvers", st);
    }
    return st;
}

fm_status fm_house_journal(const fm_node_config *c, uint64_t *released)
{
    char *path = NULL;
    fm_status st = fm_path_join(c->dir, "state.db", &path);

    *released = 0;
    if (st == FM_OK && fm_file_exists(path))
        st = fm_journal_read_released(path, released);
    free(path);
    return st;
}

/** As the journal knows them. */
static fm_status look_at_decisions(const fm_node_config *c, fm_house_say say, void *ctx)
{
    fm_decisions all = { 0 };
    uint64_t released = 0;
    fm_status st = fm_house_journal(c, &released);

    if (st != FM_OK)
        return say(ctx, "journal", st);
    st = fm_decisions_of_node(c, &all);
    fm_decisions_fini(&all);
    return st == FM_OK ? FM_OK : say(ctx, "decisions", st);
}

static fm_status look_at_model(const fm_node_config *c, fm_house_say say, void *ctx)
{
    fm_decoder_folder *folder = NULL;
    fm_status st = FM_OK;

    if (c->model && (st = fm_decoder_folder_open(c->model, &folder)) != FM_OK)
        st = say(ctx, "base model", fm_fail_context(st, "model: "));
    fm_decoder_folder_free(&folder);
    return st;
}

fm_status fm_house_look(const fm_node_config *c, const char *path, fm_house_say say, void *ctx)
{
    fm_status st;

    if ((st = look_at_modes(c, path, say, ctx)) != FM_OK ||
        (st = look_at_folders(c, say, ctx)) != FM_OK ||
        (st = look_at_approvers(c, say, ctx)) != FM_OK ||
        (st = look_at_decisions(c, say, ctx)) != FM_OK)
        return st;
    return look_at_model(c, say, ctx);
}
