#include "enrol_desk.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "fedmoe/base/clock.h"

void desk_invite(desk *d, const char *name, uint8_t first)
{
    fm_invited i = { .expires_s = d->now_s + HOUR_S, .days = 30 };
    uint8_t key[FM_INVITATION_KEY_BYTES];
    fm_invitations *s = NULL;

    memset(d->token, first, sizeof d->token);
    (void)snprintf(i.name, sizeof i.name, "%s", name);
    need(fm_enrol_public(d->token, key) == FM_OK &&
             fm_invitations_open(d->agg, true, &s) == FM_OK &&
             fm_invitations_add(s, key, &i, d->now_s) == FM_OK,
         "invitation");
    fm_invitations_close(&s);
}

void desk_open(desk *d, bool with_ca)
{
    fm_enroller_free(&d->e);
    need(fm_enroller_new(d->agg, with_ca ? d->ca : NULL, &d->e) == FM_OK, "enroller");
}

void desk_make(desk *d, bool with_ca)
{
    const fm_ca_request r = { .role = FM_ROLE_AGGREGATOR, .name = "hub", .days = 30 };

    memset(d, 0, sizeof *d);
    fm_test_tmpdir(d->root, sizeof d->root);
    yaml_path(d->ca, d->root, "ca");
    yaml_path(d->agg, d->root, "agg");
    d->now_s = fm_clock_wall_s();
    need(fm_ca_new(d->ca, "heart", FM_KEY_ED25519, 365) == FM_OK, "ca");
    need(fm_ca_issue(d->ca, &r, d->agg) == FM_OK, "aggregator");
    desk_invite(d, "alpha", 1);
    desk_open(d, with_ca);
}

void desk_end(desk *d)
{
    fm_enroller_free(&d->e);
}

fm_buf desk_request(const desk *d, const char *folder, const char *of, const char *name)
{
    char dir[PATH_CAP];
    fm_buf b;

    yaml_path(dir, d->root, folder);
    need(fm_request_make(dir, FM_KEY_ED25519, of, name, &b) == FM_OK, "request");
    return b;
}

fm_msg_enrol desk_message(const desk *d, const fm_buf *r)
{
    static const uint8_t zero[32];
    const fm_enrol_channel channel = { zero, zero };
    fm_msg_enrol m;

    need(fm_enrol_prove(d->token, &channel, (fm_bytes){ r->data, r->len }, &m) == FM_OK, "proof");
    return m;
}

fm_status desk_take(desk *d, const fm_buf *r, fm_msg_enrolled *out)
{
    const fm_msg_enrol m = desk_message(d, r);

    return fm_enroller_take(d->e, &m, d->now_s, out);
}

void desk_refused(desk *d, const fm_buf *r, const char *words)
{
    fm_msg_enrolled out;

    CU_ASSERT_NOT_EQUAL(desk_take(d, r, &out), FM_OK);
    CU_ASSERT_TRUE(says(words));
    CU_ASSERT_PTR_NULL(strstr(fm_error_text(), d->root)); /* no path of this house is told */
}

unsigned desk_issued(const desk *d, const char *name)
{
    char path[PATH_CAP];
    unsigned n = 0;
    DIR *dir;

    yaml_path(path, d->ca, "issued");
    need((dir = opendir(path)) != NULL, path);
    for (struct dirent *e; (e = readdir(dir));)
        n += strncmp(e->d_name, name, strlen(name)) == 0 && e->d_name[strlen(name)] == '-';
    (void)closedir(dir);
    return n;
}

bool desk_same(fm_bytes a, const fm_buf *b)
{
    return a.len == b->len && memcmp(a.data, b->data, a.len) == 0;
}
