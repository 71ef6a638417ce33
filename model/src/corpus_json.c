/* One line of JSON; what is wrong with it is said without a byte of it. */
#include <string.h>

#include "corpus_internal.h"
#include "fedmoe/base/input.h"
#include "fedmoe/base/json.h"

/* Bounds what the parser may take, before it does: how deep, and how many values. */
static fm_status check_shape(const char *name, size_t line, const char *p, size_t n)
{
    size_t depth = 0, values = 0;
    bool string = false;

    for (size_t i = 0; i < n; i++) {
        if (p[i] == '"') {
            string = !string;
        } else if (string) {
            i += p[i] == '\\';
        } else if (p[i] == '[' || p[i] == '{') {
            depth++;
            values++;
        } else if (p[i] == ']' || p[i] == '}') {
            depth -= depth > 0;
        } else {
            values += p[i] == ',' || p[i] == ':';
        }
        if (depth > FM_CORPUS_MAX_DEPTH)
            return fm_fail(FM_EPARSE, "%s:%zu, byte %zu: lists and objects are more than %zu deep",
                           name, line, i + 1, FM_CORPUS_MAX_DEPTH);
        if (values > FM_CORPUS_MAX_VALUES)
            return fm_fail(FM_EPARSE, "%s:%zu, byte %zu: more than %zu values in one line", name,
                           line, i + 1, FM_CORPUS_MAX_VALUES);
    }
    return FM_OK;
}

fm_status fm_corpus_json(const char *name, size_t line, const char *text, size_t len, json_t **out)
{
    const fm_input_other *other =
        line == 1 && len && *text != '{' && *text != '[' ? fm_input_other_of(text, len) : NULL;
    fm_status st = check_shape(name, line, text, len);
    json_t *value = NULL;
    json_error_t error;

    if (other)
        return fm_fail(FM_EPARSE, "%s:1: no JSON but %s; %s", name, other->is,
                       other->advice ? other->advice : "export it with one JSON object a line");
    if (st)
        return st;
    st = fm_json_parse(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &value, &error);
    if (st == FM_ENOMEM)
        return fm_fail_context(st, "%s:%zu: ", name, line);
    if (st)
        return fm_fail(FM_EPARSE, "%s:%zu, byte %d: %s", name, line, error.position,
                       fm_json_reason(&error));
    if (!json_is_object(value)) {
        json_decref(value);
        return fm_fail(FM_EPARSE, "%s:%zu: a list, and every line must be one object", name, line);
    }
    *out = value;
    return FM_OK;
}

const char *fm_corpus_json_kind(const json_t *v)
{
    if (!v)
        return "not there";
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a text";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_NULL:
        return "null";
    default:
        return "true or false";
    }
}
