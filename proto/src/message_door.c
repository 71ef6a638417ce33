/* Hello, Welcome, Refusal; and Ping, which both ends may say at any time in a session. */
#include "codec_internal.h"

static fm_status check_version(const fm_codec *c, uint32_t version)
{
    /* Which versions are understood is the door's affair: it can say so to the peer. */
    return version > 0 ? FM_OK : fm_codec_fail(c, "version", "must be at least 1");
}

/* ---- Hello ---- */

static fm_status hello_check(const fm_codec *c, const fm_message *m)
{
    fm_status st = check_version(c, m->hello.version);

    return st == FM_OK ? fm_codec_check_credential(c, &m->hello.credential) : st;
}

static fm_status hello_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    void *p, *q;
    fm_status st;

    if ((st = fm_codec_take(c, 1, sizeof *w->hello, &p)) != FM_OK ||
        (st = fm_codec_take(c, 1, sizeof *w->hello->credential, &q)) != FM_OK)
        return st;
    w->hello = p;
    fedmoe__v1__hello__init(w->hello);
    w->hello->version = m->hello.version;
    w->hello->credential = q;
    return fm_codec_put_credential(c, &m->hello.credential, w->hello->credential);
}

static fm_status hello_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    m->hello.version = w->hello->version;
    return fm_codec_get_credential(c, w->hello->credential, &m->hello.credential);
}

/* ---- Welcome ---- */

static fm_status welcome_check(const fm_codec *c, const fm_message *m)
{
    fm_status st = check_version(c, m->welcome.version);

    if (st == FM_OK)
        st = fm_codec_check_credential(c, &m->welcome.credential);
    return st == FM_OK ? fm_codec_check_signature(c, "proof", m->welcome.proof) : st;
}

static fm_status welcome_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    void *p, *q;
    fm_status st;

    if ((st = fm_codec_take(c, 1, sizeof *w->welcome, &p)) != FM_OK ||
        (st = fm_codec_take(c, 1, sizeof *w->welcome->credential, &q)) != FM_OK)
        return st;
    w->welcome = p;
    fedmoe__v1__welcome__init(w->welcome);
    w->welcome->version = m->welcome.version;
    w->welcome->proof = fm_codec_put_bytes(m->welcome.proof.data, m->welcome.proof.len);
    w->welcome->credential = q;
    return fm_codec_put_credential(c, &m->welcome.credential, w->welcome->credential);
}

static fm_status welcome_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    m->welcome.version = w->welcome->version;
    m->welcome.proof = fm_codec_get_bytes(w->welcome->proof);
    return fm_codec_get_credential(c, w->welcome->credential, &m->welcome.credential);
}

/* ---- Refusal ---- */

static fm_status refusal_check(const fm_codec *c, const fm_message *m)
{
    return fm_codec_check_reason(c, m->refusal.reason);
}

static fm_status refusal_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *w->refusal, &p);

    if (st != FM_OK)
        return st;
    w->refusal = p;
    fedmoe__v1__refusal__init(w->refusal);
    w->refusal->reason = (char *)(uintptr_t)m->refusal.reason;
    return FM_OK;
}

static fm_status refusal_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    return fm_codec_get_reason(c, w->refusal->reason, m->refusal.reason);
}

/* ---- Ping ---- */

static fm_status ping_check(const fm_codec *c, const fm_message *m)
{
    (void)c;
    (void)m;
    return FM_OK;
}

static fm_status ping_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *w->ping, &p);

    if (st != FM_OK)
        return st;
    w->ping = p;
    fedmoe__v1__ping__init(w->ping);
    w->ping->sequence = m->ping.sequence;
    return FM_OK;
}

static fm_status ping_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    (void)c;
    m->ping.sequence = w->ping->sequence;
    return FM_OK;
}

const fm_codec_message fm_codec_door[] = {
    { "Hello", FEDMOE__V1__ENVELOPE__BODY_HELLO, hello_check, hello_put, hello_get },
    { "Welcome", FEDMOE__V1__ENVELOPE__BODY_WELCOME, welcome_check, welcome_put, welcome_get },
    { "Refusal", FEDMOE__V1__ENVELOPE__BODY_REFUSAL, refusal_check, refusal_put, refusal_get },
};

const fm_codec_message fm_codec_ping[] = {
    { "Ping", FEDMOE__V1__ENVELOPE__BODY_PING, ping_check, ping_put, ping_get },
};
