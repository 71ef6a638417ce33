/* One decision: its text, and what its conditions say of a round. */
#include "fedmoe/node/decision.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "decision_internal.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/text.h"
#include "words.h"

#define NONE "-"
#define TIME_LEN 20u /* 2026-12-31T12:00:00Z */

/* ---- dates ---- */

static bool all_digits(const char *s, const char *form)
{
    for (; *form; s++, form++)
        if (*form == '0' ? *s < '0' || *s > '9' : *s != *form)
            return false;
    return *s == '\0';
}

/** The same text must come back: 2026-02-30 is no date. */
static bool read_time(const char *s, int64_t *out)
{
    struct tm t = { 0 };
    char again[32];
    int64_t at;

    if (!all_digits(s, "0000-00-00T00:00:00Z"))
        return false;
    (void)sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2dZ", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour,
                 &t.tm_min, &t.tm_sec);
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    at = (int64_t)timegm(&t);
    fm_clock_format(at, again, sizeof again);
    if (at <= 0 || strcmp(again, s) != 0)
        return false;
    *out = at;
    return true;
}

fm_status fm_decision_date(const char *text, int64_t *out)
{
    char whole[TIME_LEN + 1];

    if (all_digits(text, "0000-00-00")) {
        (void)snprintf(whole, sizeof whole, "%.10sT23:59:59Z", text);
        text = whole;
    }
    return read_time(text, out) ? FM_OK
                                : fm_fail(FM_EINVAL,
                                          "'%.40s' is not a date; write 2026-12-31 (to the end of "
                                          "that day, UTC) or 2026-12-31T12:00:00Z",
                                          text);
}

/* ---- members ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/** Cut at the commas, in place. @return how many; SIZE_MAX: more than fit. */
static size_t split(char *text, char **names, size_t room)
{
    size_t n = 0;

    for (char *save = NULL, *one = strtok_r(text, ", ", &save); one;
         one = strtok_r(NULL, ", ", &save)) {
        if (n == room)
            return SIZE_MAX;
        names[n++] = one;
    }
    return n;
}

#define MEMBERS_ROOM (FM_DECISION_MEMBERS_MAX / 2 + 1)

fm_status fm_decision_set_members(fm_decision *d, const char *names)
{
    char text[FM_DECISION_MEMBERS_MAX + 1], *list[MEMBERS_ROOM];
    size_t n, len = 0;

    if (strlen(names) > FM_DECISION_MEMBERS_MAX)
        return fm_fail(FM_EINVAL, "so many members do not fit a decision (%d bytes)",
                       FM_DECISION_MEMBERS_MAX);
    (void)snprintf(text, sizeof text, "%s", names);
    if ((n = split(text, list, MEMBERS_ROOM)) == 0 || n == SIZE_MAX)
        return fm_fail(FM_EINVAL, "'%.60s' names no members; write northgate,lakeside", names);
    qsort(list, n, sizeof *list, by_name);
    for (size_t i = 0; i < n; i++) {
        if (fm_name_check(list[i]) != FM_OK)
            return fm_fail(FM_EINVAL, "'%.60s' is not a member's name: small letters, digits, '-'",
                           list[i]);
        if (i > 0 && strcmp(list[i], list[i - 1]) == 0)
            continue;
        len += (size_t)snprintf(d->members + len, sizeof d->members - len, "%s%s", len ? "," : "",
                                list[i]);
    }
    return FM_OK;
}

static bool has_name(const char *members, const char *name)
{
    const size_t len = strlen(name);

    for (const char *at = members; *at; at += strcspn(at, ","), at += *at == ',')
        if (strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == '\0'))
            return true;
    return false;
}

/* ---- writing ---- */

static const char *or_none(const char *s)
{
    return *s ? s : NONE;
}

static fm_status check_text(const char *what, const char *text)
{
    if (fm_text_has_control(text) || *text == ' ')
        return fm_fail(FM_EINVAL, "%s: a line of text, without control characters", what);
    return FM_OK;
}

static fm_status check(const fm_decision *d)
{
    fm_status st;

    if (d->verdict != FM_VERDICT_APPROVE && d->verdict != FM_VERDICT_REFUSE)
        return fm_fail(FM_EINVAL, "a decision approves or refuses");
    if (d->number == 0 || d->at_s <= 0 || d->until_s < 0 || !(d->epsilon >= 0.0))
        return fm_fail(FM_EINVAL, "a decision's figures are out of range");
    if ((st = check_text("by", d->by)) != FM_OK || (st = check_text("role", d->role)) != FM_OK ||
        (st = check_text("note", d->note)) != FM_OK ||
        (st = check_text("purpose", d->purpose)) != FM_OK)
        return st;
    return strcmp(or_none(d->by), NONE) != 0 && strcmp(or_none(d->role), NONE) != 0
               ? FM_OK
               : fm_fail(FM_EINVAL, "a decision names who made it, and as what");
}

static fm_status put_number(fm_buf *out, const char *key, double v)
{
    char text[32] = NONE;

    if (v > 0.0)
        fm_words_exact(v, text);
    return fm_buf_printf(out, "%s %s\n", key, text);
}

static fm_status put_time(fm_buf *out, const char *key, int64_t at_s)
{
    char text[32] = NONE;

    if (at_s > 0)
        fm_clock_format(at_s, text, sizeof text);
    return fm_buf_printf(out, "%s %s\n", key, text);
}

static fm_status put_head(const fm_decision *d, fm_buf *out)
{
    char before[2 * FM_HASH_BYTES + 1], plan[2 * FM_HASH_BYTES + 1], words[2 * FM_HASH_BYTES + 1];
    fm_status st;

    fm_hash_hex(&d->before, before);
    fm_hash_hex(&d->plan, plan);
    fm_hash_hex(&d->words, words);
    if ((st = fm_buf_printf(out,
                            FM_LABEL_DECISION "\nnumber %llu\nbefore %s\nplan %s\nwords %s\n"
                                              "federation %s\npurpose %s\n",
                            (unsigned long long)d->number, before, plan, words,
                            or_none(d->federation), or_none(d->purpose))) != FM_OK ||
        (st = put_number(out, "plan-epsilon", d->plan_epsilon)) != FM_OK ||
        (st = put_number(out, "plan-delta", d->plan_delta)) != FM_OK)
        return st;
    return put_number(out, "plan-rounds", d->plan_rounds);
}

static fm_status put_conditions(const fm_decision *d, fm_buf *out)
{
    fm_status st;

    if ((st = put_number(out, "epsilon", d->epsilon)) != FM_OK ||
        (st = put_number(out, "rounds", d->rounds)) != FM_OK ||
        (st = put_time(out, "until", d->until_s)) != FM_OK ||
        (st = put_number(out, "min-cohort", d->min_cohort)) != FM_OK)
        return st;
    return fm_buf_printf(out, "members %s\nnote %s\n", or_none(d->members), or_none(d->note));
}

fm_status fm_decision_encode(const fm_decision *d, const fm_public_key *key, fm_buf *out)
{
    char base64[FM_DECISION_BASE64];
    fm_status st;

    if (!d || !key || !out || key->len > FM_PUBLIC_KEY_MAX)
        return fm_fail(FM_EINVAL, "fm_decision_encode: bad argument");
    sodium_bin2base64(base64, sizeof base64, key->der, key->len, sodium_base64_VARIANT_ORIGINAL);
    if ((st = check(d)) != FM_OK || (st = put_head(d, out)) != FM_OK ||
        (st = fm_buf_printf(out, "verdict %s\nby %s\nrole %s\n",
                            d->verdict == FM_VERDICT_APPROVE ? "approve" : "refuse", d->by,
                            d->role)) != FM_OK ||
        (st = put_time(out, "at", d->at_s)) != FM_OK || (st = put_conditions(d, out)) != FM_OK)
        return st;
    return fm_buf_printf(out, "key %s\n", base64);
}

/* ---- reading: each line has its place; whatever else could be written comes back otherwise ---- */

bool fm_decision_line(const char **at, const char *key, char *value, size_t cap)
{
    const size_t len = strcspn(*at, "\n"), name = strlen(key);

    if ((*at)[len] != '\n' || len <= name || strncmp(*at, key, name) != 0 || (*at)[name] != ' ' ||
        len - name - 1 >= cap)
        return false;
    memcpy(value, *at + name + 1, len - name - 1);
    value[len - name - 1] = '\0';
    if (strcmp(value, NONE) == 0)
        value[0] = '\0';
    *at += len + 1;
    return true;
}

static bool take_hash(const char **at, const char *key, fm_hash *out)
{
    char hex[2 * FM_HASH_BYTES + 1];
    size_t len = 0;

    return fm_decision_line(at, key, hex, sizeof hex) &&
           sodium_hex2bin(out->bytes, FM_HASH_BYTES, hex, strlen(hex), NULL, &len, NULL) == 0 &&
           len == FM_HASH_BYTES;
}

static bool take_number(const char **at, const char *key, double *out)
{
    char text[32];

    *out = 0.0;
    return fm_decision_line(at, key, text, sizeof text) && (!*text || fm_text_double(text, out)) &&
           *out >= 0.0;
}

static bool take_u32(const char **at, const char *key, uint32_t *out)
{
    char text[32];
    uint64_t v = 0;

    if (!fm_decision_line(at, key, text, sizeof text) || (*text && !fm_text_u64(text, &v)) ||
        v > UINT32_MAX)
        return false;
    *out = (uint32_t)v;
    return true;
}

static bool take_time(const char **at, const char *key, int64_t *out)
{
    char text[32];

    *out = 0;
    return fm_decision_line(at, key, text, sizeof text) && (!*text || read_time(text, out));
}

static bool take_verdict(const char **at, fm_verdict *out)
{
    char text[16];

    if (!fm_decision_line(at, "verdict", text, sizeof text))
        return false;
    *out = strcmp(text, "approve") == 0  ? FM_VERDICT_APPROVE
           : strcmp(text, "refuse") == 0 ? FM_VERDICT_REFUSE
                                         : 0;
    return true;
}

bool fm_decision_decode(const char **at, fm_decision *d)
{
    static const char first[] = FM_LABEL_DECISION "\n";
    char number[24];

    if (strncmp(*at, first, sizeof first - 1) != 0)
        return false;
    *at += sizeof first - 1;
    return fm_decision_line(at, "number", number, sizeof number) &&
           fm_text_u64(number, &d->number) && take_hash(at, "before", &d->before) &&
           take_hash(at, "plan", &d->plan) && take_hash(at, "words", &d->words) &&
           fm_decision_line(at, "federation", d->federation, sizeof d->federation) &&
           fm_decision_line(at, "purpose", d->purpose, sizeof d->purpose) &&
           take_number(at, "plan-epsilon", &d->plan_epsilon) &&
           take_number(at, "plan-delta", &d->plan_delta) &&
           take_u32(at, "plan-rounds", &d->plan_rounds) && take_verdict(at, &d->verdict) &&
           fm_decision_line(at, "by", d->by, sizeof d->by) &&
           fm_decision_line(at, "role", d->role, sizeof d->role) && take_time(at, "at", &d->at_s) &&
           take_number(at, "epsilon", &d->epsilon) && take_u32(at, "rounds", &d->rounds) &&
           take_time(at, "until", &d->until_s) && take_u32(at, "min-cohort", &d->min_cohort) &&
           fm_decision_line(at, "members", d->members, sizeof d->members) &&
           fm_decision_line(at, "note", d->note, sizeof d->note);
}

/* ---- conditions ---- */

fm_status fm_decision_check(const fm_decision *d, const fm_decision_round *r)
{
    char until[32], epsilon[32];

    if (d->verdict != FM_VERDICT_APPROVE)
        return fm_fail(FM_EPERM, "%s (%s) refuses the plan%s%s", d->by, d->role,
                       *d->note ? ": " : "", d->note);
    if (d->until_s > 0 && r->now_s > d->until_s) {
        fm_clock_format(d->until_s, until, sizeof until);
        return fm_fail(FM_EPERM, "decision %llu approved the plan until %s, which has passed",
                       (unsigned long long)d->number, until);
    }
    if (d->rounds > 0 && r->rounds > d->rounds)
        return fm_fail(FM_EPERM, "decision %llu approved %u rounds of the plan, and they are done",
                       (unsigned long long)d->number, d->rounds);
    if (d->epsilon > 0.0 && !(r->epsilon <= d->epsilon)) {
        fm_words_exact(d->epsilon, epsilon);
        return fm_fail(FM_EPERM,
                       "decision %llu approved the plan up to epsilon %s; %llu rounds of it would "
                       "cost %.4f",
                       (unsigned long long)d->number, epsilon, (unsigned long long)r->rounds,
                       fm_words_up(r->epsilon));
    }
    return FM_OK;
}

fm_status fm_decision_check_company(const fm_decision *d, const char *const *names, size_t count)
{
    if (count < d->min_cohort)
        return fm_fail(
            FM_ESTATE,
            "decision %llu wants at least %u participants in a round and in its sum; here "
            "are %zu",
            (unsigned long long)d->number, d->min_cohort, count);
    for (size_t i = 0; *d->members && i < count; i++)
        if (!has_name(d->members, names[i]))
            return fm_fail(FM_EPERM, "decision %llu approved the plan with %s; '%s' is not of them",
                           (unsigned long long)d->number, d->members, names[i]);
    return FM_OK;
}

fm_status fm_decision_words(const fm_decision *d, fm_buf *out)
{
    char number[32];
    fm_status st =
        fm_buf_printf(out, "%s", d->verdict == FM_VERDICT_APPROVE ? "approved" : "refused");

    if (st == FM_OK && d->epsilon > 0.0) {
        fm_words_exact(d->epsilon, number);
        st = fm_buf_printf(out, ", up to epsilon %s", number);
    }
    if (st == FM_OK && d->rounds > 0)
        st = fm_buf_printf(out, ", for %u round%s", d->rounds, d->rounds == 1 ? "" : "s");
    if (st == FM_OK && d->until_s > 0) {
        fm_clock_format(d->until_s, number, sizeof number);
        st = fm_buf_printf(out, ", until %s", number);
    }
    if (st == FM_OK && d->min_cohort > 0)
        st = fm_buf_printf(out, ", with at least %u participants and in each sum", d->min_cohort);
    if (st == FM_OK && *d->members)
        st = fm_buf_printf(out, ", with nobody but %s", d->members);
    return st == FM_OK && *d->note ? fm_buf_printf(out, " (%s)", d->note) : st;
}
