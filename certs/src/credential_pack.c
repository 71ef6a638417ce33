/* A credential in as many bytes as it has. */
#include <stdlib.h>
#include <string.h>

#include "fedmoe/certs/statement.h"

struct fm_packed_credential {
    size_t cert_len, statement_len, signature_len;
    size_t intermediate_len[FM_INTERMEDIATES_MAX], intermediate_count;
    uint8_t bytes[]; /* all of them, in this order */
};

static bool lengths_fit(const fm_credential *c)
{
    bool fit = c->cert_len <= sizeof c->cert && c->statement_len <= sizeof c->statement &&
               c->signature_len <= sizeof c->signature &&
               c->intermediate_count <= FM_INTERMEDIATES_MAX;

    for (size_t i = 0; fit && i < c->intermediate_count; i++)
        fit = c->intermediate_len[i] <= FM_INTERMEDIATE_MAX_BYTES;
    return fit;
}

static uint8_t *put(uint8_t *to, const uint8_t *from, size_t len)
{
    memcpy(to, from, len);
    return to + len;
}

fm_status fm_credential_pack(const fm_credential *c, fm_packed_credential **out)
{
    fm_packed_credential *p;
    void *room = NULL;
    size_t total;
    uint8_t *at;
    fm_status st;

    if (!c || !out || !lengths_fit(c))
        return fm_fail(FM_EINVAL, "fm_credential_pack: no credential, or lengths that cannot be");
    total = c->cert_len + c->statement_len + c->signature_len;
    for (size_t i = 0; i < c->intermediate_count; i++)
        total += c->intermediate_len[i];
    if ((st = fm_alloc(1, sizeof *p + total, &room)) != FM_OK)
        return st;
    p = room;
    p->cert_len = c->cert_len;
    p->statement_len = c->statement_len;
    p->signature_len = c->signature_len;
    p->intermediate_count = c->intermediate_count;
    at = put(p->bytes, c->cert, c->cert_len);
    at = put(at, c->statement, c->statement_len);
    at = put(at, c->signature, c->signature_len);
    for (size_t i = 0; i < c->intermediate_count; i++)
        at = put(at, c->intermediates[i], p->intermediate_len[i] = c->intermediate_len[i]);
    *out = p;
    return FM_OK;
}

static const uint8_t *get(const uint8_t *from, uint8_t *to, size_t len)
{
    memcpy(to, from, len);
    return from + len;
}

void fm_credential_unpack(const fm_packed_credential *p, fm_credential *out)
{
    const uint8_t *at = p->bytes;

    memset(out, 0, sizeof *out);
    at = get(at, out->cert, out->cert_len = p->cert_len);
    at = get(at, out->statement, out->statement_len = p->statement_len);
    at = get(at, out->signature, out->signature_len = p->signature_len);
    out->intermediate_count = p->intermediate_count;
    for (size_t i = 0; i < p->intermediate_count; i++)
        at = get(at, out->intermediates[i], out->intermediate_len[i] = p->intermediate_len[i]);
}

void fm_credential_pack_free(fm_packed_credential **p)
{
    if (p) {
        free(*p);
        *p = NULL;
    }
}
