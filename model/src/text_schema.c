/* text.yaml: read, and asked for what it says. */
#include "fedmoe/model/text_schema.h"

#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "text_schema_internal.h"

static fm_status read_source(const fm_yaml_node *root, fm_text_schema *s)
{
    static const char *const names[] = { "csv", "ndjson", "fhir" };
    const char *text;
    fm_status st = fm_yaml_get_string(root, "source", &text);

    for (size_t i = 0; !st && i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            s->source = (fm_text_source)i;
            return FM_OK;
        }
    }
    return st ? st
              : fm_yaml_fail(fm_yaml_find(root, "source"),
                             "source is \"%.100s\"; it can be csv, ndjson or fhir", text);
}

bool fm_text_schema_is(const void *text, size_t len)
{
    fm_yaml *doc = NULL;
    const bool is = text && fm_yaml_parse("schema", text, len, &doc) == FM_OK &&
                    fm_yaml_find(fm_yaml_root(doc), "source");

    fm_yaml_free(&doc);
    return is;
}

/* What a file without a header calls its columns. */
static fm_status read_columns(const fm_yaml_node *map, fm_text_schema *s)
{
    const fm_yaml_node *list;
    const char *name;
    fm_status st = fm_yaml_get_list(map, "columns", &list);

    if (st)
        return st;
    if (fm_yaml_size(list) < 1 || fm_yaml_size(list) > FM_TEXT_MAX_COLUMNS)
        return fm_yaml_fail(list,
                            "columns has %zu entries; it must name the file's columns, in order, "
                            "1 to %u",
                            fm_yaml_size(list), FM_TEXT_MAX_COLUMNS);
    if ((st = fm_alloc(fm_yaml_size(list), sizeof *s->columns, (void **)&s->columns)))
        return st;
    for (size_t i = 0; i < fm_yaml_size(list); i++) {
        if ((st = fm_yaml_scalar(fm_yaml_item(list, i), &name)))
            return st;
        for (size_t j = 0; j < i; j++)
            if (strcmp(s->columns[j], name) == 0)
                return fm_yaml_fail(fm_yaml_item(list, i), "column \"%.100s\" is there twice",
                                    name);
        if ((st = fm_strdup(name, &s->columns[i])))
            return st;
        s->column_count++;
    }
    return FM_OK;
}

static fm_status read_csv(const fm_yaml_node *root, fm_text_schema *s)
{
    static const char *const with[] = { "header", "delimiter", NULL };
    static const char *const without[] = { "header", "delimiter", "columns", NULL };
    const fm_yaml_node *map = NULL;
    const char *delimiter;
    fm_status st = FM_OK;

    if (fm_yaml_find(root, "csv"))
        st = fm_yaml_get_map(root, "csv", &map);
    if (st || (st = fm_yaml_get_bool_or(map, "header", true, &s->header)) ||
        (map && (st = fm_yaml_check_keys(map, s->header ? with : without))) ||
        (st = fm_yaml_get_string_or(map, "delimiter", ",", &delimiter)))
        return st;
    if (strlen(delimiter) != 1 || !strchr(",;|:\t", *delimiter))
        return fm_yaml_fail(fm_yaml_find(map, "delimiter"),
                            "delimiter must be one of , ; | : or \"\\t\"");
    s->delimiter = *delimiter;
    return s->header ? FM_OK : read_columns(map, s);
}

/* A column exists where the file says nothing; a key has no empty part. */
static fm_status check_field(const fm_yaml_node *node, const fm_text_schema *s, const char *name,
                             size_t len)
{
    bool found = s->source != FM_TEXT_CSV || s->header;

    for (size_t i = 0; !found && i < s->column_count; i++)
        found = strlen(s->columns[i]) == len && memcmp(s->columns[i], name, len) == 0;
    if (!found)
        return fm_yaml_fail(node, "csv.columns has no column \"%.*s\"",
                            (int)(len < 100 ? len : 100), name);
    if (!len || (s->source == FM_TEXT_NDJSON &&
                 (name[0] == '.' || name[len - 1] == '.' || memmem(name, len, "..", 2))))
        return fm_yaml_fail(node, s->source == FM_TEXT_CSV
                                      ? "a column without a name"
                                      : "an empty key; keys of objects within objects are written "
                                        "with points between: note.text");
    if (len > FM_TEXT_MAX_NAME)
        return fm_yaml_fail(node, "a name of %zu bytes; %u are the most", len, FM_TEXT_MAX_NAME);
    return FM_OK;
}

static fm_status copy(const char *from, size_t len, char **out)
{
    const fm_status st = fm_alloc(len + 1, 1, (void **)out);

    if (!st && len)
        memcpy(*out, from, len);
    return st;
}

/* The field of this name, which may be a new one. */
static fm_status take_field(const fm_yaml_node *node, fm_text_schema *s, const char *name,
                            size_t len, size_t *out)
{
    fm_status st;

    for (*out = 0; *out < s->field_count; ++*out)
        if (strlen(s->fields[*out]) == len && memcmp(s->fields[*out], name, len) == 0)
            return FM_OK;
    if ((st = check_field(node, s, name, len)))
        return st;
    if ((st = copy(name, len, &s->fields[*out])))
        return st;
    s->field_count++;
    return FM_OK;
}

/* The field whose opening brace is at `at`. @param out behind its closing one. */
static fm_status read_brace(const fm_yaml_node *node, fm_text_schema *s, const char *at,
                            const char **out)
{
    const size_t len = strcspn(at + 1, "{}");

    if (at[1 + len] != '}')
        return fm_yaml_fail(node, "a { that no } follows; fields are written {name}, a brace as "
                                  "{{ or }}");
    *out = at + len + 2;
    return take_field(node, s, at + 1, len, &s->parts[s->part_count].field);
}

/* Fixed text up to a field, and that; {{ and }} are braces. */
static fm_status read_part(const fm_yaml_node *node, fm_text_schema *s, const char **at)
{
    fm_text_part *part = &s->parts[s->part_count];
    const char *p = *at;
    fm_status st = fm_alloc(strlen(p) + 1, 1, (void **)&part->fixed);
    size_t n = 0;

    part->field = FM_TEXT_NO_FIELD;
    while (!st && *p && (*p != '{' || p[1] == '{')) {
        if (*p == '}' && p[1] != '}')
            return fm_yaml_fail(node, "a } without a {; fields are written {name}, a brace as {{ "
                                      "or }}");
        part->fixed[n++] = *p;
        p += *p == '{' || *p == '}' ? 2 : 1;
    }
    if (!st && *p)
        st = read_brace(node, s, p, &p);
    *at = p;
    return st;
}

static fm_status read_template(const fm_yaml_node *node, const char *text, fm_text_schema *s)
{
    fm_status st = FM_OK;

    for (const char *at = text; !st && *at; s->part_count++) {
        if (s->part_count == FM_TEXT_MAX_FIELDS)
            return fm_yaml_fail(node, "more than %u pieces", FM_TEXT_MAX_FIELDS);
        st = read_part(node, s, &at);
    }
    return st || s->field_count ? st
                                : fm_yaml_fail(node, "the template has no field; fields are "
                                                     "written {name}");
}

/* `text: NAME`, or `template`. */
static fm_status read_text(const fm_yaml_node *root, fm_text_schema *s)
{
    const fm_yaml_node *template = fm_yaml_find(root, "template");
    const char *text;
    fm_status st;

    if (template && fm_yaml_find(root, "text"))
        return fm_yaml_fail(template, "text and template: give one of them");
    if (template)
        return (st = fm_yaml_get_string(root, "template", &text))
                   ? st
                   : read_template(template, text, s);
    if ((st = fm_yaml_get_string(root, "text", &text)) || (st = copy("", 0, &s->parts[0].fixed)))
        return st;
    s->part_count = 1;
    return take_field(fm_yaml_find(root, "text"), s, text, strlen(text), &s->parts[0].field);
}

/* Said by every schema: it is what privacy is for. */
static fm_status read_unit(const fm_yaml_node *root, fm_text_schema *s)
{
    const fm_yaml_node *node = fm_yaml_find(root, "unit");
    const char *unit;
    fm_status st = fm_yaml_get_string(root, "unit", &unit);

    if (st || strcmp(unit, "record") == 0)
        return st;
    if (s->source == FM_TEXT_FHIR && strcmp(unit, "patient") != 0)
        return fm_yaml_fail(node, "unit is \"%.100s\"; of FHIR it can be patient or record", unit);
    if (s->source != FM_TEXT_FHIR && (st = check_field(node, s, unit, strlen(unit))))
        return st;
    return fm_strdup(unit, &s->unit);
}

static fm_status read_empty(const fm_yaml_node *root, fm_text_schema *s)
{
    const char *text;
    const fm_status st = fm_yaml_get_string_or(root, "empty", "skip", &text);

    if (st)
        return st;
    s->empty_is_error = strcmp(text, "error") == 0;
    if (!s->empty_is_error && strcmp(text, "skip") != 0)
        return fm_yaml_fail(fm_yaml_find(root, "empty"),
                            "empty is \"%.100s\"; it can be skip or error", text);
    return FM_OK;
}

static fm_status read_resources(const fm_yaml_node *root, fm_text_schema *s)
{
    const fm_yaml_node *list;
    const char *text;
    fm_status st;

    s->documents = s->reports = !fm_yaml_find(root, "resources");
    if (s->documents)
        return FM_OK;
    if ((st = fm_yaml_get_list(root, "resources", &list)))
        return st;
    for (size_t i = 0; i < fm_yaml_size(list); i++) {
        if ((st = fm_yaml_scalar(fm_yaml_item(list, i), &text)))
            return st;
        if (strcmp(text, "DocumentReference") == 0)
            s->documents = true;
        else if (strcmp(text, "DiagnosticReport") == 0)
            s->reports = true;
        else
            return fm_yaml_fail(fm_yaml_item(list, i),
                                "\"%.100s\"; notes stand in DocumentReference and DiagnosticReport",
                                text);
    }
    return s->documents || s->reports ? FM_OK : fm_yaml_fail(list, "resources is empty");
}

static fm_status read(const fm_yaml_node *root, fm_text_schema *s)
{
    static const char *const csv[] = { "name",     "description", "source", "csv",    "text",
                                       "template", "unit",        "empty",  "public", NULL };
    static const char *const ndjson[] = { "name", "description", "source", "text", "template",
                                          "unit", "empty",       "public", NULL };
    static const char *const fhir[] = { "name", "description", "source", "resources",
                                        "unit", "empty",       "public", NULL };
    static const char *const *const known[] = { csv, ndjson, fhir };
    const char *name, *description;
    fm_status st;

    if (fm_yaml_node_kind(root) != FM_YAML_MAP)
        return fm_yaml_check_keys(root, csv);
    if (fm_yaml_find(root, "columns") && !fm_yaml_find(root, "source"))
        return fm_yaml_fail(fm_yaml_find(root, "columns"),
                            "this is a schema of a table, and a schema of texts is needed: "
                            "docs/text.md, \"Texts\"");
    if ((st = read_source(root, s)) || (st = fm_yaml_check_keys(root, known[s->source])) ||
        (st = fm_yaml_get_string(root, "name", &name)) ||
        (st = fm_yaml_get_string_or(root, "description", "", &description)) ||
        (st = fm_strdup(name, &s->name)) ||
        (s->source == FM_TEXT_CSV && (st = read_csv(root, s))) ||
        (st = s->source == FM_TEXT_FHIR ? read_resources(root, s) : read_text(root, s)) ||
        (st = read_unit(root, s)) ||
        (st = fm_yaml_get_bool_or(root, "public", false, &s->is_public)))
        return st;
    return read_empty(root, s);
}

fm_status fm_text_schema_parse(const char *name, const void *text, size_t len, fm_text_schema **out)
{
    fm_text_schema *s = NULL;
    fm_yaml *doc = NULL;
    fm_status st;

    if (!name || (len && !text) || !out)
        return fm_fail(FM_EINVAL, "text schema: an argument is missing");
    if (!(st = fm_yaml_parse(name, text, len, &doc)) &&
        !(st = fm_alloc(1, sizeof *s, (void **)&s)) && !(st = copy(text, len, &s->text)) &&
        !(st = read(fm_yaml_root(doc), s))) {
        *out = s; /* ownership moves to the caller */
        s = NULL;
    }
    fm_text_schema_free(&s);
    fm_yaml_free(&doc);
    return st;
}

fm_status fm_text_schema_load(const char *path, fm_text_schema **out)
{
    fm_buf text = { 0 };
    fm_status st;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "text schema: an argument is missing");
    if (!(st = fm_file_read(path, FM_YAML_MAX_BYTES, &text)))
        st = fm_text_schema_parse(path, text.data, text.len, out);
    fm_buf_fini(&text);
    return st;
}

void fm_text_schema_free(fm_text_schema **schema)
{
    fm_text_schema *s = schema ? *schema : NULL;

    if (!s)
        return;
    for (size_t i = 0; s->columns && i < s->column_count; i++)
        free(s->columns[i]);
    for (size_t i = 0; i < FM_TEXT_MAX_FIELDS; i++) {
        free(s->fields[i]);
        free(s->parts[i].fixed);
    }
    free(s->columns);
    free(s->unit);
    free(s->name);
    free(s->text);
    free(s);
    *schema = NULL;
}

const char *fm_text_schema_name(const fm_text_schema *s)
{
    return s->name;
}

const char *fm_text_schema_text(const fm_text_schema *s)
{
    return s->text;
}

fm_text_source fm_text_schema_source(const fm_text_schema *s)
{
    return s->source;
}

const char *fm_text_schema_unit(const fm_text_schema *s)
{
    return s->unit;
}

bool fm_text_schema_public(const fm_text_schema *s)
{
    return s->is_public;
}
