/*
 * Bytes from a peer into fm_statement_decode, fm_peer_verify and fm_credential_verify. The CA
 * is made once in a temporary folder; besides the raw input, the input is laid over a good
 * credential, so that mutations reach the checks behind the parser.
 */
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fedmoe/certs/statement.h"

/* The time of all checks: fixed against the certificate, so that a find can be repeated. */
#define LATER_S 86400

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    bool ready;
    char dir[64];
    fm_trust *trust[2];
    fm_credential good[2];
    int64_t now_s;
} g;

static void need(bool ok)
{
    if (ok)
        return;
    fprintf(stderr, "certs_credential: cannot start: %s\n", fm_error_text());
    exit(1);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

static void make_member(size_t i, fm_key_type type)
{
    char ca[96], out[96];
    fm_ca_request r = { .role = FM_ROLE_NODE, .name = "alpha", .type = type, .days = 3000 };
    fm_statement s = { .role = FM_ROLE_NODE, .federation = "heart", .name = "alpha" };
    fm_identity *id = NULL;

    (void)snprintf(ca, sizeof ca, "%s/ca%zu", g.dir, i);
    (void)snprintf(out, sizeof out, "%s/out%zu", g.dir, i);
    need(fm_ca_new(ca, "heart", type, 3650) == FM_OK);
    need(fm_ca_issue(ca, &r, out) == FM_OK);
    need(fm_trust_load(out, &g.trust[i]) == FM_OK);
    need(fm_identity_load(out, &id) == FM_OK);
    g.now_s = fm_identity_info(id)->not_before_s + LATER_S;
    memset(s.curve_public, 1, sizeof s.curve_public);
    memset(s.x25519_public, 2, sizeof s.x25519_public);
    s.not_after_s = g.now_s + 1000;
    need(fm_credential_make(id, &s, &g.good[i]) == FM_OK);
    fm_identity_free(&id);
}

static void start(void)
{
    (void)snprintf(g.dir, sizeof g.dir, "/tmp/fedmoe-fuzz-XXXXXX");
    need(mkdtemp(g.dir) != NULL);
    need(fm_random_init() == FM_OK);
    make_member(0, FM_KEY_ED25519);
    make_member(1, FM_KEY_P256);
    (void)nftw(g.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    g.ready = true;
}

/** What decodes has one form only. */
static void statement(const uint8_t *data, size_t size)
{
    fm_statement s;
    uint8_t again[FM_STATEMENT_MAX_BYTES];
    size_t len = 0;

    if (fm_statement_decode(data, size, &s) != FM_OK)
        return;
    if (fm_statement_encode(&s, again, sizeof again, &len) != FM_OK || len != size ||
        memcmp(again, data, size) != 0)
        abort();
}

/** Without the CA's key nothing but the good certificate may pass. */
static void certificate(size_t i, const uint8_t *data, size_t size)
{
    fm_peer *p = NULL;
    fm_status st = fm_peer_verify(g.trust[i], data, size, FM_ROLE_NODE, g.now_s, &p);
    bool good = size == g.good[i].cert_len && memcmp(data, g.good[i].cert, size) == 0;

    if ((st == FM_OK) != good || (st != FM_OK) != (p == NULL))
        abort();
    fm_peer_free(&p);
}

/** Input: part u8 | offset u16le | length change i8 | bytes that replace those at the offset. */
static void credential(size_t i, const uint8_t *data, size_t size)
{
    static fm_credential c;
    fm_statement s;
    uint8_t *part;
    size_t *len, cap, at;
    fm_status st;

    if (size < 4)
        return;
    c = g.good[i];
    switch (data[0] % 4) {
    case 0:
        part = c.cert, len = &c.cert_len, cap = sizeof c.cert;
        break;
    case 1:
        part = c.statement, len = &c.statement_len, cap = sizeof c.statement;
        break;
    case 2:
        part = c.signature, len = &c.signature_len, cap = sizeof c.signature;
        break;
    default: /* its own certificate as an intermediate CA */
        part = c.intermediates[0], len = &c.intermediate_len[0], cap = sizeof c.intermediates[0];
        memcpy(part, c.cert, c.cert_len);
        *len = c.cert_len;
        c.intermediate_count = 1;
    }
    at = ((size_t)data[1] | (size_t)data[2] << 8) % *len;
    *len += (size_t)(int8_t)data[3]; /* may pass the cap, or wrap: lengths are a peer's too */
    data += 4;
    size -= 4;
    memcpy(part + at, data, size < cap - at ? size : cap - at);
    st = fm_credential_verify(g.trust[i], &c, FM_ROLE_NODE, g.now_s, &s, NULL);
    /* An ECDSA signature has a second form (n - s), so only the first two must be the good ones. */
    if (st == FM_OK &&
        (c.cert_len != g.good[i].cert_len || c.statement_len != g.good[i].statement_len ||
         memcmp(c.cert, g.good[i].cert, c.cert_len) != 0 ||
         memcmp(c.statement, g.good[i].statement, c.statement_len) != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t i;

    if (!g.ready)
        start();
    if (size < 2)
        return 0;
    i = data[0] & 1;
    switch (data[0] >> 1 & 3) {
    case 0:
        statement(data + 1, size - 1);
        break;
    case 1:
        certificate(i, data + 1, size - 1);
        break;
    default:
        credential(i, data + 1, size - 1);
    }
    return 0;
}
