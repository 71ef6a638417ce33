#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"

#define DAY_S (24 * 3600)

void need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "test-node: cannot prepare %s: %s\n", what, fm_error_text());
    exit(1);
}

void make_path(char out[PATH_CAP], const char *dir, const char *name)
{
    int n = snprintf(out, PATH_CAP, "%s/%s", dir, name);

    need(n > 0 && n < (int)PATH_CAP, "a path");
}

static fm_identity *issue(const char *ca, const char *out_dir, fm_role role, const char *name,
                          int64_t until_s)
{
    const fm_ca_request request = {
        .role = role,
        .name = name,
        .type = FM_KEY_ED25519,
        .not_before_s = until_s - 20 * DAY_S,
        .not_after_s = until_s,
    };
    fm_identity *id = NULL;

    need(fm_ca_issue(ca, &request, out_dir) == FM_OK, name);
    need(fm_identity_load(out_dir, &id) == FM_OK, name);
    return id;
}

static fm_identity *issue_in(const world *w, const char *ca, const char *dir, fm_role role,
                             const char *name, int64_t until_s)
{
    char ca_dir[PATH_CAP], out[PATH_CAP];

    make_path(ca_dir, w->root, ca);
    make_path(out, w->root, dir);
    return issue(ca_dir, out, role, name, until_s);
}

static void make_world(world *w)
{
    static const char *const names[NODES] = { "alpha", "beta", "gamma", "delta" };
    char ca[PATH_CAP], other[PATH_CAP], alpha[PATH_CAP];
    int64_t until;

    w->now_s = fm_clock_wall_s();
    until = w->now_s + 10 * DAY_S;
    fm_test_tmpdir(w->root, sizeof w->root);
    make_path(ca, w->root, "ca");
    make_path(other, w->root, "other-ca");
    need(fm_ca_new(ca, FEDERATION, FM_KEY_ED25519, 365) == FM_OK, "the CA");
    need(fm_ca_new(other, FEDERATION, FM_KEY_ED25519, 365) == FM_OK, "the other CA");
    for (unsigned i = 0; i < NODES; i++)
        w->node[i] = issue_in(w, "ca", names[i], FM_ROLE_NODE, names[i], until);
    w->aggregator = issue_in(w, "ca", "hub", FM_ROLE_AGGREGATOR, "hub", until);
    w->other_aggregator = issue_in(w, "ca", "hub-two", FM_ROLE_AGGREGATOR, "hub-two", until);
    w->stranger = issue_in(w, "other-ca", "stranger", FM_ROLE_NODE, "beta", until);
    w->expired = issue_in(w, "ca", "expired", FM_ROLE_NODE, "epsilon", w->now_s - DAY_S);
    make_path(alpha, w->root, "alpha");
    need(fm_trust_load(alpha, &w->trust) == FM_OK, "the trust");
}

static world g_world;

static void end_world(void)
{
    for (unsigned i = 0; i < NODES; i++)
        fm_identity_free(&g_world.node[i]);
    fm_identity_free(&g_world.aggregator);
    fm_identity_free(&g_world.other_aggregator);
    fm_identity_free(&g_world.stranger);
    fm_identity_free(&g_world.expired);
    fm_trust_free(&g_world.trust);
}

const world *the_world(void)
{
    if (!g_world.trust) {
        make_world(&g_world);
        need(atexit(end_world) == 0, "the end");
    }
    return &g_world;
}

const char *world_node_dir(void)
{
    static char dir[PATH_CAP];

    make_path(dir, the_world()->root, "alpha");
    return dir;
}

void make_credential(const fm_identity *id, const uint8_t x25519[FM_SESSION_KEY_BYTES],
                     const uint8_t curve[FM_SESSION_KEY_BYTES], fm_credential *out)
{
    const fm_cert_info *info = fm_identity_info(id);
    fm_statement s = { .role = info->role, .not_after_s = the_world()->now_s + 3600 };

    memcpy(s.name, info->name, sizeof s.name);
    memcpy(s.federation, info->federation, sizeof s.federation);
    if (info->role == FM_ROLE_NODE)
        memcpy(s.x25519_public, x25519, FM_SESSION_KEY_BYTES);
    memcpy(s.curve_public, curve, FM_SESSION_KEY_BYTES);
    need(fm_credential_make(id, &s, out) == FM_OK, "a credential");
}

fm_buf world_revoke(const char *name, bool foreign)
{
    char ca[PATH_CAP];
    fm_trust *t = NULL;
    const uint8_t *der = NULL;
    size_t len = 0;
    fm_buf out = { 0 };

    make_path(ca, the_world()->root, foreign ? "other-ca" : "ca");
    need(fm_ca_revoke(ca, name) == FM_OK && fm_trust_load(ca, &t) == FM_OK, "a list");
    fm_trust_crl(t, &der, &len);
    need(fm_buf_append(&out, der, len) == FM_OK, "memory");
    fm_trust_free(&t);
    return out;
}
