/* The statement that binds a session's fresh keys to a certificate: its bytes. */
#include <string.h>

#include "fedmoe/certs/statement.h"

#define STATEMENT_V1 1u
#define FIXED_BYTES (1u + 1u + 8u + 2u * FM_SESSION_KEY_BYTES)

static bool is_zero(const uint8_t key[FM_SESSION_KEY_BYTES])
{
    uint8_t all = 0;

    for (size_t i = 0; i < FM_SESSION_KEY_BYTES; i++)
        all |= key[i];
    return all == 0;
}

static fm_status check(const fm_statement *s, fm_status failure)
{
    if (s->role != FM_ROLE_NODE && s->role != FM_ROLE_AGGREGATOR)
        return fm_fail(failure, "a statement with role %d", (int)s->role);
    if (fm_name_check(s->federation) != FM_OK || fm_name_check(s->name) != FM_OK)
        return fm_fail_context(failure, "a statement: ");
    if (s->not_after_s < 0)
        return fm_fail(failure, "a statement that ends before 1970");
    if (is_zero(s->curve_public))
        return fm_fail(failure, "a statement without a CURVE key");
    if (is_zero(s->x25519_public) != (s->role == FM_ROLE_AGGREGATOR))
        return fm_fail(failure, s->role == FM_ROLE_AGGREGATOR
                                    ? "an aggregator's statement with a mask key"
                                    : "a node's statement without a mask key");
    return FM_OK;
}

static size_t put_name(uint8_t *p, const char *name)
{
    size_t n = strlen(name);

    p[0] = (uint8_t)n;
    memcpy(p + 1, name, n);
    return 1 + n;
}

fm_status fm_statement_encode(const fm_statement *s, uint8_t *buf, size_t cap, size_t *len)
{
    size_t total;
    fm_status st;

    if (!s || !buf || !len)
        return fm_fail(FM_EINVAL, "fm_statement_encode: NULL argument");
    if ((st = check(s, FM_EINVAL)) != FM_OK)
        return st;
    total = FIXED_BYTES + 2 + strlen(s->federation) + strlen(s->name);
    if (cap < total)
        return fm_fail(FM_ETRUNC, "a statement of %zu bytes into %zu", total, cap);
    buf[0] = STATEMENT_V1;
    buf[1] = (uint8_t)s->role;
    fm_put_u64le(buf + 2, (uint64_t)s->not_after_s);
    memcpy(buf + 10, s->curve_public, FM_SESSION_KEY_BYTES);
    memcpy(buf + 42, s->x25519_public, FM_SESSION_KEY_BYTES);
    total = FIXED_BYTES;
    total += put_name(buf + total, s->federation);
    total += put_name(buf + total, s->name);
    *len = total;
    return FM_OK;
}

/** @param at  moved past the name. */
static fm_status get_name(const uint8_t *buf, size_t len, size_t *at, char out[FM_NAME_MAX + 1])
{
    size_t n;

    if (*at >= len)
        return fm_fail(FM_ETRUNC, "a statement of %zu bytes is cut off", len);
    n = buf[*at];
    if (n > FM_NAME_MAX || memchr(buf + *at + 1, '\0', n < len - *at - 1 ? n : len - *at - 1))
        return fm_fail(FM_EPROTO, "a statement with a name of %zu bytes, or with a zero in it", n);
    if (n > len - *at - 1)
        return fm_fail(FM_ETRUNC, "a statement of %zu bytes is cut off", len);
    memcpy(out, buf + *at + 1, n);
    out[n] = '\0';
    *at += 1 + n;
    return FM_OK;
}

fm_status fm_statement_decode(const uint8_t *buf, size_t len, fm_statement *out)
{
    fm_statement s;
    size_t at = FIXED_BYTES;
    fm_status st;

    if (!buf || !out)
        return fm_fail(FM_EINVAL, "fm_statement_decode: NULL argument");
    if (len < FIXED_BYTES)
        return fm_fail(FM_ETRUNC, "a statement of %zu bytes is cut off", len);
    if (buf[0] != STATEMENT_V1)
        return fm_fail(FM_EPROTO, "a statement of version %u; only %u is known", buf[0],
                       STATEMENT_V1);
    memset(&s, 0, sizeof s);
    s.role = (fm_role)buf[1];
    s.not_after_s = (int64_t)fm_get_u64le(buf + 2);
    memcpy(s.curve_public, buf + 10, FM_SESSION_KEY_BYTES);
    memcpy(s.x25519_public, buf + 42, FM_SESSION_KEY_BYTES);
    if ((st = get_name(buf, len, &at, s.federation)) != FM_OK ||
        (st = get_name(buf, len, &at, s.name)) != FM_OK)
        return st;
    if (at != len)
        return fm_fail(FM_EPROTO, "a statement with %zu bytes behind it", len - at);
    if ((st = check(&s, FM_EPROTO)) != FM_OK)
        return st;
    *out = s;
    return FM_OK;
}
