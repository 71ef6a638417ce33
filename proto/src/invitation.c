#include "fedmoe/proto/invitation.h"

#include <ctype.h>
#include <string.h>

#include <sodium.h>

#define PREFIX "fedmoe"
#define VERSION '1'
#define HEAD (sizeof PREFIX) /* prefix and version */
#define LABEL "fedmoe join code v1"
#define CHECK 4u
#define FIXED (FM_DOOR_KEY_BYTES + FM_HASH_BYTES + FM_TOKEN_BYTES + 8u)
#define RAW_MAX (FIXED + 3u + 2u * FM_NAME_MAX + FM_DOOR_ADDRESS_MAX + CHECK)

_Static_assert(HEAD + (RAW_MAX * 8 + 4) / 5 <= FM_INVITATION_TEXT_MAX, "the longest code");

static const char ALPHABET[] = "abcdefghijklmnopqrstuvwxyz234567";

typedef struct {
    uint8_t data[RAW_MAX];
    size_t len;
} raw_code;

/* ---- fields ---- */

/** "tcp://HOST:PORT" in printable ASCII, so that it can stand in a file and in a message. */
static bool is_door(const char *s)
{
    size_t len = strnlen(s, FM_DOOR_ADDRESS_MAX + 1);

    if (len > FM_DOOR_ADDRESS_MAX || strncmp(s, "tcp://", 6) != 0 || !strchr(s + 6, ':'))
        return false;
    for (size_t i = 0; i < len; i++)
        if (s[i] <= ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\')
            return false;
    return true;
}

static fm_status check_fields(const fm_invitation *i)
{
    fm_status st;

    if (!is_door(i->door))
        return fm_fail(FM_EINVAL, "the door's address must read tcp://HOST:PORT");
    if ((st = fm_name_check(i->federation)) != FM_OK || (st = fm_name_check(i->name)) != FM_OK)
        return st;
    return i->expires_s > 0 ? FM_OK : fm_fail(FM_EINVAL, "a join code without an end");
}

static void put(raw_code *r, const void *data, size_t len)
{
    memcpy(r->data + r->len, data, len);
    r->len += len;
}

static void put_text(raw_code *r, const char *s)
{
    const uint8_t len = (uint8_t)strlen(s);

    put(r, &len, 1);
    put(r, s, len);
}

static bool get(const raw_code *r, size_t *at, void *out, size_t len)
{
    if (r->len - *at < len)
        return false;
    memcpy(out, r->data + *at, len);
    *at += len;
    return true;
}

static bool get_text(const raw_code *r, size_t *at, char *out, size_t max)
{
    uint8_t len = 0;

    if (!get(r, at, &len, 1) || len > max || !get(r, at, out, len))
        return false;
    out[len] = '\0';
    return strlen(out) == len;
}

static void check_of(const raw_code *r, size_t len, uint8_t check[CHECK])
{
    fm_hash h = fm_hash_of(LABEL, r->data, len);

    memcpy(check, h.bytes, CHECK);
}

/* ---- base32 ---- */

static void to_text(const raw_code *r, char *text)
{
    uint32_t bits = 0, count = 0;

    for (size_t i = 0; i < r->len; i++) {
        bits = (bits << 8 | r->data[i]) & 0xfff;
        for (count += 8; count >= 5; count -= 5)
            *text++ = ALPHABET[bits >> (count - 5) & 31];
    }
    if (count > 0)
        *text++ = ALPHABET[bits << (5 - count) & 31];
    *text = '\0';
}

/** What is left over of the last character must be zero: one code, one text. */
static bool from_text(const char *text, raw_code *r)
{
    uint32_t bits = 0, count = 0;

    for (; *text; text++) {
        const char *at = strchr(ALPHABET, *text);

        if (!at || r->len == sizeof r->data)
            return false;
        bits = (bits << 5 | (uint32_t)(at - ALPHABET)) & 0xfff;
        if ((count += 5) >= 8) {
            count -= 8;
            r->data[r->len++] = (uint8_t)(bits >> count);
        }
    }
    return count < 5 && (bits & ((1u << count) - 1)) == 0;
}

/* ---- the code ---- */

fm_status fm_invitation_encode(const fm_invitation *i, char text[FM_INVITATION_TEXT_MAX + 1])
{
    uint8_t expires[8], check[CHECK];
    raw_code r = { .len = 0 };
    fm_status st;

    if (!i || !text)
        return fm_fail(FM_EINVAL, "fm_invitation_encode: NULL argument");
    if ((st = check_fields(i)) != FM_OK)
        return st;
    fm_put_u64le(expires, (uint64_t)i->expires_s);
    put(&r, i->door_public, sizeof i->door_public);
    put(&r, i->ca.bytes, sizeof i->ca.bytes);
    put(&r, i->token, sizeof i->token);
    put(&r, expires, sizeof expires);
    put_text(&r, i->federation);
    put_text(&r, i->name);
    put_text(&r, i->door);
    check_of(&r, r.len, check);
    put(&r, check, sizeof check);
    memcpy(text, PREFIX, HEAD - 1);
    text[HEAD - 1] = VERSION;
    to_text(&r, text + HEAD);
    sodium_memzero(&r, sizeof r);
    return FM_OK;
}

/** Without what people and mail programs put between; false when it is too long. */
static bool normalise(const char *text, char out[FM_INVITATION_TEXT_MAX + 1])
{
    size_t n = 0;

    for (; *text; text++) {
        if (isspace((unsigned char)*text) || *text == '-')
            continue;
        if (n == FM_INVITATION_TEXT_MAX)
            return false;
        out[n++] = (char)tolower((unsigned char)*text);
    }
    out[n] = '\0';
    return true;
}

static bool read_fields(const raw_code *r, fm_invitation *i)
{
    uint8_t expires[8] = { 0 };
    size_t at = 0;
    bool whole = get(r, &at, i->door_public, sizeof i->door_public) &&
                 get(r, &at, i->ca.bytes, sizeof i->ca.bytes) &&
                 get(r, &at, i->token, sizeof i->token) && get(r, &at, expires, sizeof expires) &&
                 get_text(r, &at, i->federation, FM_NAME_MAX) &&
                 get_text(r, &at, i->name, FM_NAME_MAX) &&
                 get_text(r, &at, i->door, FM_DOOR_ADDRESS_MAX) && at + CHECK == r->len;

    i->expires_s = fm_get_u64le(expires) <= INT64_MAX ? (int64_t)fm_get_u64le(expires) : 0;
    return whole && check_fields(i) == FM_OK;
}

static fm_status decode(const char *text, raw_code *r, fm_invitation *i)
{
    uint8_t check[CHECK];

    if (strncmp(text, PREFIX, HEAD - 1) != 0)
        return fm_fail(FM_EPARSE,
                       "not a join code: one begins with " PREFIX
                       "%c (a digit) and is one long word; copy all of it from the "
                       "coordinator's mail",
                       VERSION);
    if (text[HEAD - 1] != VERSION)
        return fm_fail(FM_EPARSE, "a join code of another form than this program knows; use the "
                                  "version that the coordinator uses");
    if (!from_text(text + HEAD, r) || r->len < FIXED + 3 + CHECK)
        return fm_fail(FM_EPARSE, "the join code is mistyped or cut; copy it again, from its first "
                                  "to its last character");
    check_of(r, r->len - CHECK, check);
    if (sodium_memcmp(check, r->data + r->len - CHECK, CHECK) != 0)
        return fm_fail(FM_EPARSE, "the join code is mistyped or cut; copy it again, from its first "
                                  "to its last character");
    if (!read_fields(r, i))
        return fm_fail(FM_EPARSE, "the join code holds what none can; ask for a new one");
    return FM_OK;
}

fm_status fm_invitation_decode(const char *text, fm_invitation *out)
{
    char plain[FM_INVITATION_TEXT_MAX + 1];
    fm_invitation i = { .expires_s = 0 };
    raw_code r = { .len = 0 };
    fm_status st;

    if (!text || !out)
        return fm_fail(FM_EINVAL, "fm_invitation_decode: NULL argument");
    if (!normalise(text, plain))
        st = fm_fail(FM_EPARSE, "not a join code: longer than any; copy the code alone");
    else
        st = decode(plain, &r, &i);
    if (st == FM_OK)
        *out = i;
    sodium_memzero(&i, sizeof i);
    sodium_memzero(&r, sizeof r);
    sodium_memzero(plain, sizeof plain);
    return st;
}
