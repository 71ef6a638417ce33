#include "check_texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "fedmoe/base/file.h"
#include "fedmoe/model/corpus.h"

#define PROBLEMS_MAX 100000
#define CONTEXT ((size_t)512) /* without a plan: as fedmoe-model new chooses */

/* ---- which ---- */

static fm_status load_schema(const char *path, fm_check_texts *out)
{
    fm_buf text = { 0 };
    fm_status st = fm_file_read(path, FM_MAX_TEXT_BYTES, &text);

    if (st == FM_ENOTFOUND)
        st = fm_fail(st, "%s; see data.schema in node.yaml, or --schema", fm_error_text());
    if (st == FM_OK && fm_text_schema_is(text.data, text.len))
        st = fm_text_schema_parse(path, text.data, text.len, &out->schema);
    fm_buf_fini(&text);
    return st;
}

/* What the plan says of texts; its schema only where no other was found. */
static fm_status take_plan(const json_t *plan, bool schema, fm_check_texts *out)
{
    const char *text = fm_cmd_text(plan, "schema");
    const long long sequences = fm_cmd_whole(plan, "max_unit_rows");
    fm_status st = FM_OK;

    out->planned = fm_adapter_terms_is(fm_cmd_text(plan, "model"));
    if (schema && (out->planned || fm_text_schema_is(text, strlen(text))))
        st = fm_text_schema_parse("the schema of plan.json", text, strlen(text), &out->schema);
    if (st != FM_OK || !out->planned)
        return st;
    out->unit_sequences = sequences > 0 ? (uint64_t)sequences : 0;
    return fm_adapter_terms_parse("the model of plan.json", fm_cmd_text(plan, "model"),
                                  &out->terms);
}

fm_status fm_check_texts_find(const char *config, const fm_node_config *c, const char *schema,
                              fm_check_texts *out)
{
    json_t *plan = NULL;
    fm_status st = FM_OK;

    if (schema)
        st = load_schema(schema, out);
    else if (c->schema)
        st = load_schema(c->schema, out);
    if (st != FM_OK || ((schema || c->schema) && !out->schema))
        return st; /* of a table, whatever plan a stranger has offered */
    if ((st = fm_cmd_read_json(config, "plan.json", &plan)) == FM_OK)
        st = take_plan(plan, !out->schema, out);
    else if (st == FM_ENOTFOUND)
        st = FM_OK;
    json_decref(plan);
    return st;
}

void fm_check_texts_fini(fm_check_texts *t)
{
    fm_text_schema_free(&t->schema);
}

/* ---- the base ---- */

fm_status fm_check_texts_base(const fm_node_config *c, fm_check_texts *t, char *detail, size_t cap)
{
    fm_decoder_folder *folder = NULL;
    size_t most;
    fm_status st;

    if (!c->model)
        return fm_fail(FM_EINVAL, "texts are read with the tokenizer of a language model, and "
                                  "node.yaml names none: give its folder as model");
    if ((st = fm_decoder_folder_open(c->model, &folder)) != FM_OK)
        return st;
    most = fm_decoder_folder_config(folder)->context;
    if (t->planned) {
        st = fm_adapter_terms_check(&t->terms, folder);
        (void)snprintf(detail, cap, "%s is the plan's, with its tokenizer: hash %.16s...", c->model,
                       t->terms.base);
    } else {
        t->terms.context = most < CONTEXT ? most : CONTEXT;
        (void)snprintf(detail, cap,
                       "%s is there; no plan was offered that says whether it is the right one",
                       c->model);
    }
    fm_decoder_folder_free(&folder);
    return st;
}

/* ---- the texts ---- */

static void tell_units(const fm_corpus *c, const char *unit, uint64_t bound, char *out, size_t cap)
{
    size_t most = 0, over = 0, lost = 0, used;

    for (size_t u = 0; u < c->units; u++) {
        const size_t n = c->unit_start[u + 1] - c->unit_start[u];

        most = n > most ? n : most;
        if (bound && n > bound) {
            over++;
            lost += n - (size_t)bound;
        }
    }
    (void)snprintf(out, cap, "; %zu units by %s, at most %zu sequences each", c->units,
                   unit ? unit : FM_UNIT_RECORD, most);
    used = strlen(out);
    if (bound)
        (void)snprintf(out + used, cap - used,
                       "; %zu units have more than %llu, a round leaves out up to %zu sequences of "
                       "theirs",
                       over, (unsigned long long)bound, lost);
}

/* What else a plan would be refused for. */
static fm_status judge(const fm_node_config *c, const fm_check_texts *t, const fm_corpus *corpus)
{
    const char *unit = fm_text_schema_unit(t->schema);

    if (strcmp(unit ? unit : FM_UNIT_RECORD, c->policy.unit) != 0)
        return fm_fail(FM_EPERM, "the schema '%s' groups texts by %s, policy.unit is %s",
                       fm_text_schema_name(t->schema), unit ? unit : FM_UNIT_RECORD,
                       c->policy.unit);
    if (corpus->sequences > c->policy.max_rows)
        return fm_fail(FM_EPERM, "%zu sequences; policy.max_rows allows %llu", corpus->sequences,
                       (unsigned long long)c->policy.max_rows);
    return FM_OK;
}

static fm_status load_corpus(const fm_node_config *c, const fm_check_texts *t, fm_buf *problems,
                             fm_corpus **out)
{
    const fm_corpus_options o = { .context = t->terms.context,
                                  .end_token = t->terms.end_token[0] ? t->terms.end_token : NULL,
                                  .max_problems = PROBLEMS_MAX,
                                  .problems = problems };
    const char *paths[FM_NODE_MAX_FILES];
    fm_tokenizer *tokenizer = NULL;
    char *path = NULL;
    fm_status st = fm_path_join(c->model, "tokenizer.json", &path);

    if (st == FM_OK && (st = fm_tokenizer_load(path, &tokenizer)) == FM_OK)
        st = fm_corpus_load(t->schema, tokenizer, &o, paths, fm_node_config_files(c, paths), out);
    fm_tokenizer_free(&tokenizer);
    free(path);
    return st;
}

fm_status fm_check_texts_records(const fm_node_config *c, const fm_check_texts *t,
                                 uint64_t unit_sequences, fm_buf *problems, char *detail,
                                 size_t cap)
{
    const uint64_t bound = unit_sequences ? unit_sequences : t->unit_sequences;
    fm_corpus *corpus = NULL;
    size_t used;
    fm_status st;

    if (!c->model || t->terms.context == 0)
        return fm_fail(FM_EINVAL, "the texts can be read when the base model is in order");
    if ((st = load_corpus(c, t, problems, &corpus)) == FM_OK &&
        (st = judge(c, t, corpus)) == FM_OK) {
        (void)snprintf(detail, cap,
                       "%zu records fit the schema of texts '%s': %zu documents (%zu empty), %llu "
                       "tokens in %zu sequences of at most %zu",
                       corpus->facts.records, fm_text_schema_name(t->schema), corpus->documents,
                       corpus->empty, (unsigned long long)corpus->starts[corpus->sequences],
                       corpus->sequences, t->terms.context);
        used = strlen(detail);
        tell_units(corpus, fm_text_schema_unit(t->schema), bound, detail + used, cap - used);
    }
    fm_corpus_free(&corpus);
    return st;
}
