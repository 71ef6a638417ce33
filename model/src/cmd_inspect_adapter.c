#include <stdio.h>
#include <string.h>

#include "cmd_inspect.h"
#include "fedmoe/model/adapter_terms.h"
#include "fedmoe/model/tabular.h"
#include "fedmoe/provenance/card.h"

typedef struct {
    fm_safetensors *file; /* its header alone */
    fm_text_schema *schema;
    fm_adapter_terms terms;
    size_t values;
} opened;

bool fm_inspect_is_adapter(const char *path)
{
    fm_safetensors *file = NULL;
    const char *kind = NULL;
    bool is = false;

    if (fm_safetensors_open(path, &file) == FM_OK)
        kind = fm_safetensors_meta_get(file, FM_META_KIND);
    is = kind && strcmp(kind, FM_META_KIND_ADAPTER) == 0;
    fm_safetensors_free(&file);
    return is;
}

static fm_status open_adapter(const char *path, opened *o)
{
    const char *model, *schema;
    fm_status st = fm_safetensors_open(path, &o->file);

    if (st)
        return st;
    model = fm_safetensors_meta_get(o->file, FM_META_MODEL);
    schema = fm_safetensors_meta_get(o->file, FM_META_SCHEMA);
    if (!model || !schema)
        return fm_fail(FM_EPROTO,
                       "%s: an adapter of a federation says its model and its schema; "
                       "this file does not",
                       path);
    if ((st = fm_adapter_terms_parse(path, model, &o->terms)) ||
        (st = fm_text_schema_parse(path, schema, strlen(schema), &o->schema)))
        return st;
    return fm_safetensors_flat_size(o->file, &o->values);
}

static bool is_long(const char *key)
{
    return strcmp(key, FM_META_SCHEMA) == 0 || strcmp(key, FM_META_MODEL) == 0 ||
           strncmp(key, FM_META_CARD, strlen(FM_META_CARD)) == 0;
}

static void print_line(const char *name, const char *text)
{
    printf("%-11s ", name);
    fm_inspect_print_clean(text, strlen(text), "\n");
}

static void print_text(const opened *o)
{
    const fm_adapter_terms *t = &o->terms;
    const char *unit = fm_text_schema_unit(o->schema);

    printf("adapters    rank %zu, alpha %g, of a language model; modules ", t->rank, t->alpha);
    fm_inspect_print_clean(t->modules, strlen(t->modules), "\n");
    printf("values      %zu, %.1f KB a round\n", o->values, 4.0 * (double)o->values / 1000.0);
    print_line("base", t->base);
    print_line("tokenizer", t->tokenizer);
    printf("seed of A   %llu\n", (unsigned long long)t->seed);
    printf("context     %zu tokens a sequence\n", t->context);
    print_line("end token", t->end_token[0] ? t->end_token : "the tokenizer's own");
    print_line("schema", fm_text_schema_name(o->schema));
    print_line("unit", unit ? unit : "record");
    fm_inspect_mention_card(o->file);
    printf("\nmetadata\n");
    for (size_t i = 0; i < fm_safetensors_meta_count(o->file); i++) {
        const fm_safetensors_meta m = fm_safetensors_meta_at(o->file, i);

        if (is_long(m.key))
            continue;
        printf("  ");
        fm_inspect_print_clean(m.key, strlen(m.key), ": ");
        fm_inspect_print_clean(m.value, strlen(m.value), "\n");
    }
}

static fm_status print_json(const opened *o)
{
    const fm_adapter_terms *t = &o->terms;
    const char *unit = fm_text_schema_unit(o->schema);
    json_t *meta = json_object(), *root;
    fm_status st;

    for (size_t i = 0; i < fm_safetensors_meta_count(o->file); i++) {
        const fm_safetensors_meta m = fm_safetensors_meta_at(o->file, i);

        json_object_set_new(meta, m.key, json_string(m.value));
    }
    root = json_pack(
        "{s:s, s:I, s:f, s:s, s:s, s:s, s:I, s:I, s:s, s:I, s:s, s:s, s:o}", "kind",
        FM_META_KIND_ADAPTER, "rank", (json_int_t)t->rank, "alpha", t->alpha, "modules", t->modules,
        "base", t->base, "tokenizer", t->tokenizer, "seed", (json_int_t)t->seed, "context",
        (json_int_t)t->context, "end_token", t->end_token, "values", (json_int_t)o->values,
        "schema", fm_text_schema_name(o->schema), "unit", unit ? unit : "record", "metadata", meta);
    st = root ? fm_json_print(root) : fm_fail(FM_ENOMEM, "out of memory");
    json_decref(root);
    return st;
}

fm_status fm_inspect_adapter(const char *path, bool json)
{
    opened o = { 0 };
    fm_status st = open_adapter(path, &o);

    if (!st && json)
        st = print_json(&o);
    else if (!st)
        print_text(&o);
    fm_text_schema_free(&o.schema);
    fm_safetensors_free(&o.file);
    return st;
}
