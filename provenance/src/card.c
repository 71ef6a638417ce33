/* The card's text: one form for each card, so that what is signed can be read in one way only. */
#include "fedmoe/provenance/card.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "fedmoe/base/clock.h"
#include "policy_internal.h"

#define CARD_VERSION 1
#define HEX (2 * (size_t)FM_HASH_BYTES)
#define LATEST_S INT64_C(253402300799) /* the year 9999 ends */

void fm_card_fini(fm_card *c)
{
    if (!c)
        return;
    fm_use_policy_fini(&c->policy);
    memset(c, 0, sizeof *c);
}

/* ---- writing ---- */

static fm_status put_text(fm_buf *out, const char *key, const char *value)
{
    fm_status st;

    if ((st = fm_buf_printf(out, "%s: ", key)) != FM_OK ||
        (st = fm_text_quote(out, value)) != FM_OK)
        return fm_fail_context(st, "card: %s: ", key);
    return fm_buf_append(out, "\n", 1);
}

static fm_status put_hash(fm_buf *out, const char *key, const fm_hash *h)
{
    char hex[HEX + 1];

    fm_hash_hex(h, hex);
    return put_text(out, key, hex);
}

fm_status fm_card_write(const fm_card *c, fm_buf *out)
{
    char when[32];
    fm_status st;

    if (c->signed_s < 0 || c->signed_s > LATEST_S)
        return fm_fail(FM_EINVAL, "card: signed at a time that no calendar has");
    fm_clock_format(c->signed_s, when, sizeof when);
    if ((st = fm_buf_printf(out, "card: %d\n", CARD_VERSION)) != FM_OK ||
        (st = put_text(out, "federation", c->federation)) != FM_OK ||
        (st = put_text(out, "signer", c->signer)) != FM_OK ||
        (st = put_text(out, "signed", when)) != FM_OK ||
        (st = put_hash(out, "plan", &c->plan)) != FM_OK ||
        (st = put_hash(out, "head", &c->head)) != FM_OK ||
        (st = fm_buf_printf(out, "rounds: %" PRIu64 "\n", c->rounds)) != FM_OK ||
        (st = put_text(out, "epsilon", c->epsilon)) != FM_OK ||
        (st = put_text(out, "delta", c->delta)) != FM_OK ||
        (st = put_text(out, "unit", c->unit)) != FM_OK ||
        (c->base[0] && (st = put_text(out, "base", c->base)) != FM_OK) ||
        (st = put_hash(out, "weights", &c->weights)) != FM_OK ||
        (st = put_hash(out, "metadata", &c->metadata)) != FM_OK)
        return st;
    return fm_use_policy_write(&c->policy, out);
}

/* ---- reading ---- */

static fm_status get_text(const fm_yaml_node *map, const char *key, char *out, size_t cap)
{
    const char *s;
    fm_status st = fm_yaml_get_string(map, key, &s);

    if (st == FM_OK && strlen(s) >= cap)
        st = fm_yaml_fail(fm_yaml_find(map, key), "%s: longer than %zu bytes", key, cap - 1);
    if (st == FM_OK)
        memcpy(out, s, strlen(s) + 1);
    return st;
}

static fm_status get_name(const fm_yaml_node *map, const char *key, char out[FM_NAME_MAX + 1])
{
    fm_status st = get_text(map, key, out, FM_NAME_MAX + 1);

    if (st == FM_OK && fm_name_check(out) != FM_OK)
        st = fm_yaml_fail(fm_yaml_find(map, key), "%s: not the name of a member or a federation",
                          key);
    return st;
}

static fm_status get_hash(const fm_yaml_node *map, const char *key, fm_hash *out)
{
    char hex[HEX + 1];
    size_t len = 0;
    fm_status st = get_text(map, key, hex, sizeof hex);

    if (st == FM_OK && (strlen(hex) != HEX ||
                        sodium_hex2bin(out->bytes, sizeof out->bytes, hex, HEX, NULL, &len, NULL) ||
                        len != sizeof out->bytes))
        st =
            fm_yaml_fail(fm_yaml_find(map, key), "%s: %zu hexadecimal digits are wanted", key, HEX);
    return st;
}

/* "2026-11-24T02:31:00Z"; whatever it makes of other texts is written otherwise, and refused then.
 */
static fm_status get_time(const fm_yaml_node *map, const char *key, int64_t *out)
{
    char text[32];
    struct tm tm = { 0 };
    const char *end;
    fm_status st = get_text(map, key, text, sizeof text);

    if (st != FM_OK)
        return st;
    end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    *out = end && !*end ? (int64_t)timegm(&tm) : -1;
    if (*out < 0 || *out > LATEST_S)
        return fm_yaml_fail(fm_yaml_find(map, key), "%s: not a time like 2026-11-24T02:31:00Z",
                            key);
    return FM_OK;
}

static fm_status get_amount(const fm_yaml_node *map, const char *key, char out[FM_TEXT_UP])
{
    fm_status st = get_text(map, key, out, FM_TEXT_UP);
    double v;

    if (st == FM_OK && strcmp(out, "none") != 0 && !(fm_text_double(out, &v) && v > 0.0))
        st = fm_yaml_fail(fm_yaml_find(map, key), "%s: a number above 0, or none", key);
    return st;
}

static fm_status read_base(const fm_yaml_node *root, fm_card *c)
{
    fm_hash unused;

    if (!fm_yaml_find(root, "base"))
        return FM_OK;
    if (get_hash(root, "base", &unused) != FM_OK)
        return FM_EPARSE;
    return get_text(root, "base", c->base, sizeof c->base);
}

static fm_status read_fields(const fm_yaml_node *root, fm_card *c)
{
    static const char *const keys[] = { "card",     "federation", "signer",     "signed",
                                        "plan",     "head",       "rounds",     "epsilon",
                                        "delta",    "unit",       "base",       "weights",
                                        "metadata", "allowed",    "prohibited", NULL };
    uint64_t version;
    fm_status st;

    if ((st = fm_yaml_check_keys(root, keys)) != FM_OK ||
        (st = fm_yaml_get_u64(root, "card", CARD_VERSION, CARD_VERSION, &version)) != FM_OK ||
        (st = get_name(root, "federation", c->federation)) != FM_OK ||
        (st = get_name(root, "signer", c->signer)) != FM_OK ||
        (st = get_time(root, "signed", &c->signed_s)) != FM_OK ||
        (st = get_hash(root, "plan", &c->plan)) != FM_OK ||
        (st = get_hash(root, "head", &c->head)) != FM_OK ||
        (st = fm_yaml_get_u64(root, "rounds", 0, UINT64_MAX, &c->rounds)) != FM_OK ||
        (st = get_amount(root, "epsilon", c->epsilon)) != FM_OK ||
        (st = get_amount(root, "delta", c->delta)) != FM_OK ||
        (st = get_text(root, "unit", c->unit, sizeof c->unit)) != FM_OK ||
        (st = read_base(root, c)) != FM_OK ||
        (st = get_hash(root, "weights", &c->weights)) != FM_OK ||
        (st = get_hash(root, "metadata", &c->metadata)) != FM_OK)
        return st;
    return fm_use_policy_read(root, &c->policy);
}

/** A second text of the same card would be a card that nobody has signed in this form. */
static fm_status check_form(const char *name, const fm_card *c, const void *text, size_t len)
{
    fm_buf again = { 0 };
    fm_status st = fm_card_write(c, &again);

    if (st == FM_EINVAL)
        st = fm_fail_context(FM_EPARSE, "%s: ", name);
    else if (st == FM_OK && (again.len != len || memcmp(again.data, text, len) != 0))
        st = fm_fail(FM_EPARSE, "%s: a card in another form than fedmoe writes: it was edited",
                     name);
    fm_buf_fini(&again);
    return st;
}

fm_status fm_card_parse(const char *name, const void *text, size_t len, fm_card *out)
{
    fm_yaml *doc = NULL;
    fm_card c = { 0 };
    fm_status st;

    if (!name || !text || !out)
        return fm_fail(FM_EINVAL, "fm_card_parse: NULL argument");
    if (len > FM_CARD_MAX_BYTES)
        return fm_fail(FM_EPROTO, "%s: a card of %zu bytes; at most %zu are read", name, len,
                       FM_CARD_MAX_BYTES);
    if ((st = fm_yaml_parse(name, text, len, &doc)) == FM_OK &&
        (st = read_fields(fm_yaml_root(doc), &c)) == FM_OK &&
        (st = check_form(name, &c, text, len)) == FM_OK) {
        *out = c;
        c = (fm_card){ 0 };
    }
    fm_card_fini(&c);
    fm_yaml_free(&doc);
    return st;
}
