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
    return fm_codec_check_bytes(c, "revocations", e->revocations, 0,
                                waits ? 0 : FM_MAX_DOOR_CRL_BYTES);
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
    return FM_OK;
}

static fm_status enrolled_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    (void)c;
    m->enrolled.certificate = fm_codec_get_bytes(w->enrolled->certificate);
    m->enrolled.authority = fm_codec_get_bytes(w->enrolled->authority);
    m->enrolled.revocations = fm_codec_get_bytes(w->enrolled->revocations);
    return FM_OK;
}

/* ---- Revocations ---- */

static fm_status revocations_check(const fm_codec *c, const fm_message *m)
{
    fm_status st = fm_codec_check_bytes(c, "list", m->revocations.list, 1, FM_CRL_MAX_BYTES);

    return st == FM_OK ? fm_codec_check_path(c, "path", &m->revocations.path) : st;
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
    return fm_codec_put_path(c, &m->revocations.path, &w->revocations->n_path,
                             &w->revocations->path);
}

static fm_status revocations_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    m->revocations.list = fm_codec_get_bytes(w->revocations->list);
    return fm_codec_get_path(c, "path", w->revocations->n_path, w->revocations->path,
                             &m->revocations.path);
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
