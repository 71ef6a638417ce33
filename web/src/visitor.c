/* Who asks: by a session's cookie, a certificate, or a bearer token. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "fedmoe/base/clock.h"
#include "web_internal.h"

#define CHAIN_MAX 4
#define BEARER "Bearer "

static web_session *find_session(fm_web *w, const char *token)
{
    const uint64_t now_ms = fm_clock_now_ms();
    const fm_hash hash = web_token_hash(token);
    web_session *found = NULL;

    for (size_t i = 0; i < WEB_SESSIONS_MAX; i++)
        if (!fm_hash_is_zero(&w->sessions[i].hash) && fm_hash_equal(&w->sessions[i].hash, &hash) &&
            w->sessions[i].ends_ms > now_ms)
            found = &w->sessions[i];
    return found;
}

static bool by_session(fm_web *w, struct MHD_Connection *c, web_visitor *out)
{
    const char *token = web_lib.MHD_lookup_connection_value(c, MHD_COOKIE_KIND, w->cookie);
    web_session *s = token && web_is_token(token) ? find_session(w, token) : NULL;
    uint64_t right = 0;

    if (!s)
        return false;
    if (w->may && !w->may(w->who_context, s->role, s->name, &right)) {
        if (s->right != 0) /* it had one, which was taken back: for good */
            memset(s, 0, sizeof *s);
        return false;
    }
    if (s->right != 0 && s->right != right) {
        memset(s, 0, sizeof *s);
        return false;
    }
    s->right = right;
    out->role = s->role;
    out->who = s->hash;
    memcpy(out->name, s->name, sizeof out->name);
    return true;
}

/* Asked at each request: a revoked certificate counts no more on a connection that stands, either. */
static bool by_certificate(fm_web *w, struct MHD_Connection *c, web_visitor *out)
{
    const union MHD_ConnectionInfo *info;
    const gnutls_datum_t *chain;
    const uint8_t *der[CHAIN_MAX];
    size_t bytes[CHAIN_MAX];
    unsigned n = 0;
    fm_web_role role = 0;
    uint64_t right = 0;
    char name[FM_WEB_NAME_MAX + 1] = "";

    if (!w->tls || !w->who ||
        !(info = web_lib.MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION)) ||
        !(chain = web_lib.gnutls_certificate_get_peers(info->tls_session, &n)) || n == 0)
        return false;
    if (n > CHAIN_MAX)
        n = CHAIN_MAX;
    for (unsigned i = 0; i < n; i++) {
        der[i] = chain[i].data;
        bytes[i] = chain[i].size;
    }
    if (w->who(w->who_context, der, bytes, n, &role, name) != FM_OK || role == 0 ||
        (w->may && !w->may(w->who_context, role, name, &right)))
        return false;
    out->role = role;
    memcpy(out->name, name, sizeof out->name);
    out->who = fm_hash_of("fedmoe web certificate", name, strlen(name));
    return true;
}

static bool by_bearer(fm_web *w, struct MHD_Connection *c, web_visitor *out)
{
    const char *value =
        web_lib.MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);

    if (!value || strncasecmp(value, BEARER, strlen(BEARER)) != 0 ||
        !web_bearer_is(w->links_path, value + strlen(BEARER), out->name))
        return false;
    out->role = FM_WEB_SCRAPER;
    return true;
}

void web_visitor_find(fm_web *w, struct MHD_Connection *c, web_visitor *out)
{
    memset(out, 0, sizeof *out);
    if (by_session(w, c, out) || by_certificate(w, c, out) || by_bearer(w, c, out))
        return;
    memset(out, 0, sizeof *out);
    out->role = FM_WEB_ANYONE;
}

void web_session_open(fm_web *w, fm_web_role role, const char *name, char token[FM_WEB_TOKEN_SIZE])
{
    web_session *s = &w->sessions[0];

    for (size_t i = 1; i < WEB_SESSIONS_MAX; i++)
        if (w->sessions[i].ends_ms < s->ends_ms)
            s = &w->sessions[i];
    web_token_new(token);
    s->hash = web_token_hash(token);
    s->role = role;
    s->right = 0;
    s->ends_ms = fm_clock_now_ms() + (uint64_t)FM_WEB_SESSION_S * 1000;
    (void)snprintf(s->name, sizeof s->name, "%s", name);
}

void web_session_end(fm_web *w, const web_visitor *v)
{
    for (size_t i = 0; i < WEB_SESSIONS_MAX; i++)
        if (fm_hash_equal(&w->sessions[i].hash, &v->who))
            memset(&w->sessions[i], 0, sizeof w->sessions[i]);
}

void web_form_token(const fm_web *w, const web_visitor *v, char token[FM_WEB_TOKEN_SIZE])
{
    fm_hasher h;
    fm_hash of;

    fm_hasher_begin(&h, "fedmoe web form");
    fm_hasher_add(&h, w->form_key, sizeof w->form_key);
    fm_hasher_add(&h, v->who.bytes, FM_HASH_BYTES);
    of = fm_hasher_end(&h);
    (void)sodium_bin2base64(token, FM_WEB_TOKEN_SIZE, of.bytes, FM_HASH_BYTES,
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}
