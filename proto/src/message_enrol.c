/* Enrol, Renew and Enrolled at the door; Revocations in a session. */
#include "codec_internal.h"

/* ---- Enrol ---- */

static fm_status enrol_check(const fm_codec *c, const fm_message *m)
{
    if (m->enrol.version == 0)
        return fm_codec_fail(c, "version", "must be at least 1");
    return fm_codec_check_bytes(c, "request", m->enrol.request, 1, FM_REQUEST_MAX_BYTES);
}

static fm_status enrol_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *w->enrol, &p);

    if (st != FM_OK)
        return st;
    w->enrol = p;
    fedmoe__v1__enrol__init(w->enrol);
    w->enrol->version = m->enrol.version;
    w->enrol->invitation = fm_codec_put_bytes(m->enrol.invitation, sizeof m->enrol.invitation);
    w->enrol->request = fm_codec_put_bytes(m->enrol.request.data, m->enrol.request.len);
    w->enrol->proof = fm_codec_put_bytes(m->enrol.proof, sizeof m->enrol.proof);
    return FM_OK;
}

static fm_status enrol_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    fm_status st;

    m->enrol.version = w->enrol->version;
    m->enrol.request = fm_codec_get_bytes(w->enrol->request);
    if ((st = fm_codec_get_exact(c, "invitation", w->enrol->invitation, m->enrol.invitation,
                                 sizeof m->enrol.invitation)) != FM_OK)
        return st;
    return fm_codec_get_exact(c, "proof", w->enrol->proof, m->enrol.proof, sizeof m->enrol.proof);
}

/* ---- a successor, in two messages ---- */

static fm_status successor_check(const fm_codec *c, const fm_successor *s)
{
    fm_status st;

    if (s->authority.len == 0)
        return s->signature.len == 0
                   ? FM_OK
                   : fm_codec_fail(c, "successor", "a signature without a certificate");
    if ((st = fm_codec_check_bytes(c, "successor.authority", s->authority, 1,
                                   FM_SUCCESSOR_MAX_BYTES)) != FM_OK)
        return st;
    return fm_codec_check_signature(c, "successor.signature", s->signature);
}

static fm_status successor_put(const fm_codec *c, const fm_successor *s,
                               Fedmoe__V1__Successor **out)
{
    Fedmoe__V1__Successor *w;
    void *p = NULL;
    fm_status st;

    if (s->authority.len == 0)
        return FM_OK;
    if ((st = fm_codec_take(c, 1, sizeof *w, &p)) != FM_OK)
        return st;
    w = p;
    fedmoe__v1__successor__init(w);
    w->authority = fm_codec_put_bytes(s->authority.data, s->authority.len);
    w->signature = fm_codec_put_bytes(s->signature.data, s->signature.len);
    *out = w;
    return FM_OK;
}

/** One that is there has a certificate: absence has one form. */
static fm_status successor_get(const fm_codec *c, const Fedmoe__V1__Successor *w, fm_successor *out)
{
    if (!w)
        return FM_OK;
    if (w->authority.len == 0)
        return fm_codec_fail(c, "successor", "without a certificate");
    out->authority = fm_codec_get_bytes(w->authority);
    out->signature = fm_codec_get_bytes(w->signature);
    return FM_OK;
}

/* ---- Enrolled ---- */

static fm_status enrolled_check(const fm_codec *c, const fm_message *m)
{
    const fm_msg_enrolled *e = &m->enrolled;
    const bool waits = e->certificate.len == 0;
    fm_status st;

    if ((st = fm_codec_check_bytes(c, "certificate", e->certificate, 0, FM_CERT_MAX_BYTES)) !=
            FM_OK ||
        (st = fm_codec_check_bytes(c, "authority", e->authority, waits ? 0 : 1,
                                   waits ? 0 : FM_CERT_MAX_BYTES)) != FM_OK)
        return st;
    if ((st = fm_codec_check_bytes(c, "revocations", e->revocations, 0,
                                   waits ? 0 : FM_MAX_DOOR_CRL_BYTES)) != FM_OK ||
        (st = successor_check(c, &e->successor)) != FM_OK)
        return st;
    if (waits && e->successor.authority.len > 0)
        return fm_codec_fail(c, "successor", "without a certificate");
    return fm_codec_check_bytes(
        c, "successor_revocations", e->successor_revocations, 0,
        e->successor.authority.len > 0 ? FM_MAX_DOOR_CRL_BYTES - e->revocations.len : 0);
}

static fm_status enrolled_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    const fm_msg_enrolled *e = &m->enrolled;
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *w->enrolled, &p);

    if (st != FM_OK)
        return st;
    w->enrolled = p;
    fedmoe__v1__enrolled__init(w->enrolled);
    w->enrolled->certificate = fm_codec_put_bytes(e->certificate.data, e->certificate.len);
    w->enrolled->authority = fm_codec_put_bytes(e->authority.data, e->authority.len);
    w->enrolled->revocations = fm_codec_put_bytes(e->revocations.data, e->revocations.len);
    w->enrolled->successor_revocations =
        fm_codec_put_bytes(e->successor_revocations.data, e->successor_revocations.len);
    return successor_put(c, &e->successor, &w->enrolled->successor);
}

static fm_status enrolled_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    m->enrolled.certificate = fm_codec_get_bytes(w->enrolled->certificate);
    m->enrolled.authority = fm_codec_get_bytes(w->enrolled->authority);
    m->enrolled.revocations = fm_codec_get_bytes(w->enrolled->revocations);
    m->enrolled.successor_revocations = fm_codec_get_bytes(w->enrolled->successor_revocations);
    return successor_get(c, w->enrolled->successor, &m->enrolled.successor);
}

/* ---- Revocations ---- */

static fm_status revocations_check(const fm_codec *c, const fm_message *m)
{
    fm_status st = fm_codec_check_bytes(c, "list", m->revocations.list, 1, FM_CRL_MAX_BYTES);

    if (st != FM_OK || (st = fm_codec_check_path(c, "path", &m->revocations.path)) != FM_OK)
        return st;
    return successor_check(c, &m->revocations.successor);
}

static fm_status revocations_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *w->revocations, &p);

    if (st != FM_OK)
        return st;
    w->revocations = p;
    fedmoe__v1__revocations__init(w->revocations);
    w->revocations->list = fm_codec_put_bytes(m->revocations.list.data, m->revocations.list.len);
    if ((st = fm_codec_put_path(c, &m->revocations.path, &w->revocations->n_path,
                                &w->revocations->path)) != FM_OK)
        return st;
    return successor_put(c, &m->revocations.successor, &w->revocations->successor);
}

static fm_status revocations_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    fm_status st = fm_codec_get_path(c, "path", w->revocations->n_path, w->revocations->path,
                                     &m->revocations.path);

    m->revocations.list = fm_codec_get_bytes(w->revocations->list);
    return st == FM_OK ? successor_get(c, w->revocations->successor, &m->revocations.successor)
                       : st;
}

/* ---- Renew ---- */

static fm_status renew_check(const fm_codec *c, const fm_message *m)
{
    fm_status st;

    if (m->renew.version == 0)
        return fm_codec_fail(c, "version", "must be at least 1");
    if ((st = fm_codec_check_credential(c, &m->renew.credential)) != FM_OK)
        return st;
    return fm_codec_check_bytes(c, "request", m->renew.request, 1, FM_REQUEST_MAX_BYTES);
}

static fm_status renew_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    void *p, *q;
    fm_status st;

    if ((st = fm_codec_take(c, 1, sizeof *w->renew, &p)) != FM_OK ||
        (st = fm_codec_take(c, 1, sizeof *w->renew->credential, &q)) != FM_OK)
        return st;
    w->renew = p;
    fedmoe__v1__renew__init(w->renew);
    w->renew->version = m->renew.version;
    w->renew->credential = q;
    w->renew->request = fm_codec_put_bytes(m->renew.request.data, m->renew.request.len);
    return fm_codec_put_credential(c, &m->renew.credential, w->renew->credential);
}

static fm_status renew_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    m->renew.version = w->renew->version;
    m->renew.request = fm_codec_get_bytes(w->renew->request);
    return fm_codec_get_credential(c, w->renew->credential, &m->renew.credential);
}

const fm_codec_message fm_codec_enrol[] = {
    { "Enrol", FEDMOE__V1__ENVELOPE__BODY_ENROL, enrol_check, enrol_put, enrol_get },
    { "Enrolled", FEDMOE__V1__ENVELOPE__BODY_ENROLLED, enrolled_check, enrolled_put, enrolled_get },
    { "Revocations", FEDMOE__V1__ENVELOPE__BODY_REVOCATIONS, revocations_check, revocations_put,
      revocations_get },
    { "Renew", FEDMOE__V1__ENVELOPE__BODY_RENEW, renew_check, renew_put, renew_get },
};
