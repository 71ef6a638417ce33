/*
 * audit.json: {"format": "fedmoe audit 1", "noise_multiplier": z, "sampling_rate": q, "rounds": n,
 * "delta": d, "included": "0110...", "scores": [...]}, one digit and one score for each canary.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "audit_internal.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/memory.h"

#define FORMAT "fedmoe audit 1"
#define FILE_LIMIT ((size_t)16 << 20)

static json_t *scores_json(const fm_dp_observations *o)
{
    json_t *list = json_array();

    for (uint32_t i = 0; list && i < o->canaries; i++)
        if (json_array_append_new(list, json_real(o->scores[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

static fm_status to_json(const fm_dp_observations *o, json_t **out)
{
    const fm_dp_mechanism *m = &o->mechanism;
    json_t *scores = scores_json(o);
    char *coins = NULL;
    void *p = NULL;
    fm_status st = fm_alloc((size_t)o->canaries + 1, 1, &p);

    if (st == FM_OK) {
        coins = p;
        for (uint32_t i = 0; i < o->canaries; i++)
            coins[i] = o->included[i] ? '1' : '0';
        *out =
            json_pack("{s:s s:f s:f s:I s:f s:s s:O}", "format", FORMAT, "noise_multiplier",
                      m->noise_multiplier, "sampling_rate", m->sampling_rate, "rounds",
                      (json_int_t)m->count, "delta", o->delta, "included", coins, "scores", scores);
        if (!*out)
            st = fm_fail(FM_ENOMEM, "no memory for the audit's file");
    }
    free(coins);
    json_decref(scores);
    return st;
}

fm_status fm_dp_observations_write(const char *path, const fm_dp_observations *o)
{
    json_t *value = NULL;
    char *text = NULL;
    fm_status st;

    if ((st = fm_dp_observations_check(o)) != FM_OK || (st = to_json(o, &value)) != FM_OK)
        return st;
    if ((text = json_dumps(value, JSON_INDENT(1))))
        st = fm_file_replace(path, text, strlen(text), 0600);
    else
        st = fm_fail(FM_ENOMEM, "no memory for the audit's file");
    free(text);
    json_decref(value);
    return st;
}

static fm_status take_number(const char *path, const json_t *file, const char *key, double *out)
{
    const json_t *v = json_object_get(file, key);

    if (!json_is_number(v) || !isfinite(json_number_value(v)))
        return fm_fail(FM_EPROTO, "%s: '%s' is missing, or no number", path, key);
    *out = json_number_value(v);
    return FM_OK;
}

static fm_status take_figures(const char *path, const json_t *file, fm_dp_observations *o)
{
    const char *format = json_string_value(json_object_get(file, "format"));
    double rounds = 0.0;
    fm_status st;

    if (!format || strcmp(format, FORMAT) != 0)
        return fm_fail(FM_EPROTO, "%s: not a file of fedmoe-node audit", path);
    if ((st = take_number(path, file, "noise_multiplier", &o->mechanism.noise_multiplier)) !=
            FM_OK ||
        (st = take_number(path, file, "sampling_rate", &o->mechanism.sampling_rate)) != FM_OK ||
        (st = take_number(path, file, "rounds", &rounds)) != FM_OK ||
        (st = take_number(path, file, "delta", &o->delta)) != FM_OK)
        return st;
    if (!(rounds >= 1.0 && rounds <= FM_DP_AUDIT_MAX_ROUNDS) || rounds != floor(rounds))
        return fm_fail(FM_EPROTO, "%s: 'rounds' must be 1 to %u", path, FM_DP_AUDIT_MAX_ROUNDS);
    if (!(o->delta > 0.0 && o->delta < 1.0))
        return fm_fail(FM_EPROTO, "%s: 'delta' must be above 0 and below 1", path);
    o->mechanism.count = (uint64_t)rounds;
    return FM_OK;
}

static fm_status take_canaries(const char *path, const json_t *file, fm_dp_observations *o)
{
    const json_t *coins = json_object_get(file, "included"),
                 *scores = json_object_get(file, "scores");
    const char *digits = json_string_value(coins);

    if (!digits || strspn(digits, "01") != json_string_length(coins) ||
        json_array_size(scores) != json_string_length(coins))
        return fm_fail(FM_EPROTO,
                       "%s: 'included' must be a text of 0 and 1, 'scores' a list as long", path);
    for (uint32_t i = 0; i < o->canaries; i++) {
        const json_t *v = json_array_get(scores, i);

        if (!json_is_number(v) || !isfinite(json_number_value(v)))
            return fm_fail(FM_EPROTO, "%s: score %u is no number", path, i + 1);
        o->included[i] = digits[i] == '1';
        o->scores[i] = json_number_value(v);
    }
    return FM_OK;
}

static fm_status from_json(const char *path, const json_t *file, fm_dp_observations *out)
{
    fm_dp_observations figures = { 0 }, o = { 0 };
    size_t m = json_string_length(json_object_get(file, "included"));
    fm_status st;

    if ((st = take_figures(path, file, &figures)) != FM_OK)
        return st;
    figures.canaries = m <= FM_DP_AUDIT_MAX_CANARIES ? (uint32_t)m : 0;
    if (fm_dp_observations_check(&figures) != FM_OK)
        return fm_fail_context(FM_EPROTO, "%s: ", path);
    if ((st = fm_dp_observations_new(figures.canaries, &figures.mechanism, figures.delta, &o)) !=
        FM_OK)
        return st;
    if ((st = take_canaries(path, file, &o)) == FM_OK)
        *out = o;
    else
        fm_dp_observations_fini(&o);
    return st;
}

fm_status fm_dp_observations_parse(const char *name, const void *text, size_t len,
                                   fm_dp_observations *out)
{
    json_error_t error;
    json_t *file = json_loadb(len ? text : "", len, JSON_REJECT_DUPLICATES, &error);
    fm_status st = FM_OK;

    if (!file)
        return fm_fail(FM_EPROTO, "%s:%d:%d: %s", name, error.line, error.column, error.text);
    st = from_json(name, file, out);
    json_decref(file);
    return st;
}

fm_status fm_dp_observations_read(const char *path, fm_dp_observations *out)
{
    fm_buf text = { 0 };
    fm_status st = fm_file_read(path, FILE_LIMIT, &text);

    if (st == FM_OK)
        st = fm_dp_observations_parse(path, text.data, text.len, out);
    fm_buf_fini(&text);
    return st;
}
