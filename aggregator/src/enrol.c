#include "fedmoe/aggregator/enrol.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/log.h"

struct fm_enroller {
    char *dir, *ca; /* ca NULL: none */
    fm_invitations *store;
    fm_trust *trust; /* as it was at the last answer; its list is lent to that */
    fm_buf certificate;
};

fm_status fm_enroller_new(const char *dir, const char *ca, fm_enroller **out)
{
    fm_enroller *e = NULL;
    void *p = NULL;
    fm_status st;

    if (!dir || !out)
        return fm_fail(FM_EINVAL, "fm_enroller_new: NULL argument");
    if ((st = fm_alloc(1, sizeof *e, &p)) != FM_OK)
        return st;
    e = p;
    if ((st = fm_strdup(dir, &e->dir)) != FM_OK || (ca && (st = fm_strdup(ca, &e->ca)) != FM_OK) ||
        (st = fm_invitations_open(dir, true, &e->store)) != FM_OK) {
        fm_enroller_free(&e);
        return st;
    }
    *out = e;
    return FM_OK;
}

void fm_enroller_free(fm_enroller **e)
{
    if (!e || !*e)
        return;
    fm_invitations_close(&(*e)->store);
    fm_trust_free(&(*e)->trust);
    fm_buf_fini(&(*e)->certificate);
    free((*e)->dir);
    free((*e)->ca);
    free(*e);
    *e = NULL;
}

/* ---- may it? ---- */

static fm_status refuse_ended(const fm_invited *i, int64_t now_s)
{
    char end[32], now[32];

    fm_clock_format(i->expires_s, end, sizeof end);
    fm_clock_format(now_s, now, sizeof now);
    return fm_fail(FM_EPERM,
                   "this join code ended on %s, and it is %s here; ask the coordinator for a new "
                   "one",
                   end, now);
}

/** Whether this request may use, or has used, the invitation. */
static fm_status check_request(const fm_enroller *e, const fm_invited *i,
                               const fm_request_info *info, int64_t now_s)
{
    if (info->role != FM_ROLE_NODE || strcmp(info->name, i->name) != 0)
        return fm_fail(FM_EPERM, "this join code is for node '%s', not for %s '%s'", i->name,
                       fm_role_name(info->role), info->name);
    if (strcmp(info->federation, fm_trust_federation(e->trust)) != 0)
        return fm_fail(FM_EPERM, "this aggregator is that of federation '%s', not '%s'",
                       fm_trust_federation(e->trust), info->federation);
    if (i->withdrawn)
        return fm_fail(FM_EPERM, "this join code was withdrawn; ask the coordinator for a new one");
    if (i->bound && !fm_hash_equal(&i->key, &info->key))
        return fm_fail(FM_EPERM, "this join code was used already, with another key: if that was "
                                 "not you, tell the coordinator at once");
    if (!i->bound && now_s > i->expires_s)
        return refuse_ended(i, now_s);
    return FM_OK;
}

/** The log has the reason; what is told names no file of this house. */
static fm_status not_now(const char *name, fm_status st)
{
    fm_log(FM_LOG_ERROR, "'%s' cannot be enrolled: %s", name, fm_error_text());
    if (st == FM_EEXIST)
        return fm_fail(FM_EPERM,
                       "'%s' has a certificate for another key; the coordinator must revoke it "
                       "first (fedmoe-aggregator revoke) and then invite it anew",
                       name);
    if (st == FM_ETIMEOUT)
        return fm_fail(FM_EIO, "the CA is in use by another program at the moment; ask again");
    if (st == FM_EAUTH)
        return fm_fail(FM_EPERM,
                       "the CA has no certificate of '%s' for this key that could be renewed; the "
                       "coordinator must revoke the name and invite it anew",
                       name);
    if (st == FM_ESTATE)
        return fm_fail(FM_EPERM, "the CA itself ends too soon for another certificate; the "
                                 "consortium needs a new one");
    return fm_fail(FM_EIO, "the aggregator cannot issue at the moment; its log says why");
}

/* ---- the steps ---- */

static fm_status sign(fm_invitations *store, const char *ca, const uint8_t *invitation,
                      const fm_invited *i, const uint8_t *request, size_t len, fm_buf *certificate)
{
    fm_buf made = { 0 };
    fm_status st;

    if ((st = fm_ca_sign_request(ca, request, len, i->days, &made)) == FM_OK &&
        (st = fm_invitations_issue(store, invitation, made.data, made.len)) == FM_OK) {
        fm_buf_clear(certificate);
        st = fm_buf_append(certificate, made.data, made.len);
    }
    fm_buf_fini(&made);
    return st;
}

static fm_status bind_and_sign(fm_enroller *e, const fm_msg_enrol *m, const fm_invited *i,
                               const fm_request_info *info)
{
    char key[2 * FM_HASH_BYTES + 1];
    fm_status st = FM_OK;

    if (!i->bound && (st = fm_invitations_bind(e->store, m->invitation, &info->key, m->request.data,
                                               m->request.len)) != FM_OK)
        return st == FM_EEXIST ? fm_fail(FM_EPERM, "this join code was used or withdrawn just now")
                               : not_now(i->name, st);
    fm_hash_hex(&info->key, key);
    if (e->ca) {
        if ((st = sign(e->store, e->ca, m->invitation, i, m->request.data, m->request.len,
                       &e->certificate)) != FM_OK)
            return not_now(i->name, st);
        fm_log(FM_LOG_INFO, "'%s' is enrolled, key %s", i->name, key);
    } else if (!i->bound) {
        fm_log(FM_LOG_INFO, "'%s' asks for a certificate, key %s: fedmoe-aggregator enrol %s",
               i->name, key, i->name);
    }
    return FM_OK;
}

static void lend_successor(const fm_enroller *e, fm_msg_enrolled *out)
{
    const fm_succession s = fm_trust_succession(e->trust);

    out->successor.authority = (fm_bytes){ s.ca, s.ca_len };
    out->successor.signature = (fm_bytes){ s.signature, s.signature_len };
    for (size_t i = 0; i < fm_trust_list_count(e->trust); i++) {
        fm_crl_view crl;

        fm_trust_list(e->trust, i, &crl);
        if (crl.of_successor)
            out->successor_revocations = (fm_bytes){ crl.der, crl.len };
    }
}

static void lend(const fm_enroller *e, fm_msg_enrolled *out)
{
    *out = (fm_msg_enrolled){ 0 };
    if (e->certificate.len == 0)
        return;
    out->certificate = (fm_bytes){ e->certificate.data, e->certificate.len };
    fm_trust_ca(e->trust, 0, &out->authority.data, &out->authority.len);
    fm_trust_crl(e->trust, &out->revocations.data, &out->revocations.len);
    lend_successor(e, out);
    if (out->revocations.len + out->successor_revocations.len > FM_MAX_DOOR_CRL_BYTES)
        out->revocations = out->successor_revocations = (fm_bytes){ 0 };
}

/** CA and list as they are now; a desk may have replaced the list. */
static fm_status refresh(fm_enroller *e)
{
    fm_trust *t = NULL;
    fm_status st = fm_trust_load(e->dir, &t);

    if (st != FM_OK)
        return st;
    fm_trust_free(&e->trust);
    e->trust = t;
    return FM_OK;
}

fm_status fm_enroller_take(fm_enroller *e, const fm_msg_enrol *m, int64_t now_s,
                           fm_msg_enrolled *out)
{
    fm_request_info info;
    fm_invited i;
    fm_status st;

    fm_buf_clear(&e->certificate);
    st = fm_invitations_find(e->store, m->invitation, &i, NULL, &e->certificate);
    if (st == FM_ENOTFOUND)
        return fm_fail(FM_EPERM, "this join code is not known here; ask the coordinator for one");
    if (st != FM_OK || (st = refresh(e)) != FM_OK)
        return not_now("?", st);
    if ((st = fm_request_check(m->request.data, m->request.len, &info)) != FM_OK ||
        (st = check_request(e, &i, &info, now_s)) != FM_OK)
        return st;
    if (e->certificate.len == 0 && (st = bind_and_sign(e, m, &i, &info)) != FM_OK)
        return st;
    lend(e, out);
    return FM_OK;
}

fm_status fm_enroller_renew(fm_enroller *e, const char *name, fm_bytes request,
                            fm_msg_enrolled *out)
{
    fm_request_info info;
    fm_buf made = { 0 };
    fm_status st;

    if (!e->ca)
        return fm_fail(FM_EPERM,
                       "this aggregator cannot renew; the coordinator must revoke and "
                       "invite '%s' before its certificate ends",
                       name);
    if ((st = fm_request_check(request.data, request.len, &info)) != FM_OK)
        return st;
    if (info.role != FM_ROLE_NODE || strcmp(info.name, name) != 0)
        return fm_fail(FM_EPERM, "'%s' asks for the certificate of another", name);
    fm_buf_clear(&e->certificate);
    if ((st = refresh(e)) == FM_OK &&
        (st = fm_ca_renew_request(e->ca, request.data, request.len, &made)) == FM_OK)
        st = fm_buf_append(&e->certificate, made.data, made.len);
    fm_buf_fini(&made);
    if (st != FM_OK)
        return not_now(name, st);
    fm_log(FM_LOG_INFO, "'%s' has its next certificate", name);
    lend(e, out);
    return FM_OK;
}

static fm_status answer_enrol(void *ctx, const fm_msg_enrol *m, fm_msg_enrolled *out)
{
    return fm_enroller_take(ctx, m, fm_clock_wall_s(), out);
}

static bool is_known(void *ctx, const uint8_t invitation[FM_INVITATION_KEY_BYTES])
{
    const fm_enroller *e = ctx;
    fm_invited i;
    /* A failure of the file is for fm_enroller_take to say. */
    const bool known = fm_invitations_find(e->store, invitation, &i, NULL, NULL) != FM_ENOTFOUND;

    fm_error_clear();
    return known;
}

static fm_status answer_renew(void *ctx, const char *name, fm_bytes request, fm_msg_enrolled *out)
{
    return fm_enroller_renew(ctx, name, request, out);
}

fm_link_issuer fm_enroller_issuer(fm_enroller *e)
{
    return (fm_link_issuer){
        .ctx = e, .enrol = answer_enrol, .known = is_known, .renew = answer_renew
    };
}

/* ---- at the desk ---- */

typedef struct {
    const char *name;
    bool found;
    uint8_t key[FM_INVITATION_KEY_BYTES];
} waiting;

static fm_status look_for(void *ctx, const uint8_t key[FM_INVITATION_KEY_BYTES],
                          const fm_invited *i)
{
    waiting *w = ctx;

    if (i->bound && !i->issued && !i->withdrawn && strcmp(i->name, w->name) == 0) {
        w->found = true;
        memcpy(w->key, key, sizeof w->key);
    }
    return FM_OK;
}

/** Half of the digits or more: nobody makes a key that agrees in so many. Public, not secret. */
static fm_status check_key(const fm_desk_order *o, const fm_hash *key)
{
    char has[2 * FM_HASH_BYTES + 1];
    const size_t len = strlen(o->key);

    if (len < FM_DESK_KEY_MIN || len > 2 * FM_HASH_BYTES ||
        strspn(o->key, "0123456789abcdefABCDEF") != len)
        return fm_fail(FM_EINVAL, "the key is given in hex, %u to %u digits of it", FM_DESK_KEY_MIN,
                       2 * FM_HASH_BYTES);
    fm_hash_hex(key, has);
    if (strncasecmp(has, o->key, len) != 0)
        return fm_fail(FM_EAUTH,
                       "the request of '%s' that waits is for the key %s, not for the one that was "
                       "read out: nothing is signed; find out whose it is",
                       o->name, has);
    return FM_OK;
}

fm_status fm_enroller_sign(const char *dir, const char *ca, const fm_desk_order *o,
                           fm_hash *signed_key)
{
    waiting w = { .name = o ? o->name : NULL };
    fm_invitations *store = NULL;
    fm_buf request = { 0 }, certificate = { 0 };
    fm_request_info info;
    fm_invited i;
    fm_status st;

    if (!dir || !ca || !o || !o->name || !o->key || !signed_key)
        return fm_fail(FM_EINVAL, "fm_enroller_sign: NULL argument");
    if ((st = fm_invitations_open(dir, false, &store)) != FM_OK ||
        (st = fm_invitations_each(store, look_for, &w)) != FM_OK)
        goto done;
    if (!w.found) {
        st = fm_fail(FM_ENOTFOUND, "no request of '%s' waits here", o->name);
        goto done;
    }
    if ((st = fm_invitations_find(store, w.key, &i, &request, NULL)) != FM_OK ||
        (st = fm_request_check(request.data, request.len, &info)) != FM_OK)
        goto done;
    /* The file may have been altered since the door checked the request, or since people looked. */
    if (info.role != FM_ROLE_NODE || strcmp(info.name, o->name) != 0 ||
        !fm_hash_equal(&info.key, &i.key))
        st = fm_fail(FM_EAUTH, "the request that waits is not that of node '%s'", o->name);
    else
        st = check_key(o, &info.key);
    if (st != FM_OK)
        goto done;
    i.days = i.days < o->days ? i.days : o->days;
    if ((st = sign(store, ca, w.key, &i, request.data, request.len, &certificate)) == FM_OK)
        *signed_key = info.key;
done:
    fm_buf_fini(&request);
    fm_buf_fini(&certificate);
    fm_invitations_close(&store);
    return st;
}
