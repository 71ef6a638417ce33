/* Values of the file, each refused with its place when it is not what it must be. */
#include <stdarg.h>
#include <stdio.h>

#include "fedmoe/base/text.h"
#include "tokenizer_internal.h"

fm_tk_at fm_tk_in(const fm_tk_at *at, const char *key)
{
    fm_tk_at in = { .file = at->file };

    (void)snprintf(in.path, sizeof in.path, "%.*s%s%.64s", 90, at->path, at->path[0] ? "." : "",
                   key);
    return in;
}

fm_tk_at fm_tk_item(const fm_tk_at *at, const char *key, size_t i)
{
    fm_tk_at in = fm_tk_in(at, key);
    const size_t used = strlen(in.path);

    (void)snprintf(in.path + used, sizeof in.path - used, "[%zu]", i);
    return in;
}

fm_status fm_tk_refuse(const fm_tk_at *at, const char *fmt, ...)
{
    char what[400];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    fm_text_clean(what);
    return fm_fail(FM_EPROTO, "%s: %s%s%s", at->file, at->path, at->path[0] ? ": " : "", what);
}

fm_status fm_tk_keys(const fm_tk_at *at, const json_t *obj, const char *const *known)
{
    const char *key;
    json_t *value;

    if (!json_is_object(obj))
        return fm_tk_refuse(at, "must be an object");
    json_object_foreach((json_t *)(uintptr_t)obj, key, value)
    {
        size_t i = 0;

        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            return fm_tk_refuse(at, "the key '%.64s' is not known, and might change the ids", key);
    }
    return FM_OK;
}

fm_status fm_tk_bool(const fm_tk_at *at, const json_t *obj, const char *key, int fallback,
                     bool *out)
{
    const json_t *v = json_object_get(obj, key);
    const fm_tk_at in = fm_tk_in(at, key);

    if ((!v || json_is_null(v)) && fallback >= 0)
        *out = fallback != 0;
    else if (!json_is_boolean(v))
        return fm_tk_refuse(&in, "must be true or false");
    else
        *out = json_is_true(v);
    return FM_OK;
}

fm_status fm_tk_text(const fm_tk_at *at, const json_t *obj, const char *key, const char **out)
{
    const fm_tk_at in = fm_tk_in(at, key);

    *out = json_string_value(json_object_get(obj, key));
    return *out ? FM_OK : fm_tk_refuse(&in, "must be a text");
}

bool fm_tk_is_id(const json_t *value)
{
    const json_int_t v = json_integer_value(value);

    return json_is_integer(value) && v >= 0 && v < (json_int_t)FM_TOKENIZER_MAX_VOCABULARY;
}

fm_status fm_tk_id(const fm_tk_at *at, const json_t *value, uint32_t *out)
{
    if (!fm_tk_is_id(value))
        return fm_tk_refuse(at, "must be an id from 0 to %zu", FM_TOKENIZER_MAX_VOCABULARY - 1);
    *out = (uint32_t)json_integer_value(value);
    return FM_OK;
}

fm_status fm_tk_type(const fm_tk_at *at, const json_t *obj, const char **out)
{
    if (!json_is_object(obj))
        return fm_tk_refuse(at, "must be an object");
    return fm_tk_text(at, obj, "type", out);
}

fm_status fm_tk_sequence(fm_tokenizer *t, const fm_tk_at *at, const json_t *obj, const char *key,
                         fm_tk_part each)
{
    const char *const known[] = { "type", key, NULL };
    const json_t *list;
    const char *type;
    fm_status st;

    if (!obj || json_is_null(obj))
        return FM_OK;
    if ((st = fm_tk_type(at, obj, &type)) != FM_OK)
        return st;
    if (strcmp(type, "Sequence") != 0)
        return each(t, at, obj);
    if ((st = fm_tk_keys(at, obj, known)) != FM_OK)
        return st;
    list = json_object_get(obj, key);
    if (!json_is_array(list)) {
        const fm_tk_at in = fm_tk_in(at, key);

        return fm_tk_refuse(&in, "must be a list");
    }
    for (size_t i = 0; i < json_array_size(list) && !st; i++) {
        const fm_tk_at in = fm_tk_item(at, key, i);

        st = each(t, &in, json_array_get(list, i));
    }
    return st;
}
