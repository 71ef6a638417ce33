#include "fedmoe/certs/token_uri.h"

#include <stdbool.h>
#include <string.h>

#define SCHEME "pkcs11:"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

typedef struct {
    const char *name;
    void *to;
    size_t cap;  /* bytes */
    size_t *len; /* NULL: it is text, with a zero byte behind it */
} attribute;

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/** One byte of a value, moved past; -1: not a percent-encoding. */
static int take_byte(const char **at, const char *end)
{
    int high, low;

    if (**at != '%')
        return (unsigned char)*(*at)++;
    if (end - *at < 3 || (high = hex((*at)[1])) < 0 || (low = hex((*at)[2])) < 0)
        return -1;
    *at += 3;
    return 16 * high + low;
}

static fm_status take_value(const attribute *a, const char *at, const char *end)
{
    uint8_t *to = a->to;
    size_t n = 0;

    while (at < end) {
        const int byte = take_byte(&at, end);

        if (byte < 0 || (!a->len && (byte < ' ' || byte == 0x7f)))
            return fm_fail(FM_EPARSE, "the value of '%s' is not percent-encoded text", a->name);
        if (n == a->cap)
            return fm_fail(FM_EPARSE, "the value of '%s' is longer than %zu bytes", a->name,
                           a->cap);
        to[n++] = (uint8_t)byte;
    }
    if (n == 0)
        return fm_fail(FM_EPARSE, "'%s' has no value", a->name);
    if (a->len)
        *a->len = n;
    else
        to[n] = 0;
    return FM_OK;
}

static fm_status take_pair(const attribute *known, size_t count, uint32_t *seen, const char *at,
                           const char *end)
{
    const char *equals = memchr(at, '=', (size_t)(end - at));
    const size_t name = (size_t)((equals ? equals : end) - at);

    for (size_t i = 0; equals && i < count; i++) {
        if (strlen(known[i].name) != name || memcmp(known[i].name, at, name) != 0)
            continue;
        if (*seen & 1u << i)
            return fm_fail(FM_EPARSE, "'%s' is given twice", known[i].name);
        *seen |= 1u << i;
        return take_value(&known[i], equals + 1, end);
    }
    if (name == strlen("pin-value") && memcmp(at, "pin-value", name) == 0)
        return fm_fail(FM_EPARSE, "a PIN does not belong into a file that anyone may read; put it "
                                  "into a file of mode 0600 and name that: pin-source=file:pin");
    return fm_fail(FM_EPARSE, "'%.*s' is not known here", name < 40 ? (int)name : 40, at);
}

/** Pairs between separators, up to `end`. */
static fm_status take_pairs(const attribute *known, size_t count, char separator, const char *at,
                            const char *end)
{
    uint32_t seen = 0;
    fm_status st = FM_OK;

    while (st == FM_OK && at < end) {
        const char *next = memchr(at, separator, (size_t)(end - at));
        const char *stop = next ? next : end;

        st = take_pair(known, count, &seen, at, stop);
        at = next ? next + 1 : end;
    }
    return st;
}

static fm_status check(const fm_token_uri *u, const char *type, const char *source)
{
    if (!u->token[0] && !u->serial[0])
        return fm_fail(FM_EPARSE, "neither 'token' nor 'serial' says which token it is");
    if (!u->object[0] && u->id_len == 0)
        return fm_fail(FM_EPARSE, "neither 'object' nor 'id' says which key it is");
    if (type[0] && strcmp(type, "private") != 0)
        return fm_fail(FM_EPARSE, "'type' is '%s', not private", type);
    if (!u->module[0])
        return fm_fail(FM_EPARSE, "'module-path' is missing: the PKCS#11 library of the token");
    if (u->module[0] != '/')
        return fm_fail(FM_EPARSE, "'module-path' is not an absolute path");
    if (source[0] && strncmp(source, "file:", 5) != 0)
        return fm_fail(FM_EPARSE, "'pin-source' is not a file: write pin-source=file:NAME");
    return FM_OK;
}

fm_status fm_token_uri_parse(const char *text, fm_token_uri *out)
{
    fm_token_uri u = { .id_len = 0 };
    char type[FM_TOKEN_TEXT_MAX + 1] = "", source[FM_TOKEN_PATH_MAX + 1] = "";
    const attribute path[] = { { "token", u.token, FM_TOKEN_TEXT_MAX, NULL },
                               { "serial", u.serial, FM_TOKEN_TEXT_MAX, NULL },
                               { "object", u.object, FM_TOKEN_TEXT_MAX, NULL },
                               { "type", type, FM_TOKEN_TEXT_MAX, NULL },
                               { "id", u.id, sizeof u.id, &u.id_len } };
    const attribute query[] = { { "module-path", u.module, FM_TOKEN_PATH_MAX, NULL },
                                { "pin-source", source, FM_TOKEN_PATH_MAX, NULL } };
    const size_t len = text ? strnlen(text, FM_TOKEN_URI_MAX + 1) : 0;
    const char *begin, *mark, *end;
    fm_status st;

    if (!out || len > FM_TOKEN_URI_MAX || len < strlen(SCHEME) ||
        strncmp(text, SCHEME, strlen(SCHEME)) != 0)
        return fm_fail(FM_EPARSE, "not a URI " SCHEME "... of at most %u bytes", FM_TOKEN_URI_MAX);
    begin = text + strlen(SCHEME);
    end = text + len;
    mark = memchr(begin, '?', (size_t)(end - begin));
    if ((st = take_pairs(path, COUNT(path), ';', begin, mark ? mark : end)) != FM_OK ||
        (st = take_pairs(query, COUNT(query), '&', mark ? mark + 1 : end, end)) != FM_OK ||
        (st = check(&u, type, source)) != FM_OK)
        return fm_fail_context(st, "the key's URI: ");
    if (source[0])
        memcpy(u.pin_file, source + 5, strlen(source + 5) + 1);
    *out = u;
    return FM_OK;
}
