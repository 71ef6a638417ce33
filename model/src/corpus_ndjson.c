/* NDJSON: a record a line. */
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "corpus_internal.h"

/* What stands under keys with points between; NULL when one of them is not there. */
static const json_t *look(const json_t *object, const char *path)
{
    char key[FM_TEXT_MAX_NAME + 1];

    for (;;) {
        const size_t len = strcspn(path, ".");

        memcpy(key, path, len);
        key[len] = '\0';
        object = json_object_get(object, key); /* NULL, too, of what is no object */
        if (!path[len])
            return object;
        path += len + 1;
    }
}

/* Texts and whole numbers; null is an empty text. */
static bool value_of(const json_t *v, fm_corpus_value *out)
{
    if (json_is_string(v)) {
        out->at = json_string_value(v);
        out->len = json_string_length(v);
        return true;
    }
    out->at = out->digits;
    out->digits[0] = '\0';
    if (json_is_integer(v))
        (void)snprintf(out->digits, sizeof out->digits, "%" JSON_INTEGER_FORMAT,
                       json_integer_value(v));
    out->len = strlen(out->digits);
    return json_is_integer(v) || json_is_null(v);
}

static fm_status fault(const fm_corpus_builder *b, size_t line, const char *key, const json_t *v)
{
    return fm_fail(FM_EPARSE, "%s:%zu, key %s: %s; it must be a text or a whole number", b->name,
                   line, key, fm_corpus_json_kind(v));
}

/* The record's text and, of a schema with a unit, whose it is. */
static fm_status read_values(const fm_corpus_builder *b, size_t line, const json_t *object,
                             fm_corpus_value *values, fm_corpus_value *unit)
{
    const fm_text_schema *s = b->schema;

    for (size_t i = 0; i < s->field_count; i++) {
        const json_t *v = look(object, s->fields[i]);

        if (!value_of(v, &values[i]))
            return fault(b, line, s->fields[i], v);
    }
    if (s->unit) {
        const json_t *v = look(object, s->unit);

        if (!value_of(v, unit))
            return fault(b, line, s->unit, v);
        if (!fm_corpus_trim(&unit->at, &unit->len))
            return fm_fail(FM_EPARSE,
                           "%s:%zu, key %s: empty; every record needs its %s: it says whose it is",
                           b->name, line, s->unit, s->unit);
    }
    return FM_OK;
}

fm_status fm_corpus_ndjson(fm_corpus_builder *b, size_t line, const json_t *object)
{
    fm_corpus_value values[FM_TEXT_MAX_FIELDS], unit = { 0 };
    fm_status st = read_values(b, line, object, values, &unit);

    if (!st)
        st = fm_corpus_compose(b, values);
    if (!st)
        st = fm_corpus_add(b, line, unit.at, unit.len);
    /* Digits of a number, such as a patient's, stand in them. */
    sodium_memzero(values, b->schema->field_count * sizeof *values);
    sodium_memzero(&unit, sizeof unit);
    return st;
}

static fm_status take(fm_corpus_builder *b, size_t line, const char *text, size_t len)
{
    json_t *object = NULL;
    fm_status st = fm_corpus_record(b, line);

    if (!st)
        st = fm_corpus_json(b->name, line, text, len, &object);
    if (!st)
        st = (b->schema->source == FM_TEXT_FHIR ? fm_corpus_fhir : fm_corpus_ndjson)(b, line,
                                                                                     object);
    json_decref(object);
    return fm_corpus_fault(b, st);
}

fm_status fm_corpus_read_lines(fm_corpus_builder *b, fm_csv_source *source)
{
    fm_lines lines;
    const char *text;
    size_t len;
    bool got = true;
    fm_status st;

    fm_lines_begin(&lines, source);
    while (!(st = fm_lines_next(&lines, &text, &len, &got)) && got)
        if ((st = take(b, lines.line, text, len)))
            break;
    fm_lines_end(&lines);
    return st;
}
