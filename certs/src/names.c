/* Roles, key types, names, and the URI in a certificate that carries them. */
#include <stdio.h>
#include <string.h>

#include "certs_internal.h"

#define PREFIX "urn:fedmoe:"

const char *fm_role_name(fm_role r)
{
    switch (r) {
    case FM_ROLE_NODE:
        return "node";
    case FM_ROLE_AGGREGATOR:
        return "aggregator";
    }
    return "unknown";
}

fm_status fm_role_parse(const char *s, fm_role *out)
{
    if (!s || !out)
        return fm_fail(FM_EINVAL, "fm_role_parse: NULL argument");
    if (strcmp(s, "node") == 0)
        *out = FM_ROLE_NODE;
    else if (strcmp(s, "aggregator") == 0)
        *out = FM_ROLE_AGGREGATOR;
    else
        return fm_fail(FM_EINVAL, "role '%.80s' is not known; use node or aggregator", s);
    return FM_OK;
}

fm_status fm_key_type_parse(const char *s, fm_key_type *out)
{
    if (!s || !out)
        return fm_fail(FM_EINVAL, "fm_key_type_parse: NULL argument");
    if (strcmp(s, "ed25519") == 0)
        *out = FM_KEY_ED25519;
    else if (strcmp(s, "p256") == 0)
        *out = FM_KEY_P256;
    else
        return fm_fail(FM_EINVAL, "key type '%.80s' is not known; use ed25519 or p256", s);
    return FM_OK;
}

const char *fm_key_type_name(fm_key_type t)
{
    switch (t) {
    case FM_KEY_ED25519:
        return "ed25519";
    case FM_KEY_P256:
        return "p256";
    case FM_KEY_OTHER:
        break;
    }
    return "other";
}

/* isalnum would follow the locale. */
static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/** Never reads past a NUL or FM_NAME_MAX + 1 bytes. */
static bool is_name(const char *s)
{
    size_t n = 0;

    while (n <= FM_NAME_MAX && is_name_byte(s[n]))
        n++;
    return n >= 1 && n <= FM_NAME_MAX && s[n] == '\0' && s[0] != '-' && s[n - 1] != '-';
}

fm_status fm_name_check(const char *name)
{
    if (!name)
        return fm_fail(FM_EINVAL, "no name given");
    if (!is_name(name))
        return fm_fail(FM_EINVAL,
                       "'%.63s' is not a name: use 1 to %d of a-z, 0-9 and '-', with no '-' first "
                       "or last",
                       name, FM_NAME_MAX);
    return FM_OK;
}

void fm_cert_uri_format(const fm_cert_uri *u, char out[FM_URI_MAX])
{
    if (u->is_ca)
        (void)snprintf(out, FM_URI_MAX, PREFIX "ca:%s", u->federation);
    else
        (void)snprintf(out, FM_URI_MAX, PREFIX "%s:%s:%s", fm_role_name(u->role), u->federation,
                       u->name);
}

/** The next field up to ':' or the end, moved past; false when it is no name. */
static bool take_name(const char **at, char out[FM_NAME_MAX + 1])
{
    size_t n = strcspn(*at, ":");

    if (n > FM_NAME_MAX)
        return false;
    memcpy(out, *at, n);
    out[n] = '\0';
    *at += n + ((*at)[n] == ':');
    return is_name(out);
}

fm_status fm_cert_uri_parse(const uint8_t *s, size_t len, fm_cert_uri *out)
{
    fm_cert_uri u = { 0 };
    char text[FM_URI_MAX], again[FM_URI_MAX], role[FM_NAME_MAX + 1];
    const char *at = text + strlen(PREFIX);
    bool ok;

    if (len < strlen(PREFIX) || len >= sizeof text || memcmp(s, PREFIX, strlen(PREFIX)) != 0)
        return fm_fail(FM_EPROTO, "the certificate's URI is not of the form " PREFIX "...");
    memcpy(text, s, len);
    text[len] = '\0';

    ok = take_name(&at, role) && take_name(&at, u.federation);
    u.is_ca = ok && strcmp(role, "ca") == 0;
    if (ok && !u.is_ca)
        ok = fm_role_parse(role, &u.role) == FM_OK && take_name(&at, u.name);
    if (ok)
        fm_cert_uri_format(&u, again);
    /* Written again it must be the same: no NUL inside, no empty or further field. */
    if (!ok || strlen(again) != len || memcmp(again, s, len) != 0)
        return fm_fail(FM_EPROTO, "the certificate's URI is neither " PREFIX
                                  "ROLE:FEDERATION:NAME nor " PREFIX "ca:FEDERATION");
    *out = u;
    return FM_OK;
}
